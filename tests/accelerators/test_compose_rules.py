"""Every shipped compose rule has a sample that fires and one that does not; rules nobody shipped work the same way."""

from __future__ import annotations

import pytest
from compose_samples import SAMPLES, SHIPPED, base, chosen, ex, node, rule

from engine import resources
from engine.graph.policy import shipped_triples
from reasoners.compose import Options
from reasoners.errors import InputError
from reasoners.vocab import DAPP, DAPPI, DAPPR


def test_samples_are_complete() -> None:
    files = {p.stem for p in resources.files("queries/rules", "compose-*.rq")}
    assert files == set(SAMPLES)
    assert len(files) == 11


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_rule_speaks_when_its_reason_is_there(name: str) -> None:
    bad, quiet = base(), base()
    request, same = SAMPLES[name](bad, True), SAMPLES[name](quiet, False)
    size = request.pop("size", 400)
    same.pop("size", None)
    assert DAPPR(name) in bad.choose(size, **request).rules  # type: ignore[arg-type]
    # without the rule the other is chosen, so it was this rule and no other that mattered
    mine = [r for r in SHIPPED if r.iri == DAPPR(name)]
    told = bad.choose(size, mine, **request)  # type: ignore[arg-type]
    concerned = [c for c in told.candidates if any(v.rule == DAPPR(name) for v in c.verdicts)]
    soft = [p for c in told.candidates for p in c.scores if p.metric == DAPPR(name)]
    assert concerned or soft
    if name != "compose-unmeasured":  # never measured has no time to be fast with
        free = bad.choose(size, [r for r in SHIPPED if r.iri != DAPPR(name)], **request)  # type: ignore[arg-type]
        assert chosen(free) == "other"
    assert chosen(bad.choose(size, **request)) == "good"  # type: ignore[arg-type]
    assert chosen(quiet.choose(size, **same)) == "other"  # type: ignore[arg-type]


def test_rule_is_shipped_as_policy() -> None:
    subjects = {t.subject for t in shipped_triples()}
    assert all(DAPPR(name) in subjects for name in SAMPLES)


def test_held_out_rule_excludes_by_a_property_nobody_foresaw() -> None:
    world = base()
    world.option("other", factor=0.5)
    assert chosen(world.choose()) == "other"
    world.add(node("other"), ex("licensedBy"), ex("SomebodyUnpleasant"))
    local = rule(
        """CONSTRUCT { ?candidate dapp:excludedFor ?function }
        WHERE { ?variant dapp:variantOf ?function ; ex:licensedBy ?found . ?candidate dapp:ofVariant ?variant .
                ?request dapp:hasCandidate ?candidate }"""
    )
    choice = world.choose(rules=[*SHIPPED, local])
    assert chosen(choice) == "good"
    assert local.iri in choice.rules


def test_held_out_rule_discourages_with_its_weight() -> None:
    world = base()
    world.option("other", factor=0.5)
    text = """CONSTRUCT { ?candidate dapp:discouragedFor ?function }
        WHERE { ?variant dapp:variantOf ?function ; ex:noisy true . ?candidate dapp:ofVariant ?variant .
                ?request dapp:hasCandidate ?candidate }"""
    world.add(node("other"), ex("noisy"), True)
    assert chosen(world.choose(rules=[*SHIPPED, rule(text, weight=0.5)])) == "other"  # 1 + 0.5 against 2
    assert chosen(world.choose(rules=[*SHIPPED, rule(text, weight=5)])) == "good"


def test_held_out_rule_may_conclude_about_the_calling_unit() -> None:
    world = base()
    world.option("other", factor=0.5)
    unit = world.add(node("unit"), DAPP.usesFunction, world.function)
    text = """CONSTRUCT { ?candidate dapp:excludedFor ?unit }
        WHERE { ?unit dapp:usesFunction ?function . ?variant dapp:variantOf ?function ; ex:noisy true .
                ?candidate dapp:ofVariant ?variant }"""
    world.add(node("other"), ex("noisy"), True)
    assert chosen(world.choose(rules=[*SHIPPED, rule(text)], unit=unit)) == "good"
    assert chosen(world.choose(rules=[*SHIPPED, rule(text)])) == "other"


def test_isolation_of_the_unit_counts() -> None:
    world = base()
    other = node("good")
    world.package(other, "SandboxIsolation")
    world.profile(other, box="SandboxIsolation", factor=3.0)
    unit = world.add(node("unit"), DAPP.requiresIsolation, DAPPI.SandboxIsolation)
    assert world.choose().chosen.box == DAPPI.ProcessIsolation  # type: ignore[union-attr]
    assert world.choose(unit=unit).chosen.box == DAPPI.SandboxIsolation  # type: ignore[union-attr]


def test_rule_is_refused_when_its_penalty_is_negative() -> None:
    world = base()
    bad = rule(
        """CONSTRUCT { ?candidate dapp:discouragedFor ?function }
        WHERE { ?variant dapp:variantOf ?function . ?candidate dapp:ofVariant ?variant . ?request dapp:hasCandidate ?candidate
                BIND (-1 AS ?penalty) }"""
    )
    with pytest.raises(InputError, match="negative"):
        world.choose(rules=[bad], options=Options())
