"""Rules of the purposes enforce and audit are data: each has samples, and can be joined or superseded by anybody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import agreement_samples as samples
import pyoxigraph as ox
import pytest

from reasoners.derive import Rule, check_rule, rules_from_files
from reasoners.enforce import judge
from reasoners.errors import InputError
from reasoners.graph import View, memory_view
from reasoners.sparql.given import conclude, in_order
from reasoners.vocab import DAPP

ROOT = Path(__file__).resolve().parents[2]
TERMS = ox.NamedNode(f"{samples.BASE}{'c' * 40}/sla-live-v1/terms")


def shipped(purpose: str) -> list[Rule]:
    files = sorted((ROOT / "queries" / "rules").glob(f"{purpose}-*.rq"))
    return rules_from_files([(p.stem, p.read_text(encoding="utf-8")) for p in files])


def triples(turtle: str) -> list[ox.Triple]:
    return [q.triple for q in ox.parse(samples.PREFIXES + turtle, format=ox.RdfFormat.TURTLE)]


def world(turtle: str) -> View:
    return memory_view(triples(samples.AGREEMENT + turtle))


def named(name: str) -> ox.NamedNode:
    (triple,) = triples(f":s dapp:about {name} .")
    assert isinstance(triple.object, ox.NamedNode)
    return triple.object


def written(purpose: str, turtle: str) -> dict[str, set[ox.Triple]]:
    """What each rule writes, each reading what those before it wrote."""
    view = world(turtle)
    told = {}
    for rule in in_order(shipped(purpose), purpose):
        found = conclude(view, rule, {"version": TERMS, "assessor": ox.Literal(samples.ASSESSOR)})
        told[rule.iri.value.rsplit("#", 1)[-1]] = set(found)
        if purpose == "enforce":
            view.store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in found)
    return told


CASES = [(p, n) for p, told in (("enforce", samples.ENFORCE), ("audit", samples.AUDIT)) for n in sorted(told)]


def test_samples_are_complete_when_compared_with_the_shipped_files_of_both_purposes() -> None:
    for purpose, told, count in (("enforce", samples.ENFORCE, 6), ("audit", samples.AUDIT, 2)):
        names = {p.stem for p in (ROOT / "queries" / "rules").glob(f"{purpose}-*.rq")}
        assert names == set(told)
        assert len(names) == count


@pytest.mark.parametrize(("purpose", "name"), CASES)
def test_agreement_rule_writes_its_head_only_when_its_sample_fires(purpose: str, name: str) -> None:
    fires, expected, silent = (samples.ENFORCE | samples.AUDIT)[name]
    (wanted,) = triples(f"{expected} .")
    assert wanted in written(purpose, fires)[name]
    for quiet in silent:
        assert wanted not in written(purpose, quiet)[name], quiet


@pytest.mark.parametrize(
    "rule", [*shipped("enforce"), *shipped("audit")], ids=lambda rule: rule.iri.value.rsplit("#", 1)[-1]
)
def test_agreement_rule_passes_the_checks_of_local_rules_when_it_is_not_trusted(rule: Rule) -> None:
    check_rule(replace(rule, trusted=False))


# -- judgements ------------------------------------------------------------------------------------------------------
BROKEN = "".join(samples.evidence(w, "e1", 91, 9) for w in (1, 2)) + samples.evidence(3, "e1", 100, 0)


def test_judgement_says_who_should_vote_what_when_two_of_three_saw_a_breach() -> None:
    made = judge(world(BROKEN), shipped("enforce"), TERMS)
    assert [f.violated for f in made.findings] == [True, True, False]
    assert made.violated is True
    (breach,) = made.breaches
    assert breach.objective == named(":up")
    assert breach.evidence == (named("w1:e1"), named("w2:e1"))
    assert breach.witnesses == (named("w1:self"), named("w2:self"))
    assert (breach.start.value[11:16], breach.end.value[11:16]) == ("10:00", "10:05")
    assert made.penalties == (named(":penalty"),)
    assert made.compensation == 5
    assert len(made.rules) == 6


def test_judgement_owes_nothing_when_only_one_witness_saw_a_breach() -> None:
    text = samples.evidence(1, "e1", 91, 9) + "".join(samples.evidence(w, "e1", 100, 0) for w in (2, 3))
    made = judge(world(text), shipped("enforce"), TERMS)
    assert made.violated is False
    assert made.breaches == ()
    assert made.compensation == 0


def test_witness_abstains_when_its_evidence_is_missing_or_too_little() -> None:
    made = judge(world(samples.evidence(2, "e1", 9, 0, objective="quick", value=1.0)), shipped("enforce"), TERMS)
    one, two = made.of(named("w1:self")), made.of(named("w2:self"))
    assert one
    assert two
    assert (one.violated, two.violated) == (None, None)
    assert "no evidence" in one.why
    assert "not enough" in two.why
    assert made.violated is None


def test_evidence_that_a_stranger_wrote_does_not_count_when_it_names_a_witness() -> None:
    forged = samples.evidence(3, "e9", 0, 100, by=1) + samples.evidence(3, "e8", 0, 100, by=2)
    made = judge(world(forged), shipped("enforce"), TERMS)
    assert made.violated is None
    assert all(f.evidence == () for f in made.findings)


def test_judgement_reads_evidence_not_yet_committed_when_it_is_handed_in() -> None:
    view = world("")
    handed = triples(samples.evidence(1, "e1", 0, 9))
    found = judge(view, shipped("enforce"), TERMS, handed).of(named("w1:self"))
    assert found is not None
    assert found.violated is True
    assert found.missed == (named(":up"),)
    assert not set(handed) & set(view.triples())


def test_objective_is_missed_when_nothing_was_answered_and_it_has_no_value() -> None:
    text = samples.evidence(1, "e1", 0, 9, objective="quick") + ":penalty dapp:onBreachOf :quick ."
    assert [f.violated for f in judge(world(text), shipped("enforce"), TERMS).findings] == [True, None, None]


def test_local_rule_forgives_when_it_supersedes_the_shipped_one() -> None:
    (missed,) = [r for r in shipped("enforce") if r.iri.value.endswith("enforce-missed")]
    text = missed.text.replace("?bad > ?tolerance * (?good + ?bad)", "?bad > 10 * ?tolerance * (?good + ?bad)")
    assert text != missed.text
    mild = replace(missed, iri=ox.NamedNode("https://example.org/mild"), text=text, supersedes=frozenset((missed.iri,)))
    assert judge(world(BROKEN), [*shipped("enforce"), mild], TERMS).violated is False


def test_judging_is_refused_with_the_place_when_there_is_no_such_version() -> None:
    with pytest.raises(InputError, match="no such agreement version") as caught:
        judge(world(""), shipped("enforce"), named(":nothing"))
    assert caught.value.place == named(":nothing").value


def test_judging_is_refused_with_the_rule_when_it_does_not_run() -> None:
    bad = Rule(
        named(":bad"), "CONSTRUCT { ?o dapp:missedIn ?e } WHERE { ?o ", frozenset({DAPP.missedIn.value}), "enforce"
    )
    with pytest.raises(InputError, match="does not run"):
        judge(world(""), [bad], TERMS)
