"""Reads the graph through its views, lets the rules judge, scores what is left, and tells the choice with its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyoxigraph as ox

from reasoners.compose.judge import Judgement, judge
from reasoners.compose.model import VIEWS, Choice, Combination, Forecast, Options, Request
from reasoners.compose.overlay import overlay
from reasoners.compose.predict import Point, predict
from reasoners.decision import (
    Candidate,
    Conflict,
    Rejection,
    ScoreComponent,
    labels,
    number,
)
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.sparql.conclusions import ChoosingRule, numeric
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

REQUEST = ox.NamedNode("urn:dappops:compose:request")  # seen by the rules of one call, never kept
TIME, ENERGY = DAPPI.ResponseTime, DAPPI.EnergyPerRequest


@dataclass(frozen=True)
class _Table:
    combinations: tuple[Combination, ...]
    forecasts: Mapping[ox.NamedNode, Forecast]
    judgement: Judgement


def make(
    view: View,
    request: Request,
    rules: Sequence[ChoosingRule],
    options: Options,
    views: Mapping[str, str],
    now: datetime,
) -> Choice:
    """See `reasoners.compose.compose`."""
    missing = [name for name in VIEWS if name not in views]
    if missing:
        raise InputError(f"the view {missing[0]} is missing", remedy="hand in every queries/views/compose-*.rq")
    if now.tzinfo is None:
        raise InputError("the time of the decision has no time zone", remedy="pass e.g. datetime.now(UTC)")
    _check(view, request, options)
    combinations = tuple(_combinations(view, request, options, views))
    points = _points(view, request, views)
    forecasts = {}
    for each in combinations:
        found = predict(points.get((each.variant, each.device, each.box), ()), request.size)
        if found is not None:
            forecasts[each.iri] = found
    application = request.application or request.unit or request.function
    scopes = tuple(dict.fromkeys(s for s in (request.function, request.unit, request.application) if s is not None))
    given: dict[str, ox.NamedNode | ox.Literal] = {
        "application": application,
        "now": ox.Literal(now.isoformat().replace("+00:00", "Z"), datatype=XSD.dateTime),
    }
    statements = list(_statements(request, options, combinations, forecasts))
    with overlay(view, statements) as seen:
        judgement = judge(seen, rules, [c.iri for c in combinations], scopes, given)
    return _choose(view, request, options, _Table(combinations, forecasts, judgement))


def _check(view: View, request: Request, options: Options) -> None:
    if ox.Triple(request.function, RDF.type, DAPP.Function) not in view:
        raise InputError(
            "there is no such function",
            place=request.function.value,
            remedy="publish the library: `dappops function list --publish`",
        )
    for name, value, least in (
        ("size", request.size, 1),
        ("calls", request.calls if request.calls is not None else 1, 1),
        ("time weight", options.time_weight, 0),
        ("energy weight", options.energy_weight, 0),
        ("caution", options.caution, 0),
    ):
        if value < least:
            raise InputError(f"{name} {value:g} is too small", rule=f"{name} of at least {least}", remedy="correct it")
    if options.time_weight + options.energy_weight <= 0:
        raise InputError("nothing counts", rule="time and energy weights", remedy="give one of them a weight above 0")
    if request.deadline is not None and request.deadline <= 0:
        raise InputError(f"a deadline of {request.deadline:g} ms cannot be met", rule="a deadline above 0 ms")


def _rows(view: View, text: str, given: Mapping[str, ox.NamedNode]) -> Iterator[Mapping[str, object]]:
    found = view.select(text, substitutions={ox.Variable(k): v for k, v in given.items()})
    names = [v.value for v in found.variables]
    for row in found:
        yield {name: row[i] for i, name in enumerate(names)}


def _combinations(view: View, request: Request, options: Options, views: Mapping[str, str]) -> Iterator[Combination]:
    given = {"function": request.function}
    variants = _distinct(_rows(view, views["compose-variants"], given), "variant")
    devices = _distinct(_rows(view, views["compose-devices"], {}), "device")
    boxes = _distinct(_rows(view, views["compose-boxes"], {}), "box")
    names = labels(view, [*variants, *devices, *boxes])
    for variant in variants:
        for device in devices:
            for box in boxes:
                local = "-".join(("option", _tail(variant, 2), _tail(device, 3), _tail(box, 1)))
                yield Combination(
                    ox.NamedNode(f"{options.base}/{local}"), variant, device, box,
                    f"{_name(variant, names)} on {_name(device, names)}, {_name(box, names)}",
                )  # fmt: skip


def _distinct(found: Iterator[Mapping[str, object]], column: str) -> list[ox.NamedNode]:
    return list(dict.fromkeys(n for row in found if isinstance(n := row[column], ox.NamedNode)))


def _tail(node: ox.NamedNode, parts: int) -> str:
    return "-".join(node.value.replace("#", "/").split("/")[-parts:])


def _name(node: ox.NamedNode, names: Mapping[ox.NamedNode, str]) -> str:
    return names.get(node) or _tail(node, 1)


Key = tuple[ox.NamedNode, ox.NamedNode, ox.NamedNode]


def _points(view: View, request: Request, views: Mapping[str, str]) -> dict[Key, list[Point]]:
    points: dict[Key, list[Point]] = {}
    for row in _rows(view, views["compose-profiles"], {"function": request.function}):
        size, time = numeric(row["size"]), numeric(row["time"])
        key = (row["variant"], row["device"], row["box"])
        if size is None or time is None or not all(isinstance(k, ox.NamedNode) for k in key):
            continue
        point = Point(size, time, numeric(row["spread"]) or 0.0, numeric(row["cold"]) or 0.0, numeric(row["energy"]))
        points.setdefault(key, []).append(point)  # type: ignore[arg-type]
    return points


def _statements(
    request: Request, options: Options, combinations: Sequence[Combination], forecasts: Mapping[ox.NamedNode, Forecast]
) -> Iterator[ox.Triple]:
    """The request and its candidates as the rules see them."""
    yield ox.Triple(REQUEST, RDF.type, DAPP.DecisionRequest)
    yield from request_triples(REQUEST, request)
    for each in combinations:
        yield ox.Triple(REQUEST, DAPP.hasCandidate, each.iri)
        yield ox.Triple(each.iri, RDF.type, DAPP.Candidate)
        yield from combination_triples(each)
        forecast = forecasts.get(each.iri)
        if forecast is not None:
            yield ox.Triple(each.iri, DAPP.executionTime, number(_time(forecast, options)))
            yield ox.Triple(each.iri, DAPP.coldStart, number(_start(forecast, request)))
            if forecast.energy is not None:
                yield ox.Triple(each.iri, DAPP.energyUse, number(forecast.energy))


def request_triples(node: ox.NamedNode, request: Request) -> Iterator[ox.Triple]:
    """What was asked for, said of a request's node; the deadline is `dapp:bound` in milliseconds."""
    yield ox.Triple(node, DAPP.purpose, ox.Literal("compose"))
    yield ox.Triple(node, DAPP.usesFunction, request.function)
    yield ox.Triple(node, DAPP.inputSize, ox.Literal(request.size))
    if request.deadline is not None:
        yield ox.Triple(node, DAPP.bound, number(request.deadline))
    for predicate, value in (
        (DAPP.requiresIsolation, request.isolation),
        (DAPP.forUnit, request.unit),
        (DAPP.onResource, request.node),
    ):
        if value is not None:
            yield ox.Triple(node, predicate, value)


def combination_triples(each: Combination) -> Iterator[ox.Triple]:
    """What a combination is."""
    yield ox.Triple(each.iri, RDFS.label, ox.Literal(each.label))
    yield ox.Triple(each.iri, DAPP.ofVariant, each.variant)
    yield ox.Triple(each.iri, DAPP.onDevice, each.device)
    yield ox.Triple(each.iri, DAPP.inBox, each.box)


def _time(forecast: Forecast, options: Options) -> float:
    return forecast.time + options.caution * forecast.deviation


def _start(forecast: Forecast, request: Request) -> float:
    """What the first call pays for the start."""
    return forecast.cold if request.calls is not None else 0.0


# -- choosing --------------------------------------------------------------------------------------------------------
def _choose(view: View, request: Request, options: Options, table: _Table) -> Choice:
    judgement, forecasts = table.judgement, table.forecasts
    by_iri = {c.iri: c for c in table.combinations}
    eligible = [c.iri for c in table.combinations if not judgement.verdicts[c.iri] and c.iri in forecasts]
    times = {
        iri: _time(f, options) + (f.cold / request.calls if request.calls is not None else 0.0)
        for iri, f in forecasts.items()
    }
    energies = _energies(eligible, forecasts)
    best_time = min((times[i] for i in eligible), default=1.0) or 1.0
    best_energy = min((energies[i] for i in eligible), default=1.0) or 1.0

    def parts(iri: ox.NamedNode) -> tuple[ScoreComponent, ...]:
        shares = [ScoreComponent(TIME, times[iri], options.time_weight, options.time_weight * times[iri] / best_time)]
        if options.energy_weight:
            shares.append(
                ScoreComponent(
                    ENERGY, energies[iri], options.energy_weight, options.energy_weight * energies[iri] / best_energy
                )
            )
        soft = sorted(judgement.penalties[iri].items(), key=lambda item: item[0].value)
        return (*shares, *(ScoreComponent(constraint, worth, 1.0, worth) for constraint, worth in soft))

    scored = {iri: parts(iri) for iri in eligible}
    total = {iri: sum(p.contribution for p in found) for iri, found in scored.items()}
    ranked = sorted(eligible, key=lambda iri: (total[iri], iri.value))
    what = request.unit or request.function
    refused = sorted(
        (c.iri for c in table.combinations if judgement.verdicts[c.iri]),
        key=lambda iri: (
            len(judgement.verdicts[iri]),
            _shortfall(judgement, iri),
            times.get(iri, float("inf")),
            iri.value,
        ),
    )
    candidates = [
        Candidate(iri, what, True, rank == 1, total[iri], rank, scores=scored[iri])
        for rank, iri in enumerate(ranked[: 1 + options.misses], 1)
    ] + [
        Candidate(iri, what, False, verdicts=tuple(v for _, v in sorted(judgement.verdicts[iri].items(), key=lambda x: x[0].value)))
        for iri in refused[: options.misses]
    ]  # fmt: skip
    conflict = None if ranked else _conflict(view, what, table, refused)
    chosen = ranked[0] if ranked else None
    kept = {c.thing for c in candidates}
    return Choice(
        purpose="compose",
        application=request.application or request.unit or request.function,
        candidates=tuple(candidates),
        rejections=tuple(_rejections(what, judgement)),
        conflicts=(conflict,) if conflict else (),
        parts=scored[chosen] if chosen else (),
        rules=tuple(sorted(judgement.rules, key=lambda r: r.value)),
        objective=total[chosen] if chosen else None,
        gap=0.0 if chosen else None,
        solver="every combination",
        chosen=by_iri[chosen] if chosen else None,
        forecast=forecasts[chosen] if chosen else None,
        time=times[chosen] if chosen else None,
        energy=forecasts[chosen].energy if chosen else None,
        combinations=tuple(c for c in table.combinations if c.iri in kept),
        forecasts=tuple((iri, f) for iri, f in forecasts.items() if iri in kept),
        notes=(*judgement.notes, *_silent(table)),
    )


def _silent(table: _Table) -> Iterator[str]:
    """What no rule rejects and still cannot be chosen: nothing is chosen that was never measured."""
    count = sum(not table.judgement.verdicts[c.iri] and c.iri not in table.forecasts for c in table.combinations)
    if count:
        yield f"{count} combinations that no rule rejects were never measured: left out"


def _energies(
    eligible: Sequence[ox.NamedNode], forecasts: Mapping[ox.NamedNode, Forecast]
) -> dict[ox.NamedNode, float]:
    """Joules of a call; what is not known counts as much as the worst that is."""
    known = [e for i in eligible if (e := forecasts[i].energy) is not None]
    worst = max(known, default=1.0)
    return {i: e if (e := forecasts[i].energy) is not None else worst for i in eligible}


def _shortfall(judgement: Judgement, iri: ox.NamedNode) -> float:
    margins = [v.margin for v in judgement.verdicts[iri].values()]
    return sum(abs(m) if m is not None else 1e6 for m in margins)


def _rejections(what: ox.NamedNode, judgement: Judgement) -> Iterator[Rejection]:
    counts: dict[ox.NamedNode, list[ox.NamedNode]] = {}
    for iri, verdicts in judgement.verdicts.items():
        for constraint in verdicts:
            counts.setdefault(constraint, []).append(iri)
    for constraint in sorted(counts, key=lambda c: c.value):
        which = counts[constraint]
        found = sorted({judgement.verdicts[i][constraint].rule for i in which}, key=lambda r: r.value)
        only = sum(len(judgement.verdicts[i]) == 1 for i in which)
        yield Rejection(what, constraint, len(which), only, tuple(found))


def _conflict(view: View, what: ox.NamedNode, table: _Table, refused: Sequence[ox.NamedNode]) -> Conflict | None:
    """A smallest set of constraints that leaves nothing; each one left out makes the rest of the set possible."""
    verdicts = table.judgement.verdicts
    if not refused:
        return None
    # a combination without a forecast cannot be chosen whatever is left out, unless there are no others
    known = [iri for iri in refused if iri in table.forecasts] or refused
    members = sorted({c for iri in known for c in verdicts[iri]}, key=lambda c: c.value)
    for constraint in list(members):
        rest = set(members) - {constraint}
        if all(rest & set(verdicts[iri]) for iri in known):
            members.remove(constraint)
    near = known[:3]
    names = labels(view, {c for iri in near for c in verdicts[iri]})
    texts = {c.iri: c.label for c in table.combinations}
    return Conflict(
        what, tuple(members),
        tuple(
            f"{texts[iri]}, without: " + "; ".join(_name(c, names) for c in sorted(verdicts[iri], key=lambda c: c.value))
            for iri in near
        ),
    )  # fmt: skip
