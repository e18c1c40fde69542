"""Rules of a shapes graph, each as one CONSTRUCT over all focus nodes.

`$this` is pre-bound (https://www.w3.org/TR/shacl/#pre-binding): the pattern of the targets stands first, conditions follow
as filters, and a nested group that only compares or computes with $this gets the targets, too. Rules are evaluated to a
fixpoint in strata, not once each in the order of sh:order; an order that would give something else is refused (`strata`).

Source: https://www.w3.org/TR/shacl-af/#rules
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import pyoxigraph as ox

from reasoners.derive.analysis import analyse
from reasoners.derive.rule import Rule
from reasoners.derive.shacl.expressions import Conforming, Expressions
from reasoners.derive.shacl.targets import joined, target_patterns
from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term, View
from reasoners.sparql.functions import Function, expanded, functions_of, inlined, prefixes_of, reached, signed
from reasoners.sparql.tokens import Token, closing, tokens, written
from reasoners.vocab import RDF, RDFS, SH

SPEC = "https://www.w3.org/TR/shacl-af/#rules"
NAMED = "urn:dappops:rule:"
TERMS = ("construct", "prefixes", "subject", "predicate", "object", "condition", "order", "deactivated", "name",
         "description", "message", "jsFunctionName", "jsLibrary")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Use:
    """A rule node with the targets of all active shapes that have it."""

    node: Term
    shapes: tuple[Term, ...]
    targets: str


def shacl_rules(graph: View, conforming: Conforming, *, trusted: View | None = None) -> list[Rule]:
    """The active rules of a shapes graph. `conforming` writes conditions; `trusted` is the shipped policy.

    A rule without an IRI is named after its compiled text. Raises InputError for the first malformed rule.
    """
    functions = functions_of(graph)
    found: dict[ox.NamedNode, Rule] = {}
    for use in _uses(graph, functions):
        rule = _compiled(graph, use, functions, conforming, trusted)
        found[rule.iri] = rule
    return list(found.values())


def _uses(graph: View, functions: Mapping[str, Function]) -> Iterator[_Use]:
    by_rule: dict[Term, list[Term]] = {}
    for triple in sorted(graph.triples(None, SH.rule), key=str):
        shape, node = triple.subject, triple.object
        if isinstance(shape, ox.Triple) or isinstance(node, (ox.Triple, ox.Literal)):
            raise _bad(str(shape), "sh:rule is no node", "point to a node that describes the rule")
        if not _off(graph, shape) and not _off(graph, node):
            by_rule.setdefault(node, []).append(shape)
    for node, shapes in by_rule.items():
        patterns = [p for shape in shapes for p in target_patterns(graph, shape, functions)]
        if patterns:
            yield _Use(node, tuple(shapes), joined(list(dict.fromkeys(patterns))))


def _off(graph: View, node: Term) -> bool:
    return any(isinstance(v, ox.Literal) and v.value in ("true", "1") for v in graph.objects(node, SH.deactivated))


def _compiled(
    graph: View, use: _Use, functions: Mapping[str, Function], conforming: Conforming, trusted: View | None
) -> Rule:
    node = use.node
    place = str(node) if isinstance(node, ox.NamedNode) else f"a rule of {', '.join(map(str, use.shapes))}"
    for triple in graph.triples(node):
        name = triple.predicate.value.removeprefix(SH.iri)
        if triple.predicate in SH and name not in TERMS:
            raise _bad(place, f"unknown term sh:{name}{did_you_mean(name, TERMS)}", "correct or remove it")
    writer = Expressions(graph, place, use.targets, functions, conforming)
    conditions = " ".join(writer.condition(s) for s in sorted(graph.objects(node, SH.condition), key=str))
    if graph.objects(node, SH.construct):
        text = _construct(graph, node, use.targets, conditions, place)
    elif graph.objects(node, SH.subject) or SH.TripleRule in graph.objects(node, RDF.type):
        text = _triple(graph, node, use.targets, conditions, writer, place)
    else:
        raise _bad(place, "neither sh:construct nor sh:subject", "make it a sh:SPARQLRule or a sh:TripleRule")
    text, left = inlined(text, functions)
    kept = tuple(f for _, f in sorted(reached(left, functions).items()))
    text += signed(kept)
    try:
        heads = frozenset(h.predicate.value for h in analyse(text).heads if isinstance(h.predicate, ox.NamedNode))
    except InputError as error:
        raise _bad(place, error.message, error.remedy) from error
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    iri = node if isinstance(node, ox.NamedNode) else ox.NamedNode(NAMED + digest)
    shipped = trusted is not None and any(ox.Triple(s, SH.rule, node) in trusted for s in use.shapes)  # type: ignore[arg-type]
    return Rule(
        iri, text, heads, label=_label(graph, use), order=_order(graph, node, place), functions=kept, trusted=shipped
    )


def _label(graph: View, use: _Use) -> str:
    for node in (use.node, *use.shapes):
        for predicate in (RDFS.label, SH.name):
            labels = sorted(graph.objects(node, predicate), key=str)
            if labels:
                return labels[0].value if node == use.node else f"{labels[0].value}: rule"
    shape = use.shapes[0]
    name = shape.value.replace("#", "/").rstrip("/").rsplit("/", 1)[-1] if isinstance(shape, ox.NamedNode) else "shape"
    return f"{name}: rule"


def _order(graph: View, node: Term, place: str) -> Decimal | None:
    values = sorted(graph.objects(node, SH.order), key=str)
    if not values:
        return None
    try:
        return Decimal(values[0].value)
    except InvalidOperation as error:
        raise _bad(place, f"sh:order {values[0]} is no number", "write e.g. 1 or 0.5") from error


def _triple(graph: View, node: Term, targets: str, conditions: str, writer: Expressions, place: str) -> str:
    parts = []
    for name in ("subject", "predicate", "object"):
        values = graph.objects(node, SH(name))
        if len(values) != 1:
            raise _bad(place, f"{len(values)} values of sh:{name}", "a sh:TripleRule has one of each")
        parts.append(writer.write(next(iter(values))))
    template = " ".join(p.term for p in parts)
    patterns = " ".join(p.pattern for p in parts)
    return f"CONSTRUCT {{ {template} }} WHERE {{ {targets} {patterns} {conditions} }}"


def _construct(graph: View, node: Term, targets: str, conditions: str, place: str) -> str:
    texts = sorted(graph.objects(node, SH.construct), key=str)
    if len(texts) != 1 or not isinstance(texts[0], ox.Literal):
        raise _bad(place, f"{len(texts)} values of sh:construct", "write one CONSTRUCT query for each rule")
    code = tokens(expanded(texts[0].value, prefixes_of(graph, node), place=place))
    template, where, tail = _parts(code, place)
    body = prebound(where, targets, place)
    if where and where[0].word == "SELECT":
        body = f"{{ {body} }}"
    return f"CONSTRUCT {{ {written(template)} }} WHERE {{ {targets} {body} {conditions} }} {written(tail)}".strip()


def _parts(code: Sequence[Token], place: str) -> tuple[Sequence[Token], Sequence[Token], Sequence[Token]]:
    """Template, WHERE group and what follows it."""
    if not code or code[0].word != "CONSTRUCT":
        raise _bad(place, "sh:construct is no CONSTRUCT query", "write CONSTRUCT { … } WHERE { … }")
    at = 1
    template: Sequence[Token] | None = None
    if len(code) > 1 and code[1].text == "{":
        end = closing(code, 1)
        if end is None:
            raise _bad(place, "a bracket of the template is not closed", "close it")
        template, at = code[2:end], end + 1
    if at < len(code) and code[at].word == "FROM":
        raise _bad(place, "FROM names another dataset", "remove it: rules read the closure")
    if at < len(code) and code[at].word == "WHERE":
        at += 1
    end = closing(code, at) if at < len(code) and code[at].text == "{" else None
    if end is None:
        raise _bad(place, "the WHERE group is missing or not closed", "write WHERE { … }")
    where = code[at + 1 : end]
    return (where if template is None else template), where, code[end + 1 :]


def prebound(group: Sequence[Token], targets: str, place: str) -> str:
    """A group whose nested groups have ?this bound wherever they only compare or compute with it."""
    out: list[str] = []
    i = 0
    while i < len(group):
        token = group[i]
        if token.text != "{":
            out.append(token.text if token.glued else f" {token.text}")
            i += 1
            continue
        end = closing(group, i)
        if end is None:
            raise _bad(place, "a bracket is not closed", "close it")
        inner = group[i + 1 : end]
        exists = i > 0 and group[i - 1].word == "EXISTS"
        body = prebound(inner, targets, place)
        if inner and inner[0].word == "SELECT":
            _check_projected(inner, place)
        elif not exists and _computes(inner):
            body = f" {targets}{body}"
        out.append(f" {{{body} }}")
        i = end + 1
    return "".join(out)


def _computes(group: Sequence[Token]) -> bool:
    """Whether an expression of the group itself (no deeper group) uses ?this."""
    i = 0
    while i < len(group):
        if group[i].text == "{":
            i = (closing(group, i) or i) + 1
            continue
        if group[i].word in ("FILTER", "BIND"):
            start = next((n for n in range(i, len(group)) if group[n].text in ("(", "{")), None)
            end = closing(group, start) if start is not None else None
            if end is not None and group[start].text == "(":  # type: ignore[index]
                if any(t.text == "?this" for t in group[i:end]):
                    return True
                i = end
        i += 1
    return False


def _check_projected(select: Sequence[Token], place: str) -> None:
    """Sub-selects that use $this must select it: https://www.w3.org/TR/shacl/#pre-binding"""
    start = next((i for i, t in enumerate(select) if t.text == "{"), len(select))
    inside = any(t.text == "?this" for t in select[start:])
    head = select[:start]
    if inside and not any(t.text in ("?this", "*") for t in head):
        raise _bad(place, "a sub-select uses $this and does not select it", "write SELECT $this … (and GROUP BY $this)")


def _bad(place: str, message: str, remedy: str) -> InputError:
    return InputError(f"SHACL rule: {message}", place=place, rule=SPEC, remedy=remedy)
