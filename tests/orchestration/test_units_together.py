"""The twelve programs of the rehearsal: the way of a picture, what goes when one of them is killed, and coming back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal import UNITS, Rehearsal, free_port, until

pytest.importorskip("prometheus_client", reason='the programs need it: pip install "dappops[operate]"')
pytest.importorskip("numpy", reason='two of the programs need it: pip install "dappops[operate]"')


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    running = Rehearsal(tmp_path_factory.mktemp("rehearsal"))
    assert running.consent("stage-1") == 200
    yield running
    codes = running.end()
    assert set(codes.values()) == {0}, f"SIGTERM should end each in order: {codes}"


def shown(running: Rehearsal, camera: str = "stage-1") -> bool:
    """Film until the story shows it."""
    running.film(camera)
    status, body, _ = running.ask("player-gateway", "GET", "/story")
    return status == 200 and json.loads(body)["camera"] == camera and json.loads(body)["age"] < 1


def test_every_unit_answers_when_started(rehearsal: Rehearsal) -> None:
    assert len(UNITS) == 12
    for unit in UNITS:
        health = rehearsal.json(unit, "/healthz")
        assert health["unit"] == unit
        assert health["ok"] is True
        assert rehearsal.metric(unit, "process_resident_memory_bytes") < 60e6
        text = rehearsal.ask(unit, "GET", "/metrics")[1].decode()
        assert "dappops_queue_length " in text
        assert "# TYPE dappops_request_seconds histogram" in text


def test_picture_reaches_viewers_when_its_owner_consents(rehearsal: Rehearsal) -> None:
    until(lambda: shown(rehearsal), "the story shows no picture")
    status, body, head = rehearsal.ask("player-gateway", "GET", "/frame")
    assert status == 200
    assert body.startswith(b"P5\n160 120\n255\n")
    assert len(body) == 15 + 160 * 120
    assert 0 <= float(head["Frame-Age"]) <= 2
    status, body, head = rehearsal.ask("player-gateway", "GET", "/frame", headers={"Accept": "image/png"})
    assert (status, head["Content-Type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    assert body.endswith(b"IEND\xaeB`\x82")


def test_picture_is_refused_when_nobody_consented_or_consent_ended(rehearsal: Rehearsal) -> None:
    assert rehearsal.film("crowd-9")[0] == 403
    assert rehearsal.consent("crowd-8") == 200
    assert rehearsal.film("crowd-8")[0] == 202
    assert rehearsal.consent("crowd-8", granted=False) == 200
    assert rehearsal.film("crowd-8")[0] == 403, "what ingest remembered is forgotten when the owner says otherwise"


def test_clip_is_stored_under_its_digest_and_noted_when_shown(rehearsal: Rehearsal) -> None:
    before = rehearsal.json("ledger-writer", "/head")["entries"]
    until(lambda: shown(rehearsal) and rehearsal.json("ledger-writer", "/head")["entries"] > before, "nothing is noted")
    until(lambda: shown(rehearsal) and rehearsal.json("ledger-writer", "/head")["batches"] > 0, "no batch is sealed")
    batch = rehearsal.json("ledger-writer", "/batches/1")
    kept = [digest for _, source, digest in batch["entries"] if source == "composer"]
    found = [rehearsal.ask("media-store", "GET", f"/objects/{digest}")[0] for digest in kept]
    assert set(found) == {200}
    assert rehearsal.json("ledger-writer", "/verify")["whole"] is True
    assert rehearsal.json("ledger-writer", "/head")["state"].endswith("queued for a ledger")
    at = {"batch": 1, "hash": batch["hash"], "ledger": "main", "transaction": "0x" + "1" * 64, "block": 7}
    wrong = json.dumps(at | {"hash": "0" * 64}).encode()
    assert rehearsal.ask("ledger-writer", "POST", "/anchored", wrong)[0] == 409
    assert rehearsal.ask("ledger-writer", "POST", "/anchored", json.dumps(at).encode())[0] == 200
    assert rehearsal.json("ledger-writer", "/batches/1")["anchored"] == [
        {"ledger": "main", "transaction": at["transaction"], "block": 7}
    ]
    assert rehearsal.json("ledger-writer", "/head")["anchored"] == 1


def test_camera_with_more_to_tell_is_shown_when_recommender_says_so(rehearsal: Rehearsal) -> None:
    assert rehearsal.consent("crowd-1") == 200
    turn = iter(range(10_000))

    def lively() -> bool:
        rehearsal.film("crowd-1", shade=next(turn) * 40)
        return shown_camera() == "crowd-1"

    def shown_camera() -> str:
        return str(rehearsal.json("composer", "/choice")["camera"])

    until(lambda: rehearsal.film("stage-1")[0] == 202 and lively(), "the moving picture is not chosen")
    choice = rehearsal.json("composer", "/choice")
    assert choice["scores"]["crowd-1"] > choice["scores"].get("stage-1", 0)


def test_composer_keeps_its_choice_when_recommender_is_killed(rehearsal: Rehearsal) -> None:
    until(lambda: shown(rehearsal), "the story does not run")
    rehearsal.kill("story-recommender")
    failed = rehearsal.metric("composer", "dappops_upstream_errors_total", peer="story-recommender")
    until(
        lambda: (
            shown(rehearsal)
            and rehearsal.metric("composer", "dappops_upstream_errors_total", peer="story-recommender") > failed + 1
        ),
        "the story stops, or the failure is not counted",
    )
    choice = rehearsal.json("composer", "/choice")
    assert (choice["camera"], choice["advised"]) == ("stage-1", False)
    rehearsal.again("story-recommender")
    until(lambda: shown(rehearsal) and rehearsal.json("composer", "/choice")["advised"], "advice does not come back")


def test_recommender_says_so_when_the_programme_is_away(rehearsal: Rehearsal) -> None:
    rehearsal.kill("event-knowledge")
    until(
        lambda: shown(rehearsal) and not rehearsal.json("story-recommender", "/healthz")["programme"], "it says nothing"
    )
    assert rehearsal.json("composer", "/choice")["advised"], "scores without a programme are still advice"
    rehearsal.again("event-knowledge")
    until(
        lambda: shown(rehearsal) and rehearsal.json("story-recommender", "/healthz")["programme"],
        "it does not come back",
    )


def test_digests_wait_and_none_is_lost_when_ledger_writer_is_killed(rehearsal: Rehearsal) -> None:
    until(lambda: shown(rehearsal) and rehearsal.json("ledger-writer", "/head")["entries"] > 0, "nothing was noted")
    acknowledged = rehearsal.json("ledger-writer", "/head")["entries"]
    rehearsal.kill("ledger-writer")
    until(lambda: shown(rehearsal) and rehearsal.metric("composer", "dappops_queue_length") >= 2, "nothing waits")
    assert rehearsal.consent("balcony-7") == 200, "a consent counts, ledger or not"
    until(lambda: rehearsal.metric("consent-registry", "dappops_queue_length") >= 1, "its note does not wait")
    rehearsal.again("ledger-writer")
    head = until(
        lambda: (
            rehearsal.metric("composer", "dappops_queue_length") == 0
            and rehearsal.metric("consent-registry", "dappops_queue_length") == 0
            and rehearsal.json("ledger-writer", "/head")
        ),
        "what waited is not handed on",
    )
    assert head["entries"] >= acknowledged + 3
    assert rehearsal.json("ledger-writer", "/verify")["whole"] is True


def test_clips_wait_when_media_store_is_killed(rehearsal: Rehearsal) -> None:
    rehearsal.kill("media-store")
    until(lambda: shown(rehearsal) and rehearsal.metric("composer", "dappops_queue_length") >= 2, "nothing waits")
    rehearsal.again("media-store")
    until(lambda: shown(rehearsal) and rehearsal.metric("composer", "dappops_queue_length") <= 1, "what waited stays")


def test_failure_is_told_by_every_caller_when_composer_is_killed(rehearsal: Rehearsal) -> None:
    until(lambda: shown(rehearsal), "the story does not run")
    rehearsal.kill("composer")
    _, body, _ = until(lambda: (got := rehearsal.film())[0] == 502 and got, "phones are not told")
    assert json.loads(body)["peer"] == "ingest"
    assert "composer" in json.loads(body)["error"], "the culprit's name travels up"
    for unit, peer in (("venue-relay", "ingest"), ("ingest", "transcoder"), ("transcoder", "composer")):
        assert rehearsal.metric(unit, "dappops_upstream_errors_total", peer=peer) > 0
        assert rehearsal.metric(unit, "dappops_requests_total", route="/frames", code="502") > 0
    until(lambda: rehearsal.ask("player-gateway", "GET", "/frame")[0] == 503, "an old picture is shown as live")
    assert "s old" in rehearsal.json("player-gateway", "/story")["error"]
    rehearsal.again("composer")
    until(lambda: shown(rehearsal), "the story does not come back")


def test_nothing_is_shown_without_known_consent_when_registry_is_killed(rehearsal: Rehearsal) -> None:
    until(lambda: shown(rehearsal), "the story does not run")
    rehearsal.kill("consent-registry")
    assert rehearsal.film()[0] == 202, "what was just asked is remembered"
    until(lambda: rehearsal.film()[0] == 502, "pictures pass without a known consent")
    rehearsal.again("consent-registry")
    until(lambda: shown(rehearsal), "consents did not survive")


def test_unit_is_found_where_it_moved_when_peers_file_changes(rehearsal: Rehearsal) -> None:
    rehearsal.running["transcoder"].terminate()
    assert rehearsal.running["transcoder"].wait(10) == 0
    until(lambda: rehearsal.film()[0] == 502, "its absence is not told")
    rehearsal.ports["transcoder"] = free_port()
    rehearsal.again("transcoder")
    rehearsal.tell_peers()
    until(lambda: shown(rehearsal), "the new place is not used")


def test_transcoder_filters_itself_and_says_so_when_no_broker_answers(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.kill("transcoder")
    rehearsal.again("transcoder", DAPPOPS_BROKER=str(tmp_path / "nobody.sock"))
    until(lambda: shown(rehearsal), "the story does not run")
    until(
        lambda: rehearsal.film(unit="transcoder") and "away" in rehearsal.json("transcoder", "/healthz")["broker"],
        "the broker is not found to be away",
    )
    assert rehearsal.film(unit="transcoder")[2]["Filtered-By"] == "numpy"
    assert rehearsal.metric("transcoder", "dappops_filtered_total", by="numpy") > 0


def test_controller_follows_the_monitor_when_pictures_flow(rehearsal: Rehearsal) -> None:
    until(
        lambda: (
            shown(rehearsal)
            and rehearsal.json("stream-monitor", "/streams").get("player-gateway", {}).get("frames_per_second", 0) > 0
        ),
        "the monitor sees no pictures",
    )
    until(
        lambda: rehearsal.json("bitrate-controller", "/target")["why"] != "nothing was measured yet",
        "it does not steer",
    )
    rehearsal.kill("stream-monitor")
    failed = rehearsal.metric("bitrate-controller", "dappops_upstream_errors_total", peer="stream-monitor")
    until(
        lambda: rehearsal.metric("bitrate-controller", "dappops_upstream_errors_total", peer="stream-monitor") > failed,
        "its failure is not counted",
    )
    rehearsal.again("stream-monitor")


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({}, b"x" * 12, 400, "header Camera"),
        ({"Camera": "a"}, b"x" * 12, 400, "Size (160x120)"),
        ({"Camera": "a", "Captured": "1", "Size": "4x4"}, b"x" * 12, 400, "12 bytes are no grey picture of 4x4"),
        ({"Camera": "a", "Captured": "soon", "Size": "4x3"}, b"x" * 12, 400, "Captured"),
    ],
)
def test_picture_is_refused_with_the_reason_when_it_is_none(
    rehearsal: Rehearsal, headers: dict[str, str], body: bytes, status: int, said: str
) -> None:
    got, told, _ = rehearsal.ask("venue-relay", "POST", "/frames", body, headers)
    assert got == status
    assert said in json.loads(told)["error"]


def test_unit_refuses_when_path_or_body_is_wrong(rehearsal: Rehearsal) -> None:
    assert rehearsal.ask("composer", "GET", "/nowhere")[0] == 404
    assert rehearsal.ask("venue-relay", "POST", "/frames", b"x" * ((1 << 20) + 1))[0] == 413
    assert rehearsal.ask("ledger-writer", "POST", "/entries", b"{")[0] == 400
    assert rehearsal.ask("ledger-writer", "POST", "/entries", b'{"source": "t", "digests": ["zz"]}')[0] == 400
    assert rehearsal.ask("media-store", "PUT", f"/objects/{'0' * 64}", b"other")[0] == 400
    assert rehearsal.ask("media-store", "GET", f"/objects/{'0' * 64}")[0] == 404
    assert rehearsal.ask("consent-registry", "PUT", "/consent/a", b'{"granted": 1}')[0] == 400
    assert rehearsal.ask("venue-relay", "POST", "/rate", b'{"frames_per_second": -1}')[0] == 400
    assert rehearsal.ask("event-knowledge", "GET", "/programme?at=noon")[0] == 400
