"""Starting and stopping: as a person would start it, ended by its process id; what it refuses to start with."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from endpoint_server import Answer, Served, free_port, serving, until

import engine
from engine.errors import BusyError, InputError, NotAvailableError
from engine.server import run
from engine.server.identity.exposure import is_loopback
from engine.server.settings import Settings


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_answer_under_way_is_finished_and_the_knowledge_base_closed_when_told_to_stop(
    tmp_path: Path, repo: Path
) -> None:
    home = tmp_path / "home"
    with serving(home, repo, "--writable") as served:
        assert served.told["server"] == "Granian"
        assert served.update("INSERT DATA { <urn:a> <urn:b> 1 }").status == 200
        with engine.open(home) as kb, kb.change(graph="notes", message="beside the server") as change:
            assert not kb.is_owner, "a process of the server owns it"
            change.add("urn:note", "rdfs:label", "a note")
        assert until(lambda: served.count("<urn:note> ?p ?o") == 1), "what others commit shows"
        children = served.children()
        assert len(children) >= 3
        slow = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f FILTER(?c = 7) }"
        found: list[Answer] = []
        asking = threading.Thread(target=lambda: found.append(served.query(slow)))
        asking.start()
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        asking.join()
        assert served.process.wait(60) == 0
        assert found[0].status == 200
        assert found[0].rows()
        assert not found[0].cut
    assert until(lambda: not any(_alive(pid) for pid in children)), "nothing is left behind"
    with engine.open(home) as kb:
        assert kb.is_owner, "the server let go of it"
        assert kb.call("verify")["commits"] == kb.info()["head"]
        assert kb.query("ASK { <urn:a> <urn:b> 1 }") is True


def test_nothing_can_be_written_by_default_and_all_processes_end_when_the_parent_is_killed(repo: Path) -> None:
    with serving(":memory:", repo) as served:
        answer = served.update("INSERT DATA { <urn:a> <urn:b> 1 }")
        assert (answer.status, answer.json()["type"].rsplit("/", 1)[-1]) == (403, "read-only")
        assert served.ask("PUT", "/graphs?graph=urn:x", {"Content-Type": "text/turtle"}, "").status == 403
        description = served.ask("GET", "/sparql", {"Accept": "text/turtle"}).text
        assert "SPARQL11Query" in description
        assert "SPARQL11Update" not in description
        children = served.children()
        assert served.query("ASK {}").json()["boolean"] is True
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()
        assert until(lambda: not any(_alive(pid) for pid in children), 30)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False),
     ("192.0.2.1", False), ("::", False), ("box.example", False)],
)  # fmt: skip
def test_address_is_known_to_be_this_machines_own_when_it_is(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_busy_names_the_port_when_something_listens_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BusyError, match=str(port)):
            run.check_free("127.0.0.1", port)
    with pytest.raises(InputError):
        run.check_free("not.an.address.invalid", 8080)


def test_remedy_is_named_when_an_extra_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotAvailableError) as caught:
        run.serve(Settings(str(tmp_path / "home"), port=free_port()))
    assert caught.value.remedy == 'pip install "dappops[serve]"'
    assert not (tmp_path / "home").exists()


def test_options_reach_the_server_as_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from engine.commands.server import serve

    told: list[Any] = []
    monkeypatch.setattr(run, "serve", lambda settings, ready: told.append(settings))
    options = [
        "--home",
        str(tmp_path),
        "--writable",
        "--dataset",
        "standard",
        "--timeout",
        "5",
        "--origin",
        "https://a.example",
    ]
    assert CliRunner().invoke(serve, options).exit_code == 0
    (settings,) = told
    assert (settings.writable, settings.dataset, settings.limits.seconds) == (True, "standard", 5.0)
    assert settings.origins == ("https://a.example",)
    assert Settings.from_environment(settings.to_environment()) == settings


def test_https_is_spoken_when_a_certificate_is_given(tmp_path: Path, repo: Path, effort: int) -> None:
    if effort == 1:
        pytest.skip("one more server: runs with DAPPOPS_EFFORT=full")
    import ssl
    import urllib.request
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    x509 = pytest.importorskip("cryptography.x509", reason="makes the certificate of this test")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1)).add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    options = ("--tls-certificate", str(cert_file), "--tls-key", str(key_file), "--public")
    with serving(tmp_path / "home", repo, *options) as served:
        assert isinstance(served, Served)
        assert served.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(cert_file))
        with urllib.request.urlopen(f"{served.url}sparql?query=ASK%7B%7D", context=trusting, timeout=60) as answer:
            assert answer.status == 200
