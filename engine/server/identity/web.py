"""The routes of identity: sign-in, permissions, and changes that callers sign themselves.

Bodies are JSON and must say so, which a form of another site cannot. Answers are never stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import DappopsError, InputError
from engine.server.caller import Caller
from engine.server.identity import exposure, permissions
from engine.server.identity.bridge import Bridge
from engine.server.identity.callers import COOKIE, SECURE_COOKIE, Callers
from engine.server.identity.changes import Changes
from engine.server.identity.message import written
from engine.server.identity.signing_in import Limiter, SignIn, refused
from engine.server.identity.tokens import Session
from engine.server.identity.trail import Trail
from engine.server.identity.writes import signs_for
from engine.server.problem import Problem
from engine.server.protocol.reports import problem_of_write

if TYPE_CHECKING:
    from flask import Blueprint, Response

QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/part/")  # asked all the time, and of no consequence
PRIVATE = {"Cache-Control": "no-store", "Vary": "Authorization, Cookie"}


class Identity:
    """What the routes share. `site` gives `call` and `settings`."""

    def __init__(self, site: Any) -> None:
        self.settings, self.call = site.settings, site.call
        self.callers = Callers(self.settings, self.call)
        state = self.callers.state
        self.sign_in = SignIn(self.settings, state, self.callers.tokens, Limiter())
        self.bridge = Bridge(self.settings)
        self.changes = Changes(state, self.call, self.bridge)
        self.trail = Trail(self.settings)

    # -- the request ------------------------------------------------------------------------------------------------
    def seen(self) -> exposure.Seen:
        """How the current request arrived."""
        from flask import request

        return exposure.seen(self._headers(), request.remote_addr or "", self.settings, scheme=request.scheme)

    def caller(self) -> Caller:
        """Who sends the current request."""
        from flask import g, request

        found: Caller | None = g.get("identity")
        if found is None:
            found = g.identity = self.callers.of(self._headers(), request.remote_addr or "", request.method)
        return found

    def session(self) -> Session | None:
        """The session that the current request speaks for."""
        from flask import request

        return self.callers.session(self._headers(), request.method)

    def signed_in(self) -> Caller:
        """The caller, who must have signed in; Problem 401 otherwise."""
        caller = self.caller()
        if not caller.signed_in:
            raise refused("this needs a sign-in", {"remedy": "sign in with your key (POST /api/sign-in/nonce)"})
        return caller

    def writer(self) -> Caller:
        """The caller, who wants to change something; Problem 403 on a server that changes nothing."""
        if not self.settings.writable:
            raise Problem(
                403, "read-only", "this server changes nothing", more={"remedy": "start it with --writable"},
            )  # fmt: skip
        return self.signed_in()

    @staticmethod
    def _headers() -> dict[str, str]:
        from flask import request

        return {k.lower(): v for k, v in request.headers.items()}


def blueprint(site: Any) -> Blueprint:
    """The blueprint over `site`."""
    from flask import Blueprint, Response, json, request

    identity = Identity(site)
    routes = Blueprint("identity", __name__)

    def told(data: Any, status: int = 200, **headers: str) -> Response:
        return Response(
            json.dumps(data, ensure_ascii=False) + "\n", status, {**PRIVATE, **headers}, content_type="application/json"
        )

    def body(*, needed: bool = True) -> Mapping[str, Any]:
        if not needed and not request.content_length and not request.content_type:
            return {}
        if request.mimetype != "application/json":
            raise Problem(415, "media-type", "the body is JSON", more={"rule": "Content-Type: application/json"})
        try:
            data = request.get_json(silent=True)
            json.dumps(
                data, ensure_ascii=False
            ).encode()  # half a surrogate pair is no text that anything below could keep
        except (RecursionError, UnicodeEncodeError) as error:
            raise Problem(
                400, "json", "the body is no JSON that can be read", more={"rule": "RFC 8259, Unicode text"}
            ) from error
        if not isinstance(data, dict):
            raise Problem(400, "json", "the body is no JSON object")
        return data

    @routes.post("/api/sign-in/nonce")
    def nonce() -> Response:
        address = body(needed=False).get("address", "")
        if not isinstance(address, str):
            raise Problem(400, "address", "the address is no text")
        return told(identity.sign_in.invite(identity.seen(), address))

    @routes.post("/api/sign-in")
    def sign_in() -> Response:
        said = body()
        message, signature = said.get("message"), said.get("signature")
        if not isinstance(message, str) or not isinstance(signature, str):
            raise Problem(
                400, "sign-in", "a sign-in is a message and its signature", more={"rule": "message, signature"}
            )
        seen = identity.seen()
        token, session = identity.sign_in.sign_in(message, signature, seen)
        _use(Caller(session.address, token=session.id, origin=seen.peer))
        audience = identity.call("audience", reader=session.address)["key"]
        answer = told(
            {
                "token": token, "expires": _time(session.expires), "address": session.address, "audience": audience,
                "csrf": identity.callers.tokens.csrf(session),
            }
        )  # fmt: skip
        secure = seen.scheme == "https"
        answer.set_cookie(
            SECURE_COOKIE if secure else COOKIE, token, max_age=max(0, session.expires - int(time.time())), secure=secure,
            httponly=True, samesite="Strict", path="/",
        )  # fmt: skip
        return answer

    @routes.post("/api/sign-out")
    def sign_out() -> Response:
        session = identity.session()
        caller = identity.signed_in()
        if body(needed=False).get("everywhere") is True:
            identity.callers.tokens.revoke_all(caller.address)
        elif session is not None:
            identity.callers.tokens.revoke(session)
        answer = Response("", 204, dict(PRIVATE))
        for name in (COOKIE, SECURE_COOKIE):
            answer.delete_cookie(name, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="Strict")
        return answer

    @routes.get("/api/me")
    def me() -> Response:
        caller, session = identity.caller(), identity.session()
        if session is None:
            return told({"address": "", "audience": caller.audience})
        info = identity.call("info")
        own = [g for g in info["graphs"] if g["owner"] == caller.address]
        return told(
            {
                "address": caller.address, "audience": caller.audience, "expires": _time(session.expires),
                "csrf": identity.callers.tokens.csrf(session),
                "graphs": [{k: g[k] for k in ("iri", "kind", "audience")} for g in own],
                "nodeSigns": identity.settings.writable and signs_for(caller, identity.settings, info),
            }
        )  # fmt: skip

    @routes.get("/api/permissions")
    def permitted() -> Response:
        caller = identity.caller()
        graph = request.args.get("graph")
        if graph is None:
            return told({"graphs": permissions.listed(identity.call, caller.address)})
        found = permissions.found(identity.call, graph, caller.address)
        if found is None:
            raise _no_graph()
        return told(found)

    @routes.put("/api/permissions")
    def permit() -> Response:
        caller, said = identity.writer(), body()
        graph, wanted = said.get("graph"), said.get("readers")
        if not isinstance(graph, str) or not isinstance(wanted, list) or not all(isinstance(r, str) for r in wanted):
            raise Problem(
                400, "permissions", "say a graph and its readers", more={"rule": "graph: text, readers: list"}
            )
        found = permissions.found(identity.call, graph, caller.address)
        if found is None:
            raise _no_graph()
        if found["owner"] != caller.address or found["audience"] != "private":
            rule = (
                "only its owner says who reads it"
                if found["audience"] == "private"
                else "a public graph is read by all"
            )
            raise Problem(403, "permissions", "the readers of this graph are not yours to say", more={"rule": rule})
        info = identity.call("info")
        asked = {permissions.reader_of(r) for r in wanted} - {caller.address}
        removed, added = permissions.difference(identity.call, graph, asked, info["base"])
        changes = {graph: {"removed": removed, "added": added}}
        if not signs_for(caller, identity.settings, info):
            base = {"author": caller.address, "expires": 0, "audience": "public"}
            return told(identity.changes.begin_with(caller, changes, base, "who reads this"), 202)
        receipt = identity.call("commit", changes=changes, author=caller.address, message="who reads this")
        if receipt["sequence"] is not None:
            identity.bridge.shown(caller, int(receipt["sequence"]))
        _wrote(graph)
        return told(permissions.found(identity.call, graph, caller.address))

    @routes.post("/api/changes")
    def change() -> Response:
        caller = identity.writer()
        found = _judged(lambda: identity.changes.begin(caller, body()))
        if found["id"] is None:
            return told(found)
        return told(found, 201, Location=f"/api/changes/{found['id']}")

    @routes.get("/api/changes/<name>")
    def waiting(name: str) -> Response:
        return told(identity.changes.waiting(identity.signed_in(), name))

    @routes.post("/api/changes/<name>")
    def finish(name: str) -> Response:
        caller, said = identity.writer(), body()
        signatures = said.get("signatures")
        if isinstance(signatures, list):
            signatures = {s.get("digest"): s.get("signature") for s in signatures if isinstance(s, dict)}
        if not isinstance(signatures, dict):
            raise Problem(
                400, "signatures", "no signatures are said", more={"rule": "signatures: digest -> signature, hex"}
            )
        done = _judged(lambda: identity.changes.finish(caller, name, signatures))
        _wrote(*done["heads"])
        return told(done)

    @routes.delete("/api/changes/<name>")
    def drop(name: str) -> Response:
        identity.changes.drop(identity.signed_in(), name)
        return Response("", 204, dict(PRIVATE))

    @routes.before_app_request
    def begin() -> None:
        from flask import g

        g.identity_started = time.perf_counter()

    @routes.after_app_request
    def note(response: Response) -> Response:
        from flask import g

        if "Allow" in response.headers:  # of a set, whose order differs from process to process
            response.headers["Allow"] = ", ".join(sorted(response.allow))
        if not request.path.startswith(QUIET):
            seconds = time.perf_counter() - g.get("identity_started", time.perf_counter())
            caller = g.get("identity_used") or _known(identity)
            changed = request.method not in ("GET", "HEAD", "OPTIONS")
            identity.trail.note(
                caller, f"{request.method} {request.path}", query=request.query_string.decode("latin-1"),
                graphs=g.get("identity_wrote", ()), status=response.status_code, seconds=seconds, durable=changed,
            )  # fmt: skip
        return response

    return routes


def _known(identity: Identity) -> Caller:
    """The caller for the trail; a token that does not hold is nobody's."""
    with suppress(Problem, DappopsError, OSError):
        return identity.caller()
    return Caller(origin=identity.seen().peer)


def _use(caller: Caller) -> None:
    from flask import g

    g.identity_used = caller


def _wrote(*graphs: str) -> None:
    from flask import g

    g.identity_wrote = graphs


def _judged(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except InputError as error:
        raise problem_of_write(error) from error


def _no_graph() -> Problem:
    return Problem(404, "graph", "no such graph for you")


def _time(seconds: int) -> str:
    return written(datetime.fromtimestamp(seconds, UTC))


__all__ = ["blueprint"]
