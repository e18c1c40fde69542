"""Runs the system's tools (`ip`, `tc`, `nft`, `nsenter`) with an error that says which command failed and why."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from engine.errors import NotAvailableError

PATIENCE = 20.0  # seconds for one of them


def run(*argv: str, text: str = "") -> str:
    """Standard output of a command; NotAvailableError when it is missing or fails. Effect: whatever the command does."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailableError(f"{argv[0]} does not run: {error}", remedy="install iproute2 and nftables") from error
    if done.returncode:
        # a batch tells the error first and then that the batch failed; other tools warn first and end with the error
        said = [x for x in (done.stderr or done.stdout).strip().splitlines() if not x.startswith("Command failed")]
        raise NotAvailableError(said[-1] if said else f"exit code {done.returncode}", place=" ".join(argv))
    return done.stdout


def works(*argv: str, text: str = "") -> str:
    """ "" when the command succeeds, else why not."""
    try:
        run(*argv, text=text)
    except NotAvailableError as error:
        return error.message
    return ""


def batch(tool: Sequence[str], lines: Sequence[str]) -> None:
    """Several commands in one process of `ip` or `tc`."""
    if lines:
        run(*tool, "-batch", "-", text="\n".join(lines) + "\n")
