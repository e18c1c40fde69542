"""Blocks, rules and replicas of the embedded chain, beyond the contract of every chain."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rlp
from chain_compliance import INIT, TOPIC, deployed, word
from eth_account import Account

from engine.errors import BusyError, InputError, IntegrityError
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Inclusion, Message, Wei
from engine.ledger.embedded import store
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis

# writes n slots, n from call data: 6000 35 5b(3) 80 15 6013 57 (n is 0: to 13) 80 80 55 6001 90 03 6003 56 (again) 5b(13) 00
SPENDER = bytes.fromhex("6000355b8015601357808055600190036003565b00")


@pytest.fixture
def replica(tmp_path: Path, keys: KeyRing, genesis: Genesis) -> EmbeddedChain:
    return EmbeddedChain(tmp_path / "replica", keys, genesis=genesis)


def follow(chain: EmbeddedChain, replica: EmbeddedChain) -> None:
    for number in range(replica.header().number + 1, chain.header().number + 1):
        replica.import_block(chain.block_rlp(number))


def busy(chain: EmbeddedChain, account: Address, blocks: int = 3) -> None:
    contract = deployed(chain, account)
    for n in range(blocks):
        chain.send_all([Message(account, contract, word(n * 10 + i)) for i in range(1, 4)])


def test_genesis_is_equal_when_the_description_is(tmp_path: Path, keys: KeyRing, genesis: Genesis) -> None:
    a, b = (EmbeddedChain(tmp_path / n, keys, genesis=Genesis.of(genesis.json())) for n in "ab")
    other = EmbeddedChain(tmp_path / "c", keys, genesis=Genesis(7002, genesis.time, genesis.supply))
    assert a.header(0) == b.header(0)
    assert a.header(0).hash != other.header(0).hash, "the chain id is part of it"
    with pytest.raises(InputError, match="another chain"):
        EmbeddedChain(tmp_path / "a", keys, genesis=other.genesis)


def test_replica_has_the_same_head_when_it_imports(
    embedded: EmbeddedChain, replica: EmbeddedChain, account: Address
) -> None:
    busy(embedded, account)
    embedded.mine()
    follow(embedded, replica)
    assert replica.header() == embedded.header()
    assert replica.store.logs() == embedded.store.logs()
    before = replica.header()
    assert replica.import_block(embedded.block_rlp(1)).number == 1
    assert replica.header() == before, "a block that is there changes nothing"


def test_replica_refuses_a_block_when_any_field_differs(
    embedded: EmbeddedChain, replica: EmbeddedChain, account: Address
) -> None:
    busy(embedded, account, blocks=1)
    replica.import_block(embedded.block_rlp(1))
    header, transactions, *rest = rlp.decode(embedded.block_rlp(2))
    for position in range(len(header)):
        other = list(header)
        # time may differ among honest blocks, so it is set to something that no block can have
        other[position] = bytes([header[position][0] ^ 1, *header[position][1:]]) if header[position] else b"\1"
        if position in (2, 12):  # coinbase and extra data are the maker's to choose, but state and hash bind them
            continue
        with pytest.raises((IntegrityError, InputError, BusyError)):
            replica.import_block(rlp.encode([other, transactions, *rest]))
    for body in (transactions[:-1], transactions[::-1], [*transactions, transactions[0]]):
        with pytest.raises(IntegrityError):
            replica.import_block(rlp.encode([header, body, *rest]))
    for uncles in ([header], header):
        with pytest.raises(InputError):
            replica.import_block(rlp.encode([header, transactions, uncles, []]))
    for junk in (b"", b"\xc0", rlp.encode([1, 2]), b"junk"):
        with pytest.raises(InputError):
            replica.import_block(junk)
    assert replica.header().number == 1
    follow(embedded, replica)
    assert replica.header() == embedded.header()


def test_replica_refuses_a_block_when_it_follows_from_another(
    embedded: EmbeddedChain, replica: EmbeddedChain, account: Address
) -> None:
    busy(embedded, account, blocks=1)
    with pytest.raises(IntegrityError, match="does not follow"):
        replica.import_block(embedded.block_rlp(2))
    deployed(replica, account)
    replica.mine()
    with pytest.raises(IntegrityError, match="does not follow"):
        replica.import_block(embedded.block_rlp(2))


def test_replica_waits_when_a_block_is_from_the_future(tmp_path: Path, keys: KeyRing, genesis: Genesis) -> None:
    now = [genesis.time + 10.0]
    fast = EmbeddedChain(tmp_path / "fast", keys, genesis=genesis, clock=lambda: now[0] + 3600)
    slow = EmbeddedChain(tmp_path / "slow", keys, genesis=genesis, clock=lambda: now[0])
    fast.mine()
    with pytest.raises(BusyError, match="future"):
        slow.import_block(fast.block_rlp(1))
    now[0] += 3600
    slow.import_block(fast.block_rlp(1))


def test_time_never_goes_back_when_the_clock_does(
    tmp_path: Path, keys: KeyRing, genesis: Genesis, account: Address
) -> None:
    now = [genesis.time + 10.9]
    chain = EmbeddedChain(tmp_path / "c", keys, genesis=genesis, clock=lambda: now[0])
    times = []
    for change in (0, 0, -5, +7):
        now[0] += change
        chain.mine()
        times.append(chain.header().time - genesis.time)
    assert times == [10, 10, 10, 12]
    # 42 (TIMESTAMP) 6000 52 6020 6000 f3: a call sees the present, a call in the past sees its block's time
    clock = chain.send(Message(account, None, _clock()))
    assert clock.contract is not None
    now[0] += 100
    assert int.from_bytes(chain.call(clock.contract, b""), "big") == genesis.time + 112
    assert int.from_bytes(chain.call(clock.contract, b"", clock.block), "big") == genesis.time + 12


def _clock() -> bytes:
    runtime = bytes.fromhex("4260005260206000f3")
    return bytes.fromhex(f"60{len(runtime):02x}80600b6000396000f3") + runtime


def test_messages_fill_several_blocks_when_one_is_too_small(tmp_path: Path, keys: KeyRing, account: Address) -> None:
    genesis = Genesis(7003, 1_700_000_000, {account: 10**24}, gas_limit=1_000_000)
    chain = EmbeddedChain(tmp_path / "c", keys, genesis=genesis)
    init = bytes.fromhex(f"60{len(SPENDER):02x}80600b6000396000f3") + SPENDER
    spender = chain.send(Message(account, None, init)).contract
    done = chain.send_all([Message(account, spender, word(15)) for _ in range(2)])
    assert [d.succeeded for d in done] == [True, True]
    done = chain.send_all([Message(account, spender, word(15 + 14 * i)) for i in range(1, 6)])
    assert [d.succeeded for d in done] == [True] * 5
    assert len({d.block for d in done}) > 1
    assert [d.block for d in done] == sorted(d.block for d in done)
    explicit = chain.send_all([Message(account, spender, word(15), gas=400_000) for _ in range(5)])
    per_block = [sum(d.block == n for d in explicit) for n in sorted({d.block for d in explicit})]
    assert sum(per_block) == 5
    too_much = chain.send_all([Message(account, spender, word(500)), Message(account, spender, word(1))])
    assert [d.succeeded for d in too_much] == [False, True], "what fits into no block fails, and the rest goes on"


def test_nothing_is_written_when_one_of_a_block_cannot_be(embedded: EmbeddedChain, account: Address) -> None:
    rich = embedded.balance(account)
    contract = deployed(embedded, account)
    head = embedded.header()
    with pytest.raises(InputError, match="balance"):
        embedded.send_all([Message(account, contract, word(1)), Message(account, contract, value=Wei(rich + 1))])
    assert embedded.header() == head
    assert embedded.call(contract, b"") == word(0)


def test_rules_change_at_their_height(tmp_path: Path, keys: KeyRing, account: Address) -> None:
    genesis = Genesis(7004, 1_700_000_000, {account: 10**24}, rules=((0, "shanghai"),))
    chain = EmbeddedChain(tmp_path / "c", keys, genesis=genesis)
    replica = EmbeddedChain(tmp_path / "r", keys, genesis=genesis)
    behind = EmbeddedChain(tmp_path / "b", keys, genesis=genesis)
    other = EmbeddedChain(tmp_path / "c", keys)
    # 5f 5c 00: TLOAD (EIP-1153) is an unknown opcode before cancun
    runtime = bytes.fromhex("5f5c00")
    contract = chain.send(Message(account, None, bytes.fromhex("600380600b6000396000f3") + runtime)).contract
    assert contract is not None
    for who in (other, replica):
        who.schedule(4, "cancun")
        assert who.schedule(6, "prague") == ((0, "shanghai"), (4, "cancun"), (6, "prague"))
    assert chain.rules == other.rules, "an open chain sees what another process scheduled"
    outcomes = [chain.send(Message(account, contract, gas=50_000)).succeeded for _ in range(2, 9)]
    assert outcomes == [False, False, True, True, True, True, True]
    fields = [len(rlp.decode(chain.header(n).rlp)) for n in range(9)]
    assert fields == [17] * 4 + [20] * 2 + [21] * 3
    follow(chain, replica)
    assert replica.header() == chain.header()
    for number in range(1, 4):
        behind.import_block(chain.block_rlp(number))
    with pytest.raises(IntegrityError):
        behind.import_block(chain.block_rlp(4))
    assert chain.view().estimate(sender=bytes(20), to=None, data=INIT, value=0) > 53_000


@pytest.mark.parametrize(
    ("height", "name", "told"),
    [(0, "prague", "past"), (9, "shanghai", "newer"), (9, "cancum", "did you mean 'cancun'"), (9, "cancun", "newer")],
)
def test_schedule_is_refused_when_it_is_none(height: int, name: str, told: str, embedded: EmbeddedChain) -> None:
    with pytest.raises(InputError, match=told):
        embedded.schedule(height, name)
    assert embedded.rules == ((0, "cancun"),)


def signed(account: str, keys: KeyRing, **fields: object) -> bytes:
    secret = keys.unlock(account).private.secret
    whole = {"nonce": 0, "gas": 100_000, "value": 0, "data": b"", "to": "0x" + "11" * 20, **fields}
    return bytes(Account.sign_transaction(whole, secret).raw_transaction)


LEGACY = {"gasPrice": 0}
DYNAMIC = {"type": 2, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({**DYNAMIC, "chainId": 1}, "for chain 1, this is 7001"),
        ({**LEGACY, "chainId": 1}, "for chain 1, this is 7001"),
        (LEGACY, "for any chain"),
        ({**DYNAMIC, "chainId": 7001, "maxPriorityFeePerGas": 1}, "tip is more"),
        ({**DYNAMIC, "chainId": 7001, "nonce": 5}, "nonce"),
        ({**DYNAMIC, "chainId": 7001, "gas": 31_000_000}, "does not fit"),
        ({**DYNAMIC, "chainId": 7001, "gas": 20_000}, "refuses"),
    ],
)
def test_transaction_is_refused_when_it_is_not_for_this_chain(
    fields: dict[str, object], told: str, embedded: EmbeddedChain, keys: KeyRing, account: Address
) -> None:
    with pytest.raises(InputError, match=told):
        embedded.mine([signed(account, keys, **fields)])
    assert embedded.header().number == 0


def test_transaction_of_every_kind_is_taken(
    embedded: EmbeddedChain, replica: EmbeddedChain, keys: KeyRing, account: Address
) -> None:
    kinds = ({**LEGACY, "chainId": 7001}, {"type": 1, "gasPrice": 0, "chainId": 7001}, {**DYNAMIC, "chainId": 7001})
    done = embedded.mine([signed(account, keys, nonce=n, value=n + 1, **kind) for n, kind in enumerate(kinds)])
    assert [d.succeeded for d in done] == [True] * 3
    assert embedded.balance(Address("0x" + "11" * 20)) == 6
    follow(embedded, replica)
    assert replica.header() == embedded.header()


@pytest.mark.parametrize("junk", [b"", b"\x02", b"\x02\xc0", b"\x05abc", b"\xc0", b"junk"])
def test_transaction_is_refused_when_it_is_junk(junk: bytes, embedded: EmbeddedChain) -> None:
    with pytest.raises(InputError):
        embedded.mine([junk])


def test_logs_are_never_scanned(embedded: EmbeddedChain) -> None:
    """Every question that a filter can ask uses an index."""
    db = sqlite3.connect(embedded.folder / "chain.sqlite")
    questions: list[Callable[[], object]] = [
        lambda: embedded.store.logs(addresses=[bytes(20)], topics=[[TOPIC]]),
        lambda: embedded.store.logs(addresses=[bytes(20)], topics=[[], [], [TOPIC]], first=5, last=9),
        lambda: embedded.store.logs(topics=[[TOPIC]]),
        lambda: embedded.store.logs(topics=[[], [TOPIC]], last=7),
        lambda: embedded.store.logs(addresses=[bytes(20)], topics=[[TOPIC], [TOPIC], [TOPIC, bytes(32)]]),
        lambda: embedded.store.logs(topics=[[TOPIC], [], [], [TOPIC]], first=2),
        lambda: embedded.store.logs(first=3, last=3),
    ]
    asked: list[str] = []
    embedded.store._db.set_trace_callback(asked.append)
    for question in questions:
        question()
    assert len(asked) == len(questions)
    for sql in asked:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step.startswith("SCAN")], plan
    db.close()


def test_chain_is_busy_when_another_process_holds_it(
    tmp_path: Path, keys: KeyRing, genesis: Genesis, account: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAIT_MS", 10)
    chain = EmbeddedChain(tmp_path / "c", keys, genesis=genesis)
    other = sqlite3.connect(tmp_path / "c" / "chain.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError):
        chain.send(Message(account, None, INIT))
    assert chain.header().number == 0, "who reads does not wait"
    other.execute("ROLLBACK")
    assert chain.send(Message(account, None, INIT)).block == 1
    other.close()


def test_contract_calls_itself_as_deep_as_its_gas_goes(
    embedded: EmbeddedChain, replica: EmbeddedChain, account: Address
) -> None:
    """Whether a transaction succeeds must not depend on how deep Python was when it came, and nobody else may crash."""
    # 5f*5 30 5a f1 00: call myself with all gas
    contract = embedded.send(Message(account, None, bytes.fromhex("600980600b6000396000f35f5f5f5f5f305af100"))).contract
    assert contract is not None

    def called(frames: int) -> None:
        if frames:
            called(frames - 1)
        else:
            outcomes.append(embedded.send(Message(account, contract, gas=30_000_000)))

    usual = sys.getrecursionlimit()
    outcomes: list[Inclusion] = []
    called(0)
    called(usual // 4)
    assert outcomes[0].succeeded
    assert outcomes[0].gas_used == outcomes[1].gas_used
    follow(embedded, replica)
    assert replica.header() == embedded.header()
    assert sys.getrecursionlimit() == usual <= 20_000, "py-evm's limit would let others overflow the stack"
    with pytest.raises(RecursionError):
        json.loads("[" * 300_000)
