"""Judgements and reputations as commits: what the evidence for an agreement says, what settled agreements are worth.

What counts as a miss, a breach, a kept word is data (rules of purpose `enforce` and `audit`); here the reasoners get their
state, their clock and their rules, and what they conclude gets its place: the graph `agreements` of the author. Reading
chains and moving money are the business of `engine.ledger.agreements`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256

import pyoxigraph as ox

from engine import resources
from engine.errors import InputError
from engine.graph.kernel import Kernel, now_utc
from engine.graph.service import Caller, Json, method
from reasoners import audit as auditing
from reasoners.enforce import Breach, Judgement, judge
from reasoners.graph import Term, View
from reasoners.vocab import DAPP, RDF, RDFS

GRAPH = "agreements"
USED = ("agreements", "ledger", "policy")  # graphs of the author whose heads an assessment names
STEP = 0.005  # a bound that moved less by the passing of time alone is not committed again


@cache
def views() -> Mapping[str, str]:
    """Texts of the named SELECTs through which the audit reasoner reads."""
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", "audit-*.rq")}


class Desk:
    """One caller's author and graph."""

    def __init__(self, kernel: Kernel, params: Json, caller: Caller) -> None:
        self.kernel, self.caller = kernel, caller
        self.author = (params.get("author") or kernel.node).lower()
        self.authority = f"{kernel.base}/g/{self.author}/"
        self.graph = kernel.resolve(GRAPH, self.author)

    def stated(self, subjects: Iterable[Term]) -> set[ox.Triple]:
        """What the graph says of these subjects; the lock must be held."""
        here, store = ox.NamedNode(self.graph), self.kernel.store.store
        return {
            q.triple
            for s in subjects
            if isinstance(s, ox.NamedNode)
            for q in store.quads_for_pattern(s, None, None, here)
        }

    def commit(self, removed: set[ox.Triple], added: set[ox.Triple], message: str) -> Json | None:
        """Commit the difference to the graph `agreements`; None when there is none. The lock must be held."""
        if removed == added:
            return None
        receipt = self.kernel.commit(
            {self.graph: (sorted(removed - added, key=str), sorted(added - removed, key=str))}, author=self.author,
            sign=lambda digest: self.caller.sign(self.author, digest), message=message,
        )  # fmt: skip
        return receipt.as_json()


# -- evidence --------------------------------------------------------------------------------------------------------
@method
def enforce(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Judge an agreement version by its evidence and commit the violations (unless `dry_run`): {"version": IRI}.

    Returns what each witness should vote, the violations, what is owed, and the receipt when something changed.
    """
    version = ox.NamedNode(str(params["version"]))
    with kernel.lock.held():
        view, rules = kernel.memory_view(), kernel.gate.rules
    made = judge(view, rules, version)
    if params.get("dry_run"):
        return judgement_json(made, view, Desk(kernel, params, caller).graph)
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        old = desk.stated(s for s in _violations(kernel, desk.graph, version))
        new = {t for b in made.breaches for t in violation_triples(violation_node(desk.graph, version, b), version, b)}
        receipt = desk.commit(old, new, f"violations of {_tail(version)}")
        return {**judgement_json(made, kernel.store.view(), desk.graph), "receipt": receipt}


def violation_node(graph: str, version: ox.NamedNode, breach: Breach) -> ox.NamedNode:
    """One node for each version, objective and window, so that judging again writes nothing new."""
    text = "\n".join((version.value, breach.objective.value, breach.start.value, breach.end.value))
    return ox.NamedNode(f"{graph}/violation/{sha256(text.encode()).hexdigest()[:24]}")


def violation_triples(node: ox.NamedNode, version: ox.NamedNode, breach: Breach) -> list[ox.Triple]:
    """A breach as triples."""
    return [
        ox.Triple(node, RDF.type, DAPP.Violation),
        ox.Triple(node, DAPP.forAgreement, version),
        ox.Triple(node, DAPP.ofObjective, breach.objective),
        ox.Triple(node, DAPP.periodStart, breach.start),
        ox.Triple(node, DAPP.periodEnd, breach.end),
        *(ox.Triple(node, DAPP.restsOn, e) for e in breach.evidence),
    ]


def _violations(kernel: Kernel, graph: str, version: ox.NamedNode) -> list[Term]:
    here, store = ox.NamedNode(graph), kernel.store.store
    about = {q.subject for q in store.quads_for_pattern(None, DAPP.forAgreement, version, here)}
    return [s for s in about if isinstance(s, ox.NamedNode) and ox.Quad(s, RDF.type, DAPP.Violation, here) in store]


# -- reputation ------------------------------------------------------------------------------------------------------
@method
def assess(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Assess every provider with settlements that the author told, and commit what changed: {"now": ISO time, "author"}.

    An assessment is written anew when its settlements or its model changed, or when its bound moved by more than `STEP`.
    """
    now = _time(params.get("now"))
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        view, rules = kernel.memory_view(), kernel.gate.rules
        heads = _heads(kernel, desk)
    made = auditing.audit(view, rules, assessor=desk.authority, views=views(), now=now)
    with kernel.lock.held():
        here, store = ox.NamedNode(desk.graph), kernel.store.store
        standing = {
            q.subject for q in store.quads_for_pattern(None, RDF.type, DAPP.ReputationAssessment, here)
            if isinstance(q.subject, ox.NamedNode)
        }  # fmt: skip
        nodes = {assessment_node(desk.graph, a): a for a in made.assessments}
        old = desk.stated(standing - nodes.keys())
        new: set[ox.Triple] = set()
        changed = set()
        for node, one in nodes.items():
            before = desk.stated([node])
            if _same(before, one, made.model):
                continue
            changed.add(node)
            old |= before
            new |= set(auditing.assessment_triples(node, one, made.model, now))
            new |= {ox.Triple(node, DAPP.usedState, head) for head in heads}
        new |= _head_triples(heads) if new else set()
        old |= desk.stated(_loose_heads(desk, old, new))
        receipt = desk.commit(old, new, f"reputation of {len({a.participant for a in made.assessments})} participants")
        found = audit_json(made, kernel.store.view(), desk.graph)
    for row in found["assessments"]:
        row["changed"] = ox.NamedNode(row["iri"]) in changed
    return {**found, "receipt": receipt}


@method
def reputation(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Reputations as they are now, computed and not committed: {"participant": IRI or none, "now", "author"}."""
    now = _time(params.get("now"))
    with kernel.lock.held():
        desk = Desk(kernel, params, caller)
        view, rules = kernel.memory_view(), kernel.gate.rules
    made = auditing.audit(view, rules, assessor=desk.authority, views=views(), now=now)
    found = audit_json(made, view, desk.graph)
    if params.get("participant"):
        found["assessments"] = [a for a in found["assessments"] if a["participant"]["iri"] == params["participant"]]
    return found


def assessment_node(graph: str, one: auditing.Assessment) -> ox.NamedNode:
    """One node for each participant and dimension, so that assessing again replaces what was assessed."""
    digest = sha256(one.participant.value.encode()).hexdigest()[:24]
    return ox.NamedNode(f"{graph}/reputation/{digest}/{_tail(one.dimension) if one.dimension else 'all'}")


def _same(before: set[ox.Triple], one: auditing.Assessment, model: auditing.Model) -> bool:
    """Whether what stands says the same: settlements, model, and a bound that only time moved, and little."""
    told: dict[ox.NamedNode, set[str]] = {}
    for triple in before:
        told.setdefault(triple.predicate, set()).add(triple.object.value if hasattr(triple.object, "value") else "")
    if told.get(DAPP.restsOn) != {s.value for s in one.rests_on} or (
        told.get(DAPP.byModel) != ({model.iri.value} if model.iri else None)
    ):
        return False
    numbers = ((DAPP.confidenceLevel, model.confidence, 0.0), (DAPP.halfLife, model.half_life, 0.0),
               (DAPP.reputationBound, one.bound, STEP), (DAPP.expectedReputation, one.expected, STEP))  # fmt: skip
    return all(
        len(values := told.get(predicate, set())) == 1 and abs(float(next(iter(values))) - value) <= most + 1e-9
        for predicate, value, most in numbers
    )


def _heads(kernel: Kernel, desk: Desk) -> dict[ox.NamedNode, tuple[str, int, str]]:
    """Nodes for the heads of the author's graphs that an assessment rests on; the lock must be held."""
    heads = kernel.log.heads()
    found = {}
    for name in USED:
        iri = kernel.resolve(name, desk.author)
        if iri in heads:
            head = heads[iri]
            found[ox.NamedNode(f"{desk.graph}/head/{name}-{head.sequence}")] = (iri, head.sequence, head.head.hex())
    return found


def _head_triples(heads: Mapping[ox.NamedNode, tuple[str, int, str]]) -> set[ox.Triple]:
    return {
        triple
        for node, (graph, sequence, head) in heads.items()
        for triple in (
            ox.Triple(node, RDF.type, DAPP.GraphHead),
            ox.Triple(node, DAPP.ofGraph, ox.NamedNode(graph)),
            ox.Triple(node, DAPP.sequence, ox.Literal(sequence)),
            ox.Triple(node, DAPP.headHash, ox.Literal(head)),
        )
    }


def _loose_heads(desk: Desk, old: set[ox.Triple], new: set[ox.Triple]) -> list[ox.NamedNode]:
    """Head nodes that no assessment names any more once `old` went and `new` came."""
    here, store = ox.NamedNode(desk.graph), desk.kernel.store.store
    loose = []
    for head in {t.object for t in old if t.predicate == DAPP.usedState and isinstance(t.object, ox.NamedNode)}:
        users = {q.triple for q in store.quads_for_pattern(None, DAPP.usedState, head, here)}
        if not (users - old) and not any(t.predicate == DAPP.usedState and t.object == head for t in new):
            loose.append(head)
    return loose


def _time(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(text or now_utc()))
    except ValueError:
        raise InputError(
            f"{text!r} is no moment", rule="a moment is an ISO 8601 date and time", remedy="write 2026-11-24T12:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# -- as data ---------------------------------------------------------------------------------------------------------
def judgement_json(made: Judgement, view: View, graph: str) -> Json:
    """A judgement as data; compensation in whole tokens, as text so that no digit is lost."""
    return {
        "version": made.version.value, "violated": made.violated, "quorum": made.quorum,
        "verdicts": [
            {
                "witness": _label(view, f.witness), "violated": f.violated, "why": f.why,
                "evidence": [e.value for e in f.evidence], "missed": [_label(view, o) for o in f.missed],
            }
            for f in made.findings
        ],
        "violations": [
            {
                "iri": violation_node(graph, made.version, b).value, "objective": _label(view, b.objective),
                "window": [b.start.value, b.end.value], "evidence": [e.value for e in b.evidence],
                "witnesses": [_label(view, w) for w in b.witnesses],
            }
            for b in made.breaches
        ],
        "penalties": [p.value for p in made.penalties], "owed": bool(made.penalties),
        "compensation": format(made.compensation, "f"), "rules": [_label(view, r) for r in made.rules],
    }  # fmt: skip


def audit_json(made: auditing.Audit, view: View, graph: str) -> Json:
    """Assessments as data."""
    m = made.model
    return {
        "model": {
            "iri": m.iri.value if m.iri else None, "halfLife": m.half_life, "priorAlpha": m.prior_alpha,
            "priorBeta": m.prior_beta, "confidence": m.confidence, "fullStake": m.full_stake, "counterpartyCap": m.cap,
        },
        "now": made.now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "assessments": [
            {
                "iri": assessment_node(graph, a).value, "participant": _label(view, a.participant),
                "dimension": _label(view, a.dimension) if a.dimension else None, "alpha": a.alpha, "beta": a.beta,
                "expected": a.expected, "bound": a.bound, "confidence": m.confidence,
                "settlements": [s.value for s in a.rests_on],
            }
            for a in made.assessments
        ],
        "rules": [_label(view, r) for r in made.rules],
    }  # fmt: skip


def _tail(node: ox.NamedNode) -> str:
    return node.value.replace("#", "/").rsplit("/", 1)[-1]


def _label(view: View, node: ox.NamedNode) -> Json:
    names = sorted(x.value for x in view.objects(node, RDFS.label) if isinstance(x, ox.Literal))
    return {"iri": node.value, "label": names[0] if names else _tail(node)}
