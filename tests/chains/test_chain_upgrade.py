"""Newer rules for a chain that runs: agreed by a quorum, in force from a height on, without a split."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from chains_home import Home

from engine.errors import InputError, IntegrityError
from engine.ledger import home as chains
from engine.ledger.chain import Address, Message
from engine.ledger.chains import cosigning, processes
from engine.ledger.chains.cosigning import collect
from engine.ledger.chains.upgrading import upgrade
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis

BLS_ADD = Address("0x" + "0b".rjust(40, "0"))
"""A precompiled contract since Prague (EIP-2537); without input it fails. Before, it is an account without code."""
OLD = ("shanghai", "cancun")  # what the program of the third replica knows


@pytest.fixture(scope="module")
def running(home: Home) -> Iterator[chains.ChainRecord]:
    """A bare chain with three co-signers, of which the third has an old program."""
    genesis = Genesis(7002, int(time.time()), {home.account: 10**24}, rules=((0, "cancun"),))
    made = chains.create(home.folder, "old", keys=home.keys, account=home.account, genesis=genesis)
    cosigning.make(made, sealer=home.account, count=3, knows=(("cancun", "prague"), ("cancun", "prague"), OLD))
    cosigning.start(made, home.folder)
    yield made
    cosigning.stop(made)


def use(chain: EmbeddedChain, account: str) -> bool:
    """Whether using what Prague brought fails, in a block of its own."""
    return not chain.send(Message(Address(account), BLS_ADD, gas=200_000)).succeeded


def signers(record: chains.ChainRecord, chain: EmbeddedChain) -> set[str]:
    head = chain.header()
    return set(collect(record, head.number, head.hash, head.rlp, wait=15.0).signatures)


def test_rules_change_at_one_height_without_a_split_when_a_quorum_agrees(
    home: Home, running: chains.ChainRecord
) -> None:
    connected = home.connect("old")
    chain, group = connected.chain, cosigning.known(running)
    assert isinstance(chain, EmbeddedChain)
    first, second, third = group.members
    assert not use(chain, home.account)
    height = chain.header().number + 4
    with pytest.raises(InputError, match="not ahead"):
        upgrade(connected, "prague", chain.header().number, keys=home.keys)
    with pytest.raises(InputError, match="no rules named"):
        upgrade(connected, "pragge", height, keys=home.keys)

    # too few: nothing changes anywhere
    cosigning.stop(running, (1,))
    with pytest.raises(IntegrityError, match=r"1 co-signers agree.*2 are needed") as refused:
        upgrade(connected, "prague", height, keys=home.keys)
    assert f"{first}: it does not run" in refused.value.message
    assert f"{third}: the rules 'prague' are not known here" in refused.value.message
    assert chain.rules == ((0, "cancun"),)
    assert not use(chain, home.account)
    cosigning.start(running, home.folder, (1,))
    assert signers(running, chain) == set(group.members)

    # a quorum of two; the second is away when they are told, and reads it from the feed afterwards
    made = upgrade(connected, "prague", height, keys=home.keys)
    assert set(made.signers) == {first, second}
    assert "not known here" in made.refused[third]
    cosigning.stop(running, (2,))
    while chain.header().number < height - 1:
        assert not use(chain, home.account)
    assert use(chain, home.account)
    assert chain.header().number == height
    assert use(chain, home.account)
    cosigning.start(running, home.folder, (2,))
    assert signers(running, chain) == {first, second}
    assert chain.rules == ((0, "cancun"), (height, "prague"))
    rows = {row["address"]: row for row in cosigning.statuses(running)}
    assert rows[first]["hash"] == rows[second]["hash"] == "0x" + chain.header().hash.hex()

    # who cannot follow has stopped before that height, and says why
    folder = cosigning.replica_folder(running, 3)
    deadline = time.monotonic() + 20
    while processes.running(folder) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    said = processes.last_words(folder)
    assert f"'prague' hold from block {height} on and are not known here" in said
    assert f"stops at block {height - 1}" in said
