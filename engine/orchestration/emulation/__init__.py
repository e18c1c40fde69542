"""Hosts that this machine plays: network namespaces with bounds and shaped links as root, plain processes otherwise."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError, NotAvailableError
from engine.orchestration.emulation.fabric import Fabric, home_mark
from engine.orchestration.emulation.namespaces import Namespaces, missing
from engine.orchestration.emulation.plain import Plain
from engine.orchestration.emulation.topology import Host, Link, Topology, Way

MODES = ("auto", "namespaces", "plain")

__all__ = ["MODES", "Fabric", "Host", "Link", "Namespaces", "Plain", "Topology", "Way", "home_mark", "open_fabric"]


def open_fabric(run_folder: Path, mark: str, mode: str = "auto") -> Fabric:
    """The fabric of a home, not yet up. `auto` is namespaces where they can be made; NotAvailableError, InputError."""
    if mode not in MODES:
        raise InputError(f"no mode {mode!r}", rule=f"one of {', '.join(MODES)}")
    reason = "plain mode was asked for" if mode == "plain" else missing()
    if not reason:
        return Namespaces(run_folder, mark)
    if mode == "namespaces":
        raise NotAvailableError(
            f"hosts cannot be network namespaces here: {reason}", rule="mode namespaces",
            remedy="run as root with iproute2 and nftables, or use mode plain",
        )  # fmt: skip
    return Plain(run_folder, mark, reason)
