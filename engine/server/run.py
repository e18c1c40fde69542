"""Serving: this process starts and watches the others, and ends them in order.

The keeper (`engine.replicas.keeper`) opens the knowledge base and feeds replicas; Granian's workers import
`engine.server.front`. What they need to know travels in the environment. When told to stop, Granian accepts nothing
more and lets what is being answered finish up to a bound; then the replicas end, and the knowledge base is closed.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from engine.errors import BusyError, InputError, NotAvailableError
from engine.server.identity import exposure
from engine.server.settings import Settings

KEEPER = "DAPPOPS_KEEPER"  # the keeper's socket, in the environment of a front
BACKLOG = 1024
GRACE = 15  # seconds that answers under way have when the server stops
PATIENCE = 120.0  # seconds until it has to answer (an owner may be recovering)
NEEDED = ("flask", "granian", "a2wsgi", "uvloop", "prometheus_client")


def check_free(host: str, port: int) -> None:
    """BusyError when something listens there already, InputError when the address is not this machine's."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise InputError(
            f"{host!r} is no address of this machine", rule=str(error), remedy="--host 127.0.0.1"
        ) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise BusyError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                remedy="choose another with --port, or end what listens there",
            ) from error


def url_of(settings: Settings) -> str:
    """The address to open."""
    host = settings.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_certificate else 'http'}://{shown}:{settings.port}/"


def serve(settings: Settings, *, ready: Callable[[str, str], None] = lambda url, how: None) -> None:
    """Serve a knowledge base until the process is told to stop (SIGTERM or SIGINT). Call it from the main thread.

    `ready(url, how)` is called from another thread when it answers; `how` names the server. A home of `:memory:` is a
    temporary folder. NotAvailableError without the extra, BusyError when the port is taken, InputError as `exposure.check` says.
    """
    missing = next((name for name in NEEDED if importlib.util.find_spec(name) is None), "")
    if missing:
        shown = "Flask" if missing == "flask" else missing
        raise NotAvailableError(f"serving needs {shown}", remedy='pip install "dappops[serve]"')
    for note in exposure.check(settings):
        print(f"note: {note}", file=sys.stderr, flush=True)
    check_free(settings.host, settings.port)
    with ExitStack() as last:
        if settings.home == ":memory:":
            folder = tempfile.mkdtemp(prefix="dappops-serve-")
            last.callback(shutil.rmtree, folder, ignore_errors=True)
            settings = replace(settings, home=folder)
        _supervise(settings, ready, last)


def _supervise(settings: Settings, ready: Callable[[str, str], None], last: ExitStack) -> None:
    from granian.constants import Interfaces, Loops
    from granian.log import LogLevels
    from granian.server import Server

    from engine.replicas import keeper
    from engine.replicas.options import KeeperOptions
    from engine.server.operations import metrics

    found = keeper.start(
        KeeperOptions(
            settings.home, author=settings.author, safe=settings.safe, dataset=settings.dataset, replica=settings.replica,
            replica_update=settings.replica_update,
        )
    )  # fmt: skip
    last.callback(found.stop)
    last.callback(metrics.clean, metrics.prepare())
    os.environ.update({**settings.to_environment(), KEEPER: str(found.socket)})
    server = Server(
        "engine.server.front:application", address=settings.host.strip("[]"), port=settings.port,
        interface=Interfaces.ASGI, loop=Loops.uvloop, workers=settings.workers, backlog=BACKLOG, factory=True,
        log_level=LogLevels.warning, websockets=False, workers_kill_timeout=GRACE, respawn_failed_workers=True,
        ssl_cert=Path(settings.tls_certificate) if settings.tls_certificate else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
    )  # fmt: skip
    stopping = threading.Event()
    last.callback(stopping.set)
    watcher = threading.Thread(target=_tell, args=(settings, ready, stopping), daemon=True)
    watcher.start()
    server.serve()


def _tell(settings: Settings, ready: Callable[[str, str], None], stopping: threading.Event) -> None:
    """Call `ready` when a query is answered."""
    deadline = time.monotonic() + PATIENCE
    while not stopping.is_set() and time.monotonic() < deadline:
        if _answers(settings):
            ready(url_of(settings), "Granian")
            return
        stopping.wait(0.05)


def _answers(settings: Settings) -> bool:
    host = settings.host.strip("[]")
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    connection: http.client.HTTPConnection
    if settings.tls_certificate:
        # it is this process's own child that is asked, whatever name the certificate has
        connection = http.client.HTTPSConnection(
            host, settings.port, timeout=5, context=ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/sparql?query=ASK%7B%7D")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


__all__ = ["check_free", "serve", "url_of"]
