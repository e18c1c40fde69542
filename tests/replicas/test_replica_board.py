"""The board tells whole states to readers that run beside the writer, and forgets what is taken off."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.errors import BusyError
from engine.replicas.answers import State
from engine.replicas.board import SLOTS, Board, BoardReader, name_of


def test_a_reader_never_sees_half_a_state_while_the_writer_writes(tmp_path: Path, effort: int) -> None:
    board = Board(tmp_path / "board")
    reader = BoardReader(tmp_path / "board")
    name = name_of("public", "hierarchy")
    done = threading.Event()

    def write() -> None:
        for n in range(4000 * effort):
            board.put(name, State(n, n * 3, f"{n:032x}"))
        done.set()

    board.put(name, State(0, 0, f"{0:032x}"))
    thread = threading.Thread(target=write)
    thread.start()
    last = 0
    while not done.is_set():
        state = reader.get(name)
        assert state is not None
        assert state == State(state.tx, state.tx * 3, f"{state.tx:032x}")
        assert state.tx >= last
        last = state.tx
    thread.join()
    assert reader.get(name) == State(4000 * effort - 1, (4000 * effort - 1) * 3, f"{4000 * effort - 1:032x}")


def test_names_come_and_go_and_slots_are_used_again(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    reader = BoardReader(tmp_path / "board")
    assert (tmp_path / "board").stat().st_mode & 0o077 == 0
    for n in range(SLOTS):
        board.put(name_of(f"{n:016x}", "hierarchy"), State(n, n, "t"))
    with pytest.raises(BusyError, match="full"):
        board.put(name_of("one", "more"), State())
    assert reader.get(name_of(f"{7:016x}", "hierarchy")) == State(7, 7, "t")
    board.drop(name_of(f"{7:016x}", "hierarchy"))
    assert reader.get(name_of(f"{7:016x}", "hierarchy")) is None
    board.put(name_of("one", "more"), State(9, 8, "u"))
    assert reader.get(name_of("one", "more")) == State(9, 8, "u")
    assert reader.get(name_of(f"{7:016x}", "hierarchy")) is None
    assert len(list(reader.names())) == SLOTS
    assert reader.get(name_of("one", "mor")) is None
