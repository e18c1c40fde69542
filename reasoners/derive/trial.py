"""Trying a rule before it is accepted: one evaluation on a snapshot, in a child process that the kernel ends on time.

A SPARQL engine cannot be stopped from inside the process, so the child runs under an interval timer whose signal
keeps its default action and under a limit on its address space; both are set once the snapshot is loaded, so that
only the rule is measured. The child is started by exec, never forked from the caller, and shares nothing with it.
`python -m reasoners.derive.trial` is that child: a JSON line and N-Quads on standard input, a JSON line on standard
output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyoxigraph as ox

from reasoners.errors import BusyError, InputError, IntegrityError

if TYPE_CHECKING:
    from reasoners.derive.rule import Rule

LOAD_SECONDS = 120  # for starting the child and loading the snapshot, not counted as the rule's
RULE = "budget of a rule"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may use."""

    seconds: float = 2.0  # wall clock
    memory: int = 512 * 1024 * 1024  # bytes of address space beyond the loaded snapshot
    rows: int = 1_000_000  # heads


def try_rule(
    rule: Rule,
    snapshot: Iterable[ox.Triple] | bytes,
    limits: Limits = Limits(),
    *,
    now: ox.Literal | None = None,
) -> int:
    """Number of distinct heads the rule derives from `snapshot` (triples, or N-Quads whose graphs are ignored).

    Raises BusyError when it exceeds its budget, InputError when the engine cannot run it.
    """
    from reasoners.derive.analysis import SAMPLE_NOW
    from reasoners.derive.text import bind_now, uses_now
    from reasoners.sparql.steps import stepwise

    text = bind_now(rule.text, str(now) if now is not None else SAMPLE_NOW) if uses_now(rule.text) else rule.text
    order = {
        "text": stepwise(text), "seconds": limits.seconds, "memory": limits.memory, "rows": limits.rows,
        "functions": [[f.iri, f.parameters, f.required, f.query, f.ask] for f in rule.functions],
    }  # fmt: skip
    if isinstance(snapshot, bytes):
        data = snapshot
    else:
        data = ox.serialize(snapshot, format=ox.RdfFormat.N_TRIPLES) or b""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    remedy = "make its patterns share variables or more selective, or raise the budget"

    size = data.count(b"\n")

    def spent(what: str) -> BusyError:
        return BusyError(
            f"rule {rule.name!r} exceeds its budget of {what} on {size} triples",
            place=rule.iri.value,
            rule=RULE,
            remedy=remedy,
        )

    try:
        done = subprocess.run(
            [sys.executable, "-m", "reasoners.derive.trial"],
            input=json.dumps(order).encode() + b"\n" + data,
            capture_output=True,
            env=environment,
            timeout=LOAD_SECONDS + 2 * limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise spent(f"{limits.seconds} s") from error
    if done.returncode == -signal.SIGALRM:
        raise spent(f"{limits.seconds} s")
    if done.returncode in (-signal.SIGABRT, -signal.SIGKILL, -signal.SIGSEGV):
        raise spent(f"{limits.memory // 2**20} MiB")
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise IntegrityError(
            f"the trial of rule {rule.name!r} ended with status {done.returncode}: {' '.join(tail)}",
            place=rule.iri.value,
        )
    answer = json.loads(lines[-1])
    match answer:
        case {"heads": int(heads)}:
            return heads
        case {"over": "rows"}:
            raise spent(f"{limits.rows} heads")
        case {"over": "memory"}:
            raise spent(f"{limits.memory // 2**20} MiB")
        case {"refused": str(message)}:
            raise InputError(
                f"rule {rule.name!r}: {message}", place=rule.iri.value, remedy="write the query in SPARQL 1.1"
            )
    raise IntegrityError(f"the trial of rule {rule.name!r} answered {answer!r}", place=rule.iri.value)


def main(source: IO[bytes], sink: IO[str]) -> None:
    """Evaluate the one rule that `source` brings, under its limits; the process may be ended by a signal."""
    order = json.loads(source.readline())
    store = ox.Store()
    for quad in ox.parse(source.read(), format=ox.RdfFormat.N_QUADS):
        store.add(ox.Quad(quad.subject, quad.predicate, quad.object))
    called = None
    if order["functions"]:
        from reasoners.graph import View
        from reasoners.sparql.functions import Function, answers

        known = [Function(iri, tuple(names), n, query, ask) for iri, names, n, query, ask in order["functions"]]
        called = answers(known, View(store))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    ceiling = used + order["memory"]
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (ceiling if hard == resource.RLIM_INFINITY else min(ceiling, hard), hard))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    answer: dict[str, int | str] = {}
    try:
        heads: set[ox.Triple] = set()
        result = store.query(order["text"], default_graph=[ox.DefaultGraph()], custom_functions=called)  # type: ignore[arg-type]
        if not isinstance(result, ox.QueryTriples):
            raise ValueError("a rule is a CONSTRUCT query")
        for triple in result:
            heads.add(triple)
            if len(heads) > order["rows"]:
                answer = {"over": "rows"}
                break
        else:
            answer = {"heads": len(heads)}
        del heads
    except (SyntaxError, ValueError) as error:
        answer = {"refused": f"not accepted by the SPARQL engine: {error}"}
    except MemoryError:
        answer = {"over": "memory"}
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(answer), file=sink, flush=True)


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout)
