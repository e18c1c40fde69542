"""Two bases that differ only in private graphs, and a `dappops serve` over each."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyoxigraph as ox

import engine
from engine.graph.keys import Key, KeyRing
from engine.server.identity.message import signed_digest
from reasoners.vocab import DAPP, OWL, RDF, RDFS

HOST = "localhost"  # what both servers are asked for, so that addresses in answers are the same
TIMES = [f"2026-01-0{day}T10:00:00Z" for day in range(1, 7)]
NOT_COMPARED = ("date", "connection")  # the time of day; and what the server's socket code says of the connection
SECRET_WORD = "zirconium"
PUBLIC = """
:shop a dapp:QualityCriticalApplication ; rdfs:label "Small shop"@en ; dapp:hasUnit :web, :store .
:web a dapp:FunctionalUnit ; rdfs:label "Web front"@en ; dapp:dependsOn :store .
:store a dapp:TrustUnit ; rdfs:label "Store"@en .
:owner a dapp:StakeholderRole ; rdfs:label "Shop owner"@en .
:cloud a dapp:CentralisedProvider ; rdfs:label "Example Cloud"@en .
:north a dapp:Region ; rdfs:label "North"@en ; dapp:within dappi:Country-SE .
:plan a dapp:Decision ; dapp:purpose "plan" ; dapp:onApplication :shop ; dapp:answers :asked ;
  dapp:atTime "2026-01-01T10:00:00Z"^^xsd:dateTime ; dapp:usedState :head ; dapp:chose :placedWeb ;
  dapp:solver "HiGHS" ; dapp:solverVersion "1.10" ; dapp:seed 0 .
:asked a dapp:DecisionRequest ; dapp:purpose "plan" ; dapp:onApplication :shop .
:head a dapp:GraphHead ; dapp:ofGraph <urn:x> ; dapp:sequence 1 ;
  dapp:headHash "00000000000000000000000000000000000000000000000000000000000000ff" .
:placedWeb a dapp:Placement ; dapp:placesUnit :web ; dapp:onOffer :slots ; dapp:inDecision :plan .
<urn:example:mast> rdfs:label "mast" . :north a :Kind .
"""
PREFIXES = """@prefix dapp: <https://w3id.org/dappops#> . @prefix dappi: <https://w3id.org/dappops/id#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
"""
# what would join, derive, be found, close or open findings, and contradict, if it counted for others
PRIVATE = f"""
:web rdfs:label "{SECRET_WORD} front"@fr ; dapp:implementedBy :program . :store dapp:dependsOn :hidden .
:shop a dapp:QualityCriticalApplication ; rdfs:label "{SECRET_WORD} shop"@fr ; dapp:hasUnit :hidden .
:hidden a dapp:FunctionalUnit ; rdfs:label "Hidden {SECRET_WORD}"@en ; dapp:dependsOn :web .
:cloud a dapp:Region ; rdfs:label "Other name"@fr ; dapp:within dappi:Country-PT . :north dapp:within dappi:Country-PT .
:placedHidden a dapp:Placement ; dapp:placesUnit :hidden ; dapp:onOffer :nothing ; dapp:inDecision :plan .
:Kind rdfs:subClassOf :Sort ; owl:disjointWith dapp:FunctionalUnit . :hidden a :Kind .
<urn:example:mast> owl:sameAs <urn:example:pole> ; rdfs:label "{SECRET_WORD} mast" .
:other a dapp:QualityCriticalApplication ; rdfs:label "Another shop"@en ; dapp:hasUnit :hidden .
"""


@dataclass
class Server:
    """A running `dappops serve`."""

    home: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "engine.cli",
            "--home",
            str(self.home),
            "--json",
            "serve",
            "--port",
            str(self.port),
        ]
        log = (self.home.parent / f"{self.home.name}.log").open("w")
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        assert self.process.stdout is not None
        said = "".join(self.process.stdout.readline() for _ in range(4))
        assert '"url"' in said, (said, (self.home.parent / f"{self.home.name}.log").read_text()[-2000:])

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        who: str = "",
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """One request; status, headers and body. `who` has signed in."""
        sent = {"Host": HOST, "Accept": "*/*", **(headers or {})}
        if who:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, sent)
            answer = connection.getresponse()
            data = answer.read()
            told = sorted((k.lower(), v) for k, v in answer.getheaders() if k.lower() not in NOT_COMPARED)
            return answer.status, told, data
        finally:
            connection.close()

    def json(self, method: str, path: str, data: Any = None, who: str = "") -> tuple[int, Any]:
        """Send and get JSON."""
        headers = {} if data is None else {"Content-Type": "application/json"}
        status, _, body = self.ask(method, path, headers, None if data is None else json.dumps(data), who)
        return status, json.loads(body) if body else None

    def sign_in(self, who: str, key: Key) -> None:
        """Sign in with a key, as a wallet would."""
        status, told = self.json("POST", "/api/sign-in/nonce", {"address": key.address})
        assert status == 200, told
        signature = key.sign(signed_digest(told["message"])).hex()
        status, told = self.json("POST", "/api/sign-in", {"message": told["message"], "signature": signature})
        assert status == 200, told
        self.tokens[who] = told["token"]

    def rows(self, query: str, who: str = "") -> list[list[str]]:
        """Rows of a SELECT, as values."""
        status, _, body = self.ask(
            "POST",
            "/sparql",
            {"Content-Type": "application/sparql-query", "Accept": "application/sparql-results+json"},
            query,
            who,
        )
        assert status == 200, body
        told = json.loads(body)
        return [[b[v]["value"] if v in b else "" for v in told["head"]["vars"]] for b in told["results"]["bindings"]]


@dataclass
class Bases:
    """`plain` holds public graphs only, `secret` private ones beside them."""

    plain: Server
    secret: Server
    node: str
    owner: Key
    reader: Key
    stranger: Key
    base: str

    @property
    def both(self) -> tuple[Server, Server]:
        return self.plain, self.secret

    def main(self) -> str:
        """The owner's public graph."""
        return f"{self.base}/g/{self.owner.address}/main"

    def hidden(self, name: str = "diary") -> str:
        """A private graph of the owner's."""
        return f"{self.base}/g/{self.owner.address}/{name}"


def triples(text: str, graph: str) -> list[ox.Triple]:
    """Turtle whose empty prefix is the graph's."""
    found = ox.parse(f"{PREFIXES}@prefix : <{graph}/> .\n{text}", format=ox.RdfFormat.TURTLE)
    return [q.triple for q in found]


def bulk(graph: str, number: int) -> list[ox.Triple]:
    """Many statements of no interest."""
    made = []
    for n in range(number):
        node = ox.NamedNode(f"{graph}/n{n}")
        made += [
            ox.Triple(node, RDF.type, DAPP.Region), ox.Triple(node, RDFS.label, ox.Literal(f"{SECRET_WORD} {n}")),
            ox.Triple(node, DAPP.within, ox.NamedNode(f"{graph}/n{n // 2}")),
        ]  # fmt: skip
    return made


def build(folder: Path, effort: int) -> Bases:
    """Make both bases: one history of public commits at the same times, private commits before, between and after."""
    first, second = folder / "plain", folder / "secret"
    with engine.open(first) as kb:
        assert kb.kernel is not None
        node, base = kb.kernel.node, kb.kernel.base
        owner = kb.kernel.keys.create()
        # graphs are made before the copy: when a graph was made is not ours to say
        for author in (node, owner.address):
            kb.call("make_graph", graph="main", author=author)
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("owner.sock", "owner.lock"))
    others = KeyRing(folder / "others")
    bases = Bases(Server(first), Server(second), node, owner, others.create(), others.create(), base)
    for server in bases.both:
        _history(bases, server.home, private=server is bases.secret, effort=effort)
    return bases


def _history(bases: Bases, home: Path, *, private: bool, effort: int) -> None:
    owner, node = bases.owner.address, bases.node
    main, mine = bases.main(), f"{bases.base}/g/{node}/main"
    diary, ledger = bases.hidden(), f"{bases.base}/g/{node}/ledger-of-ours"
    secret, public = triples(PRIVATE, main), triples(PUBLIC, main)
    left = ox.NamedNode(f"{main}/cloud"), ox.NamedNode(f"{mine}/cloud")
    with engine.open(home) as kb:
        kernel = kb.kernel
        assert kernel is not None

        def say(graph: str, removed: list[ox.Triple], added: list[ox.Triple], author: str, time: str) -> None:
            kernel.commit({graph: (removed, added)}, author=author, time=time, message="")

        if private:
            kb.call("make_graph", graph=diary, author=owner, audience="private")
            kb.call("make_graph", graph=ledger, author=node, audience="private")
            listed = ox.Triple(
                ox.NamedNode(diary), DAPP.readableBy, ox.NamedNode(f"{bases.base}/g/{bases.reader.address}")
            )
            say(diary, [], [*secret, public[0], public[4], listed], owner, TIMES[0])
        say(main, [], public, owner, TIMES[1])
        say(mine, [], [ox.Triple(left[1], OWL.sameAs, left[0]), *triples(':x rdfs:label "x" .', mine)], node, TIMES[1])
        if private:
            # the other half of an equality, which would make one thing of two; statements that are public, too
            say(diary, [], [ox.Triple(left[0], OWL.sameAs, left[1]), *public[:4]], owner, TIMES[2])
            say(ledger, [], bulk(mine, 20 * effort), node, TIMES[2])
        say(
            main,
            triples(":web dapp:dependsOn :store .", main),
            triples(':web rdfs:comment "second" .', main),
            owner,
            TIMES[3],
        )
        if private:
            say(diary, public[:4], bulk(main, 20 * effort), owner, TIMES[4])
        say(
            main,
            [],
            triples(':south a dapp:Region ; rdfs:label "South" ; dapp:within dappi:Country-PT .', main),
            owner,
            TIMES[5],
        )
        if private:
            say(ledger, bulk(mine, 5), [], node, TIMES[5])


@contextlib.contextmanager
def serving(bases: Bases) -> Iterator[Bases]:
    """Both bases, served."""
    try:
        for server in bases.both:
            server.start("--writable")
        yield bases
    finally:
        for server in bases.both:
            server.stop()


def cpu_seconds() -> float:
    """Of this process and the children it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def wait_for(check: Any, seconds: float = 30.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not come to hold"
        time.sleep(0.05)
