"""Witness processes on a real service: one is killed in the middle and goes on; what evidence says of objectives and windows."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from agreement_ground import Ground
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BusyError, InputError
from engine.ledger import agreements as sla
from engine.ledger.agreements import evidence, model
from engine.ledger.agreements.measurements import Measured, Raw, digest
from engine.ledger.agreements.model import Engagement, Objective, Version
from engine.ledger.agreements.probes import Probe
from engine.ledger.agreements.witnesses import Witnesses, settings_for
from engine.ledger.knowledge import rows_of
from reasoners.vocab import DAPPI


class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ok)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def until(what: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_witness_goes_on_where_it_was_when_it_is_killed(place: Ground, service: str, tmp_path: Path) -> None:
    """Two witnesses, a folder to hand in; one is killed while it measures and started again, and votes with one seal."""
    account, second, _ = place.witnesses
    version = sla.propose(
        place.kb,
        place.terms(
            start=str(int(time.time()) + 2), seconds=3, settleWithin=300, witnesses=[account, second], quorum=2, coverage=0.3,
            measure=[{"http": service, "every": 0.1, "timeout": 0.5}],
        ),
        connected=place.connected,
    )  # fmt: skip
    homes, spool = tmp_path / "witnesses", tmp_path / "spool"
    for name in (account, second):  # measurements of its own, beside the key
        (homes / name).mkdir(parents=True)
        os.symlink(place.witnesses[name] / "keys", homes / name / "keys")
    told, terms = sla.contract_terms(place.kb, version)
    name = f"{evidence.local(told)}-{terms.identifier.hex()[:16]}.sqlite"
    raw = homes / account / "measurements" / name
    with Witnesses() as group:
        first, _ = (
            group.start(settings_for(place.kb, version, each, homes / each, spool=spool)) for each in (account, second)
        )
        until(lambda: raw.exists() and len(Raw(raw).rows()) >= 3)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        group.running.remove(first)
        kept = len(Raw(raw).rows())
        group.start(settings_for(place.kb, version, account, homes / account, spool=spool))
        group.wait(60)
        assert [child.last["event"] for child in group.running] == ["voted", "voted"]
    rows = Raw(raw).rows()
    assert len(rows) > kept >= 3
    assert sla.collect(place.kb, spool)[1] == []
    votes = rows_of(place.kb, "sla-votes", version=version)
    assert [v["violated"] for v in votes] == ["false", "false"]
    shown = next(v for v in votes if account in v["witness"])
    assert shown["digest"] == digest(terms.identifier, account, rows).hex(), (
        "who holds the file can show what was measured"
    )


def test_witness_process_says_what_is_wrong_when_it_cannot_start(place: Ground) -> None:
    version = sla.propose(place.kb, place.terms(), connected=place.connected)
    account = next(iter(place.witnesses))
    settings = settings_for(place.kb, version, account, place.witnesses[account])
    forged = json.loads(json.dumps(settings))
    forged["graphs"][0]["statements"] = forged["graphs"][0]["statements"][1:]
    with Witnesses() as group:
        group.start(forged)
        with pytest.raises(BusyError, match="not its owner's"):
            group.wait(30)
    with pytest.raises(InputError, match="no witness"):
        sla.run_witnesses(place.kb, version, {place.provider: place.folder})


# -- evidence --------------------------------------------------------------------------------------------------------
WITNESS = "0x" + "1" * 40


def version_of(*objectives: Objective, seconds: int = 10, interval: float = 1.0) -> Version:
    probe = Probe("http", "http://127.0.0.1:9/", 0.5)
    return Version(
        "https://w3id.org/dappops/g/0x" + "a" * 40 + "/sla-x-v1", "https://p/", "https://c/", "0x" + "b" * 40, "0x" + "c" * 40,
        "https://o/", objectives, (Engagement("https://w/", WITNESS, probe, interval),), 1, 1, 0, 1, 1_000, 1_000 + seconds,
        2_000, 0, 1, "0x" + "d" * 40,
    )  # fmt: skip


def row(slot: int, good: bool = True, ms: float = 10.0, value: float | None = None) -> Measured:
    return Measured(0, slot, 1_000_000 + slot * 1000, good, round(ms * 1000), value, "")


UP = Objective(DAPPI.Availability.value, DAPPI.AtLeast.value, 90.0, 0.1)
FAST = Objective(DAPPI.ResponseTime.value, DAPPI.AtMost.value, 60.0, 0.05)
FLOW = Objective(DAPPI.Throughput.value, DAPPI.AtLeast.value, 5.0, 0.5)


@pytest.mark.parametrize(
    ("objective", "rows", "good", "bad", "value", "median"),
    [
        (UP, [row(n, n > 1) for n in range(10)], 8, 2, 80.0, None),
        (replace(UP, metric=DAPPI.ErrorRatio.value), [row(n, n > 1) for n in range(10)], 8, 2, 0.2, None),
        (replace(UP, metric=DAPPI.Reachability.value), [row(0)], 1, 0, 1.0, None),
        (FAST, [row(n, ms=50 + 5 * n) for n in range(10)], 3, 7, 95.0, 70.0),
        (
            FAST,
            [row(0, ms=5), row(1, good=False, ms=1)],
            1,
            1,
            500.0,
            5.0,
        ),  # no answer took as long as it was waited for
        (FLOW, [row(0, value=4), row(1, value=6), row(2, value=7), row(3)], 2, 2, 6.0, 6.0),
        (FLOW, [row(0)], 0, 1, None, None),
    ],
)
def test_evidence_says_how_an_objective_was_kept(
    objective: Objective, rows: list[Measured], good: int, bad: int, value: float | None, median: float | None
) -> None:
    version = version_of(objective)
    [window] = evidence.windows(version)
    found = evidence.summarise(version, WITNESS, window, rows)
    assert (found.good, found.bad, found.value, found.median, found.planned) == (good, bad, value, median, 10)


@given(st.integers(1, 60), st.floats(0.1, 5), st.floats(1, 60), st.sets(st.integers(0, 600)))
def test_windows_part_the_period_and_every_measurement_is_in_one(
    seconds: int, interval: float, window: float, measured: set[int]
) -> None:
    version = version_of(replace(UP, window=min(window, float(seconds))), seconds=seconds, interval=interval)
    found = evidence.windows(version)
    assert (found[0].start, found[-1].end) == (version.start, version.end)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(found))
    planned = evidence.slots(version, version.engagements[0])
    assert all(version.start <= evidence.due(version, version.engagements[0], n) < version.end for n in range(planned))
    rows = [row(n) for n in measured if n < planned]
    parts = [evidence.summarise(version, WITNESS, w, rows) for w in found]
    assert sum(p.good for p in parts) == len(rows)
    assert sum(p.planned for p in parts) == planned
    assert evidence.coverage(version, WITNESS, rows) == pytest.approx(len(rows) / planned)


def test_engagement_serves_only_the_objectives_that_it_names() -> None:
    version = version_of(UP, FLOW)
    told = replace(version, engagements=(replace(version.engagements[0], objectives=(1,)),))
    first, second = evidence.windows(told)
    rows = [row(0, value=9)]
    assert evidence.summarise(told, WITNESS, first, rows).planned == 0
    assert evidence.summarise(told, WITNESS, second, rows).good == 1
    assert model.checked(told) == told
