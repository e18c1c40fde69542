"""A home for tests of chains, and the block of a sealer that lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.graph.keys import KeyRing
from engine.ledger import home as chains
from engine.ledger.chain import raw
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.home import Connected

SOMEBODY = "0x" + "5e" * 20


@dataclass
class Home:
    """A home folder with one key, rich on every chain that it makes and on Anvil."""

    folder: Path
    keys: KeyRing
    account: str

    def connect(self, name: str) -> Connected:
        return chains.connect(self.folder, name, keys=self.keys)


class _Undone(Exception):
    pass


def lie(chain: EmbeddedChain, thief: str) -> bytes:
    """The next block of a chain, with a state change that no transaction made: its header is consistent with the lie."""
    import rlp

    from engine.ledger.embedded.evm import encoded_block

    try:
        with chain.store.block():
            block = chain._next()
            block._vm.state.set_balance(raw(thief), 10**30)
            header = bytes(rlp.encode(block.seal()))
            raise _Undone
    except _Undone:
        return encoded_block(header, [])
