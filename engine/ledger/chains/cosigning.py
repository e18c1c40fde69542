"""The co-signers of a chain of this home: their folders and keys, and what they sign when they are asked.

`<chain>/cosigners.json` says who they are and how many must agree; `<chain>/replicas/<n>/` is one replica's own folder with its
own key. Here all of them run on this machine; what they check, they check alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BusyError, DappopsError, InputError, IntegrityError
from engine.graph.keys import KeyRing
from engine.ledger.chain import lower
from engine.ledger.chains import processes
from engine.ledger.chains.replica import FILE as REPLICA
from engine.ledger.chains.replica import Config, no_target
from engine.ledger.chains.statements import Target, checked_quorum, checkpoint_digest, distinct, from_hex
from engine.ledger.chains.wire import call
from engine.ledger.embedded.schedule import NAMES
from engine.ledger.home import COSIGNERS, ChainRecord

FOLDER, SERVER = "replicas", "server"
MAIN, SERVE = "engine.ledger.chains.replica_main", "engine.ledger.chains.serve_main"
MOST = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Who co-signs a chain. Addresses in order of their folders `replicas/1`, `replicas/2` …"""

    sealer: str
    quorum: int
    members: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        return {"sealer": self.sealer, "quorum": self.quorum, "members": list(self.members)}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block that a quorum of co-signers computed themselves: signatures by address, ascending."""

    number: int
    hash: bytes
    header: bytes
    target: Target
    signatures: Mapping[str, bytes]

    def json(self) -> dict[str, Any]:
        return {
            "number": self.number, "hash": "0x" + self.hash.hex(), **self.target.json(),
            "signatures": {a: "0x" + s.hex() for a, s in self.signatures.items()},
        }  # fmt: skip


def group(record: ChainRecord) -> Group | None:
    """The co-signers of a chain; None when it has none."""
    path = record.folder / COSIGNERS
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return Group(lower(body["sealer"]), int(body["quorum"]), tuple(lower(m) for m in body["members"]))
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("not a list of co-signers", place=str(path)) from error


def make(
    record: ChainRecord,
    *,
    sealer: str,
    count: int,
    quorum: int | None = None,
    every: int = 0,
    knows: Sequence[Sequence[str]] = (),
) -> Group:
    """Give an embedded chain `count` replicas, each with a folder and a fresh key of its own; none is started.

    `every`: sign by themselves at every so many blocks. `knows`: rules that the program of the n-th can execute (all that
    this version has, unless given). InputError when the chain has co-signers or is no embedded one.
    """
    if record.kind != "embedded":
        raise InputError(
            "only the blocks of an embedded chain can be executed again here", place=record.name,
            rule="co-signing replicas need --kind embedded", remedy="a network elsewhere has validators of its own",
        )  # fmt: skip
    if group(record) is not None:
        raise InputError("this chain has co-signers already", place=record.name, remedy="its list stays as it was made")
    if not 1 <= count <= MOST:
        raise InputError(f"{count} co-signers", rule=f"1 to {MOST} on one machine")
    wanted = checked_quorum(count, quorum)
    folders = [replica_folder(record, n) for n in range(1, count + 1)]
    members = []
    for folder in folders:
        ring = KeyRing(folder / "keys")
        members.append(ring.addresses()[0] if ring.addresses() else ring.create().address)
    made = Group(lower(sealer), wanted, tuple(members))
    for n, folder in enumerate(folders):
        config = Config(
            chain=record.name, genesis=record.genesis, sealer=made.sealer, source=str(record.folder / SERVER),
            members=made.members, quorum=wanted, every=every, targets=(no_target(record.chain_id),),
            knows=tuple(knows[n]) if n < len(knows) else NAMES,
        )  # fmt: skip
        _write(folder / REPLICA, config.json())
    _write(record.folder / COSIGNERS, made.json())
    return made


def replica_folder(record: ChainRecord, number: int) -> Path:
    """The folder of the n-th replica, counted from 1."""
    return record.folder / FOLDER / str(number)


def serve(record: ChainRecord, home: Path, *, port: int = 0) -> processes.Running:
    """Start the chain's server (JSON-RPC on loopback, the feed of its replicas) unless it runs."""
    return processes.start([_server(record, home, port)])[0]


def start(record: ChainRecord, home: Path, numbers: Sequence[int] = ()) -> list[processes.Running]:
    """Start the server and these replicas (all, unless given)."""
    found = known(record)
    folders = [_folder(record, found, n) for n in numbers or range(1, len(found.members) + 1)]
    programs = [processes.Program(f, MAIN, (str(f),)) for f in folders]
    return processes.start([_server(record, home, 0), *programs])[1:]


def _server(record: ChainRecord, home: Path, port: int) -> processes.Program:
    return processes.Program(record.folder / SERVER, SERVE, (str(home.absolute()), record.name, "--port", str(port)))


def stop(record: ChainRecord, numbers: Sequence[int] = ()) -> int:
    """End these replicas; all of them and the server, unless given. How many programs ended."""
    found = group(record)
    if numbers and found is not None:
        return processes.stop([_folder(record, found, n) for n in numbers])
    count = len(found.members) if found else 0
    return processes.stop([*(replica_folder(record, n) for n in range(1, count + 1)), record.folder / SERVER])


def statuses(record: ChainRecord) -> list[dict[str, Any]]:
    """Each replica: where it is, what it refused; or that it does not run, and its last words."""
    found = group(record)
    rows = []
    for n, address in enumerate(found.members if found else (), 1):
        folder = replica_folder(record, n)
        there = processes.running(folder)
        row: dict[str, Any] = {
            "number": n,
            "address": address,
            "running": there is not None,
            "url": there.url if there else None,
        }
        try:
            row |= call(there.url, "replica_status") if there else {"said": processes.last_words(folder)}
        except BusyError as error:
            row |= {"running": False, "said": error.message}
        rows.append(row)
    return rows


def known(record: ChainRecord) -> Group:
    """The co-signers of a chain; InputError when it has none."""
    found = group(record)
    if found is None:
        raise InputError(
            f"chain {record.name} has no co-signers",
            place=str(record.folder),
            remedy="dappops chain create NAME --co-signers 3",
        )
    return found


def ask(
    record: ChainRecord, method: str, *params: Any, timeout: float = 5.0
) -> tuple[dict[str, Any], dict[str, DappopsError]]:
    """Ask every replica; answers and errors by address."""
    answers: dict[str, Any] = {}
    errors: dict[str, DappopsError] = {}
    members = known(record).members

    def one(number: int) -> Any:
        there = processes.running(replica_folder(record, number))
        if there is None:
            return BusyError(
                "it does not run", place=f"replica {number}", remedy=f"dappops chain replicas {record.name} --start"
            )
        try:
            return call(there.url, method, *params, timeout=timeout)
        except DappopsError as error:
            return error

    with ThreadPoolExecutor(len(members)) as pool:  # one that is slow delays nobody else
        for address, found in zip(members, pool.map(one, range(1, len(members) + 1)), strict=True):
            if isinstance(found, DappopsError):
                errors[address] = found
            else:
                answers[address] = found
    return answers, errors


def collect(
    record: ChainRecord, number: int, block: bytes, header: bytes, target: Target | None = None, *, wait: float = 10.0
) -> Checkpoint:
    """Have a block co-signed for a gateway (for readers, unless given), `wait` seconds for replicas to get there.

    IntegrityError when a replica has another block at this height, BusyError when too few sign.
    """
    found = known(record)
    target = target or no_target(record.chain_id)
    answers, errors = ask(record, "replica_sign", number, target.chain, target.gateway, wait, timeout=wait + 5)
    digest = checkpoint_digest(target, record.chain_id, number, block)
    signatures: dict[str, bytes] = {}
    for address, answer in answers.items():
        if answer["hash"] != "0x" + block.hex():
            raise IntegrityError(
                f"replica {address} has another block {number}", place=f"{answer['hash']} there, 0x{block.hex()} here",
                rule="a co-signer computes every block itself", remedy="compare the chain's file with the replica's; one was replaced",
            )  # fmt: skip
        signature = from_hex(answer["signature"])
        if distinct(digest, [signature], [address]):
            signatures[address] = signature
    if len(signatures) < found.quorum:
        raise BusyError(
            f"{len(signatures)} of {len(found.members)} co-signers signed block {number}, {found.quorum} are needed{_why(errors)}",
            place=record.name, rule="a quorum of co-signers", remedy=f"dappops chain replicas {record.name}",
        )  # fmt: skip
    return Checkpoint(number, block, header, target, dict(sorted(signatures.items())))


def final_height(record: ChainRecord, hash_at: Callable[[int], bytes | None]) -> int:
    """The newest height that a quorum has co-signed by now; 0 when there is none. Replicas that do not answer count not."""
    target = no_target(record.chain_id)
    answers, _ = ask(record, "replica_sign", None, target.chain, target.gateway, timeout=2.0)
    heights = []
    for address, answer in answers.items():
        number, told = int(answer["number"]), from_hex(answer["hash"])
        digest = checkpoint_digest(target, record.chain_id, number, told)
        if told == hash_at(number) and distinct(digest, [from_hex(answer["signature"])], [address]):
            heights.append(number)
    quorum = known(record).quorum
    return sorted(heights, reverse=True)[quorum - 1] if len(heights) >= quorum else 0


def _why(errors: Mapping[str, DappopsError]) -> str:
    return "".join(f"; {address}: {error.message}" for address, error in sorted(errors.items()))


def _folder(record: ChainRecord, found: Group, number: int) -> Path:
    if not 1 <= number <= len(found.members):
        raise InputError(f"no replica {number}", place=record.name, rule=f"1 to {len(found.members)}")
    return replica_folder(record, number)


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(body, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
