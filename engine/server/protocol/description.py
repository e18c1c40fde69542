"""What the endpoint is and holds: the SPARQL service description and VoID, in every RDF format.

Statistics are exact, counted on a replica of the caller's audience and kept as long as what it can read stays the same.
Sources: https://www.w3.org/TR/void/, https://www.w3.org/TR/sparql11-service-description/
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.graph.evaluating import FORMATS as PARSERS
from engine.replicas.client import Ask, Ended, Malformed
from engine.server.problem import Problem
from engine.server.protocol import tags
from engine.server.protocol.messages import Reply, Request, Send
from engine.server.protocol.negotiation import GRAPH, choose
from engine.server.protocol.sending import VARY, send_reply
from reasoners.vocab import DCTERMS, PREFIXES, RDF, XSD, Namespace

if TYPE_CHECKING:
    from engine.server.front import Front

VOID = Namespace("http://rdfs.org/ns/void#")
SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
FORMATS = Namespace("http://www.w3.org/ns/formats/")
RESULTS = ("SPARQL_Results_JSON", "SPARQL_Results_XML", "SPARQL_Results_CSV", "SPARQL_Results_TSV")
RDF_FORMATS = ("Turtle", "N-Triples", "RDF_XML", "JSON-LD", "TriG", "N-Quads")
SECONDS = 20.0  # for each count; what takes longer is left out
KEPT = 8  # audiences whose statistics are remembered
ALLOW = "GET, HEAD, OPTIONS"
COUNTS = {
    "size": "SELECT (COUNT(*) AS ?triples) (COUNT(DISTINCT ?s) AS ?subjects) (COUNT(DISTINCT ?o) AS ?objects) { ?s ?p ?o }",
    "properties": "SELECT ?p (COUNT(*) AS ?triples) (COUNT(DISTINCT ?s) AS ?subjects) (COUNT(DISTINCT ?o) AS ?objects) "
    "{ ?s ?p ?o } GROUP BY ?p ORDER BY ?p",
    "classes": "SELECT ?c (COUNT(*) AS ?entities) { ?s a ?c } GROUP BY ?c ORDER BY ?c",
    "graphs": "SELECT ?g (COUNT(*) AS ?triples) { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY ?g",
}  # fmt: skip

Rows = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of one audience's data set; a part that took too long is None."""

    etag: str
    size: Rows | None = None
    properties: Rows | None = None
    classes: Rows | None = None
    graphs: Rows | None = None


class Describing:
    """The descriptions of one front."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._known: OrderedDict[str, Statistics] = OrderedDict()
        self._counting = asyncio.Lock()

    async def respond(self, request: Request, send: Send) -> tuple[int, int]:
        """Answer GET, HEAD and OPTIONS of `/.well-known/void`, and `/sparql` without a query."""
        front = self.front
        extra = (VARY, *front.guard.headers(request))
        if request.method == "OPTIONS":
            reply = front.guard.preflight(request, ALLOW)
            return reply.status, await send_reply(send, reply, extra)
        if request.method not in ("GET", "HEAD"):
            raise Problem(405, "method", "a description is read", headers={"Allow": ALLOW})
        given = request.parameters
        asked = (given.get("format") or given.get("output") or [""])[0]
        chosen = choose(request.headers.get("accept", ""), asked, GRAPH)
        place = front.queries.admit(request.caller)
        try:
            found = await self._statistics(request.caller.audience)
        finally:
            place.release()
        tag = tags.of_answer(found.etag, request.root, chosen.name, front.settings.writable)
        headers = {"ETag": f'W/"{tag}"', "Cache-Control": "private, no-cache" if request.caller.address else "no-cache"}
        wanted = request.headers.get("if-none-match")
        if wanted and tags.is_fresh(wanted, tag):
            return 304, await send_reply(send, Reply(304, headers=headers), extra)
        triples = self.description(request.root, found)
        prefixes = {**PREFIXES, "void": VOID.iri, "sd": SD.iri, "formats": FORMATS.iri}
        named = prefixes if chosen.name not in ("nt", "nquads") else None
        body = ox.serialize(triples, format=PARSERS[chosen.name], prefixes=named)
        assert body is not None
        reply = Reply(200, body, chosen.content_type, headers)
        return 200, await send_reply(send, reply, extra, head=request.method == "HEAD")

    # -- counting ---------------------------------------------------------------------------------------------------
    async def _statistics(self, audience: str) -> Statistics:
        """Counts of what the audience reads now; one at a time, because they cost."""
        async with self._counting:
            etag = self.front.replicas.state(audience).etag
            found = self._known.get(audience)
            if found is None or not etag or found.etag != etag:
                parts: dict[str, Any] = {}
                for name, text in COUNTS.items():
                    parts[name], etag = await self._rows(audience, text, etag)
                found = self._known[audience] = Statistics(etag, **parts)
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(audience)
            return found

    async def _rows(self, audience: str, text: str, etag: str) -> tuple[Rows | None, str]:
        settings = self.front.settings
        ask = Ask(
            text, seconds=SECONDS, memory_mib=settings.limits.memory_mib, rows=100_000, mib=32, dataset=settings.dataset
        )
        try:
            answer = await self.front.replicas.ask(audience, ask)
            try:
                body = answer.whole or b"".join([chunk async for chunk in answer.chunks()])
            finally:
                await answer.close()
        except (Ended, Malformed):
            return None, etag
        rows = json.loads(body)["results"]["bindings"]
        return [
            {name: term["value"] for name, term in row.items()} for row in rows if all(t["type"] != "bnode" for t in row.values())
        ], answer.etag  # fmt: skip

    # -- telling ----------------------------------------------------------------------------------------------------
    def description(self, root: str, found: Statistics) -> list[ox.Triple]:
        """Triples about the data set `<root>.well-known/void#dataset` and its service `<root>sparql`."""
        settings = self.front.settings
        service, dataset = ox.NamedNode(f"{root}sparql"), ox.NamedNode(f"{root}.well-known/void#dataset")
        default = ox.NamedNode(f"{root}.well-known/void#default-graph")
        out = [
            ox.Triple(service, RDF.type, SD.Service),
            ox.Triple(service, SD.endpoint, service),
            ox.Triple(service, SD.supportedLanguage, SD.SPARQL11Query),
            ox.Triple(service, SD.defaultDataset, dataset),
            *(ox.Triple(service, SD.resultFormat, FORMATS(name)) for name in (*RESULTS, *RDF_FORMATS)),
            ox.Triple(dataset, RDF.type, SD.Dataset),
            ox.Triple(dataset, RDF.type, VOID.Dataset),
            ox.Triple(dataset, DCTERMS.title, ox.Literal("A DAppOps knowledge base", language="en")),
            ox.Triple(dataset, VOID.sparqlEndpoint, service),
            ox.Triple(dataset, SD.defaultGraph, default),
            ox.Triple(default, RDF.type, SD.Graph),
            *(ox.Triple(dataset, VOID.feature, FORMATS(name)) for name in RDF_FORMATS),
        ]
        if settings.dataset == "union":
            out += [
                ox.Triple(service, SD.feature, SD.UnionDefaultGraph),
                ox.Triple(dataset, VOID.vocabulary, ox.NamedNode(PREFIXES["dapp"])),
            ]
        if settings.writable:
            out.append(ox.Triple(service, SD.supportedLanguage, SD.SPARQL11Update))
            out += [ox.Triple(service, SD.inputFormat, FORMATS(name)) for name in RDF_FORMATS]
        for row in found.size or ():
            for node in (dataset, default):
                out.append(_number(node, VOID.triples, row["triples"]))
            out.append(_number(dataset, VOID.distinctSubjects, row["subjects"]))
            out.append(_number(dataset, VOID.distinctObjects, row["objects"]))
        out += _partitions(dataset, found)
        for number, row in enumerate(found.graphs or ()):
            part, graph = ox.BlankNode(f"g{number}"), ox.BlankNode(f"c{number}")
            out += [
                ox.Triple(dataset, SD.namedGraph, part),
                ox.Triple(part, RDF.type, SD.NamedGraph),
                ox.Triple(part, SD.name, ox.NamedNode(row["g"])),
                ox.Triple(part, SD.graph, graph),
                ox.Triple(graph, RDF.type, SD.Graph),
                _number(graph, VOID.triples, row["triples"]),
            ]
        return out


def _partitions(dataset: ox.NamedNode, found: Statistics) -> Iterable[ox.Triple]:
    if found.properties is not None:
        yield _number(dataset, VOID.properties, str(len(found.properties)))
    for number, row in enumerate(found.properties or ()):
        part = ox.BlankNode(f"p{number}")
        yield ox.Triple(dataset, VOID.propertyPartition, part)
        yield ox.Triple(part, VOID.property, ox.NamedNode(row["p"]))
        yield _number(part, VOID.triples, row["triples"])
        yield _number(part, VOID.distinctSubjects, row["subjects"])
        yield _number(part, VOID.distinctObjects, row["objects"])
    if found.classes is not None:
        yield _number(dataset, VOID.classes, str(len(found.classes)))
    for number, row in enumerate(found.classes or ()):
        part = ox.BlankNode(f"t{number}")
        yield ox.Triple(dataset, VOID.classPartition, part)
        yield ox.Triple(part, VOID("class"), ox.NamedNode(row["c"]))
        yield _number(part, VOID.entities, row["entities"])


def _number(node: ox.NamedNode | ox.BlankNode, predicate: ox.NamedNode, value: str) -> ox.Triple:
    return ox.Triple(node, predicate, ox.Literal(value, datatype=XSD.integer))


__all__ = ["Describing", "Statistics"]
