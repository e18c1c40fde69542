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
from engine.ledger.agreements.model import Version
from engine.ledger.agreements.versions import chain_of
from engine.ledger.home import DEFAULT
from engine.ledger.knowledge import folder_of

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

Json = dict[str, Any]
Say = Callable[[str, Json], None]
MODULE = "engine.ledger.agreements.witness"
SKEW = 2.0  # seconds by which clocks may differ without anybody minding
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
        return (self.ends or [{}])[-1]

    @property
    def ends(self) -> list[Json]:
        """How its work on each version ended, so far."""
        return [e for e in self.events if e["event"] in ("voted", "abstained", "failed")]


class Witnesses:
    """Witness processes, as a context manager. `prefix`: what goes before each command, to run it in another network."""

    def __init__(self, say: Say | None = None, *, prefix: Sequence[str] = ()) -> None:
        self.prefix = tuple(prefix)
        self.running: list[Running] = []
        self._say: Say = say or (lambda what, data: None)

    def start(self, settings: Json) -> Running:
        """Start one; `settings` as `witness.main` reads them."""
        environment = {k: os.environ[k] for k in ENVIRONMENT if k in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
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
    version: str | Sequence[str],
    account: str,
    home: Path,
    *,
    spool: Path | None = None,
    patience: float | None = None,
    skew: float = 0.0,
) -> Json:
    """What a witness process is told: versions as their proposers signed them, where it hands in, and which chain knows names."""
    versions = [version] if isinstance(version, str) else list(version)
    signed = [kb.call("signed_graph", graph=model.graph_of(v)) for v in versions]
    return {
        "graphs": signed, "account": account, "home": str(home), "knowledgeBase": None if spool else str(folder_of(kb)),
        "spool": None if spool is None else str(spool), "patience": patience, "skew": skew,
        "chain": {"home": str(folder_of(kb)), "name": DEFAULT},
    }  # fmt: skip


def _skew(kb: KnowledgeBase, version: Version) -> float:
    """Seconds by which the version's chain is ahead of this clock: its clock decides when a period begins and ends."""
    try:
        ahead = chain_of(kb, version).chain.header().time - time.time()
    except (InputError, BusyError):
        return 0.0  # a chain that is not known here, or away: this clock has to do
    return ahead if ahead > SKEW else 0.0


def run_witnesses(
    kb: KnowledgeBase,
    version: str | Sequence[str],
    homes: Mapping[str, Path] | Sequence[Path],
    *,
    spool: Path | None = None,
    patience: float | None = None,
    say: Say | None = None,
    prefix: Sequence[str] = (),
) -> list[Json]:
    """Run the witnesses of a version, or of several with the same witnesses, to the end of their work: they measure the
    period, seal, and open their votes; one process a witness.

    `homes`: folders of witnesses, or account -> folder; `prefix`: before each command, such as another network's. Returns
    {"witness", "version", "event": voted | abstained, …} of each. BusyError when one fails or does not end by settle-by; to
    call it again goes on with what was measured.
    """  # fmt: skip
    from engine.ledger.agreements.versions import read

    versions = [read(kb, v) for v in ([version] if isinstance(version, str) else version)]
    folders = dict(homes) if isinstance(homes, Mapping) else {make_witness(home): home for home in homes}
    for told in versions:
        if strangers := sorted(set(folders) - {e.account for e in told.engagements}):
            raise InputError(f"{strangers[0]} is no witness of this agreement", place=told.iri)
    skew = _skew(kb, versions[0])
    with Witnesses(say, prefix=prefix) as group:
        for account, home in folders.items():
            group.start(
                settings_for(kb, [v.iri for v in versions], account, home, spool=spool, patience=patience, skew=skew)
            )
        group.wait(max(30.0, max(v.settle_by for v in versions) - time.time()))
        outcome = [{"witness": child.account, **end} for child in group.running for end in child.ends]
    if spool is not None:
        _, refused = collect(kb, spool)
        if refused:
            raise InputError(refused[0], place=str(spool))
    return outcome


__all__ = ["Running", "Witnesses", "make_witness", "run_witnesses", "settings_for"]
