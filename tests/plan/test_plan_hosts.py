"""Hosts behind offers: shared room, power caps, hosts that are down, images to be fetched."""

from __future__ import annotations

from datetime import timedelta

import pyoxigraph as ox
import pytest
from plan_data import NOW, SHIPPED, World, chosen, local, node, rule

from reasoners.plan import Plan
from reasoners.vocab import DAPP, DAPPR, RDF


def world_of(units: int, *, power: tuple[float, float] | None = (4, 14)) -> tuple[World, ox.NamedNode]:
    """So many units; the cheap offer `cheap`, and `dear`, of which there is any number."""
    world = World()
    region = world.region("home", "DE", carbon=100, pue=1.2)
    world.provider("provider", "Country-DE")
    cheap = world.offer("cheap", world.type("slot", 1, 2, 2.0, power), region, 1.0)
    world.offer("dear", world.type("other-slot", 1, 2, 2.0, (4, 14)), region, 3.0)
    for i in range(units):
        world.unit(f"unit-{i}")
    return world, cheap


def on(result: Plan, offer: str) -> int:
    return sum(local(p.offer) == offer for p in result.placements)


def use(result: Plan, host: str, what: str) -> tuple[float, float | None]:
    (found,) = [u for h in result.hosts if local(h.host) == host for u in h.uses if u.what == what]
    return found.used, found.bound


def test_power_cap_of_a_host_bounds_the_units_on_it() -> None:
    world, cheap = world_of(5)
    world.host("stage", cheap, cap=30)  # 9 W each: three fit
    result = world.plan()
    assert result.status == "optimal"
    assert (on(result, "cheap"), on(result, "dear")) == (3, 2)
    assert use(result, "stage", "power") == (27, 30)
    assert use(result, "stage", "slots") == (3, None)


@pytest.mark.parametrize(("amount", "count"), [({"vcpus": 4}, 4), ({"memory": 5}, 2), ({"vcpus": 4, "memory": 5}, 2)])
def test_stated_amounts_of_a_host_bound_the_units_on_it(amount: dict[str, int], count: int) -> None:
    world, cheap = world_of(6)
    world.host("stage", cheap, **amount)  # type: ignore[arg-type]
    assert on(world.plan(), "cheap") == count


def test_host_that_states_nothing_bounds_nothing() -> None:
    world, cheap = world_of(6)
    world.host("stage", cheap)
    result = world.plan()
    assert on(result, "cheap") == 6
    assert use(result, "stage", "power") == (54, None)


def test_offers_of_one_host_share_it_by_their_limits() -> None:
    world, cheap = world_of(6)
    other = world.offer("big", world.type("big-slot", 2, 4, 2.0, (4, 14)), node("home"), 1.5)
    world.add(cheap, DAPP.hasCapacityLimit, 4)
    world.add(other, DAPP.hasCapacityLimit, 2)
    world.host("stage", cheap, other)  # a quarter each, or a half each
    for i in (4, 5):
        world.requires(node(f"unit-{i}"), f"cpu-{i}", "VcpuCount", "AtLeast", 2)
    world.add(node("dear"), RDF.type, DAPP.ServiceOffer)
    world.requires(node("unit-3"), "cpu-3", "VcpuCount", "AtMost", 1)
    third = world.offer("third", world.type("third-slot", 2, 4, 2.0, (4, 14)), node("home"), 9.0)
    result = world.plan()
    assert result.status == "optimal"
    assert on(result, "cheap") / 4 + on(result, "big") / 2 <= 1
    # best: four cheap ones and the two large units on the third offer (18) against half and one third (9 + 2 + 6 + ...)
    assert chosen(result)["unit-3"] in ("cheap", "dear")
    assert {chosen(result)["unit-4"], chosen(result)["unit-5"]} <= {"big", local(third)}
    cheap_two = 1.5 * 2 + 3.0 * 4  # both large ones here, nobody else
    cheap_four = 1.0 * 4 + 9.0 * 2
    mixed = 1.5 + 9.0 + 1.0 * 2 + 3.0 * 2
    assert sum({"cheap": 1.0, "big": 1.5, "dear": 3.0, "third": 9.0}[o] for o in chosen(result).values()) == min(
        cheap_two, cheap_four, mixed
    )


def test_offer_of_several_hosts_fills_each_of_them_only_with_whole_units() -> None:
    world, cheap = world_of(4)
    world.host("one", cheap, cap=17)  # 9 W each: one unit a host, although 34 W would hold three
    world.host("two", cheap, cap=17)
    result = world.plan()
    assert (on(result, "cheap"), on(result, "dear")) == (2, 2)
    assert sorted(len(h.units) for h in result.hosts) == [1, 1]


@pytest.mark.parametrize("power", [(40.0, 60.0), None])
def test_offer_is_excluded_when_one_unit_alone_breaks_the_cap_or_its_power_is_not_known(
    power: tuple[float, float] | None,
) -> None:
    world, cheap = world_of(2, power=power)
    world.host("stage", cheap, cap=30)
    result = world.plan()
    assert on(result, "cheap") == 0
    (miss,) = [c for c in result.candidates if local(c.unit) == "unit-0" and not c.chosen]
    (verdict,) = miss.verdicts
    assert verdict.constraint == DAPP.powerCap
    assert verdict.known == (power is not None)
    assert verdict.margin == (None if power is None else -20)


def test_conflict_names_the_host_when_its_cap_leaves_no_choice() -> None:
    world, cheap = world_of(4)
    for i in range(4):
        world.requires(node(f"unit-{i}"), f"price-{i}", "HourlyPrice", "AtMost", 2)
    world.host("stage", cheap, cap=30)
    result = world.plan()
    assert result.status == "infeasible"
    (conflict,) = result.conflicts
    assert conflict.members == (node("stage"),)
    assert "30 W" in conflict.relaxations[0]


def test_host_that_is_down_gives_no_room_while_another_is_up() -> None:
    world, cheap = world_of(4)
    world.host("one", cheap, vcpus=2, state="Failed")
    world.host("two", cheap, vcpus=1)
    result = world.plan()
    assert on(result, "cheap") == 1
    assert [local(h.host) for h in result.hosts] == ["two"]


def test_offer_of_a_host_that_is_down_returns_when_the_rule_is_gone() -> None:
    world, cheap = world_of(2)
    world.host("stage", cheap, cap=30, state="Lost")
    result = world.plan()
    assert on(result, "cheap") == 0
    assert DAPPR("plan-host-down") in result.rules
    assert result.rejections[0].constraint == DAPPR("plan-host-down")
    assert on(world.plan([r for r in SHIPPED if r.iri != DAPPR("plan-host-down")]), "cheap") == 2


def incident(world: World, name: str, provider: ox.NamedNode, days: float) -> ox.NamedNode:
    found = world.add(node(name), RDF.type, DAPP.Incident)
    world.add(found, DAPP.attributedTo, provider)
    return world.add(found, DAPP.detectedAt, NOW - timedelta(days=days))


def test_record_of_a_provider_tells_its_incidents_and_is_forgotten_without_the_rule() -> None:
    world, _ = world_of(1)
    failing = world.provider("failing", "Country-DE")
    world.offer("cheaper", node("slot"), node("home"), 0.5, failing)
    incident(world, "first", failing, 1)
    incident(world, "second", failing, 3)
    incident(world, "old", failing, 40)
    incident(world, "to-come", failing, -1)
    result = world.plan()
    assert chosen(result) == {"unit-0": "cheap"}
    (miss,) = [c for c in result.candidates if not c.chosen]
    (verdict,) = miss.verdicts
    assert verdict.rule == DAPPR("plan-provider-record")
    assert set(verdict.found) == {node("first"), node("second")}
    record = DAPPR("plan-provider-record")
    assert chosen(world.plan([r for r in SHIPPED if r.iri != record])) == {"unit-0": "cheaper"}


def test_record_is_forgiven_when_a_rule_supersedes_the_shipped_one() -> None:
    world, _ = world_of(1)
    failing = world.provider("failing", "Country-DE")
    world.offer("cheaper", node("slot"), node("home"), 0.5, failing)
    incident(world, "first", failing, 10)
    text = (
        "PREFIX xsd: <http://www.w3.org/2001/XMLSchema#> CONSTRUCT { ?offer dapp:excludedFor ?application } WHERE {"
        " ?application dapp:hasUnit ?unit . ?i dapp:attributedTo ?p ; dapp:detectedAt ?t . ?offer dapp:offeredBy ?p ."
        ' FILTER (?t >= ?now - "P7D"^^xsd:dayTimeDuration) }'
    )

    class Shorter(type(rule(text))):  # type: ignore[misc]
        supersedes = frozenset({DAPPR("plan-provider-record")})

    shorter = rule(text)
    assert chosen(world.plan([*SHIPPED, Shorter(shorter.iri, shorter.text)])) == {"unit-0": "cheaper"}


def test_provisioning_time_is_told_per_unit_and_as_the_rule_says() -> None:
    world, _ = world_of(2)
    world.package(node("unit-0"), 50)
    world.package(node("unit-0"), 30, "small")  # the largest counts
    world.package(node("unit-1"), 10)
    world.registry(node("home"), 5, latency=100)
    result = world.plan()
    told = {local(p.unit): p.seconds for p in result.provisioning}
    assert told == {"unit-0": pytest.approx(12.1), "unit-1": pytest.approx(4.1)}
    for bound, fits in ((12.2, True), (12.0, False)):
        again, _ = world_of(2)
        again.triples = [*world.triples]
        again.requires(again.app, "quick", "ProvisioningTime", "AtMost", bound, kind="QualityRequirement")
        result = again.plan()
        assert (result.status == "optimal") == fits
        assert result.unchecked == ()
        if not fits:
            verdict = next(v for c in result.candidates for v in c.verdicts)
            assert float(verdict.found[0].value) == pytest.approx(12.1)  # type: ignore[union-attr]
            assert verdict.margin == pytest.approx(-0.1)


@pytest.mark.parametrize("gap", ["no link", "no bandwidth", "no size"])
def test_provisioning_time_that_is_not_known_excludes(gap: str) -> None:
    world, _ = world_of(1)
    if gap != "no size":
        world.package(node("unit-0"), 50)
    if gap != "no link":
        world.registry(node("home"), None if gap == "no bandwidth" else 50)
    world.requires(world.app, "quick", "ProvisioningTime", "AtMost", 20, kind="QualityRequirement")
    result = world.plan()
    assert result.status == "infeasible"
    assert result.conflicts[0].members == (node("quick"),)
    verdict = next(v for c in result.candidates for v in c.verdicts)
    assert (verdict.known, verdict.found) == (False, ())


def test_links_between_regions_bring_no_images() -> None:
    world, _ = world_of(1)
    world.package(node("unit-0"), 50)
    away = world.region("away")
    link = world.link(away, node("home"), 5)
    world.add(link, DAPP.bandwidth, 10)
    assert [p.seconds for p in world.plan().provisioning] == []


def test_soft_requirements_on_provisioning_and_reach_are_checked() -> None:
    world, _ = world_of(1)
    wish = world.requires(world.app, "reach", kind="PlacementRequirement", soft=True, weight=0.25)
    world.add(wish, DAPP.reachableOnly, True)
    world.requires(
        world.app, "quick", "ProvisioningTime", "AtMost", 20, kind="QualityRequirement", soft=True, weight=0.5
    )
    result = world.plan()
    assert (result.status, result.unchecked) == ("optimal", ())
    assert {local(p.metric): p.contribution for p in result.parts if p.metric in (node("reach"), node("quick"))} == {
        "reach": 0.25,
        "quick": 0.5,
    }


def test_requirement_is_unchecked_when_no_rule_reads_drivers() -> None:
    world, _ = world_of(1)
    wish = world.requires(world.app, "reach", kind="PlacementRequirement")
    world.add(wish, DAPP.reachableOnly, True)
    some = [r for r in SHIPPED if "unreachable" not in r.iri.value]
    assert [u.requirement for u in world.plan(some).unchecked] == [wish]
