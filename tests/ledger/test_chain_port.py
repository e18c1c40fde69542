"""The contract of a chain holds for the embedded one, for it behind JSON-RPC, and for Anvil; it fails on broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from chain_compliance import SUITE, Make

from engine.errors import DappopsError
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Chain, Header, Inclusion, Log, Message, StorageProof
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis
from engine.ledger.network import NetworkChain, Settings

Check = Callable[[Make], None]
names = pytest.mark.parametrize("check", SUITE, ids=lambda c: c.__name__)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, keys: KeyRing, genesis: Genesis) -> EmbeddedChain:
    return EmbeddedChain(tmp_path_factory.mktemp("shared"), keys, genesis=genesis)


@names
def test_chain_contract_holds_for_the_embedded_chain(check: Check, shared: EmbeddedChain, account: Address) -> None:
    check(lambda: (shared, account))


@names
def test_chain_contract_holds_for_the_embedded_chain_when_it_is_behind_rpc(
    check: Check, served, keys: KeyRing, account: Address
) -> None:
    check(lambda: (NetworkChain(served.url, served.rpc.chain.chain_id, keys), account))


@names
def test_chain_contract_holds_for_anvil(check: Check, anvil, keys: KeyRing, account: Address) -> None:
    check(lambda: (NetworkChain(anvil.url, 31337, keys), account))


class _ForgetsHistory(EmbeddedChain):
    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address | None = None) -> bytes:
        return super().call(to, data, sender=sender)


class _CallWrites(EmbeddedChain):
    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address | None = None) -> bytes:
        if data:
            self.send(Message(self.accounts()[0], to, data, gas=100_000))
        return super().call(to, data, block, sender=sender)


class _UnlinkedHeaders(EmbeddedChain):
    def header(self, block: int | None = None) -> Header:
        return replace(super().header(block), parent=b"?" * 32)


class _OtherRlp(EmbeddedChain):
    def header(self, block: int | None = None) -> Header:
        return replace(super().header(block), rlp=super().header(0).rlp)


class _LogsOfEverybody(EmbeddedChain):
    def logs(
        self, address: Address, *, topics: Sequence[bytes | None] = (), first: int = 0, last: int | None = None
    ) -> list[Log]:
        return self.store.logs()


class _StaleProof(EmbeddedChain):
    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        return super().proof(address, slot, (self.final() if block is None else block) - 1)


class _ProvesNoAbsence(EmbeddedChain):
    def proof(self, address: Address, slot: int, block: int | None = None) -> StorageProof:
        found = super().proof(address, slot, block)
        return found if found.value else replace(found, storage_proof=())


class _SendsForAnybody(EmbeddedChain):
    def send(self, message: Message) -> Inclusion:
        return super().send(replace(message, sender=self.accounts()[0]))


class _StopsAtARefusal(EmbeddedChain):
    def send_all(self, messages: Sequence[Message]) -> list[Inclusion]:
        return [self.send(m) for m in messages]


class _PraisesFailures(EmbeddedChain):
    def send(self, message: Message) -> Inclusion:
        return replace(super().send(message), succeeded=True)


class _ForgetsReceipts(EmbeddedChain):
    def included(self, transaction: bytes) -> Inclusion | None:
        return None


BROKEN = (
    _ForgetsHistory, _CallWrites, _UnlinkedHeaders, _OtherRlp, _LogsOfEverybody, _StaleProof, _ProvesNoAbsence,
    _SendsForAnybody, _StopsAtARefusal, _PraisesFailures, _ForgetsReceipts,
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda c: c.__name__)
def test_chain_contract_is_not_kept_when_a_chain_is_broken(
    broken: type[EmbeddedChain], tmp_path: Path, keys: KeyRing, genesis: Genesis, account: Address
) -> None:
    chain: Chain = broken(tmp_path, keys, genesis=genesis)

    def fails(check: Check) -> bool:
        try:
            check(lambda: (chain, account))
        except (AssertionError, DappopsError, KeyError, pytest.fail.Exception):
            return True
        return False

    assert any(fails(check) for check in SUITE)


def test_settings_are_refused_when_a_name_is_unknown() -> None:
    with pytest.raises(DappopsError, match="confirmations"):
        Settings.of({"confirmation": 3})
