"""One owner, many clients: real processes over the real socket."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.errors import BusyError, InputError
from engine.graph.gate import Refused
from engine.graph.keys import KeyRing
from engine.graph.store import FairLock
from reasoners.vocab import DAPP, RDF, RDFS, XSD

OWNER = """
import sys, time
import engine
kb = engine.open(sys.argv[1])
assert kb.is_owner
print("READY", flush=True)
sys.stdin.read()
kb.close()
"""


@pytest.fixture
def owner(home: Path) -> Iterator[subprocess.Popen[str]]:
    process = start_owner(home)
    yield process
    process.kill()
    process.wait()


def start_owner(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "READY\n"
    return process


def labelled(kb: engine.KnowledgeBase, name: str, author: str | None = None) -> list[ox.Triple]:
    node = ox.NamedNode(f"{kb.graph_iri('main', author)}/{name}")
    return [ox.Triple(node, RDF.type, DAPP.Provider), ox.Triple(node, RDFS.label, ox.Literal(name, language="en"))]


def test_second_process_becomes_a_client_and_sees_the_same(home: Path, owner: subprocess.Popen[str]) -> None:
    with engine.open(home) as kb:
        assert not kb.is_owner
        receipt = kb.commit("main", labelled(kb, "one"))
        assert receipt.added == 2
        assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/one> a dapp:Provider }}")
        table = kb.select("SELECT ?l { ?p a dapp:Provider ; rdfs:label ?l }")
        assert table.rows == ((ox.Literal("one", language="en"),),)
        with engine.open(home) as second:
            assert second.commit("main", labelled(kb, "one")).sequence is None
            assert second.log(1) == kb.log(1)


def test_client_gets_the_refusal_with_its_report(home: Path, owner: subprocess.Popen[str]) -> None:
    with engine.open(home) as kb:
        node = ox.NamedNode(kb.graph_iri("main") + "/price")
        bad = [
            ox.Triple(node, RDF.type, DAPP.PriceSpecification),
            ox.Triple(node, DAPP.amount, ox.Literal("-1", datatype=XSD.decimal)),
        ]
        with pytest.raises(Refused) as caught:
            kb.commit("main", bad)
        assert any(r.focus == node and r.path == str(DAPP.amount) for r in caught.value.results)
        with pytest.raises(InputError, match="not SPARQL"):
            kb.query("SELECT nonsense")


def test_key_stays_with_the_client(home: Path, owner: subprocess.Popen[str], tmp_path: Path) -> None:
    """The owner never opens the client's keystore: only a signature crosses the socket."""
    address = KeyRing(home / "keys").create(passphrase="secret").address
    with engine.open(home, author=address) as kb:
        with pytest.raises(InputError, match="locked"):
            kb.commit("main", labelled(kb, "mine", address))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAPPOPS_PASSPHRASE", "secret")
            assert kb.commit("main", labelled(kb, "mine", address)).added == 2
        assert kb.log(1)[0]["commits"][0]["author"] == address


def test_client_takes_over_when_the_owner_dies(home: Path, owner: subprocess.Popen[str]) -> None:
    with engine.open(home) as kb:
        kb.commit("main", labelled(kb, "before"))
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        receipt = kb.commit("main", labelled(kb, "after"))
        assert kb.is_owner
        assert receipt.added == 2
        assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/before> ?p ?o }}")
        assert kb.call("audit")["commits"] == 3


def test_client_takes_over_when_the_owner_leaves(home: Path, owner: subprocess.Popen[str]) -> None:
    with engine.open(home) as kb:
        kb.commit("main", labelled(kb, "before"))
        assert owner.stdin is not None
        owner.stdin.close()
        owner.wait(timeout=60)
        assert kb.commit("main", labelled(kb, "after")).added == 2
        assert kb.is_owner


def test_only_a_dead_owners_lock_is_taken(home: Path) -> None:
    """A stopped owner still owns: the newcomer waits, then says who holds it."""
    owner = start_owner(home)
    try:
        (home / "owner.sock").unlink()
        with pytest.raises(BusyError, match=str(owner.pid)):
            engine.open(home, patience=0.3)
    finally:
        owner.kill()
        owner.wait()
    with engine.open(home) as kb:
        assert kb.is_owner


def test_home_with_a_long_name_has_a_socket_all_the_same(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120) / "kb"
    engine.open(home).close()
    owner = start_owner(home)
    try:
        with engine.open(home) as kb:
            assert not kb.is_owner
            assert kb.info()["head"] == 1
    finally:
        owner.kill()
        owner.wait()


def test_clients_write_at_the_same_time_and_nothing_is_lost(home: Path, owner: subprocess.Popen[str]) -> None:
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with engine.open(home) as kb:
                for index in range(5):
                    assert kb.commit("main", labelled(kb, f"p{number}-{index}")).added == 2
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with engine.open(home) as kb:
        assert kb.info()["head"] == 21
        assert len(kb.select("SELECT ?p { ?p a dapp:Provider }")) == 20


def test_lock_serves_in_order_of_arrival() -> None:
    lock = FairLock()
    order: list[str] = []
    lock.acquire()

    def wait(name: str) -> None:
        with lock.held():
            order.append(name)

    threads = []
    for name in "abc":
        thread = threading.Thread(target=wait, args=(name,))
        thread.start()
        threads.append(thread)
        while len(lock._queue) < len(threads):
            time.sleep(0.001)
    lock.release()
    with lock.held():
        order.append("last")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "last"]
