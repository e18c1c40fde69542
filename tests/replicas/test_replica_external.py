"""Another store as the public replica: it holds what the owner has and follows; its faults are never taken for answers."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyoxigraph as ox
import pytest
from external_stores import oxigraph, virtuoso
from replica_world import OWN, Loop, World, body_of, wanted_quads

from engine.graph.keys import KeyRing
from engine.graph.labels import skolem
from engine.replicas.answers import State
from engine.replicas.client import GRAPH_FORMATS, ROWS_FORMATS, Ask, Ended, Malformed
from engine.replicas.evaluation import GRAPHS
from engine.replicas.remote import RemoteStore

STORES: dict[str, Callable[[Path], AbstractContextManager[tuple[str, str]]]] = {
    "oxigraph": oxigraph,
    "virtuoso": virtuoso,
}


class Outside:
    """A world whose public replica is another store."""

    def __init__(self, name: str, world: World, urls: tuple[str, str], folder: Path) -> None:
        self.name, self.world, self.urls, self.folder = name, world, urls, folder

    def wanted(self) -> set[ox.Quad]:
        """What the store should hold: blank nodes are IRIs there."""
        base = self.world.kb.info()["base"]

        def named(term: Any) -> Any:
            return skolem(term, base) if isinstance(term, ox.BlankNode) else term

        quads = wanted_quads(self.world.kb, self.folder)
        return {ox.Quad(named(q.subject), q.predicate, named(q.object), q.graph_name) for q in quads}


@pytest.fixture(scope="module", params=sorted(STORES))
def outside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, loop: Loop) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp(request.param)
    with STORES[request.param](folder) as urls:
        world = World(folder / "home", loop, replica=urls[0], replica_update=urls[1])
        try:
            yield Outside(request.param, world, urls, folder)
        finally:
            world.close()


def test_the_store_holds_what_the_owner_has_and_follows(outside: Outside, effort: int) -> None:
    world = outside.world
    assert world.quads() == outside.wanted()
    rng = random.Random(7)
    graphs = [world.kb.graph_iri(n) for n in ("main", "second")]
    for _ in range(8 * effort):
        graph = rng.choice(graphs)
        receipt = world.kb.update(
            rng.choice(
                [
                    f"INSERT DATA {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(4)}> <{OWN}p> {rng.randrange(9)}, "
                    f'"é\\n\\"{rng.randrange(9)}"@fr }} }}',
                    f"INSERT DATA {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(4)}> <{OWN}p> [ <{OWN}q> {rng.randrange(3)}.5 ] }} }}",
                    f"DELETE WHERE {{ GRAPH <{graph}> {{ <{OWN}n{rng.randrange(4)}> ?p ?o }} }}",
                ]
            )
        )
        if receipt.sequence is not None:
            assert world.caught_up(receipt.sequence)
            assert world.replicas.state("public").tx >= receipt.sequence
    assert world.quads() == outside.wanted()
    assert world.replica()["loads"] == 1


def test_answers_come_in_every_format_from_another_store(outside: Outside) -> None:
    world = outside.world
    receipt = world.kb.commit(
        "main", [ox.Triple(ox.NamedNode(OWN + "f"), ox.NamedNode(OWN + "form"), ox.Literal('a "b"\n'))]
    )
    assert receipt.sequence is not None
    world.caught_up(receipt.sequence)
    text = f"SELECT ?o WHERE {{ ?s <{OWN}form> ?o }}"
    for name in ROWS_FORMATS:
        answer, body = world.answer(text, rows_format=name)
        assert answer.form == "rows"
        assert b"a " in body
        answer, body = world.answer(f"PREFIX e: <{OWN}> ASK {{ ?s e:form ?o }}", rows_format=name)
        assert (answer.form, b"true" in body) == ("boolean", True)
        answer, body = world.answer(f"ASK {{ ?s <{OWN}nothing> ?o }}", rows_format=name)
        assert (answer.form, b"false" in body) == ("boolean", True)
    for name in GRAPH_FORMATS:
        answer, body = world.answer(f"CONSTRUCT WHERE {{ ?s <{OWN}form> ?o }}", graph_format=name)
        assert answer.form == "graph"
        assert [q.object.value for q in ox.parse(body, format=GRAPHS[name])] == ['a "b"\n']  # type: ignore[union-attr]
    assert world.rows("SELECT ?o WHERE { ?s own:form ?o }", prefixes=(("own", OWN),)) == ['"a \\"b\\"\\n"']


def test_the_dataset_of_another_store_is_the_knowledge_bases_alone(outside: Outside) -> None:
    world = outside.world
    graph = world.kb.graph_iri("left")
    receipt = world.kb.commit(
        "left", [ox.Triple(ox.NamedNode(OWN + "d"), ox.NamedNode(OWN + "in"), ox.Literal("left"))]
    )
    assert receipt.sequence is not None
    world.caught_up(receipt.sequence)
    count = f"SELECT (COUNT(*) AS ?n) WHERE {{ ?s <{OWN}in> ?o }}"
    assert world.rows(count) == ["1"]
    assert world.rows(count, default_graphs=(graph,)) == ["1"]
    assert world.rows(count, default_graphs=("urn:dappops:replica",)) == ["0"]
    assert world.rows(f"SELECT (COUNT(*) AS ?n) FROM <{graph}> WHERE {{ ?s <{OWN}in> ?o }}") == ["1"]
    named = world.rows("SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }")
    assert f"<{graph}>" in named
    assert not [g for g in named if "urn:" in g or "openlink" in g], "nothing of the store's own shows"
    assert not world.rows("SELECT ?o WHERE { <urn:dappops:replica> ?p ?o }")
    assert not world.rows("SELECT ?o WHERE { GRAPH <urn:dappops:replica> { ?s ?p ?o } }")


def test_deadline_and_limits_hold_whatever_the_store_does(outside: Outside) -> None:
    world = outside.world
    slow = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(STRLEN(STR(?a)) > STRLEN(STR(?d)) + STRLEN(STR(?g))) }"
    with pytest.raises(Ended) as error:
        world.ask(slow, seconds=0.5)
    assert error.value.reason == "deadline"
    assert len(world.rows("SELECT ?s WHERE { ?s ?p ?o } LIMIT 300", rows=300)) == 300
    with pytest.raises(Ended) as error:
        world.ask("SELECT ?s WHERE { ?s ?p ?o } LIMIT 301", rows=300)
    assert error.value.reason == "rows"
    with pytest.raises(Ended) as error:
        world.ask("SELECT * WHERE { ?s ?p ?o } LIMIT 9000", mib=1)
    assert error.value.reason == "bytes"
    with pytest.raises(Malformed):
        world.ask("SELECT * WHERE { ?s ?p }")
    with pytest.raises(Malformed, match="SERVICE"):
        world.ask("SELECT * WHERE { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }")


def test_private_audiences_never_go_to_another_store(outside: Outside) -> None:
    world = outside.world
    other = KeyRing(Path(world.kb.info()["home"]) / "keys").create()
    secret = world.kb.graph_iri("secret", other.address)
    world.kb.call("make_graph", graph=secret, author=other.address, audience="private")
    receipt = world.kb.commit(
        secret, [ox.Triple(ox.NamedNode(OWN + "h"), ox.NamedNode(OWN + "h"), ox.Literal("hush"))], author=other.address
    )
    assert receipt.sequence is not None
    reader = world.kb.call("audience", reader=other.address)["key"]
    assert world.rows(f"SELECT ?o WHERE {{ ?s <{OWN}h> ?o }}", reader) == ['"hush"']
    assert world.caught_up(receipt.sequence)
    assert not world.rows(f"SELECT ?o WHERE {{ ?s <{OWN}h> ?o }}")
    # asked directly, past all of our own reading: the store has never seen it
    store = RemoteStore({"query": outside.urls[0]})

    async def look() -> bytes:
        answer = await store.ask(
            Ask(f"SELECT ?o WHERE {{ GRAPH <{secret}> {{ ?s ?p ?o }} }}", named_graphs=(secret,)), 0.0, State(1, 1, "")
        )
        return answer.whole or b""

    assert json.loads(world.loop.run(look()))["results"]["bindings"] == []
    assert world.replica("public")["url"] == outside.urls[0]
    assert world.replica(reader)["pid"]


def test_a_keeper_that_starts_again_resumes_or_loads_anew(outside: Outside) -> None:
    world = outside.world
    world.keeper.process.kill()
    receipt = world.kb.commit(
        "main", [ox.Triple(ox.NamedNode(OWN + "again"), ox.NamedNode(OWN + "p"), ox.Literal("1"))]
    )
    assert receipt.sequence is not None
    assert world.caught_up(receipt.sequence)
    assert world.quads() == outside.wanted()


# -- stores that fail ---------------------------------------------------------------------------------------------------
ROWS = json.dumps(
    {
        "head": {"vars": ["s"]},
        "results": {"bindings": [{"s": {"type": "uri", "value": f"urn:n{i}"}} for i in range(50)]},
    }
).encode()
TRIPLES = b"".join(b"<urn:s%d> <urn:p> <urn:o> .\n" % i for i in range(50))


class Faulty(BaseHTTPRequestHandler):
    """Answers as stores do when something goes wrong; the path says what."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if "urn:dappops:holds" in asked["query"][0]:
            self.reply(b'{"head":{"vars":["g"]},"results":{"bindings":[]}}', "application/sparql-results+json")
            return
        graph = "CONSTRUCT" in asked["query"][0]
        body = TRIPLES if graph else ROWS
        kind = "application/n-triples" if graph else "application/sparql-results+json"
        getattr(self, self.path.strip("/").replace("-", "_"))(body, kind)

    def head(self, kind: str, *more: tuple[str, str], status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()

    def reply(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Content-Length", str(len(body))))
        self.wfile.write(body)

    good = reply

    def cut_length(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Content-Length", str(len(body))))
        self.wfile.write(body[:-30])
        self.close_connection = True

    def cut_chunk(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Transfer-Encoding", "chunked"))
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.close_connection = True  # without the last, empty chunk

    def cut_close(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Connection", "close"))
        self.wfile.write(body[:-30])
        self.close_connection = True

    def cancelled(self, body: bytes, kind: str) -> None:
        cut = body[: len(body) // 2].rpartition(b"\n")[0] + b"\n" if b".\n" in body else body[: len(body) // 2]
        self.reply(cut + b"The SPARQL operation has been cancelled", kind)

    def clean_half(self, body: bytes, kind: str) -> None:
        self.reply(body[: len(body) // 2].rstrip(b" ") + b'"', kind)

    def partial(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Content-Length", str(len(body))), ("X-SQL-State", "S1TAT"))
        self.wfile.write(body)

    def page(self, body: bytes, kind: str) -> None:
        self.reply(b"<html>gateway</html>", "text/html")

    def error(self, body: bytes, kind: str) -> None:
        self.head("text/plain", ("Content-Length", "4"), status=500)
        self.wfile.write(b"oops")

    def stalled(self, body: bytes, kind: str) -> None:
        self.head(kind, ("Content-Length", str(len(body))))
        self.wfile.write(body[:100])
        self.wfile.flush()
        released.wait(20)


released = threading.Event()
FAULTS = ("cut-length", "cut-chunk", "cut-close", "cancelled", "clean-half", "partial", "page", "error")


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()


async def ask_faulty(url: str, text: str, seconds: float, **options: Any) -> bytes:
    loop = asyncio.get_running_loop()
    store = RemoteStore({"query": url})
    answer = await store.ask(Ask(text, **options), loop.time() + seconds, State(1, 1, "t"))
    try:
        return b"".join([piece async for piece in answer.chunks()])
    finally:
        await answer.close()


@pytest.mark.parametrize("text", ["SELECT ?s WHERE { ?s ?p ?o }", "CONSTRUCT WHERE { ?s ?p ?o }"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_is_not_whole_is_an_error_in_every_format(
    faulty: str, loop: Loop, fault: str, text: str
) -> None:
    for rows, graph in (("json", "nt"), ("csv", "turtle"), ("xml", "rdfxml")):
        with pytest.raises(Ended) as error:
            loop.run(ask_faulty(f"{faulty}/{fault}", text, 10, rows_format=rows, graph_format=graph))
        assert error.value.reason == "replica"


def test_a_whole_answer_of_the_same_server_is_taken(faulty: str, loop: Loop) -> None:
    body = loop.run(ask_faulty(f"{faulty}/good", "SELECT ?s WHERE { ?s ?p ?o }", 10, rows_format="csv"))
    assert len(body.split()) == 51
    body = loop.run(ask_faulty(f"{faulty}/good", "CONSTRUCT WHERE { ?s ?p ?o }", 10, graph_format="nt"))
    assert body == TRIPLES


def test_a_store_that_stalls_or_is_not_there_ends_at_the_deadline_or_at_once(faulty: str, loop: Loop) -> None:
    with pytest.raises(Ended) as error:
        loop.run(ask_faulty(f"{faulty}/stalled", "SELECT ?s WHERE { ?s ?p ?o }", 0.4))
    assert error.value.reason == "deadline"
    with pytest.raises(Ended) as error:
        loop.run(ask_faulty("http://127.0.0.1:1/sparql", "SELECT ?s WHERE { ?s ?p ?o }", 5))
    assert error.value.reason == "replica"


def test_a_slow_reader_holds_another_store_back(tmp_path: Path, loop: Loop) -> None:
    with oxigraph(tmp_path) as urls:
        world = World(tmp_path / "home", loop, replica=urls[0], replica_update=urls[1])
        try:
            ask = Ask("SELECT * WHERE { ?a ?b ?c . ?d ?e ?f }", seconds=1.0, rows=0, mib=0)

            async def stop() -> tuple[str, int]:
                answer = await world.replicas.ask("public", ask)
                pieces = answer.chunks()
                size = len(await anext(pieces))
                await asyncio.sleep(1.3)
                try:
                    while True:
                        size += len(await anext(pieces))
                except Ended as error:
                    return error.reason, size
                finally:
                    await answer.close()

            reason, size = loop.run(stop())
            assert reason == "deadline"
            assert size < 2 << 20
            assert loop.run(body_of(world.replicas, Ask("ASK {}")))[0].form == "boolean"
        finally:
            world.close()
