"""The SPARQL 1.1 Graph Store HTTP Protocol at `/graphs`: reading and writing whole graphs.

A graph is named by `?graph=IRI`, by `?default`, or by the URL itself: `/graphs/<address>/<name>` is the graph
`…/g/<address>/<name>`, `/graphs/<percent-encoded IRI>` that IRI; in the standard data set any other URL below
`/graphs/` names the graph of that very URL. https://www.w3.org/TR/sparql11-http-rdf-update/
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from engine.errors import DappopsError
from engine.graph.gate import Refused
from engine.replicas.client import Ask, Ended, Malformed
from engine.server.problem import Problem, of_error
from engine.server.protocol import tags
from engine.server.protocol.asking import FORM, MULTIPART, UPDATE, moment_or_version
from engine.server.protocol.changing import Failed
from engine.server.protocol.messages import Headers, Reply, Request, Send, media_type, utf8
from engine.server.protocol.multipart import fields
from engine.server.protocol.negotiation import GRAPH, Format, choose
from engine.server.protocol.querying import problem_of
from engine.server.protocol.reports import reply_to_refused
from engine.server.protocol.sending import COMMON, VARY, encoded, send_reply, send_stream, send_whole
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from engine.server.front import Front

ALLOW = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"
ALLOW_SERVICE = "POST, OPTIONS"
ALLOW_UNION = "GET, HEAD, POST, PATCH, OPTIONS"
ALL = "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"
DEFAULT = ""  # the default graph's name
SECTION = "https://www.w3.org/TR/sparql11-http-rdf-update/"
_OWN = re.compile(r"0x[0-9a-f]{40}/[a-z0-9][a-z0-9._-]{0,63}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]*")
_CONTENT = {kind: f for f in GRAPH for kind in (f.media_type, *f.aliases)}
_SUFFIXES = {
    ".ttl": "turtle",
    ".nt": "nt",
    ".rdf": "rdfxml",
    ".owl": "rdfxml",
    ".jsonld": "jsonld",
    ".trig": "trig",
    ".nq": "nquads",
}


class Graphs:
    """The graph store of one front."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._standard = front.settings.dataset == "standard"

    async def respond(self, request: Request, send: Send) -> tuple[int, int]:
        """Answer one request; status and bytes of the body."""
        graph = self.named(request)
        allow = ALLOW_SERVICE if graph is None else ALLOW_UNION if graph == DEFAULT and not self._standard else ALLOW
        method = request.method
        if method == "OPTIONS":
            reply = self.front.guard.preflight(request, allow)
        elif method not in allow.split(", "):
            raise Problem(
                405, "method", self._not_allowed(method, graph), headers={"Allow": allow}, more={"rule": SECTION}
            )
        elif method in ("GET", "HEAD"):
            assert graph is not None
            return await self._get(request, graph, send)
        else:
            reply = await self._write(request, graph)
        return reply.status, await send_reply(send, reply, (VARY, *self.front.guard.headers(request)))

    @staticmethod
    def _not_allowed(method: str, graph: str | None) -> str:
        if graph is None:
            return f"{method} needs a graph: ?graph=IRI, ?default, or /graphs/…"
        return f"{method} is not for the default graph, which is the union of all: name a graph"

    # -- names ------------------------------------------------------------------------------------------------------
    def named(self, request: Request) -> str | None:
        """The graph a request is about; DEFAULT, or None for the service itself. Problem 400 for a malformed name."""
        given = request.parameters
        if request.path in ("/graphs", "/graphs/"):
            graphs, default = given.get("graph", []), "default" in given
            if len(graphs) + default > 1:
                raise Problem(
                    400,
                    "graph",
                    "more than one graph is named",
                    more={"rule": f"{SECTION}#indirect-graph-identification"},
                )
            if default:
                return DEFAULT
            return self._checked(graphs[0]) if graphs else None
        if "graph" in given or "default" in given:
            raise Problem(400, "graph", "the graph is named by the path and by a parameter")
        raw = request.scope.get("raw_path")
        tail = (raw.decode("latin-1").partition("?")[0] if raw else request.path).removeprefix("/graphs/")
        plain = unquote(tail)
        if _OWN.fullmatch(plain):
            return f"{self.front.info['base']}/g/{plain}"
        if "://" in plain.partition("?")[0] and _ABSOLUTE.fullmatch(plain):
            return plain
        if self._standard:
            return self._checked(f"{request.root}graphs/{tail}")
        raise Problem(
            404,
            "graph",
            f"there is no graph {plain[:200]!r}",
            more={"rule": "/graphs/<address>/<name>, or /graphs/<percent-encoded IRI>"},
        )

    @staticmethod
    def _checked(iri: str) -> str:
        if not _ABSOLUTE.fullmatch(iri):
            raise Problem(400, "iri", f"{iri[:200]!r} is no absolute IRI", more={"rule": "RFC 3987"})
        if iri.startswith("urn:dappops:"):
            raise Problem(404, "graph", "there is no such graph")
        return iri

    # -- reading ----------------------------------------------------------------------------------------------------
    async def _get(self, request: Request, graph: str, send: Send) -> tuple[int, int]:
        front, caller = self.front, request.caller
        given = request.parameters
        chosen = choose(
            request.headers.get("accept", ""), (given.get("format") or given.get("output") or [""])[0], GRAPH
        )
        text = moment_or_version((given.get("as-of") or [""])[0])
        at = None
        if text:
            at = int(
                (await self._call("as_of", audience=caller.audience, at=int(text) if text.isdigit() else text))["tx"]
            )
        place = front.queries.admit(caller)
        try:
            tag = await self._tag(request, graph, text)
            if tag is None:
                raise Problem(404, "graph", f"there is no graph <{graph}>" if graph else "there is no such state")
            wanted = request.headers.get("if-none-match")
            marked = f"{tag}.{chosen.name}"
            headers: Headers = [
                (b"content-type", chosen.content_type.encode()),
                *COMMON,
                VARY,
                *front.guard.headers(request),
            ]
            kept = {"ETag": f'"{marked}"', "Cache-Control": "private, no-cache" if caller.address else "no-cache"}
            if wanted and tags.is_fresh(wanted, marked):
                return 304, await send_reply(send, Reply(304, headers=kept), (VARY, *front.guard.headers(request)))
            headers += encoded(kept.items())
            limits = front.settings.limits
            ask = Ask(
                ALL, graph_format=chosen.name, default_graphs=None if graph == DEFAULT else (graph,), seconds=limits.seconds,
                memory_mib=limits.memory_mib, rows=limits.rows, mib=limits.mib, dataset=front.settings.dataset,
            )  # fmt: skip
            encoding = request.headers.get("accept-encoding", "")
            head = request.method == "HEAD"
            try:
                answer = await front.replicas.ask(caller.audience, ask, as_of=at)
            except (Ended, Malformed) as error:
                if isinstance(error, Ended):
                    front.metrics.ended(error.reason)
                raise problem_of(error) from error
            try:
                if answer.whole is not None:
                    return 200, await send_whole(send, answer.whole, headers, encoding, head=head)
                if head:
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": b""})
                    return 200, 0
                return 200, await send_stream(send, answer.chunks(), headers, encoding, until=answer.deadline)
            except Ended as error:
                front.metrics.ended(error.reason)
                raise
            finally:
                await answer.close()
        finally:
            place.release()

    async def _tag(self, request: Request, graph: str, as_of: str) -> str | None:
        """The entity tag of a graph's content; None when the caller can read no such graph."""
        audience = request.caller.audience
        if as_of:
            return tags.of_answer(self.front.replicas.state(audience).etag, graph, as_of)
        if graph == DEFAULT and not self._standard:
            return tags.of_answer(self.front.replicas.state(audience).etag, "default")
        state = await self._call(
            "graph_state", graph=graph, audience=audience, author=self._reader(), dataset=self.front.settings.dataset
        )
        if not state["exists"] and graph != DEFAULT:
            return None
        return str(state["tag"]) or "empty"

    def _reader(self) -> str:
        """Whose names the standard data set has."""
        return self.front.settings.author or str(self.front.info["node"])

    async def _call(self, method: str, **params: Any) -> Any:
        try:
            return await self.front.clients.ask(method, **params)
        except DappopsError as error:
            raise of_error(error) from error

    # -- writing ----------------------------------------------------------------------------------------------------
    async def _write(self, request: Request, graph: str | None) -> Reply:
        front, method = self.front, request.method
        author = await front.changing.author(request)
        conditions = self._conditions(request)
        made = None
        if graph is None:
            graph = made = self._fresh(request, author)
        elif graph == DEFAULT and not self._standard:
            graph = front.changing.target(author)  # what is added to everything is added to the author's own graph
        most = front.settings.limits.body_mib * 1024 * 1024
        base = graph or f"{request.root}graphs?default"
        if method == "PATCH":
            if request.kind != UPDATE:
                raise Problem(
                    415,
                    "media-type",
                    f"a change is not sent as {request.kind or 'nothing'}",
                    headers={"Accept-Patch": UPDATE},
                    more={"rule": UPDATE},
                )
            plan: dict[str, Any] = {
                "kind": "update", "text": await request.text(most), "graph": graph, "only": True, "base": base,
                "prefixes": {} if self._standard else dict(PREFIXES),
            }  # fmt: skip
        else:
            parts = [] if method == "DELETE" else await self._content(request, most)
            plan = {"kind": "graph", "mode": method.lower(), "graph": graph, "parts": parts, "base": base}
        message = f"{method} {graph or 'the default graph'} over HTTP"
        try:
            done = await front.changing.write(
                request, plan, author, message=message, graph=graph, conditions=conditions,
            )  # fmt: skip
        except Refused as error:
            return reply_to_refused(error, request.headers.get("accept", ""))
        except Failed as error:
            raise Problem(
                412, "precondition", "the graph is not, or no longer, in the state that the request is about",
                headers={"ETag": f'"{error.tag}"'} if error.tag else {}, more={"remedy": "read it again, and send the change anew"},
            ) from error  # fmt: skip
        return self._done(request, graph, done, made)

    def _done(self, request: Request, graph: str, done: Mapping[str, Any], made: str | None) -> Reply:
        """201 for a graph that came to be, 404 for the deletion of one that was not there, 204 or 200 else."""
        headers = {"ETag": f'"{done["tag"]}"'} if done["exists"] else {}
        if request.method == "DELETE":
            if not done["existed"] and graph != DEFAULT:
                raise Problem(404, "graph", f"there is no graph <{graph}>")
            return Reply(204)
        body = json.dumps(dict(done), ensure_ascii=False).encode()
        if made is not None:
            headers["Location"] = self._url(request, made)
            return Reply(201, body, "application/json", headers)
        created = not done["existed"] and graph != DEFAULT
        if created:
            headers["Location"] = self._url(request, graph)
        if request.headers.get("prefer", "").replace(" ", "") == "return=minimal":
            return Reply(201 if created else 204, b"", "", headers)
        return Reply(201 if created else 200, body, "application/json", headers)

    def _url(self, request: Request, graph: str) -> str:
        own = f"{self.front.info['base']}/g/"
        if graph.startswith(own):
            return f"{request.root}graphs/{graph.removeprefix(own)}"
        if graph.startswith(f"{request.root}graphs/"):
            return graph
        from urllib.parse import quote

        return f"{request.root}graphs?graph={quote(graph, safe='')}"

    def _fresh(self, request: Request, author: str) -> str:
        """A name for a graph that a POST to the service makes."""
        if request.method != "POST":
            raise Problem(405, "method", self._not_allowed(request.method, None), headers={"Allow": ALLOW_SERVICE})
        if self._standard:
            return f"{request.root}graphs/{secrets.token_hex(12)}"
        return f"{self.front.info['base']}/g/{author}/graph-{secrets.token_hex(12)}"

    @staticmethod
    def _conditions(request: Request) -> dict[str, list[str]]:
        """If-Match and If-None-Match as tags of content: a tag of one format names the content in any."""
        found = {}
        for header, name in (("if-match", "match"), ("if-none-match", "none_match")):
            said = request.headers.get(header)
            if said is not None:
                listed = tags.tags(said)
                if listed is None:
                    raise Problem(400, "etag", f"{header} is malformed", more={"rule": "RFC 9110, section 13.1"})
                found[name] = [tag.partition(".")[0] for tag in listed]
        return found

    async def _content(self, request: Request, most: int) -> list[tuple[str, str]]:
        """The RDF texts a request brings, each with its format."""
        kind = request.kind
        if kind == MULTIPART:
            boundary = media_type(request.headers["content-type"])[1].get("boundary", "")
            found = fields(await request.body(most), boundary)
            parts = [f for listed in found.values() for f in listed]
            if not parts:
                raise Problem(400, "multipart", "the body has no part")
            return [(self._format(f.kind or "", f.file, "text/turtle").name, utf8(f.body)) for f in parts]
        if kind == FORM:
            raise Problem(415, "media-type", "a graph is not sent as a form", more={"rule": _types()})
        form = self._format(request.headers.get("content-type", ""), "", "")
        return [(form.name, await request.text(most))]

    @staticmethod
    def _format(content_type: str, file: str, otherwise: str) -> Format:
        kind = media_type(content_type)[0] if content_type else ""
        if not kind or kind in ("application/octet-stream", "text/plain"):
            by_name = next((name for end, name in _SUFFIXES.items() if file.lower().endswith(end)), "")
            if by_name:
                return next(f for f in GRAPH if f.name == by_name)
        found = _CONTENT.get(kind or otherwise)
        if found is None:
            raise Problem(415, "media-type", f"a graph is not sent as {kind or 'nothing'}", more={"rule": _types()})
        return found


def _types() -> str:
    return ", ".join((*(f.media_type for f in GRAPH), MULTIPART))


__all__ = ["Graphs"]
