"""From settled agreements to reputation: rules say what each settlement shows, a model says what that is worth.

Which settlements count and which dimensions they show kept or broken are rules of purpose `audit`; those shipped take what
lies under the authority of who assesses, since it read that from a chain itself. Assessments become triples and are compared
with those that stand, so that time alone does not make a commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyoxigraph as ox

from reasoners.audit.beta import expected, lower_bound, parameters
from reasoners.audit.model import Assessment, Audit, Model, Settled
from reasoners.decision import number
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.sparql.given import ConcludingRule, conclude, in_order
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

SETTLEMENTS, MODELS = "audit-settlements", "audit-models"
_FIELDS = {
    "half_life": "halfLife", "prior_alpha": "priorAlpha", "prior_beta": "priorBeta", "confidence": "confidenceLevel",
    "full_stake": "fullStake", "cap": "counterpartyCap",
}  # fmt: skip


def audit(
    view: View, rules: Sequence[ConcludingRule], *, assessor: str, views: Mapping[str, str], now: datetime
) -> Audit:
    """Assess every provider with settlements that count for `assessor`, an authority: the IRI up to the address and its slash.

    `views` are the texts of `queries/views/audit-*.rq`. Raises InputError for a model with a number out of range or a rule
    that does not run.
    """
    model = model_of(view, assessor, views)
    settled, used = settlements(view, rules, assessor=assessor, views=views)
    return Audit(model, now, tuple(assess(settled, model, now)), used)


def assess(settled: Iterable[Settled], model: Model, now: datetime) -> list[Assessment]:
    """Assessments of each provider: over all dimensions, kept when none was broken, and for each dimension."""
    sides: dict[tuple[ox.NamedNode, ox.NamedNode | None], list[tuple[Settled, bool]]] = defaultdict(list)
    for one in settled:
        if one.at > now or not (one.kept or one.broken):
            continue
        sides[one.provider, None].append((one, not one.broken))
        for dimension in one.kept | one.broken:
            sides[one.provider, dimension].append((one, dimension not in one.broken))
    found = []
    for (participant, part), outcomes in sides.items():
        alpha, beta = parameters(outcomes, model, now)
        rests = tuple(sorted({s.iri for s, _ in outcomes}, key=lambda i: i.value))
        found.append(
            Assessment(
                participant,
                part,
                alpha,
                beta,
                expected(alpha, beta),
                lower_bound(alpha, beta, model.confidence),
                rests,
            )
        )
    return sorted(found, key=lambda a: (a.participant.value, a.dimension.value if a.dimension else ""))


def settlements(
    view: View, rules: Sequence[ConcludingRule], *, assessor: str, views: Mapping[str, str]
) -> tuple[list[Settled], tuple[ox.NamedNode, ...]]:
    """Settled agreements of which the rules say something to this assessor, and these rules; one for each version.

    A version is settled once; of several settlements of one the first by time, then by IRI, counts.
    """
    kept: dict[Term, set[ox.NamedNode]] = defaultdict(set)
    broken: dict[Term, set[ox.NamedNode]] = defaultdict(set)
    used = []
    for rule in in_order(rules, "audit"):
        triples = conclude(view, rule, {"assessor": ox.Literal(assessor)})
        if triples:
            used.append(rule.iri)
        for triple in triples:
            side = {DAPP.keptDimension: kept, DAPP.brokenDimension: broken}.get(triple.predicate)
            if (
                side is not None
                and isinstance(triple.subject, ox.NamedNode)
                and isinstance(triple.object, ox.NamedNode)
            ):
                side[triple.subject].add(triple.object)
    rows: dict[ox.NamedNode, Settled] = {}
    for row in view.select(views[SETTLEMENTS]):
        iri, version, provider, consumer = row["settlement"], row["version"], row["provider"], row["consumer"]
        at, stake = row["at"], row["stake"]
        nodes = (iri, version, provider, consumer)
        if not all(isinstance(n, ox.NamedNode) for n in nodes) or not isinstance(at, ox.Literal):
            continue
        if iri not in kept and iri not in broken:
            continue
        one = Settled(*nodes, at=moment(at), stake=float(stake.value) if isinstance(stake, ox.Literal) else 0.0)
        first = rows.get(one.version)
        if first is None or (one.at, one.iri.value) < (first.at, first.iri.value):
            rows[one.version] = one
    made = [replace(s, kept=frozenset(kept[s.iri]), broken=frozenset(broken[s.iri])) for s in rows.values()]
    return sorted(made, key=lambda s: (s.at, s.iri.value)), tuple(used)


def model_of(view: View, assessor: str, views: Mapping[str, str]) -> Model:
    """The reputation model in force for an authority: its own that no other of its own supersedes, else the shipped one.

    What a model leaves out is taken from the shipped one. Models of others are data. Raises InputError when two are in
    force or a number is out of range.
    """
    rows: dict[ox.NamedNode, dict[str, float]] = {}
    newer: dict[ox.NamedNode, set[str]] = defaultdict(set)
    for row in view.select(views[MODELS]):
        iri = row["model"]
        if not isinstance(iri, ox.NamedNode):
            continue
        told = rows.setdefault(iri, {})
        for field, name in _FIELDS.items():
            value = row[name]
            if isinstance(value, ox.Literal):
                told[field] = float(value.value)
        if isinstance(row["newer"], ox.NamedNode):
            newer[iri].add(row["newer"].value)
    own = [i for i in rows if i.value.startswith(assessor) and not any(n.startswith(assessor) for n in newer[i])]
    if len(own) > 1:
        raise InputError(
            f"{len(own)} reputation models are in force",
            place=", ".join(sorted(i.value for i in own)),
            rule="one dapp:ReputationModel of an authority, superseding the others",
            remedy="let one dapp:supersedes the others, or retract them",
        )
    chosen = own[0] if own else DAPPI.DefaultReputationModel
    numbers = rows.get(DAPPI.DefaultReputationModel, {}) | rows.get(chosen, {})
    return _checked(Model(**numbers, iri=chosen if chosen in rows else None))


def _checked(model: Model) -> Model:
    bad = [
        _FIELDS[f] for f in ("half_life", "prior_alpha", "prior_beta", "full_stake", "cap") if not getattr(model, f) > 0
    ]
    if not 0 < model.confidence < 1:
        bad.append(_FIELDS["confidence"])
    if bad:
        raise InputError(
            f"dapp:{bad[0]} is out of range",
            place=model.iri.value if model.iri else "",
            rule="a reputation model has numbers above 0 and a confidence below 1",
            remedy="correct the number in your graph policy",
        )
    return model


def assessment_triples(node: ox.NamedNode, one: Assessment, model: Model, now: datetime) -> list[ox.Triple]:
    """An assessment as triples of `node`, numbers to six decimals."""
    triples = [
        ox.Triple(node, RDF.type, DAPP.ReputationAssessment),
        ox.Triple(node, DAPP.ofParticipant, one.participant),
        ox.Triple(node, DAPP.alpha, number(round(one.alpha, 6))),
        ox.Triple(node, DAPP.beta, number(round(one.beta, 6))),
        ox.Triple(node, DAPP.expectedReputation, number(round(one.expected, 6))),
        ox.Triple(node, DAPP.reputationBound, number(round(one.bound, 6))),
        ox.Triple(node, DAPP.confidenceLevel, number(model.confidence)),
        ox.Triple(node, DAPP.halfLife, number(model.half_life)),
        ox.Triple(node, DAPP.atTime, ox.Literal(_stamp(now), datatype=XSD.dateTime)),
        *(ox.Triple(node, DAPP.restsOn, s) for s in one.rests_on),
    ]
    if one.dimension is not None:
        triples.append(ox.Triple(node, DAPP.onDimension, one.dimension))
    if model.iri is not None:
        triples.append(ox.Triple(node, DAPP.byModel, model.iri))
    return triples


def moment(literal: ox.Literal) -> datetime:
    """An xsd:dateTime as a time; without a zone it is UTC."""
    found = datetime.fromisoformat(literal.value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
