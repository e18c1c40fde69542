"""The contract of a chain passes on a specimen and fails on broken ones, so that it can judge the real ones to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from chain_compliance import INIT, SUITE, TOPIC, Make

from engine.errors import DappopsError, InputError
from engine.ledger.chain import Address, Chain, Header, Inclusion, Log, Message, StorageProof, Wei

ACCOUNT = Address("0x" + "11" * 20)


class Specimen:
    """Blocks of one message over the slots of the suite's contract; its proofs are hashes, not Merkle-Patricia."""

    chain_id = 31337

    def __init__(self) -> None:
        self.states: list[dict[Address, int]] = [{}]
        self.headers = [Header(0, b"0" * 32, b"", b"", 0)]
        self.events: list[Log] = []

    def send(self, message: Message) -> Inclusion:
        if message.sender != ACCOUNT:
            raise InputError("no key for this account", place=message.sender)
        state, number = dict(self.states[-1]), len(self.headers)
        contract, logs = None, ()
        if message.to is None:
            assert message.data == INIT
            contract = Address(f"0x{number:040x}")
            state[contract] = 0
        else:
            state[message.to] = int.from_bytes(message.data, "big")
            logs = (Log(message.to, (TOPIC,), message.data, number, 0),)
        root = sha256(repr((number, state)).encode()).digest()
        self.states.append(state)
        self.headers.append(Header(number, sha256(root).digest(), self.headers[-1].hash, root, number))
        self.events += logs
        return Inclusion(root, number, True, 43_000, contract, logs)

    def call(self, to: Address, data: bytes, block: int | None = None) -> bytes:
        return self.states[-1 if block is None else block][to].to_bytes(32, "big")

    def logs(
        self, address: Address, *, topics: Sequence[bytes] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        end = len(self.headers) if last is None else last
        return [
            e for e in self.events
            if e.address == address and first <= e.block <= end and e.topics[: len(topics)] == tuple(topics)
        ]  # fmt: skip

    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        number = len(self.headers) - 1 if block is None else block
        value = self.states[number][address] if slot == 0 else 0
        return StorageProof(number, address, slot, value, (self.headers[number].state_root,), ())

    def header(self, block: int | None = None) -> Header:
        if block is not None and block >= len(self.headers):
            raise InputError("there is no such block", place=str(block))
        return self.headers[-1 if block is None else block]


class _ForgetsHistory(Specimen):
    def call(self, to: Address, data: bytes, block: int | None = None) -> bytes:
        return super().call(to, data)


class _CallWrites(Specimen):
    def call(self, to: Address, data: bytes, block: int | None = None) -> bytes:
        if data:
            self.send(Message(ACCOUNT, to, data))
        return super().call(to, data, block)


class _UnlinkedHeaders(Specimen):
    def header(self, block: int | None = None) -> Header:
        found = super().header(block)
        return Header(found.number, found.hash, b"?" * 32, found.state_root, found.time)


class _LogsOfEverybody(Specimen):
    def logs(
        self, address: Address, *, topics: Sequence[bytes] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        return self.events


class _StaleProof(Specimen):
    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        found = super().proof(address, slot, block)
        return StorageProof(found.block, address, slot, found.value, (self.headers[1].state_root,), ())


class _SendsForAnybody(Specimen):
    def send(self, message: Message) -> Inclusion:
        return super().send(Message(ACCOUNT, message.to, message.data, Wei(message.value)))


BROKEN = (_ForgetsHistory, _CallWrites, _UnlinkedHeaders, _LogsOfEverybody, _StaleProof, _SendsForAnybody)


def making(kind: Callable[[], Chain]) -> Make:
    return lambda: (kind(), ACCOUNT)


@pytest.mark.parametrize("check", SUITE, ids=lambda c: c.__name__)
def test_chain_contract_holds_for_the_specimen(check: Callable[[Make], None]) -> None:
    check(making(Specimen))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda c: c.__name__)
def test_chain_contract_is_not_kept_when_a_chain_is_broken(broken: Callable[[], Chain]) -> None:
    def fails(check: Callable[[Make], None]) -> bool:
        try:
            check(making(broken))
        except (AssertionError, DappopsError, pytest.fail.Exception):
            return True
        return False

    assert any(fails(check) for check in SUITE)
