"""A network that misbehaves, with Anvil as the network: reorganisations, lost numbers, stuck transactions, absence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anvil_node import RICH, Anvil
from chain_compliance import INIT, deployed, word
from eth_account import Account

from engine.errors import BusyError, InputError
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Message, Pending
from engine.ledger.network import NetworkChain, Settings, identity

CHAIN = 31337


@pytest.fixture
def chain(anvil: Anvil, keys: KeyRing) -> NetworkChain:
    return NetworkChain(anvil.url, CHAIN, keys)


@pytest.fixture
def by_hand(anvil: Anvil) -> Iterator[Anvil]:
    """Blocks come when they are asked for."""
    anvil.ask("evm_setAutomine", False)
    yield anvil
    anvil.ask("anvil_dropAllTransactions")
    anvil.ask("evm_setAutomine", True)


def until(told: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not told():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def pool(anvil: Anvil, account: Address) -> dict[int, dict[str, str]]:
    found = {a.lower(): txs for a, txs in anvil.ask("txpool_content")["pending"].items()}
    return {int(n): tx for n, tx in found.get(account, {}).items()}


def test_network_is_refused_when_its_chain_id_is_another(anvil: Anvil, keys: KeyRing, account: Address) -> None:
    assert identity(anvil.url) == (CHAIN, bytes.fromhex(anvil.ask("eth_getBlockByNumber", "0x0", False)["hash"][2:]))
    with pytest.raises(InputError, match="on chain 31337, not 1"):
        NetworkChain(anvil.url, 1, keys)


def test_nothing_is_signed_when_the_node_changed_its_network(
    anvil: Anvil, chain: NetworkChain, account: Address
) -> None:
    before = anvil.ask("eth_getTransactionCount", account, "pending")
    anvil.ask("anvil_setChainId", 5)
    try:
        with pytest.raises(InputError, match="on chain 5, not 31337"):
            chain.send(Message(account, None, INIT))
    finally:
        anvil.ask("anvil_setChainId", CHAIN)
    assert anvil.ask("eth_getTransactionCount", account, "pending") == before


def test_reorg_of_20_blocks_is_seen_and_recovered_from(anvil: Anvil, keys: KeyRing, account: Address) -> None:
    chain = NetworkChain(anvil.url, CHAIN, keys, Settings(confirmations=21))
    contract = deployed(chain, account)
    anvil.ask("anvil_mine", "0x2")
    sent = [chain.send(Message(account, contract, word(n))) for n in range(1, 21)]
    final, kept = chain.final(), chain.header(chain.final())
    assert all(chain.still_included(s) for s in sent)
    anvil.ask("anvil_reorg", 20, [])
    assert chain.header().number == sent[-1].block
    assert not any(chain.still_included(s) for s in sent)
    assert [chain.included(s.transaction) for s in sent] == [None] * 20
    assert chain.logs(contract) == []
    assert final < sent[0].block
    assert chain.header(final) == kept, "what was final is there"
    again = chain.send_all([Message(account, contract, word(n)) for n in range(1, 21)])
    assert all(chain.still_included(s) for s in again)
    assert [entry.data for entry in chain.logs(contract)] == [word(n) for n in range(1, 21)]
    moved = chain.send(Message(account, contract, word(77)))
    signed = anvil.ask("eth_getTransactionByHash", "0x" + moved.transaction.hex())
    assert signed is not None


def test_inclusion_is_no_longer_the_same_when_it_moved_to_another_block(
    anvil: Anvil, chain: NetworkChain, keys: KeyRing, account: Address
) -> None:
    before = anvil.ask("evm_snapshot")
    raw = Account.sign_transaction(
        {
            "type": 2, "chainId": CHAIN, "nonce": int(anvil.ask("eth_getTransactionCount", account, "latest"), 16),
            "gas": 21_000, "to": "0x" + "12" * 20, "value": 1, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1,
        },
        RICH,
    )  # fmt: skip
    anvil.ask("eth_sendRawTransaction", raw.raw_transaction.to_0x_hex())
    until(lambda: chain.included(bytes(raw.hash)) is not None)
    first = chain.included(bytes(raw.hash))
    assert first is not None
    anvil.ask("evm_revert", before)
    anvil.ask("anvil_mine", "0x1")
    assert not chain.still_included(first)
    anvil.ask("eth_sendRawTransaction", raw.raw_transaction.to_0x_hex())
    until(lambda: chain.included(bytes(raw.hash)) is not None)
    second = chain.included(bytes(raw.hash))
    assert second is not None
    assert second.block == first.block + 1
    assert not chain.still_included(first)
    assert chain.still_included(second)


def test_stuck_transaction_is_replaced_and_only_one_gets_in(by_hand: Anvil, keys: KeyRing, account: Address) -> None:
    chain = NetworkChain(by_hand.url, CHAIN, keys, Settings(replace_after_s=0.05, replacements=30))
    before = chain.balance(Address("0x" + "56" * 20))
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(chain.send, Message(account, Address("0x" + "56" * 20), value=7))
        until(lambda: bool(pool(by_hand, account)))
        [nonce] = pool(by_hand, account)
        first = pool(by_hand, account)[nonce]
        asked = int(first["maxFeePerGas"], 16)
        until(lambda: int(pool(by_hand, account)[nonce]["maxFeePerGas"], 16) > asked * 1.3)  # replaced twice
        by_hand.ask("evm_mine")
        done = sending.result(20)
    mined = by_hand.ask("eth_getTransactionByHash", "0x" + done.transaction.hex())
    assert int(mined["maxFeePerGas"], 16) > asked
    assert chain.included(bytes.fromhex(first["hash"][2:])) is None
    assert chain.balance(Address("0x" + "56" * 20)) == before + 7


def test_fee_stops_at_its_cap_when_a_transaction_is_stuck(by_hand: Anvil, keys: KeyRing, account: Address) -> None:
    base = int(by_hand.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    cap = base * 2 / 1e9 + 2.2  # gwei: room for the first fee and less than a replacement needs
    patience = Settings(replace_after_s=0.02, replacements=9, fee_cap_gwei=cap, deadline_s=0.6)
    chain = NetworkChain(by_hand.url, CHAIN, keys, patience)
    with pytest.raises(Pending) as waiting:
        chain.send(Message(account, Address("0x" + "56" * 20), value=1))
    assert chain.included(waiting.value.transactions[0]) is None
    [kept] = pool(by_hand, account).values()
    assert int(kept["maxFeePerGas"], 16) <= cap * 1e9
    by_hand.ask("evm_mine")
    until(lambda: any(chain.included(t) for t in waiting.value.transactions))
    with pytest.raises(BusyError, match="gwei"):
        NetworkChain(by_hand.url, CHAIN, keys, Settings(fee_cap_gwei=1e-9)).send(Message(account, None, INIT))


def test_sender_is_told_when_another_transaction_took_its_number(
    by_hand: Anvil, keys: KeyRing, account: Address
) -> None:
    chain = NetworkChain(by_hand.url, CHAIN, keys, Settings(certain_s=0.1))
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(chain.send, Message(account, Address("0x" + "56" * 20), value=1))
        until(lambda: bool(pool(by_hand, account)))
        [nonce] = pool(by_hand, account)
        other = Account.sign_transaction(
            {
                "type": 2, "chainId": CHAIN, "nonce": nonce, "gas": 21_000, "to": "0x" + "57" * 20, "value": 1,
                "maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**11,
            },
            RICH,
        )  # fmt: skip
        by_hand.ask("eth_sendRawTransaction", other.raw_transaction.to_0x_hex())
        by_hand.ask("evm_mine")
        with pytest.raises(BusyError, match="took its place"):
            sending.result(20)


def race(chains: list[NetworkChain], account: Address, *, again: bool) -> list[int]:
    """What four senders of one account got in, each five values; `again`: who was crowded out sends again."""
    contract = deployed(chains[0], account)
    gate = threading.Barrier(4)

    def send(number: int) -> None:
        gate.wait(10)
        for n in range(1, 6):
            while True:
                try:
                    chains[number].send(Message(account, contract, word(number * 100 + n)))
                    break
                except BusyError:
                    assert again, "who shares a home is not crowded out"

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, range(4)))
    return sorted(int.from_bytes(entry.data, "big") for entry in chains[0].logs(contract))


ALL = sorted(number * 100 + n for number in range(4) for n in range(1, 6))


def test_everything_is_sent_when_many_of_a_home_race_for_numbers(
    anvil: Anvil, keys: KeyRing, account: Address, tmp_path: Path
) -> None:
    assert race([NetworkChain(anvil.url, CHAIN, keys, folder=tmp_path) for _ in range(4)], account, again=False) == ALL


def test_everything_is_sent_once_when_strangers_race_for_numbers(anvil: Anvil, keys: KeyRing, account: Address) -> None:
    """They know nothing of each other: one may crowd out another, who is told, and then sends again."""
    quick = Settings(certain_s=0.2)
    assert race([NetworkChain(anvil.url, CHAIN, keys, quick) for _ in range(4)], account, again=True) == ALL


def test_gap_is_filled_when_an_earlier_transaction_was_lost(
    by_hand: Anvil, chain: NetworkChain, account: Address
) -> None:
    contract = "0x" + "56" * 20
    ahead = int(by_hand.ask("eth_getTransactionCount", account, "latest"), 16) + 1
    early = Account.sign_transaction(
        {
            "type": 2, "chainId": CHAIN, "nonce": ahead, "gas": 21_000, "to": contract, "value": 1,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1,
        },
        RICH,
    )  # fmt: skip
    by_hand.ask("eth_sendRawTransaction", early.raw_transaction.to_0x_hex())
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(chain.send, Message(account, Address(contract), value=1))
        until(lambda: len(pool(by_hand, account)) == 2)
        by_hand.ask("evm_mine")
        sending.result(20)
    until(lambda: chain.included(bytes(early.hash)) is not None)


def test_node_is_asked_again_when_it_was_away(tmp_path: Path, keys: KeyRing, account: Address) -> None:
    pauses: list[float] = []
    with Anvil(tmp_path) as node:

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                node.start()

        chain = NetworkChain(node.url, CHAIN, keys, sleep=sleep)
        contract = deployed(chain, account)
        chain.send(Message(account, contract, word(5)))
        pauses.clear()
        node.stop()
        assert chain.call(contract, b"") == word(5)
        assert len(pauses) == 3
        assert pauses[2] > pauses[0], "pauses grow"
        assert chain.send(Message(account, contract, word(6))).succeeded
        node.stop()
        with pytest.raises(BusyError, match="cannot be reached"):
            NetworkChain(node.url, CHAIN, keys, Settings(attempts=2), sleep=lambda _: None)


def test_final_needs_a_setting_when_the_node_calls_nothing_final(anvil: Anvil, keys: KeyRing) -> None:
    chain = NetworkChain(anvil.url, CHAIN, keys)
    assert chain.final() <= chain.header().number
    assert NetworkChain(anvil.url, CHAIN, keys, Settings(confirmations=10_000)).final() == 0


def test_logs_are_asked_in_spans_when_there_are_many_blocks(anvil: Anvil, keys: KeyRing, account: Address) -> None:
    chain = NetworkChain(anvil.url, CHAIN, keys, Settings(log_span=3))
    contract = deployed(chain, account)
    sent = [chain.send(Message(account, contract, word(n))) for n in range(1, 9)]
    assert chain.logs(contract) == [entry for s in sent for entry in s.logs]
    assert chain.logs(contract, last=sent[-1].block + 50) == [entry for s in sent for entry in s.logs]
