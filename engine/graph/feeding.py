"""Service methods of the feed: what the keeper of replicas asks the owner of a knowledge base."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from engine.graph.audiences import PUBLIC, audience_named, key_of, private_graphs
from engine.graph.kernel import Kernel
from engine.graph.past import transaction_at
from engine.graph.service import REGIMES, Caller, Json, method


def _audience(kernel: Kernel, params: Json) -> tuple[str, frozenset[str], str]:
    key = str(params.get("audience") or PUBLIC)
    regime = str(params.get("regime") or "hierarchy")
    if regime not in REGIMES:
        raise InputError(f"no regime {regime!r}", rule=f"one of {', '.join(REGIMES)}")
    with kernel.lock.held():
        graphs = audience_named(kernel, key)
    if graphs is None:
        raise InputError(
            f"no audience {key!r}", rule="an audience is named by the private graphs it reads",
            remedy="ask for the reader's with `audience`: permissions may have changed",
        )  # fmt: skip
    return key, graphs, regime


@method
def audience(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """The audience an address belongs to, and the private graphs it reads; `public` for nobody's address."""
    reader = str(params.get("reader") or "").lower()
    with kernel.lock.held():
        graphs = private_graphs(kernel, reader) if reader else frozenset()
    return {"key": key_of(graphs), "graphs": sorted(graphs)}


@method
def audience_version(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Newest transaction (for replicas only), version and entity tag of an audience."""
    return kernel.feed.told(_audience(kernel, params)[1])


@method
def feed_snapshot(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Write an audience's dataset to a new file in `folder` (mode 0600), which the caller removes."""
    key, graphs, regime = _audience(kernel, params)
    at = params.get("as_of")
    return kernel.feed.snapshot(key, graphs, regime, None if at is None else int(at), Path(params["folder"]))


@method
def feed_since(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Steps of an audience's dataset after a transaction; waits for news up to `wait` seconds."""
    key, graphs, regime = _audience(kernel, params)
    return kernel.feed.since(key, graphs, regime, int(params["tx"]), float(params.get("wait") or 0))


@method
def as_of(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """The transaction an audience means by a version of its own or by a time (xsd:dateTime)."""
    _, graphs, _ = _audience(kernel, params)
    with kernel.lock.held():
        return {"tx": transaction_at(kernel, params["at"], graphs)}
