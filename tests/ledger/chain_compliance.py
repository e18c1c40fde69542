"""What every chain must do, as functions of a factory. Each makes contracts of its own: a chain may have a past.

The contract used most: 32 bytes of call data are written to slot 0 and told as an event with topic 1; no call data reads
slot 0. Refusals are those of GraphRegistry.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import rlp
from mpt_check import keccak, slot_value

from engine.errors import InputError
from engine.ledger.chain import Address, Chain, Message, Reverted, Wei
from engine.ledger.contracts import Contract

Make = Callable[[], tuple[Chain, Address]]
"""A chain, and an account on it that can pay."""

# 36 600f57 (call data? to 0f) 600054600052 60206000f3 (return slot 0) 5b 600035 80 600055 600052 600160206000a1 00
RUNTIME = bytes.fromhex("36600f5760005460005260206000f35b600035806000556000526001" + "60206000a100")
INIT = bytes.fromhex(f"60{len(RUNTIME):02x}80600b6000396000f3") + RUNTIME
TOPIC = (1).to_bytes(32, "big")
ZERO_HEAD = keccak(b"ZeroHead()")[:4]
NOWHERE = Address("0x" + "99" * 20)


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


def headers_hash(make: Make) -> None:
    """The RLP has the block's hash and says what the header says."""
    chain, account = make()
    deployed(chain, account)
    for header in (chain.header(0), chain.header()):
        assert keccak(header.rlp) == header.hash
        fields = rlp.decode(header.rlp)
        assert (fields[0], fields[3]) == (header.parent, header.state_root)
        assert [int.from_bytes(fields[i], "big") for i in (8, 11)] == [header.number, header.time]


def logs_are_found(make: Make) -> None:
    chain, account = make()
    contract, other = deployed(chain, account), deployed(chain, account)
    sent = [chain.send(Message(account, contract, word(n))) for n in (7, 8, 9)]
    chain.send(Message(account, other, word(99)))
    found = chain.logs(contract, topics=[TOPIC])
    assert [entry.data for entry in found] == [word(7), word(8), word(9)]
    assert [entry.block for entry in found] == [s.block for s in sent]
    assert found == [entry for s in sent for entry in s.logs]
    assert [entry.block_hash for entry in found] == [chain.header(s.block).hash for s in sent]
    assert [entry.transaction for entry in found] == [s.transaction for s in sent]
    assert [e.data for e in chain.logs(contract, first=sent[1].block, last=sent[1].block)] == [word(8)]
    assert chain.logs(contract, topics=[word(2)]) == []


def logs_are_found_by_any_topic(make: Make) -> None:
    chain, account = make()
    registry = Contract.deploy(chain, account, "GraphRegistry")
    for graph in (1, 2, 1):
        registry.send(account, "anchorHead", word(graph), word(graph + 100))
    logs = chain.logs(registry.address, topics=[None, None, word(1)])
    assert [entry.data for entry in logs] == [word(101)] * 2
    assert [e.args["head"] for e in registry.events("HeadAnchored", graph=word(2))] == [word(102)]
    assert len(registry.events("HeadAnchored", submitter=account)) == 3
    assert registry.events("HeadAnchored", submitter=NOWHERE) == []


def proof_agrees_with_the_header(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    first = chain.send(Message(account, contract, word(21)))
    chain.send(Message(account, contract, word(22)))
    old, new = chain.proof(contract, 0, first.block), chain.proof(contract, 0)
    assert (old.value, new.value, old.block) == (21, 22, first.block)
    assert new.block == chain.header().number
    for found in (old, new):
        root = chain.header(found.block).state_root
        assert slot_value(root, contract, 0, found.account_proof, found.storage_proof) == found.value


def absence_is_proven(make: Make) -> None:
    """A slot never written, a slot of a contract without storage, an account that is not there."""
    chain, account = make()
    written, blank = deployed(chain, account), deployed(chain, account)
    chain.send(Message(account, written, word(21)))
    for address, slot in ((written, 5), (written, 2**256 - 1), (blank, 0), (NOWHERE, 0)):
        found = chain.proof(address, slot)
        assert found.value == 0
        root = chain.header(found.block).state_root
        assert slot_value(root, address, slot, found.account_proof, found.storage_proof) == 0


def account_is_paid_for_by_its_sender(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    assert account in chain.accounts()
    assert chain.send(Message(account, contract, word(1))).gas_used > 21_000
    with pytest.raises(InputError):
        chain.send(Message(NOWHERE, contract, word(2)))
    with pytest.raises(InputError):
        chain.send_all([Message(account, contract, word(3)), Message(NOWHERE, contract, word(2))])
    assert chain.call(contract, b"") == word(1)


def money_moves(make: Make) -> None:
    chain, account = make()
    before, had = chain.balance(NOWHERE), chain.balance(account)
    paid = chain.send(Message(account, NOWHERE, value=Wei(12_345)))
    assert chain.balance(NOWHERE) == before + 12_345
    assert chain.balance(account) == had - 12_345 - paid.fee
    with pytest.raises(InputError):
        chain.send(Message(account, NOWHERE, value=Wei(chain.balance(account) + 1)))
    contract = deployed(chain, account)
    assert chain.code(contract) == RUNTIME
    assert chain.code(NOWHERE) == b""


def many_are_sent_in_order(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    done = chain.send_all([Message(account, contract, word(n)) for n in range(1, 9)])
    assert all(d.succeeded for d in done)
    assert [d.block for d in done] == sorted(d.block for d in done)
    assert [entry.data for entry in chain.logs(contract)] == [word(n) for n in range(1, 9)]
    assert chain.logs(contract) == [entry for d in done for entry in d.logs]
    assert len({d.transaction for d in done}) == 8
    assert chain.send_all([]) == []


def refusal_stops_nobody_else(make: Make) -> None:
    chain, account = make()
    registry = Contract.deploy(chain, account, "GraphRegistry")
    heads = (word(7), bytes(32), word(9))
    done = chain.send_all([registry.message(account, "anchorHead", word(i), head) for i, head in enumerate(heads)])
    assert [d.succeeded for d in done] == [True, False, True]
    assert (done[1].output, done[1].logs) == (ZERO_HEAD, ())
    assert [registry.call("headOf", account, word(i)) for i in range(3)] == list(heads)


def refusal_is_told(make: Make) -> None:
    chain, account = make()
    registry = Contract.deploy(chain, account, "GraphRegistry")
    head = chain.header()
    message = registry.message(account, "anchorHead", word(1), bytes(32))
    with pytest.raises(Reverted) as foreseen:
        chain.send(message)
    assert foreseen.value.data == ZERO_HEAD
    assert chain.header() == head, "what was foreseen is not sent"
    with pytest.raises(Reverted) as asked:
        chain.call(registry.address, message.data)
    assert asked.value.data == ZERO_HEAD
    failed = chain.send(registry.message(account, "anchorHead", word(1), bytes(32), gas=100_000))
    assert (failed.succeeded, failed.output, failed.logs) == (False, ZERO_HEAD, ())
    with pytest.raises(Reverted) as named:
        registry.send(account, "anchorHead", word(1), bytes(32), gas=100_000)
    assert (named.value.error, named.value.arguments) == ("ZeroHead", {})


def receipts_are_kept(make: Make) -> None:
    chain, account = make()
    contract = deployed(chain, account)
    sent = chain.send(Message(account, contract, word(4)))
    assert sent.block_hash == chain.header(sent.block).hash
    assert chain.included(sent.transaction) == sent
    assert chain.still_included(sent)
    assert chain.included(bytes(32)) is None


def final_is_on_the_chain(make: Make) -> None:
    chain, account = make()
    before = chain.final()
    deployed(chain, account)
    assert before <= chain.final() <= chain.header().number
    assert chain.header(chain.final()).number == chain.final()


SUITE = (
    value_is_kept_per_block, call_changes_nothing, headers_are_linked, headers_hash, logs_are_found,
    logs_are_found_by_any_topic, proof_agrees_with_the_header, absence_is_proven, account_is_paid_for_by_its_sender,
    money_moves, many_are_sent_in_order, refusal_stops_nobody_else, refusal_is_told, receipts_are_kept,
    final_is_on_the_chain,
)  # fmt: skip
