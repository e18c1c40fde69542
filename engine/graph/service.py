"""What a knowledge base answers, as functions of (kernel, parameters): the owner calls them for itself and for clients.

Parameters and results are plain JSON data, so that both ways give the same. Terms travel as N-Triples text.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import pyoxigraph as ox

from engine import resources
from engine.errors import InputError, did_you_mean
from engine.graph import history, names
from engine.graph.kernel import Kernel, now_utc
from engine.graph.log import Transaction
from engine.graph.reading import query_store
from engine.graph.wire import decode_term, decode_triples, encode_triples
from reasoners.graph import Delta, GraphName, Term
from reasoners.vocab import DAPP, PREFIXES, RDF, RDFS

Json = dict[str, Any]
REGIMES = ("hierarchy", "full")
MAX_ROWS = 1_000_000  # rows of one answer: every output is bounded


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who asks: how to get a signature, and where to tell progress."""

    sign: Callable[[str, bytes], bytes]
    progress: Callable[[Json], None] = lambda frame: None


Method = Callable[[Kernel, Json, Caller], Any]
METHODS: dict[str, Method] = {}
HOMES = {  # methods of other rooms, imported when they are called
    "import_cloud": "engine.catalogue.serve", "import_files": "engine.catalogue.serve",
    "plan": "engine.planning", "why": "engine.planning", "why_not": "engine.planning", "decisions": "engine.planning",
    "applications": "engine.planning", "consider_proposals": "engine.proposals",
    "publish_components": "engine.search.serve", "search": "engine.search.serve", "recommend": "engine.search.serve",
    "publish_packages": "engine.accelerators.serve_packages",
    "published_packages": "engine.accelerators.serve_packages",
    "publish_functions": "engine.accelerators.serve", "publish_devices": "engine.accelerators.serve",
    "publish_profiles": "engine.accelerators.serve", "choose_function": "engine.accelerators.serve",
    "function_choices": "engine.accelerators.serve",
    "deploy": "engine.orchestration.serve", "undeploy": "engine.orchestration.serve",
    "restart": "engine.orchestration.serve", "migrate": "engine.orchestration.serve",
    **dict.fromkeys(
        ("operation_learned", "operation_baselines", "operation_metrics", "operation_incident", "operation_decide",
         "operation_action", "operation_scored", "operation_ended", "operation_goals", "operation_pending"),
        "engine.orchestration.operation.serve",
    ),
    "simulate": "engine.orchestration.operation.simulate",
    "prove_query": "engine.ledger.answers.serve",
    **dict.fromkeys(("audience", "audience_version", "feed_snapshot", "feed_since", "as_of"), "engine.graph.feeding"),
    **dict.fromkeys(
        ("publish_ledger", "forget_ledger", "publish_checkpoint", "publish_upgrade", "ledger_profiles", "choose_ledger"),
        "engine.ledger.chains.serve",
    ),
    **dict.fromkeys(("anchor", "anchors", "prove_file"), "engine.ledger.anchoring.serve"),
    **dict.fromkeys(("enforce", "assess", "reputation"), "engine.ledger.reputation"),
    **dict.fromkeys(("commit_evaluated", "graph_state"), "engine.graph.updating"),
    "why_triple": "engine.graph.explaining",
    **dict.fromkeys(("signing_needed", "commit_signed", "make_graph"), "engine.graph.signing"),
    "adopt_graph": "engine.ledger.agreements.serve", "signed_graph": "engine.ledger.agreements.serve",
}  # fmt: skip


def author_of(kernel: Kernel, params: Json) -> str:
    """Who asks, by `author`; the node unless given."""
    author: str = (params.get("author") or kernel.node).lower()
    return author


def replace_mine(
    kernel: Kernel, params: Json, caller: Caller, graph: str, mine: Callable[[ox.Triple], bool],
    triples: Iterable[ox.Triple], message: str,
) -> Json:  # fmt: skip
    """Make `triples` all of what is `mine` in a graph of the author's; no commit when they are."""
    author = author_of(kernel, params)
    with kernel.lock.held():
        wanted = set(triples)
        there = {q.triple for q in kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph))}
        removed = sorted({t for t in there if mine(t)} - wanted, key=str)
        added = sorted(wanted - there, key=str)
        receipt = None
        if removed or added:
            receipt = kernel.commit(
                {graph: (removed, added)}, author=author, sign=lambda d: caller.sign(author, d), message=message
            )
    return {
        "graph": graph, "added": len(added), "removed": len(removed), "receipt": receipt.as_json() if receipt else None,
    }  # fmt: skip


def method(function: Method) -> Method:
    """Register a service method under its function's name."""
    METHODS[function.__name__] = function
    return function


def call(kernel: Kernel, name: str, params: Json, caller: Caller) -> Any:
    """Run a method by name."""
    if name in HOMES and name not in METHODS:
        importlib.import_module(HOMES[name])
    function = METHODS.get(name)
    if function is None:
        raise InputError(f"no method {name!r}{did_you_mean(name, {*METHODS, *HOMES})}")
    return function(kernel, params, caller)


# -- reading ---------------------------------------------------------------------------------------------------------
@method
def info(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Where this knowledge base is, who it belongs to, what graphs it has."""
    with kernel.lock.held():
        heads = kernel.log.heads()
        return {
            "home": str(kernel.home), "node": kernel.node, "base": kernel.base, "head": kernel.log.head_tx(),
            "keys": kernel.keys.addresses(), "recovered": kernel.recovered, "safe": kernel.safe,
            "graphs": [
                {
                    "iri": g.iri, "owner": g.owner, "kind": g.kind, "audience": g.audience, "created": g.created,
                    "sequence": heads[g.iri].sequence if g.iri in heads else 0,
                    "head": heads[g.iri].head.hex() if g.iri in heads else g.genesis.hex(),
                    "root": heads[g.iri].set_root.hex() if g.iri in heads else "",
                }
                for g in kernel.log.graphs.values()
            ],
        }  # fmt: skip


def run_query(kernel: Kernel, text: str, as_of: int | None = None, regime: str = "hierarchy") -> Any:
    """Start a query on a snapshot: later commits are not seen by the iterator it returns.

    `regime`: `hierarchy` (asserted, class and property hierarchy, policy rules) or `full` (OWL 2 RL on top, now only).
    """
    if regime not in REGIMES or (regime == "full" and as_of is not None):
        raise InputError(
            f"no regime {regime!r} here", rule=f"one of {', '.join(REGIMES)}; `full` is of the current state only"
        )
    with kernel.lock.held():
        if regime == "full":
            store = kernel.full.store(kernel)
        else:
            store = kernel.store.store if as_of is None else history.state_at(kernel, as_of).store
        return query_store(store, text, named=kernel.log.graphs, prefixes=PREFIXES)


@method
def query(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Answer a SPARQL query: {"boolean"} | {"variables", "rows"} | {"triples"}."""
    result = run_query(kernel, params["text"], params.get("as_of"), params.get("regime") or "hierarchy")
    limit = min(int(params.get("limit") or MAX_ROWS), MAX_ROWS)
    if isinstance(result, ox.QueryBoolean):
        return {"boolean": bool(result)}
    if isinstance(result, ox.QueryTriples):
        triples = _bounded(result, limit)
        return {"triples": encode_triples(triples)}
    variables = [v.value for v in result.variables]
    rows = [[None if t is None else str(t) for t in row] for row in _bounded(result, limit + 1)]
    return {"variables": variables, "rows": rows[:limit], "truncated": len(rows) > limit}


@method
def view(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Answer a named view of `queries/views`; `bindings` (variable -> N-Triples term) are substituted, never pasted."""
    known = {p.stem: p for p in resources.files("queries/views", "*.rq")}
    name = params["name"]
    if name not in known:
        raise InputError(f"no view {name!r}{did_you_mean(name, known)}", remedy="list them with `dappops view`")
    given = {ox.Variable(k): decode_term(v) for k, v in (params.get("bindings") or {}).items()}
    with kernel.lock.held():
        found = kernel.store.view().select(known[name].read_text(encoding="utf-8"), substitutions=given)
        rows = [[None if t is None else str(t) for t in row] for row in _bounded(found, MAX_ROWS)]
    return {"variables": [v.value for v in found.variables], "rows": rows, "truncated": False}


def _bounded(items: Iterable[Any], limit: int) -> Iterator[Any]:
    for index, item in enumerate(items):
        if index >= limit:
            return
        yield item


@method
def quads(kernel: Kernel, params: Json, caller: Caller) -> str:
    """Quads matching a pattern, as N-Quads; `graph` None is the closure with what is inert."""
    subject, predicate, obj = (
        None if params.get(k) is None else decode_term(params[k]) for k in ("subject", "predicate", "object")
    )
    if isinstance(subject, ox.Literal) or not (predicate is None or isinstance(predicate, ox.NamedNode)):
        return ""
    graph = params.get("graph")
    with kernel.lock.held():
        union: list[GraphName] = [ox.DefaultGraph(), names.INERT]
        graphs = union if graph is None else [ox.NamedNode(graph)]
        store = kernel.store.store
        return "".join(f"{q} .\n" for g in graphs for q in store.quads_for_pattern(subject, predicate, obj, g))


@method
def log(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """Transactions, newest first."""
    with kernel.lock.held():
        out = []
        for tx in kernel.log.transactions(newest_first=True):
            if params.get("graph") and all(e.graph != params["graph"] for e in tx.entries):
                continue
            out.append(tx_json(tx))
            if len(out) >= int(params.get("limit") or 20):
                break
        return out


def tx_json(tx: Transaction) -> Json:
    """A transaction as data."""
    return {
        "sequence": tx.id, "time": tx.time, "message": tx.message, "gate": tx.gate,
        "commits": [
            {
                "graph": e.graph, "sequence": e.sequence, "author": e.author, "added": e.added, "removed": e.removed,
                "head": e.head.hex(), "root": e.set_root.hex(), "parent": e.parent.hex(), "delta": e.delta.hex(),
                "expires": e.expires, "signature": e.signature.hex(), "seal": e.seal.hex(),
            }
            for e in tx.entries
        ],
    }  # fmt: skip


def delta_json(delta: Delta) -> Json:
    """A delta as N-Quads text."""
    return {
        "removed": "".join(f"{q} .\n" for q in sorted(delta.removed, key=str)),
        "added": "".join(f"{q} .\n" for q in sorted(delta.added, key=str)),
    }


@method
def diff(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """What changed between two transactions."""
    with kernel.lock.held():
        head = kernel.log.head_tx()
        new = head if params.get("new") is None else int(params["new"])
        return delta_json(history.diff(kernel, int(params["old"]), new, params.get("graph")))


@method
def prove(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """A proof that the statements matching a pattern (s, s p, or s p o) are all there are in a graph, or none."""
    with kernel.lock.held():
        graph = params["graph"]
        known = kernel.log.graphs.get(graph)
        if known is None:
            raise InputError(f"no graph <{graph}>{did_you_mean(graph, kernel.log.graphs)}")
        terms = [decode_term(params[k]) for k in ("subject", "predicate", "object") if params.get(k) is not None]
        proof = history.prove(kernel, known, terms)
        return {"graph": graph, "proof": proof}


@method
def verify(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Recompute signatures, hashes and roots of the whole log."""
    with kernel.lock.held():
        return dict(history.verify_log(kernel))


@method
def validate(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """Full validation of the current state: integrity of every graph, coherence of the closure."""
    from engine.graph.gate import in_graph, result_json

    with kernel.lock.held():
        gate = kernel.gate
        results = []
        for graph in kernel.log.graphs.values():
            view = kernel.own_view(graph)
            results += gate.integrity.full(view, in_graph(view, ox.NamedNode(graph.iri)))
        results += gate.coherence.full(kernel.store.view())
        return [result_json(r) for r in results]


@method
def rules(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """The rules in force: how each is evaluated and how many triples it derived."""
    with kernel.lock.held():
        gate = kernel.gate
        modes = {row.rule: row.mode for row in gate.deriver.table()}
        store = kernel.store.store
        return [
            {
                "iri": r.iri.value, "label": r.label, "purpose": r.purpose, "heads": sorted(r.heads), "text": r.text,
                "weight": str(r.weight), "priority": r.priority, "supersedes": sorted(i.value for i in r.supersedes),
                "origin": "shipped" if r.trusted else "local",
                "mode": modes.get(r.name, "when a plan is made" if r.purpose == "plan" else ""),
                "derived": sum(1 for _ in store.quads_for_pattern(None, None, None, names.derived_graph(r.iri))),
            }
            for r in gate.rules
        ]  # fmt: skip


@method
def findings(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """Open findings of coherence shapes."""
    with kernel.lock.held():
        view = kernel.store.view(names.FINDINGS)
        rows = []
        for node in sorted(view.subjects(RDF.type, DAPP.Finding), key=str):
            about, shape, since, message = (
                view.value(node, p) for p in (DAPP.about, DAPP.ofShape, DAPP.detectedAt, DAPP.message)
            )
            rows.append(
                {
                    "iri": str(node).strip("<>"), "about": _plain(about), "shape": _plain(shape), "since": _plain(since),
                    "message": _plain(message),
                }
            )  # fmt: skip
        return sorted(rows, key=lambda r: (r["since"], r["about"], r["shape"]))


def _plain(term: Term | None) -> str:
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else term.value


@method
def named(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """IRIs whose local part or label is `name` (of class `kind`, when given), and names that are like it."""
    wanted, kind = params["name"], params.get("kind")
    with kernel.lock.held():
        view = kernel.store.view()
        if kind:
            nodes = [n for n in view.subjects(RDF.type, ox.NamedNode(kind)) if isinstance(n, ox.NamedNode)]
        else:
            nodes = list({t.subject for t in view.triples(None, RDF.type, None) if isinstance(t.subject, ox.NamedNode)})
        labels = (
            {n: {_plain(x) for x in view.objects(n, RDFS.label)} for n in nodes} if kind or len(nodes) < 50_000 else {}
        )
        depth = 1 + wanted.strip("/").count("/")
        iris, known = [], set()
        for node in nodes:
            local = "/".join(node.value.replace("#", "/").split("/")[-depth:])
            if local == wanted or node.value.endswith("/" + wanted) or wanted in labels.get(node, ()):
                iris.append(node.value)
            known.add(local)
        # names that begin like the wanted one first: those are what a slip is near to
        near = sorted(known, key=lambda name: (-len(commonprefix((name, wanted))), name))  # noqa: RUF071  # of text, not paths
        return {"iris": sorted(iris), "known": near[:1000]}


# -- writing ---------------------------------------------------------------------------------------------------------
def _signer(caller: Caller, author: str) -> Callable[[bytes], bytes]:
    return lambda digest: caller.sign(author, digest)


@method
def commit(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Commit `changes`: graph -> {"removed", "added"} as N-Triples."""
    author = (params.get("author") or kernel.node).lower()
    changes = {
        graph: (decode_triples(c.get("removed", "")), decode_triples(c.get("added", "")))
        for graph, c in params["changes"].items()
    }
    return kernel.commit(
        changes,
        author=author,
        sign=_signer(caller, author),
        message=params.get("message", ""),
        expires=int(params.get("expires") or 0),
    ).as_json()


@method
def revert(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Commit the reverse of a transaction."""
    author = (params.get("author") or kernel.node).lower()
    with kernel.lock.held():
        return history.revert(
            kernel, int(params["sequence"]), author=author, message=params.get("message", "")
        ).as_json()


@method
def redact(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Remove statements and erase their text from the log."""
    author = (params.get("author") or kernel.node).lower()
    graph = kernel.resolve(params["graph"], author)
    subject = params.get("subject")
    with kernel.lock.held():
        triples = decode_triples(params.get("triples", ""))
        if subject is not None:
            triples += history.ever_said(kernel, graph, decode_term(subject))
        count = history.redact(kernel, graph, triples, author=author, reason=params["reason"], time=now_utc())
    return {"statements": len(triples), "commits": count}


@method
def expire(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Commit the removal of everything whose commit has expired by `now` (Unix seconds)."""
    with kernel.lock.held():
        return history.expire(kernel, int(params["now"])).as_json()


@method
def rebuild(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Drop every view and make it anew from the log."""
    kernel.rebuild()
    return {"head": kernel.log.head_tx()}


@method
def update(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Evaluate a SPARQL Update to its delta and commit that."""
    from engine.graph.access import evaluate

    author = (params.get("author") or kernel.node).lower()
    with kernel.lock.held():
        changes = evaluate(
            kernel, params["text"], author=author, graph=kernel.resolve(params.get("graph") or "main", author)
        )
        return kernel.commit(
            changes, author=author, sign=_signer(caller, author), message=params.get("message", "")
        ).as_json()


@method
def audit(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Compare every view with the log; IntegrityError on a difference."""
    from engine.graph.audit import check_views

    with kernel.lock.held():
        return dict(check_views(kernel))
