"""Executing: blocks, calls, estimates and proofs over the state that the store holds, by py-evm.

py-evm's `Chain` classes build a block and check one in two different ways; here ONE function does both: who makes a block and
who imports it runs `Block.apply` on the same transactions, and an imported block is accepted when the header that comes out
has the hash it claims. So no field can differ unseen. Only the EVM (`VM`, `State`) is py-evm's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import OutOfGas, UnrecognizedTransactionType, VMError
from eth.exceptions import Revert as EvmRevert
from eth.vm.chain_context import ChainContext
from eth.vm.header import HeaderSedes
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from engine.errors import InputError, IntegrityError
from engine.graph.hashing import keccak256
from engine.ledger.chain import Address, Log, Reverted
from engine.ledger.embedded.rules import next_header, vm_class
from engine.ledger.embedded.schedule import Genesis, Rules
from engine.ledger.embedded.store import Row, Store

NOBODY = bytes(20)
BLOBS = 3  # transaction type
_UNREADABLE = (
    ValidationError, RLPException, BadSignature, UnrecognizedTransactionType, ValueError, TypeError,
    IndexError,
)  # fmt: skip


class _Nodes(BaseDB):
    """The store as py-evm wants a database. What a view writes stays with the view."""

    def __init__(self, store: Store, *, keep: bool) -> None:
        self.store, self.keep = store, keep
        self.scratch: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        return self.scratch[key] if key in self.scratch else self.store.node(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if self.keep:
            self.store.put_node(key, value)
        else:
            self.scratch[key] = value

    def __delitem__(self, key: bytes) -> None:
        raise IntegrityError("a chain forgets no node", place=key.hex())

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True


class Source:
    """What a VM asks of its chain's database: nodes, and headers for BLOCKHASH."""

    def __init__(self, store: Store, *, keep: bool) -> None:
        self.store = store
        self.db = AtomicDB(_Nodes(store, keep=keep))

    def get_block_header_by_hash(self, digest: bytes) -> Any:
        found = self.store.header(digest=digest)
        if found is None:
            raise IntegrityError("a header is missing", place=digest.hex())
        return decoded(found[2])


def decoded(header: bytes) -> Any:
    """py-evm's header of an RLP; InputError when it is none."""
    try:
        return rlp.decode(header, HeaderSedes)
    except (RLPException, ValueError, TypeError) as error:
        raise InputError("not a block header", rule="RLP of a header's fields") from error


def encoded(header: Any) -> bytes:
    """A header's RLP."""
    return bytes(rlp.encode(header))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transaction's execution."""

    row: Row
    logs: tuple[Log, ...]
    out_of_gas: bool


def genesis_header(store: Store, genesis: Genesis) -> Any:
    """The first header, its state written as nodes (inside `store.block()`)."""
    vm = vm_class(genesis.rules, 0)
    blank = vm.create_header_from_parent(None, difficulty=0, gas_limit=genesis.gas_limit, timestamp=genesis.time)
    state = vm(blank, Source(store, keep=True), ChainContext(genesis.chain_id), None).state
    for address, amount in sorted(genesis.supply.items()):
        state.set_balance(bytes.fromhex(address[2:]), amount)
    state.persist()
    # the chain id is in the genesis header, so that two chains with one supply differ from their first block on
    return blank.copy(state_root=state.state_root, extra_data=genesis.chain_id.to_bytes(32, "big"))


class Block:
    """A block in the making on top of `parent`."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        chain_id: int,
        parent: Any,
        *,
        time: int,
        coinbase: bytes = NOBODY,
        extra: bytes = b"",
    ) -> None:
        self.header = next_header(rules, parent, time=time, coinbase=coinbase, extra=extra)
        self.number = int(self.header.block_number)
        self.chain_id = chain_id
        kind = vm_class(rules, self.number)
        self._vm = kind(self.header, Source(store, keep=True), ChainContext(chain_id), None)
        self._decode = kind.get_transaction_builder().decode
        self._transactions: list[Any] = []
        self._receipts: list[Any] = []
        self.outcomes: list[Outcome] = []
        self._logs = 0

    @property
    def gas_left(self) -> int:
        return int(self.header.gas_limit - self.header.gas_used)

    @property
    def gas_limit(self) -> int:
        return int(self.header.gas_limit)

    def nonce(self, address: bytes) -> int:
        return int(self._vm.state.get_nonce(address))

    def apply(self, signed: bytes, keep: Callable[[Outcome], bool] = lambda _: True) -> Outcome:
        """Execute a transaction. When `keep` says no to what came out, the block is as it was before.

        InputError when it cannot be in this block at all.
        """
        transaction, sender = checked(signed, self._decode, self.chain_id)
        try:
            self._vm.validate_transaction_against_header(self.header, transaction)
        except ValidationError as error:
            raise InputError(f"it does not fit into block {self.number}: {error}", place=hexed(sender)) from error
        state = self._vm.state
        state.lock_changes()
        before = state.snapshot()
        try:
            computation = state.apply_transaction(transaction)
        except ValidationError as error:
            state.revert(before)
            raise InputError(f"the chain refuses this transaction: {error}", place=hexed(sender)) from error
        receipt = self._vm.make_receipt(self.header, transaction, computation, state)
        outcome = self._outcome(signed, transaction, sender, computation, receipt)
        if not keep(outcome):
            state.revert(before)
            return outcome
        self.header = self._vm.add_receipt_to_header(self.header, receipt)
        self._transactions.append(transaction)
        self._receipts.append(receipt)
        self.outcomes.append(outcome)
        self._logs += len(outcome.logs)
        return outcome

    def _outcome(self, signed: bytes, transaction: Any, sender: bytes, computation: Any, receipt: Any) -> Outcome:
        digest, number = keccak256(signed), self.number
        price = self._vm.state.get_gas_price(transaction)
        gas = int(receipt.gas_used - self.header.gas_used)
        made = computation.msg.storage_address if computation.msg.is_create and not computation.is_error else None
        row = Row(
            digest, number, len(self._transactions), signed, sender, not computation.is_error, gas, gas * price,
            None if made is None else bytes(made), bytes(computation.output) if computation.is_error else b"",
        )  # fmt: skip
        logs = tuple(
            Log(
                Address(hexed(entry.address)), tuple(t.to_bytes(32, "big") for t in entry.topics), bytes(entry.data),
                number, self._logs + i, b"", digest,
            )
            for i, entry in enumerate(receipt.logs)
        )  # fmt: skip
        return Outcome(row, logs, computation.is_error and isinstance(computation.error, OutOfGas))

    def seal(self) -> Any:
        """The finished header; the state's nodes are with the store. Nothing can be applied any more."""
        self._vm.state.persist()
        transaction_root, _ = make_trie_root_and_nodes(tuple(self._transactions))
        receipt_root, _ = make_trie_root_and_nodes(tuple(self._receipts))
        self.header = self.header.copy(
            state_root=self._vm.state.state_root, transaction_root=transaction_root, receipt_root=receipt_root
        )
        return self.header


def checked(signed: bytes, decode: Callable[[bytes], Any], chain_id: int) -> tuple[Any, bytes]:
    """(transaction, sender), checked for what py-evm does not: chain id (EIP-155, EIP-2718), relation of fees (EIP-1559)."""
    try:
        transaction = decode(signed)
        sender = bytes(transaction.sender)
    except _UNREADABLE as error:
        raise InputError(f"not a transaction: {error}", rule="EIP-2718", remedy="send it signed and encoded") from error
    if transaction.chain_id != chain_id:
        named = "any chain" if transaction.chain_id is None else f"chain {transaction.chain_id}"
        raise InputError(f"a transaction for {named}, this is {chain_id}", place=hexed(sender), rule="EIP-155")
    if getattr(transaction, "type_id", None) == BLOBS:
        raise InputError("this chain takes no blobs", place=hexed(sender), rule="EIP-4844")
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise InputError("the tip is more than the fee", place=hexed(sender), rule="EIP-1559")
    return transaction, sender


def read_transaction(signed: bytes, rules: Rules, height: int, chain_id: int) -> tuple[bytes, int]:
    """(sender, nonce) of a signed transaction for this chain."""
    transaction, sender = checked(signed, vm_class(rules, height).get_transaction_builder().decode, chain_id)
    return sender, int(transaction.nonce)


def encoded_block(header: bytes, transactions: Sequence[bytes]) -> bytes:
    """A block as it goes to a replica: https://eips.ethereum.org/EIPS/eip-4895 (no uncles, no withdrawals)."""
    body = [rlp.decode(t) if t[0] >= 0xC0 else t for t in transactions]
    return bytes(rlp.encode([rlp.decode(header), body, [], []]))


def decoded_block(block: bytes) -> tuple[bytes, list[bytes]]:
    """(header RLP, transactions as signed) of a block's RLP; InputError when it is none."""
    try:
        header, transactions, uncles, withdrawals = rlp.decode(block)
        if uncles or withdrawals:
            raise InputError("a block of this chain has no uncles and no withdrawals")
        return bytes(rlp.encode(header)), [
            bytes(t) if isinstance(t, bytes) else bytes(rlp.encode(t)) for t in transactions
        ]
    except (RLPException, ValueError, TypeError) as error:
        raise InputError("not a block", rule="RLP of [header, transactions, uncles, withdrawals]") from error


def returned(computation: Any) -> bytes:
    if not computation.is_error:
        return bytes(computation.output)
    error = computation.error
    if isinstance(error, EvmRevert):
        raise Reverted("the contract refused", data=bytes(computation.output))
    if isinstance(error, VMError):
        raise Reverted(f"the contract failed: {type(error).__name__}", data=bytes(computation.output))
    raise error


def hexed(address: bytes) -> str:
    return "0x" + bytes(address).hex()
