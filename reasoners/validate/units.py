"""Units of work: one constraint of one shape, as reached from one root shape, with what it reads.

A nested property shape reports results for its own focus nodes, so a unit keeps the path from the root's focus node to
the shape's (https://www.w3.org/TR/shacl/#PropertyConstraintComponent).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reasoners.sparql import algebra
from reasoners.sparql.footprint import footprint_of
from reasoners.sparql.paths import EPS, Path, sequence, to_sparql
from reasoners.sparql.reads import Read, after, class_reads, path_reads
from reasoners.validate import ast, expressions
from reasoners.validate.compile import Compiler, NotCompiled, Text, targets


@dataclass(eq=False, slots=True)
class Unit:
    """`constraint` None: the whole root runs in pySHACL."""

    number: int
    root: ast.Shape
    shape: ast.Shape
    constraint: ast.Constraint | None
    prefix: Path
    reads: tuple[Read, ...]
    rerun: tuple[str, ...] = ()  # why all targets are checked again when an unlinked triple changes
    walked: str = ""  # why the full run goes node by node
    texts: list[Text] = field(default_factory=list)
    beyond: str = ""  # why pySHACL

    @property
    def mode(self) -> str:
        """How the unit runs, for the table."""
        if self.beyond:
            return f"pySHACL: {self.beyond}"
        if self.rerun:
            return f"compiled, re-run: {'; '.join(self.rerun)}"
        if self.walked:
            return f"compiled per node, incremental: {self.walked}"
        return "compiled, incremental"


def units(roots: list[ast.Shape]) -> list[Unit]:
    """All units of the root shapes, numbered."""
    made: list[Unit] = []
    for root in roots:
        if root.deactivated:
            continue
        beyond = outside(root)
        if beyond:
            made.append(Unit(len(made), root, root, None, EPS, (Read(None, None),), beyond=beyond))
            continue
        start = len(made)
        for shape, constraint, chain in _flat(root, ()):
            made.append(_unit(len(made), root, shape, constraint, chain))
        target_reads = tuple(targets_read(root))
        reasons = tuple(why for t in root.targets if t.query is not None for why in t.query.reasons)
        for unit in made[start:]:
            unit.reads = tuple(dict.fromkeys((*target_reads, *unit.reads)))
            unit.rerun = tuple(dict.fromkeys((*reasons, *unit.rerun)))
    return made


def outside(root: ast.Shape) -> str:
    """Why only pySHACL can run a root, or ''."""
    seen: set[int] = set()

    def visit(shape: ast.Shape, above: tuple[int, ...]) -> str:
        if shape.deactivated:
            return ""
        if id(shape) in above:
            return f"recursive shape {shape.node}"
        if id(shape) in seen:
            return ""
        seen.add(id(shape))
        if shape.beyond:
            return shape.beyond[0]
        inner = (visit(s, (*above, id(shape))) for c in shape.constraints for s in referred(c))
        return next((reason for reason in inner if reason), "")

    return visit(root, ())


def referred(c: ast.Constraint) -> Iterator[ast.Shape]:
    """Shapes that a constraint refers to, those in node expressions included."""
    yield from c.shapes
    todo = [c.tree] if isinstance(c, ast.Expression) else []
    while todo:
        node = todo.pop()
        todo += node.parts
        if node.shape is not None:
            yield node.shape


def _flat(shape: ast.Shape, chain: tuple[Path, ...]) -> Iterator[tuple[ast.Shape, ast.Constraint, tuple[Path, ...]]]:
    for c in shape.constraints:
        if isinstance(c, ast.Property):
            if not c.shape.deactivated:
                yield from _flat(c.shape, (*chain, shape.path) if shape.path is not None else chain)
        else:
            yield shape, c, chain


def _unit(number: int, root: ast.Shape, shape: ast.Shape, c: ast.Constraint, chain: tuple[Path, ...]) -> Unit:
    prefix = sequence(*chain)
    reads: list[Read] = list(path_reads(prefix))
    reasons: tuple[str, ...] = ()
    for read, why in constraint_reads(shape, c, prefix):
        reads.append(read)
        reasons += (why,) if why else ()
    unit = Unit(number, root, shape, c, prefix, tuple(reads), tuple(dict.fromkeys(reasons)))
    if isinstance(c, ast.Sparql):
        return unit
    if any(t.kind == "query" for t in root.targets):
        unit.walked = "its target is a query"
        return unit
    try:
        compiler = Compiler()
        unit.texts = compiler.compile(shape, c, "?node" if chain else "?this")
    except NotCompiled as reason:
        unit.walked = str(reason)
    return unit


def chain_text(unit: Unit) -> str:
    """Pattern from ?this to ?node; empty when they are the same."""
    return "" if unit.prefix == EPS else f"?this {to_sparql(unit.prefix)} ?node ."


def target_text(unit: Unit) -> str:
    return targets(unit.root)


def targets_read(root: ast.Shape) -> Iterator[Read]:
    """What decides whether a node is a target."""
    for target in root.targets:
        match target.kind:
            case "class":
                yield from class_reads(target.term)  # type: ignore[arg-type]
            case "subjectsOf":
                yield Read(EPS, target.term)  # type: ignore[arg-type]
            case "objectsOf":
                yield Read(EPS, target.term, from_subject=False)  # type: ignore[arg-type]
            case "query":
                assert target.query is not None
                yield from target.query.reads


def shape_reads(shape: ast.Shape, prefix: Path) -> Iterator[tuple[Read, str]]:
    """What deciding conformance reads, for a node reached over `prefix`; with the reason where it is not linked."""
    if shape.deactivated:
        return
    for c in shape.constraints:
        yield from constraint_reads(shape, c, prefix)


def constraint_reads(shape: ast.Shape, c: ast.Constraint, prefix: Path) -> Iterator[tuple[Read, str]]:
    """What evaluating one constraint reads."""
    at_values = prefix
    if shape.path is not None:
        yield from ((r, "") for r in path_reads(shape.path, prefix))
        at_values = sequence(prefix, shape.path)
    match c:
        case ast.ClassOf():
            yield from ((r, "") for r in class_reads(c.cls, at_values))
        case ast.Pair():
            yield Read(prefix, c.predicate), ""
        case ast.Closed():
            yield Read(at_values, None), ""
        case ast.Logic() | ast.Property() | ast.Qualified():
            for inner in c.shapes:
                yield from shape_reads(inner, at_values)
        case ast.Expression():
            yield from expressions.reads(c.tree, at_values, shape_reads)[0]
            if c.calls_read:
                yield Read(None, None), "calls a function that reads the graph"
        case ast.Sparql():
            if c.calls_read:
                yield Read(None, None), "calls a function that reads the graph"
            links = {"value": shape.path if shape.path is not None else EPS} if c.ask else {}
            found = footprint_of(algebra.parse(c.text), "this", links=links)
            why = "; ".join(found.reasons)
            for r in found.reads:
                yield (
                    Read(
                        after(r.prefix, EPS) if r.prefix is None else sequence(prefix, r.prefix),
                        r.predicate,
                        r.from_subject,
                        r.under,
                        r.subject,
                        r.obj,
                    ),
                    (why if r.prefix is None else ""),
                )
