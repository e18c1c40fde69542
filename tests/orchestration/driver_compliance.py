"""What every driver must do, as functions of a ground; `test_driver` runs them on each driver and on broken ones.

A ground gives drivers (`make`), workloads, and ways to look at what really runs that do not ask the driver.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from orchestration_harness import Ground, eventually, processes_of

from engine.errors import InputError
from engine.orchestration.driver import Driver, Phase, Running


def only(driver: Driver, unit: str) -> Running:
    """The one thing that runs as a unit."""
    found = [r for r in driver.observe() if r.unit == unit]
    assert len(found) == 1, f"{unit}: {found}"
    return found[0]


def check_tells_hosts_and_starts_nothing(ground: Ground) -> None:
    driver = ground.make()
    check = driver.check()
    assert check.name
    assert set(check.hosts) == {"left", "right"}
    assert check.boxes
    assert list(driver.observe()) == []


def started_workload_runs_and_answers(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    started = driver.start(ground.workload(unit))
    eventually(lambda: ground.answers(started.endpoint), "it answers where it was said to")
    found = only(driver, unit)
    assert (found.phase, found.host, found.generation) == (Phase.ALIVE, "left", 1)
    assert found.endpoint == started.endpoint
    assert len(processes_of(unit)) == 1


def starting_again_changes_nothing(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    work = ground.workload(unit)
    with ThreadPoolExecutor(4) as pool:
        ends = {r.endpoint for r in pool.map(driver.start, [work] * 4)}
    eventually(lambda: ground.answers(only(driver, unit).endpoint), "it answers")
    pids = processes_of(unit)
    ends.add(driver.start(work).endpoint)
    assert len(ends) == 1
    assert processes_of(unit) == pids
    assert len(pids) == 1
    assert ground.journal(unit) == 1


def generation_is_started_once(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    eventually(lambda: ground.answers(driver.start(ground.workload(unit)).endpoint), "it answers")
    ground.crash(unit)
    ended = eventually(lambda: [r for r in driver.observe() if r.phase is Phase.ENDED], "its end is seen")
    assert ended[0].unit == unit
    assert ended[0].detail
    assert driver.start(ground.workload(unit)).phase is Phase.ENDED
    assert processes_of(unit) == []
    assert ground.journal(unit) == 1
    again = driver.start(ground.workload(unit, generation=2))
    eventually(lambda: ground.answers(again.endpoint), "the next generation answers")
    assert ground.journal(unit) == 2


def newer_generation_replaces_the_older(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    eventually(lambda: ground.answers(driver.start(ground.workload(unit)).endpoint), "it answers")
    old = processes_of(unit)
    newer = driver.start(ground.workload(unit, generation=2))
    eventually(lambda: ground.journal(unit) == 2 and ground.answers(newer.endpoint), "the next one answers")
    assert len(processes_of(unit)) == 1
    assert processes_of(unit) != old
    assert only(driver, unit).generation == 2


def older_generation_is_refused(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    started = driver.start(ground.workload(unit, generation=2))
    eventually(lambda: ground.answers(started.endpoint), "it answers")
    pids = processes_of(unit)
    with pytest.raises(InputError):
        driver.start(ground.workload(unit, generation=1))
    assert processes_of(unit) == pids
    assert only(driver, unit).generation == 2


def workload_moves_to_another_host(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    eventually(lambda: ground.answers(driver.start(ground.workload(unit)).endpoint), "it answers")
    moved = driver.start(ground.workload(unit, host="right"))
    eventually(lambda: ground.answers(moved.endpoint), "it answers there")
    assert len(processes_of(unit)) == 1
    assert (only(driver, unit).host, moved.host) == ("right", "right")


def stopped_workload_is_gone(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    work = ground.workload(unit)
    eventually(lambda: ground.answers(driver.start(work).endpoint), "it answers")
    for _ in range(2):
        driver.stop(work.deployment)
        assert processes_of(unit) == []
        assert list(driver.observe()) == []
    assert driver.start(work).phase is Phase.ENDED, "its generation is used up"
    assert processes_of(unit) == []
    eventually(
        lambda: ground.answers(driver.start(ground.workload(unit, generation=2)).endpoint), "the next one answers"
    )


def stop_of_unknown_is_no_error(ground: Ground) -> None:
    driver = ground.make()
    driver.stop("urn:test:deployment/nothing-of-this-name")
    assert list(driver.observe()) == []


def stop_leaves_others_alone(ground: Ground) -> None:
    driver, one, two = ground.make(), ground.unit(), ground.unit()
    with ThreadPoolExecutor(2) as pool:
        ends = [r.endpoint for r in pool.map(driver.start, [ground.workload(one), ground.workload(two)])]
    assert len(set(ends)) == 2
    eventually(lambda: all(ground.answers(e) for e in ends), "both answer")
    driver.stop(ground.workload(one).deployment)
    assert processes_of(one) == []
    assert only(driver, two).phase is Phase.ALIVE
    assert ground.answers(ends[1])


def leftovers_are_found_and_kept(ground: Ground) -> None:
    first, unit = ground.make(), ground.unit()
    started = first.start(ground.workload(unit))
    eventually(lambda: ground.answers(started.endpoint), "it answers")
    pids = processes_of(unit)
    first.close()
    assert ground.answers(started.endpoint), "closing ends nothing"
    second = ground.make()
    found = only(second, unit)
    assert (found.phase, found.endpoint, found.generation, found.host) == (Phase.ALIVE, started.endpoint, 1, "left")
    second.start(ground.workload(unit))
    assert processes_of(unit) == pids
    second.stop(ground.workload(unit).deployment)
    assert processes_of(unit) == []


def end_is_seen_by_a_later_instance(ground: Ground) -> None:
    first, unit = ground.make(), ground.unit()
    eventually(lambda: ground.answers(first.start(ground.workload(unit)).endpoint), "it answers")
    first.close()
    ground.crash(unit)
    second = ground.make()
    eventually(lambda: only(second, unit).phase is Phase.ENDED, "its end is seen")
    assert second.start(ground.workload(unit)).phase is Phase.ENDED
    assert ground.journal(unit) == 1


def unknown_host_is_refused(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    with pytest.raises(InputError):
        driver.start(ground.workload(unit, host="lefd"))
    assert list(driver.observe()) == []
    assert processes_of(unit) == []


def other_program_is_refused(ground: Ground) -> None:
    driver, unit = ground.make(), ground.unit()
    with pytest.raises(InputError):
        driver.start(ground.workload(unit, digest="sha256:" + "0" * 64))
    assert processes_of(unit) == []
    assert list(driver.observe()) == []


def failing_program_is_told(ground: Ground) -> None:
    driver, unit = ground.make(), f"bad-{ground.unit()}"
    driver.start(ground.workload(unit))
    eventually(lambda: only(driver, unit).phase is Phase.ENDED, "its end is seen")
    assert "made to fail" in only(driver, unit).detail


SUITE = (
    check_tells_hosts_and_starts_nothing, started_workload_runs_and_answers, starting_again_changes_nothing,
    generation_is_started_once, newer_generation_replaces_the_older, older_generation_is_refused,
    workload_moves_to_another_host, stopped_workload_is_gone, stop_of_unknown_is_no_error, stop_leaves_others_alone,
    leftovers_are_found_and_kept, end_is_seen_by_a_later_instance, unknown_host_is_refused, other_program_is_refused,
    failing_program_is_told,
)  # fmt: skip
