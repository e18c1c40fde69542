"""The loop that watches what runs: learn what is usual, notice what is not, find the cause, decide, act, see whether it helped.

The imperative shell around `reasoners.diagnose` and `reasoners.control`. Time is the telemetry's: each tick of the source is
one step, so the same loop runs on live scrapes and, in virtual time, on a recording. Everything that is concluded is a
commit (`engine.orchestration.operation.serve`); the desired state is only changed through the actuator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyoxigraph as ox

from engine.errors import DappopsError, InputError
from engine.orchestration import deployments
from engine.orchestration.operation.told import anomaly_json, baseline_json, baseline_of
from engine.orchestration.telemetry import Grid, TelemetrySource, TelemetryStore, signals
from reasoners.diagnose import Anomaly, Baseline, Options, Signal, Trait, detect, learn, opens_incident
from reasoners.vocab import DAPPI

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

Json = dict[str, Any]
Say = Callable[[str, Json], None]
VITAL = frozenset({DAPPI.Reachability, DAPPI.ErrorRatio, DAPPI.ServedFrameRate, DAPPI.FrameRate})


class Actuator(Protocol):
    """What can be done to the running application. Each call changes the desired state and returns; the loop carries it out."""

    def restart(self, deployment: str) -> None:
        """Start a deployment (IRI) anew where it is."""

    def migrate(self, deployment: str, host: str) -> None:
        """Move a deployment to another host (IRIs)."""

    def replan(self, application: str) -> None:
        """Plan the application (IRI) anew and deploy the plan."""


@dataclass
class GraphActuator:
    """Acts through committed desired state. `programs`: the folder of entry points, as in `deployments.deploy`."""

    kb: KnowledgeBase
    programs: Path | None = None

    def restart(self, deployment: str) -> None:
        """See `Actuator`."""
        deployments.restart(self.kb, deployment)

    def migrate(self, deployment: str, host: str) -> None:
        """See `Actuator`."""
        deployments.migrate(self.kb, deployment, host)

    def replan(self, application: str) -> None:
        """See `Actuator`."""
        made = self.kb.call("plan", application=application, author=self.kb.author)
        if not made["placements"]:
            raise InputError("no plan fits any more", place=application, remedy="see `dappops why`")
        deployments.deploy(self.kb, application, programs=self.programs)


@dataclass(frozen=True)
class Settings:
    """How to watch. Seconds are those of the telemetry.

    `window`: over which rates are taken; `memory`: how far back detection looks; `settle`: from the first sign to the
    diagnosis, so that the effects are there to be explained; `horizon`: within which an action must have helped;
    `steady`: ticks in a row that must be well; `tries`: actions for one incident.
    """

    step: float = 1.0
    window: float = 4.0
    memory: float = 25.0
    settle: float = 4.0
    horizon: float = 30.0
    steady: int = 3
    tries: int = 3
    seed: int = 0
    detection: Options = field(default_factory=Options)


@dataclass
class Attempt:
    """One action that was carried out: its decision as data, whether the application recovered, and how that was scored."""

    decision: Json
    recovered: bool = False
    recovery_time: float | None = None
    scored: Json = field(default_factory=dict)
    error: str = ""
    missed: tuple[str, ...] = ()  # what was still wrong at the horizon


@dataclass
class Resolved:
    """An incident from its detection to its end. `reason` says why it is not over when it is not."""

    incident: Json
    attempts: list[Attempt] = field(default_factory=list)
    recovered: bool = False
    reason: str = ""

    @property
    def attributed_to(self) -> list[str]:
        """Providers that the incident was put down to."""
        return [p for a in self.attempts for p in a.scored.get("attributedTo", ())]


class Operator:
    """Watches one application. Not for several threads; it reads the source itself and keeps what it reads in the store."""

    def __init__(
        self,
        kb: KnowledgeBase,
        source: TelemetrySource,
        store: TelemetryStore,
        *,
        actuator: Actuator | None = None,
        settings: Settings | None = None,
        links: Mapping[tuple[str, str], str] | None = None,
        application: str | None = None,
        clock: Callable[[], float] | None = None,
        say: Say | None = None,
    ) -> None:
        """`links` as in `telemetry.signals`; `application` (IRI) is needed when several are deployed; `say` is told each step.

        `clock` (`time.time` for live sources): what was scraped before an action says nothing of its success, and waits in
        the source while a decision is made. None: the source waits, as a recording does.
        """
        self.kb, self.source, self.store = kb, source, store
        self.actuator: Actuator = actuator or GraphActuator(kb)
        chosen = settings or Settings()
        judged = kb.call("operation_metrics")
        traits = {ox.NamedNode(m): Trait(int(t[0]), t[1], t[2], int(t[3])) for m, t in judged.items()}
        self.settings = replace(
            chosen, detection=replace(chosen.detection, metrics={**traits, **chosen.detection.metrics})
        )
        self.links, self.application = links, application
        self._say: Say = say or (lambda what, data: None)
        self.baselines: tuple[Baseline, ...] = ()
        self.now = store.newest()
        self._clock = clock or (lambda: self.now)
        self._ills: list[str] = []
        self._signs: dict[str, tuple[Anomaly, ...]] = {}  # of incidents that are open
        self._known: set[tuple[ox.NamedNode, ox.NamedNode]] = set()  # what stays odd after an incident is no new one

    # -- telemetry ---------------------------------------------------------------------------------------------------
    def tick(self) -> bool:
        """Read one tick into the store; False when the source has ended."""
        tick = self.source.read_tick()
        if tick is None:
            return False
        self.store.append(tick.scrapes)
        self.now = tick.time
        return True

    def signals(self, start: float, end: float) -> list[Signal]:
        """Signals between two times, as the store has them."""
        settings = self.settings
        rows = self.store.range(start - settings.window - settings.step, end)
        return signals(rows, Grid(start, end, settings.step, settings.window), self.links)

    def anomalies(self, options: Options | None = None) -> tuple[Anomaly, ...]:
        """What deviates now."""
        seen = self.signals(self.now - self.settings.memory, self.now)
        return detect(self.baselines, seen, self.now, options or self.settings.detection)

    # -- learn -------------------------------------------------------------------------------------------------------
    def learn(self, seconds: float) -> tuple[Baseline, ...]:
        """Watch for so long, take that as usual, and commit it. InputError when there was nothing to learn from."""
        if not self.tick():
            raise InputError("the telemetry has ended", place="learn", remedy="give a source that goes on")
        start = self.now
        while self.now < start + seconds and self.tick():
            pass
        # the first window is not full: rates begin one window later
        found = learn(
            self.signals(start + self.settings.window, self.now), start + self.settings.window, self.now,
            self.settings.detection,
        )  # fmt: skip
        if not found:
            raise InputError(
                f"nothing to learn from in {self.now - start:g} s", place="learn",
                rule=f"at least {self.settings.detection.minimum} values of a metric", remedy="watch for longer",
            )  # fmt: skip
        self.baselines = found
        self.kb.call("operation_learned", baselines=[baseline_json(b) for b in found], author=self.kb.author)
        self._say("learned", {"baselines": len(found), "features": len({b.feature for b in found})})
        return found

    def recall(self) -> int:
        """Take up the baselines that the graph keeps, from an earlier run; their number."""
        told = self.kb.call("operation_baselines", author=self.kb.author)
        self.baselines = tuple(baseline_of(b) for b in told)
        return len(self.baselines)

    # -- watch -------------------------------------------------------------------------------------------------------
    def watch(self, seconds: float = math.inf) -> Json | None:
        """Watch until something is wrong and commit it as an incident with its hypotheses.

        None when nothing was wrong for `seconds`, or the telemetry ended.
        """
        until, first = self.now + seconds, None
        while self.tick():
            fresh = self._fresh(self.anomalies())
            if not opens_incident(fresh, self.settings.detection):
                first = None
                if self.now >= until:
                    return None
                continue
            if first is None:
                first = self.now
                self._say("anomalies", {"time": self.now, "anomalies": [_short(a) for a in fresh]})
            if self.now < first + self.settings.settle:
                continue
            told: Json = self.kb.call(
                "operation_incident", anomalies=[anomaly_json(a) for a in fresh], now=self.now, detected=first,
                author=self.kb.author,
            )  # fmt: skip
            self._signs[told["incident"]] = fresh
            self._say("incident", told)
            return told
        return None

    def _fresh(self, anomalies: Sequence[Anomaly]) -> tuple[Anomaly, ...]:
        self._known &= {(a.feature, a.metric) for a in anomalies}
        return tuple(a for a in anomalies if (a.feature, a.metric) not in self._known)

    # -- decide, act, score ------------------------------------------------------------------------------------------
    def decide(self, incident: str) -> Json:
        """Decide about an incident (IRI); see `operation.serve.operation_decide`."""
        settings = self.settings
        told: Json = self.kb.call(
            "operation_decide", incident=incident, horizon=settings.horizon, seed=settings.seed,
            application=self.application, author=self.kb.author,
        )  # fmt: skip
        self._say("decision", told)
        return told

    def act(self, decision: Json) -> None:
        """Carry out what a decision chose: change the desired state, and note it. Raises what the actuator raises."""
        chosen = decision["chosen"]
        self._note(chosen, "Committed", started=self._clock())
        try:
            if chosen["kind"] == "ReplanAction":
                self.actuator.replan(decision["application"])
            else:
                for deployment in chosen["restarts"]:
                    self.actuator.restart(deployment)
                for deployment, host in chosen["moves"].items():
                    self.actuator.migrate(deployment, host)
        except DappopsError:
            self._note(chosen, "Abandoned")
            raise
        self._say("acted", chosen)

    def _note(self, chosen: Json, status: str, started: float | None = None) -> None:
        self.kb.call("operation_action", action=chosen["action"], status=status, started=started, author=self.kb.author)

    def recovery(self, decision: Json) -> float | None:
        """Read on until the application does what it should again; seconds since the call, or None after the horizon."""
        chosen, settings = decision["chosen"], self.settings
        goals = {ox.NamedNode(g) for g in self.kb.call("operation_goals", application=self.application)}
        touched = sorted({*chosen["moves"], *chosen["restarts"]})
        watched = goals | {ox.NamedNode(n) for n in touched}
        signs = self._signs.get(decision["incident"], ())
        start = since = self._clock()
        while self.now < start and self.tick():
            pass  # scraped before the action
        well = 0
        while self.now < start + settings.horizon + settings.steady * settings.step and self.tick():
            self._ills = self._ill(watched, goals, signs) or self._pending(touched, start)
            if not self._ills:
                if well == 0:
                    since = self.now
                well += 1
                if well >= settings.steady and since <= start + settings.horizon:
                    return since - start
            else:
                well = 0
        return None

    def _pending(self, touched: Sequence[str], start: float) -> list[str]:
        """What the loop has not started anew yet: until then its old process answers, which proves nothing."""
        late = self.kb.call("operation_pending", deployments=list(touched), after=start) if touched else []
        return [f"{deployments.tail(iri)} has not been started yet" for iri in late]

    def _ill(self, watched: set[ox.NamedNode], goals: set[ox.NamedNode], signs: Sequence[Anomaly]) -> list[str]:
        """Why the incident is not over yet, in words: something watched does not answer, something vital of a goal deviates,
        or what a unit showed in the incident is still there, by more than half of what it was."""
        settings = self.settings
        seen = self.signals(self.now - settings.memory, self.now)
        answers = {s.feature: s.values[-1] for s in seen if s.metric == DAPPI.Reachability and s.feature in watched}
        ills = [
            f"{deployments.tail(n.value)} does not answer" for n in sorted(watched, key=str) if answers.get(n) != 1.0
        ]
        was = {(a.feature, a.metric): abs(a.severity) for a in signs if "/deployment/" in a.feature.value}
        # what adds up slowly is for noticing trouble, not for seeing that it is over
        lasting = replace(settings.detection, cusum=math.inf)
        for anomaly in detect(self.baselines, seen, self.now, lasting):
            before = was.get((anomaly.feature, anomaly.metric))
            limit = max(2 * settings.detection.threshold, (before or 0.0) / 2)
            concerns = before is not None or anomaly.feature in goals
            slow = anomaly.metric == DAPPI.ResponseTime and abs(anomaly.severity) > limit
            if concerns and (anomaly.metric in VITAL or slow):
                metric = anomaly.metric.value.rsplit("#", 1)[-1]
                ills.append(f"{metric} of {deployments.tail(anomaly.feature.value)} is {anomaly.value:.3g}")
        return ills

    def score(self, incident: str, decision: Json, took: float | None) -> Json:
        """Commit how a chosen action went; `took` None: it did not help."""
        chosen = decision["chosen"]
        told: Json = self.kb.call(
            "operation_scored", incident=incident, action=chosen["action"], recovered=took is not None, recoveryTime=took,
            now=self.now, under=chosen["under"], reliance=chosen["reliance"], hypotheses=decision["hypotheses"],
            author=self.kb.author,
        )  # fmt: skip
        self._say("scored", {"action": chosen["label"], "recovered": took is not None, "recoveryTime": took, **told})
        return told

    def resolve(self, incident: Json) -> Resolved:
        """Decide, act and score until the incident is over, at most `tries` times; what failed is not tried again."""
        done = Resolved(incident)
        for _ in range(self.settings.tries):
            decision = self.decide(incident["incident"])
            if decision["chosen"] is None:
                done.reason = "no action is eligible: see `dappops why`"
                break
            attempt = Attempt(decision)
            done.attempts.append(attempt)
            try:
                self.act(decision)
            except DappopsError as error:
                attempt.error = str(error)
                self._say("failed", {"action": decision["chosen"]["label"], "error": attempt.error})
            else:
                attempt.recovery_time = self.recovery(decision)
            attempt.recovered = attempt.recovery_time is not None
            if attempt.recovery_time is None and not attempt.error:
                attempt.missed = tuple(self._ills)
            attempt.scored = self.score(incident["incident"], decision, attempt.recovery_time)
            if attempt.recovered:
                done.recovered = True
                break
            what = ": " + "; ".join(self._ills[:3]) if self._ills else ""
            done.reason = f"{decision['chosen']['label']} did not help within {self.settings.horizon:g} s{what}"
        if done.recovered:
            done.reason = ""
        self._signs.pop(incident["incident"], None)
        self._known |= {(a.feature, a.metric) for a in self.anomalies()}
        self._say("resolved", {"incident": incident["incident"], "recovered": done.recovered, "reason": done.reason})
        return done

    def run(self, until: Callable[[], bool] = lambda: False, *, incidents: int = 1 << 30) -> list[Resolved]:
        """Watch and resolve until `until()` is true (asked once a minute of telemetry and after each incident), so many
        incidents were handled, or the telemetry ended."""
        done: list[Resolved] = []
        while len(done) < incidents and not until():
            before = self.now
            incident = self.watch(60.0)
            if incident is not None:
                done.append(self.resolve(incident))
            elif self.now < before + 60.0:
                break  # the source has ended
        return done


def _short(anomaly: Anomaly) -> Json:
    return {
        "feature": anomaly.feature.value, "metric": anomaly.metric.value, "severity": anomaly.severity,
        "value": None if math.isnan(anomaly.value) else anomaly.value, "onset": anomaly.onset,
    }  # fmt: skip
