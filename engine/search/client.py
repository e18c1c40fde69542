"""The search process as its clients see it: started when it is first asked, ended when nobody asks any more."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import NotAvailableError
from engine.graph.owner import decode_error
from engine.graph.wire import decode_term
from engine.search.hits import Ask, Hit
from reasoners.graph import Term
from reasoners.vocab import XSD

STARTING = 30.0  # seconds it may take to listen; the model is loaded later
ANSWERING = 120.0  # seconds until an answer, the first of which loads the model
LINGER = 5.0  # seconds it stays when its last client has gone
MAX_FRAME = 64 * 1024 * 1024
ROOT = Path(__file__).resolve().parents[2]  # where `engine` is imported from


def socket_of(home: Path) -> Path:
    """Where the search process of a home listens: a folder that only this user can enter. NotAvailableError else."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"dappops-search-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    told = folder.lstat()
    if told.st_uid != os.getuid() or told.st_mode & 0o077 or folder.is_symlink():
        raise NotAvailableError(
            "others could answer for the search process", place=str(folder), remedy="remove that folder"
        )
    return folder / f"{hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:24]}.sock"


class SearchProcess:
    """One per process and event loop that asks; nothing is started before the first question. `await close()` at the end."""

    def __init__(self, home: Path, *, linger: float = LINGER) -> None:
        self.home = home.absolute()
        self._linger = linger
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._starting: asyncio.Lock | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def hits(self, audience: str, asks: Sequence[Ask]) -> list[list[Hit]]:
        """The hits of each ask, out of what the audience can read. Errors of the process are raised here."""
        if not asks:
            return []
        body = json.dumps({"audience": audience, "asks": [a.as_json() for a in asks]}).encode()
        for last in (False, True):
            reader, writer = await self._connected()
            try:
                writer.write(struct.pack(">I", len(body)) + body)
                await writer.drain()
                told = await asyncio.wait_for(_frame(reader), ANSWERING)
            except (OSError, asyncio.IncompleteReadError) as error:
                writer.close()
                if last:
                    raise NotAvailableError("the search process ended", remedy="ask again") from error
                continue  # it had just ended, for nobody asked: another is started
            except BaseException:
                writer.close()  # cancelled, or too late: what comes on this connection is no answer to the next question
                raise
            self._free.append((reader, writer))
            if "error" in told:
                raise decode_error(told["error"])
            return [[Hit.from_json(h) for h in hits] for hits in told["hits"]]
        raise AssertionError

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        path = socket_of(self.home)
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            deadline = time.monotonic() + STARTING
            while True:
                with suppress(OSError):
                    return await asyncio.open_unix_connection(str(path))
                if self._child is None or self._child.poll() is not None:
                    self._spawn(path)
                if time.monotonic() > deadline:
                    raise NotAvailableError("the search process does not start", place=str(path))
                await asyncio.sleep(0.05)

    def _spawn(self, path: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "engine.search.server",
            str(self.home),
            str(path),
            "--linger",
            str(self._linger),
        ]
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])))},
        )  # fmt: skip

    async def close(self) -> None:
        """Hang up; the process ends by itself a little later, unless others ask it."""
        for _, writer in self._free:
            writer.close()
        self._free.clear()
        if self._child is not None:
            self._child.poll()


async def _frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    if size > MAX_FRAME:
        raise ConnectionError(f"a frame of {size} bytes")
    told: dict[str, Any] = json.loads(await reader.readexactly(size))
    return told


def rows_as_json(answer: Mapping[str, Any]) -> bytes:
    """Rows of the service method `query` as SPARQL JSON."""
    names = answer["variables"]
    rows = [
        {name: _json(decode_term(text)) for name, text in zip(names, row, strict=True) if text is not None}
        for row in answer["rows"]
    ]
    return json.dumps({"head": {"vars": names}, "results": {"bindings": rows}}).encode()


def _json(term: Term) -> dict[str, str]:
    import pyoxigraph as ox

    if isinstance(term, ox.Literal):
        out = {"type": "literal", "value": term.value}
        if term.language:
            return {**out, "xml:lang": term.language}
        return out if term.datatype == XSD.string else {**out, "datatype": term.datatype.value}
    assert isinstance(term, ox.NamedNode | ox.BlankNode)
    return {"type": "uri" if isinstance(term, ox.NamedNode) else "bnode", "value": term.value}


__all__ = ["SearchProcess", "rows_as_json", "socket_of"]
