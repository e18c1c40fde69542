"""Workers read the journal where they stopped, and know when they cannot."""

from __future__ import annotations

import copy

import pytest

from engine.replicas import journal
from engine.replicas.answers import State
from engine.replicas.journal import Change, Journal


def forked(writer: Journal) -> Journal:
    """The journal as a process forked now has it: the mapping and the file are shared, the place in it is its own."""
    return copy.copy(writer)


def change(n: int) -> Change:
    return Change(State(n, n * 2, f"{n:032x}"), b"gone %d" % n, b"come %d" % n)


def test_a_reader_takes_all_changes_in_order_and_only_once() -> None:
    writer = Journal()
    writer.tell(State(1, 1, "a"))
    reader = forked(writer)
    assert not reader.moved()
    for n in (2, 3, 4):
        writer.append(change(n))
    late = forked(writer)
    assert reader.moved()
    assert reader.behind()
    assert list(reader.read()) == [change(2), change(3), change(4)]
    assert not reader.moved()
    assert reader.behind() == 0
    assert reader.look()[3] == State(4, 8, f"{4:032x}")
    writer.append(change(5))
    assert list(late.read()) == [change(5)]
    writer.tell(State(6, 10, "b"))  # a transaction that changed nothing here
    assert reader.moved()
    assert list(reader.read()) == [change(5)]
    assert reader.look()[3] == State(6, 10, "b")


def test_a_reader_of_an_old_journal_knows_that_it_cannot_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LIMIT", 200)
    writer = Journal()
    writer.tell(State(1, 1, "a"))
    reader = forked(writer)
    for n in range(2, 6):
        writer.append(change(n))
    assert reader.moved()
    assert reader.behind() is None
    assert forked(writer).behind() == 0


def test_slots_tell_who_is_busy_and_how_answers_were_cut() -> None:
    shared = Journal()
    shared.begin(3)
    assert shared.slot(3)[0] > 0
    shared.end(3, rows=True)
    shared.begin(3)
    shared.end(3, size=True)
    assert shared.slot(3) == (0.0, 2, 1, 1)
    shared.clear(3)
    assert shared.slot(3) == (0.0, 0, 0, 0)
