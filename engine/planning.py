"""Plans as commits: run the plan reasoner on the current state, record the decision with its reasons, tell them again.

What counts as a good plan is data (rules, objectives, deadlines) and the reasoner's business; here it gets its state, its
clock and its rules, and the decision gets its place in the graph: `decisions` of the author, and the full table of
candidates as a blob named by its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pyoxigraph as ox

from engine import resources
from engine.errors import InputError, did_you_mean
from engine.graph import history
from engine.graph.commit import Receipt
from engine.graph.kernel import Kernel, now_utc
from engine.graph.service import Caller, Json, method
from reasoners.decision import (
    Candidate,
    Conflict,
    Decided,
    Explanation,
    Rejection,
    ScoreComponent,
    Verdict,
    decision_triples,
)
from reasoners.decision import why as explain
from reasoners.derive import Rule
from reasoners.graph import Term, View
from reasoners.plan import Options, Plan
from reasoners.plan import plan as make_plan
from reasoners.plan import why_not as recompute
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

METRICS = {"cost": DAPPI.HourlyPrice, "energy": DAPPI.PowerDraw, "carbon": DAPPI.CarbonRate}
GRAPH = "decisions"


@cache
def views() -> Mapping[str, str]:
    """Texts of the named SELECTs through which the plan reasoner reads."""
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", "plan-*.rq")}


def options_of(params: Json) -> Options:
    """Planner options from a request; InputError for an unknown metric."""
    weights = params.get("weights")
    chosen: dict[ox.NamedNode, float] | None = None
    if weights:
        chosen = {}
        for name, weight in weights.items():
            if name not in METRICS and "://" not in name:
                raise InputError(
                    f"no metric {name!r}{did_you_mean(name, METRICS)}",
                    rule=f"weights: {', '.join(METRICS)}, or a metric's IRI",
                )
            chosen[METRICS.get(name) or ox.NamedNode(name)] = float(weight)
    return Options(
        weights=chosen, time_limit=float(params.get("time_limit") or 60.0), seed=int(params.get("seed") or 0),
        currency=params.get("currency"), misses=int(params.get("misses") or 3),
    )  # fmt: skip


def plan_rules(rules: Sequence[Rule]) -> list[Rule]:
    """The rules a plan is made with. Those that derive exclusions also act as plan rules, so that a decision names them
    and not only the shipped rule that reads what they derived."""
    derived = [r for r in rules if r.purpose == "derive" and DAPP.excludedFor.value in r.heads]
    return [*rules, *(replace(r, purpose="plan") for r in derived)]


@method
def plan(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Place an application and commit the decision (unless `dry_run`); returns the decision as data."""
    author = (params.get("author") or kernel.node).lower()
    application = ox.NamedNode(params["application"])
    started = datetime.now(UTC)
    with kernel.lock.held():
        view = kernel.memory_view()
        rules = plan_rules(kernel.gate.rules)
        state = used_state(kernel, author)
    if ox.Triple(application, RDF.type, DAPP.QualityCriticalApplication) not in view:
        raise InputError(
            "there is no such application",
            place=application.value,
            remedy="commit its description first (`dappops commit FILE`)",
        )
    made = make_plan(view, application, rules, options_of(params), views=views(), now=started)
    seconds = (datetime.now(UTC) - started).total_seconds()
    if params.get("dry_run"):
        return {"decision": None, **plan_json(made, view), "seconds": seconds}
    with kernel.lock.held():
        iri, receipt, digest = record(
            kernel,
            caller,
            author,
            made,
            state,
            name="plan",
            message=f"plan {_tail(made.application)}",
            table=made.table(),
        )
        found = plan_json(made, kernel.store.view())
    return {"decision": iri, **found, "receipt": receipt.as_json(), "candidateTable": digest, "seconds": seconds}


def record(
    kernel: Kernel,
    caller: Caller,
    author: str,
    made: Decided,
    state: Sequence[tuple[ox.NamedNode, int, str]],
    *,
    name: str,
    message: str,
    table: bytes | None = None,
    request: ox.NamedNode | None = None,
    extra: Callable[[ox.NamedNode], Iterable[ox.Triple]] = lambda iri: (),
) -> tuple[str, Receipt, str | None]:
    """Commit what a reasoner decided, as a decision of `author` in its graph `decisions`; the lock must be held.

    `table` (all candidates, too many for the graph) becomes a blob named by its hash; `request` is what it answers (else it
    gets one of its own); `extra` gives further triples about the decision. Returns the decision's IRI, the receipt and the
    table's hash.
    """
    graph = kernel.resolve(GRAPH, author)
    iri = f"{graph}/{name}-{kernel.log.head_tx() + 1}"  # the transaction's number: never used twice
    me = ox.NamedNode(f"{kernel.base}/g/{author}/self")
    at = ox.Literal(now_utc(), datatype=XSD.dateTime)
    triples = decision_triples(made, request, used_state=list(state), decided_by=me, at_time=at, base_iri=iri)
    # who decides is said once, or every decision would lead to somebody whom nobody describes
    triples.append(ox.Triple(me, RDF.type, DAPP.Participant))
    digest = None
    if table is not None:
        digest = kernel.put_blob(table)
        triples.append(ox.Triple(ox.NamedNode(iri), DAPP.digest, ox.Literal(f"keccak256:{digest}")))
    triples.extend(extra(ox.NamedNode(iri)))
    receipt = kernel.commit(
        {graph: ([], triples)}, author=author, sign=lambda d: caller.sign(author, d), message=message
    )
    return iri, receipt, digest


def used_state(kernel: Kernel, author: str) -> list[tuple[ox.NamedNode, int, str]]:
    """The heads that a decision made now reads: every graph but the author's decisions. The lock must be held."""
    graph = kernel.resolve(GRAPH, author)
    return [(ox.NamedNode(g), e.sequence, e.head.hex()) for g, e in kernel.log.heads().items() if g != graph]


def _tail(node: ox.NamedNode) -> str:
    return node.value.rsplit("/", 1)[-1]


@method
def applications(kernel: Kernel, params: Json, caller: Caller) -> list[str]:
    """IRIs of the applications that are described, in order."""
    with kernel.lock.held():
        found = kernel.store.view().subjects(RDF.type, DAPP.QualityCriticalApplication)
        return sorted(node.value for node in found if isinstance(node, ox.NamedNode))


@method
def decisions(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """Decisions, newest first."""
    with kernel.lock.held():
        view = kernel.store.view()
        rows = []
        for node in view.subjects(RDF.type, DAPP.Decision):
            application, at, purpose = (view.value(node, p) for p in (DAPP.onApplication, DAPP.atTime, DAPP.purpose))
            rows.append(
                {
                    "decision": _text(node),
                    "application": _text(application),
                    "time": _text(at),
                    "purpose": _text(purpose),
                }
            )
        return sorted(rows, key=lambda r: (r["time"], r["decision"]), reverse=True)


def _find(kernel: Kernel, params: Json) -> ox.NamedNode:
    """The decision asked for, or the newest that the author took (of an application): others decide for themselves."""
    if params.get("decision"):
        return ox.NamedNode(params["decision"])
    own = f"{kernel.base}/g/{(params.get('author') or kernel.node).lower()}/"
    rows = [
        r
        for r in decisions(kernel, {}, Caller(lambda a, d: b""))
        if r["decision"].startswith(own) and params.get("application") in (None, r["application"])
    ]
    if not rows:
        raise InputError("no decision was made yet", remedy="run `dappops plan APPLICATION`")
    return ox.NamedNode(rows[0]["decision"])


@method
def why(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """A decision explained from the graph alone."""
    with kernel.lock.held():
        view = kernel.store.view()
        return explanation_json(explain(view, _find(kernel, params)), view)


@method
def why_not(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Why an offer was not chosen for a unit, recomputed over the state the decision used."""
    with kernel.lock.held():
        view = kernel.store.view()
        decision = _find(kernel, params)
        record = explain(view, decision).record
        offer, unit = ox.NamedNode(params["offer"]), ox.NamedNode(params["unit"])
        past, rules, moved = state_of(kernel, record.used_state)
    options = replace(options_of(params), weights=weights_of(record.parts, past), seed=record.seed)
    answer = recompute(
        past,
        record.application,
        plan_rules(rules),
        options,
        unit=unit,
        offer=offer,
        views=views(),
        now=datetime.fromisoformat(record.at_time),
    )
    return {
        "decision": decision.value, "unit": _label(view, unit), "offer": offer.value, "asOf": moved,
        "verdicts": [verdict_json(v, view) for v in answer.verdicts],
        "chosen": answer.chosen.value if answer.chosen else None, "isChosen": answer.chosen == offer,
        "difference": answer.difference,
        "forced": plan_json(answer.forced, view) if answer.forced is not None and answer.chosen != offer else None,
    }  # fmt: skip


def weights_of(parts: Sequence[ScoreComponent], view: View) -> dict[ox.NamedNode, float] | None:
    """The weights of the metrics a decision was scored with (constraints that were only discouraged left out)."""
    found = {p.metric: p.weight for p in parts if ox.Triple(p.metric, RDF.type, DAPP.Metric) in view}
    return found or None


def state_of(kernel: Kernel, used: Any) -> tuple[View, Any, int | None]:
    """The state a decision used: the live one when its graphs have not moved since, else rebuilt from the log.

    Decisions themselves are no part of it.
    """
    heads = kernel.log.heads()
    if all(s.graph.value in heads and heads[s.graph.value].head.hex() == s.head for s in used) and len(used) >= len(
        [g for g in heads if not g.endswith("/" + GRAPH)]
    ):
        return kernel.memory_view(), kernel.gate.rules, None
    wanted = {s.graph.value: s.sequence for s in used}
    tx = max((e.tx for e in kernel.log.entries() if wanted.get(e.graph) == e.sequence), default=0)
    past = history.state_at(kernel, tx)
    from engine.graph.gate import Gate
    from engine.graph.names import SHIPPED_PREFIX

    graphs = kernel.policy_graphs()
    gate = Gate(past.view(*graphs), trusted=past.view(*(g for g in graphs if g.value.startswith(SHIPPED_PREFIX))))
    return past.view(), gate.rules, tx


# -- as data ---------------------------------------------------------------------------------------------------------
def _text(term: Term | None) -> str:
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else term.value


def _label(view: View, node: ox.NamedNode | None) -> Json | None:
    if node is None:
        return None
    names = sorted(_text(x) for x in view.objects(node, RDFS.label))
    return {"iri": node.value, "label": names[0] if names else node.value.replace("#", "/").rsplit("/", 1)[-1]}


def verdict_json(verdict: Verdict, view: View) -> Json:
    """A verdict as data."""
    return {
        "constraint": _label(view, verdict.constraint), "rule": _label(view, verdict.rule),
        "wanted": [_named(view, t) for t in verdict.wanted], "found": [_named(view, t) for t in verdict.found],
        "satisfied": verdict.satisfied, "known": verdict.known, "margin": verdict.margin,
    }  # fmt: skip


def _named(view: View, term: Term) -> str:
    if isinstance(term, ox.NamedNode):
        found = _label(view, term)
        return str(found["label"]) if found else term.value
    return _text(term)


def _score(part: ScoreComponent, view: View) -> Json:
    return {
        "metric": _label(view, part.metric),
        "value": part.value,
        "weight": part.weight,
        "contribution": part.contribution,
    }


def candidate_json(candidate: Candidate, view: View) -> Json:
    """A candidate as data, with what an offer costs and where it is."""
    return {
        "offer": candidate.thing.value, "thing": _label(view, candidate.thing), **offer_json(view, candidate.thing),
        "eligible": candidate.eligible,
        "score": candidate.score, "rank": candidate.rank, "verdicts": [verdict_json(v, view) for v in candidate.verdicts],
        "scores": [_score(s, view) for s in candidate.scores],
    }  # fmt: skip


def offer_json(view: View, offer: ox.NamedNode) -> Json:
    """What people want to see of an offer."""

    def follow(*path: ox.NamedNode) -> Term | None:
        node: Term | None = offer
        for step in path:
            node = view.value(node, step) if node is not None else None
        return node

    kind, region, price = follow(DAPP.offersType), follow(DAPP.inRegion), follow(DAPP.hasPrice, DAPP.amount)
    return {
        "type": _named(view, kind) if kind is not None else "", "region": _text(region).rsplit("/", 1)[-1],
        "provider": _named(view, p) if (p := follow(DAPP.offeredBy)) is not None else "",
        "price": float(Decimal(_text(price))) if price is not None else None, "currency": _text(follow(DAPP.hasPrice, DAPP.currency)),
    }  # fmt: skip


def rejection_json(rejection: Rejection, view: View) -> Json:
    """How many candidates a constraint rejected, as data."""
    return {
        "unit": _label(view, rejection.unit), "constraint": _label(view, rejection.constraint), "count": rejection.count,
        "only": rejection.only, "rules": [_label(view, r) for r in rejection.rules],
    }  # fmt: skip


def conflict_json(conflict: Conflict, view: View) -> Json:
    """Constraints that cannot all be met, as data."""
    return {
        "unit": _label(view, conflict.unit), "members": [_label(view, m) for m in conflict.members],
        "relaxations": list(conflict.relaxations),
    }  # fmt: skip


def plan_json(made: Plan, view: View) -> Json:
    """A plan as data."""
    chosen = {c.unit: c for c in made.candidates if c.chosen}
    return {
        "application": _label(view, made.application), "status": made.status, "objective": made.objective, "gap": made.gap,
        "solver": f"{made.solver} {made.solver_version}".strip(), "rules": [_label(view, r) for r in made.rules],
        "placements": [
            {
                "unit": _label(view, p.unit), "offer": p.offer.value, **offer_json(view, p.offer),
                "rank": chosen[p.unit].rank if p.unit in chosen else None,
            }
            for p in made.placements
        ],
        "parts": [_score(s, view) for s in made.parts],
        "deadlines": [
            {
                "deadline": _label(view, d.deadline), "hard": d.hard, "bound": d.bound, "time": d.time, "late": d.late,
                "path": [_label(view, u) for u in d.path],
            }
            for d in made.deadlines
        ],
        "totals": [
            {"constraint": _label(view, t.constraint), "metric": _label(view, t.metric), "bound": t.bound, "value": t.value}
            for t in made.totals
        ],
        "hosts": [
            {
                "host": _label(view, h.host), "units": [_label(view, u) for u in h.units],
                "uses": [{"what": u.what, "used": u.used, "bound": u.bound} for u in h.uses],
            }
            for h in made.hosts
        ],
        "provisioning": [{"unit": _label(view, p.unit), "seconds": p.seconds} for p in made.provisioning],
        "unchecked": [{"requirement": _label(view, u.requirement), "reason": u.reason} for u in made.unchecked],
        "conflicts": [conflict_json(c, view) for c in made.conflicts],
        "notes": list(dict.fromkeys(made.notes)),
        "sizes": {k: getattr(made.sizes, k) for k in made.sizes.__slots__},
    }  # fmt: skip


def explanation_json(found: Explanation, view: View) -> Json:
    """An explanation as data."""
    record = found.record
    return {
        "decision": record.iri.value, "application": _label(view, record.application), "time": record.at_time,
        "decidedBy": record.decided_by.value if record.decided_by else "", "objective": record.objective, "gap": record.gap,
        "solver": f"{record.solver} {record.solver_version}".strip(), "seed": record.seed,
        "usedState": [{"graph": s.graph.value, "sequence": s.sequence, "head": s.head} for s in record.used_state],
        "rules": [_label(view, r) for r in record.rules], "parts": [_score(s, view) for s in record.parts],
        "units": [
            {
                "unit": _label(view, u.unit), "chosen": candidate_json(u.chosen, view) if u.chosen else None,
                "misses": [candidate_json(c, view) for c in u.misses],
                "rejections": [rejection_json(r, view) for r in u.rejections],
                "conflicts": [conflict_json(c, view) for c in u.conflicts],
            }
            for u in found.units
        ],
        "betweenUnits": [conflict_json(c, view) for c in found.between_units],
    }  # fmt: skip
