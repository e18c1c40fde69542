"""What the parties of an agreement sign, as `contracts/src/interfaces/IServiceAgreement.sol` defines it.

Terms by both sides, Seal by each witness, Cancel by both sides. Amounts are wei, times Unix seconds of the chain's clock. The
identifier of an agreement is the hash of its Terms and holds on every chain; what is signed holds for one contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InputError
from engine.graph.hashing import keccak256
from engine.ledger.eip712 import Domain, Struct, Value, for_contract, word

MOST_WITNESSES = 32
TERMS = Struct(
    "Terms",
    (
        ("address", "provider"), ("address", "consumer"), ("bytes32", "termsHash"), ("uint128", "price"),
        ("uint128", "compensation"), ("uint128", "witnessFee"), ("uint64", "start"), ("uint64", "end"),
        ("uint64", "settleBy"), ("uint8", "quorum"), ("address[]", "witnesses"), ("uint256", "nonce"),
    ),
)  # fmt: skip
SEAL = Struct("Seal", (("bytes32", "agreement"), ("bytes32", "seal")))
CANCEL = Struct("Cancel", (("bytes32", "agreement"),))


def domain(chain: int, contract: str) -> Domain:
    """The domain of a ServiceAgreement contract."""
    return Domain("DAppOps ServiceAgreement", chain, contract)


@dataclass(frozen=True, slots=True)
class Terms:
    """As in the contract. InputError where the contract would refuse; witnesses ascend, so that a set has one identifier."""

    provider: str
    consumer: str
    terms_hash: bytes
    price: int
    compensation: int
    witness_fee: int
    start: int
    end: int
    settle_by: int
    quorum: int
    witnesses: tuple[str, ...]
    nonce: int = 0

    def __post_init__(self) -> None:
        order = [witness.lower() for witness in self.witnesses]
        sides = (self.provider.lower(), self.consumer.lower())
        for wrong, message, remedy in (
            (sides[0] == sides[1], "both sides are the same", "an agreement has two sides"),
            (order != sorted(set(order)), "witnesses do not ascend", "name each once, sorted by address"),
            (bool({*order} & {*sides}), "a side is a witness", "choose witnesses that are neither side"),
            (len(order) > MOST_WITNESSES, f"{len(order)} witnesses", f"at most {MOST_WITNESSES}"),
            (
                not len(order) < 2 * self.quorum <= 2 * len(order),
                f"quorum of {self.quorum} for {len(order)} witnesses",
                "more than half of the witnesses, at most all",
            ),
            (not self.start < self.end < self.settle_by, "times do not ascend", "start < end < settleBy"),
        ):
            if wrong:
                raise InputError(message, place="terms of the agreement", remedy=remedy)

    @property
    def values(self) -> tuple[Value, ...]:
        """Members in the contract's order: also the tuple that its functions take."""
        return (
            self.provider, self.consumer, self.terms_hash, self.price, self.compensation, self.witness_fee, self.start,
            self.end, self.settle_by, self.quorum, self.witnesses, self.nonce,
        )  # fmt: skip

    @property
    def identifier(self) -> bytes:
        """The agreement's name on every chain: the EIP-712 struct hash."""
        return TERMS.hash(*self.values)

    @property
    def escrow(self) -> tuple[int, int]:
        """Wei that provider and consumer need in their balances to open it."""
        fees = len(self.witnesses) * self.witness_fee
        return self.compensation + fees // 2, self.price + fees - fees // 2

    def outcome(self, votes: int, violated: bool | None) -> tuple[int, int]:
        """Wei that provider and consumer get back, when so many voted; None: no verdict."""
        provider, consumer = self.escrow
        fees = votes * self.witness_fee if violated is not None else 0
        moved = 0 if violated is None else -self.compensation if violated else self.price
        return provider - fees // 2 + moved, consumer - (fees - fees // 2) - moved


@dataclass(frozen=True, slots=True)
class Vote:
    """A witness's opened vote. `witness` is its place in the terms, `signature` that of the Seal (v in 0, 1 or 27, 28)."""

    witness: int
    violated: bool
    evidence: bytes
    salt: bytes
    signature: bytes

    @property
    def seal(self) -> bytes:
        """What was signed before it was opened."""
        return seal_of(self.violated, self.evidence, self.salt)

    @property
    def values(self) -> tuple[Value, ...]:
        """The tuple that the contract takes."""
        return self.witness, self.violated, self.evidence, self.salt, for_contract(self.signature)


def seal_of(violated: bool, evidence: bytes, salt: bytes) -> bytes:
    """keccak256(abi.encode(violated, evidence, salt)). The salt must be secret and random, or a seal can be guessed."""
    return keccak256(word("bool", violated) + word("bytes32", evidence) + word("bytes32", salt))


def terms_digest(where: Domain, terms: Terms) -> bytes:
    """What both sides sign to open."""
    return where.digest(terms.identifier)


def seal_digest(where: Domain, agreement: bytes, seal: bytes) -> bytes:
    """What a witness signs, once for an agreement: a second, different seal excludes it."""
    return where.digest(SEAL.hash(agreement, seal))


def cancel_digest(where: Domain, agreement: bytes) -> bytes:
    """What both sides sign to cancel."""
    return where.digest(CANCEL.hash(agreement))


def ordered(votes: Sequence[Vote]) -> list[tuple[Value, ...]]:
    """Votes as `settle` takes them: by place; InputError when a witness voted twice."""
    places = [vote.witness for vote in votes]
    if len(set(places)) != len(places):
        raise InputError("a witness voted twice", place="votes", remedy="hand in one vote of each witness")
    return [vote.values for vote in sorted(votes, key=lambda vote: vote.witness)]


def typed_data(where: Domain, message: Terms | tuple[bytes, bytes] | bytes) -> dict[str, object]:
    """JSON for a wallet: of Terms, of a Seal (agreement, seal), or of a Cancel (agreement)."""
    if isinstance(message, Terms):
        return TERMS.as_json(where, *message.values)
    if isinstance(message, bytes):
        return CANCEL.as_json(where, message)
    return SEAL.as_json(where, *message)
