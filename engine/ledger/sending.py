"""Getting a transaction into a block of somebody else's chain: nonces, fees, replacement, patience.

One account's transactions are numbered without gaps (nonce), and others may use the same account, so a number that was
asked for can be taken when it is used: then it is asked for again. A transaction that stays out too long is sent once more
with the same number and a higher fee (https://eips.ethereum.org/EIPS/eip-1559); at most one of the versions can get in.
"""

from __future__ import annotations

import fcntl
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BusyError, InputError
from engine.graph.hashing import keccak256
from engine.ledger.accounts import Accounts, Transaction
from engine.ledger.chain import Address, Message, Pending, Reverted, lower
from engine.ledger.node import Node, Refusal, reverted

GAS_MARGIN = 1.2  # an estimate is of one state, the block has another
BUMP_PERCENT = 15  # a node takes a replacement from 10 % up
NONCE_TRIES = 20
BATCH_GAS = 2_000_000  # of a message whose estimate fails while those before it are on their way


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how much to pay, in wei for each gas."""

    deadline_s: float = 180.0
    replace_after_s: float = 45.0
    replacements: int = 4
    poll_s: float = 0.05
    longest_poll_s: float = 1.0
    certain_s: float = 5.0  # a node may be several machines: what one of them does not know yet, another has
    fee_cap: int = 300 * 10**9


@dataclass
class Sent:
    """A transaction on its way, with all its versions."""

    message: Message
    transaction: Transaction
    hashes: list[bytes] = field(default_factory=list)


class Sender:
    """Sends for one chain. `folder`: a lock in it keeps processes that share a home from taking the same number."""

    def __init__(
        self,
        node: Node,
        chain_id: int,
        accounts: Accounts,
        patience: Patience,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._node, self._chain_id, self._accounts, self._patience = node, chain_id, accounts, patience
        self._folder, self._clock, self._sleep = folder, clock, sleep
        self._lock = threading.Lock()

    # -- sending ---------------------------------------------------------------------------------------------------

    def submit(self, messages: Sequence[Message], *, foresee: bool) -> list[Sent]:
        """Hand messages to the node, in order. With `foresee`, a revert that an estimate tells raises Reverted first."""
        for sender in {lower(m.sender) for m in messages}:
            self._accounts.key(sender)
        self.check_chain()
        sent: list[Sent] = []
        fees = self.fees()
        with self._numbering():
            next_number: dict[Address, int] = {}
            for message in messages:
                done = self._submit(message, fees, next_number, foresee=foresee, behind=bool(sent))
                next_number[lower(message.sender)] = done.transaction.nonce + 1
                sent.append(done)
        return sent

    def check_chain(self) -> None:
        """InputError when the node serves another network than it did: a signature for it must not be made."""
        told = int(self._node.ask("eth_chainId"), 16)
        if told != self._chain_id:
            raise InputError(
                f"this node is on chain {told}, not {self._chain_id}", place=self._node.shown, rule="EIP-155",
                remedy="check the RPC address of this chain",
            )  # fmt: skip

    def _submit(
        self, message: Message, fees: tuple[int, int], known: dict[Address, int], *, foresee: bool, behind: bool
    ) -> Sent:
        sender = lower(message.sender)
        # a little chance: were transactions of two senders equal to the last bit, the node would take them for one
        gas = message.gas or self._gas(message, foresee=foresee, behind=behind) + secrets.randbelow(1000)
        tip, fee = fees
        for _ in range(NONCE_TRIES):
            nonce = known.pop(sender, None)
            if nonce is None:
                nonce = int(self._node.ask("eth_getTransactionCount", sender, "pending"), 16)
            transaction = Transaction(
                self._chain_id, nonce, tip, fee, gas, message.to, int(message.value), message.data
            )
            signed = self._accounts.sign(sender, transaction)
            try:
                self._node.ask("eth_sendRawTransaction", "0x" + signed.hex())
            except Refusal as refusal:
                if not self._known(signed, refusal):
                    if not _number_taken(refusal):
                        raise _unsendable(refusal, sender) from refusal
                    self._sleep(self._patience.poll_s)
                    continue
            return Sent(message, transaction, [keccak256(signed)])
        raise BusyError("others keep taking this account's numbers", place=sender, remedy="try again")

    def _known(self, signed: bytes, refusal: Refusal) -> bool:
        """Whether the node refuses since it has this very transaction: our first try came through, its answer did not."""
        text = refusal.message.lower()
        if "already known" in text or "already imported" in text or "known transaction" in text:
            return True
        if _number_taken(refusal):
            return self._node.ask("eth_getTransactionByHash", "0x" + keccak256(signed).hex()) is not None
        return False

    def _gas(self, message: Message, *, foresee: bool, behind: bool) -> int:
        call = {"from": lower(message.sender), "data": "0x" + message.data.hex(), "value": hex(int(message.value))}
        if message.to is not None:
            call["to"] = message.to
        try:
            # behind others of ours the state that counts is the one they will have made
            needed = int(self._node.ask("eth_estimateGas", call, *(["pending"] if behind else [])), 16)
        except Refusal as refusal:
            revert = reverted(refusal)
            if revert is None:
                raise _unsendable(refusal, lower(message.sender)) from refusal
            if foresee:
                raise Reverted(
                    "the contract refuses this", data=revert.data, place=message.to or "a new contract",
                    remedy="nothing was sent",
                ) from refusal  # fmt: skip
            return BATCH_GAS
        return int(needed * GAS_MARGIN)

    def fees(self) -> tuple[int, int]:
        """(tip, most) in wei for each gas, for the next blocks. BusyError while the network asks for more than allowed."""
        block = self._node.ask("eth_getBlockByNumber", "latest", False)
        base = block.get("baseFeePerGas")
        if base is None:
            raise InputError(
                "this network does not know EIP-1559 transactions", place=self._node.shown, remedy="use a newer network"
            )
        base, cap = int(base, 16), self._patience.fee_cap
        try:
            tip = int(self._node.ask("eth_maxPriorityFeePerGas"), 16)
        except Refusal:
            tip = 10**9
        if base + tip > cap:
            raise BusyError(
                f"gas costs {(base + tip) / 1e9:.1f} gwei now, at most {cap / 1e9:.1f} are allowed",
                place=self._node.shown, remedy="wait, or raise feeCapGwei in the settings of this chain",
            )  # fmt: skip
        return tip, min(2 * base + tip, cap)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def wait(self, sent: Sent) -> dict[str, Any]:
        """The receipt. A stuck transaction is replaced; Pending when the deadline passes, BusyError when it was crowded out."""
        begun = last = self._clock()
        replaced, pause = 0, self._patience.poll_s
        passed: float | None = None  # since when its number is taken while no version of it has a receipt
        while True:
            receipt = self._receipt(sent)
            if receipt is not None:
                return receipt
            now = self._clock()
            passed = (passed or now) if self._number_passed(sent) else None
            if passed is not None and now - passed >= self._patience.certain_s:
                raise BusyError(
                    f"another transaction of this account took its place (nonce {sent.transaction.nonce})",
                    place=str(sent.message.sender), rule="one transaction for each number of an account",
                    remedy="send it again",
                )  # fmt: skip
            if now - begun > self._patience.deadline_s:
                raise Pending(
                    f"in no block after {self._patience.deadline_s:.0f} s", sent.hashes, place=self._node.shown,
                    remedy="ask again later whether it is in",
                )  # fmt: skip
            if (
                passed is None
                and now - last > self._patience.replace_after_s
                and replaced < self._patience.replacements
            ):
                replaced, last = replaced + 1, now
                self._replace(sent)
            self._sleep(pause)
            pause = min(pause * 1.5, self._patience.longest_poll_s)

    def _receipt(self, sent: Sent) -> dict[str, Any] | None:
        for digest in reversed(sent.hashes):
            receipt: dict[str, Any] | None = self._node.ask("eth_getTransactionReceipt", "0x" + digest.hex())
            if receipt is not None and receipt.get("blockHash"):
                return receipt
        return None

    def _number_passed(self, sent: Sent) -> bool:
        sender = lower(sent.message.sender)
        return int(self._node.ask("eth_getTransactionCount", sender, "latest"), 16) > sent.transaction.nonce

    def _replace(self, sent: Sent) -> None:
        """Send the same with a higher fee, at most the cap. That the node wants none any more is no error: it has one."""
        old, cap = sent.transaction, self._patience.fee_cap
        try:
            tip, fee = self.fees()
        except BusyError:
            tip, fee = cap, cap
        tip = min(max(tip, _bumped(old.tip)), cap)
        fee = min(max(fee, _bumped(old.max_fee)), cap)
        if fee < _bumped(old.max_fee):
            return  # the cap leaves no room for a fee that the node would take
        transaction = Transaction(old.chain_id, old.nonce, min(tip, fee), fee, old.gas, old.to, old.value, old.data)
        signed = self._accounts.sign(sent.message.sender, transaction)
        sent.hashes.append(keccak256(signed))
        try:
            self._node.ask("eth_sendRawTransaction", "0x" + signed.hex())
        except Refusal as refusal:
            if not self._known(signed, refusal):
                sent.hashes.pop()
                return
        sent.transaction = transaction

    @contextmanager
    def _numbering(self) -> Iterator[None]:
        with self._lock:
            if self._folder is None:
                yield
                return
            with (self._folder / "nonces.lock").open("w", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield


def _bumped(amount: int) -> int:
    return amount + amount * BUMP_PERCENT // 100 + 1


def _number_taken(refusal: Refusal) -> bool:
    text = refusal.message.lower()
    return any(t in text for t in ("nonce too low", "underpriced", "nonce has already been used", "invalid nonce"))


def _unsendable(refusal: Refusal, sender: Address | str) -> InputError:
    return InputError(
        f"the node takes no such transaction: {refusal.message}", place=str(sender), remedy="see its reason"
    )
