"""What members of an application's contract sign (EIP-712), and how their signatures come together.

Keys that lie in this home sign here; other members sign where their keys are (`--sign-only`) and send the signature, which is
no secret: it is for one act, one contract, one chain and one number, and is used up with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError
from engine.graph.keys import KeyRing, recover
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import Domain, Struct, Value, for_contract, for_key

UNPAUSE = Struct("Unpause", (("uint256", "nonce"),))
PATCH = Struct("Patch", (("address", "implementation"), ("bytes32", "call"), ("uint256", "nonce")))
MIGRATE = Struct(
    "Migrate", (("uint256", "chainId"), ("address", "successor"), ("bytes32", "stateRoot"), ("uint256", "nonce"))
)
SHARES = Struct("Shares", (("address[]", "payees"), ("uint256[]", "shares"), ("uint256", "nonce")))
GRANT = Struct("Grant", (("bytes32", "consent"), ("uint64", "until")))
WITHDRAWAL = Struct("Withdrawal", (("bytes32", "consent"),))
READING = Struct("Reading", (("bytes32", "series"), ("int256", "value"), ("uint64", "time")))


def domain(chain: int, contract: str) -> Domain:
    """Where signatures for a contract of an application count; `contract` is the proxy."""
    return Domain("DAppOps Application", chain, contract)


@dataclass(frozen=True, slots=True)
class Agreement:
    """An act with the signatures of members known so far: address to signature (v in 27, 28)."""

    where: Domain
    kind: Struct
    values: tuple[Value, ...]
    quorum: int
    signatures: dict[str, bytes]

    @property
    def digest(self) -> bytes:
        """The 32 bytes that members sign."""
        return self.where.digest(self.kind.hash(*self.values))

    def enough(self) -> list[bytes]:
        """Signatures as the contract takes them; InputError when fewer than the quorum signed."""
        if len(self.signatures) < self.quorum:
            raise InputError(
                f"{len(self.signatures)} of {self.quorum} members signed", place=f"contract {self.where.contract}",
                rule=f"{self.kind.name} needs the members' agreement",
                remedy="let other members run the same command with --sign-only and give each signature with --signature",
            )  # fmt: skip
        return [self.signatures[a] for a in sorted(self.signatures)][: self.quorum]

    def as_json(self) -> dict[str, Any]:
        """For other members and their wallets."""
        return {
            "digest": "0x" + self.digest.hex(), "typed_data": self.kind.as_json(self.where, *self.values),
            "quorum": self.quorum, "signatures": {a: "0x" + s.hex() for a, s in sorted(self.signatures.items())},
        }  # fmt: skip


def gather(
    contract: Contract, keys: KeyRing, kind: Struct, values: tuple[Value, ...], given: Sequence[bytes] = ()
) -> Agreement:
    """Sign with each member's key of this home, and take the given signatures. InputError for one that is no member's.

    A locked key (a keystore without its passphrase) does not sign.
    """
    where = domain(contract.chain.chain_id, contract.address)
    digest = where.digest(kind.hash(*values))
    found: dict[str, bytes] = {}
    for signature in given:
        signer = recover(digest, for_key(signature))
        if not contract.call("isMember", signer):
            raise InputError(
                f"a signature is by {signer}, who is no member", place=f"contract {contract.address}",
                rule=f"members sign {kind.name} with the present nonce", remedy="let the member sign again with --sign-only",
            )  # fmt: skip
        found[signer] = for_contract(signature)
    for address in keys.addresses():
        if address not in found and contract.call("isMember", address):
            try:
                found[address] = for_contract(keys.unlock(address).sign(digest))
            except InputError:
                continue
    return Agreement(where, kind, values, int(contract.call("quorum")), found)
