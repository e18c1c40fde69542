"""What a rule must not say: checks at the gate, so that it is deterministic and reads one graph only.

Each refusal names the rule, the line where it is known, and the remedy. Whether a rule is *fast enough* is tried in
`trial`, whether a set of rules can be ordered is found in `strata`.

Source: docs/architecture.md, "Rules are data".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyoxigraph as ox

from reasoners.derive.analysis import Analysis, analyse
from reasoners.derive.rule import ANY_PREDICATE, CHOOSING, PURPOSES, Rule
from reasoners.derive.text import line_of
from reasoners.errors import InputError, did_you_mean
from reasoners.vocab import DAPP, OWL, RDF, RDFS, SH, XSD

MAX_TEXT = 20_000  # characters; the parser's time and depth grow with it
PLAN_HEADS = frozenset({DAPP.excludedFor.value, DAPP.discouragedFor.value})
CASTS = frozenset(
    XSD(n).value for n in ("boolean", "double", "float", "decimal", "integer", "dateTime", "string", "date")
)
SCHEMA_HEADS = frozenset(
    {
        RDFS.subClassOf.value,
        RDFS.subPropertyOf.value,
        RDFS.domain.value,
        RDFS.range.value,
        RDF.first.value,
        RDF.rest.value,
    }
)
POLICY_TERMS = (
    *("headPredicate", "purpose", "regime", "enforcement", "supersedes", "priority", "enabled", "chose", "answers"),
    *(
        "suspendedAt",
        "suspendedBecause",
        "resumedAt",
        "byRule",
        "usedState",
        "decidedBy",
        "inDecision",
        "ofGraph",
        "sequence",
        "headHash",
    ),
)
POLICY_HEADS = frozenset(DAPP.iri + n for n in POLICY_TERMS)
DECISION_CLASSES = (
    *("DecisionRequest", "Decision", "Placement", "Candidate", "ConstraintVerdict", "ScoreComponent"),
    *("RejectionSummary", "ConflictSet", "Rule", "Finding", "Commit", "Transaction", "GraphHead"),
)
POLICY_CLASSES = frozenset(DAPP.iri + n for n in DECISION_CLASSES)
SPEC = "https://www.w3.org/TR/sparql11-query/"


def check_rule(rule: Rule) -> None:
    """Raise InputError for the first thing the rule must not say; nothing is evaluated."""
    for message, remedy, word in _faults(rule):
        line = line_of(rule.text, word) if word else None
        where = f"{rule.iri.value}, line {line}" if line else rule.iri.value
        raise InputError(f"rule {rule.name!r}: {message}", place=where, rule=f"{SPEC}#construct", remedy=remedy)


def _faults(rule: Rule) -> Iterator[tuple[str, str, str]]:
    if not re.match(r"[^\s<>\"{}|^`\\]+$", rule.iri.value):
        yield "its IRI is not well formed", "give the rule a plain IRI", ""
    if len(rule.text) > MAX_TEXT:
        yield f"its text has {len(rule.text)} characters, more than {MAX_TEXT}", "split it into several rules", ""
    if rule.purpose not in PURPOSES:
        yield (
            f"unknown purpose {rule.purpose!r}{did_you_mean(rule.purpose, PURPOSES)}",
            f"use {', '.join(PURPOSES)}",
            "",
        )
    try:
        found = analyse(rule.text, rule.functions)
    except InputError as error:
        place = rule.iri.value + (f", near {error.place!r}" if error.place else "")
        raise InputError(
            f"rule {rule.name!r}: {error.message}", place=place, rule=error.rule, remedy=error.remedy
        ) from error
    yield from _reads(found, frozenset(f.iri for f in rule.functions))
    if not found.patterns and not rule.trusted and not found.listed:
        yield "WHERE reads no triple", "add a pattern, or state the triples in a graph", "WHERE"
    yield from _template(rule, found)


def _reads(found: Analysis, known: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    for form in sorted(found.forms):
        word = form.split()[0]
        if form == "LIMIT or OFFSET":
            yield (
                "LIMIT and OFFSET depend on the order of rows",
                "say which rows are wanted with FILTER or MIN/MAX",
                word,
            )
        elif form == "REDUCED":
            yield "REDUCED leaves open how many rows there are", "use DISTINCT or nothing", word
        else:
            yield (
                f"{form} reads another dataset than the one the rule is given",
                "match plain triples: a rule reads the public closure",
                word,
            )
    for name in sorted(found.random):
        remedy = (
            "use the pre-bound variable ?now, the commit's time" if name == "NOW" else "derive only from what is stated"
        )
        yield f"{name}() gives another value each time", remedy, name
    for name in sorted(found.ordered):
        yield f"{name} depends on the order of rows", "use MIN, MAX, COUNT or SUM", name
    for iri in sorted(found.functions - CASTS - known):
        yield (
            f"<{iri}> is an extension function",
            "use SPARQL 1.1 built-ins, casts to xsd: datatypes, or a sh:SPARQLFunction that the policy declares",
            f"<{iri}>",
        )
    if found.unshared_minus:
        yield (
            "MINUS shares no certainly bound variable with what it is taken from, so it removes nothing",
            "use FILTER NOT EXISTS, or name the shared variable in both parts",
            "MINUS",
        )
    for text in found.everything:
        yield (
            f"the path in `{text}` may have length zero and matches every node of the graph",
            "bind one end by another pattern, or use + instead of *",
            "",
        )


def _template(rule: Rule, found: Analysis) -> Iterator[tuple[str, str, str]]:
    if not found.heads:
        yield "the template is empty", "write the triples to derive between the first braces", "CONSTRUCT"
    if found.blank_heads:
        yield (
            "the template makes blank nodes, which would be new values at each evaluation",
            "use IRIs that are stated, or write the value on a stated node",
            "CONSTRUCT",
        )
    if not rule.heads:
        yield "no head predicate is declared", "declare dapp:headPredicate (in a .rq file: `# Heads:`)", ""
    for iri in sorted(rule.heads):
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|^`\\]*$", iri):
            yield f"the declared head {iri!r} is no absolute IRI", "write the full IRI of the predicate", ""
    written: set[str] = set()
    for head in found.heads:
        for name in (head.subject, head.predicate, head.object):
            if isinstance(name, str) and not name.startswith("_:") and name not in found.assigned:
                yield (
                    f"?{name} of the template is not bound on every branch of WHERE",
                    "bind it outside OPTIONAL and in each part of UNION, or split the rule",
                    "?" + name,
                )
        if isinstance(head.subject, ox.Literal):
            yield "a literal is the subject of the template", "put a node there", "CONSTRUCT"
        if isinstance(head.predicate, ox.NamedNode):
            written.add(head.predicate.value)
        elif not rule.trusted:
            yield (
                f"the template has a variable predicate ?{head.predicate}",
                "name the predicate: only shipped rules may leave it open",
                f"?{head.predicate}",
            )
        elif ANY_PREDICATE not in rule.heads:
            yield "a variable head predicate is not declared", f"declare {ANY_PREDICATE}", ""
    for iri in sorted(written - rule.heads):
        if ANY_PREDICATE in rule.heads and rule.trusted:
            continue
        yield (
            f"it writes <{iri}>, which is not among its declared head predicates",
            f"declare dapp:headPredicate {iri}",
            "",
        )
    if rule.purpose in CHOOSING:
        for iri in sorted((written | rule.heads) - PLAN_HEADS):
            yield (
                f"a rule of purpose {rule.purpose} writes <{iri}>",
                "write dapp:excludedFor or dapp:discouragedFor, or use purpose derive",
                "",
            )
    if not rule.trusted:
        yield from _protected(rule, found, written)


def _protected(rule: Rule, found: Analysis, written: set[str]) -> Iterator[tuple[str, str, str]]:
    remedy = "such statements belong in an ontology, shapes or policy graph, not in a derivation"
    for iri in sorted(written | rule.heads):
        if iri in SCHEMA_HEADS or iri in POLICY_HEADS or iri.startswith((OWL.iri, SH.iri)) or iri == ANY_PREDICATE:
            yield f"<{iri}> is protected: a local rule may not derive it", remedy, ""
    for head in found.heads:
        if head.predicate != RDF.type:
            continue
        cls = head.object
        if isinstance(cls, str):
            yield f"it derives rdf:type with an open class ?{cls}", "name the class", f"?{cls}"
        elif isinstance(cls, ox.NamedNode) and (
            cls.value in POLICY_CLASSES or cls.value.startswith((OWL.iri, SH.iri, RDFS.iri, RDF.iri))
        ):
            yield f"it makes things a <{cls.value}>, which only the engine or a policy does", remedy, ""
