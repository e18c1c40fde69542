"""A chain's server: Ethereum's JSON-RPC for wallets and verifiers and, where the key is at hand, the feed of replicas."""

from __future__ import annotations

from engine.errors import InputError
from engine.graph.keys import KeyRing
from engine.ledger.chains.cosigning import group
from engine.ledger.chains.feed import Feed
from engine.ledger.chains.wire import Served
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.home import ChainRecord, open_chain


def served(record: ChainRecord, keys: KeyRing, *, port: int = 0) -> Served:
    """Serve an embedded chain on loopback; a chain with co-signers hands out sealed blocks, too, so its key must open.

    InputError for a network elsewhere: its own nodes answer.
    """
    if record.kind != "embedded":
        raise InputError(f"{record.name} is a network elsewhere", place=record.name, remedy="ask its own node")
    chain = open_chain(record, keys)
    assert isinstance(chain, EmbeddedChain)
    found = group(record)
    methods = Feed(chain, keys.unlock(found.sealer), record.folder).methods() if found else {}
    return Served(chain, methods, port)
