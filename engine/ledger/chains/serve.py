"""What chains leave in the graph, as service methods: the owner of the store commits, whoever asks.

Making, measuring and co-signing happen in the process that asks; here are the commits, idempotent, and the choice of ledgers:
the reasoner gets its state, its rules and its clock, and its decision gets its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import pyoxigraph as ox

from engine import planning, resources
from engine.errors import InputError, did_you_mean
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, author_of, method, replace_mine
from engine.ledger.chains import described
from engine.ledger.home import ChainRecord
from engine.ledger.naming.statements import ledger_iri
from reasoners.decision import labels
from reasoners.graph import View
from reasoners.ledger import DEFAULT_WEIGHTS, Choice, Options, choose
from reasoners.vocab import DAPP, DAPPI, RDF

METRICS = {
    "cost": DAPPI.TransactionCost, "finality": DAPPI.FinalityTime, "inclusion": DAPPI.InclusionTime,
    "throughput": DAPPI.TransactionThroughput, "co-signers": DAPPI.CoSigners,
}  # fmt: skip
PROFILED = (DAPP.hasLedgerProfile, DAPP.coSignerCount)


@cache
def views() -> Mapping[str, str]:
    """Texts of the named SELECTs through which the choice of ledgers reads."""
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", "ledger-*.rq")}


@method
def publish_ledger(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State a chain (`chain`: see `described.ledger`) and, where it was measured (`profile`), what was measured."""
    graph = _graph(kernel, params)
    chain, measured = params["chain"], params.get("profile")
    name, me = chain["name"], ledger_iri(graph, chain["name"])
    made = described.ledger(graph, chain)
    if measured is not None:
        made += described.profile(graph, name, measured)

    def mine(triple: ox.Triple) -> bool:
        subject = _subject(triple)
        if subject == me:
            return measured is not None or triple.predicate not in PROFILED
        return subject == f"{me}/profile" and measured is not None

    return replace_mine(kernel, params, caller, graph, mine, made, f"ledger {name}")


def introduce(kernel: Kernel, record: ChainRecord, caller: Caller) -> None:
    """State a chain of this home in the node's graph `ledger` unless it stands there, so that what points to it leads
    somewhere. What was measured of it, and what changed since, is `publish_ledger`'s."""
    with kernel.lock.held():
        graph = kernel.resolve(described.GRAPH, kernel.node)
        me = ox.NamedNode(ledger_iri(graph, record.name))
        if (
            ox.Triple(me, DAPP.genesisHash, ox.Literal(record.genesis["hash"].removeprefix("0x")))
            in kernel.store.view()
        ):
            return
    publish_ledger(kernel, {"chain": described.summary(record), "author": kernel.node}, caller)


@method
def forget_ledger(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Take back everything that is said of a chain (`name`) and of what is on it."""
    graph = _graph(kernel, params)
    me = ledger_iri(graph, params["name"])

    def mine(triple: ox.Triple) -> bool:
        return _subject(triple) == me or _subject(triple).startswith(f"{me}/") or triple.object == ox.NamedNode(me)

    return replace_mine(kernel, params, caller, graph, mine, (), f"ledger {params['name']} is gone")


@method
def publish_checkpoint(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State a co-signed block: `name`, `number`, `hash`, `signers`. Signers of one block add up."""
    graph = _graph(kernel, params)
    made = described.checkpoint(graph, params["name"], int(params["number"]), params["hash"], params["signers"])
    return replace_mine(
        kernel,
        params,
        caller,
        graph,
        lambda t: False,
        made,
        f"checkpoint of {params['name']}: block {params['number']}",
    )


@method
def publish_upgrade(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State an agreed upgrade: `name`, `rules`, `height`, `signers`."""
    graph = _graph(kernel, params)
    made = described.upgrade(graph, params["name"], params["rules"], int(params["height"]), params["signers"])
    text = f"upgrade of {params['name']}: {params['rules']} from block {params['height']}"
    return replace_mine(kernel, params, caller, graph, lambda t: False, made, text)


@method
def ledger_profiles(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """What was measured of each known ledger: IRI -> {metric's short name: value}."""
    with kernel.lock.held():
        rows = list(kernel.store.view().select(views()["ledger-profiles"]))
    found: dict[str, dict[str, float]] = {}
    names = {metric.value: name for name, metric in METRICS.items()}
    for row in rows:
        side = found.setdefault(row["ledger"].value, {})
        if row["metric"] is not None and row["value"] is not None:
            side[names.get(row["metric"].value, row["metric"].value)] = float(row["value"].value)
    return found


@method
def choose_ledger(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Choose a ledger for each kind of transaction of `application` and commit the decision (unless `dry_run`).

    `weights` by short name or IRI of a metric; `misses`. Which ledger each uses stands in the author's graph `ledger` then.
    """
    author = author_of(kernel, params)
    application = ox.NamedNode(params["application"])
    with kernel.lock.held():
        view = kernel.memory_view()
        rules = kernel.gate.rules
        state = planning.used_state(kernel, author)
    if ox.Triple(application, RDF.type, DAPP.QualityCriticalApplication) not in view:
        raise InputError("there is no such application", place=application.value, remedy="commit its description first")
    options = Options(weights=_weights(params), misses=int(params.get("misses", 3)))
    made = choose(view, application, rules, options, views=views(), now=datetime.now(UTC))
    if params.get("dry_run"):
        return {"decision": None, **choice_json(made, view)}
    with kernel.lock.held():
        iri, receipt, digest = planning.record(
            kernel, caller, author, made, state, name="ledger",
            message=f"ledgers for {application.value.rsplit('/', 1)[-1]}", table=made.table(),
        )  # fmt: skip
        graph = kernel.resolve(described.GRAPH, author)
        scopes = {scope for scope, _ in made.chosen}
        used = [ox.Triple(scope, DAPP.usesLedger, found) for scope, found in made.chosen if found is not None]

        def mine(triple: ox.Triple) -> bool:
            return triple.predicate == DAPP.usesLedger and triple.subject in scopes

        replace_mine(kernel, params, caller, graph, mine, used, "ledgers used")
    return {"decision": iri, **choice_json(made, view), "receipt": receipt.as_json(), "candidateTable": digest}


def choice_json(made: Choice, view: View) -> Json:
    """A choice of ledgers as data."""
    terms = {made.application, *(s for s, _ in made.chosen), *(c.thing for c in made.candidates)}
    names = labels(view, terms | {s.metric for c in made.candidates for s in c.scores})

    def name(node: ox.NamedNode) -> Json:
        return {"iri": node.value, "label": names.get(node) or node.value.replace("#", "/").rsplit("/", 1)[-1]}

    return {
        "application": name(made.application),
        "chosen": [
            {"scope": name(s), "ledger": name(x) if x is not None else None} for s, x in made.chosen
        ],
        "candidates": [
            {
                "scope": name(c.unit), "ledger": name(c.thing), "eligible": c.eligible,
                "rank": c.rank, "score": c.score,
                "scores": [
                    {"metric": name(s.metric), "value": s.value, "weight": s.weight, "contribution": s.contribution}
                    for s in c.scores
                ],
                "verdicts": [planning.verdict_json(v, view) for v in c.verdicts],
            }
            for c in made.candidates
        ],
        "rejections": [planning.rejection_json(r, view) for r in made.rejections],
        "conflicts": [planning.conflict_json(c, view) for c in made.conflicts],
        "rules": [r.value for r in made.rules], "objective": made.objective, "notes": list(made.notes),
    }  # fmt: skip


def _weights(params: Json) -> dict[ox.NamedNode, float]:
    given = params.get("weights") or {}
    if not given:
        return dict(DEFAULT_WEIGHTS)
    chosen = {}
    for name, weight in given.items():
        if name not in METRICS and "://" not in name:
            raise InputError(f"no metric {name!r}{did_you_mean(name, METRICS)}", rule=f"weights: {', '.join(METRICS)}")
        chosen[METRICS.get(name) or ox.NamedNode(name)] = float(weight)
    return chosen


def _subject(triple: ox.Triple) -> str:
    return triple.subject.value if isinstance(triple.subject, ox.NamedNode) else ""


def _graph(kernel: Kernel, params: Json) -> str:
    with kernel.lock.held():
        return kernel.resolve(described.GRAPH, author_of(kernel, params))
