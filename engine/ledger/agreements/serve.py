"""What the owner of a knowledge base does for agreements: take signed graphs of others into the log, hand out its own."""

from __future__ import annotations

from engine.errors import InputError, did_you_mean
from engine.graph.kernel import Kernel, now_utc
from engine.graph.log import GraphInfo
from engine.graph.service import Caller, Json, method
from engine.graph.terms import triple_line
from engine.ledger.agreements.exchange import SignedGraph, checked


@method
def adopt_graph(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Take a signed graph (`params["graph"]`) into the log as its owner's commit; what is there already is no change.

    IntegrityError when a signature is not the owner's, InputError when the log has another graph of this name, Refused when
    a shape refuses it.
    """
    found = checked(params["graph"])
    with kernel.lock.held():
        known = kernel.log.graphs.get(found.graph)
        if known is not None and known.genesis != found.genesis:
            raise InputError(
                "another graph of this name is here", place=found.graph, remedy="its owner signed two: keep the first"
            )
        if known is None:
            kernel.log.add_graph(
                GraphInfo(
                    found.graph, found.owner, found.kind, "public", found.genesis, found.policy, found.genesis_signature,
                    None, now_utc(),
                )
            )  # fmt: skip
        receipt = kernel.commit(
            {found.graph: ([], found.triples())},
            author=found.owner,
            sign=lambda digest: found.commit_signature,
            message=f"taken over: {found.graph.rsplit('/', 1)[-1]}",
        )
    return receipt.as_json()


@method
def signed_graph(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """A graph of one commit as its owner signed it, for another home."""
    graph = params["graph"]
    with kernel.lock.held():
        info = kernel.log.graphs.get(graph)
        if info is None:
            raise InputError(f"no graph <{graph}>{did_you_mean(graph, kernel.log.graphs)}")
        entries = list(kernel.log.entries(graph))
        if len(entries) != 1 or entries[0].expires or info.audience != "public":
            raise InputError("only a public graph of one commit travels", place=graph, rule=f"{len(entries)} commits")
        lines = tuple(sorted(triple_line(q.triple) for q in kernel.log.payload(entries[0].id).added))
        return SignedGraph(graph, info.kind, info.policy, lines, info.signature, entries[0].signature).as_json()


__all__ = ["adopt_graph", "signed_graph"]
