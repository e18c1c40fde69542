"""What sealer and co-signers sign: typed data of three kinds (EIP-712, https://eips.ethereum.org/EIPS/eip-712).

- `Checkpoint`, in the domain of the *Gateway that it is for* (contracts/src/interfaces/IGateway.sol): this block is what I
  computed myself. A signature for one gateway is worth nothing at another.
- `Seal`, in the ledger's own domain: the sealer hands out this block at this height. Two seals of different blocks at one
  height prove that it said two things (equivocation), to anybody.
- `Upgrade`, in the ledger's own domain: from this height on I follow these rules.

The ledger's own domain has no contract; in its place stand the first 20 bytes of the genesis hash, so that two chains with
one number cannot be confused. Pure: no clock, no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError, IntegrityError
from engine.graph.keys import recover
from engine.ledger.chain import lower
from engine.ledger.eip712 import Domain, Struct

CHECKPOINT = Struct("Checkpoint", (("uint256", "sourceChain"), ("uint256", "number"), ("bytes32", "blockHash")))
SEAL = Struct("Seal", (("uint256", "number"), ("bytes32", "blockHash")))
UPGRADE = Struct("Upgrade", (("string", "rules"), ("uint256", "height")))


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway: chain (EIP-155 number) and address. The zero address: no gateway, a checkpoint for whoever reads it."""

    chain: int
    gateway: str

    def json(self) -> dict[str, Any]:
        return {"chain": self.chain, "gateway": self.gateway}

    @staticmethod
    def of(body: Mapping[str, Any]) -> Target:
        return Target(int(body["chain"]), lower(str(body["gateway"])))


NO_GATEWAY = "0x" + 40 * "0"


def ledger_domain(chain_id: int, genesis: bytes) -> Domain:
    """The domain of statements about the chain itself."""
    return Domain("DAppOps Ledger", chain_id, "0x" + genesis[:20].hex())


def checkpoint_digest(target: Target, source: int, number: int, block: bytes) -> bytes:
    """What a co-signer signs of a block of chain `source`."""
    return Domain("DAppOps Gateway", target.chain, target.gateway).digest(CHECKPOINT.hash(source, number, block))


def seal_digest(domain: Domain, number: int, block: bytes) -> bytes:
    """What the sealer signs of each block it hands out."""
    return domain.digest(SEAL.hash(number, block))


def upgrade_digest(domain: Domain, rules: str, height: int) -> bytes:
    """What a co-signer signs of an upgrade."""
    return domain.digest(UPGRADE.hash(rules, height))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Rules from a height on, with the signatures of those who agreed."""

    rules: str
    height: int
    signatures: tuple[bytes, ...] = ()

    def json(self) -> dict[str, Any]:
        return {"rules": self.rules, "height": self.height, "signatures": ["0x" + s.hex() for s in self.signatures]}

    @staticmethod
    def of(body: Mapping[str, Any]) -> Upgrade:
        try:
            signatures = tuple(from_hex(s) for s in body.get("signatures", ()))
            return Upgrade(str(body["rules"]), int(body["height"]), signatures)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("not an upgrade", place=str(body)[:200], rule="rules, height, signatures") from error


def agreed(upgrade: Upgrade, domain: Domain, members: Sequence[str], quorum: int) -> list[str]:
    """Who of `members` signed an upgrade; IntegrityError when those are fewer than `quorum`."""
    digest = upgrade_digest(domain, upgrade.rules, upgrade.height)
    signers = distinct(digest, upgrade.signatures, members)
    if len(signers) < quorum:
        raise IntegrityError(
            f"{len(signers)} co-signers agree to {upgrade.rules} from height {upgrade.height}, {quorum} are needed",
            rule="a quorum of co-signers", remedy="ask the others; nothing changed",
        )  # fmt: skip
    return signers


def distinct(digest: bytes, signatures: Iterable[bytes], members: Sequence[str]) -> list[str]:
    """Members whose signature over `digest` is among these, ascending; signatures of others count for nothing."""
    known = {lower(m) for m in members}
    found = set()
    for signature in signatures:
        try:
            found.add(recover(digest, signature))
        except IntegrityError:
            continue
    return sorted(found & known)


def for_contract(signature: bytes) -> bytes:
    """r || s || v as contracts want it: v is 27 or 28 (https://eips.ethereum.org/EIPS/eip-191 and `ecrecover`)."""
    return signature[:64] + bytes([signature[64] + 27 if signature[64] < 27 else signature[64]])


def majority(count: int) -> int:
    """The smallest quorum: more than half, so that two quorums share a member."""
    return count // 2 + 1


def checked_quorum(count: int, quorum: int | None) -> int:
    """A quorum of `count` co-signers; InputError when two quorums could have nobody in common."""
    wanted = majority(count) if quorum is None else quorum
    if not majority(count) <= wanted <= count:
        raise InputError(
            f"a quorum of {wanted} among {count} co-signers", rule="more than half, at most all",
            remedy=f"use {majority(count)} to {count}",
        )  # fmt: skip
    return wanted


def from_hex(text: object) -> bytes:
    """Bytes of 0x-hex; ValueError for anything else."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"not 0x-hex: {text!r}")
    return bytes.fromhex(text[2:])
