"""Who may read a graph. Public graphs everybody; a private one its owner, and whom it lists itself (`dapp:readableBy`).

Whether a graph is private is bound into its genesis. The list is statements of the graph, so a change of it is a commit
like any other, signed by the owner, and `as of` and the log tell who could read when.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from reasoners.graph import Term
from reasoners.vocab import BASE, DAPP

Call = Callable[..., Any]
Json = dict[str, Any]
MAX_READERS = 10_000  # of one graph
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def listed(call: Call, address: str) -> list[Json]:
    """Private graphs that an address may read, with their readers where it owns them; sorted by IRI."""
    if not address:
        return []
    owners = {str(g["iri"]): str(g["owner"]) for g in call("info")["graphs"]}
    out = []
    for graph in call("audience", reader=address)["graphs"]:
        own = owners.get(graph) == address
        out.append(
            {
                "graph": graph, "owner": owners.get(graph, ""), "audience": "private",
                **({"readers": sorted(readers(call, graph))} if own else {}),
            }
        )  # fmt: skip
    return sorted(out, key=lambda g: str(g["graph"]))


def statements(call: Call, graph: str) -> dict[str, list[str]]:
    """IRIs that a graph lists as readers, by the address each stands for (empty: for nobody)."""
    text = call("quads", subject=f"<{graph}>", predicate=str(DAPP.readableBy), graph=graph)
    found: dict[str, list[str]] = {}
    for quad in ox.parse(text, format=ox.RdfFormat.N_QUADS, lenient=True) if text else ():
        if isinstance(quad.object, ox.NamedNode):
            found.setdefault(names.authority_over(quad.object) or "", []).append(quad.object.value)
    return found


def readers(call: Call, graph: str) -> set[str]:
    """Addresses that a private graph lists."""
    return {address for address in statements(call, graph) if address.startswith("0x")}


def reader_of(text: str) -> str:
    """The address that a reader's name stands for: an address, or an IRI under one's authority. InputError for others."""
    if _ADDRESS.fullmatch(text):
        return text.lower()
    try:
        found = names.authority_over(ox.NamedNode(text)) if "://" in text else None
    except ValueError:
        found = None
    if found is None or not found.startswith("0x"):
        raise InputError(
            f"{text[:100]!r} stands for no participant", place="reader", rule="an address, or an IRI <base>/g/<address>…",
            remedy="ask the participant for the address (`dappops keys`)",
        )  # fmt: skip
    return found


def difference(call: Call, graph: str, wanted: Iterable[str], base: str = BASE) -> tuple[str, str]:
    """(removed, added) N-Triples that make `wanted` addresses all the readers of a graph."""
    there, asked = statements(call, graph), set(wanted)
    if len(asked) > MAX_READERS:
        raise InputError(f"{len(asked):,} readers", place=graph, rule=f"at most {MAX_READERS:,}")
    gone = [iri for address, iris in there.items() if address not in asked for iri in iris]
    come = [f"{base}/g/{address}" for address in sorted(asked - set(there))]
    return _lines(graph, gone), _lines(graph, come)


def _lines(graph: str, iris: Iterable[str]) -> str:
    subject = ox.NamedNode(graph)

    def line(iri: str) -> str:
        found: Term = ox.NamedNode(iri)
        return f"{ox.Triple(subject, DAPP.readableBy, found)} .\n"

    return "".join(map(line, iris))


def found(call: Call, graph: str, address: str) -> Mapping[str, Any] | None:
    """What an address is told of a graph's permissions; None when it may not know that there is one."""
    for info in call("info")["graphs"]:
        if info["iri"] == graph and info["audience"] == "public":
            return {"graph": graph, "owner": info["owner"], "audience": "public"}
    return next((g for g in listed(call, address) if g["graph"] == graph), None)


__all__ = ["difference", "found", "listed", "reader_of", "readers", "statements"]
