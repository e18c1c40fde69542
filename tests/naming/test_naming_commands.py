"""`dappops name …` and what the graph `ledger` says of a name."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.query
import pyoxigraph as ox
import pytest

import engine
from engine.cli import main
from engine.graph.keys import KeyRing
from engine.ledger import home, naming
from engine.ledger.naming.statements import GRAPH, name_iri
from reasoners.vocab import DAPP, RDF


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("named")


MAIN = "from engine.cli import main; main()"


def ran(folder: Path, *args: str) -> tuple[int, str, str]:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as left, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(["--home", str(folder), *args])
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def test_name_is_registered_moved_and_served_by_commands(folder: Path) -> None:
    code, out, err = ran(folder, "name", "register", "festival.live", "https://127.0.0.1:8443/", "--json")
    assert code == 0, err
    first = json.loads(out)
    assert (first["version"], first["alive"]) == (1, True)
    serving = subprocess.Popen(
        [sys.executable, "-c", MAIN, "--home", str(folder), "--json", "name", "serve", "--dns-port", "0", "--http-port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        at = json.loads("".join(iter(serving.stdout.readline, "}\n")) + "}")
        query = dns.message.make_query("festival.live", "A")
        assert dns.query.udp(query, at["host"], timeout=5, port=at["dns"]).answer[0][0].to_text() == "127.0.0.1"
        # beside the process that serves
        code, out, err = ran(folder, "name", "move", "festival.live", "https://127.0.0.2:8443/")
        assert code == 0, err
        assert "version 2" in out
    finally:
        serving.terminate()
        assert serving.wait(timeout=20) == 0
    code, out, _ = ran(folder, "name", "resolve", "festival.live")
    assert (code, out) == (0, "https://127.0.0.2:8443/\n")
    code, _, err = ran(folder, "name", "resolve", "fastival.live")
    assert code == 3
    assert "did you mean 'festival.live'" in err


def test_graph_says_what_the_registry_says(folder: Path) -> None:
    name = "graph.live"
    with engine.open(folder) as kb:
        connected = home.ensure(folder, KeyRing(folder / "keys"), kb.author)
        graph = kb.graph_iri(GRAPH)
        application = f"{kb.graph_iri('main')}/festival"

        def said() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for row in kb.quads(ox.NamedNode(name_iri(graph, "main", name)), graph=graph):
                found.setdefault(row.predicate.value, set()).add(getattr(row.object, "value", str(row.object)))
            return found

        assert naming.state_name(kb, connected, name) is None  # nobody has it
        naming.register(connected, kb.author, name, endpoints=["https://127.0.0.1/"])
        assert naming.state_name(kb, connected, name, application=application) is not None
        assert naming.state_name(kb, connected, name) is None
        first = said()
        assert first[RDF.type.value] == {DAPP.ApplicationName.value}
        assert first[DAPP.registeredName.value] == {name}
        assert first[DAPP.ofApplication.value] == {application}
        assert first[DAPP.resolvesTo.value] == {"https://127.0.0.1/"}
        naming.move(connected, kb.author, name, ["https://127.0.0.2/", "https://127.0.0.3/"])
        naming.state_name(kb, connected, name)
        second = said()
        assert second[DAPP.resolvesTo.value] == {"https://127.0.0.2/", "https://127.0.0.3/"}
        assert {k: v for k, v in second.items() if k != DAPP.resolvesTo.value} == {
            k: v for k, v in first.items() if k != DAPP.resolvesTo.value
        }
        # somebody else's move comes into the graph with the next look
        naming.move(connected, kb.author, name, ["https://127.0.0.4/"])
        assert naming.follow(kb, connected) == [name]
        assert naming.follow(kb, connected) == []
        assert said()[DAPP.resolvesTo.value] == {"https://127.0.0.4/"}
        assert said()[DAPP.ofApplication.value] == {application}
