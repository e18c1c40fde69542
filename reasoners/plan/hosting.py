"""Hosts in a plan: what the units of their offers may take together, which offers can never be had, and who runs where.

A host bounds by what it states itself: `dapp:vcpus`, `dapp:memory` and `dapp:powerCap` (by the mid-load power of the types
its offers sell). Where several offers lead to one host, and to no other, the limits of these offers share it: a slot of an
offer with limit 3 takes a third. A host that is down gives nothing while another one of its offer is up; whether an offer
whose hosts are all down may be chosen is for a rule to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyoxigraph as ox

from reasoners.decision import number
from reasoners.plan.catalogue import Catalogue, Node
from reasoners.plan.judge import Body, Table
from reasoners.plan.model import HostUse, Use
from reasoners.plan.room import Host, spread
from reasoners.vocab import DAPP

AMOUNTS = {"vcpus": DAPP.vcpus, "memory": DAPP.memory, "power": DAPP.powerCap, "slots": DAPP.hasCapacityLimit}


def serving(nodes: Sequence[Node]) -> list[tuple[Node, tuple[int, ...]]]:
    """Hosts with the offers they serve: one that is down serves only offers of which no host is up."""
    up = {o for node in nodes if not node.down for o in node.offers}
    return [(node, tuple(o for o in node.offers if not node.down or o not in up)) for node in nodes]


def build_hosts(catalogue: Catalogue) -> list[Host]:
    """One `Host` a node, in order; its amounts are those of `amounts_of`. Offers that one unit alone breaks are left out."""
    served = serving(catalogue.nodes)
    homes: dict[int, int] = {}
    for _, offers in served:
        for o in offers:
            homes[o] = homes.get(o, 0) + 1
    out = []
    for node, offers in served:
        names = amounts_of(node)
        shares = [o for o in offers if homes[o] == 1 and catalogue.capacity.get(o, 0) > 0]
        shared = len(shares) > 1
        needs = []
        for o in offers:
            need = [_need(catalogue, o, name) for name in names]
            if any(not each <= has + 1e-9 for each, has in zip(need, (_has(node, n) for n in names), strict=True)):
                continue
            if shared:
                need.append(1 / catalogue.capacity[o] if o in shares else 0.0)
            needs.append((o, tuple(need)))
        has = [_has(node, name) for name in names] + ([1.0] if shared else [])
        out.append(Host(tuple(has), tuple(needs)))
    return out


def amounts_of(node: Node) -> list[str]:
    """What a host states that it has."""
    return [name for name in ("vcpus", "memory", "power") if not math.isnan(_has(node, name))]


def _has(node: Node, name: str) -> float:
    return {"vcpus": node.vcpus, "memory": node.memory, "power": node.power_cap}[name]


def _need(catalogue: Catalogue, offer: int, name: str) -> float:
    """What one unit takes; NaN when not known. Unknown virtual processors count as one, as in times."""
    if name == "vcpus":
        vcpus = float(catalogue.vcpus[offer])
        return vcpus if vcpus >= 1 else 1.0
    return float((catalogue.memory if name == "memory" else catalogue.power)[offer])


def exclude_unhosted(table: Table, catalogue: Catalogue, hosts: Sequence[Host]) -> None:
    """Tell offers none of whose hosts has room for even one unit."""
    every = range(len(table.units))
    size = len(catalogue.offers)
    reached = {o for host in hosts for o, _ in host.needs}
    for node, offers in serving(catalogue.nodes):
        for o in offers:
            if o in reached:
                continue
            which = np.zeros(size, dtype=bool)
            which[o] = True
            for name in amounts_of(node):
                need, has = _need(catalogue, o, name), _has(node, name)
                if need <= has + 1e-9:
                    continue
                known = not math.isnan(need)
                body = Body(
                    AMOUNTS[name],
                    (number(has),),
                    (number(need),) if known else (),
                    known=known,
                    margin=has - need if known else None,
                    shortfall=(need - has) / has if known and has > 0 else float("inf"),
                )
                for u in every:
                    table.exclude(u, AMOUNTS[name], which, body)


def host_uses(
    catalogue: Catalogue, hosts: Sequence[Host], units: Sequence[ox.NamedNode], placed: Mapping[int, Sequence[int]]
) -> tuple[HostUse, ...]:
    """Per host that a plan uses: units, slots, power and stated amounts. `placed`: offer -> numbers of its units."""
    where = spread({o: len(us) for o, us in placed.items()}, hosts) or {}
    waiting = {o: list(us) for o, us in placed.items()}
    out = []
    for number_, node in enumerate(catalogue.nodes):
        mine: list[tuple[int, int]] = []
        for o in node.offers:
            count = where.get((o, number_), 0)
            mine += [(o, waiting[o].pop(0)) for _ in range(count)]
        if not mine:
            continue
        power = [float(catalogue.power[o]) for o, _ in mine]
        # one offer that leads nowhere else: its limit is the host's number of slots
        alone = len(node.offers) == 1 and sum(node.offers[0] in other.offers for other in catalogue.nodes) == 1
        limit = catalogue.capacity.get(node.offers[0]) if alone else None
        uses = [Use("slots", float(len(mine)), None if limit is None else float(limit))]
        if not any(map(math.isnan, power)):
            uses.append(Use("power", sum(power), None if math.isnan(node.power_cap) else node.power_cap))
        for name in amounts_of(node):
            if name != "power":
                uses.append(Use(name, sum(_need(catalogue, o, name) for o, _ in mine), _has(node, name)))
        out.append(HostUse(node.iri, tuple(units[u] for u in sorted(u for _, u in mine)), tuple(uses)))
    return tuple(out)
