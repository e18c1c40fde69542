"""What a sealer hands out to replicas: its blocks, each sealed with the sealer's key, and the upgrades that were agreed.

A seal is made when a block is asked for: it is a statement about what lies on disk, and the same for whoever asks. Replicas
wait in the call for the next block, so they follow within milliseconds without asking again and again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.graph.keys import Key
from engine.ledger.chains.statements import Upgrade, ledger_domain, seal_digest
from engine.ledger.embedded.chain import EmbeddedChain

UPGRADES = "upgrades.json"
LONGEST_WAIT = 20.0  # seconds
MOST = 256  # blocks in one answer
GLANCE = 0.01  # seconds between two looks at the head while somebody waits


class Feed:
    """The sealer's side of one embedded chain in `folder`."""

    def __init__(self, chain: EmbeddedChain, key: Key, folder: Path) -> None:
        self.chain, self._key, self._folder = chain, key, folder
        self.domain = ledger_domain(chain.chain_id, chain.header(0).hash)

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """For a server of JSON-RPC."""
        return {"dappops_identity": self.identity, "dappops_blocks": self.blocks}

    def identity(self) -> dict[str, Any]:
        """Which chain this is and who seals it."""
        return {
            "chainId": self.chain.chain_id, "genesis": "0x" + self.chain.header(0).hash.hex(), "sealer": self._key.address,
            "head": self.chain.store.head(), "rules": [list(r) for r in self.chain.rules],
        }  # fmt: skip

    def blocks(self, first: int, most: int = 64, wait: float = 0.0) -> dict[str, Any]:
        """Sealed blocks from `first` on, at most `most`; `wait` seconds for the first of them to be made."""
        deadline = time.monotonic() + min(float(wait), LONGEST_WAIT)
        while (head := self.chain.store.head()) < first and time.monotonic() < deadline:
            time.sleep(GLANCE)
        last = min(head, first + min(int(most), MOST) - 1)
        return {
            "head": head,
            "upgrades": [u.json() for u in agreed_upgrades(self.chain, self._folder)],
            "blocks": [self._sealed(n) for n in range(max(first, 1), last + 1)],
        }

    def _sealed(self, number: int) -> dict[str, str]:
        seal = self._key.sign(seal_digest(self.domain, number, self.chain.header(number).hash))
        return {"block": "0x" + self.chain.block_rlp(number).hex(), "seal": "0x" + seal.hex()}


def agreed_upgrades(chain: EmbeddedChain, folder: Path) -> list[Upgrade]:
    """Upgrades of the chain's schedule with the signatures that agreed to them. A proposal that came to nothing is none."""
    path = folder / UPGRADES
    if not path.is_file():
        return []
    stored = [Upgrade.of(body) for body in json.loads(path.read_text(encoding="utf-8"))]
    return [u for u in stored if (u.height, u.rules) in chain.rules]
