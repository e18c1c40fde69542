"""Witness processes started from here: each a child with its own folder, key and file of measurements.

A folder of a witness holds `keys/` and `measurements/`. What a child gets comes by standard input and has no secret in it;
a passphrase stays in the environment. Children are ended by process id and never outlive the `with` block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError, InputError
from engine.graph.keys import KeyRing
from engine.ledger.agreements import model
from engine.ledger.agreements.desk import collect
from engine.ledger.agreements.versions import home_of

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

Json = dict[str, Any]
Say = Callable[[str, Json], None]
MODULE = "engine.ledger.agreements.witness"
ENVIRONMENT = ("PATH", "HOME", "LANG", "DAPPOPS_PASSPHRASE", "DAPPOPS_DATA_ROOT", "SSL_CERT_FILE", "TMPDIR")


def make_witness(folder: Path, *, passphrase: str | None = None) -> str:
    """The account of a witness's folder, made with a key when it has none."""
    keys = KeyRing(folder / "keys")
    held = keys.addresses()
    return held[0] if held else keys.create(passphrase=passphrase).address


@dataclass
class Running:
    """A witness process. `events`: what it has told so far."""

    account: str
    process: subprocess.Popen[str]
    events: list[Json] = field(default_factory=list)
    reader: threading.Thread | None = None

    @property
    def last(self) -> Json:
        """The newest event of note: voted, abstained or failed; {} before there is one."""
        ends = [e for e in self.events if e["event"] in ("voted", "abstained", "failed")]
        return ends[-1] if ends else {}


class Witnesses:
    """Witness processes for one version, as a context manager."""

    def __init__(self, say: Say | None = None) -> None:
        self.running: list[Running] = []
        self._say: Say = say or (lambda what, data: None)

    def start(self, settings: Json) -> Running:
        """Start one; `settings` as `witness.main` reads them."""
        environment = {k: os.environ[k] for k in ENVIRONMENT if k in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        child = Running(settings["account"], process)
        self.running.append(child)
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(settings))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; `wait` tells why
        child.reader = threading.Thread(target=self._read, args=(child,), daemon=True)
        child.reader.start()
        return child

    def _read(self, child: Running) -> None:
        assert child.process.stdout is not None
        for line in child.process.stdout:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            child.events.append(event)
            self._say(str(event.get("event")), {"witness": child.account, **event})

    def wait(self, seconds: float) -> None:
        """Until all have ended; BusyError when they have not after so long, or one failed."""
        deadline = time.monotonic() + seconds
        for child in self.running:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise BusyError(f"witness {child.account} has not ended", remedy="wait until settle-by") from error
            if child.reader is not None:
                child.reader.join(5)
        for child in self.running:
            if child.process.returncode != 0:
                assert child.process.stderr is not None
                why = child.last.get("error") or child.process.stderr.read()[-500:]
                raise BusyError(
                    f"witness {child.account} failed: {why}", remedy="run it again: it goes on where it was"
                )

    def stop(self) -> None:
        """End those that still run."""
        for child in self.running:
            if child.process.poll() is None:
                child.process.terminate()
        for child in self.running:
            try:
                child.process.wait(5)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            for pipe in (child.process.stdout, child.process.stderr):
                if pipe is not None and child.reader is not None and not child.reader.is_alive():
                    pipe.close()

    def __enter__(self) -> Witnesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def settings_for(
    kb: KnowledgeBase,
    version: str,
    account: str,
    home: Path,
    *,
    spool: Path | None = None,
    patience: float | None = None,
) -> Json:
    """What a witness process is told: the version as its proposer signed it, and where it hands in."""
    signed = kb.call("signed_graph", graph=model.graph_of(version))
    return {
        "graph": signed, "account": account, "home": str(home), "knowledgeBase": None if spool else str(home_of(kb)),
        "spool": None if spool is None else str(spool), "patience": patience, "skew": 0.0,
    }  # fmt: skip


def run_witnesses(
    kb: KnowledgeBase,
    version: str,
    homes: Mapping[str, Path] | Sequence[Path],
    *,
    spool: Path | None = None,
    patience: float | None = None,
    say: Say | None = None,
) -> list[Json]:
    """Run a version's witnesses to the end of their work: they measure the period, seal, and open their votes.

    `homes`: folders of witnesses, or account -> folder. Returns {"witness", "event": voted | abstained, …} of each. BusyError
    when one fails or does not end by settle-by; to call it again goes on with what was measured.
    """  # fmt: skip
    from engine.ledger.agreements.versions import read

    told = read(kb, version)
    folders = dict(homes) if isinstance(homes, Mapping) else {make_witness(home): home for home in homes}
    wanted = {e.account for e in told.engagements}
    if strangers := sorted(set(folders) - wanted):
        raise InputError(f"{strangers[0]} is no witness of this agreement", place=told.iri)
    with Witnesses(say) as group:
        for account, home in folders.items():
            group.start(settings_for(kb, version, account, home, spool=spool, patience=patience))
        group.wait(max(30.0, told.settle_by - time.time()))
        outcome = [{"witness": child.account, **child.last} for child in group.running]
    if spool is not None:
        _, refused = collect(kb, spool)
        if refused:
            raise InputError(refused[0], place=str(spool))
    return outcome


__all__ = ["Running", "Witnesses", "make_witness", "run_witnesses", "settings_for"]
