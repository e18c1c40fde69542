"""Decisions as triples: what was chosen, what was rejected and why, written once and read back without loss.

Shared floor: any reasoner that chooses among candidates fills a `Decided` and gets the same record and the same
explanation. Recomputing a verdict (`why_not`) needs the reasoner that decided and stays with it; rendering is the command
line's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pyoxigraph as ox

from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.vocab import DAPP, RDF, RDFS, XSD


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one constraint said of one candidate.

    `found` is empty when nothing was found; `known` says whether the constraint names what it looked for and found none
    (False: not known). `margin` is the signed distance from the bound in the unit of the constraint's metric, negative
    when not met; None where there is no distance.
    """

    constraint: ox.NamedNode
    rule: ox.NamedNode
    wanted: tuple[Term, ...] = ()
    found: tuple[Term, ...] = ()
    satisfied: bool = False
    known: bool = True
    margin: float | None = None


def as_one(one: Verdict, other: Verdict) -> Verdict:
    """Two refusals of one candidate by one constraint, told as one; the smaller shortfall counts."""
    margins = [m for m in (one.margin, other.margin) if m is not None]
    return Verdict(
        one.constraint, min(one.rule, other.rule, key=lambda r: r.value),
        tuple(sorted({*one.wanted, *other.wanted}, key=str)), tuple(sorted({*one.found, *other.found}, key=str)),
        False, one.known or other.known, max(margins) if margins else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScoreComponent:
    """Share of one metric (or of one soft constraint) in a score: value in the metric's unit, smaller sums are better."""

    metric: ox.NamedNode
    value: float
    weight: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that was looked at for one unit."""

    thing: ox.NamedNode
    unit: ox.NamedNode
    eligible: bool
    chosen: bool = False
    score: float | None = None
    rank: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    scores: tuple[ScoreComponent, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Candidates of one unit that one constraint rejected; `only` of them would be eligible without it.

    The graph keeps `count`; `only` (None once read back) stays in the table beside it.
    """

    unit: ox.NamedNode
    constraint: ox.NamedNode
    count: int
    only: int | None = None
    rules: tuple[ox.NamedNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Constraints that cannot all be met, of which each one left out makes the rest possible.

    `unit` is None when the conflict is between units. `relaxations` say in words which change makes a choice possible.
    """

    unit: ox.NamedNode | None
    members: tuple[ox.NamedNode, ...]
    relaxations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    unit: ox.NamedNode
    offer: ox.NamedNode


@dataclass(frozen=True, slots=True)
class State:
    """The head of one graph that a decision read."""

    graph: ox.NamedNode
    sequence: int
    head: str


@dataclass(frozen=True)
class Decided:
    """What any decision leaves behind. `gap` 0 means proven optimal; None that no bound is known."""

    purpose: str
    application: ox.NamedNode
    placements: tuple[Placement, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    parts: tuple[ScoreComponent, ...] = ()
    rules: tuple[ox.NamedNode, ...] = ()
    objective: float | None = None
    gap: float | None = None
    solver: str = ""
    solver_version: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Record(Decided):
    """A decision read back from a graph."""

    iri: ox.NamedNode = field(default_factory=lambda: ox.NamedNode("urn:dappops:none"))
    request: ox.NamedNode | None = None
    decided_by: ox.NamedNode | None = None
    at_time: str = ""
    used_state: tuple[State, ...] = ()


@dataclass(frozen=True)
class UnitReason:
    """Why one unit stands where it stands: the choice, what came closest, and how many each constraint rejected."""

    unit: ox.NamedNode
    chosen: Candidate | None
    misses: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True)
class Explanation:
    """A decision told unit by unit. `labels` gives a name for every IRI in it that the view can name."""

    record: Record
    units: tuple[UnitReason, ...]
    between_units: tuple[Conflict, ...]
    labels: Mapping[ox.NamedNode, str]


def number(value: float) -> ox.Literal:
    """An exact xsd:decimal of at most 12 significant digits (the store refuses more than 18)."""
    text = format(Decimal(f"{value:.12g}"), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, part = text.partition(".")
    if len(whole.lstrip("-")) + len(part) > 18:
        text = format(Decimal(value).quantize(Decimal("1e-9")), "f") if len(whole.lstrip("-")) < 9 else whole
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return ox.Literal("0" if text in ("-0", "") else text, datatype=XSD.decimal)


def decision_triples(
    decided: Decided,
    request: ox.NamedNode | None = None,
    *,
    used_state: Iterable[tuple[ox.NamedNode, int, str]],
    decided_by: ox.NamedNode,
    at_time: ox.Literal,
    base_iri: str,
) -> list[ox.Triple]:
    """The record of a decision, its node being `base_iri` itself and everything it owns `base_iri/<kind>/<number>`.

    No blank nodes; the same input gives the same triples. `request` None makes a request of its own; a decision whose
    application is its own request is for no application. Bounded: candidates are the chosen ones and the near misses that
    `decided` carries, all others are counts.
    """
    writer = _Writer(ox.NamedNode(base_iri))
    me = writer.me
    writer.add(me, RDF.type, DAPP.Decision)
    writer.add(me, DAPP.purpose, ox.Literal(decided.purpose))
    if request is None:
        request = writer.node("request", DAPP.DecisionRequest)
        writer.add(request, DAPP.purpose, ox.Literal(decided.purpose))
        writer.add(request, DAPP.onApplication, decided.application)
    writer.add(me, DAPP.answers, request)
    if decided.application != request:
        writer.add(me, DAPP.onApplication, decided.application)
    writer.add(me, DAPP.decidedBy, decided_by)
    writer.add(me, DAPP.atTime, at_time)
    if decided.solver:
        writer.add(me, DAPP.solver, ox.Literal(decided.solver))
    if decided.solver_version:
        writer.add(me, DAPP.solverVersion, ox.Literal(decided.solver_version))
    writer.add(me, DAPP.seed, ox.Literal(decided.seed))
    if decided.gap is not None:
        writer.add(me, DAPP.optimalityGap, number(decided.gap))
    if decided.objective is not None:
        writer.add(me, DAPP.objectiveValue, number(decided.objective))
    for rule in decided.rules:
        writer.add(me, DAPP.byRule, rule)
    for graph, sequence, head in used_state:
        state = writer.node("state", DAPP.GraphHead)
        writer.add(me, DAPP.usedState, state)
        writer.add(state, DAPP.ofGraph, graph)
        writer.add(state, DAPP.sequence, ox.Literal(sequence))
        writer.add(state, DAPP.headHash, ox.Literal(head))
    for placement in decided.placements:
        node = writer.node("placement", DAPP.Placement)
        writer.add(me, DAPP.chose, node)
        writer.add(node, DAPP.placesUnit, placement.unit)
        writer.add(node, DAPP.onOffer, placement.offer)
        writer.add(node, DAPP.inDecision, me)
    for part in decided.parts:
        writer.score(me, part)
    for candidate in decided.candidates:
        writer.candidate(candidate)
    for rejection in decided.rejections:
        node = writer.node("rejection", DAPP.RejectionSummary)
        writer.add(me, DAPP.hasRejection, node)
        writer.add(node, DAPP.forUnit, rejection.unit)
        writer.add(node, DAPP.constraint, rejection.constraint)
        writer.add(node, DAPP.count, ox.Literal(rejection.count))
        for rule in rejection.rules:
            writer.add(node, DAPP.byRule, rule)
    for conflict in decided.conflicts:
        node = writer.node("conflict", DAPP.ConflictSet)
        writer.add(me, DAPP.hasConflict, node)
        if conflict.unit is not None:
            writer.add(node, DAPP.forUnit, conflict.unit)
        for member in conflict.members:
            writer.add(node, DAPP.member, member)
        for text in conflict.relaxations:
            writer.add(node, DAPP.relaxation, ox.Literal(text))
    return writer.triples


class _Writer:
    def __init__(self, me: ox.NamedNode) -> None:
        self.me = me
        self.triples: list[ox.Triple] = []
        self._count: dict[str, int] = {}

    def add(self, subject: ox.NamedNode, predicate: ox.NamedNode, obj: Term) -> None:
        self.triples.append(ox.Triple(subject, predicate, obj))

    def node(self, kind: str, cls: ox.NamedNode) -> ox.NamedNode:
        n = self._count[kind] = self._count.get(kind, 0) + 1
        node = ox.NamedNode(f"{self.me.value}/{kind}/{n}")
        self.add(node, RDF.type, cls)
        return node

    def score(self, owner: ox.NamedNode, part: ScoreComponent) -> None:
        node = self.node("score", DAPP.ScoreComponent)
        self.add(owner, DAPP.hasScore, node)
        self.add(node, DAPP.ofMetric, part.metric)
        self.add(node, DAPP.value, number(part.value))
        self.add(node, DAPP.weight, number(part.weight))
        self.add(node, DAPP.contribution, number(part.contribution))

    def candidate(self, candidate: Candidate) -> None:
        node = self.node("candidate", DAPP.Candidate)
        self.add(self.me, DAPP.hasCandidate, node)
        self.add(node, DAPP.ofThing, candidate.thing)
        self.add(node, DAPP.forUnit, candidate.unit)
        self.add(node, DAPP.eligible, ox.Literal(candidate.eligible))
        if candidate.score is not None:
            self.add(node, DAPP.totalScore, number(candidate.score))
        if candidate.rank is not None:
            self.add(node, DAPP.rank, ox.Literal(candidate.rank))
        for verdict in candidate.verdicts:
            self.verdict(node, verdict)
        for part in candidate.scores:
            self.score(node, part)

    def verdict(self, owner: ox.NamedNode, verdict: Verdict) -> None:
        node = self.node("verdict", DAPP.ConstraintVerdict)
        self.add(owner, DAPP.hasVerdict, node)
        self.add(node, DAPP.constraint, verdict.constraint)
        self.add(node, DAPP.byRule, verdict.rule)
        self.add(node, DAPP.satisfied, ox.Literal(verdict.satisfied))
        for term in verdict.wanted:
            if not isinstance(term, ox.BlankNode):
                self.add(node, DAPP.wanted, term)
        for term in verdict.found:
            if not isinstance(term, ox.BlankNode):
                self.add(node, DAPP.found, term)
        if not verdict.known:
            self.add(node, DAPP.found, NOT_KNOWN)
        if verdict.margin is not None:
            self.add(node, DAPP.margin, number(verdict.margin))


NOT_KNOWN = ox.Literal("not known", language="en")


def read_decision(view: View, iri: ox.NamedNode) -> Record:
    """The decision `iri` as `decision_triples` wrote it. Raises InputError when the view holds no such decision."""
    if ox.Triple(iri, RDF.type, DAPP.Decision) not in view:
        raise InputError(
            "there is no such decision", place=str(iri), remedy="list them: SELECT ?d { ?d a dapp:Decision }"
        )
    read = _Reader(view)
    request = read.node(iri, DAPP.answers)
    application = read.node(iri, DAPP.onApplication) or (read.node(request, DAPP.onApplication) if request else None)
    application = application or request  # a free need is asked for no application
    if application is None:
        raise InputError("the decision names no application", place=str(iri), rule=DAPP.onApplication.value)
    placements = tuple(
        Placement(read.need(n, DAPP.placesUnit), read.need(n, DAPP.onOffer)) for n in read.owned(iri, DAPP.chose)
    )
    chosen = {(p.unit, p.offer) for p in placements}
    purpose = read.text(iri, DAPP.purpose) or ""
    candidates = tuple(read.candidate(n, chosen) for n in read.owned(iri, DAPP.hasCandidate))
    if purpose in (
        "recommend",
        "compose",
        "control",
        "ledger",
    ):  # these place nothing: what they choose is what they rank first
        candidates = tuple(replace(c, chosen=c.eligible and c.rank == 1) for c in candidates)
    return Record(
        purpose=purpose,
        application=application,
        placements=placements,
        candidates=candidates,
        rejections=tuple(read.rejection(n) for n in read.owned(iri, DAPP.hasRejection)),
        conflicts=tuple(read.conflict(n) for n in read.owned(iri, DAPP.hasConflict)),
        parts=tuple(read.score(n) for n in read.owned(iri, DAPP.hasScore)),
        rules=read.nodes(iri, DAPP.byRule),
        objective=read.number(iri, DAPP.objectiveValue),
        gap=read.number(iri, DAPP.optimalityGap),
        solver=read.text(iri, DAPP.solver) or "",
        solver_version=read.text(iri, DAPP.solverVersion) or "",
        seed=int(read.number(iri, DAPP.seed) or 0),
        iri=iri,
        request=request,
        decided_by=read.node(iri, DAPP.decidedBy),
        at_time=read.text(iri, DAPP.atTime) or "",
        used_state=tuple(
            State(
                read.need(n, DAPP.ofGraph), int(read.number(n, DAPP.sequence) or 0), read.text(n, DAPP.headHash) or ""
            )
            for n in read.owned(iri, DAPP.usedState)
        ),
    )


class _Reader:
    def __init__(self, view: View) -> None:
        self.view = view

    def nodes(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> tuple[ox.NamedNode, ...]:
        found = [o for o in self.view.objects(subject, predicate) if isinstance(o, ox.NamedNode)]
        return tuple(sorted(found, key=lambda n: n.value))

    def owned(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> tuple[ox.NamedNode, ...]:
        """Parts in the order in which they were written: their IRIs end in a number."""

        def order(node: ox.NamedNode) -> tuple[str, int]:
            head, _, tail = node.value.rpartition("/")
            return (head, int(tail)) if tail.isdigit() else (node.value, 0)

        return tuple(sorted(self.nodes(subject, predicate), key=order))

    def node(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> ox.NamedNode | None:
        return next(iter(self.nodes(subject, predicate)), None)

    def need(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> ox.NamedNode:
        node = self.node(subject, predicate)
        if node is None:
            raise InputError("the record of the decision has a gap", place=str(subject), rule=predicate.value)
        return node

    def terms(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> tuple[Term, ...]:
        return tuple(sorted(self.view.objects(subject, predicate), key=str))

    def text(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> str | None:
        value = self.view.value(subject, predicate)
        return value.value if isinstance(value, ox.Literal) else None

    def number(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> float | None:
        text = self.text(subject, predicate)
        return float(text) if text is not None else None

    def flag(self, subject: ox.NamedNode, predicate: ox.NamedNode) -> bool:
        return self.text(subject, predicate) in ("true", "1")

    def score(self, node: ox.NamedNode) -> ScoreComponent:
        value, weight, share = (self.number(node, p) or 0.0 for p in (DAPP.value, DAPP.weight, DAPP.contribution))
        return ScoreComponent(self.need(node, DAPP.ofMetric), value, weight, share)

    def verdict(self, node: ox.NamedNode) -> Verdict:
        found = self.terms(node, DAPP.found)
        constraint = self.need(node, DAPP.constraint)
        return Verdict(
            constraint=constraint,
            rule=self.node(node, DAPP.byRule) or constraint,
            wanted=self.terms(node, DAPP.wanted),
            found=tuple(t for t in found if t != NOT_KNOWN),
            satisfied=self.flag(node, DAPP.satisfied),
            known=NOT_KNOWN not in found,
            margin=self.number(node, DAPP.margin),
        )

    def candidate(self, node: ox.NamedNode, chosen: set[tuple[ox.NamedNode, ox.NamedNode]]) -> Candidate:
        unit, thing = self.need(node, DAPP.forUnit), self.need(node, DAPP.ofThing)
        rank = self.number(node, DAPP.rank)
        return Candidate(
            thing=thing,
            unit=unit,
            eligible=self.flag(node, DAPP.eligible),
            chosen=(unit, thing) in chosen,
            score=self.number(node, DAPP.totalScore),
            rank=int(rank) if rank is not None else None,
            verdicts=tuple(self.verdict(v) for v in self.owned(node, DAPP.hasVerdict)),
            scores=tuple(self.score(s) for s in self.owned(node, DAPP.hasScore)),
        )

    def rejection(self, node: ox.NamedNode) -> Rejection:
        return Rejection(
            self.need(node, DAPP.forUnit),
            self.need(node, DAPP.constraint),
            int(self.number(node, DAPP.count) or 0),
            rules=self.nodes(node, DAPP.byRule),
        )

    def conflict(self, node: ox.NamedNode) -> Conflict:
        texts = tuple(t.value for t in self.terms(node, DAPP.relaxation))
        return Conflict(self.node(node, DAPP.forUnit), self.nodes(node, DAPP.member), texts)


def why(view: View, decision: ox.NamedNode) -> Explanation:
    """The recorded reasons of a decision, unit by unit, in order of unit. Raises InputError as `read_decision` does."""
    record = read_decision(view, decision)
    units = (
        {p.unit for p in record.placements} | {c.unit for c in record.candidates} | {r.unit for r in record.rejections}
    )
    units |= {c.unit for c in record.conflicts if c.unit is not None}
    reasons = []
    for unit in sorted(units, key=lambda u: u.value):
        mine = [c for c in record.candidates if c.unit == unit]
        reasons.append(
            UnitReason(
                unit,
                next((c for c in mine if c.chosen), None),
                tuple(c for c in mine if not c.chosen),
                tuple(r for r in record.rejections if r.unit == unit),
                tuple(c for c in record.conflicts if c.unit == unit),
            )
        )
    between = tuple(c for c in record.conflicts if c.unit is None)
    return Explanation(record, tuple(reasons), between, labels(view, _iris(record)))


def labels(view: View, nodes: Iterable[ox.NamedNode]) -> dict[ox.NamedNode, str]:
    """rdfs:label of each node that has one, English first."""
    found: dict[ox.NamedNode, str] = {}
    for node in nodes:
        texts = [t for t in view.objects(node, RDFS.label) if isinstance(t, ox.Literal)]
        if texts:
            found[node] = min(texts, key=lambda t: (t.language not in ("en", None), t.language or "", t.value)).value
    return found


def _iris(record: Record) -> set[ox.NamedNode]:
    out = {record.application, *record.rules}
    for placement in record.placements:
        out |= {placement.unit, placement.offer}
    for candidate in record.candidates:
        out |= {candidate.thing, candidate.unit, *(s.metric for s in candidate.scores)}
        for verdict in candidate.verdicts:
            out |= {verdict.constraint, verdict.rule}
            out |= {t for t in (*verdict.wanted, *verdict.found) if isinstance(t, ox.NamedNode)}
    for rejection in record.rejections:
        out |= {rejection.unit, rejection.constraint, *rejection.rules}
    for conflict in record.conflicts:
        out |= set(conflict.members)
    return out | {part.metric for part in record.parts}
