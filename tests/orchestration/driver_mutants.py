"""Drivers that are broken in one way each; the compliance suite must find every one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import driver_compliance as suite

from engine.errors import InputError
from engine.orchestration.driver import Check, Phase, Running, Workload
from engine.orchestration.emulation.fabric import kill_marked
from engine.orchestration.local import Intent, Local


class StartsEachTime(Local):
    def start(self, workload: Workload) -> Running:
        shutil.rmtree(self.units / workload.unit, ignore_errors=True)
        return super().start(workload)


class RestartsByItself(Local):
    def start(self, workload: Workload) -> Running:
        found = super().start(workload)
        if found.phase is Phase.ENDED:
            shutil.rmtree(self.units / workload.unit)
            return super().start(workload)
        return found


class ForgetsLeftovers(Local):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mine: set[str] = set()

    def start(self, workload: Workload) -> Running:
        self.mine.add(workload.unit)
        return super().start(workload)

    def observe(self) -> Sequence[Running]:
        return [r for r in super().observe() if r.unit in self.mine]


class SaysAliveWhenDead(Local):
    def observe(self) -> Sequence[Running]:
        return [replace(r, phase=Phase.ALIVE, detail="") for r in super().observe()]


class HidesTheDead(Local):
    def observe(self) -> Sequence[Running]:
        return [r for r in super().observe() if r.phase is not Phase.ENDED]


class LeavesTheOldOne(Local):
    def _end(self, intent: Intent) -> None:
        pass


class TakesAnyGeneration(Local):
    def start(self, workload: Workload) -> Running:
        with suppress(InputError):
            return super().start(workload)
        shutil.rmtree(self.units / workload.unit, ignore_errors=True)
        kill_marked(self.mark)
        return super().start(workload)


class OnlyNotesStops(Local):
    def stop(self, deployment: str) -> None:
        known = self._intent(deployment.rsplit("/", 1)[-1])
        if known is not None:
            self._note(known, stopped=True)


class FailsOnUnknown(Local):
    def stop(self, deployment: str) -> None:
        if not any(r.deployment == deployment for r in self.observe()):
            raise InputError("no such deployment")
        super().stop(deployment)


class StopsEverything(Local):
    def stop(self, deployment: str) -> None:
        super().stop(deployment)
        kill_marked(self.mark, kind="unit")


class ForgetsStops(Local):
    def stop(self, deployment: str) -> None:
        super().stop(deployment)
        shutil.rmtree(self.units / deployment.rsplit("/", 1)[-1], ignore_errors=True)


class TellsAnotherEndpoint(Local):
    def _running(self, *args: Any, **options: Any) -> Running:
        found = super()._running(*args, **options)
        return replace(found, endpoint=found.endpoint[:-1] + ("1" if found.endpoint[-1] != "1" else "2"))


class TellsTheFirstHost(Local):
    def observe(self) -> Sequence[Running]:
        return [replace(r, host="left") for r in super().observe()]


class TakesAnyHost(Local):
    def start(self, workload: Workload) -> Running:
        host = workload.host if workload.host in self.fabric.topology.hosts else "left"
        return super().start(replace(workload, host=host))


class TakesAnyProgram(Local):
    def start(self, workload: Workload) -> Running:
        return super().start(replace(workload, digest=""))


class EndsOnClose(Local):
    def close(self) -> None:
        super().close()
        kill_marked(self.mark, kind="unit")


class KnowsNoHosts(Local):
    def check(self) -> Check:
        return replace(super().check(), hosts=())


class TellsNoReason(Local):
    def _why(self, intent: Intent, code: int | None) -> str:
        return ""


class OneGenerationForAll(Local):
    def start(self, workload: Workload) -> Running:
        return super().start(replace(workload, generation=1))


# mutant -> the part of the suite that must find it
MUTANTS = {
    StartsEachTime: suite.starting_again_changes_nothing,
    RestartsByItself: suite.generation_is_started_once,
    ForgetsLeftovers: suite.leftovers_are_found_and_kept,
    SaysAliveWhenDead: suite.end_is_seen_by_a_later_instance,
    HidesTheDead: suite.failing_program_is_told,
    LeavesTheOldOne: suite.newer_generation_replaces_the_older,
    TakesAnyGeneration: suite.older_generation_is_refused,
    OnlyNotesStops: suite.stopped_workload_is_gone,
    FailsOnUnknown: suite.stop_of_unknown_is_no_error,
    StopsEverything: suite.stop_leaves_others_alone,
    ForgetsStops: suite.stopped_workload_is_gone,
    TellsAnotherEndpoint: suite.started_workload_runs_and_answers,
    TellsTheFirstHost: suite.workload_moves_to_another_host,
    TakesAnyHost: suite.unknown_host_is_refused,
    TakesAnyProgram: suite.other_program_is_refused,
    EndsOnClose: suite.leftovers_are_found_and_kept,
    KnowsNoHosts: suite.check_tells_hosts_and_starts_nothing,
    TellsNoReason: suite.failing_program_is_told,
    OneGenerationForAll: suite.newer_generation_replaces_the_older,
}
