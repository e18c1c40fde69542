"""The choice among actions: forecasts from the network, verdicts from rules and shapes, one decision with its reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyoxigraph as ox

from reasoners.control.actions import candidates, cost, desired
from reasoners.control.aeon import LARGEST, Analysis, Question, analyse
from reasoners.control.forecast import experience, forecast, under
from reasoners.control.model import Action, Deployment, Forecast, Network, Runtime, Suspicion
from reasoners.control.network import build, read_runtime
from reasoners.control.record import action_triples, forecast_triples
from reasoners.decision import Candidate, Decided, Rejection, ScoreComponent, Verdict
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.conclusions import ChoosingRule, active, compile_rule, rows
from reasoners.vocab import DAPP, DAPPI, XSD

Check = Callable[[Sequence[ox.Triple], Sequence[ox.Triple]], list[dict[str, Any]]]
"""Violations of the state that would be: dictionaries with `shape`, `message`, `focus`, `value`."""

VIEWS = (
    "control-applications", "control-dependencies", "control-deployments", "control-flows", "control-goals",
    "control-hosts", "control-links", "control-priors", "control-record", "control-starts", "control-supply",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How to decide. `base`: IRI under which actions are named; `incident`: what they are for.

    `horizon` is in seconds. Weights are for 1 of: probability of not recovering, the horizon spent on recovery, the whole
    present price. `told`: actions that the record names, the chosen and the stopped ones first.
    """

    base: str
    incident: ox.NamedNode
    application: ox.NamedNode | None = None
    horizon: float = 30.0
    risk: float = 0.6
    delay: float = 0.25
    price: float = 0.1
    told: int = 24
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """One action with everything that speaks for and against it; `rank` among the eligible, 1 is best."""

    action: Action
    forecast: Forecast
    blast: int
    cost: float | None
    score: float
    parts: tuple[ScoreComponent, ...]
    verdicts: tuple[Verdict, ...]
    violations: tuple[dict[str, Any], ...] = ()
    rank: int | None = None
    courses: tuple[float, ...] = ()  # probability under each suspicion, in their order
    reliance: float = 1.0

    @property
    def eligible(self) -> bool:
        """Whether nothing stops it."""
        return not self.verdicts


@dataclass(frozen=True)
class Controlled(Decided):
    """A decision about an incident. `judged`: every action looked at, best first, the stopped ones last."""

    incident: ox.NamedNode = field(default_factory=lambda: ox.NamedNode("urn:dappops:none"))
    judged: tuple[Judged, ...] = ()
    chosen: Judged | None = None
    network: Network | None = None
    before: Analysis = field(default_factory=Analysis)
    after: Analysis = field(default_factory=Analysis)
    horizon: float = 0.0
    notes: tuple[str, ...] = ()


def control(
    view: View,
    suspicions: Sequence[Suspicion],
    rules: Sequence[ChoosingRule],
    check: Check,
    options: Options,
    *,
    views: Mapping[str, str],
    now: datetime,
) -> Controlled:
    """Look at what could be done about the suspected faults and choose. Nothing eligible: `chosen` is None.

    Raises InputError for a rule or view that cannot be used, or when nothing is deployed.
    """
    runtime = read_runtime(view, views, options.application)
    known = experience(view, views)
    suits = _Suits(runtime, check, options.incident)
    actions = candidates(runtime, suspicions, options.base, suits)
    best = max(suspicions, key=lambda s: s.confidence, default=None)
    faulty = under(runtime, None, best, known)
    judged = []
    for action in actions:
        made, courses = forecast(runtime, action, suspicions, known, horizon=options.horizon, seed=options.seed)
        one = _judge(runtime, faulty, action, made, suits, options)
        judged.append(replace(one, courses=tuple(c.probability for c in courses), reliance=known.reliance(action.kind)))
    judged, acted = _ruled(view, judged, rules, runtime, options, now)
    judged = _ranked(judged)
    chosen = next((j for j in judged if j.rank == 1), None)
    network = _shown(faulty)
    questions = [
        Question(network, tuple(v.name for v in network.variables if v.name.startswith(("run_", "free_", "link_"))))
    ]
    if chosen is not None:
        questions.append(Question(_shown(under(runtime, chosen.action, best, known))))
    answers = analyse(questions)
    return Controlled(
        purpose="control", application=runtime.application,
        candidates=tuple(_candidate(j, options.incident, chosen) for j in judged[: options.told]),
        rejections=_rejections(judged, options.incident),
        parts=chosen.parts if chosen is not None else (),
        rules=tuple(sorted(acted, key=lambda r: r.value)),
        objective=chosen.score if chosen is not None else None, gap=0.0 if chosen is not None else None,
        solver="Boolean network, Markov chain, biodivine_aeon", seed=options.seed,
        incident=options.incident, judged=tuple(judged), chosen=chosen, network=network, before=answers[0],
        after=answers[1] if len(answers) > 1 else Analysis(reason="nothing was chosen"),
        horizon=options.horizon, notes=build(runtime).notes,
    )  # fmt: skip


def _shown(network: Network) -> Network:
    """What is analysed and kept: everything, or what the goal depends on when that is too much."""
    return network if len(network.variables) <= LARGEST else network.cone(frozenset())


class _Suits:
    """Whether a deployment suits a host, asked once: what the shapes say of that one move."""

    def __init__(self, runtime: Runtime, check: Check, incident: ox.NamedNode) -> None:
        self.runtime, self.check, self.incident = runtime, check, incident
        self._known: dict[tuple[ox.NamedNode, ox.NamedNode], list[dict[str, Any]]] = {}

    def __call__(self, deployment: Deployment, host: ox.NamedNode) -> bool:
        return not self.of(deployment.node, host)

    def of(self, deployment: ox.NamedNode, host: ox.NamedNode) -> list[dict[str, Any]]:
        """The violations of one move."""
        key = (deployment, host)
        if key not in self._known:
            probe = Action(
                ox.NamedNode("urn:dappops:probe"), DAPP.MigrateAction, (deployment,), {deployment: host}, to=host
            )
            self._known[key] = self.check(*desired(self.runtime, probe))
        return self._known[key]

    def violations(self, action: Action, *, hopeless: bool = False) -> list[dict[str, Any]]:
        """What the shapes say of the state after an action; of a hopeless one only what they said already."""
        if not action.touched:
            return []
        if hopeless:
            known = [self._known.get((deployment, host), []) for deployment, host in action.moves.items()]
            return known[0] if len(known) == 1 else []
        removed, added = desired(self.runtime, action)
        told = action_triples(action, self.incident, 0, DAPPI.Committed)
        if len(action.moves) == 1 and not action.restarts:  # its deployment was asked about already
            ((deployment, host),) = action.moves.items()
            return [*self.of(deployment, host), *self.check([], told)]
        return self.check(removed, [*added, *told])


def _judge(
    runtime: Runtime, faulty: Network, action: Action, made: Forecast, suits: _Suits, options: Options
) -> Judged:
    running = {v.about for v in faulty.variables if v.name.startswith("run_") and v.value}
    blast = len(action.touched & running)
    extra = cost(runtime, action)
    prices = [runtime.hosts[d.host].price for d in runtime.deployments.values() if d.wanted]
    whole = sum(p for p in prices if p is not None) or 1.0
    took = made.expected if made.expected is not None else options.horizon
    parts = [
        ScoreComponent(DAPPI.Availability, 100 * made.probability, options.risk, options.risk * (1 - made.probability)),
        ScoreComponent(
            DAPPI.ProvisioningTime, took, options.delay, options.delay * min(1.0, took / max(1e-9, options.horizon))
        ),
    ]
    if extra is not None:
        parts.append(ScoreComponent(DAPPI.HourlyPrice, extra, options.price, options.price * max(0.0, extra) / whole))
    violations = suits.violations(action, hopeless=made.probability < 0.01)
    return Judged(action, made, blast, extra, 0.0, tuple(parts), tuple(_verdicts(violations)), tuple(violations))


def _verdicts(violations: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """One verdict per shape; what was found is what the shape tells."""
    found: dict[ox.NamedNode, dict[str, None]] = {}
    for violation in violations:
        shape = ox.NamedNode(str(violation["shape"]).strip("<>"))
        found.setdefault(shape, {})[str(violation["message"])] = None
    return [
        Verdict(s, s, found=tuple(ox.Literal(m, language="en") for m in texts))
        for s, texts in sorted(found.items(), key=str)
    ]


def _ruled(
    view: View,
    judged: Sequence[Judged],
    rules: Sequence[ChoosingRule],
    runtime: Runtime,
    options: Options,
    now: datetime,
) -> tuple[list[Judged], set[ox.NamedNode]]:
    """What the rules say of the actions, which they see as triples beside everything else."""
    store = ox.Store()
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object) for t in view.triples())
    for j in judged:
        told = action_triples(j.action, options.incident, j.blast, DAPPI.Proposed)
        told += forecast_triples(ox.NamedNode(f"{j.action.node.value}/forecast"), j.action.node, j.forecast)
        store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in told)
    work = View(store)
    given: dict[str, ox.NamedNode | ox.Literal] = {
        "application": runtime.application,
        "now": ox.Literal(now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), datatype=XSD.dateTime),
        "currency": ox.Literal(""),
    }
    hard: dict[ox.NamedNode, list[Verdict]] = {}
    soft: dict[ox.NamedNode, dict[ox.NamedNode, tuple[float, float]]] = {}
    acted: set[ox.NamedNode] = set()
    mine = sorted({j.action.node for j in judged}, key=lambda n: n.value)
    for rule in active(rules, "control"):
        for head in compile_rule(rule):
            for subject, obj, constraint, wanted, found, margin, penalty in rows(
                head, work, given, options.incident if head.per_unit else None
            ):
                if not head.open_object and obj != options.incident:
                    continue
                named = constraint if isinstance(constraint, ox.NamedNode) else rule.iri
                verdict = Verdict(named, rule.iri, _terms(wanted), _terms(found), False, True, _figure(margin))
                for node in mine:
                    if not head.open_subject and node != subject:
                        continue
                    acted.add(rule.iri)
                    if head.hard:
                        hard.setdefault(node, []).append(verdict)
                        continue
                    worth, value = _penalty(rule, penalty), _figure(found)
                    costs = soft.setdefault(node, {})
                    if worth >= costs.get(named, (0.0, -1.0))[1]:
                        costs[named] = (value if value is not None else 1.0, worth)
    out = []
    for j in judged:
        verdicts = [*j.verdicts, *dict.fromkeys(hard.get(j.action.node, ()))]
        extra = [
            ScoreComponent(named, value, worth / value if value else worth, worth)
            for named, (value, worth) in sorted(soft.get(j.action.node, {}).items(), key=lambda s: s[0].value)
        ]
        out.append(replace(j, verdicts=tuple(verdicts), parts=(*j.parts, *extra)))
    return out, acted


def _penalty(rule: ChoosingRule, asked: object) -> float:
    """What a soft rule takes: its weight times its ?penalty (1 when it binds none)."""
    figure = _figure(asked)
    worth = float(rule.weight) * (1.0 if figure is None else figure)
    if worth < 0 or math.isnan(worth):
        raise InputError(
            f"the penalty {worth:g} is negative", place=rule.iri.value, rule="dapp:weight",
            remedy="a soft rule discourages: give it and ?penalty values of at least 0",
        )  # fmt: skip
    return worth


def _ranked(judged: Sequence[Judged]) -> list[Judged]:
    scored = [replace(j, score=sum(p.contribution for p in j.parts)) for j in judged]
    scored.sort(key=lambda j: (not j.eligible, j.score, len(j.action.touched), _order(j.action.node)))
    ranks = iter(range(1, len(scored) + 1))
    return [replace(j, rank=next(ranks)) if j.eligible else j for j in scored]


def _order(node: ox.NamedNode) -> tuple[int, str]:
    tail = node.value.rsplit("/", 1)[-1]
    return (int(tail) if tail.isdigit() else 0, node.value)


def _candidate(judged: Judged, incident: ox.NamedNode, chosen: Judged | None) -> Candidate:
    return Candidate(
        judged.action.node, incident, judged.eligible, judged is chosen, judged.score, judged.rank, judged.verdicts,
        judged.parts,
    )  # fmt: skip


def _rejections(judged: Sequence[Judged], incident: ox.NamedNode) -> tuple[Rejection, ...]:
    stopped: dict[ox.NamedNode, list[Judged]] = {}
    for j in judged:
        for constraint in {v.constraint for v in j.verdicts}:
            stopped.setdefault(constraint, []).append(j)
    return tuple(
        Rejection(
            incident, constraint, len(those), sum(1 for j in those if {v.constraint for v in j.verdicts} == {constraint}),
            tuple(sorted({v.rule for j in those for v in j.verdicts if v.constraint == constraint}, key=lambda r: r.value)),
        )
        for constraint, those in sorted(stopped.items(), key=lambda s: s[0].value)
    )  # fmt: skip


def _terms(value: object) -> tuple[Term, ...]:
    return (value,) if isinstance(value, ox.NamedNode | ox.Literal) else ()


def _figure(value: object) -> float | None:
    if not isinstance(value, ox.Literal):
        return None
    try:
        return float(value.value)
    except ValueError:
        return None
