"""The broker's inside: requests over a Unix socket, turns between tenants, answers, figures.

One thread, no library that a driver comes with: what may abort a process runs in workers. The protocol is in
docs/packages.md; `client` speaks it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.accelerators import boxes, client
from engine.accelerators.choices import Choice, choices_from, nearest
from engine.accelerators.client import CallError
from engine.accelerators.fair import Fair, FullError
from engine.accelerators.figures import text_of
from engine.accelerators.library import function
from engine.accelerators.packages import Package, Store
from engine.accelerators.pool import CODES, Counts, Key, Pool
from engine.errors import DappopsError, InputError, did_you_mean

TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_DEADLINE = 3_600_000  # milliseconds
MAX_TENANTS = 64  # with calls, workers or figures
MAX_CONNECTIONS = 128
MAX_PENDING = 1 << 29  # bytes of inputs held for all tenants together
FRAME_TIME = 60.0  # seconds that a frame may take once it has begun
TIDY = 1.0  # seconds between looks for idle workers
CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: unix(7), SO_PEERCRED
OPERATIONS = ("call", "choices", "grant", "metrics", "packages", "ping", "status", "stop")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the broker treats its tenants."""

    slots: int = 0  # calls carried out at a time; 0: one a processor
    queue_calls: int = 32  # a tenant
    queue_bytes: int = 1 << 27  # a tenant
    idle: float = 60.0  # seconds until an unused worker is ended
    workers: int = 32
    workers_per_tenant: int = 4
    limits: boxes.Limits = field(default_factory=boxes.Limits)  # of every tenant not named
    tenants: Mapping[str, boxes.Limits] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Waiting:
    """A call that waits for its turn."""

    key: Key
    parameters: Mapping[str, int]
    inputs: bytes
    deadline: float  # by the loop's clock
    arrived: float
    gone: Callable[[], bool]  # whether its caller has hung up
    answer: asyncio.Future[tuple[dict[str, Any], bytes]]


class Server:
    """The broker on one event loop. `find` gives the package of a function, variant and box (NotAvailableError)."""

    def __init__(
        self, store: Store, packages: Sequence[Package], area: boxes.Area, run: Path, settings: Settings, *,
        stop: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings, self._run, self._stop = settings, run, stop
        self._packages = by_key(packages)
        self._reasons = boxes.available()
        self._fair: Fair[Waiting] = Fair(calls=settings.queue_calls, size=settings.queue_bytes)
        self._pool = Pool(
            store, area, self._package, lambda t: settings.tenants.get(t, settings.limits),
            most=settings.workers, most_per_tenant=settings.workers_per_tenant,
        )  # fmt: skip
        self._choices: list[Choice] = []
        self._free = settings.slots or os.cpu_count() or 1
        self._running: set[str] = set()  # tenants with a call at work
        self._refused: dict[tuple[str, str], int] = defaultdict(int)  # tenant, code -> calls that reached no worker
        self._pending, self._connections = 0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._granted: dict[str, Path] = {}

    # -- sockets ----------------------------------------------------------------------------------------------------
    async def listen(self, path: Path, tenant: str | None = None) -> None:
        """Serve on a socket that this user alone may use; with `tenant`, calls of that tenant only."""
        bound = _bind(path)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer, tenant)

        self._servers.append(await asyncio.start_unix_server(serve, sock=bound))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tenant: str | None) -> None:
        self._connections += 1
        try:
            peer = writer.get_extra_info("socket")
            _, uid, _ = CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
            if uid not in (0, os.geteuid()):
                return
            if self._connections > MAX_CONNECTIONS:
                await _send(writer, _error("busy", f"{MAX_CONNECTIONS} connections are open", remedy="close some"))
                return
            while True:
                lengths = await reader.readexactly(client.LENGTHS.size)
                head, body = client.LENGTHS.unpack(lengths)
                if head > client.MAX_HEADER or body > client.MAX_PAYLOAD:
                    rule = f"at most {client.MAX_HEADER} + {client.MAX_PAYLOAD} bytes"
                    await _send(writer, _error("input", f"a frame of {head} + {body} bytes", rule=rule))
                    return
                if self._pending + body > MAX_PENDING:
                    await _send(writer, _error("busy", "too many inputs are held already", remedy="try again later"))
                    return
                self._pending += body
                try:
                    text, payload = await asyncio.wait_for(_rest(reader, head, body), FRAME_TIME)
                    info, output = await self._answer(text, payload, tenant, reader.at_eof)
                finally:
                    self._pending -= body
                await _send(writer, info, output)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._connections -= 1
            writer.close()
            with suppress(ConnectionError, BrokenPipeError):
                await writer.wait_closed()

    async def _answer(
        self, text: bytes, payload: bytes, tenant: str | None, gone: Callable[[], bool]
    ) -> tuple[dict[str, Any], bytes]:
        who = tenant or ""
        try:
            try:
                header = json.loads(text)
            except ValueError as error:
                raise CallError("input", f"the header is no JSON: {error}") from error
            if not isinstance(header, dict) or header.get("op") not in OPERATIONS:
                op = str(header.get("op") if isinstance(header, dict) else header)
                raise CallError(
                    "input", f"no operation {op!r}{did_you_mean(op, OPERATIONS)}", rule=", ".join(OPERATIONS)
                )
            op = header["op"]
            if tenant is not None and (op not in ("call", "ping") or header.get("tenant", tenant) != tenant):
                raise CallError(
                    "denied", f"this socket is for calls of tenant {tenant}", remedy="use the socket of yours"
                )
            if op == "call":
                who = header["tenant"] = _tenant(header.get("tenant", tenant))
                return await self._call(header, payload, gone)
            return await self._command(op, header)
        except CallError as error:
            self._refused[who, error.code] += 1 if who else 0
            return _error(error.code, error.message, error.place, error.rule, error.remedy), b""
        except DappopsError as error:
            code = CODES.get(type(error).__name__, "failed")
            self._refused[who, code] += 1 if who else 0
            return _error(code, error.message, error.place, error.rule, error.remedy), b""

    # -- calls ------------------------------------------------------------------------------------------------------
    async def _call(
        self, header: dict[str, Any], inputs: bytes, gone: Callable[[], bool]
    ) -> tuple[dict[str, Any], bytes]:
        parameters, milliseconds = header.get("parameters"), header.get("deadline_ms", 30_000)
        if not isinstance(parameters, dict):
            raise CallError("input", "parameters are missing", rule='an object, such as {"width": 64, "height": 48}')
        if not isinstance(milliseconds, int) or not 1 <= milliseconds <= MAX_DEADLINE:
            raise CallError("input", f"deadline_ms is {milliseconds!r}", rule=f"an integer from 1 to {MAX_DEADLINE}")
        name = header.get("function")
        wanted = function(name) if isinstance(name, str) else function("")
        wanted.check(parameters, inputs)
        tenant = header["tenant"]
        if tenant not in (known := self._known()) and len(known) >= MAX_TENANTS:
            raise CallError("busy", f"there are {MAX_TENANTS} tenants already", remedy="try again later")
        asked = {part: header.get(part) or "auto" for part in ("variant", "device", "box")}
        key, why = self._choose(tenant, wanted.id, wanted.items(parameters), asked)
        self._package(key.function, key.variant, key.box)
        loop = asyncio.get_running_loop()
        now = loop.time()
        call = Waiting(key, parameters, inputs, now + milliseconds / 1000, now, gone, loop.create_future())
        try:
            self._fair.put(tenant, call, len(inputs))
        except FullError as error:
            raise CallError(
                "busy", f"{error.limit} of tenant {tenant} are waiting already", remedy="wait for answers, or ask less",
            ) from error  # fmt: skip
        timer = loop.call_at(call.deadline, self._expire, call)
        self._pump()
        try:
            info, output = await call.answer
        finally:
            timer.cancel()
        return {**info, "variant": key.variant, "device": key.device, "box": key.box, **why}, output

    def _expire(self, call: Waiting) -> None:
        for late in self._fair.discard(lambda c: c is call):
            late.answer.set_exception(CallError("deadline", "its deadline passed while it waited for its turn"))

    def _pump(self) -> None:
        """Start calls while there is room for them."""
        for _ in self._fair.discard(lambda c: c.gone()):
            pass  # nobody waits for it
        while self._free > 0:
            taken = self._fair.take(lambda tenant: tenant not in self._running)
            if taken is None:
                return
            tenant, call = taken
            self._free -= 1
            self._running.add(tenant)
            task = asyncio.ensure_future(self._carry_out(tenant, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, tenant: str, call: Waiting) -> None:
        loop = asyncio.get_running_loop()
        began, outcome = loop.time(), "failed"
        try:
            info, output = await self._pool.call(
                call.key, call.parameters, call.inputs, lambda: call.deadline - loop.time()
            )
            if "error" in info:
                e = info["error"]
                raise CallError(e["code"], e["message"], e.get("place", ""), e.get("rule", ""), e.get("remedy", ""))
            outcome = "ok"
            if not call.answer.done():
                call.answer.set_result(({**info, "queued": began - call.arrived}, output))
        except CallError as error:
            outcome = error.code
            if not call.answer.done():
                call.answer.set_exception(error)
        except Exception as error:  # a mistake of ours must not take a tenant's turn away for good
            if not call.answer.done():
                call.answer.set_exception(CallError("failed", f"{type(error).__name__}: {error}"))
        finally:
            outcomes = self._pool.counts.setdefault(call.key, Counts()).outcomes
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            self._fair.charge(tenant, loop.time() - began)
            self._running.discard(tenant)
            self._free += 1
            self._pump()

    def _known(self) -> set[str]:
        return {k.tenant for k in self._pool.counts} | set(self._fair.waiting()) | self._running

    def _package(self, name: str, variant: str, box: str) -> Package:
        if box not in boxes.BOXES:
            raise InputError(f"no box {box!r}{did_you_mean(box, boxes.BOXES)}", rule=f"boxes: {', '.join(boxes.BOXES)}")
        if variant not in (known := function(name).variants):
            raise InputError(f"{name} has no variant {variant!r}{did_you_mean(variant, known)}", rule=", ".join(known))
        found = self._packages.get((name, variant, box))
        if found is None:
            there = sorted(b for f, v, b in self._packages if (f, v) == (name, variant))
            raise CallError(
                "unavailable", f"there is no package of {name} {variant} for box {box}",
                rule=f"packages for: {', '.join(there) or 'no box'}", remedy="build them: `dappops function package`",
            )  # fmt: skip
        if (reason := self._reasons[box]) is not None:
            text, _, remedy = reason.partition(" -> ")
            raise CallError("unavailable", f"box {box} is not available here: {text}", remedy=remedy)
        return found

    def _choose(self, tenant: str, name: str, size: int, asked: Mapping[str, str]) -> tuple[Key, dict[str, Any]]:
        """Fill in what the caller left open: by the composer's decision for the nearest size, else the strongest box."""
        given = {part: value for part, value in asked.items() if value != "auto"}
        if "variant" in given and "box" in given:
            return Key(tenant, name, given["variant"], given.get("device", ""), given["box"]), {"chosen": "caller"}
        best = nearest(self._choices, name, size, given)
        if best is not None:
            why = {"chosen": "decision", **({"decision": best.decision} if best.decision else {})}
            return Key(tenant, name, best.variant, best.device, best.box), why
        for box in reversed(boxes.BOXES):
            for variant in function(name).variants:
                there = (name, variant, box) in self._packages and self._reasons[box] is None
                if there and given.get("variant", variant) == variant and given.get("box", box) == box:
                    return Key(tenant, name, variant, given.get("device", ""), box), {"chosen": "default"}
        wanted = " ".join(f"{part} {value}" for part, value in given.items())
        raise CallError(
            "unavailable", f"no package of {name} can be started here{f' with {wanted}' if wanted else ''}",
            remedy="build them: `dappops function package`; `dappops devices` says what is missing",
        )  # fmt: skip

    # -- commands ---------------------------------------------------------------------------------------------------
    async def _command(self, op: str, header: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        if op == "ping":
            return {"pid": os.getpid()}, b""
        if op == "metrics":
            return {}, self.metrics().encode()
        if op == "stop":
            self._stop()
            return {"pid": os.getpid()}, b""
        if op == "choices":
            self._choices = choices_from(header.get("choices"))
            return {"choices": len(self._choices)}, b""
        if op == "packages":
            try:
                self._packages = by_key(Package(**found) for found in header["packages"])
            except (KeyError, TypeError) as error:
                raise CallError(
                    "input", f"no packages: {error}", rule="what packages.build returns, as data"
                ) from error
            return {"packages": len(self._packages)}, b""
        if op == "grant":
            tenant = _tenant(header.get("tenant"))
            if tenant not in self._granted:
                path = self._run / "tenants" / f"{tenant}.sock"
                await self.listen(path, tenant)
                self._granted[tenant] = path
            return {"socket": str(self._granted[tenant])}, b""
        return self.status(), b""

    def status(self) -> dict[str, Any]:
        """Boxes, workers, queues as data."""
        return {
            "pid": os.getpid(), "boxes": self._reasons, "queued": self._fair.waiting(),
            "running": sorted(self._running), "choices": len(self._choices), "packages": len(self._packages),
            "workers": [
                {**key._asdict(), "pid": w.launched.started.pid, "calls": w.calls, "digest": w.launched.package.digest}
                for key, w in self._pool.workers().items()
            ],
        }  # fmt: skip

    def metrics(self) -> str:
        """Prometheus text."""
        queued = self._fair.waiting()
        lengths = {tenant: queued.get(tenant, 0) for tenant in sorted(self._known())}
        return text_of(self._pool.counts, self._refused, lengths, len(self._pool.workers()))

    # -- life -------------------------------------------------------------------------------------------------------
    async def tidy(self) -> None:
        """End idle workers, again and again."""
        while True:
            await asyncio.sleep(TIDY)
            self._pool.retire(self._settings.idle)

    async def close(self) -> None:
        """Take no more, end the workers."""
        for server in self._servers:
            server.close()
        for path in self._granted.values():
            path.unlink(missing_ok=True)
        for call in self._fair.discard(lambda c: True):
            call.answer.set_exception(CallError("unavailable", "the broker is ending", remedy="start it again"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()


def by_key(packages: Iterable[Package]) -> dict[tuple[str, str, str], Package]:
    """Packages by function, variant and box."""
    return {(p.function, p.variant, p.box): p for p in packages}


def _bind(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(os.fsencode(path)) > 107:
        raise InputError(
            f"the path of the socket is too long: {path}", rule="at most 107 bytes", remedy="give --socket"
        )
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # never, not even for a moment, somebody else's to connect to
    try:
        bound.bind(str(path))
    finally:
        os.umask(mask)
    return bound


async def _rest(reader: asyncio.StreamReader, head: int, body: int) -> tuple[bytes, bytes]:
    return await reader.readexactly(head), await reader.readexactly(body)


async def _send(writer: asyncio.StreamWriter, info: Mapping[str, Any], output: bytes = b"") -> None:
    writer.write(client.encode(info, output))
    await writer.drain()


def _error(code: str, message: str, place: str = "", rule: str = "", remedy: str = "") -> dict[str, Any]:
    parts = {"code": code, "message": message, "place": place, "rule": rule, "remedy": remedy}
    return {"error": {k: v[:2000] for k, v in parts.items() if v}}


def _tenant(name: object) -> str:
    if not isinstance(name, str) or not TENANT.fullmatch(name):
        raise CallError(
            "input", f"{name!r} is no tenant"[:200], rule=TENANT.pattern, remedy="small letters, digits, . _ -"
        )
    return name
