"""What a write would change, found on a replica's snapshot: the half that may take long, and may be killed.

A *plan* is an update, or a graph's new content. It is evaluated in a process that the kernel of the operating system
ends at a deadline or a memory bound; `engine.graph.updating` is the half that commits. Nothing here knows log or owner.
https://www.w3.org/TR/sparql11-update/, https://www.w3.org/TR/sparql11-http-rdf-update/
"""

from __future__ import annotations

import json
from contextlib import suppress

import pyoxigraph as ox

from engine.errors import DappopsError, InputError
from engine.graph import names
from engine.graph.owner import Json, decode_error, encode_error
from engine.graph.standard import StandardNames
from engine.graph.update import Outcome, Scope, evaluate_update, key_of, node_of
from engine.graph.wire import encode_triples
from reasoners.graph import Delta

MAX_CHANGES = 200_000  # quads that one request may change: a commit holds the lock for as long as it takes
FORMATS = {
    "turtle": ox.RdfFormat.TURTLE, "nt": ox.RdfFormat.N_TRIPLES, "rdfxml": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD, "trig": ox.RdfFormat.TRIG, "nquads": ox.RdfFormat.N_QUADS,
}  # fmt: skip
STANDARD = "standard"


def evaluate_here(store: ox.Store, plan: str) -> bytes:
    """What a plan would change, as JSON: `{"changes": {graph: {"removed", "added"}}, …}` or `{"error": …}`.

    `store` holds the author's dataset and is as before afterwards. A plan is JSON: `kind` (`update`, `graph`), `author`
    (address), `dataset` (`union`, `standard`), and per kind: `text`, `graph` (where triples without GRAPH go), `only`
    (whether nothing else may be read or written), `base`, `prefixes`, `using` ([default, named] or None); or `graph`,
    `mode` (`put`, `post`, `delete`), `parts` ([format, text] each), `base`.
    """
    given: Json = json.loads(plan)
    try:
        found = _update(store, given) if given["kind"] == "update" else _graph(store, given)
    except DappopsError as refusal:
        return json.dumps({"error": encode_error(refusal)}).encode()
    size = sum(len(gone) + len(come) for gone, come in found.changes.values())
    if size > MAX_CHANGES:
        error = InputError(
            f"this changes {size:,} statements at once", rule=f"at most {MAX_CHANGES:,} in one transaction",
            remedy="send it in parts, or `dappops import FILE`",
        )  # fmt: skip
        return json.dumps({"error": encode_error(error)}).encode()
    changes = {
        graph: {"removed": encode_triples(gone), "added": encode_triples(come)}
        for graph, (gone, come) in found.changes.items()
    }
    return json.dumps({"changes": changes, "notes": found.notes, "unowned": found.unowned}).encode()


def _update(store: ox.Store, plan: Json) -> Outcome:
    using = plan.get("using")
    found = evaluate_update(
        plan["text"], store, _scope(store, plan), overlay=SnapshotOverlay(store, union=plan["dataset"] != STANDARD),
        base=plan.get("base") or None, prefixes=plan.get("prefixes") or None,
        using=(tuple(using[0]), tuple(using[1])) if using else None,
    )  # fmt: skip
    others = [graph for graph in found.changes if plan.get("only") and graph != plan["graph"]]
    if others:
        raise InputError(
            f"this would change <{others[0]}> too", rule="a graph's own address changes that graph only",
            remedy="leave GRAPH out, or send the update to /sparql",
        )  # fmt: skip
    return found


def _scope(store: ox.Store, plan: Json) -> Scope:
    author, standard = plan["author"], plan["dataset"] == STANDARD
    target = node_of(plan["graph"])

    def mine(iri: str) -> bool:
        if standard and not StandardNames.is_certified(iri):
            return True
        with suppress(InputError):
            return bool(names.owner_of(iri) == author)
        return False

    if plan.get("only"):
        return Scope(target, frozenset((key_of(target),)), lambda iri: iri == key_of(target), (target,))
    existing = frozenset(
        g.value for g in store.named_graphs() if isinstance(g, ox.NamedNode) and _holds_anything(store, g)
    )
    default = (target,) if standard else (ox.DefaultGraph(),)
    return Scope(target, existing, mine, default)


def _holds_anything(store: ox.Store, graph: ox.NamedNode | ox.DefaultGraph | ox.BlankNode) -> bool:
    return next(iter(store.quads_for_pattern(None, None, None, graph)), None) is not None


def _graph(store: ox.Store, plan: Json) -> Outcome:
    name: str = plan["graph"]
    old = {q.triple for q in store.quads_for_pattern(None, None, None, node_of(name))}
    new: dict[ox.Triple, None] = {}
    for form, text in plan["parts"]:
        new.update(dict.fromkeys(parse(text, form, plan.get("base") or "")))
    mode = plan["mode"]
    if mode == "post":
        return Outcome({name: ([], list(new))})
    return Outcome({name: ([t for t in old if t not in new or _has_blank(t)], list(new))})


def parse(text: str | bytes, form: str, base: str) -> list[ox.Triple]:
    """The triples of an RDF text; blank nodes are its own. InputError with line and column; one graph only."""
    try:
        found = list(ox.parse(text, format=FORMATS[form], base_iri=base or None, rename_blank_nodes=True))
    except SyntaxError as error:
        line, column = error.lineno, error.offset
        raise InputError(
            error.msg if isinstance(error.msg, str) else str(error),
            place=f"line {line}, column {column}" if line else "", rule=FORMATS[form].iri,
            remedy="correct the text at or just before that place",
        ) from error  # fmt: skip
    except ValueError as error:  # a base that is no IRI
        raise InputError(str(error), place="base") from error
    for quad in found:
        if not isinstance(quad.graph_name, ox.DefaultGraph):
            raise InputError(
                f"the text names the graph {quad.graph_name}", rule="a graph's content is triples without graph names",
                remedy="send each graph to its own address, or INSERT DATA { GRAPH … } to /sparql",
            )  # fmt: skip
        if isinstance(quad.object, ox.Triple):
            raise InputError("RDF 1.2 triple terms are not taken", place=str(quad.object)[:200])
    return [q.triple for q in found]


def _has_blank(triple: ox.Triple) -> bool:
    return isinstance(triple.subject, ox.BlankNode) or isinstance(triple.object, ox.BlankNode)


class SnapshotOverlay:
    """Lends a pending delta to a snapshot that is this process's own, and takes it back.

    In a union dataset an added triple also counts in the default graph, and a removed one leaves it when no named graph
    holds it any more. What rules would derive from the delta does not show before the commit.
    """

    def __init__(self, store: ox.Store, *, union: bool) -> None:
        self._store, self._union = store, union
        self._done: list[tuple[ox.Quad, bool]] = []

    def apply(self, delta: Delta) -> None:
        """Make a delta visible."""
        for quad in delta.removed:
            self._set(quad, False)
            if self._union and not self._held(quad):
                self._set(_in_default(quad), False)
        for quad in delta.added:
            self._set(quad, True)
            if self._union:
                self._set(_in_default(quad), True)

    def _held(self, quad: ox.Quad) -> bool:
        found = self._store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)
        return any(not isinstance(q.graph_name, ox.DefaultGraph) for q in found)

    def _set(self, quad: ox.Quad, present: bool) -> None:
        if (quad in self._store) != present:
            (self._store.add if present else self._store.remove)(quad)
            self._done.append((quad, present))

    def undo(self) -> None:
        """Take everything back."""
        for quad, present in reversed(self._done):
            (self._store.remove if present else self._store.add)(quad)
        self._done = []


def _in_default(quad: ox.Quad) -> ox.Quad:
    return ox.Quad(quad.subject, quad.predicate, quad.object)


def error_of(answer: Json) -> DappopsError | None:
    """The error that `evaluate_here` answered, if it did."""
    return decode_error(answer["error"]) if "error" in answer else None


__all__ = ["FORMATS", "MAX_CHANGES", "STANDARD", "SnapshotOverlay", "error_of", "evaluate_here", "parse"]
