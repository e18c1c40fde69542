"""The closure agrees with owlrl's on random ontologies; every difference has one of the known reasons."""

from __future__ import annotations

import random
from collections import Counter

from owl_agreement import differences
from owl_samples import named, statements


def test_differences_from_owlrl_are_all_explained_on_random_ontologies(effort: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(12 * effort):
        rng = random.Random(seed)
        base = named("\n".join(statements(rng, axioms=rng.randint(3, 8), data=rng.randint(4, 15))))
        found, unexplained = differences(base)
        assert unexplained == [], f"seed {seed}"
        kinds += found
    assert set(kinds) >= {"eq-ref: a term equals itself", "contradictions reported as nodes"}
