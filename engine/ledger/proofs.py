"""Proof files that anybody can check: what a graph held, who signed it, where that is on a chain.

The format is docs/proof-format.md; who checks is `verifier/`, which shares nothing with this. A `Draft` collects parts and
names heads by their position, each once. Everything here reads under the kernel's lock and writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import pyoxigraph as ox

from engine.errors import InputError, IntegrityError, did_you_mean
from engine.graph import names
from engine.graph.accumulator import Accumulator
from engine.graph.commit import net
from engine.graph.hashing import keccak256
from engine.graph.history import check_tx, entry_leaves
from engine.graph.kernel import Kernel
from engine.graph.log import Entry, GraphInfo, Transaction
from engine.graph.proofs import Pattern
from engine.graph.tree import Leaf, MerkleTree
from reasoners.graph import Term

FORMAT = "dappops-proof-2"
STEP_LEAVES = 1_000  # of one commit's delta that a proof carries: 2 hashes each, and the way to each in the tree
SHOWN_LINES = 100_000  # of one set: what a verifier has to read and hash

Json = dict[str, Any]


class Anchors(Protocol):
    """Where heads are on a chain; `engine.ledger.anchoring.Anchors` is one."""

    def find(self, graph: str, sequence: int) -> tuple[int, list[list[Any]] | None] | None:
        """The number of an anchor that holds a head and the head's way to its root (None: it stands alone); None: no anchor."""
        ...

    def part(self, number: int, heads: Sequence[tuple[str, str, str]]) -> Json:
        """An item of `anchors`, with what it proves of the authority over (graph, owner, author)."""
        ...

    def checkpoint(self, number: int) -> Json | None:
        """What co-signers signed of an anchor's block: an item of `checkpoints` without its `anchor`."""
        ...


class Draft:
    """A proof file in the making: `head` and `prove` give positions, `result` the JSON value.

    `anchors` tells where heads are on a chain; None: nowhere.
    """

    def __init__(self, kernel: Kernel, anchors: Anchors | None = None, *, step_leaves: int = STEP_LEAVES) -> None:
        self.kernel, self.step_leaves = kernel, step_leaves
        self._anchors = anchors
        self._heads: dict[tuple[str, int], int] = {}
        self._sets: dict[tuple[int, tuple[str, ...]], int] = {}
        self._used: dict[int, list[tuple[str, str, str]]] = {}  # anchor -> (graph, owner, author) of its heads
        self.heads: list[Json] = []
        self.sets: list[Json] = []
        self.extends: list[Json] = []

    def head(self, graph: str, sequence: int | None = None) -> int:
        """Position of a graph's head (None: its newest)."""
        entry = entry_of(self.kernel, graph, sequence)
        key = (graph, entry.sequence)
        if key not in self._heads:
            part = head_part(self.kernel, graph, entry.sequence, step_leaves=self.step_leaves)
            found = self._anchors.find(graph, entry.sequence) if self._anchors else None
            if found is not None:
                number, path = found
                self._used.setdefault(number, []).append((graph, info_of(self.kernel, graph).owner, entry.author))
                part["anchor"] = {"anchor": list(self._used).index(number), "path": path}
            self._heads[key] = len(self.heads)
            self.heads.append(part)
        return self._heads[key]

    def prove(self, graph: str, terms: Sequence[Term] = (), sequence: int | None = None) -> int:
        """Position of the set of all statements that begin with `terms` (subject, predicate, object), or of their absence."""
        at = self.head(graph, sequence)
        key = (at, tuple(map(str, terms)))
        if key not in self._sets:
            number = int(self.heads[at]["sequence"])
            self._sets[key] = len(self.sets)
            self.sets.append(set_part(self.kernel, graph, terms, at, sequence=None if sequence is None else number))
        return self._sets[key]

    def extend(self, graph: str, old: int, new: int | None = None) -> None:
        """That the history up to commit `new` (None: the newest) begins with that up to commit `old`."""
        first, last = entry_of(self.kernel, graph, old), entry_of(self.kernel, graph, new)
        if first.sequence >= last.sequence:
            raise InputError(
                f"commit {first.sequence} is not before commit {last.sequence}", place=graph,
                remedy="name an earlier commit first",
            )  # fmt: skip
        part = {"from": self.head(graph, first.sequence), "to": self.head(graph, last.sequence)}
        path = Accumulator(self.kernel.log.db, graph).consistency(first.sequence, last.sequence)
        self.extends.append({**part, "path": [x.hex() for x in path]})

    def result(self, answer: Json | None = None) -> Json:
        """The proof file's value. Chains are asked here; the kernel's lock need not be held."""
        anchors: list[Json] = []
        checkpoints: list[Json] = []
        if self._anchors is not None:
            for index, (number, heads) in enumerate(self._used.items()):
                anchors.append(self._anchors.part(number, heads))
                signed = self._anchors.checkpoint(number)
                if signed is not None:
                    checkpoints.append({"anchor": index, **signed})
        return bundle(self.heads, self.sets, self.extends, anchors, checkpoints, answer)


def bundle(
    heads: Sequence[Json], sets: Sequence[Json] = (), extends: Sequence[Json] = (), anchors: Sequence[Json] = (),
    checkpoints: Sequence[Json] = (), answer: Json | None = None,
) -> Json:  # fmt: skip
    """The file's value of its parts."""
    return {
        "format": FORMAT, "heads": list(heads), "sets": list(sets), "extends": list(extends), "anchors": list(anchors),
        "checkpoints": list(checkpoints), "answer": answer,
    }  # fmt: skip


# -- heads -----------------------------------------------------------------------------------------------------------
def info_of(kernel: Kernel, graph: str) -> GraphInfo:
    """A graph's genesis; InputError when there is none of that name."""
    info = kernel.log.graphs.get(graph)
    if info is None:
        raise InputError(f"no graph <{graph}>{did_you_mean(graph, kernel.log.graphs)}", remedy="see `dappops log`")
    return info


def entry_of(kernel: Kernel, graph: str, sequence: int | None = None) -> Entry:
    """A commit of a graph (None: its newest); InputError when it has none of that number."""
    info_of(kernel, graph)
    row = kernel.log.db.execute(
        "SELECT * FROM entry WHERE graph=? AND (sequence=? OR ? IS NULL) ORDER BY sequence DESC LIMIT 1",
        (graph, sequence, sequence),
    ).fetchone()
    if row is None:
        newest = kernel.log.head_of(graph)
        raise InputError(
            f"the graph has no commit {sequence}" if sequence is not None else "the graph has no commit", place=graph,
            rule=f"1 to {newest.sequence}" if newest else "", remedy="see `dappops log --graph GRAPH`",
        )  # fmt: skip
    return Entry(*row)


def sequence_at(kernel: Kernel, graph: str, at: int | str) -> int:
    """Number of the graph's newest commit as of a transaction (negative: from the newest back) or a time (xsd:dateTime)."""
    info_of(kernel, graph)
    if isinstance(at, str):
        moment = _moment(at)
        times = kernel.log.db.execute("SELECT id, time FROM tx ORDER BY id DESC")
        tx = next((int(number) for number, time in times if _moment(time) <= moment), 0)
    else:
        tx = check_tx(kernel, at)
    found = kernel.log.heads(tx).get(graph)
    if found is None:
        raise InputError(f"the graph was not there yet at {at}", place=graph, remedy="name a later transaction or time")
    return found.sequence


def _moment(text: str) -> datetime:
    """A time with its zone; as text, times with and without fractions do not sort."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise InputError(
            f"{text!r} is neither a transaction's number nor a time", rule="xsd:dateTime with a zone",
            remedy="write something like 2026-11-24T08:00:00Z",
        )  # fmt: skip
    return found


def head_part(kernel: Kernel, graph: str, sequence: int | None = None, *, step_leaves: int = STEP_LEAVES) -> Json:
    """One item of `heads`, without an anchor. `step_leaves`: above this size of its delta a commit brings no step."""
    entry = entry_of(kernel, graph, sequence)
    info = info_of(kernel, graph)
    transaction = kernel.log.transaction(entry.tx)
    if transaction is None:
        raise IntegrityError("a commit has no transaction", place=f"{graph} {entry.sequence}")
    path = Accumulator(kernel.log.db, graph).inclusion(entry.sequence - 1, entry.sequence)
    return {
        "graph": graph,
        "genesis": {
            "owner": info.owner, "kind": info.kind, "audience": info.audience, "policy": info.policy.hex(),
            "signature": info.signature.hex(),
        },
        "sequence": entry.sequence, "parent": entry.parent.hex(), "setRoot": entry.set_root.hex(),
        "logRoot": entry.log_root.hex(), "policyRoot": entry.policy_root.hex(),
        "commit": {**_signed(entry), "author": entry.author},
        "logPath": [x.hex() for x in path],
        "seal": {
            "time": transaction.time, "gate": keccak256(_gate_text(transaction)).hex(), "signer": kernel.node,
            "signature": entry.seal.hex(),
        },
        "step": _step(kernel, info, entry, step_leaves),
        "next": _next(kernel, entry), "anchor": None,
    }  # fmt: skip


def _gate_text(transaction: Transaction) -> bytes:
    import json

    return json.dumps(transaction.gate, sort_keys=True).encode()


def _signed(entry: Entry) -> Json:
    return {"delta": entry.delta.hex(), "expires": entry.expires, "signature": entry.signature.hex()}


def _next(kernel: Kernel, entry: Entry) -> Json | None:
    """The next commit when its author is the graph's owner: who signs it signs this head as its parent."""
    row = kernel.log.db.execute(
        "SELECT * FROM entry WHERE graph=? AND sequence=?", (entry.graph, entry.sequence + 1)
    ).fetchone()
    if row is None:
        return None
    later = Entry(*row)
    if later.author != kernel.log.graphs[entry.graph].owner:
        return None
    return {**_signed(later), "author": later.author}


def _step(kernel: Kernel, info: GraphInfo, entry: Entry, limit: int) -> Json | None:
    """How the set root follows from the commit's delta; None when that shows nothing more, or the delta is too large."""
    if kernel.node == entry.author or info.owner == names.SHIPPED or entry.added + entry.removed > limit:
        return None
    added, removed = (sorted(leaves) for leaves in kernel.leaves(entry.id, info))
    before = entry_of(kernel, entry.graph, entry.sequence - 1) if entry.sequence > 1 else None
    items: list[int | bytes | Leaf] = []
    if before is not None:
        places = [leaf.path for leaf in (*removed, *added)]
        newest = kernel.log.head_of(entry.graph)
        if newest is not None and newest.sequence == entry.sequence:
            tree = kernel.tree(info)
            tree.apply(removed, added)  # back to the parent, in memory only, as a commit that is refused does
            try:
                items = tree.outline(places)
            finally:
                tree.apply(added, removed)
        else:
            items = past_tree(kernel, info, before.sequence).outline(places)
    return {
        "parent": None if before is None else {
            "parent": before.parent.hex(), "setRoot": before.set_root.hex(), "logRoot": before.log_root.hex(),
            "policyRoot": before.policy_root.hex(),
        },
        "removed": [_leaf(x) for x in removed], "added": [_leaf(x) for x in added],
        "tree": [x if isinstance(x, int) else _leaf(x) if isinstance(x, Leaf) else x.hex() for x in items],
    }  # fmt: skip


def _leaf(leaf: Leaf) -> list[str]:
    return [leaf.path.hex(), leaf.value.hex()]


# -- sets ------------------------------------------------------------------------------------------------------------
def past_tree(kernel: Kernel, info: GraphInfo, sequence: int) -> MerkleTree:
    """The hash tree after a commit, made anew from the log: time in proportion to the history."""
    tree = MerkleTree(sqlite3.connect(":memory:"), info.iri, info.salt)
    for entry in kernel.log.entries(info.iri):
        if entry.sequence > sequence:
            break
        tree.apply(*entry_leaves(kernel.log, entry.id, info.salt))
    return tree


def past_triples(kernel: Kernel, graph: str, sequence: int) -> list[ox.Triple]:
    """The graph's statements after a commit, less what was redacted since."""
    deltas = [kernel.log.payload(e.id) for e in kernel.log.entries(graph) if e.sequence <= sequence]
    return [quad.triple for quad in net(deltas).added]


def set_part(
    kernel: Kernel, graph: str, terms: Sequence[Term] = (), head: int = 0, *, sequence: int | None = None
) -> Json:
    """One item of `sets`: all statements of a graph that begin with `terms`, or their absence; `head` is its position.

    `sequence` names an earlier commit (None: the newest). InputError when there are too many to show, or when text that the
    proof would have to show was redacted.
    """
    info = info_of(kernel, graph)
    if len(terms) > 3:
        raise InputError("a statement has three terms", place=" ".join(map(str, terms)), remedy="give three at most")
    subject, predicate, obj = [*terms, None, None, None][:3]
    texts = [None if t is None else str(t) for t in (subject, predicate, obj)]
    pattern: Pattern = (texts[0], texts[1], texts[2])
    newest = kernel.log.head_of(graph)
    if sequence is None or (newest is not None and sequence == newest.sequence):
        tree = kernel.tree(info)
        quads = kernel.store.store.quads_for_pattern(subject, predicate, obj, ox.NamedNode(graph))  # type: ignore[arg-type]
        found = [quad.triple for quad in quads]
    else:
        entry_of(kernel, graph, sequence)
        tree = past_tree(kernel, info, sequence)
        found = [
            t for t in past_triples(kernel, graph, sequence)
            if subject in (None, t.subject) and predicate in (None, t.predicate) and obj in (None, t.object)
        ]  # fmt: skip
        kept = sum(1 for _ in tree.under(_prefix(pattern)))
        if kept != len(found):
            raise InputError(
                f"{kept - len(found)} of these statements were redacted, so their text cannot be shown", place=graph,
                remedy="prove the head alone (--head), or another pattern",
            )  # fmt: skip
    if len(found) > SHOWN_LINES:
        raise InputError(
            f"{len(found):,} statements are too many to show", place=graph, rule=f"at most {SHOWN_LINES:,} in one proof",
            remedy="prove the head alone (--head), or name a subject",
        )  # fmt: skip
    return {"head": head, "proof": tree.prove(pattern, found).to_json()}


def _prefix(pattern: Pattern) -> bytes:
    from engine.graph.leaves import prefix_of

    return prefix_of(*pattern) or b""


def subjects_under(kernel: Kernel, graph: str, node: ox.NamedNode, limit: int = 10_000) -> list[ox.NamedNode]:
    """A node and the nodes of its own that it leads to in a graph (IRIs that begin with its own, such as a decision's reasons)."""
    store, name = kernel.store.store, ox.NamedNode(graph)
    found, waiting = {node.value: node}, [node]
    while waiting:
        for quad in store.quads_for_pattern(waiting.pop(), None, None, name):
            other = quad.object
            if isinstance(other, ox.NamedNode) and other.value not in found and _below(other.value, node.value):
                found[other.value] = other
                waiting.append(other)
                if len(found) > limit:
                    raise InputError(
                        f"{node} has more than {limit:,} parts", place=graph, remedy="prove them one by one"
                    )
    return [found[iri] for iri in sorted(found)]


def _below(iri: str, node: str) -> bool:
    return iri.startswith(node) and iri[len(node) : len(node) + 1] in ("/", "#", "-", ".")


__all__ = [
    "FORMAT", "Anchors", "Draft", "bundle", "entry_of", "head_part", "past_tree", "past_triples", "sequence_at",
    "set_part", "subjects_under",
]  # fmt: skip
