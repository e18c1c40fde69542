"""Listening: Granian in a process of its own where it is installed, Flask's own server in this one otherwise.

Granian starts worker processes that import `engine.server.worker`; the one worker opens the knowledge base and becomes
its owner, or a client of the process that is. What it needs to know travels in the environment.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

from engine.errors import BusyError, InputError, NotAvailableError

HOME, AUTHOR, SAFE, ANY_HOST = (
    "DAPPOPS_SERVE_HOME",
    "DAPPOPS_SERVE_AUTHOR",
    "DAPPOPS_SERVE_SAFE",
    "DAPPOPS_SERVE_ANY_HOST",
)
THREADS = 4  # requests at once
BACKLOG = 128


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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


def serve(
    home: Path | None,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    author: str | None = None,
    safe: bool = False,
    plain: bool = False,
    ready: Callable[[str, str], None] = lambda url, how: None,
) -> None:
    """Serve the knowledge base in `home` (None: one that keeps nothing) until the process is told to stop.

    `ready(url, how)` is called when it is about to listen; `how` names the server. `plain` uses Flask's own server even
    where Granian is installed. NotAvailableError without Flask, BusyError when the port is taken.
    """
    if importlib.util.find_spec("flask") is None:
        raise NotAvailableError("the page needs Flask", remedy='pip install "dappops[serve]"')
    check_free(host, port)
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    url = f"http://{shown}:{port}/"
    granian = home is not None and not plain and importlib.util.find_spec("granian") is not None
    if granian and home is not None:
        ready(url, "Granian")
        _granian(home, host, port, author, safe)
    else:
        why = (
            "keeps nothing"
            if home is None
            else "as asked"
            if plain
            else 'Granian is not installed: pip install "dappops[serve]"'
        )
        ready(url, f"Flask's own server ({why})")
        _flask(home, host, port, author, safe)


def _granian(home: Path, host: str, port: int, author: str | None, safe: bool) -> None:
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    os.environ.update(
        {HOME: str(home), AUTHOR: author or "", SAFE: "1" if safe else "", ANY_HOST: "" if is_loopback(host) else "1"}
    )
    Server(
        "engine.server.worker:application", address=host.strip("[]"), port=port, interface=Interfaces.WSGI, workers=1,
        blocking_threads=THREADS, backlog=BACKLOG, factory=True, log_level=LogLevels.warning, websockets=False,
        workers_kill_timeout=10,
    ).serve()  # fmt: skip


def _flask(home: Path | None, host: str, port: int, author: str | None, safe: bool) -> None:
    from werkzeug.serving import make_server

    import engine
    from engine.server.app import make_app

    with engine.open(home or ":memory:", author=author, safe=safe) as kb:
        server = make_server(host.strip("[]"), port, make_app(kb, any_host=not is_loopback(host)), threaded=True)
        try:
            server.serve_forever()
        finally:
            server.server_close()
