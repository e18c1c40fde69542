"""Every shipped plan rule has a sample that fires and one that does not; rules nobody shipped work the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pyoxigraph as ox
import pytest
from plan_data import NOW, SHIPPED, TextRule, World, chosen, ex, local, node, rule

from reasoners.errors import InputError
from reasoners.vocab import DAPP, DAPPI, DAPPR, RDF, RDFS, UNIT


def base() -> tuple[World, ox.NamedNode]:
    """One unit, one good offer that every rule accepts, at a price that makes it second choice."""
    world = World()
    region = world.region("home", "DE", carbon=100, pue=1.2)
    world.provider("provider", "Country-DE")
    world.offer("good", world.type("good-type", 8, 32, 3.0, (10, 50)), region, 2.0)
    return world, world.unit("unit")


Sample = Callable[[World, ox.NamedNode, bool], None]


def numeric(operator: str, fires: object, quiet: object, *, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        world.requires(unit, "wish", "VcpuCount", operator, 8, soft=soft, weight=100 if soft else None)
        world.offer("other", world.type("other-type", fires if bad else quiet), node("home"), 1.0)

    return build


def equal(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.requires(unit, "wish", "ProcessorArchitecture", "Equal", "arm64")
    world.add(node("good-type"), DAPP.architecture, "arm64")
    kind = world.type("other-type")
    world.add(kind, DAPP.architecture, "x86_64" if bad else "arm64")
    world.offer("other", kind, node("home"), 1.0)


def listed(operator: str, *, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        world.requires(
            unit, "wish", "ProcessorArchitecture", operator, "arm64", "riscv64", soft=soft, weight=100 if soft else None
        )
        inside = (operator == "OneOf") != bad
        world.add(node("good-type"), DAPP.architecture, "arm64" if operator == "OneOf" else "x86_64")
        kind = world.type("other-type")
        world.add(kind, DAPP.architecture, "riscv64" if inside else "x86_64")
        world.offer("other", kind, node("home"), 1.0)

    return build


def capability(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.add(unit, DAPP.requiresCapability, DAPPI.AmdSevSnp, DAPP.Gpu)
    model = world.add(node("model"), RDF.type, ex("BigGpu"))
    world.add(ex("BigGpu"), RDFS.subClassOf, DAPP.Gpu)
    for kind in (node("good-type"), world.type("other-type")):
        world.add(kind, DAPP.hasAccelerator, model)
    world.add(node("good-type"), DAPP.supportsTrust, DAPPI.AmdSevSnp)
    world.add(node("other-type"), DAPP.supportsTrust, DAPPI.NitroTpm if bad else DAPPI.AmdSevSnp)
    world.offer("other", node("other-type"), node("home"), 1.0)


def place(predicate: str, *, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        wish = world.requires(world.app, "wish", kind="PlacementRequirement", soft=soft, weight=100 if soft else None)
        allowed = predicate == "allowedPlace"
        world.add(wish, DAPP(predicate), DAPPI.EuropeanUnion if allowed else DAPPI("Country-US"))
        away = world.region("away", "US" if bad else "FR", carbon=100, pue=1.2)
        world.offer("other", node("good-type"), away, 1.0)

    return build


def jurisdiction(world: World, unit: ox.NamedNode, bad: bool) -> None:
    wish = world.requires(unit, "wish", kind="PrivacyRequirement", from_requirement=True)
    world.add(wish, DAPP.allowedPlace, DAPPI.EuropeanUnion)
    world.offer(
        "other", node("good-type"), node("home"), 1.0, world.provider("foreign", "Country-US" if bad else "Country-FR")
    )


def expired(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.offer("other", node("good-type"), node("home"), 1.0)
    world.add(node("other"), DAPP.validUntil, NOW - timedelta(days=1) if bad else NOW + timedelta(days=1))


def price_missing(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.offer("other", node("good-type"), node("home"), 1.0, per=UNIT.MO if bad else UNIT.HR)


def currency(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.offer("other", node("good-type"), node("home"), 1.0, currency="EUR" if bad else "USD")


def incomplete(world: World, unit: ox.NamedNode, bad: bool) -> None:
    world.offer("other", node("good-type"), None if bad else node("home"), 1.0)


def computed(metric: str, bound: float, power: tuple[float, float], price: float = 1.0) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        world.requires(unit, "wish", metric, "AtMost", bound, kind="QualityRequirement")
        kind = world.type("other-type", power=power if bad else (1, 2))
        world.offer("other", kind, node("home"), price if bad else 1.0)

    return build


def stated(predicate: str) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        offer = world.offer("other", node("good-type"), node("home"), 1.0)
        world.add(offer, DAPP(predicate), unit if bad else world.add(node("elsewhere"), RDF.type, DAPP.FunctionalUnit))

    return build


def provisioning(*, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        world.requires(
            world.app,
            "wish",
            "ProvisioningTime",
            "AtMost",
            20,
            kind="QualityRequirement",
            soft=soft,
            weight=100 if soft else None,
        )
        world.package(unit, 50)
        world.registry(node("home"), 50)
        away = world.region("away", "FR", carbon=100, pue=1.2)
        world.registry(away, 2.5 if bad else 25)
        world.offer("other", node("good-type"), away, 1.0)

    return build


def unreachable(*, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        wish = world.requires(world.app, "wish", kind="PlacementRequirement", soft=soft, weight=100 if soft else None)
        world.add(wish, DAPP.reachableOnly, True)
        driver, far = world.add(node("driver"), RDF.type, DAPP.Driver), world.provider("far", "Country-DE")
        world.add(driver, DAPP.reaches, node("provider"), *(() if bad else (far,)))
        world.offer("other", node("good-type"), node("home"), 1.0, far)

    return build


def record(world: World, unit: ox.NamedNode, bad: bool) -> None:
    failing = world.provider("failing", "Country-DE")
    world.offer("other", node("good-type"), node("home"), 1.0, failing)
    incident = world.add(node("incident"), RDF.type, DAPP.Incident)
    world.add(incident, DAPP.attributedTo, failing)
    world.add(incident, DAPP.detectedAt, NOW - timedelta(days=29 if bad else 31))


def host_down(world: World, unit: ox.NamedNode, bad: bool) -> None:
    other = world.offer("other", node("good-type"), node("home"), 1.0)
    world.host("one", other, state="Failed")
    world.host("two", other, state="Lost" if bad else "Running")


def reputation(*, soft: bool = False) -> Sample:
    def build(world: World, unit: ox.NamedNode, bad: bool) -> None:
        wish = world.requires(world.app, "wish", "Reputation", "AtLeast", 0.6, kind="QualityRequirement", soft=soft)
        world.add(wish, DAPP.weight, 100)
        world.assess(node("provider"), 0.9)
        other = world.provider("other-provider", "Country-DE")
        world.assess(other, 0.59 if bad else 0.61)
        world.offer("other", node("good-type"), node("home"), 1.0, other)

    return build


SAMPLES: dict[str, Sample] = {
    "plan-reputation": reputation(),
    "plan-soft-reputation": reputation(soft=True),
    "plan-provisioning-time": provisioning(),
    "plan-soft-provisioning-time": provisioning(soft=True),
    "plan-unreachable": unreachable(),
    "plan-soft-unreachable": unreachable(soft=True),
    "plan-provider-record": record,
    "plan-host-down": host_down,
    "plan-at-least": numeric("AtLeast", 4, 8),
    "plan-at-most": numeric("AtMost", 16, 4),
    "plan-equal": equal,
    "plan-one-of": listed("OneOf"),
    "plan-none-of": listed("NoneOf"),
    "plan-capability": capability,
    "plan-allowed-place": place("allowedPlace"),
    "plan-forbidden-place": place("forbiddenPlace"),
    "plan-jurisdiction": jurisdiction,
    "plan-expired": expired,
    "plan-price-missing": price_missing,
    "plan-currency": currency,
    "plan-incomplete": incomplete,
    "plan-price-at-most": computed("HourlyPrice", 2.5, (1, 2), price=3.0),
    "plan-power-at-most": computed("PowerDraw", 40, (100, 100)),
    "plan-carbon-at-most": computed("CarbonRate", 6, (100, 100)),
    "plan-stated": stated("excludedFor"),
    "plan-stated-soft": stated("discouragedFor"),
    "plan-soft-comparison": numeric("AtLeast", 4, 8, soft=True),
    "plan-soft-one-of": listed("OneOf", soft=True),
    "plan-soft-none-of": listed("NoneOf", soft=True),
    "plan-soft-place": place("allowedPlace", soft=True),
}


def test_samples_are_complete() -> None:
    assert {local(r.iri) for r in SHIPPED} == set(SAMPLES)
    assert len(SHIPPED) == 30


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_shipped_rule_acts_when_its_sample_fires(name: str) -> None:
    world, unit = base()
    SAMPLES[name](world, unit, True)
    result = world.plan()
    assert DAPPR(name) in result.rules
    soft = name.endswith("soft") or "-soft-" in name
    if name not in ("plan-price-at-most", "plan-stated-soft"):
        assert chosen(result) == {"unit": "good"}
    if soft:
        assert result.rejections == ()
    else:
        assert any(DAPPR(name) in r.rules and r.count == 1 for r in result.rejections)
        misses = [c for c in result.candidates if not c.chosen]
        assert [local(c.thing) for c in misses] == ["other"]
        assert misses[0].verdicts[0].rule == DAPPR(name)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_shipped_rule_is_silent_when_its_sample_does_not_fire(name: str) -> None:
    world, unit = base()
    SAMPLES[name](world, unit, False)
    result = world.plan()
    assert DAPPR(name) not in result.rules
    assert chosen(result) == {"unit": "other"}


@pytest.mark.parametrize("operator", ["AtLeast", "AtMost", "Equal", "OneOf", "NoneOf"])
def test_offer_is_excluded_as_not_known_when_the_value_is_missing(operator: str) -> None:
    world, unit = base()
    world.requires(unit, "wish", "VcpuCount", operator, 8 if operator != "NoneOf" else 1)
    world.offer("other", world.type("silent", vcpus=None), node("home"), 1.0)
    result = world.plan()
    assert chosen(result) == {"unit": "good"}
    (miss,) = [c for c in result.candidates if not c.chosen]
    (verdict,) = miss.verdicts
    assert (verdict.known, verdict.found, verdict.constraint) == (False, (), node("wish"))


def test_offer_is_excluded_when_the_value_cannot_be_compared() -> None:
    world, unit = base()
    world.requires(unit, "wish", "VcpuCount", "AtLeast", 8)
    kind = world.add(node("odd"), RDF.type, DAPP.ResourceType)
    world.add(kind, DAPP.vcpus, "many")
    world.offer("other", kind, node("home"), 1.0)
    assert chosen(world.plan()) == {"unit": "good"}


@pytest.mark.parametrize("holder", ["offer", "type", "accelerator", "power", "provider", "region", "mix", "price"])
def test_value_is_found_wherever_it_sits(holder: str) -> None:
    world, unit = base()
    world.add(ex("metric"), DAPP.valueProperty, ex("grade"))
    wish = world.requires(unit, "wish", None, "AtLeast", 5)
    world.add(wish, DAPP.constrains, ex("metric"))
    kind = world.type("other-type", power=(1, 2))
    model = world.add(node("model"), RDF.type, DAPP.Gpu)
    world.add(kind, DAPP.hasAccelerator, model)
    provider, region = world.provider("p2", "Country-DE"), world.region("r2", "DE", carbon=1)
    offer = world.offer("other", kind, region, 1.0, provider)
    homes = {
        "offer": offer, "type": kind, "accelerator": model, "power": node("other-type-power"), "provider": provider,
        "region": region, "mix": node("r2-mix"), "price": node("other-price"),
    }  # fmt: skip
    world.add(homes[holder], ex("grade"), 7)
    assert chosen(world.plan()) == {"unit": "other"}


# Rules that nobody shipped

HELD_OUT: dict[str, str] = {
    "on an offer": "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?offer ex:flag 'bad' . ?app dapp:hasUnit ?unit }",
    "through a provider": "CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o dapp:offeredBy/ex:grade ?g FILTER(?g < 3) ?a dapp:hasUnit ?u }",
    "through a region, told": """CONSTRUCT { ?x dapp:excludedFor ?y } WHERE {
        ?y ex:needs ?wanted . ?x dapp:inRegion ?r . OPTIONAL { ?r ex:coolness ?found }
        FILTER(!BOUND(?found) || ?found < ?wanted) BIND(?wanted - ?found AS ?margin) }""",
    "not exists": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE {
        ?offer a dapp:ServiceOffer . ?app dapp:hasUnit ?unit .
        FILTER NOT EXISTS { ?offer dapp:offersType ?t . ?t ex:certified true } }""",
    "minus": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE {
        ?app dapp:hasUnit ?unit . ?offer a dapp:ServiceOffer MINUS { ?offer dapp:offersType/ex:certified true } }""",
    "above the average": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE {
        { SELECT (AVG(?s) AS ?mean) WHERE { ?any ex:size ?s } } ?offer ex:size ?size . FILTER(?size < ?mean)
        ?app dapp:hasUnit ?unit }""",
    "grouped": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?offer ex:complaint ?c . ?app dapp:hasUnit ?unit }
        GROUP BY ?offer ?unit HAVING (COUNT(?c) > 1)""",
    "values and union": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?app dapp:hasUnit ?unit
        { ?offer ex:flag ?f . VALUES ?f { 'bad' 'worse' } } UNION { ?offer ex:never ?x } }""",
    "bound unit": "CONSTRUCT { ?offer dapp:excludedFor ?w } WHERE { ?offer ex:flag 'bad' . ?app dapp:hasUnit ?v BIND(?v AS ?w) }",
    "unit not in where": "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?offer ex:flag 'bad' }",
    "constant unit": "CONSTRUCT { ?offer dapp:excludedFor <UNIT> } WHERE { ?offer ex:flag 'bad' }",
    "constant application": "CONSTRUCT { ?offer dapp:excludedFor <APP> } WHERE { ?offer ex:flag 'bad' }",
    "constant offer": "CONSTRUCT { <OTHER> dapp:excludedFor ?unit } WHERE { ?unit ex:needs ?n }",
    "two heads": """CONSTRUCT { ?offer dapp:excludedFor ?unit ; ex:seen true . ?offer dapp:discouragedFor ?unit }
        WHERE { ?offer ex:flag 'bad' . ?app dapp:hasUnit ?unit }""",
    "comments and strings": """# CONSTRUCT { nothing } WHERE
        CONSTRUCT { ?offer dapp:excludedFor ?unit # } a brace in a comment
        } WHERE { ?offer ex:flag "bad" . FILTER(STR(?offer) != "} WHERE {") ?app dapp:hasUnit ?unit }""",
    "short form": "CONSTRUCT WHERE { ?offer dapp:excludedFor ?unit }",
    "dollar variables": "CONSTRUCT { $offer dapp:excludedFor $unit } WHERE { $offer ex:flag 'bad' . $app dapp:hasUnit $unit }",
    "limit": "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?offer ex:flag 'bad' . ?app dapp:hasUnit ?unit } ORDER BY ?offer LIMIT 5",
    "now": "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE { ?offer ex:until ?t . FILTER(?t < ?now) ?app dapp:hasUnit ?unit }",
    "trust only": """CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE {
        ?offer ex:flag 'bad' . FILTER NOT EXISTS { ?unit a dapp:TrustUnit } }""",
}  # fmt: skip


def foreign() -> tuple[World, ox.NamedNode]:
    """A world whose cheaper offer `other` is worse in a vocabulary that nobody shipped."""
    world, unit = base()
    world.add(unit, ex("needs"), 5)
    bad_provider, cold, kind = world.provider("p2"), world.region("r2", "FR"), world.type("other-type")
    offer = world.offer("other", kind, cold, 1.0, bad_provider)
    world.add(offer, ex("flag"), "bad")
    world.add(offer, ex("size"), 1)
    world.add(offer, ex("complaint"), "slow", "loud")
    world.add(offer, ex("until"), NOW - timedelta(days=3))
    world.add(offer, DAPP.excludedFor, unit)
    world.add(bad_provider, ex("grade"), 1)
    world.add(node("provider"), ex("grade"), 9)
    world.add(node("home"), ex("coolness"), 7)
    world.add(node("good-type"), ex("certified"), True)
    world.add(node("good"), ex("size"), 9)
    world.add(node("good"), ex("complaint"), "slow")
    return world, unit


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_rule_excludes_when_it_fires(name: str) -> None:
    world, unit = foreign()
    assert chosen(world.plan([])) == {"unit": "other"}
    text = (
        HELD_OUT[name]
        .replace("<UNIT>", str(unit))
        .replace("<APP>", str(world.app))
        .replace("<OTHER>", str(node("other")))
    )
    held = rule(text)
    result = world.plan([held])
    assert chosen(result) == {"unit": "good"}
    assert result.rules == (held.iri,)
    assert any(r.count == 1 and r.only == 1 and r.rules == (held.iri,) for r in result.rejections)


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_rule_discourages_when_its_head_is_soft(name: str) -> None:
    world, unit = foreign()
    text = (
        HELD_OUT[name]
        .replace("<UNIT>", str(unit))
        .replace("<APP>", str(world.app))
        .replace("<OTHER>", str(node("other")))
    )
    if name == "short form":
        world.add(node("other"), DAPP.discouragedFor, unit)
    held = rule(text.replace("dapp:excludedFor", "dapp:discouragedFor"), weight=50)
    result = world.plan([held])
    assert chosen(result) == {"unit": "good"}
    assert result.rejections == ()
    weak = world.plan([replace(held, weight=held.weight / 100000)])
    assert chosen(weak) == {"unit": "other"}
    assert any(p.contribution == pytest.approx(0.0005) for p in weak.parts)


def test_held_out_rule_tells_wanted_found_and_margin_when_it_binds_them() -> None:
    world, _ = foreign()
    world.add(node("r2"), ex("coolness"), 2)
    result = world.plan([rule(HELD_OUT["through a region, told"])])
    (miss,) = [c for c in result.candidates if not c.chosen]
    (verdict,) = miss.verdicts
    assert [t.value for t in (*verdict.wanted, *verdict.found)] == ["5", "2"]
    assert verdict.margin == -3


def test_held_out_rule_spares_a_unit_when_its_negation_speaks_of_it() -> None:
    world, _ = foreign()
    trusted = world.unit("trusted")
    world.add(trusted, RDF.type, DAPP.TrustUnit)
    result = world.plan([rule(HELD_OUT["trust only"])])
    assert chosen(result) == {"unit": "good", "trusted": "other"}


def test_constraint_is_the_requirement_when_the_rule_binds_it() -> None:
    world, unit = foreign()
    wish = world.requires(unit, "wish", kind="EthicalRequirement")
    text = "CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?u dapp:hasRequirement ?constraint . ?o ex:flag 'bad' }"
    result = world.plan([rule(text)])
    assert {r.constraint for r in result.rejections} == {wish}
    assert [u.requirement for u in result.unchecked] == []
    assert [u.requirement for u in world.plan([]).unchecked] == [wish]


def test_rule_without_effect_leaves_the_plan_as_it_was() -> None:
    world, _ = base()
    plain = world.plan()
    idle = world.plan(
        [*SHIPPED, rule("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o ex:no ?x . ?a dapp:hasUnit ?u }")]
    )
    assert idle == plain


def test_rule_excluding_everything_leaves_a_told_conflict() -> None:
    world, _ = foreign()
    held = rule("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o a dapp:ServiceOffer . ?a dapp:hasUnit ?u }")
    result = world.plan([*SHIPPED, held])
    assert (result.status, result.placements, result.objective) == ("infeasible", (), None)
    (conflict,) = result.conflicts
    assert (conflict.unit, conflict.members) == (node("unit"), (held.iri,))
    assert "2 offers" in conflict.relaxations[0] or "1 offers" in conflict.relaxations[0]


def test_strangers_are_noted_when_a_rule_excludes_what_is_no_offer() -> None:
    world, _ = foreign()
    result = world.plan([rule("CONSTRUCT { ?p dapp:excludedFor ?u } WHERE { ?p ex:grade 1 . ?a dapp:hasUnit ?u }")])
    assert chosen(result) == {"unit": "other"}
    assert any("no service offers" in n for n in result.notes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT ?o WHERE { ?o ?p ?q }", "no CONSTRUCT"),
        ("CONSTRUCT { ?o ex:other ?u } WHERE { ?o ex:p ?u }", "neither"),
        ("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o ex:p ", "brace"),
        ("CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o ex:p }", "does not run"),
        ("CONSTRUCT { [] dapp:excludedFor ?u } WHERE { ?o ex:p ?u }", "blank"),
        ("CONSTRUCT { ?o nowhere:p ?u } WHERE { ?o ex:p ?u }", "prefix"),
        ("CONSTRUCT { ?o dapp:excludedFor 'x' } WHERE { ?o ex:p ?u }", "literal"),
        ("CONSTRUCT { ?o dapp:excludedFor ?u } FROM <http://e/> WHERE { ?o ex:p ?u }", "FROM"),
    ],
)
def test_bad_rule_is_refused_with_its_name(text: str, why: str) -> None:
    world, _ = base()
    with pytest.raises(InputError, match=why) as caught:
        world.plan([rule(text, "broken")])
    assert caught.value.place == node("broken").value
    assert caught.value.remedy


def test_negative_penalty_is_refused() -> None:
    world, _ = foreign()
    text = (
        "CONSTRUCT { ?o dapp:discouragedFor ?u } WHERE { ?o ex:flag 'bad' . ?a dapp:hasUnit ?u . BIND(-1 AS ?penalty) }"
    )
    with pytest.raises(InputError, match="negative"):
        world.plan([rule(text)])


def test_superseded_and_foreign_purpose_rules_do_not_act() -> None:
    world, _ = foreign()
    held = rule(HELD_OUT["on an offer"])

    class Local(TextRule):
        supersedes = frozenset({held.iri})

    softer = Local(
        node("softer"), "CONSTRUCT { ?o dapp:excludedFor ?u } WHERE { ?o ex:never ?u }".replace("ex:", "dapp:")
    )
    assert chosen(world.plan([held, softer])) == {"unit": "other"}
    assert chosen(world.plan([replace(held, purpose="derive")])) == {"unit": "other"}


@pytest.mark.parametrize("name", ["app", "thing", "unit"])
def test_rule_about_the_application_holds_for_every_unit_whatever_its_variable(name: str) -> None:
    world, _ = base()
    world.offer("other", node("good-type"), node("home"), 1.0)
    assert chosen(world.plan(SHIPPED)) == {"unit": "other"}
    held_out = rule(
        f"""PREFIX dapp: <https://w3id.org/dappops#>
        CONSTRUCT {{ ?o dapp:excludedFor ?{name} }}
        WHERE {{ ?{name} a dapp:QualityCriticalApplication . ?o dapp:hasPrice/dapp:amount ?found . FILTER (?found < 1.5) }}"""
    )
    result = world.plan([*SHIPPED, held_out])
    assert chosen(result) == {"unit": "good"}
    assert held_out.iri in result.rules
