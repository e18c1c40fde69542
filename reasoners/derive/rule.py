"""A rule as a value, as triples and as a `.rq` file: the three spellings of the same thing.

Reading is liberal (prologue or `sh:prefixes`, head predicate as IRI or literal); what a rule may say is checked in
`safety`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import pyoxigraph as ox

from reasoners.derive import text as source
from reasoners.errors import InputError, did_you_mean
from reasoners.graph import Term, View, memory_view
from reasoners.sparql.functions import Function, called, expanded, functions_of, inlined, prefixes_of, reached, signed
from reasoners.vocab import DAPP, DAPPI, DAPPR, DCTERMS, PREFIXES, RDF, RDFS, SH, XSD

if TYPE_CHECKING:
    from reasoners.derive.shacl.expressions import Conforming

ANY_PREDICATE = DAPP.iri + "AnyPredicate"
"""Declared head of a shipped rule whose template has a variable predicate."""

PURPOSES = ("derive", "plan", "entail", "recommend", "compose", "diagnose", "control", "ledger", "enforce", "audit")
CHOOSING = frozenset(("plan", "recommend", "compose", "control", "ledger"))
"""Purposes whose rules only exclude or discourage candidates."""
FIELDS = ("Title", "Purpose", "Heads", "Priority", "Supersedes", "Weight", "Regime", "Returns", "Inputs", "Problem",
          "Question", "Source", "Solution", "Note")  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One CONSTRUCT rule. `text` stands alone; `heads` are the IRIs of the predicates it declares to write.

    `weight` is the planner's penalty of a soft head, a pure number; `trusted` marks shipped text, which may do what
    local text may not (variable head predicates, schema heads). `order` is the sh:order of a SHACL rule; `functions` are
    those that the text calls back (see `reasoners.sparql.functions`).
    """

    iri: ox.NamedNode
    text: str
    heads: frozenset[str]
    purpose: str = "derive"
    priority: int = 0
    supersedes: frozenset[ox.NamedNode] = frozenset()
    weight: Decimal = Decimal(1)
    label: str = ""
    regime: str = DAPPI.iri + "Hierarchy"
    trusted: bool = False
    order: Decimal | None = None
    functions: tuple[Function, ...] = ()

    @property
    def name(self) -> str:
        """The label, or the last part of the IRI."""
        return self.label or self.iri.value.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]


def rule_from_file(text: str, name: str) -> list[ox.Triple]:
    """The triples of the rule node `dappr:<name>` that a `.rq` file with a header describes.

    `name` is the kebab-case file name without suffix. Raises InputError for a missing or unknown header field.
    """
    place = f"{name}.rq"
    fields = source.header(text)
    for field in fields:
        if field not in FIELDS:
            raise InputError(
                f"unknown header field {field!r}{did_you_mean(field, FIELDS)}",
                place=place,
                remedy=f"use {', '.join(FIELDS)}",
            )
    for field in ("Title", "Purpose", "Heads"):
        if not fields.get(field):
            raise InputError(
                f"the header has no `# {field}:` line", place=place, remedy=f"add `# {field}: …` at the top"
            )
    known = {**PREFIXES, **source.declared_prefixes(text)}
    node = DAPPR(name)

    def items(field: str) -> list[str]:
        parts = fields.get(field, "").replace(",", " ").split()
        return [source.expand(p, known, place=f"{place}, # {field}") for p in parts]

    out = [
        ox.Triple(node, RDF.type, DAPP.Rule),
        ox.Triple(node, RDFS.label, ox.Literal(fields["Title"], language="en")),
        ox.Triple(node, SH.construct, ox.Literal(source.strip_comments(text))),
        ox.Triple(node, DAPP.purpose, ox.Literal(fields["Purpose"].strip())),
        ox.Triple(node, DAPP.regime, DAPPI(fields.get("Regime", "Hierarchy").strip())),
    ]
    out += [ox.Triple(node, DAPP.headPredicate, ox.Literal(h, datatype=XSD.anyURI)) for h in items("Heads")]
    out += [ox.Triple(node, DAPP.supersedes, ox.NamedNode(i)) for i in items("Supersedes")]
    if "Priority" in fields:
        _integer(fields["Priority"], place)
        out.append(ox.Triple(node, DAPP.priority, ox.Literal(int(fields["Priority"]))))
    if "Weight" in fields:
        _decimal(fields["Weight"], place)
        out.append(ox.Triple(node, DAPP.weight, ox.Literal(fields["Weight"].strip(), datatype=XSD.decimal)))
    if fields.get("Source", "").startswith(("http://", "https://")):
        out.append(ox.Triple(node, DCTERMS.source, ox.Literal(fields["Source"])))
    return out


def rules_from_files(files: Iterable[tuple[str, str]], *, trusted: bool = True) -> list[Rule]:
    """Rules of (name, text) pairs, in order of name: what a caller that has the shipped files needs."""
    rules: list[Rule] = []
    for name, text in sorted(files):
        view = memory_view(rule_from_file(text, name))
        rules.append(_read(view, DAPPR(name), trusted=trusted))
    return rules


def parse_rules(
    view: View, *, trusted: Collection[ox.NamedNode] | View = (), conforming: Conforming | None = None
) -> list[Rule]:
    """Active rules of a policy view, highest priority first, then by IRI.

    With `conforming`, which writes the conditions of SHACL rules as SPARQL, these (sh:rule) are read, too.

    Left out are rules with `dapp:enabled false` and those an enabled rule `dapp:supersedes`. `trusted` names the
    shipped rules, or is the view of the shipped policy graph: a rule whose exact text stands there is trusted. Raises
    InputError for a node that cannot be read as a rule; whether a rule is safe is for `check_rule`.
    """
    rules: list[Rule] = []
    for node in sorted(view.subjects(RDF.type, DAPP.Rule), key=str):
        if not isinstance(node, ox.NamedNode):
            raise InputError(
                "a rule needs an IRI of its own", place=str(node), remedy="name the rule in your policy graph"
            )
        if any(isinstance(v, ox.Literal) and v.value in ("false", "0") for v in view.objects(node, DAPP.enabled)):
            continue
        if isinstance(trusted, View):
            shipped = any(ox.Triple(node, SH.construct, t) in trusted for t in view.objects(node, SH.construct))
        else:
            shipped = node in trusted
        rules.append(_read(view, node, trusted=shipped))
    functions = functions_of(view)
    if functions:
        rules = [_calling(rule, functions) for rule in rules]
    if conforming is not None:
        from reasoners.derive.shacl.rules import shacl_rules

        known = {rule.iri for rule in rules}
        more = shacl_rules(view, conforming, trusted=trusted if isinstance(trusted, View) else None)
        rules += (_resumed(view, r) for r in more if r.iri not in known)
    replaced = {iri for rule in rules for iri in rule.supersedes if iri != rule.iri}
    return sorted((r for r in rules if r.iri not in replaced), key=lambda r: (-r.priority, r.iri.value))


def _read(view: View, node: ox.NamedNode, *, trusted: bool) -> Rule:
    place = str(node)

    def one(predicate: ox.NamedNode, default: str | None = None) -> str:
        values = sorted(view.objects(node, predicate), key=str)
        if len(values) > 1:
            raise InputError(
                f"the rule has {len(values)} values of {predicate.value}", place=place, remedy="keep exactly one"
            )
        if not values:
            if default is None:
                raise InputError(f"the rule has no {predicate.value}", place=place, remedy="add it to the rule")
            return default
        return _text(values[0])

    heads = frozenset(_text(v).strip("<> ") for v in view.objects(node, DAPP.headPredicate))
    label = min((_text(v) for v in view.objects(node, RDFS.label)), default="")
    supersedes = frozenset(v for v in view.objects(node, DAPP.supersedes) if isinstance(v, ox.NamedNode))
    text = source.with_prologue(one(SH.construct), prefixes_of(view, node))
    rule = Rule(
        iri=node,
        text=text,
        heads=heads,
        purpose=one(DAPP.purpose, "derive").rsplit("#", 1)[-1].lower(),
        priority=_integer(one(DAPP.priority, "0"), place),
        supersedes=supersedes,
        weight=_decimal(one(DAPP.weight, "1"), place),
        label=label,
        regime=one(DAPP.regime, DAPPI.iri + "Hierarchy"),
        trusted=trusted,
    )
    return _resumed(view, rule)


def _resumed(view: View, rule: Rule) -> Rule:
    """A rule that was resumed after a suspension has another text, so that it is tried and evaluated anew."""
    times = [v.value for v in view.objects(rule.iri, DAPP.resumedAt) if isinstance(v, ox.Literal)]
    return replace(rule, text=f"{rule.text.rstrip()}\n# resumed {max(times)}\n") if times else rule


def _calling(rule: Rule, functions: Mapping[str, Function]) -> Rule:
    """The rule with the SHACL functions it calls written into it, or kept beside it."""
    text = expanded(rule.text, PREFIXES, place=rule.iri.value)
    if not called(text, functions):
        return rule
    text, left = inlined(text, functions)
    kept = tuple(f for _, f in sorted(reached(left, functions).items()))
    return replace(rule, text=text + signed(kept), functions=kept)


def _text(term: Term) -> str:
    return term.value


def _integer(text: str, place: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"priority {text!r} is no integer", place=place, remedy="write a whole number") from error


def _decimal(text: str, place: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation as error:
        raise InputError(f"weight {text!r} is no decimal number", place=place, remedy="write e.g. 0.5") from error
