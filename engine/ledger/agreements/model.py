"""An agreement version as a value, and as the triples of its graph: one way each, nothing else knows their shape.

A version is a graph `sla-<id>-v<n>` of whoever proposes it, with one commit for ever; the version itself is `<graph>/terms`.
What both sides sign is the graph's root, computed here from the triples alone, so that a participant checks a text without
trusting a store. Amounts are wei here and whole tokens in triples (`engine.ledger.money`); times are Unix seconds here and
xsd:dateTime there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.leaves import empty_root, subtree_hash
from engine.graph.terms import canonical
from engine.graph.tree import leaf_of
from engine.ledger.agreements.probes import Probe, check
from engine.ledger.chain import lower
from engine.ledger.money import to_tokens, to_wei
from reasoners.graph import Term, View
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

RATIOS = frozenset({DAPPI.Availability, DAPPI.Reachability, DAPPI.ErrorRatio})  # what failed measurements alone decide
TIMES = frozenset({DAPPI.ResponseTime, DAPPI.EndToEndLatency})  # milliseconds of a measurement
MOST_SLOTS = 50_000  # measurements of one engagement in a period
MOST_AT_ONCE = 16  # measurements of one engagement under way: what waits for its timeout must not keep others waiting
MOST_WINDOWS = 200  # of one objective in a period
COVERAGE = 0.5  # of the planned measurements that a witness must have made when a version says nothing else
_GRAPH = re.compile(r"^(.*/g/0x[0-9a-f]{40})/sla-([a-z0-9][a-z0-9._-]*)-v([0-9]+)(?:/terms)?$")


@dataclass(frozen=True, slots=True)
class Objective:
    """A bound on a metric (in its unit); `tolerance` is the share of measurements that may miss it, from 0 to 1.

    `window`: seconds over which it is judged, from the start of the period on; 0 for the whole period.
    """

    metric: str
    operator: str
    bound: float
    tolerance: float
    window: float = 0.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Engagement:
    """What one witness measures: IRI and account of the witness, the probe, seconds between two measurements.

    `objectives`: places in the version's objectives that it is for; none for all.
    """

    witness: str
    account: str
    probe: Probe
    interval: float
    objectives: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One text of an agreement. `on`: what it is about; `previous`: the version it answers, `based_on`: the decision that it
    was made from, or ''. `coverage`: the share of planned measurements below which a witness abstains."""

    graph: str
    provider: str
    consumer: str
    provider_account: str
    consumer_account: str
    on: str
    objectives: tuple[Objective, ...]
    engagements: tuple[Engagement, ...]
    price: int
    compensation: int
    fee: int
    quorum: int
    start: int
    end: int
    settle_by: int
    nonce: int
    chain_id: int
    contract: str
    coverage: float = COVERAGE
    previous: str = ""
    based_on: str = ""

    @property
    def iri(self) -> str:
        """The version's IRI."""
        return f"{self.graph}/terms"

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Accounts of the witnesses, ascending, as the contract wants them."""
        return tuple(sorted({lower(e.account) for e in self.engagements}))

    @property
    def name(self) -> str:
        """The agreement's short name: `<id>` of `sla-<id>-v<n>`."""
        return parts_of(self.graph)[1]

    @property
    def number(self) -> int:
        """Which version it is, from 1."""
        return parts_of(self.graph)[2]


def parts_of(graph: str) -> tuple[str, str, int]:
    """(base of its owner, agreement, number) of a version's graph or IRI; InputError when it is none."""
    match = _GRAPH.match(graph)
    if match is None:
        raise InputError(
            "not an agreement version", place=graph, rule="a graph <base>/g/<address>/sla-<name>-v<number>",
            remedy="see `dappops sla status`",
        )  # fmt: skip
    return match.group(1), match.group(2), int(match.group(3))


def graph_of(version: str) -> str:
    """The graph of a version's graph or IRI."""
    parts_of(version)
    return version.removesuffix("/terms")


def checked(version: Version) -> Version:
    """The version, or InputError with the first thing that no contract and no witness could carry out."""
    place = version.graph
    parts_of(place)
    accounts = [lower(a) for a in version.witnesses]
    rules: tuple[tuple[bool, str, str], ...] = (
        (bool(version.objectives), "an agreement promises something", "add an objective"),
        (bool(version.engagements), "somebody measures", "add a witness"),
        (len(accounts) <= 32, "at most 32 witnesses", "name fewer"),
        (2 * version.quorum > len(accounts) >= version.quorum, "more than half of the witnesses decide, at most all", "correct the quorum"),
        (version.start < version.end < version.settle_by, "start before end before settle-by", "correct the times"),
        (lower(version.provider_account) != lower(version.consumer_account), "nobody agrees with itself", "name two accounts"),
        (
            not {lower(version.provider_account), lower(version.consumer_account)} & set(accounts),
            "a witness is neither side", "name other witnesses",
        ),
        (0 <= version.coverage <= 1, "coverage from 0 to 1", "correct the coverage"),
        (all(0 <= x < 2**128 for x in (version.price, version.compensation, version.fee)), "amounts have 128 bits", "correct the amounts"),
        (0 <= version.nonce < 2**63, "a nonce from 0 to 2^63 - 1", "correct the nonce"),
    )  # fmt: skip
    for holds, rule, remedy in rules:
        if not holds:
            raise InputError("these terms cannot be agreed", place=place, rule=rule, remedy=remedy)
    for objective in version.objectives:
        if not 0 <= objective.tolerance < 1:
            raise InputError(f"a tolerance of {objective.tolerance:g}", place=place, rule="from 0 to less than 1")
        length = version.end - version.start
        if objective.window and not max(1.0, length / MOST_WINDOWS) <= objective.window <= length:
            raise InputError(
                f"a window of {objective.window:g} s", place=place,
                rule=f"1 s to the whole period, at most {MOST_WINDOWS} a period",
            )  # fmt: skip
    for engagement in version.engagements:
        check(engagement.probe)
        least = max(0.05, (version.end - version.start) / MOST_SLOTS, engagement.probe.timeout / MOST_AT_ONCE)
        if not least <= engagement.interval <= version.end - version.start:
            raise InputError(
                f"a measurement every {engagement.interval:g} s", place=engagement.probe.target,
                rule=f"at least 0.05 s apart, at least one a period, at most {MOST_SLOTS}, {MOST_AT_ONCE} at once",
            )  # fmt: skip
    return version


# -- numbers and times -----------------------------------------------------------------------------------------------
def moment(seconds: float) -> ox.Literal:
    """Unix seconds as xsd:dateTime in UTC, milliseconds where there are some."""
    at = datetime.fromtimestamp(seconds, UTC)
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction := round(seconds * 1000) % 1000:
        text += f".{fraction:03}".rstrip("0")
    return ox.Literal(f"{text}Z", datatype=XSD.dateTime)


def seconds_of(text: str, place: str = "time") -> int:
    """xsd:dateTime or Unix seconds in text as Unix seconds."""
    try:
        return int(text) if text.isdigit() else int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except ValueError as error:
        raise InputError(f"{text!r} is no time", place=place, rule="2026-11-24T12:00:00Z, or Unix seconds") from error


def decimal(value: float) -> ox.Literal:
    """A number as xsd:decimal with at most six places."""
    text = f"{value:.6f}".rstrip("0")
    return ox.Literal(f"{text}0" if text.endswith(".") else text, datatype=XSD.decimal)


# -- triples ---------------------------------------------------------------------------------------------------------
def triples(version: Version) -> list[ox.Triple]:
    """The graph of a version: everything that is agreed, nothing that happens later."""
    checked(version)
    node, agreement = ox.NamedNode(version.iri), ox.NamedNode(f"{version.graph}/agreement")
    made: list[ox.Triple] = []

    def say(subject: ox.NamedNode, predicate: ox.NamedNode, obj: Term | str | int) -> None:
        if isinstance(obj, str):
            obj = ox.NamedNode(obj) if "://" in obj else ox.Literal(obj)
        made.append(ox.Triple(subject, predicate, ox.Literal(obj) if isinstance(obj, int) else obj))

    def part(name: str, kind: ox.NamedNode, link: ox.NamedNode) -> ox.NamedNode:
        found = ox.NamedNode(f"{version.graph}/{name}")
        say(node, link, found)
        say(found, RDF.type, kind)
        return found

    say(agreement, RDF.type, DAPP.ServiceLevelAgreement)
    say(agreement, DAPP.hasAgreementVersion, node)
    say(node, RDF.type, DAPP.AgreementVersion)
    if version.previous:
        say(node, RDF.type, DAPP.CounterOffer)
        say(node, DAPP.precededBy, ox.NamedNode(f"{graph_of(version.previous)}/terms"))
    if version.based_on:
        say(node, DAPP.restsOn, ox.NamedNode(version.based_on))
    say(node, DAPP.versionNumber, version.number)
    say(node, DAPP.agreementProvider, ox.NamedNode(version.provider))
    say(node, DAPP.agreementConsumer, ox.NamedNode(version.consumer))
    say(node, DAPP.providerAccount, ox.Literal(lower(version.provider_account)))
    say(node, DAPP.consumerAccount, ox.Literal(lower(version.consumer_account)))
    say(node, DAPP.agreementOn, ox.NamedNode(version.on))
    say(node, DAPP.periodStart, moment(version.start))
    say(node, DAPP.periodEnd, moment(version.end))
    say(node, DAPP.settleBy, moment(version.settle_by))
    say(node, DAPP.witnessQuorum, version.quorum)
    say(node, DAPP.witnessFee, to_tokens(version.fee))
    say(node, DAPP.minimumCoverage, decimal(version.coverage))
    say(node, DAPP.nonce, version.nonce)
    say(node, DAPP.chainIdentifier, version.chain_id)
    say(node, DAPP.contractAddress, ox.Literal(lower(version.contract)))
    say(part("payment", DAPP.PaymentCondition, DAPP.hasPaymentCondition), DAPP.payment, to_tokens(version.price))
    penalty = part("penalty", DAPP.Penalty, DAPP.hasPenalty)
    say(penalty, DAPP.compensation, to_tokens(version.compensation))
    for index, objective in enumerate(version.objectives, 1):
        held = part(f"objective-{index}", DAPP.ServiceLevelObjective, DAPP.promises)
        say(penalty, DAPP.onBreachOf, held)
        say(held, DAPP.constrains, ox.NamedNode(objective.metric))
        say(held, DAPP.operator, ox.NamedNode(objective.operator))
        say(held, DAPP.bound, decimal(objective.bound))
        say(held, DAPP.tolerance, decimal(objective.tolerance))
        if objective.window:
            say(held, DAPP.window, decimal(objective.window))
        if objective.label:
            say(held, RDFS.label, ox.Literal(objective.label, language="en"))
    for index, engagement in enumerate(version.engagements, 1):
        held = part(f"engagement-{index}", DAPP.WitnessEngagement, DAPP.hasEngagement)
        say(node, DAPP.hasWitness, ox.NamedNode(engagement.witness))
        say(held, DAPP.engages, ox.NamedNode(engagement.witness))
        say(held, DAPP.account, ox.Literal(lower(engagement.account)))
        say(held, DAPP.probeKind, ox.Literal(engagement.probe.kind))
        say(held, DAPP.probes, ox.Literal(engagement.probe.target))
        say(held, DAPP.probeInterval, decimal(engagement.interval))
        say(held, DAPP.probeTimeout, decimal(engagement.probe.timeout))
        for place in engagement.objectives:
            say(held, DAPP.measuresObjective, ox.NamedNode(f"{version.graph}/objective-{place + 1}"))
        if engagement.probe.query:
            say(held, DAPP.probeQuery, ox.Literal(engagement.probe.query))
        if engagement.probe.expect:
            say(held, DAPP.expectedBody, ox.Literal(engagement.probe.expect))
    return made


def read(view: View, version: str) -> Version:
    """The version that a graph's triples state; InputError names what is missing. `view`: that graph, or more."""
    graph = graph_of(version)
    node = ox.NamedNode(f"{graph}/terms")

    def one(subject: Term, predicate: ox.NamedNode, default: str | None = None) -> str:
        found = [t.value for t in view.objects(subject, predicate) if not isinstance(t, ox.BlankNode)]
        if len(found) == 1 or (not found and default is not None):
            return found[0] if found else str(default)
        raise InputError(
            f"{len(found)} values of {predicate.value.rsplit('#', 1)[-1]}", place=str(subject).strip("<>"),
            rule="an agreement version states each term once", remedy="see the shapes of the agreement module",
        )  # fmt: skip

    def parts(predicate: ox.NamedNode) -> list[ox.NamedNode]:
        found = [t for t in view.objects(node, predicate) if isinstance(t, ox.NamedNode)]
        return sorted(found, key=lambda t: (len(t.value), t.value))

    if ox.Triple(node, RDF.type, DAPP.AgreementVersion) not in view:
        raise InputError("there is no such agreement version", place=graph, remedy="see `dappops sla status`")
    promised = parts(DAPP.promises)
    engagements = tuple(
        Engagement(
            one(e, DAPP.engages), lower(one(e, DAPP.account)),
            Probe(
                one(e, DAPP.probeKind), one(e, DAPP.probes), float(one(e, DAPP.probeTimeout)),
                one(e, DAPP.probeQuery, ""), one(e, DAPP.expectedBody, ""),
            ),
            float(one(e, DAPP.probeInterval)),
            tuple(sorted(promised.index(o) for o in view.objects(e, DAPP.measuresObjective) if o in promised)),  # type: ignore[arg-type]
        )
        for e in parts(DAPP.hasEngagement)
    )  # fmt: skip
    (payment, *_), (penalty, *_) = parts(DAPP.hasPaymentCondition) or [node], parts(DAPP.hasPenalty) or [node]
    return checked(
        Version(
            graph=graph, previous=one(node, DAPP.precededBy, ""), based_on=one(node, DAPP.restsOn, ""),
            provider=one(node, DAPP.agreementProvider), consumer=one(node, DAPP.agreementConsumer),
            provider_account=lower(one(node, DAPP.providerAccount)), consumer_account=lower(one(node, DAPP.consumerAccount)),
            on=one(node, DAPP.agreementOn),
            objectives=tuple(
                Objective(
                    one(o, DAPP.constrains), one(o, DAPP.operator), float(one(o, DAPP.bound)),
                    float(one(o, DAPP.tolerance)), float(one(o, DAPP.window, "0")), one(o, RDFS.label, ""),
                )
                for o in promised
            ),
            engagements=engagements, price=to_wei(one(payment, DAPP.payment)),
            compensation=to_wei(one(penalty, DAPP.compensation)), fee=to_wei(one(node, DAPP.witnessFee)),
            quorum=int(one(node, DAPP.witnessQuorum)), start=seconds_of(one(node, DAPP.periodStart)),
            end=seconds_of(one(node, DAPP.periodEnd)), settle_by=seconds_of(one(node, DAPP.settleBy)),
            nonce=int(one(node, DAPP.nonce)), chain_id=int(one(node, DAPP.chainIdentifier)),
            contract=lower(one(node, DAPP.contractAddress)), coverage=float(one(node, DAPP.minimumCoverage, str(COVERAGE))),
        )
    )  # fmt: skip


def root_of(graph: str, statements: Iterable[ox.Triple]) -> bytes:
    """Root of a public graph that holds exactly these statements: an agreement version's terms hash."""
    names.owner_of(graph)
    leaves = sorted({leaf_of(canonical(t)) for t in statements})
    return subtree_hash(graph, leaves) if leaves else empty_root(graph)


__all__ = [
    "COVERAGE", "RATIOS", "TIMES", "Engagement", "Objective", "Version", "checked", "decimal", "graph_of", "moment",
    "parts_of", "read", "root_of", "seconds_of", "triples",
]  # fmt: skip
