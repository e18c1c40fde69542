"""Changes that callers sign themselves, over HTTP: what there is to sign, kept until the signatures come or it expires."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InputError
from engine.graph.evaluating import FORMATS, parse
from engine.graph.wire import encode_triples
from engine.server.caller import Caller
from engine.server.identity.bridge import Bridge
from engine.server.identity.message import written
from engine.server.identity.state import State
from engine.server.problem import Problem

Json = dict[str, Any]
SECONDS = 600  # a change waits for its signatures
MOST = 16  # changes of one address that wait
MOST_BYTES = 256 * 1024 * 1024  # of all changes that wait
MEMBERS = frozenset(("graph", "add", "remove", "content", "update", "format", "message", "expires", "audience"))
LONGEST_MESSAGE = 2_000


class Changes:
    """The changes of one front. `call` asks the knowledge base."""

    def __init__(self, state: State, call: Callable[..., Any], bridge: Bridge) -> None:
        self._state, self._call, self._bridge = state, call, bridge

    def begin(self, caller: Caller, said: Mapping[str, Any]) -> Json:
        """What the caller has to sign for the change that a request's body says; Problem 400 for a body that says none.

        Members: `graph` (IRI or short name) with `add`, `remove` (RDF text) or `content` (all it shall hold), or `update`
        (SPARQL Update; `graph` is where triples without GRAPH go); `format`, `message`, `expires` (Unix seconds),
        `audience` (of a new graph). Refused with the report when the gate would refuse it.
        """
        unknown = sorted(set(said) - MEMBERS)
        if unknown:
            raise _wrong(f"unknown members: {', '.join(unknown)[:200]}", ", ".join(sorted(MEMBERS)))
        author = caller.address
        base = {"author": author, "expires": _whole(said, "expires"), "audience": _text(said, "audience") or "public"}
        message = _text(said, "message")
        if len(message) > LONGEST_MESSAGE:
            raise _wrong("the message is too long", f"at most {LONGEST_MESSAGE:,} characters")
        return self.begin_with(caller, self._changes(caller, said), base, message)

    def begin_with(self, caller: Caller, changes: Mapping[str, Any], base: Mapping[str, Any], message: str) -> Json:
        """`begin`, of changes per graph as the service takes them."""
        found = self._call("signing_needed", changes=changes, **base)
        if not found["sign"]:
            return {"id": None, "sign": [], "added": 0, "removed": 0, "warnings": []}
        name, until = secrets.token_hex(16), int(time.time()) + SECONDS
        body = {**base, "changes": changes, "message": message, "parts": found["parts"], "sign": found["sign"]}
        if not self._state.keep(name, caller.address, until, body, most=MOST, most_bytes=MOST_BYTES):
            raise Problem(
                429, "too-many-changes", "too many changes wait for signatures", headers={"Retry-After": "60"},
                more={"rule": f"{MOST} of one address", "remedy": "sign or delete those that wait"},
            )  # fmt: skip
        return _told(name, until, body, found)

    def waiting(self, caller: Caller, name: str) -> Json:
        """A change that waits, as `begin` told it."""
        until, body = self._kept(caller, name)
        return _told(name, until, body, {})

    def finish(self, caller: Caller, name: str, signatures: Mapping[str, Any]) -> Json:
        """Commit a change with its signatures; Problem 409 when what was signed is not what is there now.

        Answers {"added", "removed", "warnings", "heads"} after the replicas show it.
        """
        _, body = self._kept(caller, name)
        found = self._call(
            "commit_signed", author=body["author"], expires=body["expires"], changes=body["changes"], parts=body["parts"],
            message=body["message"], signatures={str(k): str(v) for k, v in signatures.items()},
        )  # fmt: skip
        self._state.forget(name)
        if "moved" in found:
            graphs = ", ".join(m["graph"] or m["what"] for m in found["moved"])
            raise Problem(
                409, "moved", f"the graph changed since this was to be signed: {graphs}",
                more={"moved": found["moved"], "remedy": "send the change again and sign what is answered"},
            )  # fmt: skip
        self._bridge.shown(caller, int(found["tx"]))
        receipt = found["receipt"]
        return {k: receipt[k] for k in ("added", "removed", "heads", "warnings")}

    def drop(self, caller: Caller, name: str) -> None:
        """Let go of a change that waits."""
        self._kept(caller, name)
        self._state.forget(name)

    # -- inside -----------------------------------------------------------------------------------------------------
    def _kept(self, caller: Caller, name: str) -> tuple[int, Json]:
        found = self._state.kept(name, caller.address)
        if found is None:
            raise Problem(404, "change", "no such change waits for you", more={"rule": f"it expires after {SECONDS} s"})
        return found

    def _changes(self, caller: Caller, said: Mapping[str, Any]) -> Json:
        if "update" in said:
            if any(k in said for k in ("add", "remove", "content")):
                raise _wrong("an update or triples, not both", "update | add, remove | content")
            info = self._call("info")
            graph = _text(said, "graph") or "main"
            target = graph if "://" in graph else f"{info['base']}/g/{caller.address}/{graph}"
            return self._bridge.changes(caller, _text(said, "update"), target, caller.address)
        if "graph" not in said or not any(k in said for k in ("add", "remove", "content", "audience")):
            raise _wrong("no change is said", "graph with add, remove or content; or update")
        form = _text(said, "format") or "turtle"
        if form not in FORMATS:
            raise _wrong(f"format {form[:50]!r} is not read", ", ".join(FORMATS))

        def triples(member: str) -> str:
            return encode_triples(parse(_text(said, member), form, ""))

        if "content" in said:
            if "add" in said or "remove" in said:
                raise _wrong("all content or single changes, not both", "add, remove | content")
            return {_text(said, "graph"): {"added": triples("content"), "replace": True}}
        return {_text(said, "graph"): {"removed": triples("remove"), "added": triples("add")}}


def _told(name: str, until: int, body: Json, found: Mapping[str, Any]) -> Json:
    from datetime import UTC, datetime

    counted = {k: found[k] for k in ("added", "removed", "warnings") if k in found}
    return {
        "id": name, "expires": written(datetime.fromtimestamp(until, UTC)), "author": body["author"],
        "parents": {p["graph"]: "0x" + p["parent"] for p in body["parts"]}, "sign": body["sign"], **counted,
    }  # fmt: skip


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise _wrong(f"{name} is no text", "string")
    return value


def _whole(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise _wrong(f"{name} is no time", "Unix seconds, or 0 for never")
    if 0 < value <= time.time():
        raise InputError("what is committed would have expired already", place=name, rule="Unix seconds in the future")
    return value


def _wrong(detail: str, rule: str) -> Problem:
    return Problem(400, "change", detail, more={"rule": rule})


__all__ = ["Changes"]
