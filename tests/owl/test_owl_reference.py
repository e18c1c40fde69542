"""The closure and the contradictions are those of the specification's rules applied literally."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pyoxigraph as ox
import pytest
from owl_reference import SAME, Fact, Reference, value
from owl_samples import named, statements

from reasoners.derive.owl import Rl
from reasoners.derive.owl.clash import find

# Axioms about the vocabulary itself, which no ordinary ontology has and the rules hold for all the same.
IRREGULAR = (
    ":p0 rdfs:subPropertyOf owl:sameAs .", "owl:sameAs rdfs:domain :C1 .", "owl:sameAs rdfs:subPropertyOf :p2 .",
    ":isA owl:equivalentProperty rdfs:subClassOf . :C0 :isA :C1 .", ":p3 owl:inverseOf owl:sameAs .",
    ":TC rdfs:subClassOf owl:TransitiveProperty . :p1 a :TC .", "rdfs:subClassOf owl:sameAs :isA . :C0 :isA :C1 .",
    ":n0 owl:sameAs 1 .", "rdf:type rdfs:subPropertyOf :ty .", ":p3 rdfs:subPropertyOf rdf:type .",
    ":p1 owl:sameAs owl:sameAs . :n0 :p1 :n2 .", "owl:Thing owl:sameAs :C3 .", ":p2 owl:sameAs :d0 .",
)  # fmt: skip


def shown(triples: Iterable[ox.Triple], reference: Reference) -> set[Fact]:
    first = reference.first_literals()
    out = set()
    for t in triples:
        s, p, o = str(t.subject), str(t.predicate), str(t.object)
        if p != SAME or s != o:
            out.add((s, p, first.get(value(o), o) if o.startswith('"') else o))
    return out


def compare(text: str) -> int:
    base = named(text)
    rl, reference = Rl(base), Reference(base)
    mine = shown(rl.triples(), reference)
    assert mine == reference.shown()
    assert {f.rule for f in find(rl)} - {"dt-not-type", "dt-diff"} == reference.contradictions
    return len(mine)


def test_closure_is_that_of_the_literal_rules_on_random_ontologies(effort: int) -> None:
    total = 0
    for seed in range(50 * effort):
        rng = random.Random(seed)
        total += compare("\n".join(statements(rng, axioms=rng.randint(1, 5), data=rng.randint(3, 9), names=4)))
    assert total > 3_000


@pytest.mark.parametrize("axiom", IRREGULAR)
def test_closure_is_that_of_the_literal_rules_when_axioms_are_about_the_vocabulary(axiom: str, effort: int) -> None:
    for seed in range(1 + effort):
        rng = random.Random(seed)
        compare("\n".join([*statements(rng, axioms=rng.randint(1, 3), data=rng.randint(3, 7), names=3), axiom]))
