"""Service methods of anchoring and proofs: `anchor`, `anchors`, `prove_file`. They run in the process that owns the files."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.graph.wire import decode_term
from engine.ledger import home as chains
from engine.ledger.anchoring.anchorer import Anchorer
from engine.ledger.anchoring.parts import Anchors
from engine.ledger.anchoring.settings import Settings
from engine.ledger.anchoring.store import Anchor, AnchorStore
from engine.ledger.chains.serve import introduce
from engine.ledger.home import Connected
from engine.ledger.proofs import STEP_LEAVES, Draft, entry_of, sequence_at, subjects_under

_FILE = "anchors.sqlite"
_open: weakref.WeakKeyDictionary[Kernel, tuple[threading.RLock, AnchorStore]] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


@contextmanager
def anchor_store(kernel: Kernel) -> Iterator[AnchorStore]:
    """The home's anchors, for one caller at a time; InputError for a knowledge base in memory."""
    if kernel.home is None:
        raise InputError("a knowledge base in memory has no chain", remedy="open one with a folder: --home DIR")
    with _opening:
        if kernel not in _open:
            _open[kernel] = threading.RLock(), AnchorStore(kernel.home / _FILE)
        lock, store = _open[kernel]
    with lock:
        yield store


@contextmanager
def connection(kernel: Kernel, name: str | None = None) -> Iterator[Connected]:
    """A chain of the home; the default one is made on first use."""
    assert kernel.home is not None
    name = name or chains.DEFAULT
    if name == chains.DEFAULT:
        found = chains.ensure(kernel.home, kernel.keys, kernel.node)
    else:
        found = chains.connect(kernel.home, name, keys=kernel.keys)
    try:
        yield found
    finally:
        close = getattr(found.chain, "close", None)
        if close is not None:
            close()


def _settings(params: Json) -> Settings:
    """The environment's settings, with what the caller gives."""
    given = {k: params[k] for k in ("max_age", "max_heads") if params.get(k) is not None}
    return replace(Settings.of(), **given)


@method
def anchor(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """One round of anchoring: settle what is open, then send what is due (`flush`: what waits; `graphs`, `urgent`)."""
    with anchor_store(kernel) as store, connection(kernel, params.get("chain")) as connected:
        worker = Anchorer(kernel, connected, store, _settings(params))
        done = worker.run(
            flush=bool(params.get("flush")), only=params.get("graphs") or (), urgent=bool(params.get("urgent"))
        )
        introduce(kernel, connected.record, caller)
        rows = [_row(store, a) for n in dict.fromkeys([*done.sent, *done.adopted]) for a in [store.anchor(n)]]
        return {"chain": connected.record.name, **done.as_json(), "anchors": rows}


@method
def anchors(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Anchors, newest first, with how many heads wait and what the last day cost."""
    chain = params.get("chain")
    with anchor_store(kernel) as store:
        found = store.anchors(chain, limit=int(params.get("limit") or 20))
        newest = store.newest(chain or chains.DEFAULT)
    with kernel.lock.held():
        ledger = kernel.resolve("ledger", kernel.node)
        waiting = [
            i for i, e in kernel.log.heads().items()
            if kernel.log.graphs[i].audience == "public" and i != ledger and newest.get(i, 0) < e.sequence
        ]  # fmt: skip
    with anchor_store(kernel) as store:
        return {"anchors": [_row(store, a) for a in found], "waiting": waiting}


def _row(store: AnchorStore, found: Anchor) -> Json:
    members = store.members(found.id)
    return {
        "anchor": found.id, "chain": found.chain, "kind": found.kind, "state": found.state, "root": found.root.hex(),
        "heads": len(members), "fresh": [m.graph for m in members if m.fresh], "sends": found.sends,
        "block": found.block, "transaction": found.tx.hex() if found.tx else None, "gas": found.gas, "fee": str(found.fee),
    }  # fmt: skip


@method
def prove_file(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """A proof file (docs/proof-format.md) about one graph.

    `terms` (N-Triples) begin the statements to prove; `decision` proves all about a node and its parts; `state` all statements;
    none of them: the head alone. `at` is a transaction (number) or a time, `anchored` the newest head that a chain holds,
    `since` a commit that the history is to begin with. `step_leaves`: see `engine.ledger.proofs`.
    """
    with known_anchors(kernel) as anchors_:
        draft = Draft(kernel, anchors_, step_leaves=int(params.get("step_leaves") or STEP_LEAVES))
        with kernel.lock.held():
            _collect(kernel, draft, params)
        return draft.result()


def _collect(kernel: Kernel, draft: Draft, params: Json) -> None:
    graph, sequence = params["graph"], None
    if params.get("at") is not None:
        sequence = sequence_at(kernel, graph, params["at"])
    elif params.get("anchored"):
        sequence = _anchored(kernel, graph)
    draft.head(graph, sequence)
    terms = [decode_term(text) for text in params.get("terms") or ()]
    if params.get("decision"):
        for node in subjects_under(kernel, graph, ox.NamedNode(params["decision"])):
            draft.prove(graph, [node], sequence)
    elif terms or params.get("state"):
        draft.prove(graph, terms, sequence)
    if params.get("since") is not None:
        draft.extend(graph, int(params["since"]), sequence)


@contextmanager
def known_anchors(kernel: Kernel) -> Iterator[Anchors | None]:
    """The home's anchors for a draft; chains are opened when asked and closed at the end."""
    if kernel.home is None or not (kernel.home / _FILE).is_file():
        yield None
        return
    opened: dict[str, Connected] = {}
    with ExitStack() as stack, anchor_store(kernel) as store:

        def connect(name: str) -> Connected:
            if name not in opened:
                opened[name] = stack.enter_context(connection(kernel, name))
            return opened[name]

        yield Anchors(store, connect)


def _anchored(kernel: Kernel, graph: str) -> int:
    entry_of(kernel, graph)
    with anchor_store(kernel) as store:
        found = store.anchored_sequence(graph)
    if found is None:
        raise InputError("no head of this graph is on a chain", place=graph, remedy="anchor it: dappops anchor")
    return found
