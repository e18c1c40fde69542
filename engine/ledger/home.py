"""The chains of a home: which there are, how to reach them, which contracts are ours there.

One folder each, `<home>/chains/<name>/`, with `chain.json`. A folder appears whole or not at all: it is made beside the others
and renamed when its contracts are deployed. `main` is embedded and made on first use.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import InputError, IntegrityError, did_you_mean
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Chain, lower
from engine.ledger.contracts import Contract
from engine.ledger.embedded.schedule import Genesis

DEFAULT = "main"
KINDS = ("embedded", "json-rpc")
SYSTEM = ("GraphRegistry", "ParticipantRegistry", "NameRegistry", "ServiceAgreement")
"""Deployed on every chain, in this order. A Gateway is deployed when it is known which chains it believes."""
SUPPLY = 10**27
COSIGNERS = "cosigners.json"
"""In the folder of a chain that has co-signers: who they are."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """What `chain.json` says. `rpc` is a URL, or `env:NAME` when it holds a secret."""

    name: str
    kind: str
    chain_id: int
    folder: Path
    rpc: str | None = None
    contracts: Mapping[str, Address] = field(default_factory=dict)
    genesis: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of a json-rpc chain: see `network.Settings`."""

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "name": self.name, "kind": self.kind, "chain_id": self.chain_id, "rpc": self.rpc,
            "contracts": dict(sorted(self.contracts.items())), "genesis": dict(self.genesis),
            "created": self.created, "settings": dict(self.settings),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connected:
    """A chain that answers, with its description."""

    record: ChainRecord
    chain: Chain

    def contract(self, name: str) -> Contract:
        """One of our contracts on it; InputError when it is not there."""
        address = self.record.contracts.get(name)
        if address is None:
            known = ", ".join(sorted(self.record.contracts)) or "none"
            near = did_you_mean(name, self.record.contracts)
            raise InputError(
                f"chain {self.record.name} has no {name}{near}",
                place=str(self.record.folder),
                remedy=f"it has: {known}",
            )
        return Contract(self.chain, address, name)

    def close(self) -> None:
        """Let go of the chain's files or connection."""
        _close(self.chain)

    def __enter__(self) -> Connected:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def chains_folder(home: Path) -> Path:
    """Where a home's chains are."""
    return home / "chains"


def records(home: Path) -> list[ChainRecord]:
    """The chains of a home, by name."""
    return [_read(p.parent) for p in sorted(chains_folder(home).glob("[!.]*/chain.json"))]


def record(home: Path, name: str = DEFAULT) -> ChainRecord:
    """One chain's description; InputError when there is none of this name."""
    folder = chains_folder(home) / name
    if not _NAME.fullmatch(name) or not (folder / "chain.json").is_file():
        known = [r.name for r in records(home)]
        raise InputError(
            f"no chain {name!r}{did_you_mean(name, known)}", place=str(chains_folder(home)),
            remedy=f"known: {', '.join(known) or 'none'}; make one: dappops chain create {name}",
        )  # fmt: skip
    return _read(folder)


def create(
    home: Path,
    name: str,
    *,
    keys: KeyRing,
    account: str,
    kind: str = "embedded",
    rpc: str | None = None,
    chain_id: int | None = None,
    contracts: Mapping[str, str] | None = None,
    genesis: Genesis | None = None,
    settings: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
) -> ChainRecord:
    """Make a chain, or take up one that others run, and see that our contracts are on it.

    `contracts` adopts deployed ones by address (each must have code there); what it leaves out of SYSTEM is deployed from
    `account`. With a `genesis` the chain begins as somebody else's did (a replica): nothing is deployed on it.
    """
    if kind not in KINDS:
        raise InputError(f"no kind of chain {kind!r}{did_you_mean(kind, KINDS)}", remedy=f"known: {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise InputError("not a name for a chain", place=name, rule=_NAME.pattern)
    if (kind == "json-rpc") != (rpc is not None):
        raise InputError(
            "an RPC address belongs to a json-rpc chain", place=name, remedy="give --rpc with --kind json-rpc"
        )
    replica = genesis is not None
    with _making(home, name) as folder:
        made = ChainRecord(name, kind, 0, folder, rpc=rpc, created=_now(clock), settings=dict(settings or {}))
        if kind == "embedded":
            genesis = genesis or Genesis(chain_id or _any_chain_id(), int(clock()), {lower(account): SUPPLY})
            made = replace(made, chain_id=genesis.chain_id, genesis=genesis.json())
        else:
            made = _asked(made, keys, chain_id)
        chain = open_chain(made, keys, clock=clock)
        try:
            given = {n: lower(a) for n, a in (contracts or {}).items()}
            made = replace(made, contracts=given if replica else _deployed(chain, account, given))
            if kind == "embedded":
                made = replace(made, genesis={**made.genesis, "hash": "0x" + chain.header(0).hash.hex()})
        finally:
            _close(chain)
        _write(made)
    return replace(made, folder=chains_folder(home) / name)


def ensure(home: Path, keys: KeyRing, account: str, *, clock: Callable[[], float] = time.time) -> Connected:
    """The default chain, made when it is not there yet."""
    if not (chains_folder(home) / DEFAULT / "chain.json").is_file():
        with _locked(home):
            if not (chains_folder(home) / DEFAULT / "chain.json").is_file():
                create(home, DEFAULT, keys=keys, account=account, clock=clock)
    return connect(home, DEFAULT, keys=keys, clock=clock)


def connect(home: Path, name: str = DEFAULT, *, keys: KeyRing, clock: Callable[[], float] = time.time) -> Connected:
    """Open a chain; it is checked to be the one that was recorded (chain id, genesis hash)."""
    found = record(home, name)
    chain = open_chain(found, keys, clock=clock)
    told = found.genesis.get("hash")
    if told is not None and "0x" + chain.header(0).hash.hex() != told:
        _close(chain)
        raise IntegrityError(
            "this is not the chain that was recorded", place=f"chain {name}", rule="genesis hash",
            remedy="the node serves another network, or its data was replaced",
        )  # fmt: skip
    return Connected(found, chain)


def open_chain(found: ChainRecord, keys: KeyRing, *, clock: Callable[[], float] = time.time) -> Chain:
    """The chain behind a record."""
    if found.kind == "embedded":
        from engine.ledger.chains.finality import CoSignedChain
        from engine.ledger.embedded.chain import EmbeddedChain

        begin = Genesis.of(found.genesis) if found.genesis else None
        if (found.folder / COSIGNERS).is_file():
            return CoSignedChain(found, keys, genesis=begin, clock=clock)
        return EmbeddedChain(found.folder, keys, genesis=begin, clock=clock)
    from engine.ledger.network import NetworkChain, Settings

    assert found.rpc is not None
    return NetworkChain(address_of(found), found.chain_id, keys, Settings.of(found.settings), folder=found.folder)


def remember(home: Path, name: str, contracts: Mapping[str, str]) -> ChainRecord:
    """Add contracts of ours to a chain's description (a Gateway, an application), or move them to another address."""
    with _locked(home):
        found = record(home, name)
        added = {n: lower(a) for n, a in contracts.items()}
        found = replace(found, contracts={**found.contracts, **added})
        _write(found)
    return found


def address_of(found: ChainRecord) -> str:
    """The URL of a json-rpc chain; one that holds a secret is read from the environment variable it names."""
    rpc = found.rpc or ""
    if not rpc.startswith("env:"):
        return rpc
    name = rpc.removeprefix("env:")
    value = os.environ.get(name)
    if not value:
        raise InputError("the chain's address is not set", place=f"environment variable {name}", remedy=f"set {name}")
    return value


# -- making --------------------------------------------------------------------------------------------------------


def _deployed(chain: Chain, account: str, given: Mapping[str, Address]) -> dict[str, Address]:
    """All system contracts: the given ones, checked to be there, and new ones for the rest."""
    found: dict[str, Address] = dict(given)
    for name, address in given.items():
        if not chain.code(address):
            raise InputError(f"there is no {name} at this address", place=address, remedy="check chain and address")
    for name in SYSTEM:
        if name not in found:
            args = (found["ParticipantRegistry"],) if name == "ServiceAgreement" else ()
            found[name] = Contract.deploy(chain, account, name, *args).address
    return found


def _asked(made: ChainRecord, keys: KeyRing, chain_id: int | None) -> ChainRecord:
    """What a node says about its network, and that it is the network which was meant."""
    from engine.ledger.network import identity

    found, genesis = identity(address_of(made))
    if chain_id is not None and chain_id != found:
        raise InputError(f"this node is on chain {found}, not {chain_id}", place=made.name, remedy="check the address")
    return replace(made, chain_id=found, genesis={"hash": "0x" + genesis.hex()})


def _any_chain_id() -> int:
    """A chain id that no other chain is likely to have; below 2^53 / 2, so that wallets take it."""
    return 1_000_000_000 + secrets.randbelow(1_000_000_000_000)


@contextmanager
def _making(home: Path, name: str) -> Iterator[Path]:
    """A folder that becomes `chains/<name>` when all went well."""
    target = chains_folder(home) / name
    if target.exists():
        raise InputError("a chain of this name is here already", place=str(target), remedy="choose another name")
    chains_folder(home).mkdir(parents=True, exist_ok=True)
    folder = chains_folder(home) / f".{name}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
        os.rename(folder, target)
        _settle(target.parent)
    except OSError as error:
        if target.exists():
            raise InputError("a chain of this name was made meanwhile", place=str(target)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time changes the list of chains; the lock ends with the process."""
    chains_folder(home).mkdir(parents=True, exist_ok=True)
    with (chains_folder(home) / ".lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(made: ChainRecord) -> None:
    """On disk when this returns, whole or as before."""
    path = made.folder / "chain.json"
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(made.json(), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    _settle(made.folder)


def _settle(folder: Path) -> None:
    """Names in a folder are on disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path) -> ChainRecord:
    path = folder / "chain.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return ChainRecord(
            name=body["name"], kind=body["kind"], chain_id=int(body["chain_id"]), folder=folder, rpc=body["rpc"],
            contracts={n: lower(a) for n, a in body["contracts"].items()}, genesis=body["genesis"],
            created=body["created"], settings=body.get("settings", {}),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("not the description of a chain", place=str(path)) from error


def _close(chain: Chain) -> None:
    close = getattr(chain, "close", None)
    if close is not None:
        close()


def _now(clock: Callable[[], float]) -> str:
    return datetime.fromtimestamp(int(clock()), UTC).isoformat().replace("+00:00", "Z")
