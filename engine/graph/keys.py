"""Keys, signatures and the typed data they sign (EIP-712, https://eips.ethereum.org/EIPS/eip-712).

A key lives in `keys/<address>.json`, mode 0600: marked `dev` with the secret in clear (what `dappops init` makes, so
that nothing ever prompts), or an Ethereum V3 keystore that needs a passphrase (`DAPPOPS_PASSPHRASE` or an argument).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import coincurve

from engine.errors import InputError, IntegrityError
from engine.graph.hashing import keccak256

Signer = Callable[[bytes], bytes]  # 32-byte digest -> 65-byte signature r || s || v

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,bytes32 salt)")
_COMMIT_TYPE = keccak256(b"Commit(string graph,uint64 sequence,bytes32 parent,bytes32 delta,uint64 expires)")
_DOMAIN_NAME, _DOMAIN_VERSION = keccak256(b"DAppOps"), keccak256(b"1")


def domain_separator(salt: bytes) -> bytes:
    """EIP-712 domain of one graph: its salt is the graph's genesis hash, so no signature fits another graph."""
    return keccak256(_DOMAIN_TYPE + _DOMAIN_NAME + _DOMAIN_VERSION + salt)


def commit_digest(genesis: bytes, graph: str, sequence: int, parent: bytes, delta: bytes, expires: int) -> bytes:
    """The 32 bytes an author signs. `sequence` and `expires` (Unix seconds, 0: never) are uint64."""
    body = keccak256(graph.encode()) + sequence.to_bytes(32, "big") + parent + delta + expires.to_bytes(32, "big")
    return keccak256(b"\x19\x01" + domain_separator(genesis) + keccak256(_COMMIT_TYPE + body))


def typed_data(
    genesis: bytes, graph: str, sequence: int, parent: bytes, delta: bytes, expires: int
) -> dict[str, object]:
    """The same message as EIP-712 JSON, for wallets (`eth_signTypedData_v4`)."""
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "salt", "type": "bytes32"},
            ],
            "Commit": [
                {"name": "graph", "type": "string"},
                {"name": "sequence", "type": "uint64"},
                {"name": "parent", "type": "bytes32"},
                {"name": "delta", "type": "bytes32"},
                {"name": "expires", "type": "uint64"},
            ],
        },
        "primaryType": "Commit",
        "domain": {"name": "DAppOps", "version": "1", "salt": genesis},
        "message": {"graph": graph, "sequence": sequence, "parent": parent, "delta": delta, "expires": expires},
    }


def address_of(public: coincurve.PublicKey) -> str:
    """Lower-case hexadecimal Ethereum address of a public key."""
    return "0x" + keccak256(public.format(compressed=False)[1:])[-20:].hex()


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key made this 65-byte signature; IntegrityError when it is none."""
    try:
        return address_of(coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None))
    except (ValueError, TypeError) as error:
        raise IntegrityError("not a signature", rule="secp256k1 recoverable signature of 65 bytes") from error


@dataclass(frozen=True, slots=True)
class Key:
    """An unlocked signing key."""

    address: str
    private: coincurve.PrivateKey
    dev: bool

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest; 65 bytes r || s || v with v in 0, 1."""
        return self.private.sign_recoverable(digest, hasher=None)


class KeyRing:
    """The keys of one home folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Key] = {}

    def addresses(self) -> list[str]:
        """Addresses of the stored keys, oldest first."""
        if not self.folder.is_dir():
            return []
        return [p.stem for p in sorted(self.folder.glob("0x*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))]

    def create(self, *, passphrase: str | None = None, private: bytes | None = None) -> Key:
        """Make (or import 32 bytes of) a key: marked `dev` without a passphrase, a V3 keystore with one."""
        secret = coincurve.PrivateKey(private or secrets.token_bytes(32))
        key = Key(address_of(secret.public_key), secret, dev=passphrase is None)
        if passphrase is None:
            body: dict[str, object] = {"address": key.address, "kind": "dev", "private": secret.secret.hex()}
        else:
            from eth_account import Account

            body = {"address": key.address, "kind": "keystore", "keystore": Account.encrypt(secret.secret, passphrase)}
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{key.address}.json"
        if path.exists():
            raise InputError("this key is already stored", place=str(path))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        self._open[key.address] = key
        return key

    def unlock(self, address: str, passphrase: str | None = None) -> Key:
        """The key of an address; InputError names the remedy when it is absent or locked."""
        address = address.lower()
        if address in self._open:
            return self._open[address]
        path = self.folder / f"{address}.json"
        if not path.is_file():
            known = ", ".join(self.addresses()) or "none"
            raise InputError(f"no key for {address}", place=str(self.folder), remedy=f"stored here: {known}")
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["kind"] == "dev":
            secret = bytes.fromhex(body["private"])
        else:
            passphrase = passphrase if passphrase is not None else os.environ.get("DAPPOPS_PASSPHRASE")
            if passphrase is None:
                raise InputError("the key is locked", place=str(path), remedy="set DAPPOPS_PASSPHRASE")
            from eth_account import Account

            try:
                secret = bytes(Account.decrypt(body["keystore"], passphrase))
            except ValueError as error:
                raise InputError("wrong passphrase", place=str(path)) from error
        private = coincurve.PrivateKey(secret)
        if address_of(private.public_key) != address:
            raise IntegrityError("the key does not fit its address", place=str(path))
        self._open[address] = Key(address, private, dev=body["kind"] == "dev")
        return self._open[address]
