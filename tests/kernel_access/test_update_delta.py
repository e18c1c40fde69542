"""An update's delta against what the engine itself would have done to a copy, over random data and random sequences."""

from __future__ import annotations

import pyoxigraph as ox
from access_harness import DEFAULT, BareOverlay, canonical_form, result_of, standard
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.graph import names
from engine.graph.commit import net
from engine.graph.store import Home, StoreView
from engine.graph.update import Outcome, Scope, evaluate_update
from reasoners.graph import Delta

GRAPHS = ("http://e/g1", "http://e/g2", "http://e/g3")
PREFIX = "PREFIX e: <http://e/> "
RESOURCES = ("e:a", "e:b", "e:c")
PREDICATES = ("e:p", "e:q")
VALUES = (*RESOURCES, "1", '"x"@en', '"}; # "', "1.5")
VARIABLES = ("?x", "?y", "?z")
NAMES = ("e:g1", "e:g2", "e:g3")

subjects, predicates, objects, graphs = (st.sampled_from(x) for x in (RESOURCES, PREDICATES, VALUES, NAMES))
open_subjects = st.sampled_from((*RESOURCES[:2], *VARIABLES))
open_predicates = st.sampled_from((*PREDICATES, "?y"))
open_objects = st.sampled_from((*VALUES[:4], *VARIABLES))
blank = st.sampled_from(("_:n", "_:m"))


@st.composite
def triples(draw: st.DrawFn, *, data: bool, fresh: bool = False, size: int = 3) -> str:
    """Triples for a template or a pattern, as text."""
    found = []
    for _ in range(draw(st.integers(1, size))):
        subject = draw(subjects if data else open_subjects)
        obj = draw(objects if data else open_objects)
        if fresh and draw(st.integers(0, 5)) == 0:
            subject = draw(blank)
        if fresh and draw(st.integers(0, 5)) == 0:
            obj = draw(blank)
        found.append(f"{subject} {draw(predicates if data else open_predicates)} {obj}")
    return " . ".join(found)


@st.composite
def quads(draw: st.DrawFn, *, data: bool, fresh: bool = False) -> str:
    """A quad template as text."""
    parts = []
    if draw(st.booleans()):
        parts.append(draw(triples(data=data, fresh=fresh)))
    if not parts or draw(st.booleans()):
        graph = draw(graphs if data else st.sampled_from((*NAMES, "?g")))
        parts.append(f"GRAPH {graph} {{ {draw(triples(data=data, fresh=fresh))} }}")
    return " . ".join(parts) if not parts[0].startswith("GRAPH") else " ".join(parts)


@st.composite
def pattern(draw: st.DrawFn) -> str:
    """A WHERE clause."""
    parts = []
    kinds = st.sampled_from(
        ("bgp", "bgp", "graph", "graph?", "optional", "filter", "bind", "values", "select", "comment")
    )
    for kind in draw(st.lists(kinds, min_size=0, max_size=3)):
        body = draw(triples(data=False, size=2))
        parts.append(
            {
                "bgp": f"{body} .",
                "graph": f"GRAPH {draw(graphs)} {{ {body} }}",
                "graph?": f"GRAPH ?g {{ {body} }}",
                "optional": f"OPTIONAL {{ {body} }}",
                "filter": f"FILTER ( !EXISTS {{ {body} }} )",
                "bind": f'BIND ( CONCAT("}} \\"", STR(1)) AS ?b{len(parts)} )',
                "values": "VALUES (?x ?y) { (e:a UNDEF) (UNDEF e:p) }",
                "select": f"{{ SELECT ?x (COUNT(*) AS ?n) {{ {body} }} GROUP BY ?x }}",
                "comment": "# GRAPH ?g { SERVICE } '''\n",
            }[kind]
        )
    return "{ " + " ".join(parts) + " }"


@st.composite
def sequences(draw: st.DrawFn) -> str:
    """A sequence of operations. A dropped graph is no later source: engines differ on what SILENT then means."""
    gone: set[str] = set()
    found = []
    kinds = st.sampled_from(("insert data", "delete data", "delete where", "modify", "modify", "modify", "manage"))
    for kind in draw(st.lists(kinds, min_size=1, max_size=4)):
        if kind == "insert data":
            found.append(f"INSERT DATA {{ {draw(quads(data=True))} }}")
        elif kind == "delete data":
            found.append(f"DELETE DATA {{ {draw(quads(data=True))} }}")
        elif kind == "delete where":
            found.append(f"DELETE WHERE {{ {draw(quads(data=False))} }}")
        elif kind == "modify":
            delete = f"DELETE {{ {draw(quads(data=False))} }} " if draw(st.booleans()) else ""
            insert = f"INSERT {{ {draw(quads(data=False, fresh=True))} }} " if not delete or draw(st.booleans()) else ""
            head = f"WITH {draw(graphs)} " if draw(st.integers(0, 3)) == 0 else ""
            using = f"USING {draw(graphs)} " if draw(st.integers(0, 4)) == 0 else ""
            using += f"USING NAMED {draw(graphs)} " if draw(st.integers(0, 4)) == 0 else ""
            found.append(f"{head}{delete}{insert}{using}WHERE {draw(pattern())}")
        else:
            sources = [x for x in ("DEFAULT", *NAMES) if x not in gone]
            source, target = draw(st.sampled_from(sources)), draw(st.sampled_from(("DEFAULT", *NAMES)))
            verb = draw(st.sampled_from(("CLEAR", "CLEAR", "DROP", "ADD", "COPY", "MOVE")))
            graph = source if source == "DEFAULT" else f"GRAPH {source}"
            if verb == "CLEAR":
                found.append(f"CLEAR SILENT {draw(st.sampled_from((graph, 'ALL', 'NAMED')))}")
            elif verb == "DROP":
                found.append(f"DROP SILENT {graph}")
            else:
                found.append(f"{verb} SILENT {source} TO {target}")
            if verb == "DROP" or (verb == "MOVE" and source != target):
                gone.add(source)
    return PREFIX + " ;\n".join(found)


@st.composite
def datasets(draw: st.DrawFn) -> list[ox.Quad]:
    """A few quads; every named graph holds something."""
    nodes = [ox.NamedNode(f"http://e/{x}") for x in "abc"]
    terms = [*nodes, ox.BlankNode("b0"), ox.Literal(1), ox.Literal("x", language="en")]
    found = [ox.Quad(nodes[0], ox.NamedNode("http://e/p"), nodes[1], ox.NamedNode(g)) for g in GRAPHS]
    places = [DEFAULT, *(ox.NamedNode(g) for g in GRAPHS)]
    for _ in range(draw(st.integers(0, 12))):
        subject = draw(st.sampled_from([*nodes, ox.BlankNode("b0")]))
        predicate = ox.NamedNode(draw(st.sampled_from(("http://e/p", "http://e/q"))))
        found.append(ox.Quad(subject, predicate, draw(st.sampled_from(terms)), draw(st.sampled_from(places))))
    return found


@settings(max_examples=4 * settings.default.max_examples)
@given(datasets(), sequences())
def test_delta_equals_the_change_made_to_a_copy_when_the_update_is_random(data: list[ox.Quad], text: str) -> None:
    store = ox.Store()
    store.extend(data)
    before = set(store)
    reference = ox.Store()
    reference.extend(
        ox.Quad(q.subject, q.predicate, q.object, ox.DefaultGraph() if q.graph_name == DEFAULT else q.graph_name)
        for q in data
    )
    reference.update(text)
    overlay = BareOverlay(store)
    outcome = evaluate_update(text, store, standard(GRAPHS), overlay=overlay)
    assert set(store) == before
    assert overlay.undone == bool(overlay.applied)
    event(f"overlay used: {bool(overlay.applied)}")
    event(f"changes something: {any(r or a for r, a in outcome.changes.values())}")
    expected = [
        ox.Quad(
            q.subject, q.predicate, q.object, DEFAULT if isinstance(q.graph_name, ox.DefaultGraph) else q.graph_name
        )
        for q in reference
    ]
    assert canonical_form(result_of(store, outcome)) == canonical_form(expected)


class ViewOverlay:
    """An overlay on the store's view of the log, closure and inert graph included."""

    def __init__(self, view: StoreView) -> None:
        self.view, self.applied = view, list[Delta]()

    def apply(self, delta: Delta) -> None:
        self.view.apply(delta, 1)
        self.applied.append(delta)

    def undo(self) -> None:
        self.view.apply(net(self.applied).reversed(), 1)


def _home(triple: ox.Triple, holders: set[str]) -> Home:
    if not holders:
        return None
    return names.INERT if triple.subject == ox.NamedNode("http://e/c") else ox.DefaultGraph()


def _delta(outcome: Outcome) -> Delta:
    parts: tuple[list[ox.Quad], list[ox.Quad]] = ([], [])
    for graph, changes in outcome.changes.items():
        for part, triples_ in zip(parts, changes, strict=True):
            part += [ox.Quad(t.subject, t.predicate, t.object, ox.NamedNode(graph)) for t in triples_]
    return Delta(tuple(parts[0]), tuple(parts[1]))


def _asserted(view: StoreView) -> list[ox.Quad]:
    return [
        q for q in view.store if isinstance(q.graph_name, ox.NamedNode) and not names.is_internal(q.graph_name.value)
    ]


@given(datasets(), sequences())
def test_sequence_equals_its_operations_one_by_one_when_everybodys_graphs_are_read(
    data: list[ox.Quad], text: str
) -> None:
    together, apart = StoreView(None, _home), StoreView(None, _home)
    for view in (together, apart):
        view.apply(Delta((), tuple(dict.fromkeys(data))), 1)
    scope = Scope(DEFAULT, frozenset(GRAPHS), lambda graph: True)
    before = set(together.store)
    outcome = evaluate_update(text, together.store, scope, overlay=ViewOverlay(together))
    assert set(together.store) == before
    together.apply(_delta(outcome), 1)
    for part in text.removeprefix(PREFIX).split(" ;\n"):
        apart.apply(_delta(evaluate_update(PREFIX + part, apart.store, scope)), 1)
    assert canonical_form(_asserted(together)) == canonical_form(_asserted(apart))
    union = {
        q.triple
        for view in (together,)
        for g in scope.default
        for q in view.store.quads_for_pattern(None, None, None, g)
    }
    assert union == {q.triple for q in _asserted(together)}
