"""The embedded chain: a durable EVM in one file, opened by any number of processes.

Whoever sends makes the block: it takes the file's lock, reads the head again, executes, writes, and reports once the block is
on disk. There is nobody to reorganise the chain, so its newest block is final.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BusyError, InputError, IntegrityError
from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger.accounts import Accounts, Transaction
from engine.ledger.chain import Address, Header, Inclusion, Log, Message, Reverted, StorageProof, Wei, lower, raw
from engine.ledger.embedded.schedule import Genesis, Rules, checked
from engine.ledger.embedded.store import Row, Store

if TYPE_CHECKING:
    from engine.ledger.embedded.evm import Block, Outcome
    from engine.ledger.embedded.view import View

FILE = "chain.sqlite"
LEAST_GAS = 21_000  # no transaction needs less
AHEAD_S = 120  # how far another's clock may be ahead
Clock = Callable[[], float]


class EmbeddedChain:
    """A `Chain` over `<folder>/chain.sqlite`. `clock` gives Unix seconds; tests hand in their own."""

    def __init__(
        self, folder: Path, keys: KeyRing, *, genesis: Genesis | None = None, clock: Clock = time.time
    ) -> None:
        if genesis is None and not (folder / FILE).is_file():
            raise InputError("there is no chain here", place=str(folder), remedy="create it: dappops chain create")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._clock = folder, clock
        self._accounts = Accounts(keys)
        self.store = Store(folder / FILE)
        stored = self.store.meta("genesis")
        if stored is None:
            if genesis is None:
                raise IntegrityError("the chain has no genesis", place=str(folder / FILE))
            stored = self._begin(genesis)
        self.genesis = Genesis.of(json.loads(stored))
        if genesis is not None and genesis.json() != self.genesis.json():
            raise InputError("another chain is stored here", place=str(folder), remedy="use another folder")

    def _begin(self, genesis: Genesis) -> str:
        """Write block 0, unless another process was faster. The stored genesis."""
        from engine.ledger.embedded.evm import encoded, genesis_header

        with self.store.block():
            stored = self.store.meta("genesis")
            if stored is None:
                header = genesis_header(self.store, genesis)
                self.store.put_block(0, header.hash, encoded(header), [], [])
                stored = json.dumps(genesis.json(), sort_keys=True)
                self.store.put_meta("genesis", stored)
                self.store.put_meta("rules", json.dumps([list(r) for r in genesis.rules]))
            return stored

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    # -- the port --------------------------------------------------------------------------------------------------

    @property
    def chain_id(self) -> int:
        return self.genesis.chain_id

    def accounts(self) -> list[Address]:
        return self._accounts.addresses()

    def balance(self, address: Address) -> Wei:
        return Wei(self.view().balance(raw(address)))

    def code(self, address: Address) -> bytes:
        return self.view().code(raw(address))

    def send(self, message: Message) -> Inclusion:
        self._accounts.key(message.sender)  # a missing key is told before the file is locked
        with self.store.block():
            block = self._next()
            outcome = self._apply(block, message, keep_failures=message.gas is not None)
            if outcome.row.hash not in {o.row.hash for o in block.outcomes}:
                data = outcome.row.output
                why = "it ran out of gas" if outcome.out_of_gas else "the contract refused"
                raise Reverted(why, data=data, place=message.to or "a new contract")
            digest = self._write(block)
        return _inclusion(outcome.row, outcome.logs, digest)

    def send_all(self, messages: Sequence[Message]) -> list[Inclusion]:
        for sender in {m.sender for m in messages}:
            self._accounts.key(sender)
        done: list[Inclusion] = []
        waiting = list(messages)
        while waiting:
            with self.store.block():
                block = self._next()
                while waiting and not (block.outcomes and block.gas_left < (waiting[0].gas or LEAST_GAS)):
                    # a failure in a nearly full block may be for want of gas: then it comes first in the next one
                    roomy = not block.outcomes or waiting[0].gas is not None or block.gas_left * 2 >= block.gas_limit
                    outcome = self._apply(block, waiting[0], keep_failures=roomy)
                    if not block.outcomes or block.outcomes[-1] is not outcome:
                        break
                    waiting.pop(0)
                digest = self._write(block)
            done += [_inclusion(o.row, o.logs, digest) for o in block.outcomes]
        return done

    def included(self, transaction: bytes) -> Inclusion | None:
        row = self.store.transaction(transaction)
        if row is None:
            return None
        found = self.store.header(row.block)
        assert found is not None
        logs = [e for e in self.store.logs(first=row.block, last=row.block) if e.transaction == row.hash]
        return _inclusion(row, tuple(logs), found[1])

    def still_included(self, inclusion: Inclusion) -> bool:
        found = self.store.header(inclusion.block)
        return found is not None and found[1] == inclusion.block_hash

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address | None = None) -> bytes:
        origin = bytes(20) if sender is None else raw(sender)
        return self.view(block).call(sender=origin, to=raw(to), data=data, value=0, gas=None)

    def logs(
        self, address: Address, *, topics: Sequence[bytes | None] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        wanted = [() if t is None else (t,) for t in topics]
        return self.store.logs(addresses=[raw(address)], topics=wanted, first=first, last=last)

    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        view = self.view(block)
        found = view.proof(raw(address), [slot])
        _, value, nodes = found.slots[0]
        return StorageProof(view.header.block_number, lower(address), slot, value, found.account, nodes)

    def header(self, block: int | None = None) -> Header:
        found = self.store.header(block)
        if found is None:
            raise InputError("there is no such block", place=str(block), remedy=f"the newest is {self.store.head()}")
        from engine.ledger.headers import header_of

        return header_of(found[2])

    def final(self) -> int:
        return self.store.head()

    # -- more than the port: for the RPC, replicas and upgrades ------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """The schedule: (height, name). Read from the file each time, since another process may have changed it."""
        stored = self.store.meta("rules")
        assert stored is not None
        return tuple((int(h), str(n)) for h, n in json.loads(stored))

    def schedule(self, height: int, name: str) -> Rules:
        """Let newer rules hold from a height that is not yet reached; the new schedule, on disk when this returns."""
        with self.store.block():
            if height <= self.store.head():
                raise InputError(
                    "rules do not change in the past",
                    place=f"height {height}",
                    remedy=f"the head is {self.store.head()}",
                )
            rules = checked([*(r for r in self.rules if r[0] != height), (height, name)])
            self.store.put_meta("rules", json.dumps([list(r) for r in rules]))
        return rules

    def mine(self, signed: Sequence[bytes] = ()) -> list[Inclusion]:
        """One block of these signed transactions (none: an empty block). InputError refuses all when one cannot be."""
        with self.store.block():
            block = self._next()
            for transaction in signed:
                block.apply(transaction)
            digest = self._write(block)
        return [_inclusion(o.row, o.logs, digest) for o in block.outcomes]

    def read_transaction(self, signed: bytes) -> tuple[bytes, int]:
        """(sender, nonce) of a signed transaction; InputError when it is none of this chain."""
        from engine.ledger.embedded.evm import read_transaction

        return read_transaction(signed, self.rules, self.store.head() + 1, self.chain_id)

    def block_rlp(self, number: int) -> bytes:
        """A block as `import_block` of a replica takes it."""
        from engine.ledger.embedded.evm import encoded_block

        found = self.store.header(number)
        if found is None:
            raise InputError("there is no such block", place=str(number))
        return encoded_block(found[2], [row.raw for row in self.store.transactions(number)])

    def import_block(self, block: bytes) -> Header:
        """Execute a block that somebody else made and keep it when every field comes out the same.

        A block that is here already changes nothing. IntegrityError when it does not follow from the head or differs,
        BusyError when its time is more than AHEAD_S after ours.
        """
        from engine.ledger.embedded.evm import Block, decoded, decoded_block
        from engine.ledger.headers import header_of

        header, transactions = decoded_block(block)
        claimed = header_of(header)
        with self.store.block():
            known = self.store.header(claimed.number)
            if known is not None and known[1] == claimed.hash:
                return claimed
            head = self.store.header()
            assert head is not None
            if claimed.number != head[0] + 1 or claimed.parent != head[1]:
                raise IntegrityError(
                    f"block {claimed.number} does not follow from block {head[0]}", place=claimed.hash.hex(),
                    rule="a replica never reorganises", remedy="import in order; a split is for people to judge",
                )  # fmt: skip
            try:
                fields = decoded(header)
                if fields.timestamp > self._clock() + AHEAD_S:
                    raise BusyError(
                        "this block is from the future", place=f"block {claimed.number}", remedy="try later"
                    )
                made = Block(
                    self.store, self.rules, self.chain_id, decoded(head[2]),
                    time=fields.timestamp, coinbase=fields.coinbase, extra=fields.extra_data,
                )  # fmt: skip
                for transaction in transactions:
                    made.apply(transaction)
            except InputError as error:
                raise IntegrityError(f"this block breaks the rules: {error}", place=claimed.hash.hex()) from error
            if made.seal().hash != claimed.hash:
                raise IntegrityError(
                    "executing this block gives another header", place=f"block {claimed.number}",
                    rule="equal rules, equal result",
                )  # fmt: skip
            self._put(made)
        return claimed

    def view(self, block: int | None = None) -> View:
        """The state after a block. For the newest, time goes on: a call sees the present time, not the last block's."""
        from engine.ledger.embedded.evm import decoded
        from engine.ledger.embedded.view import View

        found = self.store.header(block)
        if found is None:
            raise InputError("there is no such block", place=str(block), remedy=f"the newest is {self.store.head()}")
        now = int(self._clock()) if block is None else None
        return View(self.store, self.rules, self.chain_id, decoded(found[2]), time=now)

    # -- making a block --------------------------------------------------------------------------------------------

    def _next(self) -> Block:
        """An empty block on the head as it is on disk now; only while the store is held."""
        from engine.ledger.embedded.evm import Block, decoded

        head = self.store.header()
        assert head is not None
        parent = decoded(head[2])
        return Block(self.store, self.rules, self.chain_id, parent, time=max(int(self._clock()), parent.timestamp))

    def _apply(self, block: Block, message: Message, *, keep_failures: bool) -> Outcome:
        sender = lower(message.sender)
        transaction = Transaction(
            self.chain_id, block.nonce(raw(sender)), 0, 0, message.gas or block.gas_left, message.to, int(message.value),
            message.data,
        )  # fmt: skip
        signed = self._accounts.sign(sender, transaction)
        return block.apply(signed, lambda outcome: outcome.row.succeeded or keep_failures)

    def _write(self, block: Block) -> bytes:
        block.seal()
        return self._put(block)

    def _put(self, block: Block) -> bytes:
        from engine.ledger.embedded.evm import encoded

        header = encoded(block.header)
        digest = keccak256(header)
        rows: list[Row] = [o.row for o in block.outcomes]
        logs = [e for o in block.outcomes for e in o.logs]
        self.store.put_block(block.number, digest, header, rows, logs)
        return digest


def _inclusion(row: Row, logs: tuple[Log, ...], digest: bytes) -> Inclusion:
    placed = tuple(Log(e.address, e.topics, e.data, e.block, e.index, digest, e.transaction) for e in logs)
    contract = None if row.contract is None else Address("0x" + row.contract.hex())
    return Inclusion(
        row.hash, row.block, row.succeeded, row.gas_used, contract, placed, digest, Wei(row.fee), row.output
    )
