"""Writes in two steps: what a request would change is found beside the log, then committed if nothing moved meanwhile.

Evaluating an update can take for ever (a cross product in its WHERE), and the owner's lock must not be held for that.
So `engine.graph.evaluating` evaluates it on a replica's snapshot, in a process that can be killed; `commit_evaluated`
commits the changes unless a transaction that the author can read came between: then they are found again. The sum is
serialisable: each write is as if it had been evaluated at the moment of its commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.audiences import audience_named
from engine.graph.evaluating import STANDARD
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.graph.standard import StandardNames
from engine.graph.update import Changes
from engine.graph.wire import decode_triples


def _names(kernel: Kernel, params: Json, author: str) -> StandardNames | None:
    return StandardNames(author, kernel.base) if params.get("dataset") == STANDARD else None


def _stored(kernel: Kernel, params: Json, author: str) -> str:
    found = _names(kernel, params, author)
    return found.stored(params["graph"]) if found else kernel.resolve(params["graph"], author)


def _readable(kernel: Kernel, audience: str) -> frozenset[str]:
    private = audience_named(kernel, audience) or frozenset()
    return frozenset(i for i, info in kernel.log.graphs.items() if info.audience == "public" or i in private)


def state_of(kernel: Kernel, graph: str) -> Json:
    """Whether a stored graph holds anything, and a tag of what: its set root. The caller holds the lock."""
    head = kernel.log.head_of(graph) if graph in kernel.log.graphs else None
    exists = head is not None and _holds_anything(kernel, graph)
    return {"exists": exists, "tag": head.set_root.hex()[:32] if head is not None else ""}


def _holds_anything(kernel: Kernel, graph: str) -> bool:
    found = kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph))
    return next(iter(found), None) is not None


@method
def graph_state(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Whether `graph` exists for an `audience`, and its tag; `author` and `dataset` say how it is named."""
    author = (params.get("author") or kernel.node).lower()
    with kernel.lock.held():
        try:
            graph = _stored(kernel, params, author)
        except InputError:  # not part of the data set
            return {"exists": False, "tag": ""}
        if graph not in _readable(kernel, params["audience"]):
            return {"exists": False, "tag": ""}
        return state_of(kernel, graph)


@method
def commit_evaluated(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Commit `changes` that were evaluated at transaction `tx` of an `audience`.

    `{"moved": True}` when a later transaction changed something the audience reads, `{"failed": tag}` when the
    `conditions` on `graph` ({"match", "none_match"}: lists of tags, or ["*"]) do not hold, else the receipt, the log's
    position, and of `graph` whether it was there before and its tag. `message`, `author` and `dataset` as everywhere.
    """
    author = (params.get("author") or kernel.node).lower()
    standard = _names(kernel, params, author)
    with kernel.lock.held():
        changes = _decoded(kernel, params["changes"], author, standard)
        graph = _stored(kernel, params, author) if params.get("graph") is not None else ""
        for iri in {*changes, *filter(None, (graph,))}:
            _check_authority(iri, author)  # before anything is told of a graph, also whether it is there
        hidden = {*changes, graph} & (kernel.log.graphs.keys() - _readable(kernel, params["audience"]))
        if hidden:
            raise InputError(
                "this graph is private", place=min(hidden), rule="authority: who writes a private graph has signed in as its owner",
                remedy="sign in, and send it again",
            )  # fmt: skip
        if _moved(kernel, int(params["tx"]), params["audience"]):
            return {"moved": True, "tx": kernel.log.head_tx()}
        before = state_of(kernel, graph) if graph else {"exists": False, "tag": ""}
        if graph and not _met(params.get("conditions") or {}, before):
            return {"failed": before["tag"]}
        receipt = kernel.commit(
            changes, author=author, sign=lambda d: caller.sign(author, d), message=params.get("message", "")
        )
        after = state_of(kernel, graph) if graph else before
        return {
            "receipt": receipt.as_json(), "tx": kernel.log.head_tx(), "existed": before["exists"], **after,
        }  # fmt: skip


def _decoded(kernel: Kernel, given: Mapping[str, Json], author: str, standard: StandardNames | None) -> Changes:
    out: Changes = {}
    for graph, change in given.items():
        removed, added = decode_triples(change.get("removed", "")), decode_triples(change.get("added", ""))
        if standard is None:
            out[kernel.resolve(graph, author)] = (removed, added)
            continue
        out[standard.stored(graph)] = (removed, added)
        entry = standard.entry(graph)
        if added and entry is not None:
            out.setdefault(standard.register, ([], []))[1].append(entry)
    return out


def _check_authority(graph: str, author: str) -> None:
    if names.owner_of(graph) != author:
        raise InputError(
            f"{author} has no authority over this graph", place=graph,
            rule="authority: a graph is written by the key in its IRI", remedy="write to a graph of your own",
        )  # fmt: skip


def _moved(kernel: Kernel, tx: int, audience: str) -> bool:
    head = kernel.log.head_tx()
    if head <= tx:
        return False
    readable = _readable(kernel, audience)
    return any(e.graph in readable for n in range(tx + 1, head + 1) for e in kernel.log.entries_of(n))


def _met(conditions: Mapping[str, Sequence[str]], state: Json) -> bool:
    """Whether If-Match and If-None-Match hold. https://www.rfc-editor.org/rfc/rfc9110#section-13.1"""

    def among(tags: Iterable[str]) -> bool:
        return bool(state["exists"]) and any(tag in ("*", state["tag"]) for tag in tags)

    match, none = conditions.get("match"), conditions.get("none_match")
    return (match is None or among(match)) and (none is None or not among(none))


__all__ = ["commit_evaluated", "graph_state", "state_of"]
