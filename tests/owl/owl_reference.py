"""The rules of the specification applied literally, over and over, until nothing is new: slow and simple.

Equality is a relation here (eq-ref, eq-sym, eq-trans, eq-rep-s, -p, -o as rules) and so is the equality of literals
(dt-eq); lists are walked. Nothing is shared with the reasoner but the text of its tables and the values of literals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

import pyoxigraph as ox

from reasoners.derive.owl import tables
from reasoners.derive.owl.datatypes import DATATYPES, has_value, value_of
from reasoners.derive.owl.terms import iri

Fact = tuple[str, str, str]
SAME, TYPE, FIRST, REST, NIL = (iri(n) for n in ("owl:sameAs", "rdf:type", "rdf:first", "rdf:rest", "rdf:nil"))


@cache
def value(text: str) -> object:
    """Value of a literal in N-Triples."""
    (quad,) = ox.parse(f"<urn:x> <urn:x> {text} .", format=ox.RdfFormat.N_TRIPLES)
    term = quad.object
    assert isinstance(term, ox.Literal)
    return value_of(term.value, term.datatype.value, term.language or "")


class Reference:
    """A closure computed naively."""

    def __init__(self, triples: Iterable[ox.Triple]) -> None:
        self.out: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.into: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.facts: set[Fact] = set()
        self.rules = [r for line in tables.RULES.replace("\n  ", " ").splitlines() if line for r in self._rule(line)]
        for t in triples:
            self._add((str(t.subject), str(t.predicate), str(t.object)))
        for _, s, p, o in tables.AXIOMATIC:
            self._add((iri(s), TYPE if p == "a" else iri(p), iri(o)))
        for name in DATATYPES:
            self._add((f"<{name}>", TYPE, iri("rdfs:Datatype")))
        self.contradictions: set[str] = set()
        self._run()

    @staticmethod
    def _rule(line: str) -> Iterator[tuple[str, list[Fact], list[tuple[str, str]], list[Fact]]]:
        def term(word: str) -> str:
            if word.startswith("?") or word == ":cell":
                return word
            if word.startswith('"'):
                lexical, _, datatype = word.rpartition("^^")
                return f"{lexical}^^{iri(datatype)}"
            return TYPE if word == "a" else iri(word)

        name, _, rest = line.strip().partition(": ")
        left, _, right = rest.partition(" => ")
        body: list[Fact] = []
        unequal: list[tuple[str, str]] = []
        for part in filter(None, map(str.strip, left.replace("|", ",").split(","))):
            s, p, o = part.split()
            if p == "!=":
                # told apart only to spare work, except for the cells of a list
                unequal += [(s, o)] if s in {"?i"} else []
            else:
                body.append((term(s), term(p), term(o)))
        heads = [] if right == "false" else [tuple(map(term, h.split())) for h in right.split(",")]
        yield name, body, unequal, heads  # type: ignore[misc]

    def _add(self, fact: Fact) -> bool:
        if fact in self.facts:
            return False
        s, p, o = fact
        self.facts.add(fact)
        self.out[p][s].add(o)
        self.into[p][o].add(s)
        return True

    def _match(self, atoms: list[Fact], env: dict[str, str]) -> Iterator[dict[str, str]]:
        if not atoms:
            yield env
            return

        def bound(atom: Fact) -> tuple[int, int]:
            known = [env.get(t, t) for t in atom]
            free = sum(k.startswith("?") for k in known)
            return (known[1].startswith("?"), free)

        best = min(range(len(atoms)), key=lambda i: bound(atoms[i]))
        atom, rest = atoms[best], atoms[:best] + atoms[best + 1 :]
        s, p, o = (env.get(t, t) for t in atom)
        for q in list(self.out) if p.startswith("?") else [p]:
            found: Iterable[tuple[str, str]]
            if not s.startswith("?"):
                objects = self.out[q].get(s, ())
                found = [(s, o)] if o in objects else [] if not o.startswith("?") else [(s, x) for x in objects]
            elif not o.startswith("?"):
                found = [(x, o) for x in self.into[q].get(o, ())]
            else:
                found = [(x, y) for x, ys in self.out[q].items() for y in ys]
            for x, y in list(found):
                if s == o and s.startswith("?") and x != y:
                    continue
                more = dict(env)
                for t, v in ((s, x), (p, q), (o, y)):
                    if t.startswith("?"):
                        more[t] = v
                yield from self._match(rest, more)

    def _lists(self, head: str) -> Iterator[list[str]]:
        stack: list[tuple[str, list[str], tuple[str, ...]]] = [(head, [], ())]
        while stack:
            cell, elements, seen = stack.pop()
            if cell == NIL:
                if elements:
                    yield elements
                continue
            if cell in seen:
                continue
            for e in self.out[FIRST].get(cell, ()):
                for n in self.out[REST].get(cell, ()):
                    stack.append((n, [*elements, e], (*seen, cell)))

    def _listed(self) -> Iterator[Fact]:
        def pairs(name: str) -> list[tuple[str, str]]:
            return [(s, o) for s, os in self.out[iri(name)].items() for o in list(os)]

        for c, head in pairs("owl:intersectionOf"):
            for elements in self._lists(head):
                common = set.intersection(*(self.into[TYPE].get(e, set()) for e in elements))
                yield from ((y, TYPE, c) for y in common)
        for p, head in pairs("owl:propertyChainAxiom"):
            for elements in self._lists(head):
                atoms = [
                    (f"?{i}", e, f"?{j}")
                    for (i, j), e in zip(pairwise(range(len(elements) + 1)), elements, strict=True)
                ]
                for env in self._match(atoms, {}):
                    yield env["?0"], p, env[f"?{len(elements)}"]
        for c, head in pairs("owl:hasKey"):
            for elements in self._lists(head):
                atoms = [("?x", TYPE, c), ("?y", TYPE, c)]
                for i, e in enumerate(elements):
                    atoms += [("?x", e, f"?{i}"), ("?y", e, f"?{i}")]
                for env in self._match(atoms, {}):
                    yield env["?x"], SAME, env["?y"]

    def _equality(self) -> Iterator[Fact]:
        literals = {t for f in self.facts for t in f if t.startswith('"')}
        for a in literals:
            for b in literals:
                if value(a) is not None and value(a) == value(b):
                    yield a, SAME, b
            for name in DATATYPES:
                if has_value(value(a), name):  # type: ignore[arg-type]
                    yield a, TYPE, f"<{name}>"
        for fact in list(self.facts):
            for t in fact:
                if t != ":cell":
                    yield t, SAME, t
        for a, bs in list(self.out[SAME].items()):
            for b in list(bs):
                if a == b:
                    continue
                yield b, SAME, a
                yield from ((a, SAME, c) for c in list(self.out[SAME].get(b, ())))
                for s, p, o in list(self.facts):
                    if s == a:
                        yield b, p, o
                    if p == a:
                        yield s, b, o
                    if o == a:
                        yield s, p, b

    def _run(self) -> None:
        new = True
        while new:
            new = False
            for _name, body, unequal, heads in self.rules:
                for env in list(self._match(body, {})) if heads else ():
                    if all(env[a] != env[b] for a, b in unequal):
                        for head in heads:
                            s, p, o = (env.get(t, t) for t in head)
                            new |= self._add((s, p, o))
            for fact in [*self._listed(), *self._equality()]:
                new |= self._add(fact)
        for name, body, unequal, heads in self.rules:
            if not heads and any(all(e[a] != e[b] for a, b in unequal) for e in self._contradicting(name, body)):
                self.contradictions.add(name)

    def _contradicting(self, name: str, body: list[Fact]) -> Iterator[dict[str, str]]:
        if name == "eq-diff1":
            body = [("?x", SAME, "?y"), ("?x", iri("owl:differentFrom"), "?y")]
        return self._match(body, {})

    def first_literals(self) -> dict[object, str]:
        """One literal for each value."""
        first: dict[object, str] = {}
        for fact in self.facts:
            for t in fact:
                found = value(t) if t.startswith('"') else None
                if found is not None:
                    first[found] = min(first.get(found, t), t)
        return first

    def shown(self) -> set[Fact]:
        """What RDF can hold, less eq-ref and less literals that are equal to another one only."""
        first = self.first_literals()
        out = set()
        for s, p, o in self.facts:
            if s.startswith('"') or not p.startswith("<") or ":cell" in {s, p, o}:
                continue
            if p == SAME and s == o:
                continue
            out.add((s, p, first.get(value(o), o) if o.startswith('"') else o))
        return out
