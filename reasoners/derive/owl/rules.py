"""Rules over numbers: read from the tables, found by what they read and by what they conclude.

A term in a pattern is a number, or `~v` (below zero) for variable `v`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from reasoners.derive.owl import tables
from reasoners.derive.owl.terms import Terms, iri

Row = tuple[int, int, int]
Atom = tuple[int, int, int]
CELL = "<urn:dappops:owl:cell>"
# Numbers of the vocabulary are the same in every table of terms, so that rules are read once.
TYPE, SAME_AS, FIRST, REST, NIL, CELL_OF, THING, SUB_CLASS, EQUIVALENT_CLASS = range(9)
INTERSECTION, CHAIN, KEY, DIFFERENT, SUB_PROPERTY, RANGE, DOMAIN, ALL_VALUES, TRANSITIVE = range(9, 18)
_VOCABULARY = (
    "rdf:type", "owl:sameAs", "rdf:first", "rdf:rest", "rdf:nil", ":cell", "owl:Thing", "rdfs:subClassOf",
    "owl:equivalentClass", "owl:intersectionOf", "owl:propertyChainAxiom", "owl:hasKey", "owl:differentFrom",
    "rdfs:subPropertyOf", "rdfs:range", "rdfs:domain", "owl:allValuesFrom", "owl:TransitiveProperty",
)  # fmt: skip


def _text(word: str) -> str:
    if word == "a":
        return iri("rdf:type")
    if word == ":cell":
        return CELL
    if word.startswith('"'):
        lexical, _, datatype = word.rpartition("^^")
        return f"{lexical}^^{iri(datatype)}"
    return iri(word)


@dataclass(frozen=True)
class Rule:
    """`body` implies `head`; no head: a contradiction. `data` are the positions of patterns about individuals."""

    name: str
    body: tuple[Atom, ...]
    head: Atom | None
    unequal: tuple[tuple[int, int], ...] = ()
    data: frozenset[int] = frozenset()

    @cached_property
    def variables(self) -> int:
        """How many variables it has."""
        return max((~t for atom in self.body for t in atom if t < 0), default=-1) + 1

    @cached_property
    def rests(self) -> tuple[tuple[Atom, ...], ...]:
        """For each pattern, the others."""
        return tuple(self.body[:i] + self.body[i + 1 :] for i in range(len(self.body)))

    def holds(self, env: Sequence[int]) -> bool:
        """Whether the inequalities hold."""
        return all(env[a] != env[b] for a, b in self.unequal)

    def premises(self, env: Sequence[int]) -> tuple[Row, ...]:
        """The facts of a solution."""
        return tuple(fill(atom, env) for atom in self.body)


def fill(atom: Atom, env: Sequence[int]) -> Row:
    """A pattern with its variables replaced."""
    s, p, o = atom
    return (s if s >= 0 else env[~s], p if p >= 0 else env[~p], o if o >= 0 else env[~o])


def unify(atom: Atom, row: Row, variables: int) -> list[int] | None:
    """Bindings (-1: none yet) that make the pattern the row; None when nothing does."""
    env = [-1] * variables
    for term, value in zip(atom, row, strict=True):
        if term >= 0:
            if term != value:
                return None
        elif env[~term] < 0:
            env[~term] = value
        elif env[~term] != value:
            return None
    return env


def new_terms() -> Terms:
    """A table of terms that begins with the vocabulary of the rules."""
    terms = Terms()
    for word in _VOCABULARY:
        terms.number(_text(word))
    for number in "01":  # what the rules write as xsd:nonNegativeInteger, everybody else writes as xsd:integer
        terms.number(f'"{number}"^^{iri("xsd:integer")}')
    for line in _parsed():
        for atom in (*line.body, *line.heads):
            for word in atom:
                if not word.startswith("?"):
                    terms.number(_text(word))
    return terms


@dataclass(frozen=True)
class _Line:
    name: str
    body: tuple[tuple[str, str, str], ...]
    heads: tuple[tuple[str, str, str], ...]
    unequal: tuple[tuple[str, str], ...]
    data: frozenset[int]


def _atoms(text: str) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    atoms: list[tuple[str, str, str]] = []
    unequal: list[tuple[str, str]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        s, p, o = part.split()
        if p == "!=":
            unequal.append((s, o))
        else:
            atoms.append((s, p, o))
    return atoms, unequal


_LINES: list[_Line] = []


def _parsed() -> list[_Line]:
    if not _LINES:
        for line in filter(None, map(str.strip, tables.RULES.replace("\n  ", " ").splitlines())):
            name, _, rest = line.partition(": ")
            left, _, right = rest.partition(" => ")
            axioms, _, data = left.partition("|")
            stated, unequal = _atoms(axioms)
            given, more = _atoms(data)
            heads = [] if right == "false" else _atoms(right)[0]
            places = frozenset(range(len(stated), len(stated) + len(given)))
            _LINES.append(_Line(name, (*stated, *given), tuple(heads), (*unequal, *more), places))
    return _LINES


def fixed_rules(terms: Terms) -> list[Rule]:
    """The rules of the tables; those with several conclusions once for each."""
    out: list[Rule] = []
    for line in _parsed():
        variables: dict[str, int] = {}

        body = tuple(_atom(words, terms, variables) for words in line.body)
        unequal = tuple((variables[a], variables[b]) for a, b in line.unequal)
        for head in line.heads or (None,):
            concluded = _atom(head, terms, variables) if head else None
            out.append(Rule(line.name, body, concluded, unequal, line.data))
    return out


def _atom(words: tuple[str, str, str], terms: Terms, variables: dict[str, int]) -> Atom:
    def number(word: str) -> int:
        if word.startswith("?"):
            return ~variables.setdefault(word, len(variables))
        found = terms.number(_text(word))
        return terms.canonical.get(found, found)

    s, p, o = map(number, words)
    return (s, p, o)


def axiomatic(terms: Terms) -> dict[Row, str]:
    """Triples that hold in every graph, and the rule that says so."""
    rows = {
        (terms.number(_text(s)), terms.number(_text(p)), terms.number(_text(o))): r for r, s, p, o in tables.AXIOMATIC
    }
    from reasoners.derive.owl.datatypes import DATATYPES

    datatype = terms.number(iri("rdfs:Datatype"))
    return rows | {(terms.number(f"<{name}>"), TYPE, datatype): "dt-type1" for name in DATATYPES}


Occurrence = tuple[Rule, int]  # a rule and the place of a pattern in its body; -1 is its head


@dataclass(frozen=True)
class _Guarded:
    """An occurrence that can only matter when something is stated about what stands at a place of the fact."""

    rule: Rule
    place: int
    guards: tuple[tuple[int, bool, int], ...]  # (predicate, term is its subject, the other term or -1)


class Index:
    """Rules by the facts that they read, or (places -1) by those that they conclude."""

    def __init__(self, rules: Iterable[Rule], *, heads: bool = False) -> None:
        self.plain: dict[int, list[Occurrence]] = {}  # by predicate
        self.typed: dict[int, list[Occurrence]] = {}  # by class
        self.open: list[_Guarded] = []  # any predicate
        self.open_type: list[_Guarded] = []  # any class
        for rule in rules:
            self.add(rule, heads=heads)

    def add(self, rule: Rule, *, heads: bool = False) -> None:
        """Take a rule in."""
        atoms = [(-1, rule.head)] if heads else list(enumerate(rule.body))
        for place, atom in atoms:
            if atom is None:
                continue
            _, p, o = atom
            if p < 0:
                self.open.append(_Guarded(rule, place, _guards(rule, place, p)))
            elif p != TYPE:
                self.plain.setdefault(p, []).append((rule, place))
            elif o >= 0:
                self.typed.setdefault(o, []).append((rule, place))
            else:
                self.open_type.append(_Guarded(rule, place, _guards(rule, place, o)))


def _guards(rule: Rule, place: int, variable: int) -> tuple[tuple[int, bool, int], ...]:
    out = []
    for i, (s, p, o) in enumerate(rule.body):
        if i != place and p >= 0 and variable in {s, o} and s != o:
            other = o if s == variable else s
            out.append((p, s == variable, max(other, -1)))
    return tuple(out)
