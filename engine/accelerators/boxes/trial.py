"""Whether a box works here is found by starting something in it, once, with a bound on the time it may take."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from pathlib import Path

from engine.accelerators.boxes.spec import CPUS, MB, MEMORY, TASKS, Box, Limits, Spec, interpreter
from engine.errors import NotAvailableError

TIMEOUT = 20.0  # seconds; a box needs some ten milliseconds, a busy machine more
SIGN = "a box that works"
TELL = 400  # characters of what a failed start said


class Trial:
    """The trial start of one box, made when first asked for."""

    def __init__(self, box: Box, program: tuple[str, ...] | None = None) -> None:
        self._box, self._tried = box, False
        self._program = program or (interpreter(), "-I", "-S", "-c", f"print({SIGN!r})")
        self._reason: str | None = None
        self._group_bounds: frozenset[str] = frozenset()

    def reason(self, remedy: str = "") -> str | None:
        """None when the start worked, else what went wrong, with the remedy."""
        self._try()
        return self._reason and f"{self._reason}{f' -> {remedy}' if remedy else ''}"

    def group_bounds(self) -> set[str]:
        """Which of memory, cpus, tasks a cgroup bounds here."""
        self._try()
        return set(self._group_bounds)

    def _try(self) -> None:
        if self._tried:
            return
        self._tried = True
        with tempfile.TemporaryDirectory(prefix="dappops-trial-") as name:
            app, scratch, folder = (Path(name) / part for part in ("app", "scratch", "box"))
            for made in (app, scratch, folder):
                made.mkdir()
            unique = f"dappops-trial-{os.getpid()}-{secrets.token_hex(4)}"
            start = Spec(unique, app, scratch, folder, self._program, limits=Limits(memory=512 * MB, cpus=1.0))
            self._reason = self._run(start)

    def _run(self, start: Spec) -> str | None:
        try:
            started = self._box.start(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except (OSError, NotAvailableError) as error:
            return f"{self._box.name} does not start: {error}"
        try:
            out, errors = started.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return f"{self._box.name} did not answer within {TIMEOUT:.0f} s"
        finally:
            if started.group is not None:
                self._group_bounds = started.group.bounds & {MEMORY, CPUS, TASKS}
            started.stop()
        if SIGN in out.decode(errors="replace"):
            return None
        said = errors.decode(errors="replace").strip().splitlines()
        return (
            f"{self._box.name} does not start: {said[-1][-TELL:] if said else f'status {started.process.returncode}'}"
        )


def absent(binary: str, remedy: str) -> str:
    """The reason of a box whose program is not there."""
    return f"there is no program {binary} -> {remedy}"


def unavailable(box: Box, reason: str | None) -> NotAvailableError:
    """The error for starting in a box that is not available."""
    text, _, remedy = (reason or "it does not start").partition(" -> ")
    return NotAvailableError(f"not available: {text}", place=f"box {box.name}", remedy=remedy)
