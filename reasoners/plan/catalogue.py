"""Offers, regions and units read from the graph into arrays; unknown numbers are NaN, never 0.

Reads through the SPARQL views that the caller hands in (`plan-offers` and its siblings in `queries/views`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.plan.model import VIEWS, Options
from reasoners.vocab import DAPP, DAPPI, UNIT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MISSING = -1


@dataclass
class Catalogue:
    """Arrays over offers (sorted by IRI) and over regions. Price per hour, W at mid load, GHz, GiB, gCO2e/kWh, ms one way."""

    offers: list[ox.NamedNode]
    regions: list[ox.NamedNode]
    region: Ints
    price: Floats
    power: Floats
    clock: Floats
    vcpus: Floats
    memory: Floats
    carbon_intensity: Floats
    overhead: Floats
    latency: Floats
    capacity: dict[int, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Node:
    """A host as stated: the numbers of the offers it can be had through, and what it has (NaN: not stated)."""

    iri: ox.NamedNode
    offers: tuple[int, ...]
    vcpus: float
    memory: float
    power_cap: float
    down: bool


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement on one subject, with what it states."""

    iri: ox.NamedNode
    subject: ox.NamedNode
    deadline: bool
    metric: ox.NamedNode | None
    property: ox.NamedNode | None
    operator: ox.NamedNode | None
    bound: float | None
    soft: bool
    weight: float
    deadline_class: ox.NamedNode | None
    start: ox.NamedNode | None
    end: ox.NamedNode | None
    placed: bool
    reachable: bool = False


@dataclass(frozen=True, slots=True)
class Objective:
    metric: ox.NamedNode
    property: ox.NamedNode | None
    maximise: bool
    weight: float


@dataclass
class Application:
    """Units sorted by IRI, who calls whom (numbers of units), what is demanded and what is wished."""

    iri: ox.NamedNode
    units: list[ox.NamedNode]
    workload: Floats
    parallel: Floats
    calls: list[tuple[int, int]]
    requirements: list[Requirement]
    objectives: list[Objective]


class Source:
    """Runs the handed-in views over one graph. Raises InputError when a view is missing."""

    def __init__(self, view: View, views: Mapping[str, str]) -> None:
        missing = [name for name in VIEWS if name not in views]
        if missing:
            raise InputError(
                f"planning needs the views {', '.join(missing)}",
                place="queries/views",
                remedy="hand in the text of every queries/views/plan-*.rq by its name",
            )
        self.view, self.views = view, views

    def rows(self, name: str, **bound: ox.NamedNode | ox.Literal) -> ox.QuerySolutions:
        """Rows of one view with some of its variables bound."""
        given = {ox.Variable(key): value for key, value in bound.items()}
        return self.view.select(self.views[name], substitutions=given)


def read_application(source: Source, iri: ox.NamedNode) -> Application:
    """Raises InputError when the application has no unit."""
    workload: dict[ox.NamedNode, float] = {}
    parallel: dict[ox.NamedNode, float] = {}
    for row in source.rows("plan-units", application=iri):
        unit = row["unit"]
        if not isinstance(unit, ox.NamedNode):
            continue
        _keep(workload, unit, number(row["workload"]), max)
        _keep(parallel, unit, number(row["parallel"]), min)
        workload.setdefault(unit, np.nan)
    if not workload:
        raise InputError(
            "the application has no units, or is not in the graph", place=str(iri), rule=DAPP.hasUnit.value,
            remedy="commit the application, or check the IRI with `dappops query`",
        )  # fmt: skip
    units = sorted(workload, key=lambda u: u.value)
    index = {unit: i for i, unit in enumerate(units)}
    calls = {
        (index[row["unit"]], index[row["callee"]])
        for row in source.rows("plan-calls", application=iri)
        if row["unit"] in index and row["callee"] in index
    }
    return Application(
        iri=iri,
        units=units,
        workload=np.array([workload[u] for u in units]),
        parallel=np.clip(np.array([parallel.get(u, 0.0) for u in units]), 0.0, 1.0),
        calls=sorted(calls),
        requirements=_requirements(source, iri),
        objectives=_objectives(source, iri),
    )


def _requirements(source: Source, iri: ox.NamedNode) -> list[Requirement]:
    out: dict[tuple[str, str, str, str], Requirement] = {}
    for row in source.rows("plan-requirements", application=iri):
        node, subject = row["requirement"], row["subject"]
        if not isinstance(node, ox.NamedNode) or not isinstance(subject, ox.NamedNode):
            continue
        weight = number(row["weight"])
        requirement = Requirement(
            iri=node,
            subject=subject,
            deadline=_true(row["deadline"]),
            metric=_node(row["metric"]),
            property=_node(row["property"]),
            operator=_node(row["operator"]),
            bound=number(row["bound"]),
            soft=row["strictness"] == DAPPI.Soft,
            weight=1.0 if weight is None else weight,
            deadline_class=_node(row["deadlineClass"]),
            start=_node(row["pathStart"]),
            end=_node(row["pathEnd"]),
            placed=_true(row["placed"]),
            reachable=_true(row["reachable"]),
        )
        out.setdefault((node.value, subject.value, str(requirement.start), str(requirement.end)), requirement)
    return list(out.values())


def _objectives(source: Source, iri: ox.NamedNode) -> list[Objective]:
    out: dict[ox.NamedNode, Objective] = {}
    for row in source.rows("plan-objectives", application=iri):
        metric = _node(row["metric"])
        if metric is None:
            continue
        weight = number(row["weight"])
        one = Objective(
            metric, _node(row["property"]), row["direction"] == DAPPI.Maximise, 1.0 if weight is None else weight
        )
        old = out.get(metric)
        out[metric] = one if old is None else Objective(metric, old.property, old.maximise, old.weight + one.weight)
    return [out[m] for m in sorted(out, key=lambda m: m.value)]


def read_catalogue(source: Source, options: Options, currency: str, now: datetime) -> Catalogue:
    """Raises InputError when there is no offer, or more than `options.max_offers`."""
    kind: dict[ox.NamedNode, ox.NamedNode | None] = {}
    place: dict[ox.NamedNode, ox.NamedNode | None] = {}
    capacity: dict[ox.NamedNode, float] = {}
    for row in source.rows("plan-offers"):
        offer = row["offer"]
        if not isinstance(offer, ox.NamedNode):
            continue
        # Sorted rows: of several types or regions the first counts, in every run the same.
        if kind.get(offer) is None:
            kind[offer] = _node(row["type"])
        if place.get(offer) is None:
            place[offer] = _node(row["region"])
        _keep(capacity, offer, number(row["capacity"]), min)
    if not kind:
        raise InputError(
            "the graph holds no service offers",
            rule=DAPP.ServiceOffer.value,
            remedy="import a catalogue: `dappops import`",
        )
    if len(kind) > options.max_offers:
        raise InputError(
            f"{len(kind)} offers are more than max_offers = {options.max_offers}",
            remedy="raise max_offers, or plan over fewer catalogues",
        )
    offers = sorted(kind, key=lambda o: o.value)
    index = {offer: i for i, offer in enumerate(offers)}
    regions, mixes = _regions(source, now)
    region_index = {r: i for i, r in enumerate(regions)}
    types = _types(source)
    unknown = (np.nan, np.nan, np.nan, np.nan)
    kinds = (kind[o] for o in offers)
    table = np.array([types.get(k, unknown) if k is not None else unknown for k in kinds]).reshape(-1, 4)
    price = np.full(len(offers), np.nan)
    for row in source.rows("plan-prices"):
        at = index.get(row["offer"])
        amount = number(row["amount"])
        if at is None or amount is None or amount < 0 or not _usable(row, currency):
            continue
        if not price[at] <= amount:
            price[at] = amount
    return Catalogue(
        offers=offers,
        regions=regions,
        region=np.array([region_index.get(place[o], MISSING) for o in offers], dtype=np.int64),  # type: ignore[arg-type]
        price=price,
        clock=table[:, 0],
        vcpus=table[:, 1],
        power=table[:, 2],
        memory=table[:, 3],
        carbon_intensity=np.array([mixes[r][0] for r in regions]),
        overhead=np.array([mixes[r][1] for r in regions]),
        latency=_latency(source, region_index, options.same_region_ms),
        capacity={index[o]: int(c) for o, c in capacity.items() if index.get(o) is not None},
        nodes=_nodes(source, index),
    )


def _nodes(source: Source, index: Mapping[ox.NamedNode, int]) -> list[Node]:
    """Hosts that offers lead to, by IRI. Of several values the smallest counts."""
    offers: dict[ox.NamedNode, set[int]] = {}
    has: dict[str, dict[ox.NamedNode, float]] = {"vcpus": {}, "memory": {}, "cap": {}}
    down: set[ox.NamedNode] = set()
    for row in source.rows("plan-hosts"):
        host, at = row["host"], index.get(row["offer"])
        if not isinstance(host, ox.NamedNode) or at is None:
            continue
        offers.setdefault(host, set()).add(at)
        for name, values in has.items():
            _keep(values, host, number(row[name]), min)
        if _true(row["down"]):
            down.add(host)
    return [
        Node(
            iri=host,
            offers=tuple(sorted(offers[host])),
            vcpus=has["vcpus"].get(host, np.nan),
            memory=has["memory"].get(host, np.nan),
            power_cap=has["cap"].get(host, np.nan),
            down=host in down,
        )
        for host in sorted(offers, key=lambda h: h.value)
    ]


def read_provisioning(source: Source, app: Application) -> dict[tuple[int, ox.NamedNode], float]:
    """(unit, region) -> seconds to fetch the unit's image there and start it, where that is known."""
    index = {unit: i for i, unit in enumerate(app.units)}
    out: dict[tuple[int, ox.NamedNode], float] = {}
    for row in source.rows("plan-provisioning", application=app.iri):
        at, region, seconds = index.get(row["unit"]), row["region"], number(row["seconds"])
        if at is not None and isinstance(region, ox.NamedNode) and seconds is not None:
            out[at, region] = seconds
    return out


def _usable(row: ox.QuerySolution, currency: str) -> bool:
    stated = row["currency"]
    return (
        isinstance(stated, ox.Literal)
        and stated.value == currency
        and row["perUnit"] == UNIT.HR
        and row["term"] in (None, DAPPI.OnDemand)
    )


def _types(source: Source) -> dict[ox.NamedNode, tuple[float, float, float, float]]:
    """Type -> clock (GHz), vcpus, power (W) at mid load, memory (GiB). Of several the slowest and the hungriest count."""
    clock: dict[ox.NamedNode, float] = {}
    vcpus: dict[ox.NamedNode, float] = {}
    power: dict[ox.NamedNode, float] = {}
    memory: dict[ox.NamedNode, float] = {}
    names: set[ox.NamedNode] = set()
    for row in source.rows("plan-types"):
        node = row["type"]
        if not isinstance(node, ox.NamedNode):
            continue
        names.add(node)
        _keep(clock, node, number(row["clock"]), min)
        _keep(vcpus, node, number(row["vcpus"]), min)
        _keep(memory, node, number(row["memory"]), max)
        idle, peak = number(row["idle"]), number(row["peak"])
        if peak is not None:
            _keep(power, node, (peak + (peak if idle is None else idle)) / 2, max)
    return {n: tuple(d.get(n, np.nan) for d in (clock, vcpus, power, memory)) for n in names}  # type: ignore[misc]


def _regions(source: Source, now: datetime) -> tuple[list[ox.NamedNode], dict[ox.NamedNode, tuple[float, float]]]:
    """Region -> carbon intensity and power usage effectiveness, of the newest energy mix that holds at `now`."""
    newest: dict[ox.NamedNode, tuple[datetime, float, float]] = {}
    start = datetime.min.replace(tzinfo=UTC)
    for row in source.rows("plan-regions"):
        node = row["region"]
        if not isinstance(node, ox.NamedNode):
            continue
        carbon, overhead = number(row["carbon"]), number(row["pue"])
        since = _moment(row["since"]) or start
        known = (since, np.nan if carbon is None else carbon, np.nan if overhead is None else overhead)
        old = newest.setdefault(node, (start, np.nan, np.nan))
        if since <= now and (since > old[0] or (since == old[0] and not old[1] >= known[1])):
            newest[node] = known
    regions = sorted(newest, key=lambda r: r.value)
    return regions, {r: newest[r][1:] for r in regions}


def _latency(source: Source, index: Mapping[ox.NamedNode, int], same: float) -> Floats:
    """One-way latency in ms from region to region; inf where none is known.

    The least stated value counts. A direction that nothing states takes the value of the other one: links are described
    once. Inside a region it is what is stated, or `same`.
    """
    size = len(index)
    forward = np.full((size, size), np.inf)
    for row in source.rows("plan-links"):
        a, b = index.get(row["source"]), index.get(row["sink"])
        value = number(row["latency"])
        if a is not None and b is not None and value is not None and value >= 0:
            forward[a, b] = min(forward[a, b], value)
    full = np.where(np.isfinite(forward), forward, forward.T)
    for a in range(size):
        if not np.isfinite(full[a, a]):
            full[a, a] = same
    return full


def read_values(source: Source, prop: ox.NamedNode, offers: list[ox.NamedNode], *, largest: bool) -> Floats:
    """A property's value per offer, NaN where not known; of several the largest or the smallest."""
    index = {offer: i for i, offer in enumerate(offers)}
    out = np.full(len(offers), np.nan)
    for row in source.rows("plan-values", property=prop):
        at, value = index.get(row["offer"]), number(row["value"])
        if at is None or value is None:
            continue
        if np.isnan(out[at]) or (value > out[at]) == largest:
            out[at] = value
    return out


def number(term: object) -> float | None:
    """The finite number a literal stands for, or None."""
    if not isinstance(term, ox.Literal):
        return None
    try:
        value = float(term.value)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _keep(into: dict[ox.NamedNode, float], key: ox.NamedNode, value: float | None, choose: object) -> None:
    if value is not None:
        old = into.get(key)
        into[key] = value if old is None or np.isnan(old) else choose(old, value)  # type: ignore[operator]


def _node(term: object) -> ox.NamedNode | None:
    return term if isinstance(term, ox.NamedNode) else None


def _true(term: Term | object) -> bool:
    return isinstance(term, ox.Literal) and term.value in ("true", "1")


def _moment(term: object) -> datetime | None:
    if not isinstance(term, ox.Literal):
        return None
    try:
        moment = datetime.fromisoformat(term.value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
