"""What every chain must do, as functions of a factory. Each makes contracts of its own: a chain may have a past.

The contract used: 32 bytes of call data are written to slot 0 and told as an event with topic 1; no call data reads slot 0.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.errors import InputError
from engine.ledger.chain import Address, Chain, Message

Make = Callable[[], tuple[Chain, Address]]
"""A chain, and an account on it that can pay."""

# 36 600f57 (call data? to 0f) 600054600052 60206000f3 (return slot 0) 5b 600035 80 600055 600052 600160206000a1 00
RUNTIME = bytes.fromhex("36600f5760005460005260206000f35b600035806000556000526001" + "60206000a100")
INIT = bytes.fromhex(f"60{len(RUNTIME):02x}80600b6000396000f3") + RUNTIME
TOPIC = (1).to_bytes(32, "big")


def word(n: int) -> bytes:
    return n.to_bytes(32, "big")


def deployed(chain: Chain, account: Address) -> Address:
    made = chain.send(Message(account, None, INIT))
    assert made.succeeded
    assert made.contract is not None
    return made.contract


def value_is_kept_per_block(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    blocks = [chain.send(Message(account, contract, word(n))).block for n in (11, 12, 13)]
    assert blocks == sorted(set(blocks))
    assert chain.call(contract, b"") == word(13)
    assert [chain.call(contract, b"", block) for block in blocks] == [word(11), word(12), word(13)]


def call_changes_nothing(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    head = chain.header()
    chain.call(contract, word(5))
    assert chain.call(contract, b"") == word(0)
    assert chain.header() == head
    assert chain.logs(contract) == []


def headers_are_linked(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    for n in range(3):
        chain.send(Message(account, contract, word(n + 1)))
    head = chain.header()
    for number in range(head.number, max(head.number - 3, 0), -1):
        header, parent = chain.header(number), chain.header(number - 1)
        assert header.number == number
        assert header.parent == parent.hash
        assert header.time >= parent.time
        assert header.state_root != parent.state_root
    with pytest.raises(InputError):
        chain.header(head.number + 1)


def logs_are_found(make: Make) -> None:
    chain, account = make()
    contract, other = deployed(chain, account), deployed(chain, account)
    sent = [chain.send(Message(account, contract, word(n))) for n in (7, 8, 9)]
    chain.send(Message(account, other, word(99)))
    found = chain.logs(contract, topics=[TOPIC])
    assert [entry.data for entry in found] == [word(7), word(8), word(9)]
    assert [entry.block for entry in found] == [s.block for s in sent]
    assert found == [entry for s in sent for entry in s.logs]
    assert [e.data for e in chain.logs(contract, first=sent[1].block, last=sent[1].block)] == [word(8)]
    assert chain.logs(contract, topics=[word(2)]) == []


def proof_agrees_with_the_header(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    first = chain.send(Message(account, contract, word(21)))
    chain.send(Message(account, contract, word(22)))
    old, new = chain.proof(contract, 0, first.block), chain.proof(contract, 0)
    assert (old.value, new.value, old.block) == (21, 22, first.block)
    assert new.block == chain.header().number
    assert chain.proof(contract, 5).value == 0
    assert old.account_proof
    assert old.account_proof != new.account_proof, "both roots cannot have the same proof"


def account_is_paid_for_by_its_sender(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    assert chain.send(Message(account, contract, word(1))).gas_used > 21_000
    stranger = Address("0x" + "99" * 20)
    with pytest.raises(InputError):
        chain.send(Message(stranger, contract, word(2)))
    assert chain.call(contract, b"") == word(1)


SUITE = (
    value_is_kept_per_block, call_changes_nothing, headers_are_linked, logs_are_found, proof_agrees_with_the_header,
    account_is_paid_for_by_its_sender,
)  # fmt: skip
