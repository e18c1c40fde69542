"""When a co-signed chain is final: a block is, once a quorum of co-signers has executed and signed it or a later one.

Until then the sealer alone has said it. What was final stays so: the height is kept beside the chain, and when replicas are
stopped it only does not grow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from engine.graph.keys import KeyRing
from engine.ledger.chains.cosigning import final_height
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis
from engine.ledger.home import ChainRecord

FILE = "final.txt"


class CoSignedChain(EmbeddedChain):
    """An embedded chain whose `final()` asks its co-signers."""

    def __init__(
        self, record: ChainRecord, keys: KeyRing, *, genesis: Genesis | None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(record.folder, keys, genesis=genesis, clock=clock)
        self._record = record
        self._final = 0

    def final(self) -> int:
        path = self._record.folder / FILE
        if self._final < self.store.head():
            with suppress(OSError, ValueError):
                self._final = max(self._final, int(path.read_text(encoding="ascii")))
        if self._final < self.store.head():
            told = final_height(self._record, self._hash)
            if told > self._final:
                self._final = told
                draft = path.with_name(f".{FILE}.{os.getpid()}")
                draft.write_text(str(told), encoding="ascii")  # lost in a power cut, it is asked for again
                os.replace(draft, path)
        return self._final

    def _hash(self, number: int) -> bytes | None:
        found = self.store.header(number)
        return None if found is None else found[1]
