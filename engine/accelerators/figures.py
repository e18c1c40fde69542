"""The broker's figures as Prometheus text: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Mapping

from engine.accelerators.pool import Counts, Key


def text_of(
    counted: Mapping[Key, Counts], refused: Mapping[tuple[str, str], int], queued: Mapping[str, int], workers: int
) -> str:
    """What was counted by key, errors by tenant and code, calls waiting by tenant, workers now."""
    calls: list[str] = []
    seconds: list[str] = []
    cpu: list[str] = []
    starts: list[str] = []
    took: list[str] = []
    lost: list[str] = []
    for key, counts in sorted(counted.items()):
        where = ",".join(f'{k}="{_escaped(v)}"' for k, v in key._asdict().items())
        calls += [
            f'dappops_broker_calls_total{{{where},outcome="{o}"}} {n}' for o, n in sorted(counts.outcomes.items())
        ]
        seconds.append(f"dappops_broker_call_seconds_total{{{where}}} {counts.seconds:.6f}")
        cpu.append(f"dappops_broker_cpu_seconds_total{{{where}}} {counts.cpu:.6f}")
        starts.append(f"dappops_broker_worker_starts_total{{{where}}} {counts.starts}")
        took.append(f"dappops_broker_worker_start_seconds_total{{{where}}} {counts.start_seconds:.6f}")
        lost.append(f"dappops_broker_workers_lost_total{{{where}}} {counts.lost}")
    errors = [
        f'dappops_broker_refused_total{{tenant="{_escaped(t)}",code="{c}"}} {n}'
        for (t, c), n in sorted(refused.items())
        if n
    ]
    waiting = [f'dappops_broker_queue_length{{tenant="{_escaped(t)}"}} {n}' for t, n in queued.items()]
    lines: list[str] = []
    for name, kind, about, samples in (
        ("calls_total", "counter", "Calls that reached a worker.", calls),
        ("call_seconds_total", "counter", "Time that workers spent on calls.", seconds),
        ("cpu_seconds_total", "counter", "Processor time of workers in calls.", cpu),
        ("worker_starts_total", "counter", "Workers started.", starts),
        ("worker_start_seconds_total", "counter", "Time until started workers were ready.", took),
        ("workers_lost_total", "counter", "Workers that died or were ended during a call.", lost),
        ("refused_total", "counter", "Answers that were errors.", errors),
        ("queue_length", "gauge", "Calls waiting for their turn.", waiting),
        ("workers", "gauge", "Workers now.", [f"dappops_broker_workers {workers}"]),
    ):
        lines += [f"# HELP dappops_broker_{name} {about}", f"# TYPE dappops_broker_{name} {kind}", *samples]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
