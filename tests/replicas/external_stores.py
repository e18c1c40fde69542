"""Real stores for the tests, started from binaries on this machine; absent ones are skipped, saying why.

Binaries: `oxigraph` on PATH or DAPPOPS_OXIGRAPH; `virtuoso-t` on PATH or DAPPOPS_VIRTUOSO (the binary, also of an
unpacked Debian package: its libraries are then looked for beside it).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds until a store answers


def binary(name: str, variable: str) -> str:
    """Path of a program; skips the test when there is none."""
    beside = Path(sys.executable).with_name(name)
    found = os.environ.get(variable) or shutil.which(name) or (str(beside) if beside.is_file() else None)
    if not found or not Path(found).is_file():
        pytest.skip(f"no {name}: put it on PATH or set {variable}")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a SPARQL endpoint answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"{url}?query=ASK%20%7B%7D", timeout=5).read()
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, "the store ended"
            assert time.monotonic() < end, "the store does not answer"
            time.sleep(0.1)
        else:
            return


@contextmanager
def oxigraph(folder: Path) -> Iterator[tuple[str, str]]:
    """`oxigraph serve` in memory: its query and its update URL."""
    program = binary("oxigraph", "DAPPOPS_OXIGRAPH")
    port = free_port()
    with (folder / "oxigraph.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", "--bind", f"127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        answers(f"http://127.0.0.1:{port}/query", process)
        yield f"http://127.0.0.1:{port}/query", f"http://127.0.0.1:{port}/update"
    finally:
        process.terminate()
        process.wait(20)


INI = """
[Database]
DatabaseFile = {folder}/virtuoso.db
ErrorLogFile = {folder}/virtuoso.log
LockFile = {folder}/virtuoso.lck
TransactionFile = {folder}/virtuoso.trx
xa_persistent_file = {folder}/virtuoso.pxa
FileExtend = 200
MaxCheckpointRemap = 2000
TempStorage = TempDatabase
[TempDatabase]
DatabaseFile = {folder}/temp.db
TransactionFile = {folder}/temp.trx
MaxCheckpointRemap = 2000
[Parameters]
ServerPort = {sql}
DisableUnixSocket = 1
ServerThreads = 10
CheckpointInterval = 0
NumberOfBuffers = 4000
MaxDirtyBuffers = 3000
[HTTPServer]
ServerPort = {http}
ServerRoot = {folder}
ServerThreads = 8
[SPARQL]
DefaultQuery = select 1
"""


@contextmanager
def virtuoso(folder: Path) -> Iterator[tuple[str, str]]:
    """Virtuoso 7, whose public SPARQL user may update: its query and its update URL."""
    program = binary("virtuoso-t", "DAPPOPS_VIRTUOSO")
    root = Path(program).resolve().parent.parent.parent
    libraries = [str(root / "lib/x86_64-linux-gnu"), str(root / "usr/lib/x86_64-linux-gnu")]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")])}
    sql, http = free_port(), free_port()
    (folder / "virtuoso.ini").write_text(INI.format(folder=folder, sql=sql, http=http), encoding="ascii")
    with (folder / "out.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "+foreground", "+configfile", str(folder / "virtuoso.ini")], stdout=log, stderr=log,
            env=environment, cwd=folder,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{http}/sparql"
        answers(url, process)
        isql = Path(program).with_name("isql-vt")
        grant = "grant SPARQL_UPDATE to \"SPARQL\"; DB.DBA.RDF_DEFAULT_USER_PERMS_SET('nobody', 7);"
        subprocess.run(
            [isql, f"127.0.0.1:{sql}", "dba", "dba", f"exec={grant}"],
            env=environment,
            check=True,
            timeout=60,
            capture_output=True,
        )
        yield url, url
    finally:
        process.terminate()
        process.wait(30)
