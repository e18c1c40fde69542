"""Each rule of tables 4 to 9 concludes what it should and nothing from a sample that is nearly the same."""

from __future__ import annotations

import pytest
from owl_rule_samples import FALSE, SAMPLES, Sample
from owl_samples import parsed

from reasoners.derive.owl import Rl, entails, inconsistencies, tables

NATIVE = {  # rules that are no text of the tables: equality, lists, datatypes, axiomatic triples
    "eq-ref", "eq-sym", "eq-trans", "eq-rep-s", "eq-rep-p", "eq-rep-o", "cls-int1", "prp-spo2", "prp-key", "prp-ap",
    "cls-thing", "cls-nothing1", "dt-type1", "dt-type2", "dt-eq", "dt-diff", "dt-not-type",
}  # fmt: skip
ALWAYS = {"eq-ref", "prp-ap", "cls-thing", "cls-nothing1", "dt-type1"}  # no premises from which they do not conclude


def test_every_rule_of_the_specification_has_a_sample() -> None:
    stated = {line.partition(":")[0] for line in tables.RULES.splitlines() if line and line[0] not in ": "}
    assert len(stated | NATIVE) == 78
    assert sorted(s.rule for s in SAMPLES) == sorted(stated | NATIVE)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.rule)
def test_rule_concludes_when_its_premises_hold(sample: Sample) -> None:
    if sample.conclusion == FALSE:
        assert sample.rule in {c.rule for c in inconsistencies(parsed(sample.fires))}
    else:
        assert entails(parsed(sample.fires), parsed(sample.conclusion))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.rule not in ALWAYS], ids=lambda s: s.rule)
def test_rule_is_silent_when_a_premise_is_missing(sample: Sample) -> None:
    if sample.conclusion == FALSE:
        assert inconsistencies(parsed(sample.silent)) == []
    else:
        assert inconsistencies(parsed(sample.silent)) == []
        assert not entails(parsed(sample.silent), parsed(sample.conclusion))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.rule not in ALWAYS], ids=lambda s: s.rule)
def test_conclusion_goes_when_any_premise_is_retracted(sample: Sample) -> None:
    """Each premise of a sample is needed: without it the closure is the one that never had it."""
    triples = parsed(sample.fires)
    rl = Rl(triples)
    for triple in triples:
        rl.apply([triple])
        assert set(rl.triples()) == set(Rl(t for t in triples if t != triple).triples())
        rl.apply((), [triple])
    assert set(rl.triples()) == set(Rl(triples).triples())
