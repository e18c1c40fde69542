"""The story in order: which steps there are, which of them an earlier run ended, and what the whole came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import NotAvailableError
from engine.kb import KnowledgeBase
from engine.orchestration.deployments import programs_folder
from engine.story import agreeing, design, discovery, functions, operation, settling
from engine.story.record import Record
from engine.story.stage import Progress, Settings, Stage, Told


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the paper's integration scenario; `view` shows what it left in the graph."""

    number: int
    title: str
    subsystem: str
    view: str
    play: Callable[[Stage], Told] | None = None


STEPS: tuple[Step, ...] = (
    Step(1, "Describe the application", "KATQIDevKit", "story-1-described", design.describe),
    Step(2, "Discover components by meaning", "KATQIDevKit", "story-2-discovered", discovery.discover),
    Step(3, "Program together: every role on one design", "KATQIDevKit", "story-3-agreed", discovery.agree),
    Step(4, "Plan: providers, capacity, topology", "CEISOR", "story-4-planned", design.plan),
    Step(5, "Virtualise accelerators and choose functions", "HAFIR", "story-5-virtualised", functions.virtualise),
    Step(6, "Package functions", "HAFIR", "story-6-packaged", functions.package),
    Step(7, "Agree on service levels", "SEFTIC", "story-7-agreed", agreeing.agree_levels),
    Step(8, "Provision", "CEISOR", "story-8-provisioned"),
    Step(9, "Settle what was agreed, and prove what was decided", "SEFTIC", "story-9-settled"),
    Step(10, "Operate: break, diagnose, cure, plan anew", "CEISOR", "story-10-operated"),
)


@dataclass
class Ended:
    """A step that is over: what it told, seconds it took, and whether an earlier run had done it."""

    step: Step
    told: Told
    seconds: float = 0.0
    before: bool = False


@dataclass
class Story:
    """One run. `steps` plays it step by step; close it, whatever happened."""

    kb: KnowledgeBase
    settings: Settings
    fresh: bool = False
    keep: bool = False
    progress: Progress = lambda what, done, total: None
    ended: list[Ended] = field(default_factory=list)
    live: operation.Live | None = None
    stuck: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = Record.open(self.kb.home, self.settings.seed, self.settings.key(), fresh=self.fresh)
        self.stage = Stage(self.kb, self.settings, programs_folder(), dict(self.record.done), self.progress)
        self.begun = time.monotonic()

    @property
    def found(self) -> str:
        """Whether this run starts clean or resumes, and why."""
        return self.record.found

    def steps(self) -> Iterator[Ended]:
        """Play the steps that are left, in order; each is over when it is given. Raises what a step raises."""
        if self.record.again and not self.record.done:
            self.stage.forget_the_last_rehearsal()
        self.record.begin()
        for step in STEPS:
            started = time.monotonic()
            if step.number in self.record.done and (step.play is not None or step.number == 9):
                told, before = Told(lines=["ended in an earlier run"], data=self.record.done[step.number]), True
            else:
                told, before = self._play(step), False
                self.stage.left[step.number] = told.data
                self.record.finish(step.number, told.data)
            ended = Ended(step, told, time.monotonic() - started, before)
            self.ended.append(ended)
            yield ended
        self.record.end()

    def _play(self, step: Step) -> Told:
        if step.play is not None:
            return step.play(self.stage)
        if step.number == 8:
            told, self.live = operation.provision(self.stage)
            return told
        if self.live is None:
            raise NotAvailableError("nothing runs that could be operated", place=step.title, remedy="play step 8 first")
        if step.number == 9:
            return settling.settle(self.stage, self.live.load)
        return operation.operate(self.stage, self.live)

    def close(self) -> None:
        """End what runs, unless it is to be kept; `stuck` says what would not go."""
        if self.live is not None:
            self.stuck = self.live.close(keep=self.keep)
            self.live = None
        if not self.keep:
            functions.stop_broker(self.kb.home)
            agreeing.stop_ledgers(self.kb.home)

    # -- the whole --------------------------------------------------------------------------------------------------
    def summary(self) -> dict[str, Any]:
        """One screen: decided, costs, energy, violations, recovery, what was missing, and where to look."""
        left = self.stage.left
        plan, run = left.get(4, {}).get("plan", {}), left.get(10, {})
        replan = run.get("replan") or {}
        attempts = run.get("attempts", [])
        stopped = sum(a["decision"]["stoppedByShape"] for a in attempts)
        missing = list(dict.fromkeys(m for e in self.ended for m in e.told.missing))
        return {
            "seconds": round(time.monotonic() - self.begun, 1), "found": self.found,
            "transactions": self.kb.info()["head"], "decisions": len(self.kb.call("decisions")),
            "findings": len(self.kb.call("findings")), "parts": plan.get("parts", []),
            "refusedActions": stopped, "fault": run.get("fault"), "rootCauseRight": run.get("rootCauseRight"),
            "detectionSeconds": run.get("detectionSeconds"), "recovered": run.get("recovered"),
            "recoverySeconds": run.get("recoverySeconds"), "avoided": replan.get("avoided", []),
            "replanned": replan.get("decision"), "plan": left.get(4, {}).get("decision"),
            "agreements": [a for n in (9, 10) for a in left.get(n, {}).get("settled") or ()],
            "proof": left.get(9, {}).get("proof"), "name": run.get("name"), "relayed": left.get(9, {}).get("relayed"),
            "application": left.get(1, {}).get("application"), "missing": missing, "stuck": self.stuck,
        }  # fmt: skip


@contextmanager
def playing(story: Story) -> Iterator[Story]:
    """A story that is closed at the end of the block."""
    try:
        yield story
    finally:
        story.close()
