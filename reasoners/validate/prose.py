"""Results as sentences for people who know neither RDF nor SHACL: who is concerned, what is wrong, what would be right.

A shape's own sh:message says what is wrong better than anything made here, so it is kept; what to do comes from the
constraint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.sparql import paths
from reasoners.validate import ast
from reasoners.validate.results import Result
from reasoners.vocab import PREFIXES, RDFS, SH, XSD

_TYPES = {
    "string": "text", "integer": "a whole number", "decimal": "a decimal number", "double": "a number", "float": "a number",
    "boolean": "true or false", "date": "a date such as 2026-01-31", "dateTime": "a date and time such as 2026-01-31T12:00:00",
    "anyURI": "a web address", "nonNegativeInteger": "a whole number that is not negative", "gYear": "a year",
    "positiveInteger": "a whole number of at least 1", "int": "a whole number", "long": "a whole number", "time": "a time of day",
    "duration": "a duration such as P1DT2H",
}  # fmt: skip
_KINDS = {
    "IRI": "a named thing (an IRI)", "Literal": "a plain value", "BlankNode": "an unnamed thing",
    "BlankNodeOrIRI": "a thing, not a plain value", "BlankNodeOrLiteral": "an unnamed thing or a plain value",
    "IRIOrLiteral": "a named thing or a plain value",
}  # fmt: skip
_RANGE = {
    "minInclusive": "at least", "minExclusive": "more than", "maxInclusive": "at most", "maxExclusive": "less than",
}  # fmt: skip
LONGEST = 80  # characters of a value that are shown


@dataclass(slots=True)
class Words:
    """How terms are named: by labels, else by what their IRI ends with. `prefixes`: prefix to namespace."""

    labels: Mapping[Term, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=lambda: dict(PREFIXES))

    @classmethod
    def of(cls, *graphs: Iterable[ox.Triple], prefixes: Mapping[str, str] | None = None) -> Words:
        """Words with the labels that the graphs give (rdfs:label, sh:name); English ones win."""
        labels: dict[Term, tuple[int, str]] = {}
        for graph in graphs:
            for t in graph:
                if t.predicate in (RDFS.label, SH.name) and isinstance(t.object, ox.Literal):
                    rank = 0 if t.object.language in ("en", None) else 1
                    best = labels.get(t.subject)  # type: ignore[arg-type]
                    if best is None or (rank, t.object.value) < best:
                        labels[t.subject] = rank, t.object.value  # type: ignore[index]
        return cls({term: text for term, (_, text) in labels.items()}, {**PREFIXES, **(prefixes or {})})

    def short(self, term: Term | None) -> str:
        """`prefix:name`, a literal's text, an IRI."""
        if term is None:
            return ""
        if isinstance(term, ox.BlankNode):
            return str(term)
        if isinstance(term, ox.Literal):
            return term.value if len(term.value) <= LONGEST else term.value[: LONGEST - 1] + "…"
        best = max(
            ((len(ns), p, ns) for p, ns in self.prefixes.items() if ns and term.value.startswith(ns)),
            default=None,
        )
        if best is not None and re.fullmatch(r"[\w.-]*", term.value[best[0] :]):
            return f"{best[1]}:{term.value[best[0] :]}"
        return f"<{term.value}>"

    def thing(self, term: Term | None) -> str:
        """A term in a sentence: its label with its name, a value in quotation marks."""
        if term is None:
            return "it"
        if isinstance(term, ox.Literal):
            return f"“{self.short(term)}”"
        label = self.labels.get(term)
        if isinstance(term, ox.BlankNode):
            return f"{label} (no name of its own)" if label else f"a thing without a name ({term})"
        return f"{label} ({self.short(term)})" if label else self.short(term)

    def kind(self, term: Term) -> str:
        """A class or property in a sentence: its label, else its local name taken apart."""
        label = self.labels.get(term)
        if label:
            return label
        if not isinstance(term, ox.NamedNode):
            return self.short(term)
        local = re.split(r"[/#:]", term.value.rstrip("/#"))[-1] or term.value
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+", " ", local).lower()

    def path(self, path: paths.Path | None) -> str:
        """A path in a sentence."""
        if path is None:
            return "it"
        if isinstance(path, paths.Pred):
            return f"“{self.kind(path.iri)}”"
        if isinstance(path, paths.Inverse) and isinstance(path.path, paths.Pred):
            return f"“is {self.kind(path.path.iri)} of”"
        return f"“{self.exact(path)}”"

    def exact(self, path: paths.Path | None) -> str:
        """A path as the data writes it."""
        if path is None:
            return ""
        text = paths.to_sparql(path)
        return re.sub(r"<([^<>]*)>", lambda m: self.short(ox.NamedNode(m[1])), text)


def sentence(r: Result, words: Words) -> str:
    """What is wrong."""
    who = words.thing(r.focus)
    own = r.of is not None and (r.of[0].messages or isinstance(r.of[1], ast.Sparql | ast.Expression))
    if r.of is None or (own and r.message):
        return _stop(f"{who}: {r.message}")
    shape, c = r.of
    return _stop(_problem(who, words, shape, c, r))


def remedy(r: Result, words: Words) -> str:
    """What would put it right; empty when only the message can say."""
    if r.of is None:
        return ""
    shape, c = r.of
    return _stop(_remedy(words, shape, c, r))


def paragraph(r: Result, words: Words) -> str:
    """What is wrong, how grave it is when it is no violation, which branch is nearest, and what to do."""
    grade = r.severity.value.rsplit("#", 1)[-1].lower()
    head = "" if grade == "violation" else f"({grade}) "
    below = [sentence(d, words) for d in r.details]
    text = head + sentence(r, words)
    if below:
        text += " What is missing for the nearest: " + " ".join(dict.fromkeys(below))
    elif r.nearest:
        text += f" It {r.nearest}."
    fix = remedy(r.details[0], words) if r.details else remedy(r, words)
    return text + (f" To correct it: {fix[0].lower()}{fix[1:]}" if fix else "")


def _stop(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else text + "."


def _values(n: int) -> str:
    return "one value" if n == 1 else f"{n} values"


def _datatype(words: Words, datatype: ox.NamedNode) -> str:
    if datatype in XSD:
        return _TYPES.get(datatype.value[len(XSD.iri) :], f"a value of type {words.short(datatype)}")
    return (
        "text with a language tag"
        if datatype.value.endswith("#langString")
        else f"a value of type {words.short(datatype)}"
    )


def _told(r: Result) -> str:
    """The number a count found, from `has 3`."""
    return r.detail.removeprefix("has ") if r.detail.startswith("has ") else ""


def _against(r: Result, words: Words) -> str:
    """The other value of a comparison, from `against "4"^^…`."""
    text = r.detail.removeprefix("against ")
    if text == r.detail:
        return ""
    literal = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    shown = literal[1] if literal else re.sub(r"<([^<>]*)>", lambda m: words.short(ox.NamedNode(m[1])), text)
    return f", here {shown}"


def _problem(who: str, words: Words, shape: ast.Shape, c: ast.Constraint, r: Result) -> str:
    path = words.path(r.route)
    value = words.thing(r.value)
    where = f"the value {value} of {path}" if r.route is not None else who
    subject = f"{who}: {where}" if r.route is not None else where
    match c:
        case ast.Count(parameter="minCount"):
            has = _told(r)
            but = "none" if has == "0" else f"only {has}" if has else "fewer"
            return f"{who} needs at least {_values(c.n)} for {path} but has {but}"
        case ast.Count():
            return f"{who} may have at most {_values(c.n)} for {path}" + (f" but has {_told(r)}" if _told(r) else "")
        case ast.ClassOf():
            return f"{subject} is not known to be a {words.kind(c.cls)}"
        case ast.Datatype():
            return f"{subject} is not {_datatype(words, c.datatype)}"
        case ast.NodeKind():
            return f"{subject} is not {_KINDS[c.kind]}"
        case ast.Range():
            return f"{subject} is not {_RANGE[c.parameter]} {c.bound.value}"
        case ast.Length():
            return f"{subject} is too {'short' if c.parameter == 'minLength' else 'long'}"
        case ast.Pattern():
            return f"{subject} is not written as expected (pattern {c.regex.value})"
        case ast.LanguageIn():
            return f"{subject} is not in one of the languages {', '.join(c.ranges)}"
        case ast.UniqueLang():
            return f"{who} has more than one {path} in the same language ({r.detail})"
        case ast.In():
            return f"{subject} is not one of the values that are allowed"
        case ast.HasValue():
            return f"{who} lacks the value {words.thing(c.term)}" + (f" for {path}" if r.route is not None else "")
        case ast.Pair(parameter="equals"):
            return f"{who}: the values of {path} and “{words.kind(c.predicate)}” differ in {value}"
        case ast.Pair(parameter="disjoint"):
            return f"{who}: {value} stands both under {path} and under “{words.kind(c.predicate)}”"
        case ast.Pair():
            bound = "before" if c.parameter == "lessThan" else "not after"
            return f"{subject} must come {bound} every value of “{words.kind(c.predicate)}”{_against(r, words)}"
        case ast.Closed():
            return f"{who} has the property {path}, which is not foreseen for it"
        case ast.Qualified():
            bound = "at least" if c.parameter == "qualifiedMinCount" else "at most"
            has = f" but has {_told(r)}" if _told(r) else ""
            return f"{who} needs {bound} {_values(c.n)} of a certain kind for {path}{has}"
        case ast.Logic(parameter="not"):
            return f"{subject} is of a kind that is not allowed here"
        case ast.Logic(parameter="or"):
            return f"{subject} meets none of the {len(c.members)} descriptions of which it must meet one"
        case ast.Logic(parameter="xone"):
            return f"{subject} must meet exactly one of {len(c.members)} descriptions"
        case ast.Logic():
            return f"{subject} does not meet all that is asked of it"
        case _:
            return f"{who}: {r.message}"


def _remedy(words: Words, shape: ast.Shape, c: ast.Constraint, r: Result) -> str:
    path = words.exact(r.route)
    value = words.short(r.value)
    match c:
        case ast.Count(parameter="minCount"):
            has = _told(r)
            n = c.n - int(has) if has.isdecimal() else c.n
            return f"Add {_values(n) if n != 1 else 'a value'} for {path}"
        case ast.Count(n=0):
            return f"Remove all values of {path}"
        case ast.Count():
            return f"Keep at most {_values(c.n)} of {path} and remove the others"
        case ast.ClassOf():
            return f"State that {value} is a {words.short(c.cls)}, or give one that is"
        case ast.Datatype():
            return f"Write it as {_datatype(words, c.datatype)} ({words.short(c.datatype)})"
        case ast.NodeKind():
            return f"Give {_KINDS[c.kind]}"
        case ast.Range():
            return f"Give a value of {_RANGE[c.parameter]} {c.bound.value}"
        case ast.Length():
            return f"Give {'at least' if c.parameter == 'minLength' else 'at most'} {c.n} characters"
        case ast.Pattern():
            return f"Write it so that it matches {c.regex.value}"
        case ast.LanguageIn():
            return f"Tag it with one of {', '.join(c.ranges)}"
        case ast.UniqueLang():
            return f"Keep one value of {path} for each language"
        case ast.In():
            shown = ", ".join(words.short(t) for t in c.terms[:10])
            return f"Use one of {shown}" + (f" or {len(c.terms) - 10} others" if len(c.terms) > 10 else "")
        case ast.HasValue():
            return f"Add {words.short(c.term)}" + (f" as a value of {path}" if path else "")
        case ast.Pair(parameter="equals"):
            return f"Give {path or 'it'} and {words.short(c.predicate)} the same values"
        case ast.Pair(parameter="disjoint"):
            return f"Remove {value} from {path or 'it'} or from {words.short(c.predicate)}"
        case ast.Pair():
            return f"Correct {value} or the value of {words.short(c.predicate)}"
        case ast.Closed():
            return f"Remove {path}, or allow it in the shape"
        case ast.Qualified(parameter="qualifiedMinCount"):
            return f"Add values of {path} that meet the description {words.short(c.shape.node)}"
        case ast.Qualified():
            return f"Remove values of {path} that meet the description {words.short(c.shape.node)}"
        case ast.Logic(parameter="not"):
            return f"Change {value} so that it no longer meets the description, or give another value"
        case ast.Logic(parameter="xone") if not r.details:
            return "Take away what makes it meet more than one of them"
        case _:
            return ""
