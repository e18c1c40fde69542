"""The state after a block: calls, estimates, balances, proofs. Nothing done here is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth.vm.chain_context import ChainContext
from eth.vm.message import Message as EvmMessage
from eth.vm.spoof import SpoofTransaction
from eth_utils.exceptions import ValidationError
from trie.hexary import HexaryTrie

from engine.graph.hashing import keccak256
from engine.ledger.chain import Reverted
from engine.ledger.embedded.evm import Source, hexed, returned
from engine.ledger.embedded.rules import vm_class
from engine.ledger.embedded.schedule import Rules
from engine.ledger.embedded.store import Store

EMPTY_TRIE = keccak256(rlp.encode(b""))
EMPTY_CODE = keccak256(b"")


@dataclass(frozen=True, slots=True)
class Proof:
    """An account's fields and (slot, value, nodes) for each slot."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes
    account: tuple[bytes, ...]
    slots: tuple[tuple[int, int, tuple[bytes, ...]], ...]


class View:
    """The state after a block, for calls, estimates and proofs. Nothing done here is kept."""

    def __init__(self, store: Store, rules: Rules, chain_id: int, header: Any, *, time: int | None = None) -> None:
        self._source, self._rules, self._chain_id = Source(store, keep=False), rules, chain_id
        self.header = header if time is None else header.copy(timestamp=max(time, header.timestamp))

    def _vm(self) -> Any:
        kind = vm_class(self._rules, self.header.block_number)
        return kind(self.header, self._source, ChainContext(self._chain_id), None)

    def call(self, *, sender: bytes, to: bytes | None, data: bytes, value: int, gas: int | None) -> bytes:
        """What a message returns, gas free. Reverted with the contract's data when it refuses."""
        vm = self._vm()
        state = vm.state
        context = state.get_transaction_context_class()(gas_price=0, origin=sender)
        code = data if to is None else state.get_code(to)
        made = keccak256(sender + data)[12:] if to is None else None
        call: Any = EvmMessage
        message = call(
            gas=gas or self.header.gas_limit, to=b"" if to is None else to, sender=sender, value=value,
            data=b"" if to is None else data, code=code, create_address=made,
        )  # fmt: skip
        if value and state.get_balance(sender) < value:
            state.set_balance(sender, value)
        run = state.computation_class.apply_create_message if to is None else state.computation_class.apply_message
        return returned(run(state, message, context))

    def estimate(self, *, sender: bytes, to: bytes | None, data: bytes, value: int) -> int:
        """The least gas with which a message succeeds, to about one part in a hundred; Reverted when none is enough."""
        limit = int(self.header.gas_limit)
        used, error = self._try(sender, to, data, value, limit)
        if error is not None:
            raise error
        low, high = used - 1, used  # refunds and the 63/64 rule (EIP-150) can make it need more than it uses
        while self._try(sender, to, data, value, high)[1] is not None:
            low, high = high, min(limit, high + max(high // 4, 2000))
        while high - low > max(high // 100, 100):
            middle = (low + high) // 2
            if self._try(sender, to, data, value, middle)[1] is None:
                high = middle
            else:
                low = middle
        return high

    def _try(self, sender: bytes, to: bytes | None, data: bytes, value: int, gas: int) -> tuple[int, Reverted | None]:
        vm = self._vm()
        builder = vm.get_transaction_builder()
        unsigned = builder.create_unsigned_transaction(
            nonce=vm.state.get_nonce(sender), gas_price=0, gas=gas, to=to or b"", value=value, data=data
        )
        spoof = SpoofTransaction(
            unsigned, from_=sender, sender=sender, max_fee_per_gas=0, max_priority_fee_per_gas=0, type_id=None,
            validate=lambda: None, access_list=(), y_parity=0, r=1, s=1,
        )  # fmt: skip
        try:
            computation = vm.state.apply_transaction(spoof)
            returned(computation)
        except Reverted as error:
            return 0, error
        except ValidationError as error:
            return 0, Reverted(f"the message cannot be sent: {error}", place=hexed(sender))
        return int(vm.finalize_gas_used(spoof, computation)), None

    def balance(self, address: bytes) -> int:
        return int(self._vm().state.get_balance(address))

    def nonce(self, address: bytes) -> int:
        return int(self._vm().state.get_nonce(address))

    def code(self, address: bytes) -> bytes:
        return bytes(self._vm().state.get_code(address))

    def storage(self, address: bytes, slot: int) -> int:
        return int(self._vm().state.get_storage(address, slot))

    def proof(self, address: bytes, slots: Sequence[int]) -> Proof:
        """Account and slots with their Merkle-Patricia nodes: https://eips.ethereum.org/EIPS/eip-1186"""
        accounts = HexaryTrie(self._source.db, self.header.state_root)
        found = accounts.get(keccak256(address))
        nonce, balance, root, code = rlp.decode(found) if found else (b"", b"", EMPTY_TRIE, EMPTY_CODE)
        storage = HexaryTrie(self._source.db, bytes(root))
        each = []
        for slot in slots:
            path = keccak256(slot.to_bytes(32, "big"))
            value = storage.get(path)
            each.append((slot, int.from_bytes(rlp.decode(value), "big") if value else 0, _path(storage, path)))
        return Proof(
            int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), bytes(root), bytes(code),
            _path(accounts, keccak256(address)), tuple(each),
        )  # fmt: skip


def _path(trie: Any, key: bytes) -> tuple[bytes, ...]:
    """Encoded nodes from the root to the key, or to where it would have been; nodes inside their parent are left out."""
    if trie.root_hash == EMPTY_TRIE:
        return ()
    nodes = [bytes(rlp.encode(node)) for node in trie.get_proof(key)]
    return tuple(n for i, n in enumerate(nodes) if i == 0 or len(n) >= 32)
