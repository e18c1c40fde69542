"""One knowledge base for all tests of this folder: two owners, a private graph, an embedded chain, heads anchored on it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

import engine
from engine.kb import KnowledgeBase
from engine.ledger import home as chains
from engine.ledger.home import Connected

EX = "https://example.org/"
Rpc = Callable[[str, list[Any]], Any]


@dataclass(frozen=True, slots=True)
class World:
    """What there is to prove."""

    kb: KnowledgeBase
    other: str  # address of a second owner, whose commits the node seals
    mine: str  # graphs
    theirs: str
    hidden: str
    unanchored: str
    connected: Connected

    def prove(self, graph: str, *terms: str, **options: Any) -> dict[str, Any]:
        """A proof file."""
        made: dict[str, Any] = self.kb.call("prove_file", graph=graph, terms=list(terms), **options)
        return made

    def node(self, graph: str, local: str) -> str:
        """A subject's text."""
        return f"<{graph}/{local}>"


def triple(graph: str, subject: str, predicate: str, value: str) -> ox.Triple:
    return ox.Triple(ox.NamedNode(f"{graph}/{subject}"), ox.NamedNode(EX + predicate), ox.Literal(value))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Commits: mine 3 (anchored at 3), theirs 3 (anchored at 3), hidden 2 (anchored alone at 2), unanchored 1."""
    home = tmp_path_factory.mktemp("world")
    with engine.open(str(home)) as kb:
        assert kb.kernel is not None
        other = kb.kernel.keys.create(private=secrets.token_bytes(32)).address
        mine, theirs, hidden = kb.graph_iri("mine"), kb.graph_iri("theirs", other), kb.graph_iri("hidden", other)
        key = kb.kernel.key(other)
        kb.kernel.graph_for(hidden, other, key.sign, audience="private")

        def say(graph: str, added: list[ox.Triple], removed: list[ox.Triple] | None = None) -> None:
            author = kb.author if graph.split("/")[-2] == kb.author else other
            assert kb.kernel is not None
            kb.kernel.commit({graph: (removed or [], added)}, author=author, message="said")

        for graph in (mine, theirs):
            say(graph, [triple(graph, f"s{i}", p, f"{p}{i}") for i in range(12) for p in ("one", "two")])
            say(graph, [triple(graph, "s1", "three", "new")], [triple(graph, "s2", "one", "one2")])
            say(graph, [triple(graph, "s3", "four", 'quoted "text"\nand more')])
        say(hidden, [triple(hidden, f"s{i}", "secret", str(i)) for i in range(5)])
        say(hidden, [triple(hidden, "s1", "secret", "more")])
        kb.call("anchor", flush=True)
        kb.call("anchor", graphs=[hidden], urgent=True)
        unanchored = kb.graph_iri("later")
        say(unanchored, [triple(unanchored, "a", "one", "1")])
        connected = chains.connect(home, "main", keys=kb.kernel.keys)
        yield World(kb, other, mine, theirs, hidden, unanchored, connected)
        connected.chain.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def rpc(world: World) -> Rpc:
    """The chain's JSON-RPC, in this process."""
    from engine.ledger.embedded.rpc import Rpc as Answers

    answers = Answers(world.connected.chain)  # type: ignore[arg-type]

    def ask(method: str, params: list[Any]) -> Any:
        told = json.loads(json.dumps(answers.answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})))
        if "result" not in told:
            from verifier.rpc import RpcError

            raise RpcError(str(told["error"]))
        return told["result"]

    return ask


@pytest.fixture(scope="session")
def kinds(world: World) -> dict[str, dict[str, Any]]:
    """A proof file of each kind."""
    w = world
    return {
        "inclusion": w.prove(w.mine, w.node(w.mine, "s3")),
        "one": w.prove(w.mine, w.node(w.mine, "s3"), f"<{EX}one>", '"one3"'),
        "absence": w.prove(w.mine, w.node(w.mine, "s3"), f"<{EX}none>"),
        "state": w.prove(w.mine, state=True),
        "history": w.prove(w.mine, since=1),
        "owner": w.prove(w.theirs, w.node(w.theirs, "s1")),
        "owner-history": w.prove(w.theirs, since=2),
        "owner-past": w.prove(w.theirs, w.node(w.theirs, "s2"), at=w.kb.log(20, w.theirs)[-1]["sequence"]),
        "private": w.prove(w.hidden, w.node(w.hidden, "s1")),
        "private-absence": w.prove(w.hidden, w.node(w.hidden, "s9")),
        "unanchored": w.prove(w.unanchored, w.node(w.unanchored, "a")),
        "head": w.prove(w.mine),
    }


@pytest.fixture(scope="session")
def repo_verifier(repo: Path) -> Path:
    """The second verifier; skips where Node or its libraries are missing."""
    import shutil

    if shutil.which("node") is None:
        pytest.skip("Node is not installed: the second verifier needs Node 20")
    if not (repo / "contracts/node_modules/@noble/curves").is_dir():
        pytest.skip("@noble/curves is not installed: npm ci in contracts/")
    return repo / "contracts" / "verifier" / "verify.mjs"
