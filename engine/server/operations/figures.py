"""Figures of now for `/metrics`: what an outsider may know, and what only whoever runs the server may.

Outsiders get figures of their own audience. How busy the server is, what was refused and how long it took would tell of
others' work, private graphs included, so that is the operator's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.server.caller import Caller
from engine.server.operations.metrics import Gauge, gauge

Figures = dict[str, Gauge]
_STARTED = time.time()


def of_audience(call: Callable[..., Any], caller: Caller) -> Figures:
    """What the caller can read, counted."""
    own = set(call("audience", reader=caller.address)["graphs"]) if caller.signed_in else set()
    known = call("info")["graphs"]
    readable = sum(1 for g in known if g["audience"] == "public" or g["iri"] in own)
    return {
        "dappops_up": gauge("The server answers.", 1),
        "dappops_audience_version": gauge(
            "Transactions that changed something the asker can read.",
            float(call("audience_version", audience=caller.audience)["version"]),
        ),
        "dappops_audience_graphs": gauge("Graphs that the asker can read.", float(readable)),
    }


def of_server(call: Callable[..., Any], home: str, status: Mapping[str, Any] | None) -> Figures:
    """Everything else: for the operator."""
    info = call("info")
    out: Figures = {
        "dappops_head_transaction": gauge("Newest transaction of the log.", float(info["head"])),
        "dappops_graphs": gauge("Graphs of the knowledge base.", float(len(info["graphs"]))),
        "dappops_findings": gauge("Open findings of coherence shapes.", float(len(call("findings")))),
        "dappops_start_time_seconds": gauge("When this front process started, Unix seconds.", _STARTED),
    }
    out |= of_process(os.getpid(), "front")
    if home and home != ":memory:":
        out |= _of_disk(Path(home))
    if status is not None:
        out |= _of_replicas(status, int(info["head"]))
    return out


def of_process(pid: int, role: str) -> Figures:
    """Memory and open descriptors of a process, from /proc; nothing where that is not to be had."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError, ValueError):
        return {}
    return {
        "dappops_resident_memory_bytes": gauge(
            "Resident memory of a process.", float(pages * os.sysconf("SC_PAGE_SIZE")), role=role
        ),
        "dappops_open_descriptors": gauge("Open file descriptors of a process.", float(descriptors), role=role),
    }


def _of_disk(home: Path) -> Figures:
    out: Figures = {}
    try:
        out["dappops_disk_free_bytes"] = gauge(
            "Room on the disk of the home folder.", float(shutil.disk_usage(home).free)
        )
        size = sum((home / name).stat().st_size for name in ("log.sqlite", "log.sqlite-wal") if (home / name).exists())
        out["dappops_log_bytes"] = gauge("Size of the log with its write-ahead file.", float(size))
    except OSError:
        pass
    return out


def _of_replicas(status: Mapping[str, Any], head: int) -> Figures:
    replicas = list(status.get("replicas", ()))
    out: Figures = {"dappops_replicas": gauge("Replicas that run.", float(len(replicas)))}
    told = (
        ("dappops_replica_lag_transactions", "Transactions a replica has yet to see.", lambda r: head - int(r["tx"])),
        ("dappops_replica_workers", "Workers a replica holds.", lambda r: r["workers"]),
        ("dappops_replica_memory_bytes", "Resident memory of a replica.", lambda r: _resident(r["pid"])),
        ("dappops_replica_restarts", "Times a replica was started again.", lambda r: r["restarts"]),
    )
    for name, help, value in told:
        rows = []
        for each in replicas:
            try:
                labels = {"audience": str(each.get("audience", "")), "regime": str(each.get("regime", ""))}
                labels["as_of"] = "" if each.get("as_of") is None else str(each["as_of"])
                rows.append((labels, float(value(each))))
            except (KeyError, TypeError, ValueError, OSError):
                continue
        if rows:
            out[name] = Gauge(help, tuple(rows))
    ended = status.get("ended")
    if isinstance(ended, Mapping):
        rows = [({"reason": str(reason)}, float(number)) for reason, number in sorted(ended.items())]
        out["dappops_replica_queries_ended"] = Gauge("Queries that replicas ended, by reason.", tuple(rows))
    return out


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


__all__ = ["Figures", "of_audience", "of_process", "of_server"]
