"""One replica in this process, against a sealer that lies in every way it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from chains_home import SOMEBODY, Home, lie

from engine.errors import BusyError, InputError, IntegrityError, NotAvailableError
from engine.graph.hashing import keccak256
from engine.graph.keys import Key, recover
from engine.ledger import home as chains
from engine.ledger.chain import Message, Wei
from engine.ledger.chains import cosigning
from engine.ledger.chains.feed import Feed
from engine.ledger.chains.replica import Replica, no_target
from engine.ledger.chains.statements import (
    SEAL,
    Target,
    Upgrade,
    checkpoint_digest,
    ledger_domain,
    majority,
    seal_digest,
    upgrade_digest,
)
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis

START = 1_700_000_000


class Sealer:
    """A bare chain, its replica, and a second chain with the same beginning: what a sealer can show to somebody else."""

    def __init__(self, home: Home, folder: Path, name: str) -> None:
        self.now = float(START)
        self.account = home.account
        genesis = Genesis(7001, START, {home.account: 10**24}, rules=((0, "cancun"),))
        self.record = chains.create(home.folder, name, keys=home.keys, account=home.account, genesis=genesis)
        self.group = cosigning.make(self.record, sealer=home.account, count=3, quorum=2)
        self.chain = EmbeddedChain(self.record.folder, home.keys, clock=lambda: self.now)
        self.other = EmbeddedChain(folder, home.keys, genesis=genesis, clock=lambda: self.now + 1)
        self.key: Key = home.keys.unlock(home.account)
        self.domain = ledger_domain(7001, self.chain.header(0).hash)
        self.replica = self.opened()

    def opened(self) -> Replica:
        return Replica(cosigning.replica_folder(self.record, 1), clock=lambda: self.now)

    def pay(self, chain: EmbeddedChain, wei: int = 1) -> int:
        return chain.send(Message(self.account, SOMEBODY, value=Wei(wei))).block

    def sealed(self, block: bytes) -> tuple[bytes, bytes]:
        header = rlp.encode(rlp.decode(block)[0])
        number = int.from_bytes(rlp.decode(header)[8], "big")
        return block, self.key.sign(seal_digest(self.domain, number, keccak256(header)))

    def block(self, chain: EmbeddedChain, number: int) -> tuple[bytes, bytes]:
        return self.sealed(chain.block_rlp(number))

    def feed(self, chain: EmbeddedChain) -> Callable[..., Any]:
        methods = Feed(chain, self.key, self.record.folder).methods()
        return lambda name, *params: methods[name](*params)


@pytest.fixture
def sealer(home: Home, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sealer]:
    made = Sealer(home, tmp_path / "other", f"c{abs(hash(request.node.name)) % 10**9}")
    yield made
    for each in (made.replica, made.chain, made.other):
        each.close()


def test_replica_computes_the_same_and_signs_it(sealer: Sealer) -> None:
    for _ in range(3):
        sealer.pay(sealer.chain)
    assert sealer.replica.step(sealer.feed(sealer.chain)) == 3
    target = Target(1, "0x" + "ab" * 20)
    made = sealer.replica.sign(None, target)
    head = sealer.chain.header()
    assert (made["number"], made["hash"]) == (3, "0x" + head.hash.hex())
    digest = checkpoint_digest(target, 7001, 3, head.hash)
    assert recover(digest, bytes.fromhex(made["signature"][2:])) == sealer.replica.address
    assert sealer.replica.sign(3, target)["signature"] == made["signature"]
    with pytest.raises(BusyError, match="not here yet"):
        sealer.replica.sign(4, target)


def test_block_is_refused_when_no_transaction_made_its_state(sealer: Sealer) -> None:
    sealer.pay(sealer.chain)
    sealer.replica.step(sealer.feed(sealer.chain))
    forged = sealer.sealed(lie(sealer.chain, SOMEBODY))
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"forged.*another header"):
            sealer.replica.take(*forged)
    assert sealer.replica.head == 1
    (refusal,) = sealer.replica.status()["refusals"]
    assert (refusal["kind"], refusal["number"]) == ("forged", 2)
    assert bytes.fromhex(refusal["evidence"]["block"][2:]) == forged[0]
    sealer.pay(sealer.chain)  # the honest block of this height is taken afterwards
    assert sealer.replica.step(sealer.feed(sealer.chain)) == 1
    assert sealer.replica.sign(2, no_target(7001))["hash"] == "0x" + sealer.chain.header().hash.hex()


def test_lie_on_the_sealers_own_disk_is_refused_when_it_is_fed(sealer: Sealer) -> None:
    forged = lie(sealer.chain, SOMEBODY)
    header = rlp.encode(rlp.decode(forged)[0])
    with sealer.chain.store.block():
        sealer.chain.store.put_block(1, keccak256(header), header, [], [])
    with pytest.raises(IntegrityError, match="forged"):
        sealer.replica.step(sealer.feed(sealer.chain))
    assert sealer.replica.head == 0


def test_transaction_without_its_signature_is_refused(sealer: Sealer) -> None:
    sealer.pay(sealer.chain)
    header, body, *rest = rlp.decode(sealer.chain.block_rlp(1))
    spoiled = bytearray(body[0])
    spoiled[-1] ^= 1
    with pytest.raises(IntegrityError, match="forged"):
        sealer.replica.take(*sealer.sealed(rlp.encode([header, [bytes(spoiled)], *rest])))
    assert sealer.replica.head == 0


def test_replica_halts_when_the_sealer_seals_two_blocks_of_one_height(sealer: Sealer) -> None:
    sealer.pay(sealer.chain, 1)
    sealer.pay(sealer.other, 2)
    sealer.replica.step(sealer.feed(sealer.chain))
    sealer.replica.sign(1, no_target(7001))
    with pytest.raises(IntegrityError, match=r"equivocation.*two blocks 1"):
        sealer.replica.take(*sealer.block(sealer.other, 1))
    sealer.replica.close()
    sealer.replica = sealer.opened()  # a restart forgets nothing
    halted = sealer.replica.journal.halted()
    assert halted is not None
    for which, chain in (("first", sealer.chain), ("second", sealer.other)):
        told = halted.evidence[which]  # anybody can check the proof
        assert told["hash"] == "0x" + chain.header(1).hash.hex()
        digest = sealer.domain.digest(SEAL.hash(1, chain.header(1).hash))
        assert recover(digest, bytes.fromhex(told["seal"][2:])) == sealer.account
    for refused in (
        lambda: sealer.replica.sign(1, no_target(7001)),
        lambda: sealer.replica.step(sealer.feed(sealer.chain)),
        lambda: sealer.replica.agree(Upgrade("prague", 9), b""),
    ):
        with pytest.raises(IntegrityError, match="halted"):
            refused()


def test_rewritten_history_is_found_when_the_sealer_goes_on_from_it(sealer: Sealer) -> None:
    for _ in range(4):
        sealer.pay(sealer.chain)
    for number in range(1, 3):  # the second chain agrees up to block 2 and differs from block 3 on
        sealer.other.import_block(sealer.chain.block_rlp(number))
    for _ in range(4):
        sealer.pay(sealer.other, 7)
    sealer.replica.step(sealer.feed(sealer.chain))
    with pytest.raises(IntegrityError, match="two blocks 3"):
        sealer.replica.step(sealer.feed(sealer.other))


def test_block_is_refused_when_somebody_else_sealed_it_or_it_is_from_the_future(sealer: Sealer) -> None:
    sealer.pay(sealer.chain)
    block, seal = sealer.block(sealer.chain, 1)
    with pytest.raises(IntegrityError, match="unsealed"):
        sealer.replica.take(block, bytes(65))
    with pytest.raises(IntegrityError, match="unsealed"):
        sealer.replica.take(block, seal[:40] + bytes([seal[40] ^ 1]) + seal[41:])
    sealer.now -= 61
    with pytest.raises(IntegrityError, match="future"):
        sealer.replica.take(block, seal)
    sealer.now += 61
    assert sealer.replica.take(block, seal).number == 1
    for _ in range(2):
        sealer.pay(sealer.chain)
    with pytest.raises(BusyError, match="ahead"):
        sealer.replica.take(*sealer.block(sealer.chain, 3))
    with pytest.raises(InputError, match="not a block"):
        sealer.replica.take(b"\xc0", seal)


def test_upgrade_is_signed_once_when_its_rules_are_known_and_it_is_ahead(sealer: Sealer) -> None:
    def proposed(rules: str, height: int) -> tuple[Upgrade, bytes]:
        return Upgrade(rules, height), sealer.key.sign(upgrade_digest(sealer.domain, rules, height))

    sealer.pay(sealer.chain)
    sealer.replica.step(sealer.feed(sealer.chain))
    with pytest.raises(InputError, match="not ahead"):
        sealer.replica.agree(*proposed("prague", 1))
    with pytest.raises(NotAvailableError, match="not known here"):
        sealer.replica.agree(*proposed("osaka", 9))
    with pytest.raises(InputError, match="not by the sealer"):
        sealer.replica.agree(Upgrade("prague", 9), bytes(65))
    with pytest.raises(InputError, match="only become newer"):
        sealer.replica.agree(*proposed("shanghai", 9))
    signature = sealer.replica.agree(*proposed("prague", 9))
    assert sealer.replica.agree(*proposed("prague", 9)) == signature
    with pytest.raises(InputError, match="one upgrade at a time"):
        sealer.replica.agree(*proposed("prague", 12))
    with pytest.raises(IntegrityError, match="2 are needed"):
        sealer.replica.adopt(Upgrade("prague", 9, (signature, signature)))
    assert sealer.replica.chain.rules == ((0, "cancun"),)


def test_rules_that_nobody_agreed_to_are_named_when_a_block_follows_them(sealer: Sealer) -> None:
    sealer.chain.schedule(1, "prague")
    sealer.pay(sealer.chain)
    with pytest.raises(IntegrityError, match=r"form of prague blocks.*no upgrade from cancun"):
        sealer.replica.step(sealer.feed(sealer.chain))


def test_quorum_is_more_than_half() -> None:
    assert [majority(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
