"""Rules of the purposes diagnose and control are data: each has a sample, speaks of it, and can be joined by anybody's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import operation_samples as samples
import pyoxigraph as ox
import pytest
from synthetic import node

from reasoners.derive import Rule, check_rule, rules_from_files
from reasoners.diagnose import Anomaly, Baseline, diagnose
from reasoners.errors import InputError
from reasoners.graph import View, memory_view
from reasoners.sparql.conclusions import compile_rule, rows
from reasoners.vocab import DAPPI, DAPPR, XSD

ROOT = Path(__file__).resolve().parents[2]


def shipped(purpose: str) -> list[Rule]:
    files = sorted((ROOT / "queries" / "rules").glob(f"{purpose}-*.rq"))
    return rules_from_files([(p.stem, p.read_text(encoding="utf-8")) for p in files])


def parsed(turtle: str) -> View:
    return memory_view(q.triple for q in ox.parse(samples.PREFIXES + turtle, format=ox.RdfFormat.TURTLE))


def anomalies(signs: list[samples.Sign]) -> list[Anomaly]:
    found = []
    for feature, metric, value, severity in signs:
        usual = Baseline(node(feature), DAPPI(metric), 0.0, 1.0, 0.0, 60.0, 60)
        found.append(Anomaly(node(feature), DAPPI(metric), 70.0, 75.0, value, severity, usual))
    return found


def test_samples_are_complete_when_compared_with_the_shipped_files() -> None:
    for purpose, told in (("diagnose", samples.DIAGNOSE), ("control", samples.CONTROL)):
        names = {p.stem for p in (ROOT / "queries" / "rules").glob(f"{purpose}-*.rq")}
        assert names == set(told)
    assert len(samples.DIAGNOSE) >= 9
    assert len(samples.CONTROL) >= 7


@pytest.mark.parametrize(
    "rule", [*shipped("diagnose"), *shipped("control")], ids=lambda r: r.iri.value.rsplit("#", 1)[-1]
)
def test_shipped_rule_passes_the_checks_of_local_rules_when_it_is_not_trusted(rule: Rule) -> None:
    check_rule(Rule(rule.iri, rule.text, rule.heads, rule.purpose, rule.priority, weight=rule.weight))


@pytest.mark.parametrize("name", sorted(samples.DIAGNOSE))
def test_diagnosis_rule_explains_its_sample_when_it_fires(name: str) -> None:
    (graph, signs, (suspect, kind, place)), _ = samples.DIAGNOSE[name]
    made = diagnose(parsed(graph), anomalies(signs), shipped("diagnose"), now=76.0)
    told = {(h.suspect, h.kind): h for h in made.hypotheses}
    found = told[node(suspect), DAPPI(kind)]
    assert place in found.explains
    assert DAPPR(name) in found.rules


@pytest.mark.parametrize("name", sorted(samples.DIAGNOSE))
def test_diagnosis_rule_is_silent_when_its_sample_does_not_fire(name: str) -> None:
    _, (graph, signs) = samples.DIAGNOSE[name]
    made = diagnose(parsed(graph), anomalies(signs), shipped("diagnose"), now=76.0)
    assert all(DAPPR(name) not in h.rules for h in made.hypotheses)


def spoken(rule: Rule, turtle: str) -> set[ox.NamedNode]:
    given = {
        "application": node("app"), "currency": ox.Literal(""),
        "now": ox.Literal("2026-11-24T10:00:00Z", datatype=XSD.dateTime),
    }  # fmt: skip
    view = parsed(turtle)
    return {row[0] for head in compile_rule(rule) for row in rows(head, view, given, node("i"))}  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(samples.CONTROL))
def test_control_rule_speaks_of_the_action_only_when_its_sample_fires(name: str) -> None:
    (rule,) = [r for r in shipped("control") if r.iri == DAPPR(name)]
    fires, silent = samples.CONTROL[name]
    assert node("a") in spoken(rule, fires)
    assert node("a") not in spoken(rule, silent)


def test_local_rule_adds_a_cause_that_nobody_shipped_when_it_names_one() -> None:
    text = """PREFIX dapp: <https://w3id.org/dappops#> PREFIX ex: <https://example.org/op/>
        CONSTRUCT { ?hypothesis dapp:suspects ?store ; dapp:ofFaultKind ex:DiskFull ; dapp:explains ?anomaly }
        WHERE { ?incident dapp:involves ?anomaly . ?anomaly dapp:ofMetric ex:FreeSpace ; dapp:ofFeature ?store .
          BIND (IRI(CONCAT(STR(?incident), "/DiskFull")) AS ?hypothesis) }"""
    heads = frozenset(f"https://w3id.org/dappops#{n}" for n in ("suspects", "ofFaultKind", "explains"))
    rule = Rule(node("disk-full"), text, heads, "diagnose")
    check_rule(rule)
    usual = Baseline(node("dv"), node("FreeSpace"), 9.0, 1.0, 0.0, 60.0, 60)
    seen = [Anomaly(node("dv"), node("FreeSpace"), 70.0, 75.0, 0.0, -9.0, usual)]
    assert diagnose(parsed(samples.GRAPH), seen, shipped("diagnose"), now=76.0).hypotheses == ()
    made = diagnose(parsed(samples.GRAPH), seen, [*shipped("diagnose"), rule], now=76.0)
    assert made.best is not None
    assert (made.best.suspect, made.best.kind, made.best.rules) == (node("dv"), node("DiskFull"), (rule.iri,))


def test_weight_of_a_rule_moves_the_ranking_when_it_is_lowered() -> None:
    signs = [("dv", "Reachability", 0.0, -10.0), ("hg", "ProbeLoss", 0.4, 12.0), ("hk", "ProbeLoss", 0.4, 12.0)]
    heavy = shipped("diagnose")
    light = [
        Rule(
            r.iri, r.text, r.heads, r.purpose, r.priority, weight=Decimal("0.05") if "link" in r.iri.value else r.weight
        )
        for r in heavy
    ]
    kinds = [diagnose(parsed(samples.GRAPH), anomalies(signs), rules, now=76.0).best for rules in (heavy, light)]
    assert [k and k.kind for k in kinds] == [DAPPI.LinkDegradation, DAPPI.ProcessFailure]


def test_bad_diagnosis_rule_is_refused_with_its_name_when_it_does_not_run() -> None:
    bad = Rule(node("bad"), "CONSTRUCT { ?h dapp:explains ?a } WHERE { ?h dapp:suspects ", frozenset(), "diagnose")
    with pytest.raises(InputError, match="does not run") as caught:
        diagnose(parsed(samples.GRAPH), anomalies(samples.DOWN_UNIT), [bad], now=76.0)
    assert caught.value.place == node("bad").value
    assert caught.value.remedy


def test_now_is_bound_when_a_rule_asks_for_it() -> None:
    text = """PREFIX dapp: <https://w3id.org/dappops#> PREFIX ex: <https://example.org/op/>
        CONSTRUCT { ?h dapp:suspects ?f ; dapp:ofFaultKind ex:Fresh ; dapp:explains ?a }
        WHERE { ?incident dapp:involves ?a . ?a dapp:ofFeature ?f ; dapp:startedAt ?t . FILTER (?t < ?now)
          BIND (IRI(CONCAT(STR(?incident), "/fresh")) AS ?h) }"""
    rule = Rule(node("fresh"), text, frozenset(), "diagnose")
    for now, expected in ((76.0, 1), (60.0, 0)):
        made = diagnose(parsed(samples.GRAPH), anomalies(samples.DOWN_UNIT), [rule], now=now)
        assert len(made.hypotheses) == expected
