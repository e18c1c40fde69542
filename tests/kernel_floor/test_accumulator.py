"""The log's accumulator against the definitions of RFC 9162, section 2.1, written out naively."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.accumulator import EMPTY_ROOT, Accumulator, verify_consistency, verify_inclusion
from engine.graph.hashing import keccak256


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return keccak256(b"")
    if len(d) == 1:
        return keccak256(b"\0" + d[0])
    k = split(len(d))
    return keccak256(b"\1" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def entries(n: int) -> list[bytes]:
    return [f"entry {i}".encode() for i in range(n)]


def memory() -> Accumulator:
    return Accumulator()


def sqlite() -> Accumulator:
    db = sqlite3.connect(":memory:", isolation_level=None)
    other = Accumulator(db, "other")
    for entry in entries(5):
        other.append(entry)
    return Accumulator(db, "this")


@pytest.mark.parametrize("make", [memory, sqlite])
def test_roots_and_proofs_equal_the_definition_when_log_grows(make: Callable[[], Accumulator]) -> None:
    log, data = make(), entries(40)
    assert log.root == EMPTY_ROOT == mth([])
    for n in range(1, 41):
        assert log.append(data[n - 1]) == mth(data[:n])
        assert log.size == n
        for m in range(n):
            assert log.inclusion(m) == path(m, data[:n])
            assert verify_inclusion(data[m], m, n, log.inclusion(m, n), log.root)
        for m in range(1, n + 1):
            proof = log.consistency(m)
            assert proof == subproof(m, data[:n], True)
            assert verify_consistency(m, n, proof, log.root_at(m), log.root)
        assert verify_consistency(0, n, log.consistency(0), EMPTY_ROOT, log.root)


@pytest.mark.parametrize("make", [memory, sqlite])
@pytest.mark.parametrize("keep", [0, 1, 6, 7, 8, 13])
def test_log_is_as_before_when_truncated(make: Callable[[], Accumulator], keep: int) -> None:
    log, data = make(), entries(13)
    for entry in data:
        log.append(entry)
    log.truncate(keep)
    assert log.size == keep
    assert log.root == mth(data[:keep])
    assert log.append(b"other") == mth([*data[:keep], b"other"])


def test_entries_leave_when_the_transaction_rolls_back() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    log = Accumulator(db, "log")
    log.append(b"kept")
    db.execute("BEGIN")
    log.append(b"lost")
    db.execute("ROLLBACK")
    assert log.size == 1
    assert Accumulator(db, "log").root == mth([b"kept"])


def mutated(rng: random.Random, proof: list[bytes]) -> list[bytes]:
    proof = list(proof)
    kind = rng.choice(["flip", "drop", "add", "swap"]) if proof else "add"
    at = rng.randrange(len(proof) + (kind == "add"))
    if kind == "flip":
        node = bytearray(proof[at])
        node[rng.randrange(32)] ^= 1 << rng.randrange(8)
        proof[at] = bytes(node)
    elif kind == "drop":
        del proof[at]
    elif kind == "add":
        proof.insert(at, rng.randbytes(32))
    else:
        proof[at], proof[0] = proof[0], proof[at]
    return proof


@given(st.integers(1, 200), st.data())
def test_proof_fails_when_anything_in_it_changes(n: int, data: st.DataObject) -> None:
    log = Accumulator()
    for entry in entries(n):
        log.append(entry)
    rng = random.Random(data.draw(st.integers()))
    m = rng.randrange(n)
    proof = log.inclusion(m)
    good = (entries(n)[m], m, n, proof, log.root)
    assert verify_inclusion(*good)
    other = mutated(rng, proof)
    if other != proof:
        assert not verify_inclusion(good[0], m, n, other, log.root)
    assert not verify_inclusion(good[0] + b"x", m, n, proof, log.root)
    assert not verify_inclusion(good[0], m, n, proof, rng.randbytes(32))
    for index in {m - 1, m + 1, n, -1} - {m}:
        assert not verify_inclusion(good[0], index, n, proof, log.root)
    if m:
        chain = log.consistency(m)
        roots = (log.root_at(m), log.root)
        assert verify_consistency(m, n, chain, *roots)
        other = mutated(rng, chain)
        if other != chain:
            assert not verify_consistency(m, n, other, *roots)
        assert not verify_consistency(m, n, chain, rng.randbytes(32), log.root)
        assert not verify_consistency(m, n, chain, roots[0], rng.randbytes(32))
        assert not verify_consistency(n + 1, n, chain, *roots)


def test_rewritten_history_has_no_consistency_proof_when_an_old_entry_changed() -> None:
    old, new = Accumulator(), Accumulator()
    for i, entry in enumerate(entries(20)):
        if i < 11:
            old.append(entry)
        new.append(entry if i != 4 else b"rewritten")
    assert not verify_consistency(11, 20, new.consistency(11), old.root, new.root)


def test_question_is_refused_when_beyond_the_log() -> None:
    log = Accumulator()
    log.append(b"x")
    for ask in (
        lambda: log.inclusion(1),
        lambda: log.root_at(2),
        lambda: log.consistency(2),
        lambda: log.inclusion(-1),
    ):
        with pytest.raises(InputError, match="no such entry"):
            ask()
