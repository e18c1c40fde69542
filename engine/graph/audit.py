"""Do the views agree with the log? Everything is computed again and compared; nothing is repaired (see `rebuild`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import IntegrityError
from engine.graph import names
from engine.graph.commit import date_time
from engine.graph.gate import finding_triples
from engine.graph.history import verify_log

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

_REMEDY = "run `dappops doctor --rebuild`"


def last_time(kernel: Kernel) -> ox.Literal:
    """Time of the newest transaction: what rules that read `?now` were last run with."""
    newest = kernel.log.transaction(kernel.log.head_tx())
    return date_time(newest.time if newest else "1970-01-01T00:00:00Z")


def check_views(kernel: Kernel) -> dict[str, int]:
    """Recompute log, asserted graphs, closure, derived graphs, findings and hash trees; IntegrityError on a difference.

    Takes time in proportion to the whole log. Returns how much was compared.
    """
    counts = verify_log(kernel)
    store = kernel.store.store
    asserted: set[ox.Quad] = set()
    for tx in kernel.log.transactions():
        for entry in tx.entries:
            delta = kernel.log.payload(entry.id)
            asserted.difference_update(delta.removed)
            asserted.update(delta.added)
    held = {q for iri in kernel.log.graphs for q in store.quads_for_pattern(None, None, None, ox.NamedNode(iri))}
    redacted = bool(counts["redacted"])
    if held != asserted and not (redacted and held <= asserted):
        raise IntegrityError(
            f"the store lacks {len(asserted - held)} asserted quads and has {len(held - asserted)} too many",
            place=str(kernel.home), remedy=_REMEDY,
        )  # fmt: skip
    derived: dict[ox.NamedNode, set[ox.Triple]] = {}
    for graph in store.named_graphs():
        if isinstance(graph, ox.NamedNode) and graph.value.startswith(names.DERIVED_PREFIX) and graph != names.FINDINGS:
            triples = {q.triple for q in store.quads_for_pattern(None, None, None, graph)}
            if triples:
                derived[ox.NamedNode(graph.value.removeprefix(names.DERIVED_PREFIX))] = triples
    wanted = {r: t for r, t in kernel.gate.deriver.full(kernel.asserted_view(), now=last_time(kernel)).items() if t}
    if derived != wanted:
        wrong = [r.value for r in derived.keys() | wanted.keys() if derived.get(r) != wanted.get(r)]
        raise IntegrityError(
            "derived graphs differ from what the rules derive", place=", ".join(sorted(wrong)), remedy=_REMEDY
        )
    holders: dict[ox.Triple, set[str]] = {}
    for quad in store:
        graph = quad.graph_name
        if isinstance(graph, ox.NamedNode) and (
            not names.is_internal(graph.value) or graph.value.startswith(names.DERIVED_PREFIX)
        ):
            holders.setdefault(quad.triple, set()).add(graph.value)
    homes: dict[ox.DefaultGraph | ox.NamedNode, set[ox.Triple]] = {ox.DefaultGraph(): set(), names.INERT: set()}
    for triple, where in holders.items():
        place = kernel.home_of(triple, where)
        if place is not None:
            homes[place].add(triple)
    for home, triples in homes.items():
        have = {q.triple for q in store.quads_for_pattern(None, None, None, home)}
        if have != triples:
            raise IntegrityError(
                f"the {'closure' if isinstance(home, ox.DefaultGraph) else 'inert graph'} lacks {len(triples - have)} triples "
                f"and has {len(have - triples)} too many", place=str(kernel.home), remedy=_REMEDY,
            )  # fmt: skip
    base = f"{kernel.node_base}/findings"
    results = kernel.gate.coherence.full(kernel.store.view())
    found = {finding_triples(r, base=base, at="2000-01-01T00:00:00Z")[0].subject for r in results}
    open_now = {q.subject for q in store.quads_for_pattern(None, None, None, names.FINDINGS)}
    if found != open_now:
        raise IntegrityError(
            f"{len(found - open_now)} findings are missing and {len(open_now - found)} are stale",
            place=str(kernel.home),
            remedy=_REMEDY,
        )
    return {
        **counts, "quads": len(held), "closure": len(homes[ox.DefaultGraph()]), "derived": sum(map(len, derived.values())),
        "findings": len(found), "graphs": len(kernel.log.graphs),
    }  # fmt: skip
