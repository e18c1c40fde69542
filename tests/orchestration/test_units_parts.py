"""What single programs of the rehearsal promise: choosing, filtering, pacing, chaining, keeping."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyoxigraph as ox
import pytest
from rehearsal import PROGRAMS, ROOT, Rehearsal, until

pytest.importorskip("prometheus_client", reason='the programs need it: pip install "dappops[operate]"')
np = pytest.importorskip("numpy", reason='two of the programs need it: pip install "dappops[operate]"')


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A program as a module; modules of that folder are forgotten afterwards, for their names are everyday words."""
    monkeypatch.syspath_prepend(str(PROGRAMS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(PROGRAMS)):
            del sys.modules[name]


def test_choice_stays_when_no_other_camera_is_clearly_better(program: Any) -> None:
    choose = program("composer").choose
    cameras = {"a", "b"}
    assert choose({"a": 1.0, "b": 1.1}, cameras, "a", 0.0, 10.0)[0] == "a"
    assert choose({"a": 1.0, "b": 1.3}, cameras, "a", 0.0, 10.0)[0] == "b"
    assert choose({"a": 1.0, "b": 9.0}, cameras, "a", 9.0, 10.0)[0] == "a", "it has not been shown long enough"
    assert choose({"a": 1.0, "b": 0.1}, {"b"}, "a", 9.0, 10.0)[0] == "b", "the shown one sends no more"
    assert choose({}, {"b", "c"}, "a", 0.0, 10.0)[0] == "b", "without advice the first"
    assert choose({"a": 1.0}, set(), "a", 0.0, 10.0) == ("a", "no camera sends")


def test_target_rises_slowly_and_falls_fast_when_pictures_are_late(program: Any) -> None:
    controller = program("bitrate_controller")
    well = {"player-gateway": {"frames_per_second": 4.0, "age": 0.2}}
    assert controller.next_target(4.0, well)[0] == 5.0
    assert controller.next_target(controller.HIGHEST, well)[0] == controller.HIGHEST
    old = {"player-gateway": {"frames_per_second": 4.0, "age": 1.4}}
    assert controller.next_target(6.0, old)[0] == pytest.approx(4.02)
    slow = {**well, "transcoder": {"seconds": 0.6}}
    assert controller.next_target(6.0, slow) == (pytest.approx(4.02), "transcoder take longer than 0.4 s")
    assert controller.next_target(1.0, slow)[0] == controller.LOWEST
    silent = {"player-gateway": {"frames_per_second": 0.0, "age": 30.0}}
    assert controller.next_target(6.0, silent)[0] == 6.0, "an outage is not cured by asking for less"


def test_filter_gives_the_bytes_of_the_function_library_when_computed_here(program: Any) -> None:
    transcoder = program("transcoder")
    frame = program("unit").Frame
    chance = random.Random(5)
    for width, height in ((160, 120), (1, 1), (7, 3), (33, 65)):
        grey = chance.randbytes(width * height)
        smoothed = transcoder.smooth(frame("a", 0.0, width, height, grey))
        assert smoothed == reference(grey, width, height)


def reference(grey: bytes, width: int, height: int) -> bytes:
    """The function's definition, point by point."""
    weights = (1, 4, 6, 4, 1)

    def at(x: int, y: int) -> int:
        return grey[min(max(y, 0), height - 1) * width + min(max(x, 0), width - 1)]

    return bytes(
        (sum(weights[j] * weights[i] * at(x + i - 2, y + j - 2) for j in range(5) for i in range(5)) + 128) >> 8
        for y in range(height)
        for x in range(width)
    )


def test_filter_is_the_brokers_when_it_answers_and_ours_when_it_ended(program: Any, tmp_path: Path) -> None:
    from engine.accelerators import broker, packages
    from engine.errors import NotAvailableError

    asked, smooth, frame = program("broker"), program("transcoder").smooth, program("unit").Frame
    packages.build(packages.Store(tmp_path), ["frame-filter"])
    try:
        running = broker.start(tmp_path)
    except NotAvailableError as error:
        pytest.skip(f"no broker here: {error}")
    try:
        grey = random.Random(2).randbytes(64 * 48)
        for socket in (running.socket, running.grant("stage")):
            client = asked.Broker(socket)

            def called(client: Any = client) -> Any:
                try:
                    return client.call("frame-filter", grey, {"width": 64, "height": 48})
                except asked.BrokerAway:
                    return None

            assert called() is None, "the first call is made in the background"
            output, by = until(called, f"the broker does not answer: {client.state}")
            assert by.startswith("broker:")
            assert output == smooth(frame("a", 0.0, 64, 48, grey))
    finally:
        broker.stop(tmp_path)
    assert called() is None
    assert "away" in client.state


def test_pace_admits_the_wanted_rate_when_a_camera_sends_more(program: Any) -> None:
    relay = program("venue_relay")
    pace = relay.Pace()
    pace.ask_for(4.0, now=100.0)
    admitted = sum(pace.admit("a", 100.0 + n / 20) for n in range(200))
    assert 40 <= admitted <= 43, "four a second for ten seconds, and the two it may save up"
    assert pace.rate(100.0 + relay.FORGET + 1) == relay.DEFAULT_RATE, "an old wish is forgotten"


def test_programme_is_whole_turtle_when_asked_for_as_rdf(program: Any) -> None:
    knowledge = program("event_knowledge")
    triples = list(ox.parse(knowledge.turtle().encode(), format=ox.RdfFormat.TURTLE, base_iri="http://e.org/"))
    events = [t for t in triples if t.predicate.value.endswith("superEvent")]
    assert len(events) == len(knowledge.PROGRAMME)
    act, ends = knowledge.act_at(knowledge.ROUND * 3 + 121)
    assert (act.name, ends) == ("Call and answer", knowledge.ROUND * 3 + 300)


def test_batches_chain_and_show_a_change_when_entries_are_touched(program: Any, tmp_path: Path) -> None:
    writer = program("ledger_writer")
    ledger = writer.Ledger(str(tmp_path / "ledger.sqlite"))
    for n in range(3 * writer.SIZE):
        ledger.take("test", [hashlib.sha256(bytes([n])).hexdigest()])
    for _ in range(3):
        ledger.seal()
    assert ledger.head()[:2] == (3 * writer.SIZE, 3)
    previous = writer.GENESIS
    for number, before, sealed, _ in ledger.batches():
        assert before == previous
        assert writer.batch_hash(before, ledger.entries(number)) == sealed
        previous = sealed
    ledger.base.execute("UPDATE entry SET digest=? WHERE id=70", ("0" * 64,))
    number, before, sealed, _ = ledger.batches(2)[0]
    assert writer.batch_hash(before, ledger.entries(number)) != sealed


def test_no_acknowledged_entry_is_lost_when_writer_is_killed_again_and_again(tmp_path: Path, effort: int) -> None:
    running = Rehearsal(tmp_path, ("ledger-writer",))
    acknowledged: list[str] = []
    try:
        for turn in range(3 * effort):
            for n in range(40):
                digest = hashlib.sha256(f"{turn}/{n}".encode()).hexdigest()
                body = json.dumps({"source": "test", "digests": [digest]}).encode()
                assert running.ask("ledger-writer", "POST", "/entries", body)[0] == 200
                acknowledged.append(digest)
            running.kill("ledger-writer")
            running.again("ledger-writer")
        until(lambda: running.metric("ledger-writer", "dappops_queue_length") == 0, "not everything is sealed")
        told = running.json("ledger-writer", "/head")
        assert told["entries"] == len(acknowledged)
        kept = [
            entry[2]
            for n in range(1, told["batches"] + 1)
            for entry in running.json("ledger-writer", f"/batches/{n}")["entries"]
        ]
        assert kept == acknowledged
        assert running.json("ledger-writer", "/verify")["whole"] is True
    finally:
        running.end()


def test_store_keeps_its_bound_and_the_newest_when_it_is_full(tmp_path: Path) -> None:
    running = Rehearsal(tmp_path, ("media-store",))
    try:
        running.kill("media-store")
        running.again("media-store", DAPPOPS_MEDIA_BYTES="50000")
        digests = []
        for n in range(8):
            body = bytes([n]) * 12_000
            digests.append(hashlib.sha256(body).hexdigest())
            assert running.ask("media-store", "PUT", f"/objects/{digests[-1]}", body)[0] == 201
            assert running.ask("media-store", "PUT", f"/objects/{digests[-1]}", body)[0] == 200
        found = [running.ask("media-store", "GET", f"/objects/{digest}")[0] for digest in digests]
        assert found == [404] * 4 + [200] * 4
        assert running.metric("media-store", "dappops_evicted_total") == 4
        (tmp_path / "media-store" / "objects" / "half.part").write_bytes(b"x")
        running.kill("media-store")
        running.again("media-store", DAPPOPS_MEDIA_BYTES="50000")
        assert running.json("media-store", "/usage") == {"objects": 4, "bytes": 48_000, "bound": 50_000}
        assert not list((tmp_path / "media-store" / "objects").glob("*.part"))
    finally:
        running.end()


def test_programs_import_nothing_of_the_engine() -> None:
    files = sorted(PROGRAMS.glob("*.py"))
    assert len(files) == 15
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "import engine" not in text
        assert "from engine" not in text
    assert os.path.commonpath([ROOT, PROGRAMS]) == str(ROOT)
