"""The past from snapshots is the past that the log tells, whatever was lost, damaged, thinned out or redacted."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.graph import history, snapshots
from engine.graph.kernel import Kernel
from engine.graph.snapshots import Snapshots
from engine.kb import KnowledgeBase
from reasoners.vocab import RDFS


def own(kernel: Kernel) -> list[str]:
    """The graphs that change here: all but the shipped policy."""
    return [g for g in kernel.log.graphs if "/g/" in g]


def replayed(kernel: Kernel, tx: int) -> set[ox.Quad]:
    """Asserted quads as of a transaction, from the payloads alone."""
    state: set[ox.Quad] = set()
    graphs = own(kernel)
    for each in kernel.log.transactions(0, tx):
        for entry in (e for e in each.entries if e.graph in graphs):
            delta = kernel.log.payload(entry.id)
            state -= set(delta.removed)
            state |= set(delta.added)
    return state


def from_snapshots(kernel: Kernel, tx: int) -> set[ox.Quad] | None:
    assert kernel.home is not None
    found = Snapshots(kernel.home).quads_at(tx, kernel.log.head_tx(), own(kernel))
    return None if found is None else set(found)


@pytest.fixture
def long(home: Path, monkeypatch: pytest.MonkeyPatch, effort: int) -> Iterator[KnowledgeBase]:
    """A log of some length, with additions, removals, literals of every awkward kind, and blank nodes."""
    monkeypatch.setattr(snapshots, "EVERY", 5)
    monkeypatch.setattr(snapshots, "SHARE", 10**9)
    chance = random.Random(3)
    with engine.open(home) as kb:
        graph = kb.graph_iri("notes")
        awkward = ['a "quote"', "line\nbreak", "tab\t", "é\u2028\x85", "> <urn:x> .", "\\", "x" * 300]
        held: list[ox.Triple] = []
        for number in range(30 + 3 * effort):
            added = [
                ox.Triple(
                    ox.NamedNode(f"{graph}/{chance.randrange(12)}"),
                    RDFS.comment,
                    ox.Literal(f"{chance.choice(awkward)}{number}"),
                )
                for _ in range(2)
            ]
            if number % 7 == 0:
                added.append(ox.Triple(ox.NamedNode(f"{graph}/b"), RDFS.seeAlso, ox.BlankNode()))
            removed = chance.sample(held, min(len(held), 1))
            kb.commit(
                "notes" if number % 3 else "other-notes", added if number % 3 else [], removed if number % 3 else []
            )
            if number % 3:
                held = [t for t in held if t not in removed] + added[:2]
        yield kb


def test_past_is_the_same_when_read_from_snapshots(long: KnowledgeBase, effort: int) -> None:
    kernel = long.kernel
    assert kernel is not None
    assert kernel.home is not None
    kept = Snapshots(kernel.home)
    assert from_snapshots(kernel, 3) is None
    made = kept.make_due()
    head = kernel.log.head_tx()
    assert kept.kept() == made == list(range(5, head + 1, 5))
    assert kept.make_due() == []
    used = 0
    for tx in range(0, head + 1, 1 if effort > 1 else 3):
        expected = replayed(kernel, tx)
        found = from_snapshots(kernel, tx)
        assert found is None or found == expected, tx
        used += found is not None
        if tx in (6, 15):
            store = history.state_at(kernel, tx, derive=False).store
            past = {q for g in own(kernel) for q in store.quads_for_pattern(None, None, None, ox.NamedNode(g))}
            assert past == expected
    assert used > head * (2 if effort > 1 else 0.6) // 3
    only = {q for q in replayed(kernel, 7) if q.graph_name.value.endswith("/notes")}  # type: ignore[union-attr]
    found = kept.quads_at(7, head, [long.graph_iri("notes")])
    assert found is not None
    assert set(found) == only


def test_walk_is_bounded_when_the_log_is_long(long: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert long.kernel is not None
    assert long.home is not None
    kept, log = Snapshots(long.home), long.kernel.log
    kept.make_due()
    for tx in range(log.head_tx()):
        at = kept.nearest(tx, log.head_tx(), log.db) or log.head_tx()
        assert min(abs(at - tx), tx) <= 5 + 2
    monkeypatch.setattr(snapshots, "MOST", 4)
    kept.prune()
    left = kept.kept()
    assert len(left) == 4
    gaps = [b - a for a, b in zip([0, *left], left, strict=False)]
    assert max(gaps) <= 2 * max(5, log.head_tx() // 4) + 5
    assert left[-1] == log.head_tx() // 5 * 5
    assert from_snapshots(long.kernel, 7) in (None, replayed(long.kernel, 7))


def test_snapshots_are_made_again_when_lost_or_damaged(long: KnowledgeBase) -> None:
    kernel = long.kernel
    assert kernel is not None
    assert kernel.home is not None
    kept = Snapshots(kernel.home)
    made = kept.make_due()
    # damaged in the middle, cut short, of another log, and gone
    middle = kept.path(made[1])
    body = bytearray(middle.read_bytes())
    body[len(body) // 2] ^= 1
    middle.write_bytes(body)
    kept.path(made[2]).write_bytes(kept.path(made[2]).read_bytes()[:-9])
    kept.path(made[3]).write_bytes(gzip.compress(snapshots.MAGIC + f"{made[3]} 1 {'0' * 64}\n".encode()))
    kept.path(made[-1]).unlink()
    for tx in range(made[1] - 2, made[3] + 3):
        found = from_snapshots(kernel, tx)
        assert found is None or found == replayed(kernel, tx)
    assert not {made[1], made[2], made[3]} & set(kept.kept())
    kept.make_due()
    assert kept.kept()[-1] == made[-1]
    gaps = [b - a for a, b in zip([0, *kept.kept()], kept.kept(), strict=False)]
    assert max(gaps) <= 10
    for tx in (made[2], made[3] - 1):
        assert from_snapshots(kernel, tx) == replayed(kernel, tx)


def test_no_snapshot_keeps_the_text_when_it_was_redacted(long: KnowledgeBase) -> None:
    kernel = long.kernel
    assert kernel is not None
    assert kernel.home is not None
    kept = Snapshots(kernel.home)
    kept.make_due()
    graph = long.graph_iri("notes")
    secret = ox.Triple(ox.NamedNode(f"{graph}/1"), RDFS.comment, ox.Literal("a secret to forget"))
    long.commit("notes", [secret])
    for number in range(6):
        long.commit("notes", [ox.Triple(ox.NamedNode(f"{graph}/1"), RDFS.label, ox.Literal(str(number)))])
    kept.make_due()
    assert any(b"a secret to forget" in line for tx in kept.kept() for line in kept.lines(tx))
    long.call("redact", graph="notes", subject=f"<{graph}/1>", reason="asked for")
    assert kept.kept() == []
    kept.make_due()
    assert kept.kept()
    assert not any(b"a secret to forget" in line for tx in kept.kept() for line in kept.lines(tx))
    for tx in (4, 9, kernel.log.head_tx() - 3):
        found = from_snapshots(kernel, tx)
        assert found is None or found == replayed(kernel, tx)


def test_snapshot_is_given_up_when_a_redaction_comes_between(
    long: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert long.home is not None
    assert long.kernel is not None
    kept, kernel = Snapshots(long.home), long.kernel
    kept.folder.mkdir(parents=True)
    real = snapshots._merge

    def redact_meanwhile(*arguments: object) -> Iterator[bytes]:
        yield from list(real(*arguments))  # type: ignore[arg-type]
        # what a redaction does to the log and to snapshots
        kernel.log.db.execute("INSERT INTO redaction VALUES(NULL, 'g', '', x'', 'a', x'', 'r', 't')")
        kept.clear()

    monkeypatch.setattr(snapshots, "_merge", redact_meanwhile)
    with kept._open_log() as db, pytest.raises(FileNotFoundError):
        kept.make(0, 5, db)
    assert kept.kept() == []


def test_child_makes_what_is_due_when_asked(long: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert long.home is not None
    child = snapshots.start(long.home)
    assert child is not None
    assert child.wait(60) == 0
    # the child has the usual spacing, so nothing is due there: it ends without a trace
    assert Snapshots(long.home).kept() == []
    monkeypatch.setattr(snapshots, "EVERY", 10**6)
    assert snapshots.start(long.home) is None
