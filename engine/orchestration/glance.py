"""What runs and what happened, as data for commands and page. Reads the graph and this machine; changes neither."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.graph.wire import decode_term
from engine.orchestration import processes
from engine.orchestration.deployments import GRAPH, deployed_of, hosts_of, tail
from engine.orchestration.emulation.cgroups import Cgroups
from engine.orchestration.emulation.fabric import Notebook, home_mark

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

LOOK = 0.2  # seconds over which processor use is measured


def rows(kb: KnowledgeBase, view: str) -> list[dict[str, Any]]:
    """Rows of a view as terms by variable; unbound ones left out."""
    answer = kb.call("view", name=view, bindings={})
    return [
        {name: decode_term(term) for name, term in zip(answer["variables"], row, strict=True) if term is not None}
        for row in answer["rows"]
    ]


def _text(row: dict[str, Any], name: str) -> str:
    return str(row[name].value) if name in row else ""


def status(kb: KnowledgeBase, *, load: bool = False) -> dict[str, Any]:
    """{"status": deployments, "hosts": hosts, "note"}: wanted and last seen, from the graph.

    `load`: also processor and memory that this machine's control groups count for each host (takes a fifth of a second),
    and `now` where a process is not what the graph last heard.
    """
    mine = f"{kb.graph_iri(GRAPH)}/"
    deployed = [d for d in deployed_of(rows(kb, "deploy-status")) if d.iri.startswith(mine)]
    sizes = {tail(h.iri): h for h in hosts_of(rows(kb, "deploy-hosts"))}
    hosts: dict[str, dict[str, Any]] = {}
    for row in rows(kb, "deploy-host-states"):
        name = tail(_text(row, "host"))
        hosts.setdefault(
            name,
            {
                "host": name, "iri": _text(row, "host"), "provider": tail(_text(row, "provider")),
                "state": tail(_text(row, "state")), "since": _text(row, "since"),
                "units": sum(d.desired == "Running" and tail(d.host) == name for d in deployed),
                "slots": sizes[name].slots if name in sizes else None, "of": sizes[name].cores if name in sizes else None,
            },
        )  # fmt: skip
    found: dict[str, Any] = {
        "status": [
            {
                "deployment": d.iri, "unit": d.name, "application": d.application, "host": tail(d.host), "desired": d.desired,
                "state": d.state or ("Pending" if d.desired == "Running" else "Stopped"), "since": d.since,
                "generation": d.generation, "endpoint": d.endpoint, "box": d.box, "plan": d.plan, "package": d.package,
            }
            for d in deployed
        ],
        "hosts": [hosts[name] for name in sorted(hosts)],
    }  # fmt: skip
    if load and kb.home is not None:
        _look(Path(kb.home), found)
    return found


def _look(home: Path, found: dict[str, Any]) -> None:
    """Add what this machine sees now."""
    mark = home_mark(home)
    groups = Cgroups(f"dappops-{mark}", Notebook(home / "run" / "fabric.json").read().get("groups"))
    before = {h["host"]: groups.cpu_seconds(h["host"]) for h in found["hosts"]}
    begun = time.monotonic()
    if any(used is not None for used in before.values()):
        time.sleep(LOOK)
    took = time.monotonic() - begun
    for host in found["hosts"]:
        used, was = groups.cpu_seconds(host["host"]), before[host["host"]]
        if used is not None and was is not None and took > 0:
            host["cores"] = round((used - was) / took, 3)
        if (size := groups.memory_bytes(host["host"])) is not None:
            host["memoryMB"] = round(size / 1e6)
    alive = {m.name for _, m in processes.marked(mark) if m.kind == "unit"}
    for each in found["status"]:
        if each["state"] in ("Running", "Starting", "Degraded") and each["unit"] not in alive:
            each["now"] = "no process"
    watched = _watched(home)
    if found["status"] and not watched and any(d["desired"] == "Running" for d in found["status"]):
        found["note"] = "nobody watches: states are as last seen; `dappops deploy --watch` keeps them"


def _watched(home: Path) -> bool:
    """Whether a process runs the loop of this home."""
    import fcntl

    try:
        with (home / "run" / "runtime.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def events(kb: KnowledgeBase, since: str = "") -> list[dict[str, Any]]:
    """Events in order of time, those at or after `since` (a dateTime text; "" for all)."""
    mine = f"{kb.graph_iri(GRAPH)}/"
    after = datetime.fromisoformat(since).timestamp() if since else 0.0
    found = []
    for row in rows(kb, "deploy-events"):
        at = _text(row, "time")
        if _text(row, "event").startswith(mine) and (not at or datetime.fromisoformat(at).timestamp() >= after):
            found.append(
                {
                    "event": _text(row, "event"), "time": at, "kind": _text(row, "kind"), "about": _text(row, "about"),
                    "message": _text(row, "message"),
                }
            )  # fmt: skip
    return found
