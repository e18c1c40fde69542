"""Puts heads on a chain, so that a crash or a reorganisation at any point neither loses one nor pays twice.

The order: the intent, with its content, is durable; then the transaction is sent; then what became of it is written down. Whoever
starts again asks the chain, by the registry's events, about every intent that is not settled, before anything new is sent.
What the graph says about anchors (`triples`) follows this file's state and is never read back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyoxigraph as ox

from engine.errors import BusyError, InputError, did_you_mean
from engine.graph.commit import Receipt
from engine.graph.kernel import Kernel
from engine.graph.keys import Signer
from engine.graph.log import Entry
from engine.ledger.anchoring import slots, triples
from engine.ledger.anchoring.batch import Batch, graph_id
from engine.ledger.anchoring.due import Due, Spent, Waiting, due
from engine.ledger.anchoring.settings import DAY, Settings
from engine.ledger.anchoring.store import FINAL, INCLUDED, PROPOSED, WITHDRAWN, Anchor, AnchorStore, Member
from engine.ledger.chain import Inclusion, lower
from engine.ledger.home import Connected

GRAPH = "ledger"  # short name of the node's graph about chains
REGISTRY = "GraphRegistry"
GAS = 60_000  # of one anchor, before one was seen
PATIENCE = 120.0  # seconds to wait for a transaction of ours that the chain knows and has in no block
LOOK_BACK = 64  # blocks before an intent's height in which its event is searched: a reorganisation may have moved it

checkpoint: Callable[[str], None] = lambda name: None  # noqa: E731  # tests put a kill here, between any two writes


@dataclass(slots=True)
class Outcome:
    """What one round did."""

    sent: list[int] = field(default_factory=list)
    adopted: list[int] = field(default_factory=list)  # found in a block after a crash or a reorganisation
    final: list[int] = field(default_factory=list)
    taken_back: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    due: Due = field(default_factory=Due)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "sent": self.sent, "adopted": self.adopted, "final": self.final, "taken_back": self.taken_back,
            "pending": self.pending, "until": self.due.until, "why": self.due.why,
        }  # fmt: skip


class Anchorer:
    """Anchors one node's heads on one chain. One at a time for a home; `sign` signs the node's commits to its ledger graph."""

    def __init__(
        self, kernel: Kernel, connected: Connected, store: AnchorStore, settings: Settings, *, sign: Signer | None = None,
        clock: Callable[[], float] = time.time, pause: Callable[[float], None] = time.sleep, patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self.kernel, self.connected, self.store, self.settings = kernel, connected, store, settings
        self.chain, self.name = connected.chain, connected.record.name
        self.registry = connected.contract(REGISTRY)
        self.submitter = lower(kernel.node)
        self.ledger = kernel.resolve(GRAPH, kernel.node)
        self._sign, self._clock, self._pause, self._patience = sign, clock, pause, patience

    # -- one round --------------------------------------------------------------------------------------------------
    def run(self, *, flush: bool = False, only: Sequence[str] = (), urgent: bool = False) -> Outcome:
        """Settle what is open, look for reorganisations, then send what is due.

        `flush` sends what waits without waiting longer; `only` names graphs to anchor now, `urgent` each of them alone.
        BusyError when a transaction of ours stays in no block.
        """
        outcome = Outcome()
        self._look_back(outcome)
        self._settle_open(outcome)
        self._finish(outcome)
        waiting = self.waiting(only, urgent=urgent)
        now = self._clock()
        spent = self.store.spent(self.name, now - DAY)
        outcome.due = due(waiting, spent, self.expected(), self.settings, now, flush=flush or bool(only))
        anchors = [self._intend_single(w) for w in outcome.due.singles]
        if outcome.due.batch:
            anchors.append(self._intend_batch())
        checkpoint("intended")
        self._tell()
        for anchor in anchors:
            self._send(anchor, outcome)
        self._finish(outcome)
        self._tell()
        return outcome

    def expected(self) -> Spent:
        """What one transaction is expected to cost."""
        seen = self.store.expected(self.name)
        return Spent(0.0, seen.gas or GAS, seen.wei)

    # -- what waits --------------------------------------------------------------------------------------------------
    def waiting(self, only: Sequence[str] = (), *, urgent: bool = False) -> list[Waiting]:
        """Heads that no anchor of this chain holds; never the ledger graph's, whose commits come from anchoring itself."""
        known = self.store.newest(self.name)
        named = {self.resolve(name) for name in only}
        pressing = {self.resolve(name, check=False) for name in self.settings.urgent}
        found = []
        with self.kernel.lock.held():
            for iri, head in self._public(named).items():
                if iri == self.ledger or known.get(iri, 0) >= head.sequence or (named and iri not in named):
                    continue
                private = self.kernel.log.graphs[iri].audience != "public"
                if private and not urgent:
                    raise InputError(
                        "a private graph goes into no batch: its place there would tell that it exists", place=iri,
                        remedy="anchor it alone: --urgent",
                    )  # fmt: skip
                row = self.kernel.log.db.execute(
                    "SELECT t.time FROM entry e JOIN tx t ON t.id=e.tx WHERE e.graph=? AND e.sequence>? ORDER BY e.sequence LIMIT 1",
                    (iri, known.get(iri, 0)),
                ).fetchone()
                since = triples.seconds(row[0])
                now = iri in pressing or (urgent and iri in named) or (urgent and not named)
                found.append(Waiting(iri, head.sequence, head.head, since, now))
        return found

    def resolve(self, name: str, *, check: bool = True) -> str:
        """A graph's IRI from an IRI or a short name of the node's; InputError when `check` and there is none."""
        iri = self.kernel.resolve(name, self.kernel.node)
        if check and iri not in self.kernel.log.graphs:
            known = self.kernel.log.graphs
            raise InputError(f"no graph <{iri}>{did_you_mean(iri, known)}", remedy="see `dappops log`")
        return iri

    def _public(self, also: Iterable[str] = ()) -> dict[str, Entry]:
        graphs = self.kernel.log.graphs
        wanted = set(also)
        return {i: e for i, e in self.kernel.log.heads().items() if graphs[i].audience == "public" or i in wanted}

    # -- intents -----------------------------------------------------------------------------------------------------
    def _intend_single(self, waiting: Waiting) -> Anchor:
        member = Member(waiting.graph, waiting.sequence, waiting.head)
        return self._intend("single", waiting.head, waiting.graph, [member])

    def _intend_batch(self) -> Anchor:
        """A batch holds every public graph's head, those too that earlier ones held: the registry keeps the newest only."""
        known = self.store.newest(self.name)
        with self.kernel.lock.held():
            heads = self._public()
        root = Batch({iri: entry.head for iri, entry in heads.items()}).root
        members = [Member(i, e.sequence, e.head, known.get(i, 0) < e.sequence) for i, e in heads.items()]
        return self._intend("batch", root, "", members)

    def _intend(self, kind: str, root: bytes, graph: str, members: Sequence[Member]) -> Anchor:
        height = self.chain.header().number
        anchor = Anchor(
            0, self.name, self.registry.address, self.submitter, kind, root, graph, PROPOSED, height, self._clock()
        )  # fmt: skip
        return self.store.intend(anchor, members)

    # -- sending -----------------------------------------------------------------------------------------------------
    def _send(self, anchor: Anchor, outcome: Outcome) -> None:
        """Send an intent that is known to be in no block."""
        cost = self.expected()
        self.store.update(anchor.id, sends=anchor.sends + 1, gas=cost.gas, fee=str(cost.wei))
        checkpoint("before send")
        if anchor.kind == "single":
            done = self.registry.send(self.submitter, "anchorHead", graph_id(anchor.graph), anchor.root)
        else:
            count = len(self.store.members(anchor.id))
            done = self.registry.send(self.submitter, "anchorBatch", anchor.root, count)
        checkpoint("after send")
        self._included(anchor, done)
        outcome.sent.append(anchor.id)

    def _included(self, anchor: Anchor, done: Inclusion) -> None:
        digest = done.block_hash or self.chain.header(done.block).hash
        values: dict[str, Any] = {"tx": done.transaction, "block": done.block, "block_hash": digest}
        if done.gas_used:
            values |= {"gas": done.gas_used, "fee": str(done.fee)}
        self.store.update(anchor.id, state=INCLUDED, settled=self._clock(), **values)
        checkpoint("included")
        slots.keep(self.store, self.chain, self.store.anchor(anchor.id))
        checkpoint("proof kept")

    # -- after a crash, after a reorganisation -----------------------------------------------------------------------
    def _settle_open(self, outcome: Outcome) -> None:
        """What became of intents that are in no known block: adopt, wait, or send, oldest first."""
        for anchor in reversed(self.store.anchors(self.name, PROPOSED)):
            if self._adopt(anchor, outcome):
                continue
            if anchor.sends and self._still_on_its_way():
                if not self._wait(anchor, outcome):
                    outcome.pending.append(anchor.id)
                    raise BusyError(
                        f"anchor {anchor.id} is known to chain {self.name} and in no block", place=f"chain {self.name}",
                        remedy="try again later; nothing is sent twice meanwhile",
                    )  # fmt: skip
                continue
            if self._superseded(anchor):
                self.store.update(anchor.id, state=WITHDRAWN, settled=self._clock())
                continue
            self._send(anchor, outcome)

    def _adopt(self, anchor: Anchor, outcome: Outcome) -> bool:
        found = self._find(anchor)
        if found is None:
            return False
        self._included(anchor, found)
        outcome.adopted.append(anchor.id)
        return True

    def _find(self, anchor: Anchor) -> Inclusion | None:
        """The transaction of an intent, by the registry's events from its height on."""
        if anchor.tx is not None:
            known = self.chain.included(anchor.tx)
            if known is not None and known.succeeded:
                return known
        first = max(0, anchor.since - LOOK_BACK)
        if anchor.kind == "single":
            told = self.registry.events("HeadAnchored", first, submitter=self.submitter, graph=graph_id(anchor.graph))
            told = [event for event in told if event.args["head"] == anchor.root]
        else:
            told = self.registry.events("BatchAnchored", first, submitter=self.submitter, root=anchor.root)
        taken = {other.tx for other in self.store.anchors(self.name, INCLUDED, FINAL)}
        for event in told:
            log = event.log
            if log.transaction in taken:
                continue
            if log.transaction and (known := self.chain.included(log.transaction)) is not None:
                return known
            return Inclusion(log.transaction, log.block, True, 0, None, (log,), log.block_hash)
        return None

    def _still_on_its_way(self) -> bool:
        """Whether the chain holds transactions of ours that are in no block. A chain that has no such place has none."""
        pending: Callable[[str], int] | None = getattr(self.chain, "pending", None)
        return pending is not None and pending(self.submitter) > 0

    def _wait(self, anchor: Anchor, outcome: Outcome) -> bool:
        end = self._clock() + self._patience
        while self._clock() < end:
            if self._adopt(anchor, outcome):
                return True
            if not self._still_on_its_way():
                return self._adopt(anchor, outcome)
            self._pause(0.2)
        return False

    def _superseded(self, anchor: Anchor) -> bool:
        """Whether a later anchor holds newer heads of all it was to hold: then sending it would take the registry back."""
        later = [a for a in self.store.anchors(self.name, INCLUDED, FINAL) if a.id > anchor.id]
        if anchor.kind == "batch":
            return any(a.kind == "batch" for a in later)
        return any(a.kind == "single" and a.graph == anchor.graph for a in later)

    def _look_back(self, outcome: Outcome) -> None:
        """Take back what a reorganisation dropped, and follow what it moved."""
        settled = self.store.anchors(self.name, FINAL, limit=1) + self.store.anchors(self.name, INCLUDED)
        if any(not self._stands(anchor) for anchor in settled):
            settled = self.store.anchors(self.name, FINAL, INCLUDED)  # deeper than thought: look at all of them
        for anchor in sorted(settled, key=lambda a: a.id):
            if self._stands(anchor):
                continue
            outcome.taken_back.append(anchor.id)
            self.store.update(anchor.id, state=PROPOSED, block=None, block_hash=None, settled=None)
            checkpoint("taken back")

    def _stands(self, anchor: Anchor) -> bool:
        if anchor.block is None:
            return False
        try:
            return self.chain.header(anchor.block).hash == anchor.block_hash
        except InputError:
            return False  # the chain is shorter now

    def _finish(self, outcome: Outcome) -> None:
        """Included and buried deep enough: final."""
        last = self.chain.final()
        for anchor in reversed(self.store.anchors(self.name, INCLUDED)):
            if anchor.block is not None and anchor.block <= last and self._stands(anchor):
                if self.store.proof(anchor.id) is None:
                    slots.keep(self.store, self.chain, anchor)
                self.store.update(anchor.id, state=FINAL)
                outcome.final.append(anchor.id)
                checkpoint("final")

    # -- the graph ---------------------------------------------------------------------------------------------------
    def _tell(self) -> Receipt | None:
        """Bring the node's ledger graph to this file's state, in one commit."""
        anchors = self.store.untold()
        if not anchors:
            return None
        with self.kernel.lock.held():
            removed: list[ox.Triple] = []
            added: list[ox.Triple] = []
            held = self.kernel.store.store
            graph = ox.NamedNode(self.ledger)
            for anchor in anchors:
                for member in self.store.members(anchor.id):
                    if not member.fresh:
                        continue
                    node = triples.node(self.ledger, anchor, member)
                    removed += [quad.triple for quad in held.quads_for_pattern(node, None, None, graph)]
                    added += triples.about(node, self.ledger, anchor, member)
            stays = set(removed) & set(added)
            receipt = self.kernel.commit(
                {self.ledger: ([t for t in removed if t not in stays], [t for t in added if t not in stays])},
                author=self.kernel.node, sign=self._sign, message=_message(anchors),
            )  # fmt: skip
        checkpoint("told")
        for anchor in anchors:
            self.store.update(anchor.id, told=anchor.state)
        return receipt


def _message(anchors: Sequence[Anchor]) -> str:
    counts: Mapping[str, int] = {s: sum(a.state == s for a in anchors) for s in (PROPOSED, INCLUDED, FINAL, WITHDRAWN)}
    return "anchors: " + ", ".join(f"{number} {state}" for state, number in counts.items() if number)


__all__ = ["GRAPH", "REGISTRY", "Anchorer", "Outcome"]
