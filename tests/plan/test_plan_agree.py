"""Disputes among demands: minimal, against trying out every subset; found wherever the demands bind."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest
from plan_data import NOW, SHIPPED, VIEWS, World, local, node

from reasoners.plan import Agreement, agree
from reasoners.vocab import DAPP, DAPPI


def agreement(world: World, *among: ox.NamedNode) -> Agreement:
    return agree(world.view(), world.app, SHIPPED, among=among, views=VIEWS, now=NOW)


def without(world: World, *demands: ox.NamedNode) -> World:
    """The same world, some demands never made."""
    less = World()
    less.triples = [t for t in world.triples if t.subject not in demands and t.object not in demands]
    return less


def feasible(world: World) -> bool:
    return world.plan().status in ("optimal", "feasible")


def market() -> tuple[World, ox.NamedNode]:
    """Offers that differ in place, memory and price, none of which is best in all three."""
    world = World()
    here, there = world.region("here", "DE"), world.region("there", "FR")
    small, large = world.type("small", 2, 4, 2.0), world.type("large", 2, 16, 2.0)
    world.offer("here-small", small, here, 1.0)
    world.offer("here-large", large, here, 3.0)
    world.offer("there-large", large, there, 1.0)
    return world, world.unit("unit")


def three_at_odds(world: World, unit: ox.NamedNode) -> list[ox.NamedNode]:
    place = world.requires(unit, "place", kind="PlacementRequirement")
    world.add(place, DAPP.allowedPlace, DAPPI("Country-DE"))
    memory = world.requires(unit, "memory", "MemorySize", "AtLeast", 8)
    price = world.requires(unit, "price", "HourlyPrice", "AtMost", 2)
    return [place, memory, price]


def test_no_dispute_when_everything_can_be_met() -> None:
    world, unit = market()
    *demands, price = three_at_odds(world, unit)
    found = agreement(without(world, price), *demands)
    assert found.disputes == ()
    assert [local(p.offer) for p in found.plan.placements] == ["here-large"]


def test_dispute_names_three_when_each_two_of_them_could_be_met() -> None:
    world, unit = market()
    demands = three_at_odds(world, unit)
    idle = world.requires(unit, "idle", "VcpuCount", "AtLeast", 1)
    found = agreement(world, idle, *demands)
    (dispute,) = found.disputes
    assert set(dispute.members) == set(demands)
    assert dispute.units == (unit,)
    ways = {local(w.without): (w.possible, w.offers, local(w.placements[0].offer)) for w in dispute.ways}
    assert ways == {
        "place": (True, 1, "there-large"),
        "memory": (True, 1, "here-small"),
        "price": (True, 1, "here-large"),
    }
    nearest = {local(w.without): [t.value for t in w.found] for w in dispute.ways}
    assert nearest == {"place": [node("there").value], "memory": ["4"], "price": ["3"]}


def test_dispute_of_two_bounds_that_no_offer_can_ever_meet_together() -> None:
    world, unit = market()
    world.offer("here-wide", world.type("wide", 8, 4, 2.0), node("here"), 1.0)
    most = world.requires(unit, "most", "VcpuCount", "AtMost", 2)
    least = world.requires(unit, "least", "VcpuCount", "AtLeast", 4)
    (dispute,) = agreement(world, most, least).disputes
    assert set(dispute.members) == {most, least}


def test_disputes_of_two_units_are_told_apart() -> None:
    world, unit = market()
    demands = three_at_odds(world, unit)
    other = world.unit("other")
    lonely = world.requires(other, "lonely", "VcpuCount", "AtLeast", 64)
    found = agreement(world, *demands, lonely)
    assert {frozenset(d.members) for d in found.disputes} == {frozenset(demands), frozenset({lonely})}
    assert all(w.possible for d in found.disputes for w in d.ways)


def test_dispute_holds_a_deadline_when_place_and_time_cannot_both_be() -> None:
    world, unit = market()
    far = world.unit("far")
    world.calls(unit, far)
    world.link(node("here"), node("there"), 40)
    home = world.requires(unit, "home", kind="PlacementRequirement")
    world.add(home, DAPP.allowedPlace, DAPPI("Country-DE"))
    away = world.requires(far, "away", kind="PlacementRequirement")
    world.add(away, DAPP.allowedPlace, DAPPI("Country-FR"))
    soon = world.deadline("soon", 130, unit, far)
    (dispute,) = agreement(world, home, away, soon).disputes
    assert set(dispute.members) == {home, away, soon}
    assert dispute.units == ()
    (late,) = [w for w in dispute.ways if w.without == soon]
    assert [float(t.value) for t in late.found] == [pytest.approx(140)]  # 50 ms a unit, 40 between them


def test_dispute_holds_a_sum_and_names_what_it_comes_to() -> None:
    world, unit = market()
    second = world.unit("second")
    large = [world.requires(u, f"memory-{local(u)}", "MemorySize", "AtLeast", 8) for u in (unit, second)]
    world.add(node("there-large"), DAPP.hasCapacityLimit, 1)
    total = world.requires(world.app, "total", "HourlyPrice", "AtMost", 3.5)
    (dispute,) = agreement(world, *large, total).disputes
    assert set(dispute.members) == {total, *large}
    (way,) = [w for w in dispute.ways if w.without == total]
    assert [float(t.value) for t in way.found] == [4.0]


def test_plan_tells_its_own_conflict_when_no_demand_is_to_blame() -> None:
    world, unit = market()
    own = world.requires(unit, "own", "VcpuCount", "AtLeast", 64)
    demand = world.requires(unit, "demand", "MemorySize", "AtLeast", 8)
    found = agreement(world, demand)
    assert found.disputes == ()
    assert found.plan.status == "infeasible"
    assert found.plan.conflicts[0].members == (own,)


def test_later_demands_are_named_when_either_could_be() -> None:
    world, unit = market()
    first = world.requires(unit, "first", "VcpuCount", "AtLeast", 64)
    second = world.requires(unit, "second", "MemorySize", "AtLeast", 64)
    assert [d.members for d in agreement(world, first, second).disputes] == [(second,), (first,)]


@pytest.mark.parametrize("seed", range(12))
def test_disputes_are_minimal_on_random_demands(seed: int) -> None:
    rng = random.Random(seed)
    world = World()
    regions = [world.region(f"r{i}", c) for i, c in enumerate(("DE", "FR", "US"))]
    world.link(regions[0], regions[1], 10)
    world.link(regions[0], regions[2], 60)
    world.link(regions[1], regions[2], 50)
    for i in range(6):
        kind = world.type(f"t{i}", rng.choice([1, 2, 4]), rng.choice([2, 4, 8]), 2.0)
        offer = world.offer(f"o{i}", kind, rng.choice(regions), rng.choice([1.0, 2.0, 4.0]))
        if rng.random() < 0.5:
            world.add(offer, DAPP.hasCapacityLimit, 1)
    units = [world.unit(f"u{i}") for i in range(2)]
    world.calls(*units)
    demands = []
    for i in range(7):
        unit, name = rng.choice(units), f"d{i}"
        kind = rng.randrange(5)
        if kind == 0:
            demands.append(
                world.requires(unit, name, "VcpuCount", rng.choice(["AtLeast", "AtMost"]), rng.choice([1, 2, 4]))
            )
        elif kind == 1:
            demands.append(world.requires(unit, name, "MemorySize", "AtLeast", rng.choice([2, 4, 8])))
        elif kind == 2:
            demands.append(world.requires(world.app, name, "HourlyPrice", "AtMost", rng.choice([2, 3, 6])))
        elif kind == 3:
            place = world.requires(unit, name, kind="PlacementRequirement")
            demands.append(world.add(place, DAPP.allowedPlace, DAPPI(f"Country-{rng.choice(['DE', 'FR', 'US'])}")))
        else:
            demands.append(world.deadline(name, rng.choice([105, 120, 200]), *units))
    found = agreement(world, *demands)
    assert bool(found.disputes) != feasible(world)
    seen: set[ox.NamedNode] = set()
    for dispute in found.disputes:
        others = [d for d in demands if d not in dispute.members]
        assert not feasible(without(world, *others))
        for member in dispute.members:
            assert feasible(without(world, member, *others))
        assert not seen & set(dispute.members)
        seen |= set(dispute.members)
        for way in dispute.ways:
            assert way.possible == feasible(
                without(world, way.without, *(m for d in found.disputes if d != dispute for m in d.members))
            )
    assert feasible(without(world, *seen))
