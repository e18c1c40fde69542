"""The function broker: starts, finds and stops the process through which applications call functions.

    handle = broker.start(home)                  # a process of its own; one that runs already is used
    handle.client("stage").call("frame-filter", {"width": 64, "height": 48}, frame)
    handle.client().command("choices", choices=[{"function": …, "size": …, "variant": …, "device": "", "box": …}])
    socket = handle.grant("stage")               # a socket for one tenant: hand it over as DAPPOPS_BROKER
    broker.status(home); broker.stop(home)

Packages are those that were built last in `home` (`packages.build`), or the list handed over, such as what the graph
states (`packages.published`): a worker starts only from bytes of those digests. Settings are a JSON object:
{"slots", "queue_calls", "idle", "workers", "workers_per_tenant", "limits": {"memory", "cpus", "threads", "tasks"},
"tenants": {"NAME": {…limits}}}. Run as `python -m engine.accelerators.broker HOME` it is the broker itself.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from engine.accelerators import boxes
from engine.accelerators.boxes.area import birth
from engine.accelerators.client import CallError, Client
from engine.accelerators.packages import SOURCES, Package, Store
from engine.accelerators.serving import Server, Settings
from engine.errors import BusyError, DappopsError, InputError, NotAvailableError, did_you_mean

PATIENCE = 60.0  # seconds until a broker must have started or ended
FAMILIES: dict[str, type[DappopsError]] = {"input": InputError, "busy": BusyError, "deadline": BusyError}


@dataclass(frozen=True, slots=True)
class Handle:
    """A running broker."""

    pid: int
    socket: str

    def client(self, tenant: str = "default") -> Client:
        """A connection on account of a tenant."""
        return Client(self.socket, tenant=tenant)

    def grant(self, tenant: str) -> str:
        """Path of a socket over which only this tenant's calls are taken, and no commands."""
        with self.client() as client:
            return str(client.command("grant", tenant=tenant)["socket"])


def socket_path(home: Path) -> Path:
    """Where the broker of a home listens unless told otherwise."""
    return Path(home).absolute() / "run" / "broker.sock"


def find(home: Path) -> Handle | None:
    """The broker of this home if it runs and answers."""
    record = _record(home)
    if record is None or birth(record["pid"]) != record["birth"]:
        return None
    try:
        with Client(record["socket"]) as client:
            client.command("ping")
    except CallError:
        return None
    return Handle(record["pid"], record["socket"])


def start(
    home: Path,
    *,
    socket: Path | None = None,
    packages: Sequence[Package] | None = None,
    choices: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any] | None = None,
) -> Handle:
    """Start the broker of this home, or use the one that runs (with the settings it has), and hand it the packages and the
    composer's decisions if there are any; workers of other bytes are replaced at their next call.

    Raises InputError for wrong settings, NotAvailableError with what it said when it does not start.
    """
    home = Path(home).absolute()
    settings_from(settings or {})
    running = find(home)
    started = running is None
    if running is None:
        running = _spawn(home, socket or socket_path(home), packages, settings or {})
    with running.client() as client:
        if packages is not None and not started:
            client.command("packages", packages=[asdict(p) for p in packages])
        if choices:
            client.command("choices", choices=[dict(c) for c in choices])
    return running


def _spawn(home: Path, socket: Path, packages: Sequence[Package] | None, settings: Mapping[str, Any]) -> Handle:
    run = home / "run"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    order = {
        "socket": str(socket), "settings": dict(settings),
        "packages": None if packages is None else [asdict(p) for p in packages],
    }  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "HOME", "TMPDIR")}
    environment["PYTHONPATH"] = str(SOURCES)
    log = run / "broker.log"
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.accelerators.broker", str(home)], stdin=subprocess.PIPE, stdout=out, stderr=out,
            start_new_session=True, env=environment, cwd="/",
        )  # fmt: skip
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(json.dumps(order).encode())
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = find(home)
        if found is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.02)
    else:
        process.kill()
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise NotAvailableError(
        f"not available: the broker did not start: {said[-1] if said else 'it said nothing'}", place=str(log),
        remedy="see the log",
    )  # fmt: skip


def stop(home: Path) -> bool:
    """End the broker of this home and its workers; False when none runs."""
    record = _record(home)
    if record is None or birth(record["pid"]) != record["birth"]:
        return False
    try:
        with Client(record["socket"]) as client:
            client.command("stop")
    except CallError:
        os.kill(record["pid"], signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while birth(record["pid"]) == record["birth"] and not _zombie(record["pid"]):
        if time.monotonic() > deadline:
            os.kill(record["pid"], signal.SIGKILL)  # its workers die with it
            break
        time.sleep(0.01)
    return True


def status(home: Path) -> dict[str, Any] | None:
    """What the broker of this home says of itself, or None when none runs."""
    found = find(home)
    if found is None:
        return None
    with found.client() as client:
        return {**client.command("status"), "socket": found.socket}


def engine_error(error: CallError) -> DappopsError:
    """A call's error in the families of this project."""
    family = FAMILIES.get(error.code, NotAvailableError)
    return family(error.message, place=error.place, rule=error.rule, remedy=error.remedy)


def settings_from(data: Mapping[str, Any]) -> Settings:
    """Settings from JSON. InputError names what is unknown or of the wrong kind."""

    def limits(found: object, place: str) -> boxes.Limits:
        return boxes.Limits(**_checked(found, boxes.Limits, place))

    given = dict(data)
    everybody, named = limits(given.pop("limits", {}), "limits"), given.pop("tenants", {})
    if not isinstance(named, dict):
        raise InputError(f"{named!r} is no JSON object", place="tenants")
    tenants = {name: limits(value, f"tenants.{name}") for name, value in named.items()}
    return replace(Settings(**_checked(given, Settings, "settings")), limits=everybody, tenants=tenants)


def _checked(found: object, kind: type, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError(f"{found!r} is no JSON object", place=place)
    known = {f.name for f in fields(kind)}
    for name, value in found.items():
        if name not in known:
            raise InputError(
                f"no setting {name!r}{did_you_mean(name, known)}", place=place, rule=", ".join(sorted(known))
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InputError(f"{name} is {value!r}", place=place, rule="a number, not negative")
        if not isinstance(value, int) and name not in ("cpus", "idle"):
            raise InputError(f"{name} is {value!r}", place=place, rule="a whole number")
    return found


def _record(home: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((Path(home) / "run" / "broker.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _zombie(pid: int) -> bool:
    """Whether it has ended and only its parent (perhaps this process) has not looked yet."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# -- the broker itself -------------------------------------------------------------------------------------------------
async def run(home: Path, order: Mapping[str, Any]) -> None:
    """Serve until told to stop."""
    folder, ended = home / "run", asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    store = Store(home)
    given = order.get("packages")
    packages = store.packages() if given is None else [Package(**p) for p in given]
    with boxes.Area(folder / "boxes") as area:
        server = Server(store, packages, area, folder, settings_from(order.get("settings") or {}), stop=ended.set)
        socket = Path(order.get("socket") or socket_path(home))
        await server.listen(socket)
        record = folder / "broker.json"
        record.with_suffix(".part").write_text(
            json.dumps({"pid": os.getpid(), "birth": birth(os.getpid()), "socket": str(socket)}), encoding="utf-8"
        )
        record.with_suffix(".part").replace(record)
        tidying = asyncio.ensure_future(server.tidy())
        await ended.wait()
        tidying.cancel()
        await server.close()
        socket.unlink(missing_ok=True)
        record.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process: one a home, by a lock that ends with it."""
    parser = argparse.ArgumentParser(description="the function broker of a home; its order is JSON on standard input")
    parser.add_argument("home", type=Path)
    home = parser.parse_args(arguments).home.absolute()
    order = json.loads(sys.stdin.read() or "{}")
    (home / "run").mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(home / "run" / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another broker of this home is running", file=sys.stderr)
        return BusyError.exit_code
    try:
        asyncio.run(run(home, order))
    except (DappopsError, CallError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
