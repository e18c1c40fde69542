"""From what should run and what does to the next steps, and to what is to be said about it. Pure; `runtime` carries it out.

Level-triggered: each pass compares whole states, so nothing depends on having seen every change. What ended by itself is
reported and stays down until a commit raises its generation: restarting is a decision, and decisions have reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.orchestration.driver import Phase, Running, Workload

PATIENCE = 4  # probes in a row that fail before what answered counts as not answering: one lost packet is no news
START_TIMEOUT = 60.0  # seconds from a start to the first answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """A deployment as it should be."""

    workload: Workload
    run: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """See to it that a workload runs."""

    workload: Workload


@dataclass(frozen=True, slots=True)
class Stop:
    """See to it that nothing of a deployment runs, because of `reason`."""

    deployment: str
    reason: str


Step = Start | Stop


def difference(wanted: Iterable[Wanted], observed: Iterable[Running]) -> list[Step]:
    """The steps from what is observed towards what is wanted: first stops, then starts, each in order of deployments.

    A deployment that runs elsewhere, or in another generation, is stopped and started; one that ended in the wanted
    generation is left alone; one that nobody wants is stopped.
    """
    by = {w.workload.deployment: w for w in wanted}
    right: set[str] = set()
    stops: dict[str, Stop] = {}
    for running in observed:
        want = by.get(running.deployment)
        if want is None:
            stops[running.deployment] = Stop(running.deployment, "nobody wants it")
        elif not want.run:
            stops[running.deployment] = Stop(running.deployment, "it is not to run")
        elif (running.host, running.generation) != (want.workload.host, want.workload.generation):
            there = f"{running.host}, generation {running.generation}"
            stops[running.deployment] = Stop(running.deployment, f"it is wanted elsewhere than on {there}")
        else:
            right.add(running.deployment)
    starts = [Start(w.workload) for d, w in sorted(by.items()) if w.run and (d not in right or d in stops)]
    return [*(stops[d] for d in sorted(stops)), *starts]


# -- what to say -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Seen:
    """What the loop remembers of a deployment or host between passes."""

    state: str  # name of a DeploymentState
    generation: int = 0
    host: str = ""
    since: float = 0.0  # Unix seconds
    began: float | None = None  # when this generation was started; None: not yet
    failures: int = 0  # probes in a row
    endpoint: str = ""
    box: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something worth an event."""

    about: str  # IRI
    kind: str
    message: str
    at: float
    took: float | None = None  # seconds from start to first answer


@dataclass(frozen=True, slots=True)
class Account:
    """What a pass found out: everything's state, and what happened."""

    seen: Mapping[str, Seen]
    happened: tuple[Happened, ...] = field(default=())


def judge(
    want: Wanted, running: Running | None, answers: bool | None, before: Seen | None, now: float, *, problem: str = "",
    host_answers: bool = True, start_timeout: float = START_TIMEOUT, started: float | None = None,
) -> Seen:  # fmt: skip
    """The state of one deployment. `answers`: whether its last probe was answered well, None when it was not asked;
    `problem`: why it could not be started, or what its probe met; `started`: when this pass took its steps."""
    work = want.workload
    known = before if before is not None and (before.generation, before.host) == (work.generation, work.host) else None
    first = now if started is None else started
    began = None if running is None else first if known is None or known.began is None else known.began
    failures = 0 if answers or known is None else known.failures + (answers is False)
    was = known.state if known is not None else ""
    detail = problem
    if not want.run:
        state = "Stopped" if running is None else was or "Running"
    elif running is None:
        state = "Failed" if problem else "Pending"
    elif running.phase is Phase.UNREACHABLE:
        state, detail = "Lost", running.detail or "its host does not answer"
    elif running.phase is Phase.ENDED:
        state, detail = "Failed", running.detail
    elif answers:
        state, detail = "Running", ""
    elif was in ("Running", "Degraded", "Lost"):
        if failures < PATIENCE:
            state, detail = was, known.detail if known else ""
        elif host_answers:
            state, detail = "Degraded", f"it runs and does not answer: {problem}"
        else:
            state, detail = "Lost", "neither it nor its host answers"
    elif began is not None and now - began > start_timeout:
        state, detail = "Failed", f"no answer within {start_timeout:g} s of its start; {problem}".rstrip("; ")
    else:
        state, detail = "Starting", ""
    unchanged = known is not None and known.state == state
    return Seen(
        state, work.generation, work.host, known.since if unchanged and known is not None else now, began, failures,
        running.endpoint if running is not None and running.phase is Phase.ALIVE else "",
        running.box if running is not None else "", detail,
    )  # fmt: skip


def judge_host(answers: bool | None, before: Seen | None, now: float) -> Seen:
    """The state of a host, by whether its agent answers (None: not asked)."""
    if answers is None:
        return before or Seen("Pending", since=now)
    failures = 0 if answers or before is None else before.failures + 1
    was = before.state if before is not None else "Pending"
    if answers:
        state = "Running"
    elif was in ("Running", "Lost") and failures < PATIENCE:
        state = was
    else:
        state = "Lost" if was != "Pending" or failures >= PATIENCE * 4 else "Pending"
    since = before.since if before is not None and before.state == state else now
    return Seen(state, since=since, failures=failures)


KINDS = {
    "Starting": "started", "Running": "ready", "Failed": "failed", "Stopped": "stopped", "Lost": "lost",
    "Degraded": "degraded",
}  # fmt: skip


def tell(iri: str, name: str, old: Seen | None, new: Seen) -> Happened | None:
    """The event of a change of state; None when nothing changed that is worth one."""
    same = old is not None and (old.state, old.generation, old.host) == (new.state, new.generation, new.host)
    if same or new.state not in KINDS or (old is None and new.state == "Stopped"):
        return None
    if not new.generation and new.state == "Running" and (old is None or old.state == "Pending"):
        return None  # a host that comes up is what was asked for
    where = f" on {new.host}" if new.host else ""
    kind, took = KINDS[new.state], None
    if (
        new.state == "Running" and old is not None and old.state in ("Lost", "Degraded", "Failed")
        and (old.generation, old.host) == (new.generation, new.host)
    ):  # fmt: skip
        kind = "recovered"
    if kind == "ready" and new.began is not None:
        took = max(0.0, new.since - new.began)
    words = {"started": "is being started", "ready": "answers", "recovered": "answers again", "lost": "is lost"}
    number = f", generation {new.generation}" if new.generation else ""
    message = f"{name} {words.get(kind, 'is ' + kind if kind != 'failed' else 'failed')}{where}{number}"
    if took is not None:
        message += f", {took:.1f} s after its start"
    return Happened(iri, kind, f"{message}: {new.detail}" if new.detail else message, new.since, took)


def account(
    wanted: Sequence[Wanted], observed: Sequence[Running], answers: Mapping[str, tuple[bool, str]],
    hosts: Mapping[str, tuple[str, bool | None]], before: Mapping[str, Seen], now: float, *,
    failed: Mapping[str, str] | None = None, start_timeout: float = START_TIMEOUT, started: float | None = None,
) -> Account:  # fmt: skip
    """One pass's account. `answers`: deployment -> (answered well, problem); `hosts`: short name -> (IRI, agent answers);
    `failed`: deployment -> why it could not be started."""
    by = {r.deployment: r for r in observed}
    seen: dict[str, Seen] = {}
    for _, (iri, well) in sorted(hosts.items()):
        seen[iri] = judge_host(well, before.get(iri), now)
    lost = {name for name, (iri, _) in hosts.items() if seen[iri].state == "Lost" or seen[iri].failures >= PATIENCE}
    for want in sorted(wanted, key=lambda w: w.workload.deployment):
        iri = want.workload.deployment
        answered, problem = answers.get(iri, (None, ""))
        seen[iri] = judge(
            want, by.get(iri), answered, before.get(iri), now, problem=(failed or {}).get(iri, problem),
            host_answers=want.workload.host not in lost, start_timeout=start_timeout, started=started,
        )  # fmt: skip
    names = {w.workload.deployment: w.workload.unit for w in wanted} | {iri: name for name, (iri, _) in hosts.items()}
    told = [tell(iri, names[iri], before.get(iri), new) for iri, new in seen.items()]
    return Account(seen, tuple(h for h in told if h is not None))


def with_logs(happened: Iterable[Happened], logs: Mapping[str, str]) -> list[Happened]:
    """Events of failures with the last lines their program wrote, where the message does not have them already."""
    return [
        replace(h, message=f"{h.message}; it said: {logs[h.about]}")
        if h.kind == "failed" and logs.get(h.about) and "it said:" not in h.message
        else h
        for h in happened
    ]
