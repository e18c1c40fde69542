"""What agreements sign: our encoder, eth_account and the contract agree; a life of an agreement on the chain, with its gas."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from engine.errors import InputError
from engine.graph.keys import KeyRing
from engine.ledger.agreements import typed
from engine.ledger.agreements.typed import Terms, Vote
from engine.ledger.application import agreed
from engine.ledger.chain import Reverted
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import Domain, Struct, for_contract, word

if TYPE_CHECKING:
    from tests.application.conftest import Place

WHERE = typed.domain(31337, "0x" + "ab" * 20)


def terms(count: int = 3, **changes: object) -> Terms:
    witnesses = tuple(f"0x{n:040x}" for n in range(0x100, 0x100 + count))
    made = Terms(
        "0x" + "0a" * 20, "0x" + "0b" * 20, b"t" * 32, 10**18, 10**17, 10**15, 2_000_000_000, 2_000_003_600,
        2_000_007_200, count // 2 + 1, witnesses,
    )  # fmt: skip
    return replace(made, **changes)


def wallet_digest(message: dict[str, object]) -> bytes:
    """The digest that eth_account signs for the same JSON."""
    found = encode_typed_data(full_message=message)
    return bytes(keccak(b"\x19" + found.version + found.header + found.body))


def random_terms(dice: random.Random) -> Terms:
    count = dice.randint(1, 9)
    accounts = sorted({f"0x{dice.getrandbits(160):040x}" for _ in range(count + 2)})
    sides, witnesses = accounts[:2], tuple(sorted(accounts[2:]))
    start = dice.getrandbits(62)
    return Terms(
        sides[0], sides[1], dice.randbytes(32), dice.getrandbits(128), dice.getrandbits(128), dice.getrandbits(128),
        start, start + 1, start + 2, len(witnesses) // 2 + 1, witnesses, dice.getrandbits(256),
    )  # fmt: skip


def test_digests_are_those_of_eth_account(effort: int) -> None:
    dice = random.Random(4)
    for _ in range(20 * effort):
        made = random_terms(dice)
        assert typed.terms_digest(WHERE, made) == wallet_digest(typed.typed_data(WHERE, made))
        agreement, seal = dice.randbytes(32), dice.randbytes(32)
        assert typed.seal_digest(WHERE, agreement, seal) == wallet_digest(typed.typed_data(WHERE, (agreement, seal)))
        assert typed.cancel_digest(WHERE, agreement) == wallet_digest(typed.typed_data(WHERE, agreement))


def test_digests_of_every_kind_of_member_are_those_of_eth_account(effort: int) -> None:
    """Signed numbers, texts, booleans, short bytes and arrays, which the contracts of applications use."""
    kinds = Struct(
        "Everything",
        (("int256", "a"), ("int8", "b"), ("string", "c"), ("bool", "d"), ("bytes4", "e"), ("bytes", "f"), ("uint256[]", "g"),
         ("address[]", "h"), ("uint32", "i")),
    )  # fmt: skip
    dice = random.Random(7)
    for _ in range(20 * effort):
        values = (
            dice.getrandbits(255) - (1 << 254), dice.randint(-128, 127), dice.choice(["", "é", "a\n" * 40]),
            dice.random() < 0.5, dice.randbytes(4), dice.randbytes(dice.randint(0, 70)),
            tuple(dice.getrandbits(256) for _ in range(dice.randint(0, 4))),
            tuple(f"0x{dice.getrandbits(160):040x}" for _ in range(dice.randint(0, 3))), dice.getrandbits(32),
        )  # fmt: skip
        where = Domain("Ünïcode", dice.getrandbits(64), f"0x{dice.getrandbits(160):040x}")
        message = kinds.as_json(where, *values)
        # the JSON has numbers as decimal text, as wallets want them; eth_account wants numbers
        plain = (list(value) if isinstance(value, tuple) else value for value in values)
        message["message"] = {name: value for (_, name), value in zip(kinds.members, plain, strict=True)}
        message["domain"] = {**where.as_json(), "chainId": where.chain}
        assert where.digest(kinds.hash(*values)) == wallet_digest(message)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint64", -1), ("int8", 128), ("int8", -129), ("address", "0x12"), ("address", "0x" + "zz" * 20),
        ("address", "0x" + " " * 40), ("bytes32", b"short"), ("bool", 1), ("uint8", "1"), ("address[]", "0x"), ("tuple", ()),
    ],
)  # fmt: skip
def test_word_is_refused_when_the_value_does_not_fit(kind: str, value: object) -> None:
    with pytest.raises(InputError, match="is no"):
        word(kind, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consumer": "0x" + "0a" * 20}, "both sides"),
        ({"witnesses": (f"0x{2:040x}", f"0x{1:040x}", f"0x{3:040x}")}, "ascend"),
        ({"witnesses": (f"0x{1:040x}",) * 3}, "ascend"),
        ({"witnesses": (f"0x{1:040x}", f"0x{2:040x}", "0x" + "0b" * 20)}, "witness"),
        ({"quorum": 1}, "quorum"),
        ({"quorum": 4}, "quorum"),
        ({"end": 1}, "times"),
        ({"witnesses": tuple(f"0x{n:040x}" for n in range(1, 34)), "quorum": 17}, "33 witnesses"),
    ],
)
def test_terms_are_refused_where_the_contract_would(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        terms(**changes)


def test_outcome_conserves_money(effort: int) -> None:
    dice = random.Random(1)
    for _ in range(100 * effort):
        made = random_terms(dice)
        votes = dice.randint(0, len(made.witnesses))
        verdict = dice.choice([True, False, None])
        provider, consumer = made.outcome(votes, verdict)
        paid = votes * made.witness_fee if verdict is not None else 0
        assert provider + consumer + paid == sum(made.escrow)
        assert min(provider, consumer) >= 0


def test_votes_are_refused_when_a_witness_voted_twice() -> None:
    vote = Vote(1, True, b"e" * 32, b"s" * 32, bytes(65))
    with pytest.raises(InputError, match="twice"):
        typed.ordered([vote, vote])


def test_contract_computes_the_same_digests(place: Place) -> None:
    contract = place.connected.contract("ServiceAgreement")
    where = typed.domain(place.connected.chain.chain_id, contract.address)
    dice = random.Random(2)
    for _ in range(3):
        made = random_terms(dice)
        assert contract.call("identifierOf", made.values) == made.identifier
        assert contract.call("termsDigest", made.identifier) == typed.terms_digest(where, made)
        seal = typed.seal_of(dice.random() < 0.5, dice.randbytes(32), dice.randbytes(32))
        assert contract.call("sealDigest", made.identifier, seal) == typed.seal_digest(where, made.identifier, seal)
        assert contract.call("cancelDigest", made.identifier) == typed.cancel_digest(where, made.identifier)
    assert contract.call("domainSeparator") == where.separator


@pytest.mark.parametrize(("count", "violated"), [(3, False), (3, True), (5, False), (5, True)])
def test_agreement_settles_within_the_gas_measured_before(
    place: Place, tmp_path_factory: pytest.TempPathFactory, count: int, violated: bool
) -> None:
    """The draft of one contract for all agreements took 611,493 gas for N=3, from stakes to settlement."""
    gas = lifecycle(place, KeyRing(tmp_path_factory.mktemp("witnesses")), count, violated)
    print(count, violated, gas)
    assert gas["deposit"] + gas["open"] + gas["settle"] < {3: 450_000, 5: 600_000}[count]


def lifecycle(place: Place, ring: KeyRing, count: int, violated: bool) -> dict[str, int]:
    """Gas of each step; a contract of its own, whose registry knows nobody."""
    chain = place.connected.chain
    clock = chain.header().time
    keys = sorted((ring.create() for _ in range(count)), key=lambda k: k.address)
    provider, consumer = place.keys.unlock(place.members[0]), place.keys.unlock(place.members[1])
    contract = Contract.deploy(chain, provider.address, "ServiceAgreement", "0x" + 40 * "0")
    where = typed.domain(chain.chain_id, contract.address)
    made = Terms(
        provider.address, consumer.address, b"t" * 32, 10**9, 10**8, 10**6, clock + 60, clock + 61, clock + 10**6,
        count // 2 + 1, tuple(k.address for k in keys),
    )  # fmt: skip
    of_provider, of_consumer = made.escrow
    gas = {"deposit": contract.send(provider.address, "deposit", value=of_provider).gas_used}
    digest = typed.terms_digest(where, made)
    signatures = [for_contract(k.sign(digest)) for k in (provider, consumer)]
    gas["open"] = contract.send(consumer.address, "open", made.values, *signatures, value=of_consumer).gas_used
    votes = []
    for n, key in enumerate(keys):
        seal = typed.seal_of(violated, bytes([n]) * 32, bytes([n + 50]) * 32)
        signature = key.sign(typed.seal_digest(where, made.identifier, seal))
        votes.append(Vote(n, violated, bytes([n]) * 32, bytes([n + 50]) * 32, signature))
    with pytest.raises(Reverted, match="TooEarly"):
        contract.send(provider.address, "settle", made.values, typed.ordered(votes))
    place.clock.now += 100
    gas["settle"] = contract.send(provider.address, "settle", made.values, typed.ordered(votes)).gas_used
    expected = made.outcome(count, violated)
    assert (contract.call("balanceOf", provider.address), contract.call("balanceOf", consumer.address)) == expected
    return gas


def test_signature_of_eth_account_opens_what_ours_opens() -> None:
    secret = b"\x01" * 32
    made = terms(provider=Account.from_key(secret).address.lower())
    signed = Account.sign_typed_data(secret, full_message=typed.typed_data(WHERE, made))
    assert bytes(signed.message_hash) == typed.terms_digest(WHERE, made)
    assert len(for_contract(bytes(signed.signature))) == 65


def test_application_acts_are_those_of_the_contract(place: Place) -> None:
    """Reading is asked of the contract itself in test_application_contracts; here the JSON for wallets."""
    where = agreed.domain(1, "0x" + "cd" * 20)
    for kind, values in (
        (agreed.PATCH, ("0x" + "11" * 20, b"c" * 32, 5)),
        (agreed.MIGRATE, (7, "0x" + "22" * 20, b"r" * 32, 6)),
        (agreed.UNPAUSE, (3,)),
    ):
        assert where.digest(kind.hash(*values)) == wallet_digest(kind.as_json(where, *values))
