"""Anchors for proof files: where a head is on a chain, and what the chain proves of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from engine.errors import DappopsError
from engine.ledger.anchoring import slots
from engine.ledger.anchoring.batch import Batch
from engine.ledger.anchoring.store import AnchorStore
from engine.ledger.home import Connected

Connect = Callable[[str], Connected]
WAIT = 2.0  # seconds for a co-signer that is behind


class Anchors:
    """Answers for `engine.ledger.proofs.Draft`. `connect` opens a chain by name; without it only what was kept is told."""

    def __init__(self, store: AnchorStore, connect: Connect | None = None) -> None:
        self._store, self._connect = store, connect

    def find(self, graph: str, sequence: int) -> tuple[int, list[list[Any]] | None] | None:
        """The number of an anchor that holds a head and the head's way to its root (None: it stands alone); None: no anchor."""
        for anchor in self._store.holding(graph, sequence):
            if self._store.proof(anchor.id) is None and not self._fetch(anchor.id):
                continue
            if anchor.kind == "single":
                return anchor.id, None
            batch = Batch({m.graph: m.head for m in self._store.members(anchor.id)})
            return anchor.id, [[bit, other.hex()] for bit, other in batch.path(graph)]
        return None

    def part(self, number: int, heads: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
        """An item of `anchors`; with what shows who owned the graphs of (graph, owner, author), as far as the chain tells."""
        part = self._store.proof(number)
        assert part is not None
        if self._connect is not None:
            anchor = self._store.anchor(number)
            with suppress(DappopsError):  # a chain that is away, or has forgotten: a verifier can ask another node
                part["storage"] += slots.authority(self._connect(anchor.chain).chain, anchor, heads)
        return part

    def checkpoint(self, number: int) -> dict[str, Any] | None:
        """Co-signers' signatures on an anchor's block (`gateway` and `signatures`); None where there are none that answer."""
        if self._connect is None:
            return None
        from engine.ledger.chains import cosigning

        anchor = self._store.anchor(number)
        with suppress(DappopsError):
            record = self._connect(anchor.chain).record
            if cosigning.group(record) is None or anchor.block is None or anchor.block_hash is None:
                return None
            found = cosigning.collect(record, anchor.block, anchor.block_hash, b"", wait=WAIT)
            gateway = {"chainId": found.target.chain, "contract": found.target.gateway}
            return {"gateway": gateway, "signatures": [signature.hex() for signature in found.signatures.values()]}
        return None

    def _fetch(self, number: int) -> bool:
        if self._connect is not None:
            anchor = self._store.anchor(number)
            with suppress(DappopsError):
                slots.keep(self._store, self._connect(anchor.chain).chain, anchor)
        return self._store.proof(number) is not None
