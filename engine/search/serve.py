"""Searching and recommending as service methods: they run in the process that owns the store, whoever asks.

Embedding and ranking need no lock; only reading the state and committing do.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine import planning, resources
from engine.errors import InputError, NotAvailableError, did_you_mean
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.search import embed, publish
from engine.search.needs import needs_of, request_triples
from engine.search.packages import Component
from engine.search.searcher import Filter, Found, Function, Searcher
from reasoners.decision import Candidate, labels, number
from reasoners.graph import View
from reasoners.recommend import Hit, Need, Options, Recommendation
from reasoners.recommend import recommend as rank
from reasoners.vocab import DAPP, DCTERMS, RDF

POOL = 50  # things looked at for one need
SHOWN = 3  # of them told for one need
MOST = 500  # things of one search
WEAK = 0.4  # similarity below which nothing near was found: unrelated short texts reach about 0.3 with this model
_searchers: dict[Path, Searcher] = {}
_folders: weakref.WeakKeyDictionary[Kernel, tempfile.TemporaryDirectory[str]] = weakref.WeakKeyDictionary()


@cache
def views() -> Mapping[str, str]:
    """Texts of the views that search and recommendation read through."""
    paths = [*resources.files("queries/views", "recommend-*.rq"), *resources.files("queries/views", "search-*.rq")]
    return {p.stem: p.read_text(encoding="utf-8") for p in paths}


def folder_of(kernel: Kernel) -> Path:
    """Where index and vectors are kept: `DAPPOPS_CACHE`, else beside the log; of a base in memory, until that ends."""
    shared = os.environ.get("DAPPOPS_CACHE")
    if shared:
        return Path(shared).absolute() / "search"
    if kernel.home is not None:
        return kernel.home / "search"
    if kernel not in _folders:
        _folders[kernel] = tempfile.TemporaryDirectory(prefix="dappops-search-")
    return Path(_folders[kernel].name)


def _searcher(kernel: Kernel, params: Json, caller: Caller) -> Searcher:
    folder = folder_of(kernel)
    if params.get("refresh"):
        _searchers.pop(folder, None)
    searcher = _searchers.setdefault(folder, Searcher(folder))
    searcher.ready(
        now=datetime.now(UTC),
        refresh=bool(params.get("refresh")),
        progress=lambda done, total: caller.progress({"done": done, "total": total, "note": "texts embedded"}),
    )
    return searcher


def _functions(kernel: Kernel) -> list[Function]:
    with kernel.lock.held():
        rows = list(kernel.store.view().select(views()["search-functions"]))
    found: dict[str, Function] = {}
    for node, label, description in rows:
        if isinstance(node, ox.NamedNode) and node.value not in found:
            name = label.value if isinstance(label, ox.Literal) else node.value.rsplit("/", 1)[-1]
            said = description.value if isinstance(description, ox.Literal) else ""
            found[node.value] = Function(node.value, name, f"{name}. {said}" if said else name)
    return list(found.values())


# -- search ----------------------------------------------------------------------------------------------------------
@method
def search(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """The `limit` things nearest in meaning to `text`: components of the index (of one `section`, with all `tags`) and
    functions of the graph. `refresh` takes the package list anew."""
    limit = _within(params.get("limit"), 10, "limit")
    only = Filter(params.get("section") or None, tuple(params.get("tags") or ()))
    functions = _functions(kernel)
    searcher = _searcher(kernel, params, caller)
    (hits,) = searcher.find([[str(params["text"])]], limit, functions=functions, only=only)
    return {
        "need": params["text"], "hits": [found_json(h) for h in hits], **_sources(searcher, functions),
    }  # fmt: skip


def _within(value: Any, default: int, name: str) -> int:
    count = default if value is None else int(value)
    if not 1 <= count <= MOST:
        raise InputError(f"{count} is no such number", place=name, rule=f"1 to {MOST}")
    return count


def _sources(searcher: Searcher, functions: Sequence[Function]) -> Json:
    return {
        "index": searcher.index.as_json() if searcher.index else None, "notAvailable": searcher.missing,
        "functions": len(functions), "model": f"sha256:{embed.model_digest()}",
    }  # fmt: skip


def found_json(found: Found) -> Json:
    """A thing that was found, as data."""
    thing = found.thing
    if isinstance(thing, Function):
        return {
            "name": thing.name,
            "kind": "function",
            "similarity": found.similarity,
            "iri": thing.iri,
            "description": thing.text,
        }
    return {
        "name": thing.name, "kind": "component", "similarity": found.similarity, "description": thing.description,
        "tags": list(thing.tags), "section": thing.section, "version": thing.version, "homepage": thing.homepage,
        "installedSize": thing.installed_size, "architecture": thing.architecture,
    }  # fmt: skip


# -- publish ---------------------------------------------------------------------------------------------------------
@method
def publish_components(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State the index and these components of it (`names`) in the author's graph `components`."""
    searcher = _searcher(kernel, params, caller)
    if searcher.index is None:
        raise NotAvailableError(searcher.missing)
    known = {c.name: c for c in searcher.index.components}
    for name in params["names"]:
        if name not in known:
            raise InputError(f"the index has no component {name!r}{did_you_mean(name, known)}", place="names")
    author = (params.get("author") or kernel.node).lower()
    graph = kernel.resolve(publish.GRAPH, author)
    _publish(kernel, caller, author, searcher, [known[n] for n in params["names"]])
    return {"graph": graph, "components": [publish.component_iri(graph, n).value for n in params["names"]]}


def _publish(
    kernel: Kernel,
    caller: Caller,
    author: str,
    searcher: Searcher,
    components: Iterable[Component],
    more: Iterable[ox.Triple] = (),
) -> None:
    graph = kernel.resolve(publish.GRAPH, author)
    with kernel.lock.held():
        removed: list[ox.Triple] = []
        added: list[ox.Triple] = list(more)
        if searcher.index is not None:
            gone, come = publish.changes(kernel.store.view(ox.NamedNode(graph)), graph, searcher.index, components)
            removed, added = gone, come + added
        kernel.commit(
            {graph: (removed, added)},
            author=author,
            sign=lambda d: caller.sign(author, d),
            message="components looked at",
        )


# -- recommend -------------------------------------------------------------------------------------------------------
@method
def recommend(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Recommend things for a `need` in words, for a `unit`, or for every unit of an `application`; commit the decision.

    What was looked at is published first, so that rules can judge it and the decision's state can be had again. Returns the
    decision as data: per need the best `shown`, how many each constraint rejected, and the nearest misses.
    """
    author = (params.get("author") or kernel.node).lower()
    shown, pool = _within(params.get("shown"), SHOWN, "shown"), _within(params.get("pool"), POOL, "pool")
    graph = kernel.resolve(publish.GRAPH, author)
    with kernel.lock.held():
        needs, texts, application, request = needs_of(kernel.store.view(), params, graph, views()["recommend-needs"])
    functions = _functions(kernel)
    searcher = _searcher(kernel, params, caller)
    if searcher.index is None and not functions:
        raise NotAvailableError(
            searcher.missing or "there is nothing to recommend", remedy="publish functions: dappops function list"
        )
    found = dict(
        zip(
            (n.node for n in needs),
            searcher.find([texts[n.node] for n in needs], pool, functions=functions),
            strict=True,
        )
    )
    looked_at = {f.thing.name: f.thing for hits in found.values() for f in hits if isinstance(f.thing, Component)}
    _publish(kernel, caller, author, searcher, looked_at.values(), request_triples(request, needs[0], application))
    with kernel.lock.held():
        view, rules, state = kernel.memory_view(), kernel.gate.rules, planning.used_state(kernel, author)
    hits = {node: [Hit(_iri(graph, f), f.similarity) for f in mine] for node, mine in found.items()}
    made = rank(
        view,
        needs,
        hits,
        rules,
        Options(kept=shown),
        application=application or request,
        views=views(),
        now=datetime.now(UTC),
    )
    name = "everything" if len(needs) > 1 else needs[0].text[:60]
    with kernel.lock.held():
        iri, receipt, digest = planning.record(
            kernel, caller, author, made, state, name="recommendation", message=f"recommend for {name}", table=made.table(),
            request=request, extra=lambda node: _extra(node, made, needs, application, request),
        )  # fmt: skip
        told = recommendation_json(made, needs, kernel.store.view())
    return {
        "decision": iri, **told, **_sources(searcher, functions), "receipt": receipt.as_json(), "candidateTable": digest,
        "lookedAt": len(looked_at),
    }  # fmt: skip


def _iri(graph: str, found: Found) -> ox.NamedNode:
    thing = found.thing
    return ox.NamedNode(thing.iri) if isinstance(thing, Function) else publish.component_iri(graph, thing.name)


def _extra(
    node: ox.NamedNode,
    made: Recommendation,
    needs: Sequence[Need],
    application: ox.NamedNode | None,
    request: ox.NamedNode | None,
) -> Iterator[ox.Triple]:
    yield ox.Triple(node, RDF.type, DAPP.Recommendation)
    for place, candidate in enumerate(made.candidates, 1):
        yield ox.Triple(
            ox.NamedNode(f"{node.value}/candidate/{place}"), DAPP.similarity, number(_similarity(candidate))
        )
    if request is None:
        for place, need in enumerate(needs, 1):
            mine = ox.NamedNode(f"{node.value}/need/{place}")
            yield from request_triples(mine, need, application)
            yield ox.Triple(mine, DAPP.forUnit, need.node)


def _similarity(candidate: Candidate) -> float:
    return candidate.scores[0].value


def recommendation_json(made: Recommendation, needs: Sequence[Need], view: View) -> Json:
    """A recommendation as data, need by need."""
    named = [*(c.thing for c in made.candidates), *(s.metric for c in made.candidates for s in c.scores)]
    known = labels(view, [*named, made.application, *made.rules, *(n.node for n in needs)])

    def label(node: ox.NamedNode) -> Json:
        return {"iri": node.value, "label": known.get(node, node.value.replace("#", "/").rsplit("/", 1)[-1])}

    def candidate(c: Candidate) -> Json:
        said, near = view.value(c.thing, DCTERMS.description), _similarity(c)
        return {
            "name": label(c.thing)["label"], "iri": c.thing.value, "similarity": near, "weak": near < WEAK,
            "description": said.value if isinstance(said, ox.Literal) else "", "score": c.score, "rank": c.rank,
            "verdicts": [planning.verdict_json(v, view) for v in c.verdicts],
            "discouraged": [{"constraint": label(s.metric), "penalty": s.contribution} for s in c.scores[1:]],
        }  # fmt: skip

    return {
        "application": label(made.application), "rules": [label(r) for r in made.rules], "notes": list(made.notes),
        "needs": [
            {
                "need": {**label(n.node), "text": n.text},
                "recommended": [candidate(c) for c in made.candidates if c.unit == n.node and c.eligible],
                "misses": [candidate(c) for c in made.candidates if c.unit == n.node and not c.eligible],
                "rejections": [planning.rejection_json(r, view) for r in made.rejections if r.unit == n.node],
                "conflicts": [planning.conflict_json(c, view) for c in made.conflicts if c.unit == n.node],
            }
            for n in needs
        ],
    }  # fmt: skip
