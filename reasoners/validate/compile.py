"""From a constraint to one SELECT over a whole graph.

The text binds ?this (the target), ?node (the focus node of the result, reached over nested property shapes), and ?value
where the component reports one. What has no bounded text (large counts inside boolean shapes, blank nodes as constants,
SPARQL inside boolean shapes) raises `NotCompiled` and is walked node by node instead.

Source: https://www.w3.org/TR/shacl/#core-components
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.sparql.paths import to_sparql
from reasoners.validate import ast, values
from reasoners.vocab import RDF, RDFS

MARK = "\x00"
"""Brackets a class test in a text: resolved per state, to `a C` when C has no subclass there."""


class NotCompiled(Exception):
    """The constraint is walked; the message says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """A query body; `group` is what follows WHERE {…}."""

    body: str
    columns: str = ""  # besides ?this ?node
    group: str = ""

    def select(self, targets: str, chain: str, has_subclasses: Callable[[str], bool]) -> str:
        """The complete SELECT."""
        node = "?node" if chain else "(?this AS ?node)"
        group = self.group.replace("%node", " ?node" if chain else "")
        text = f"SELECT ?this {node} {self.columns} WHERE {{ {targets} {chain} {self.body} }} {group}"
        return resolve(text, has_subclasses)


def resolve(text: str, has_subclasses: Callable[[str], bool]) -> str:
    """Write the class tests of a text for one state of the graph."""
    parts = text.split(MARK)
    for i in range(1, len(parts), 2):
        path = f"{RDF.type}/{RDFS.subClassOf}*" if has_subclasses(parts[i]) else str(RDF.type)
        parts[i] = f"{path} <{parts[i]}>"
    return "".join(parts)


def class_test(v: str, cls: ox.NamedNode) -> str:
    return f"{v} {MARK}{cls.value}{MARK}"


def targets(shape: ast.Shape) -> str:
    """Pattern binding ?this to each target once; targets named one by one are walked and left out."""
    parts = []
    for target in shape.targets:
        match target.kind:
            case "class":
                assert isinstance(target.term, ox.NamedNode)
                parts.append(f"{{ {class_test('?this', target.term)} }}")
            case "subjectsOf":
                parts.append(f"{{ ?this {target.term} ?target }}")
            case "objectsOf":
                parts.append(f"{{ ?target {target.term} ?this }}")
    return f"{{ SELECT DISTINCT ?this WHERE {{ {' UNION '.join(parts)} }} }}" if parts else ""


@dataclass(slots=True)
class Compiler:
    """Makes texts with variables of their own."""

    _numbers: count[int] = field(default_factory=count)

    def fresh(self) -> str:
        return f"?v{next(self._numbers)}"

    def compile(self, shape: ast.Shape, c: ast.Constraint, x: str) -> list[Text]:
        """Texts whose rows are the violations of `c` at `x` (?this or ?node)."""
        p = to_sparql(shape.path) if shape.path is not None else None
        match c:
            case ast.Count(parameter="minCount", n=0):
                return []
            case ast.Count(parameter="minCount", n=1):
                return [Text(f"FILTER NOT EXISTS {{ {x} {p} {self.fresh()} }}")]
            case ast.Count(parameter="minCount"):
                return [self._counted(f"OPTIONAL {{ {x} {p} ?c }}", "<", c.n)]
            case ast.Count(n=0):
                return [Text(f"FILTER EXISTS {{ {x} {p} {self.fresh()} }}")]
            case ast.Count(n=1):
                return [Text(f"FILTER EXISTS {{ {self._distinct(x, str(p), 2)} }}")]
            case ast.Count():
                return [self._counted(f"{x} {p} ?c .", ">", c.n)]
            case ast.Qualified() if p is not None:
                test = self._qualifies(c, "?c")
                if c.parameter == "qualifiedMinCount":
                    return [self._counted(f"OPTIONAL {{ {x} {p} ?c {test} }}", "<", c.n)] if c.n else []
                return [self._counted(f"{x} {p} ?c {test}", ">", c.n)]
            case ast.UniqueLang():
                a, b = self.fresh(), self.fresh()
                return [
                    Text(
                        f"{x} {p} {a} . {x} {p} {b} . BIND(LCASE(LANG({a})) AS ?note) "
                        f'FILTER(!sameTerm({a}, {b}) && ?note != "" && ?note = LCASE(LANG({b})))',
                        "?note",
                    )
                ]
            case ast.Closed():
                v, chain = self._value(x, p)
                return [Text(f"{chain} {v} ?path ?value {self._outside(c, '?path')}", "?path ?value")]
            case ast.Pair():
                return [Text(body, columns) for body, columns in self._pair_texts(p, c, x)]
            case ast.Qualified() | ast.HasValue():
                return [Text(f"FILTER(!{self.expression(shape, c, x)})")]
            case ast.Sparql() | ast.Property():
                raise NotCompiled("runs its own query")
            case ast.Expression():
                raise NotCompiled("a node expression")
            case _ if p is None:
                return [Text(f"FILTER(!{self.accepts(c, x)})", f"({x} AS ?value)")]
            case _:
                return [Text(f"{x} {p} ?value FILTER(!{self.accepts(c, '?value')})", "?value")]

    @staticmethod
    def _counted(pattern: str, operator: str, n: int) -> Text:
        return Text(pattern, "", f"GROUP BY ?this%node HAVING (COUNT(DISTINCT ?c) {operator} {n})")

    def _value(self, x: str, p: str | None) -> tuple[str, str]:
        if p is None:
            return x, ""
        v = self.fresh()
        return v, f"{x} {p} {v} ."

    def _distinct(self, x: str, p: str, n: int, test: Callable[[str], str] = lambda v: "") -> str:
        """Pattern that holds when at least n different value nodes pass `test`."""
        if n > 2:
            # n! joins in the worst case
            raise NotCompiled(f"counts to {n} inside a boolean shape")
        names = [self.fresh() for _ in range(n)]
        apart = f"FILTER(!sameTerm({names[0]}, {names[1]}))" if n == 2 else ""
        return " ".join(f"{x} {p} {v} . {test(v)}" for v in names) + apart

    def _qualifies(self, c: ast.Qualified, v: str) -> str:
        others = "".join(f" && !{self.conforms(s, v)}" for s in c.siblings)
        return f"FILTER({self.conforms(c.shape, v)}{others})"

    @staticmethod
    def _outside(c: ast.Closed, p: str) -> str:
        names = ", ".join(sorted(map(str, c.allowed)))
        return f"FILTER({p} NOT IN ({names}))" if names else ""

    def _pair_texts(self, p: str | None, c: ast.Pair, x: str) -> Iterator[tuple[str, str]]:
        for body, v, w in self._pair(p, c, x):
            yield body, f"({v} AS ?value)" + (f" ({w} AS ?note)" if c.parameter.startswith("lessThan") else "")

    def _pair(self, p: str | None, c: ast.Pair, x: str) -> list[tuple[str, str, str]]:
        """(pattern, value variable, other variable) of violations."""
        v, chain = self._value(x, p)
        w, q = self.fresh(), c.predicate
        match c.parameter:
            case "disjoint":
                return [(f"{chain} FILTER EXISTS {{ {x} {q} {v} }}", v, w)]
            case "equals":
                own = f"{x} {p} {w}" if p else ""
                missing = f"FILTER NOT EXISTS {{ {own} }}" if p else f"FILTER(!sameTerm({x}, {w}))"
                return [(f"{chain} FILTER NOT EXISTS {{ {x} {q} {v} }}", v, w), (f"{x} {q} {w} . {missing}", w, v)]
            case _:
                test = values.compare_text(v, c.operator, w)
                return [(f"{chain} {x} {q} {w} . FILTER(!{test})", v, w)]

    # -- boolean expressions --------------------------------------------------------------------------------------

    def conforms(self, shape: ast.Shape, x: str) -> str:
        """Expression: `x` conforms to `shape`."""
        if shape.deactivated or not shape.constraints:
            return "true"
        return "(" + " && ".join(self.expression(shape, c, x) for c in shape.constraints) + ")"

    def expression(self, shape: ast.Shape, c: ast.Constraint, x: str) -> str:
        """Expression: `x` satisfies the constraint `c` of `shape`."""
        p = to_sparql(shape.path) if shape.path is not None else None
        match c:
            case ast.Count(parameter="minCount"):
                return "true" if c.n == 0 else f"EXISTS {{ {self._distinct(x, str(p), c.n)} }}"
            case ast.Count():
                return f"(!EXISTS {{ {self._distinct(x, str(p), c.n + 1)} }})"
            case ast.Qualified() if p is None:
                inside = f"({self.conforms(c.shape, x)}{''.join(f' && !{self.conforms(s, x)}' for s in c.siblings)})"
                count_ = f"IF({inside}, 1, 0)"
                return f"({count_} >= {c.n})" if c.parameter == "qualifiedMinCount" else f"({count_} <= {c.n})"
            case ast.Qualified(parameter="qualifiedMinCount"):
                if c.n == 0:
                    return "true"
                return f"EXISTS {{ {self._distinct(x, str(p), c.n, lambda v: self._qualifies(c, v))} }}"
            case ast.Qualified():
                return f"(!EXISTS {{ {self._distinct(x, str(p), c.n + 1, lambda v: self._qualifies(c, v))} }})"
            case ast.HasValue():
                term = _constant(c.term)
                return f"EXISTS {{ {x} {p} {term} }}" if p else f"sameTerm({x}, {term})"
            case ast.UniqueLang():
                a, b = self.fresh(), self.fresh()
                same = f'LANG({a}) != "" && LCASE(LANG({a})) = LCASE(LANG({b}))'
                return f"(!EXISTS {{ {x} {p} {a} . {x} {p} {b} FILTER(!sameTerm({a}, {b}) && {same}) }})"
            case ast.Closed():
                v, chain = self._value(x, p)
                q = self.fresh()
                return f"(!EXISTS {{ {chain} {v} {q} {self.fresh()} {self._outside(c, q)} }})"
            case ast.Pair():
                return "(" + " && ".join(f"!EXISTS {{ {body} }}" for body, _, _ in self._pair(p, c, x)) + ")"
            case ast.Sparql():
                raise NotCompiled("SPARQL constraint inside a boolean shape")
            case ast.Expression():
                raise NotCompiled("a node expression inside a boolean shape")
            case _ if p is None:
                return self.accepts(c, x)
            case _:
                v = self.fresh()
                return f"(!EXISTS {{ {x} {p} {v} FILTER(!{self.accepts(c, v)}) }})"

    def accepts(self, c: ast.Constraint, v: str) -> str:
        """Expression: the value node `v` satisfies a constraint that looks at value nodes one by one."""
        match c:
            case ast.Datatype():
                return values.has_datatype_text(v, c.datatype)
            case ast.NodeKind():
                return values.KINDS[c.kind].format(v=v)
            case ast.ClassOf():
                return f"EXISTS {{ {class_test(v, c.cls)} }}"
            case ast.Range():
                return values.compare_text(v, c.operator, str(c.bound))
            case ast.In():
                return (
                    "(" + " || ".join(f"sameTerm({v}, {_constant(t)})" for t in c.terms) + ")" if c.terms else "false"
                )
            case ast.Length():
                return f"(!isBlank({v}) && STRLEN(STR({v})) {'>=' if c.parameter == 'minLength' else '<='} {c.n})"
            case ast.Pattern():
                return f"(!isBlank({v}) && {values.matches_text(f'STR({v})', c.regex, c.flags)})"
            case ast.LanguageIn():
                tests = " || ".join(f"LANGMATCHES(LANG({v}), {ox.Literal(r)})" for r in c.ranges)
                return f"COALESCE({tests}, false)" if tests else "false"
            case ast.Property():
                return self.conforms(c.shape, v)
            case ast.Logic(parameter="not"):
                return f"(!{self.conforms(c.members[0], v)})"
            case ast.Logic(parameter="xone"):
                ones = " + ".join(f"IF({self.conforms(s, v)}, 1, 0)" for s in c.members) or "0"
                return f"(({ones}) = 1)"
            case ast.Logic(parameter="or"):
                return "(" + " || ".join(self.conforms(s, v) for s in c.members) + ")" if c.members else "false"
            case ast.Logic():
                return "(" + " && ".join(self.conforms(s, v) for s in c.members) + ")" if c.members else "true"
            case _:
                raise NotCompiled(f"{c.component.value} does not look at single values")


def _constant(term: Term) -> str:
    if isinstance(term, ox.BlankNode):
        raise NotCompiled("a blank node as constant")
    return str(term)
