"""A temperature served over HTTP, measured by three witnesses, attested to a contract: the median, and only with a quorum."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from agreement_ground import Ground
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BusyError, InputError
from engine.graph.keys import KeyRing
from engine.ledger.agreements import oracle
from engine.ledger.agreements.desk import SocketDesk
from engine.ledger.agreements.probes import Probe
from engine.ledger.chain import Address
from engine.ledger.contracts import Contract, interface
from reasoners.vocab import DAPPI

SERIES = "cold box 1"
METRIC = DAPPI.ResponseTime.value  # any metric of the ontology serves


class Sensors(http.server.BaseHTTPRequestHandler):
    """`/1`, `/2`, `/3`: what three sensors say."""

    values = {"/1": 5.25, "/2": 5.5, "/3": 5.75}  # noqa: RUF012  # changed by the tests

    def do_GET(self) -> None:
        body = json.dumps({"celsius": self.values[self.path]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def sensors() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sensors)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def log(place: Ground) -> Contract:
    """A ReadingLog whose witnesses are the three, two of whom decide; the box is to be between 2 and 8 degrees."""
    chain, account = place.connected.chain, place.consumer
    logic = Contract.deploy(chain, account, "ReadingLog")
    group = ([account], 1, [], sorted(place.witnesses), 2)
    origin = (0, "0x" + "00" * 20, bytes(32))
    bounds = [2 * oracle.MILLION], [8 * oracle.MILLION]
    call = interface("ReadingLog").encode("initialize", (group, origin, [oracle.series_of(SERIES)], *bounds))
    proxy = Contract.deploy(chain, account, "ApplicationProxy", logic.address, call)
    return Contract(chain, Address(proxy.address), "ReadingLog")


def asked(place: Ground, log: Contract) -> oracle.Round:
    place.hands.at += 60
    return oracle.Round(
        place.connected.chain.chain_id, log.address, oracle.series_of(SERIES), METRIC, int(place.hands.at)
    )


def part(place: Ground, asked: oracle.Round, number: int, url: str, **options: object) -> object:
    """One witness's part, or the error that ended it."""
    account, folder = list(place.witnesses.items())[number]
    key = KeyRing(folder / "keys").unlock(account)
    base = place.kb.graph_iri("main").split("/g/", 1)[0]
    assert place.kb.home is not None
    desk = SocketDesk(place.kb.home, key, f"{base}/g/{account}/witness")
    probe = Probe("http", f"{url}/{number + 1}", 2.0, "/celsius")
    try:
        return oracle.take_part(
            place.kb,
            place.connected,
            asked,
            key,
            base,
            desk,
            probe,
            **{"tolerance": oracle.MILLION, "patience": 10.0, **options},
        )
    except (BusyError, InputError) as error:
        return error


def played(place: Ground, asked: oracle.Round, url: str, numbers: tuple[int, ...], **options: object) -> list[object]:
    """Witnesses at the same time."""
    found: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, part(place, asked, n, url, **options))) for n in numbers
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[n] for n in numbers]


def test_reading_reaches_the_contract_as_the_median_of_three(place: Ground, log: Contract, sensors: str) -> None:
    this = asked(place, log)
    told = played(place, this, sensors, (0, 1, 2))
    assert any(isinstance(t, dict) for t in told)
    assert all(isinstance(t, dict) or "needed" in str(t) for t in told), told
    value, at, breaches = log.call("latest", this.series)
    assert (value, at, breaches) == (5_500_000, this.time, 0)
    again = oracle.attest(place.kb, place.connected, this, oracle.operators(log))
    assert (again["value"], again["transaction"]) == (5.5, None)
    signed = oracle.readings(place.kb, this, oracle.operators(log), agreed=False)
    assert sorted(v for _, v, _ in signed.values()) == [5_250_000, 5_500_000, 5_750_000]


def test_witness_does_not_sign_when_its_own_reading_is_far_off(
    place: Ground, log: Contract, sensors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sensor is broken: the other two agree all the same, and what they attest is a breach."""
    monkeypatch.setattr(Sensors, "values", {"/1": 9.0, "/2": 9.1, "/3": 85.0})
    this = asked(place, log)
    told = played(place, this, sensors, (0, 1, 2))
    assert isinstance(told[2], BusyError)
    assert "too far" in told[2].message
    oracle.attest(place.kb, place.connected, this, oracle.operators(log))
    assert log.call("latest", this.series) == (9_100_000, this.time, 1)
    assert len(log.events("ThresholdBreached")) == 1


def test_reading_does_not_reach_the_contract_without_a_quorum(place: Ground, log: Contract, sensors: str) -> None:
    before = log.call("latest", oracle.series_of(SERIES))
    [told] = played(place, asked(place, log), sensors, (1,), patience=0.1)
    assert isinstance(told, BusyError)
    assert "1 witnesses signed one value, 2 needed" in told.message
    assert log.call("latest", oracle.series_of(SERIES)) == before
    [stranger] = [KeyRing(place.folder / "home" / "keys").unlock(place.provider)]
    base = place.kb.graph_iri("main").split("/g/", 1)[0]
    with pytest.raises(InputError, match="no witness of this contract"):
        oracle.take_part(
            place.kb, place.connected, asked(place, log), stranger, base,
            SocketDesk(place.folder / "home", stranger, f"{base}/g/{stranger.address}/witness"),
            Probe("http", f"{sensors}/1", 2.0, "/celsius"), tolerance=1,
        )  # fmt: skip


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_median_lies_between_what_was_measured(values: list[float]) -> None:
    measured = [oracle.millionths(v) for v in values]
    found = oracle.median_of(measured)
    assert found in measured
    assert sum(v <= found for v in measured) * 2 >= len(measured)
    assert sum(v >= found for v in measured) * 2 >= len(measured)


def test_series_is_a_name_or_its_digits() -> None:
    assert oracle.series_of(oracle.series_of(SERIES).hex()) == oracle.series_of(SERIES)
    with pytest.raises(InputError):
        oracle.median_of([])
