"""Parsed queries kept between processes, in the user's cache folder; losing it costs time and nothing else.

`DAPPOPS_CACHE` names another folder, or is `off`. A file is named by the hash of the query's text and of the versions that
read it, is written whole or not at all, and is used only when it belongs to the user who reads it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reasoners.sparql import algebra

FORMAT = "2"
LARGEST = 1 << 20  # bytes of one kept query
MOST = 4000  # files; beyond that the older half goes


def folder() -> Path | None:
    """Where parsed queries are kept; None when they are not."""
    chosen = os.environ.get("DAPPOPS_CACHE", "")
    if chosen.lower() == "off":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(chosen) if chosen else Path(base) / "dappops") / "queries"


@cache
def _reader() -> str:
    try:
        rdflib = version("rdflib")
    except PackageNotFoundError:
        rdflib = "?"
    return f"{FORMAT} {sys.version_info[:2]} {rdflib} "


class Files:
    """One file a query."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._swept = False

    def _path(self, text: str) -> Path:
        return self.place / hashlib.sha256((_reader() + text).encode(errors="surrogatepass")).hexdigest()

    def get(self, text: str) -> bytes | None:
        """What was kept for this text."""
        with suppress(OSError), self._path(text).open("rb") as file:
            told = os.fstat(file.fileno())
            if told.st_uid == os.geteuid() and told.st_size <= LARGEST:
                return file.read()
        return None

    def put(self, text: str, packed: bytes) -> None:
        """Keep it; a folder that cannot be written is no reason to fail."""
        if len(packed) > LARGEST:
            return
        with suppress(OSError):
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            descriptor, partial = tempfile.mkstemp(dir=self.place)
            with os.fdopen(descriptor, "wb") as file:
                file.write(packed)
            Path(partial).replace(self._path(text))

    def _sweep(self) -> None:
        """Once a process: keep the number of files bounded."""
        if self._swept:
            return
        self._swept = True
        files = [entry for entry in os.scandir(self.place) if entry.is_file()]
        if len(files) > MOST:
            for entry in sorted(files, key=lambda e: e.stat().st_mtime)[: len(files) // 2]:
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)


def use() -> None:
    """Let the SPARQL parser remember what it parsed, as the environment says."""
    with suppress(RuntimeError):  # no home folder
        place = folder()
        algebra.remember(None if place is None else Files(place))
