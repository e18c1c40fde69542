"""The validator: full runs by compiled queries, checks of what a change can concern by walking.

Source: https://www.w3.org/TR/shacl/#validation-definition
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pyoxigraph as ox

from reasoners.graph import Term, View
from reasoners.sparql import paths
from reasoners.sparql.paths import EPS, Path
from reasoners.sparql.reads import Affected, Index
from reasoners.validate import ast, fallback, messages, nearest
from reasoners.validate.results import Result
from reasoners.validate.run_sparql import Queries
from reasoners.validate.shapes import Shapes
from reasoners.validate.units import Unit, chain_text, target_text, units
from reasoners.validate.walk import Fault, Walker
from reasoners.vocab import RDFS, SH

Focus = Callable[[Term], bool]
Progress = Callable[[int, int, str], None]
EXPLAINED = 1000  # results of one logical constraint that get their nearest branch told in one run
DETAILS = 20  # faults of a nearest branch that are kept with a result
TOLD = 3  # of them in its message


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how a constraint of a shape runs."""

    root: str
    shape: str
    component: str
    mode: str


class Validator:
    """Shapes compiled once. Holds no state of any graph; safe to share between threads."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.units: list[Unit] = units([r.shape for r in shapes.roots])
        self._queries = Queries(shapes.graph, shapes.functions)
        self._index: Index[int] = Index()
        for unit in self.units:
            self._index.add(unit.number, unit.reads)

    # -- incremental ---------------------------------------------------------------------------------------------

    def affected(self, view: View, triples: Iterable[ox.Triple], into: Affected[int]) -> None:
        """Add what `triples` can change, seen from `view`.

        Removed triples need a view that still has them, added ones a view that has them already.
        """
        self._index.affected(view, triples, into)

    def check(self, view: View, affected: Affected[int], focus: Focus | None = None) -> list[Result]:
        """Results of the affected constraints at their affected target nodes that pass `focus`.

        For every affected (constraint, target node) the results replace all earlier ones of this Validator with that
        `unit` and `origin`; everything else stands. (One shape can be reached twice from its root, so `shape` and
        `component` do not tell units apart.) A constraint in `affected.everywhere` is checked on all its targets.
        Reads `view` only near those nodes, except where the table says re-run or pySHACL.
        """
        walker = Walker(view, self._queries)
        in_target: dict[tuple[int, Term], bool] = {}
        every: dict[int, list[Term]] = {}
        found: list[Result] = []
        for number in sorted(affected.everywhere | affected.nodes.keys()):
            unit = self.units[number]
            key = id(unit.root)
            if unit.beyond:
                found += self._beyond(view, unit, focus)
                continue
            if number in affected.everywhere:
                if key not in every:
                    every[key] = [f for f in walker.targets(unit.root) if focus is None or focus(f)]
                foci = every[key]
            else:
                foci = []
                for f in affected.nodes[number]:
                    hit = in_target.get((key, f))
                    if hit is None:
                        hit = in_target[key, f] = (focus is None or focus(f)) and walker.is_target(unit.root, f)
                    if hit:
                        foci.append(f)
            found += self._walk(walker, unit, foci)
        return found

    # -- full ------------------------------------------------------------------------------------------------------

    def full(self, view: View, focus: Focus | None = None) -> list[Result]:
        """Results of every constraint at every target node that passes `focus`."""
        return list(self.results(view, focus))

    def results(self, view: View, focus: Focus | None = None, progress: Progress | None = None) -> Iterator[Result]:
        """`full` one by one, the units in order. `progress` is told before each unit: how many are done, of how many,
        and the shape that is next."""
        walker = Walker(view, self._queries)
        every: dict[int, list[Term]] = {}
        for unit in self.units:
            if progress is not None:
                progress(unit.number, len(self.units), str(unit.shape.node))
            if unit.beyond:
                yield from self._beyond(view, unit, focus)
                continue
            if unit.walked or isinstance(unit.constraint, ast.Sparql):
                key = id(unit.root)
                if key not in every:
                    every[key] = [f for f in walker.targets(unit.root) if focus is None or focus(f)]
                yield from self._walk(walker, unit, every[key])
                continue
            yield from self._query(walker, unit, focus)
            named = [t.term for t in unit.root.targets if t.kind == "node" and (focus is None or focus(t.term))]
            if named:
                # A node that other targets include too was asked by the query already.
                others = ast.Shape(unit.root.node, targets=[t for t in unit.root.targets if t.kind != "node"])
                yield from self._walk(walker, unit, [n for n in named if not walker.is_target(others, n)])

    def table(self) -> list[Row]:
        """How each constraint runs, in a fixed order."""
        rows = []
        for unit in self.units:
            c = unit.constraint
            part = "(whole shape)" if c is None else c.component.value
            rows.append(Row(str(unit.root.node), str(unit.shape.node), part, unit.mode))
        return rows

    # -- inside ----------------------------------------------------------------------------------------------------

    def _beyond(self, view: View, unit: Unit, focus: Focus | None) -> Iterator[Result]:
        for result in fallback.run(view, self.shapes.graph, unit.root.node, unit.number):
            if focus is None or focus(result.focus):
                yield result

    def _walk(self, walker: Walker, unit: Unit, foci: Iterable[Term]) -> Iterator[Result]:
        c = unit.constraint
        assert c is not None
        if isinstance(c, ast.Sparql):
            origins: dict[Term, list[Term]] = {}
            for f in foci:
                for node in self._focus_nodes(walker, unit, f):
                    origins.setdefault(node, []).append(f)
            for node, fault in walker.sparql_faults_of_all(unit.shape, c, origins):
                for f in origins[node]:
                    yield self._result(walker, unit, c, f, node, fault)
            return
        for f in foci:
            for node in self._focus_nodes(walker, unit, f):
                for fault in walker.faults(unit.shape, c, node):
                    yield self._result(walker, unit, c, f, node, fault)

    @staticmethod
    def _focus_nodes(walker: Walker, unit: Unit, origin: Term) -> Iterable[Term]:
        return (origin,) if unit.prefix == EPS else walker.reached(unit.prefix, origin)

    def _query(self, walker: Walker, unit: Unit, focus: Focus | None) -> Iterator[Result]:
        c = unit.constraint
        assert c is not None
        target = target_text(unit)
        if not target:
            return
        known: dict[str, bool] = {}
        view = walker.view

        def has_subclasses(iri: str) -> bool:
            if iri not in known:
                known[iri] = bool(view.subjects(RDFS.subClassOf, ox.NamedNode(iri)))
            return known[iri]

        for text in unit.texts:
            solutions = view.select(text.select(target, chain_text(unit), has_subclasses))
            columns = [v.value for v in solutions.variables]
            extra = {n: columns.index(n) for n in ("value", "note", "path") if n in columns}
            seen: set[tuple[Term | None, ...]] = set()
            for row in solutions:
                this, node = row[0], row[1]
                value, note, path = (row[extra[n]] if n in extra else None for n in ("value", "note", "path"))
                if focus is not None and not focus(this):
                    continue
                key = (this, node, value, note, path)
                if key in seen:
                    continue
                seen.add(key)
                shown = ""
                if isinstance(c, ast.UniqueLang) and note is not None:
                    shown = f'language "{note.value}"'
                elif isinstance(c, ast.Pair) and note is not None:
                    shown = f"against {note}"
                elif isinstance(c, ast.Count | ast.Qualified):
                    # The query finds the node; only the message needs the number.
                    shown = next((f.note for f in walker.faults(unit.shape, c, node)), "")
                route: Path | None = paths.Pred(path) if path is not None else None
                yield self._result(walker, unit, c, this, node, Fault(value, route, shown))

    def _result(self, walker: Walker, unit: Unit, c: ast.Constraint, origin: Term, node: Term, fault: Fault) -> Result:
        found = _made(unit.number, unit.root.node, unit.shape, c, origin, node, fault)
        if not isinstance(c, ast.Logic) or c.parameter == "not" or fault.value is None:
            return found
        explained = walker.explained.get(unit.number, 0)
        if explained >= EXPLAINED:
            return found
        walker.explained[unit.number] = explained + 1
        told_nearest, misses = self._nearest(walker, c, fault.value)
        if not told_nearest:
            return found
        details = tuple(
            _made(unit.number, unit.root.node, m.shape, m.constraint, origin, m.node, m.fault) for m in misses[:DETAILS]
        )
        told = found.messages
        if not unit.shape.messages:
            told = tuple(ox.Literal(f"{m.value}; {told_nearest}", language="en") for m in told)
        return replace(found, nearest=told_nearest, details=details, messages=told)

    def _nearest(self, walker: Walker, c: ast.Logic, value: Term) -> tuple[str, list[nearest.Miss]]:
        if c.parameter == "xone":
            met = [i for i, s in enumerate(c.members) if walker.conforms(s, value)]
            if met:
                return f"conforms to {len(met)} of them: {', '.join(self._name(c, i) for i in met)}", []
        best, distance = nearest.branch(walker, c, value)
        if not distance.misses:
            return "", []
        missing = [
            _made(0, m.shape.node, m.shape, m.constraint, m.node, m.node, m.fault).message for m in distance.misses
        ]
        text = "; ".join(dict.fromkeys(missing[:TOLD])) + (
            f" and {len(missing) - TOLD} more" if len(missing) > TOLD else ""
        )
        head = f"nearest is {self._name(c, best)}, where " if c.parameter in ("or", "xone") else "here "
        return head + text, distance.misses

    def _name(self, c: ast.Logic, index: int) -> str:
        """A branch by its name, else by its number."""
        node = c.members[index].node
        for predicate in (SH.name, RDFS.label):
            for label in self.shapes.graph.sorted(node, predicate):
                if isinstance(label, ox.Literal):
                    return f'"{label.value}"'
        return f"branch {index + 1} of {len(c.members)}" if isinstance(node, ox.BlankNode) else str(node)


def _made(
    number: int, root: Term, shape: ast.Shape, c: ast.Constraint, origin: Term, node: Term, fault: Fault
) -> Result:
    route = fault.path or shape.written
    told = fault.messages or shape.messages or (messages.default(shape, c, fault.note),)
    return Result(
        focus=node,
        path=None if route is None else paths.to_sparql(route),
        value=fault.value,
        component=c.component,
        shape=shape.node,
        root=root,
        severity=shape.severity,
        messages=told,
        constraint=c.node if isinstance(c, ast.Sparql | ast.Expression) else None,
        origin=origin,
        route=route,
        detail=fault.note,
        unit=number,
        of=(shape, c),
    )
