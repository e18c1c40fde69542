"""A graph of one commit as a file that certifies itself: how versions, seals and votes travel between homes and from witnesses.

Whoever holds the key makes the whole thing alone: genesis, one commit, two signatures. Another node checks it against
nothing but the address in the graph's name, and takes it into its log as the owner's commit (`adopt`). What the owner
signs here is computed here, never a digest that somebody else hands over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError, IntegrityError
from engine.graph import names
from engine.graph.commit import delta_hash
from engine.graph.keys import Signer, commit_digest, recover
from engine.graph.log import genesis_hash
from engine.graph.terms import canonical, triple_line
from engine.graph.tree import leaf_of

FORMAT = "dappops-graph-1"
NO_POLICY = bytes(32)  # made by no node: it stands under no policy but the one of whoever takes it
MAX_STATEMENTS = 20_000


@dataclass(frozen=True, slots=True)
class SignedGraph:
    """A public graph with one commit. `lines`: its canonical statements, sorted, each without line feed."""

    graph: str
    kind: str
    policy: bytes
    lines: tuple[str, ...]
    genesis_signature: bytes
    commit_signature: bytes

    @property
    def owner(self) -> str:
        """The address in its name."""
        return names.owner_of(self.graph)

    @property
    def genesis(self) -> bytes:
        """Its genesis hash."""
        return genesis_hash(self.graph, self.owner, self.kind, "public", self.policy)

    def triples(self) -> list[ox.Triple]:
        """Its statements."""
        return [q.triple for q in ox.parse("\n".join(self.lines) + "\n", format=ox.RdfFormat.N_TRIPLES)]

    def as_json(self) -> dict[str, Any]:
        """For a file, or the owner's socket."""
        return {
            "format": FORMAT, "graph": self.graph, "kind": self.kind, "policy": self.policy.hex(), "statements": list(self.lines),
            "genesisSignature": self.genesis_signature.hex(), "commitSignature": self.commit_signature.hex(),
        }  # fmt: skip


def _digest(genesis: bytes, graph: str, triples: Iterable[ox.Triple]) -> bytes:
    return commit_digest(genesis, graph, 1, genesis, delta_hash([], [leaf_of(t) for t in triples]), 0)


def sealed(graph: str, triples: Iterable[ox.Triple], sign: Signer, policy: bytes = NO_POLICY) -> SignedGraph:
    """Sign a graph that is to have these statements for ever; `sign` is its owner's."""
    kept = sorted({canonical(t) for t in triples}, key=str)
    if any(isinstance(x, ox.BlankNode) for t in kept for x in (t.subject, t.object)):
        raise InputError("a graph that travels has no blank nodes", place=graph, remedy="name them by IRIs")
    kind, owner = names.kind_of(graph), names.owner_of(graph)
    genesis = genesis_hash(graph, owner, kind, "public", policy)
    lines = tuple(sorted(triple_line(t) for t in kept))
    return SignedGraph(graph, kind, policy, lines, sign(genesis), sign(_digest(genesis, graph, kept)))


def checked(data: Mapping[str, Any], place: str = "") -> SignedGraph:
    """A signed graph from its JSON, verified: both signatures are the owner's, and the statements are those signed."""
    try:
        if data["format"] != FORMAT:
            raise ValueError(data["format"])
        lines = tuple(data["statements"])
        if not all(isinstance(x, str) for x in lines) or len(lines) > MAX_STATEMENTS:
            raise ValueError("statements")
        found = SignedGraph(
            str(data["graph"]), str(data["kind"]), bytes.fromhex(data["policy"]), lines,
            bytes.fromhex(data["genesisSignature"]), bytes.fromhex(data["commitSignature"]),
        )  # fmt: skip
        triples = found.triples()
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise InputError(
            f"not a signed graph: {error}", place=place, rule=f"format {FORMAT}", remedy="ask its owner for it again"
        ) from error
    same = {canonical(t): None for t in triples}
    if (
        found.kind != names.kind_of(found.graph)
        or found.kind == "policy"
        or sorted(triple_line(t) for t in same) != sorted(lines)
        or recover(found.genesis, found.genesis_signature) != found.owner
        or recover(_digest(found.genesis, found.graph, same), found.commit_signature) != found.owner
    ):
        raise IntegrityError("the signature under this graph is not its owner's", place=found.graph or place)
    return found


def load(text: str, place: str) -> SignedGraph:
    """A signed graph from the text of a file."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}", place=place) from error
    if not isinstance(data, dict):
        raise InputError("not a signed graph", place=place, rule=f"format {FORMAT}")
    return checked(data, place)


__all__ = ["FORMAT", "NO_POLICY", "SignedGraph", "checked", "load", "sealed"]
