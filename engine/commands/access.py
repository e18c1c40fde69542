"""The commands `login` and `access`: a token at an endpoint, who may read which graph, and what was asked of the server."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from engine.commands.output import Context, command, count, line, lines, short, table
from engine.errors import BusyError, DappopsError, InputError, NotAvailableError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.server.identity.trail import Trail

TOKENS = "access/tokens.json"
SECONDS = 30.0  # for one request to an endpoint
MOST = 1_000_000  # bytes of an answer
GRAPH = "GRAPH is an IRI, or the short name of a graph of yours."


# -- login -----------------------------------------------------------------------------------------------------------
@command()
@click.argument("url", metavar="URL")
@click.option(
    "--ca", default="", metavar="FILE", help="PEM file with the authority that signed the endpoint's certificate."
)
@click.option("--forget", is_flag=True, help="Sign out there, and forget the token.")
def login(context: Context, url: str, ca: str, forget: bool) -> None:
    """Sign in at the endpoint URL with your key (--author), by EIP-4361; print the token and keep it in this home.

    The key signs a message that names the endpoint; it never leaves this machine. Send the token as
    `Authorization: Bearer TOKEN` until it expires.
    """
    root = _root(url)
    kept = _Tokens(context.folder / TOKENS)
    if forget:
        token = kept.pop(root)
        if token:
            with suppress(InputError):  # it has ended already
                _post(f"{root}/api/sign-out", {}, ca, token)
        context.emit({"url": root, "signedOut": bool(token)}, lines("signed out" if token else "no token was kept"))
        return
    told = _sign_in(context, root, ca)
    kept.put(root, told)
    context.emit(
        {"url": root, **told},
        lines(
            f"signed in at {root} as {told['address']} until {told['expires']}", told["token"],
            f"kept in {kept.path}; send it as: Authorization: Bearer TOKEN",
        ),
    )  # fmt: skip


def _sign_in(context: Context, root: str, ca: str) -> dict[str, Any]:
    from engine.graph.keys import KeyRing
    from engine.server.identity.message import Message, checksummed, signed_digest, written

    ring = KeyRing(context.folder / "keys")
    stored = ring.addresses()
    if not stored:
        raise InputError("no key is stored here", place=str(ring.folder), remedy="dappops init, or dappops keys")
    key = ring.unlock(context.author or stored[0])
    asked = _post(f"{root}/api/sign-in/nonce", {}, ca)
    now = datetime.now(UTC)
    # the message is made here: what somebody else hands over to be signed could be for another server
    message = Message(
        domain=urlsplit(root).netloc, address=checksummed(key.address), uri=f"{root}/", chain=int(asked["chainId"]),
        nonce=str(asked["nonce"]), statement=str(asked["statement"]), issued=written(now),
        expires=written(now + timedelta(days=1)),
    )  # fmt: skip
    signature = key.sign(signed_digest(message.text))
    signature = signature[:64] + bytes([signature[64] + 27])
    told = _post(f"{root}/api/sign-in", {"message": message.text, "signature": "0x" + signature.hex()}, ca)
    return {k: told[k] for k in ("token", "address", "expires", "audience")}


def _root(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no address of an endpoint", rule="http(s)://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"


def _post(url: str, body: dict[str, Any], ca: str, token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    trust = ssl.create_default_context(cafile=ca or None) if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=trust) as answer:
            data = answer.read(MOST)
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotAvailableError(
            f"no answer: {reason}", place=url, remedy="is it running there? (`dappops serve`)"
        ) from error
    try:
        found: dict[str, Any] = json.loads(data) if data else {}
    except ValueError as error:
        raise InputError("what answers there is no DAppOps endpoint", place=url) from error
    return found


def _refused(url: str, error: urllib.error.HTTPError) -> DappopsError:
    try:
        told = json.loads(error.read(MOST))
        message, rule, remedy = told.get("detail", ""), told.get("rule", ""), told.get("remedy", "")
    except (ValueError, AttributeError):
        message, rule, remedy = error.reason, "", ""
    kind = BusyError if error.code in (429, 503) else InputError
    return kind(f"{error.code}: {message}", place=url, rule=rule, remedy=remedy)


class _Tokens:
    """Tokens by endpoint, in a file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def put(self, root: str, told: dict[str, Any]) -> None:
        self._write({**self._read(), root: told})

    def pop(self, root: str) -> str:
        there = self._read()
        found = there.pop(root, None)
        if found is not None:
            self._write(there)
        return str(found["token"]) if found else ""

    def _write(self, tokens: dict[str, Any]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(tokens, file, indent=1)
        partial.replace(self.path)


# -- access ----------------------------------------------------------------------------------------------------------
@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def access() -> None:
    """Who may read a graph: create, list, grant, revoke; the audit trail; the secret of tokens."""


@command("create")
@click.argument("name")
@click.option("--private", is_flag=True, help="Only you read it, and whom you grant.")
def create(context: Context, name: str, private: bool) -> None:
    """Make an empty graph of yours, public or private; that is for ever."""
    with context.open(makes=True) as kb:
        audience = "private" if private else "public"
        done = kb.call("make_graph", graph=name, author=kb.author, audience=audience)
    state = "made" if done["made"] else "is there already"
    context.emit(done, lines(f"{done['graph']}  ({done['audience']}; {state})"))


@command("list")
@click.argument("graph", required=False)
def list_(context: Context, graph: str | None) -> None:
    """Private graphs that you may read, and who reads yours. GRAPH: of that one only."""
    from engine.server.identity import permissions

    with context.open() as kb:
        found = permissions.listed(kb.call, kb.author.lower())
        if graph is not None:
            iri = kb.graph_iri(graph)
            one = permissions.found(kb.call, iri, kb.author.lower())
            if one is None:
                raise InputError(f"no graph <{iri}> that you may read", remedy="see `dappops access list`")
            found = [dict(one)]

    def show() -> None:
        if not found:
            line("no private graph: `dappops access create NAME --private` makes one")
            return
        rows = [(short(g["graph"]), g["audience"], g["owner"], ", ".join(g.get("readers", ())) or "") for g in found]
        table("", ("graph", "audience", "owner", "readers"), rows)

    context.emit({"graphs": found}, show)


@command("grant", epilog=GRAPH)
@click.argument("graph")
@click.argument("readers", nargs=-1, required=True, metavar="READER...")
def grant(context: Context, graph: str, readers: tuple[str, ...]) -> None:
    """Let READER (an address, or an IRI of a participant's) read a private graph of yours."""
    _change(context, graph, readers, grants=True)


@command("revoke", epilog=GRAPH)
@click.argument("graph")
@click.argument("readers", nargs=-1, required=True, metavar="READER...")
def revoke(context: Context, graph: str, readers: tuple[str, ...]) -> None:
    """Let READER read a private graph of yours no longer; it holds from the next request on."""
    _change(context, graph, readers, grants=False)


def _change(context: Context, graph: str, readers: tuple[str, ...], *, grants: bool) -> None:
    from engine.server.identity import permissions

    asked = {permissions.reader_of(r) for r in readers}
    with context.open() as kb:
        iri = kb.graph_iri(graph)
        found = permissions.found(kb.call, iri, kb.author.lower())
        _check_own(kb, iri, dict(found) if found else None)
        there = permissions.readers(kb.call, iri)
        wanted = there | asked if grants else there - asked
        removed, added = permissions.difference(kb.call, iri, wanted, str(kb.info()["base"]))
        message = f"{'grant' if grants else 'revoke'} {count(len(asked), 'reader')}"
        receipt = kb.call(
            "commit", changes={iri: {"removed": removed, "added": added}}, author=kb.author, message=message
        )
    told = {"graph": iri, "readers": sorted(wanted), "sequence": receipt["sequence"]}
    context.emit(told, lines(f"{short(iri)} is read by: {', '.join(sorted(wanted)) or 'you alone'}"))


def _check_own(kb: KnowledgeBase, iri: str, found: dict[str, Any] | None) -> None:
    if found is None or found["owner"] != kb.author.lower():
        raise InputError(
            f"<{iri}> is no private graph of yours", rule="the owner of a graph says who reads it",
            remedy="`dappops access create NAME --private` makes one; --author chooses whose",
        )  # fmt: skip
    if found["audience"] == "public":
        raise InputError("everybody reads a public graph", place=iri, rule="a graph's audience is fixed by its genesis")


# -- the trail and the secret ----------------------------------------------------------------------------------------
def _trail(context: Context) -> Trail:
    from engine.server.identity.trail import FOLDER, Trail

    return Trail(None, folder=context.folder / FOLDER)


@command("trail")
@click.option("--since", default="", metavar="TIME", help="From this time on (ISO 8601, UTC).")
@click.option("--who", default="", metavar="WHO", help="Of an address, a peer, or `anonymous`.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@click.option("--verify", is_flag=True, help="Check the chain instead, and print its last hash.")
@click.option("--kept", default="", metavar="HASH", help="With --verify: a hash kept from before must be in the chain.")
def trail(context: Context, since: str, who: str, limit: int, verify: bool, kept: str) -> None:
    """What was asked of this home's server: who, what, when, with which outcome; oldest first."""
    found = _trail(context)
    if found.folder is None or not found.folder.is_dir():
        raise InputError("nothing was served from this home yet", place=str(context.folder), remedy="dappops serve")
    if verify or kept:
        chain = found.verify(kept=kept)
        told = {"records": chain.records, "first": chain.first, "last": chain.last, "head": chain.head}
        context.emit(
            told, lines(f"{count(chain.records, 'record')} hold, {chain.first} to {chain.last}", f"head {chain.head}")
        )
        return
    records = found.records(since=since, who=who, limit=limit)

    def show() -> None:
        rows = [
            (r["time"][:19].replace("T", " "), r["who"] or r["peer"] or "anonymous", r["action"], r["status"], _told(r))
            for r in records
        ]
        table("", ("when (UTC)", "who", "action", "status", "what"), rows, right=("status",))

    context.emit({"records": records}, show)


def _told(record: dict[str, Any]) -> str:
    parts = [" ".join(record["query"]["text"].split())[:80]] if "query" in record else []
    parts += [f"wrote {short(g)}" for g in record.get("graphs", ())]
    return "; ".join(parts)


@command("rotate")
def rotate(context: Context) -> None:
    """Make a new secret for tokens: everybody has to sign in again, from the next request on."""
    from engine.server.identity.state import State

    if not (context.folder / "log.sqlite").exists():
        raise InputError("there is no knowledge base", place=str(context.folder), remedy="dappops init")
    state = State(context.folder)
    try:
        state.rotate()
    finally:
        state.close()
    context.emit({"rotated": True}, lines("every token made so far has stopped working"))


for _command in (create, list_, grant, revoke, trail, rotate):
    access.add_command(_command)
