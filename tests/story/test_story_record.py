"""How far a story came is known after it was cut short, and a strange file costs time only."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.story.record import FILE, Record

SETTINGS = {"mode": "plain", "source": "none", "opencl": False}


def cut_short(home: Path, *steps: int, seed: int = 1) -> None:
    record = Record.open(home, seed, SETTINGS)
    record.begin()
    for number in steps:
        record.finish(number, {"step": number})


def test_record_resumes_when_a_run_was_cut_short(tmp_path: Path) -> None:
    cut_short(tmp_path, 1, 2)
    record = Record.open(tmp_path, 1, SETTINGS)
    assert record.done == {1: {"step": 1}, 2: {"step": 2}}
    assert record.found == "resumes: an earlier run was cut short after step 2"


def test_record_starts_clean_when_the_run_before_ended(tmp_path: Path) -> None:
    cut_short(tmp_path, 1)
    Record.open(tmp_path, 1, SETTINGS).end()
    record = Record.open(tmp_path, 1, SETTINGS)
    assert (record.done, record.found) == ({}, "starts clean: the run before this one ended")


@pytest.mark.parametrize(
    ("seed", "settings", "fresh", "says"),
    [
        (2, SETTINGS, False, "with other settings"),
        (1, {**SETTINGS, "mode": "namespaces"}, False, "with other settings"),
        (1, SETTINGS, True, "as asked"),
    ],
)
def test_record_starts_clean_when_it_is_another_run(
    tmp_path: Path, seed: int, settings: dict[str, object], fresh: bool, says: str
) -> None:
    cut_short(tmp_path, 1)
    record = Record.open(tmp_path, seed, settings, fresh=fresh)
    assert record.done == {}
    assert says in record.found


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"seed": 1}', '{"seed": 1, "settings": {}, "done": 3, "ended": false}']
)
def test_record_starts_clean_when_the_file_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    record = Record.open(tmp_path, 1, SETTINGS)
    assert record.done == {}
    assert "cannot be read" in record.found


def test_record_keeps_nothing_when_there_is_no_folder() -> None:
    cutoff = Record.open(None, 1, SETTINGS)
    cutoff.begin()
    cutoff.finish(1, {})
    assert Record.open(None, 1, SETTINGS).done == {}
