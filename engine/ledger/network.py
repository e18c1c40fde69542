"""Any Ethereum-compatible network, through one node of it.

The node is believed for what it tells of the chain; what must not depend on it is proven (`proof`, `header`, whose RLP is
checked against its hash) and verified elsewhere. A reorganisation can take back what was included: `still_included` looks
again, `final` says from where on it does not happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError, IntegrityError, did_you_mean
from engine.graph.keys import KeyRing
from engine.ledger.accounts import Accounts
from engine.ledger.chain import Address, Header, Inclusion, Log, Message, Reverted, StorageProof, Wei, lower
from engine.ledger.headers import from_json
from engine.ledger.node import Node, Refusal, is_loopback, reverted
from engine.ledger.sending import Patience, Sender, Sent

GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one network, in its chain.json. Times in seconds, fees in gwei for each gas."""

    dev_keys: bool = False
    """Let keys that lie on disk in clear sign here, though the node is not on this machine."""
    confirmations: int | None = None
    """Blocks on top that make one final; None: what the node calls finalized."""
    fee_cap_gwei: float = 300.0
    deadline_s: float = 180.0
    replace_after_s: float = 45.0
    replacements: int = 4
    certain_s: float = 5.0
    """How long another transaction must be seen in a transaction's place before that is believed."""
    timeout_s: float = 10.0
    attempts: int = 6
    log_span: int = 5_000
    """Blocks asked at once for logs; halved as often as the node finds it too many."""

    @staticmethod
    def of(body: Mapping[str, Any]) -> Settings:
        """From chain.json; InputError for an unknown name or a value of the wrong kind."""
        known = Settings.__dataclass_fields__
        for name, value in body.items():
            if name not in known:
                raise InputError(f"no setting {name!r}{did_you_mean(name, known)}", remedy=f"known: {', '.join(known)}")
            kinds = (bool,) if name == "dev_keys" else (int, float, type(None))
            if not isinstance(value, kinds) or (name != "dev_keys" and isinstance(value, bool)):
                raise InputError("a setting of the wrong kind", place=f"{name}: {value!r}")
        return Settings(**body)


def identity(url: str) -> tuple[int, bytes]:
    """(chain id, genesis hash) of the network behind a node."""
    node = Node(url)
    chain_id = int(node.ask("eth_chainId"), 16)
    genesis = node.ask("eth_getBlockByNumber", "0x0", False)
    if genesis is None:
        raise InputError("this node does not have the first block", place=node.shown, remedy="use another node")
    return chain_id, bytes.fromhex(genesis["hash"][2:])


class NetworkChain:
    """A `Chain` behind a node's URL."""

    def __init__(
        self,
        url: str,
        chain_id: int,
        keys: KeyRing,
        settings: Settings | None = None,
        *,
        folder: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings = settings or Settings()
        self.node = Node(url, timeout_s=settings.timeout_s, attempts=settings.attempts, sleep=sleep)
        self._chain_id = chain_id
        self._accounts = Accounts(keys, dev_keys=settings.dev_keys or is_loopback(url))
        patience = Patience(
            deadline_s=settings.deadline_s, replace_after_s=settings.replace_after_s,
            replacements=settings.replacements, certain_s=settings.certain_s, fee_cap=int(settings.fee_cap_gwei * GWEI),
        )  # fmt: skip
        self._sender = Sender(self.node, chain_id, self._accounts, patience, folder=folder, sleep=sleep)
        self._sender.check_chain()

    @property
    def chain_id(self) -> int:
        return self._chain_id

    def accounts(self) -> list[Address]:
        return self._accounts.addresses()

    def balance(self, address: Address) -> Wei:
        return Wei(int(self.node.ask("eth_getBalance", lower(address), "latest"), 16))

    def code(self, address: Address) -> bytes:
        return _bytes(self.node.ask("eth_getCode", lower(address), "latest"))

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> Inclusion:
        [sent] = self._sender.submit([message], foresee=True)
        return self._finished(sent)

    def send_all(self, messages: Sequence[Message]) -> list[Inclusion]:
        return [self._finished(sent) for sent in self._sender.submit(messages, foresee=False)]

    def _finished(self, sent: Sent) -> Inclusion:
        found = _inclusion(self._sender.wait(sent))
        if found.succeeded:
            return found
        return _with_output(found, self._why(sent.message, found.block))

    def _why(self, message: Message, block: int) -> bytes:
        """What a failed message said: receipts do not keep it, so it is called again on the state before its block."""
        call = {"from": lower(message.sender), "data": "0x" + message.data.hex(), "value": hex(int(message.value))}
        if message.to is not None:
            call["to"] = lower(message.to)
        try:
            self.node.ask("eth_call", call, hex(block - 1))
        except Refusal as refusal:
            revert = reverted(refusal)
            return b"" if revert is None else revert.data
        return b""

    def included(self, transaction: bytes) -> Inclusion | None:
        receipt = self.node.ask("eth_getTransactionReceipt", "0x" + transaction.hex())
        return _inclusion(receipt) if receipt is not None and receipt.get("blockHash") else None

    def still_included(self, inclusion: Inclusion) -> bool:
        found = self.included(inclusion.transaction)
        if found is None or found.block_hash != inclusion.block_hash:
            return False
        block = self.node.ask("eth_getBlockByNumber", hex(found.block), False)
        return block is not None and _bytes(block["hash"]) == found.block_hash

    def pending(self, address: Address) -> int:
        """How many transactions of an account the node holds that are in no block: who was interrupted asks before sending again."""
        ask = self.node.ask
        waiting, done = (int(ask("eth_getTransactionCount", lower(address), tag), 16) for tag in ("pending", "latest"))
        return max(0, waiting - done)

    # -- asking ----------------------------------------------------------------------------------------------------

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address | None = None) -> bytes:
        call = {"to": lower(to), "data": "0x" + data.hex()}
        if sender is not None:
            call["from"] = lower(sender)
        try:
            return _bytes(self.node.ask("eth_call", call, _tag(block)))
        except Refusal as refusal:
            revert = reverted(refusal)
            if revert is not None:
                raise Reverted(revert.message, data=revert.data, place=to) from refusal
            raise InputError(
                f"the node does not answer this call: {refusal.message}", place=self.node.shown
            ) from refusal

    def logs(
        self, address: Address, *, topics: Sequence[bytes | None] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        head = int(self.node.ask("eth_blockNumber"), 16)
        end = head if last is None else min(last, head)  # some nodes refuse to look beyond their head
        wanted = [None if t is None else "0x" + t.hex() for t in topics]
        found: list[Log] = []
        span = self.settings.log_span
        while first <= end:
            upto = min(first + span - 1, end)
            question = {"address": lower(address), "topics": wanted, "fromBlock": hex(first), "toBlock": hex(upto)}
            try:
                found += [_log(entry) for entry in self.node.ask("eth_getLogs", question)]
            except Refusal as refusal:
                if upto == first:
                    raise InputError(f"the node gives no logs: {refusal.message}", place=self.node.shown) from refusal
                span = max(1, (upto - first + 1) // 2)
                continue
            first = upto + 1
        return found

    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        number = self.header(block).number
        try:
            told = self.node.ask("eth_getProof", lower(address), [f"0x{slot:064x}"], hex(number))
        except Refusal as refusal:
            raise InputError(
                f"the node proves nothing at block {number}: {refusal.message}", place=self.node.shown,
                rule="EIP-1186", remedy="use a node that keeps the state of this block",
            ) from refusal  # fmt: skip
        [entry] = told["storageProof"]
        return StorageProof(
            number, lower(address), slot, int(entry["value"], 16),
            _nodes(told["accountProof"]), _nodes(entry["proof"]),
        )  # fmt: skip

    def header(self, block: int | None = None) -> Header:
        return from_json(self._block(_tag(block)))

    def final(self) -> int:
        if self.settings.confirmations is not None:
            return max(0, int(self.node.ask("eth_blockNumber"), 16) - self.settings.confirmations)
        try:
            return int(self._block("finalized")["number"], 16)
        except (Refusal, InputError) as error:
            raise InputError(
                "this node calls no block finalized", place=self.node.shown,
                remedy="set confirmations in the settings of this chain",
            ) from error  # fmt: skip

    def _block(self, tag: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self.node.ask("eth_getBlockByNumber", tag, False)
        if found is None:
            raise InputError("there is no such block", place=tag)
        return found


def _tag(block: int | None) -> str:
    return "latest" if block is None else hex(block)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _nodes(told: Sequence[str]) -> tuple[bytes, ...]:
    """A proof's nodes. An empty trie has none; some nodes (Anvil) tell its encoding, a single 0x80."""
    return tuple(_bytes(n) for n in told if n != "0x80")


def _log(entry: Mapping[str, Any]) -> Log:
    if entry.get("removed"):
        raise IntegrityError("the node tells a log that it took back", place=str(entry.get("transactionHash")))
    return Log(
        lower(entry["address"]), tuple(_bytes(t) for t in entry["topics"]), _bytes(entry["data"]),
        int(entry["blockNumber"], 16), int(entry["logIndex"], 16), _bytes(entry["blockHash"]),
        _bytes(entry["transactionHash"]),
    )  # fmt: skip


def _inclusion(receipt: Mapping[str, Any]) -> Inclusion:
    gas = int(receipt["gasUsed"], 16)
    price = int(receipt.get("effectiveGasPrice") or "0x0", 16)
    made = receipt.get("contractAddress")
    return Inclusion(
        transaction=_bytes(receipt["transactionHash"]),
        block=int(receipt["blockNumber"], 16),
        succeeded=int(receipt["status"], 16) == 1,
        gas_used=gas,
        contract=None if made is None else lower(made),
        logs=tuple(_log(entry) for entry in receipt["logs"]),
        block_hash=_bytes(receipt["blockHash"]),
        fee=Wei(gas * price),
    )


def _with_output(found: Inclusion, output: bytes) -> Inclusion:
    return Inclusion(
        found.transaction, found.block, found.succeeded, found.gas_used, found.contract, found.logs, found.block_hash,
        found.fee, output,
    )  # fmt: skip
