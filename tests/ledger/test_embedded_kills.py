"""What an embedded chain acknowledged is there, whenever its process was killed and however many write to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import rlp
from mpt_check import EMPTY_ROOT, keccak

from engine.graph.keys import KeyRing
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import Genesis

HERE = Path(__file__).resolve().parent


@contextmanager
def miner(folder: Path, keys: KeyRing) -> Iterator[tuple[IO[str], IO[str]]]:
    """(what it is told, what it tells)."""
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent)])
    process = subprocess.Popen(
        [sys.executable, str(HERE / "mining_child.py"), str(folder), str(keys.folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def state_is_whole(chain: EmbeddedChain, root: bytes) -> int:
    """Follow every reference from a state root; the number of nodes. AssertionError when one is missing or altered."""

    def node(digest: bytes) -> bytes:
        found = chain.store.node(digest)
        assert keccak(found) == digest
        return found

    def leaves(item: object) -> Iterator[bytes]:
        nonlocal count
        if isinstance(item, bytes):
            if len(item) == 32:
                count += 1
                yield from leaves(rlp.decode(node(item)))
            return
        assert isinstance(item, list)
        if len(item) == 17:
            for child in item[:16]:
                yield from leaves(child)
        elif item[0].hex()[0] in "23":
            yield item[1]
        else:
            yield from leaves(item[1])

    count = 0
    for account in list(leaves(root)):
        _, _, storage, code = rlp.decode(account)
        assert code == keccak(b"") or node(code)
        if storage != EMPTY_ROOT:
            assert list(leaves(storage))
    return count


def test_chain_keeps_what_it_acknowledged_when_it_is_killed(
    tmp_path: Path, keys: KeyRing, genesis: Genesis, effort: int
) -> None:
    kills, chance = 8 if effort == 1 else 10 * effort, random.Random(f"kills {effort}")
    folder = tmp_path / "killed"
    EmbeddedChain(folder, keys, genesis=genesis).close()
    told: dict[int, tuple[bytes, set[bytes]]] = {}
    with miner(folder, keys) as (to, of):
        for _ in range(kills):
            before = len(told)
            to.write("0 0\n")
            to.flush()
            wanted, child = chance.randrange(1, 12), 0
            for line in of:
                word, *rest = line.split()
                if word == "pid":
                    child = int(rest[0])
                elif word == "end":
                    break
                else:
                    _, transactions = told.setdefault(int(rest[0]), (bytes.fromhex(rest[1]), set()))
                    transactions.add(bytes.fromhex(rest[2]))
                    wanted -= 1
                # past the wanted line the child is anywhere: in the EVM, in SQLite, in fsync
                if wanted <= 0 and child:
                    for _ in range(chance.randrange(20_000)):
                        pass
                    os.kill(child, signal.SIGKILL)
                    child = 0
            with_head = EmbeddedChain(folder, keys)
            assert len(told) > before
            for number, (digest, transactions) in told.items():
                assert with_head.header(number).hash == digest
                assert transactions <= {row.hash for row in with_head.store.transactions(number)}
            assert state_is_whole(with_head, with_head.header().state_root)
            with_head.close()
    chain, replica = EmbeddedChain(folder, keys), EmbeddedChain(tmp_path / "replica", keys, genesis=genesis)
    for number in range(1, chain.header().number + 1):
        replica.import_block(chain.block_rlp(number))
    assert replica.header() == chain.header()


def test_chain_takes_turns_when_two_processes_send(tmp_path: Path, keys: KeyRing, genesis: Genesis) -> None:
    folder = tmp_path / "shared"
    chain = EmbeddedChain(folder, keys, genesis=genesis)
    with miner(folder, keys) as (to_a, of_a), miner(folder, keys) as (to_b, of_b):
        for to, number in ((to_a, 0), (to_b, 1)):
            to.write(f"12 {number}\n")
            to.flush()
        acks = [[line.split() for line in iter(of.readline, "end\n") if line.startswith("ack")] for of in (of_a, of_b)]
    assert [len(a) for a in acks] == [sum(1 + n % 7 for n in range(1, 13))] * 2
    blocks = [{int(a[1]) for a in each} for each in acks]
    assert not blocks[0] & blocks[1], "a block is made by one"
    assert chain.header().number == 2 * (1 + 12)
    for each in acks:
        for _, number, digest, transaction in each:
            found = chain.included(bytes.fromhex(transaction))
            assert found is not None
            assert (found.block, found.block_hash.hex()) == (int(number), digest)
    chain.close()


@pytest.mark.parametrize("place", ["header", "body"])
def test_chain_tells_when_its_file_is_not_one(place: str, tmp_path: Path, keys: KeyRing, genesis: Genesis) -> None:
    from engine.errors import IntegrityError

    folder = tmp_path / "broken"
    EmbeddedChain(folder, keys, genesis=genesis).close()
    file = folder / "chain.sqlite"
    data = bytearray(file.read_bytes())
    data[:16] = b"x" * 16
    file.write_bytes(bytes(data) if place == "header" else b"no database at all, but long enough to be one" * 40)
    with pytest.raises(IntegrityError, match="not the file of a chain"):
        EmbeddedChain(folder, keys)
