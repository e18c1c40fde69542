"""The loop's thinking: steps that lead from any state to the wanted one, and what is said on the way. Pure."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.orchestration.driver import Phase, Running, Workload
from engine.orchestration.reconcile import (
    PATIENCE,
    Happened,
    Seen,
    Start,
    Stop,
    Wanted,
    account,
    difference,
    judge,
    judge_host,
    tell,
    with_logs,
)

NAMES = ("a", "b", "c", "d")
HOSTS = ("left", "right")
names, hosts, generations = st.sampled_from(NAMES), st.sampled_from(HOSTS), st.integers(1, 4)


def work(name: str, host: str = "left", generation: int = 1) -> Workload:
    return Workload(f"urn:{name}", name, host, generation, "/program")


def running(name: str, host: str = "left", generation: int = 1, phase: Phase = Phase.ALIVE) -> Running:
    return Running(f"urn:{name}", name, host, generation, phase, f"http://{host}:1", "process")


wanted_sets = st.dictionaries(names, st.builds(lambda h, g, r: (h, g, r), hosts, generations, st.booleans())).map(
    lambda found: [Wanted(work(n, h, g), r) for n, (h, g, r) in found.items()]
)
observed_sets = st.dictionaries(names, st.tuples(hosts, generations, st.sampled_from(list(Phase)))).map(
    lambda found: [running(n, h, g, p) for n, (h, g, p) in found.items()]
)


class World:
    """What the contract of a driver says about its effects, and nothing more."""

    def __init__(self, observed: list[Running]) -> None:
        self.there = {r.deployment: r for r in observed}
        self.started: list[tuple[str, str, int]] = []

    def apply(self, steps: list[Start | Stop]) -> None:
        for step in steps:
            if isinstance(step, Stop):
                self.there.pop(step.deployment, None)
            else:
                w = step.workload
                assert w.deployment not in self.there, "a deployment never runs twice"
                self.there[w.deployment] = running(w.unit, w.host, w.generation)
                self.started.append((w.deployment, w.host, w.generation))


@given(wanted_sets, observed_sets)
def test_difference_leads_to_what_is_wanted_from_any_state(wanted: list[Wanted], observed: list[Running]) -> None:
    world = World(observed)
    before = dict(world.there)
    world.apply(difference(wanted, observed))
    assert difference(wanted, list(world.there.values())) == [], "one pass is enough, and a second does nothing"
    run = {w.workload.deployment: w.workload for w in wanted if w.run}
    assert set(world.there) == set(run)
    for deployment, found in world.there.items():
        assert (found.host, found.generation) == (run[deployment].host, run[deployment].generation)
        if deployment in before and (before[deployment].host, before[deployment].generation) == (
            found.host,
            found.generation,
        ):
            assert found == before[deployment], "what is as it should be is not touched, dead or alive"


@given(wanted_sets, observed_sets, st.randoms(use_true_random=False))
def test_difference_is_the_same_in_any_order(wanted: list[Wanted], observed: list[Running], chance: object) -> None:
    steps = difference(wanted, observed)
    assert difference(list(reversed(wanted)), list(reversed(observed))) == steps
    kinds = [isinstance(s, Start) for s in steps]
    assert kinds == sorted(kinds), "room is made before it is taken"


@given(st.lists(st.tuples(wanted_sets, st.sets(names)), max_size=6))
def test_generation_is_started_at_most_once_over_a_history(history: list[tuple[list[Wanted], set[str]]]) -> None:
    """Processes die between passes; generations only grow when something is to run anew."""
    world, highest = World([]), dict[str, tuple[str, int]]()
    for wanted, dying in history:
        fresh = []
        for w in wanted:  # a commit that changes where or whether something runs raises its generation
            host, generation = highest.get(w.workload.deployment, ("", 0))
            same = host == w.workload.host and w.workload.deployment in world.there
            number = generation if same and w.run else generation + 1
            highest[w.workload.deployment] = (w.workload.host, number)
            fresh.append(replace(w, workload=replace(w.workload, generation=number)))
        world.apply(difference(fresh, list(world.there.values())))
        for name in dying & {r.unit for r in world.there.values()}:
            world.there[f"urn:{name}"] = replace(world.there[f"urn:{name}"], phase=Phase.ENDED)
    assert len(set(world.started)) == len(world.started)


# -- what is said ----------------------------------------------------------------------------------------------------
def life(*steps: tuple[Running | None, bool | None, float], timeout: float = 60.0) -> list[str]:
    """States of one deployment over (observed, answers, time)."""
    seen: Seen | None = None
    out = []
    for found, answers, now in steps:
        seen = judge(Wanted(work("a")), found, answers, seen, now, start_timeout=timeout)
        out.append(seen.state)
    return out


def test_deployment_is_starting_until_it_answers() -> None:
    alive = running("a")
    assert life((None, None, 0), (alive, False, 1), (alive, False, 9), (alive, True, 10)) == [
        "Pending", "Starting", "Starting", "Running",
    ]  # fmt: skip


def test_deployment_has_failed_when_it_does_not_answer_in_time_and_runs_when_it_does_later() -> None:
    alive = running("a")
    assert life((alive, False, 0), (alive, False, 4), (alive, False, 6), (alive, True, 7), timeout=5) == [
        "Starting", "Starting", "Failed", "Running",
    ]  # fmt: skip


def test_deployment_has_failed_when_its_process_ended() -> None:
    assert life((running("a"), True, 0), (running("a", phase=Phase.ENDED), None, 1)) == ["Running", "Failed"]


def test_deployment_is_lost_when_its_host_is() -> None:
    assert life((running("a"), True, 0), (running("a", phase=Phase.UNREACHABLE), None, 1)) == ["Running", "Lost"]
    seen = judge(Wanted(work("a")), running("a"), True, None, 0)
    for second in range(1, PATIENCE + 1):
        seen = judge(Wanted(work("a")), running("a"), False, seen, second, host_answers=False)
    assert seen.state == "Lost"


def test_deployment_stays_running_when_single_probes_fail() -> None:
    alive = running("a")
    flaky = [(alive, n % PATIENCE == 0, float(n)) for n in range(20)]
    assert set(life(*flaky)) == {"Running"}
    assert life((alive, True, 0), *[(alive, False, float(n)) for n in range(1, PATIENCE + 1)])[-1] == "Degraded"


def test_state_begins_anew_when_the_generation_grows() -> None:
    old = judge(Wanted(work("a")), running("a", phase=Phase.ENDED), None, None, 5)
    new = judge(Wanted(work("a", generation=2)), running("a", generation=2), False, old, 9)
    assert (new.state, new.since, new.began, new.generation) == ("Starting", 9, 9, 2)


def test_host_is_lost_after_some_silence_and_back_when_it_answers() -> None:
    seen = judge_host(True, None, 0)
    states = []
    for second in range(1, PATIENCE + 2):
        seen = judge_host(False, seen, second)
        states.append(seen.state)
    assert states == ["Running"] * (PATIENCE - 1) + ["Lost"] * 2
    assert judge_host(True, seen, 99).state == "Running"
    assert judge_host(None, seen, 99) is seen, "who was not asked is as it was"


def test_start_that_is_refused_is_a_failure_with_its_reason() -> None:
    found = account([Wanted(work("a"))], [], {}, {}, {}, 0.0, failed={"urn:a": "the host does not answer"})
    assert found.seen["urn:a"].state == "Failed"
    assert "does not answer" in found.happened[0].message


@given(wanted_sets, observed_sets, st.dictionaries(names, st.booleans()))
def test_nothing_is_told_twice(wanted: list[Wanted], observed: list[Running], answers: dict[str, bool]) -> None:
    told = {f"urn:{n}": (well, "") for n, well in answers.items()}
    first = account(wanted, observed, told, {"left": ("urn:host", True)}, {}, 1.0)
    second = account(wanted, observed, told, {"left": ("urn:host", True)}, first.seen, 2.0)
    changed = {iri for iri in first.seen if first.seen[iri].state != second.seen[iri].state}
    assert {h.about for h in second.happened} <= changed
    assert {w.workload.deployment for w in wanted} <= set(first.seen)


def test_event_tells_how_long_a_start_took_and_what_failed_last_said() -> None:
    begun = Seen("Starting", 3, "left", 10.0, 10.0)
    ready = tell("urn:a", "a", begun, Seen("Running", 3, "left", 12.5, 10.0))
    assert ready is not None
    assert (ready.kind, ready.took) == ("ready", 2.5)
    assert tell("urn:a", "a", Seen("Lost", 3, "left", 12.5), Seen("Running", 3, "left", 13.0)).kind == "recovered"  # type: ignore[union-attr]
    failed = Happened("urn:a", "failed", "a failed on left", 1.0)
    assert with_logs([failed], {"urn:a": "no such file"})[0].message.endswith("it said: no such file")
    assert with_logs([failed], {})[0] == failed
