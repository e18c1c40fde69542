"""A starter may be killed between any two of its steps: nothing starts twice, and nothing that started is forgotten."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from orchestration_harness import eventually, ground, processes_of

from engine.orchestration import processes
from engine.orchestration.driver import Driver, Phase, Running
from engine.orchestration.emulation.fabric import Notebook
from engine.orchestration.local import Local
from engine.orchestration.processes import Mark

# Starts generation after generation without end: somewhere in there it is killed.
STARTER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from orchestration_harness import HOSTS, Ground
from engine.orchestration.emulation import home_mark, open_fabric
home, unit, generation = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fabric = open_fabric(home / "run", home_mark(home), "plain")
fabric.topology = HOSTS
ground = Ground(home, fabric, "process")
driver = ground.make()
print("go", flush=True)
while True:
    driver.start(ground.workload(unit, generation=generation))
    generation += 1
"""


def test_start_happens_once_when_the_starter_is_killed_anywhere(tmp_path: Path, effort: int) -> None:
    chance, begun = random.Random(11), 1
    with ground(tmp_path, "plain", box="process") as made:
        unit = made.unit()
        for _ in range(5 * effort):
            child = subprocess.Popen(
                [sys.executable, "-c", STARTER, str(tmp_path), unit, str(begun), str(Path(__file__).parent)],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert child.stdout is not None
            assert child.stdout.readline() == "go\n"
            time.sleep(chance.uniform(0, 0.12))  # where in its work it is hit, not a wait for anything
            child.kill()
            child.communicate()
            noted = Notebook(tmp_path / "run" / "units" / unit / "intent.json").read()
            generation = int(noted.get("generation", begun))
            driver = made.make()
            driver.start(made.workload(unit, generation=generation))

            def settled(driver: Driver = driver) -> list[Running]:
                return [r for r in driver.observe() if r.phase is Phase.ENDED or made.answers(r.endpoint)]

            found = eventually(settled, "the generation that was begun runs, or has ended")
            if found[0].phase is Phase.ENDED:  # it was hit between ending this one and beginning the next
                generation += 1
                driver.start(made.workload(unit, generation=generation))
                found = eventually(settled, "the next one runs")
            assert [r.phase for r in found] == [Phase.ALIVE]
            assert [r.generation for r in found] == [generation]
            assert len(processes_of(unit)) == 1
            assert made.journal(unit) <= generation
            begun = generation + 1


def test_workload_starts_anew_when_only_the_intention_was_written(tmp_path: Path) -> None:
    with ground(tmp_path, "plain", box="process") as made:
        first, unit = Local(made.fabric, made.home, made.mark, box="process"), made.unit()
        first._intend(made.workload(unit), None)  # and the starter is killed
        second = made.make()
        assert list(second.observe()) == [], "nothing runs, and nothing ended"
        started = second.start(made.workload(unit))
        eventually(lambda: made.answers(started.endpoint), "it answers")
        assert made.journal(unit) == 1


def test_process_ends_without_its_program_when_its_claim_is_taken(tmp_path: Path) -> None:
    claim, out = tmp_path / "claim", tmp_path / "ran"
    assert processes.revoke(claim)
    assert processes.revoke(claim), "again is no harm"
    late = processes.launch(
        ["/bin/sh", "-c", f"echo ran > {out}"], Mark("t", "unit", "late", "left", "1"), claim,
        environment={"PATH": "/usr/bin:/bin"}, log=tmp_path / "log",
    )  # fmt: skip
    assert late.wait(timeout=20) != 0
    assert not out.exists()
    quick = processes.launch(
        ["/bin/sh", "-c", f"echo ran > {out}"], Mark("t", "unit", "quick", "left", "1"), tmp_path / "other",
        environment={"PATH": "/usr/bin:/bin"}, log=tmp_path / "log",
    )  # fmt: skip
    assert quick.wait(timeout=20) == 0
    assert out.exists()
    assert not processes.revoke(tmp_path / "other"), "who has begun keeps its claim"


def test_claim_of_another_process_is_not_taken_for_ours_when_its_number_is_used_again(tmp_path: Path) -> None:
    with ground(tmp_path, "plain", box="process") as made:
        driver, unit = made.make(), made.unit()
        eventually(lambda: made.answers(driver.start(made.workload(unit)).endpoint), "it answers")
        made.crash(unit)
        claim = next((tmp_path / "run" / "units" / unit).glob("claim-*"))
        _, _, tail = claim.read_text().rpartition(")")
        other = subprocess.Popen(["sleep", "60"])  # lives, and started at another time than the claim says
        claim.write_text(f"{other.pid} (sh){tail}")
        later = made.make()
        assert [r.phase for r in later.observe()] == [Phase.ENDED]
        later.stop(made.workload(unit).deployment)
        assert other.poll() is None
        other.kill()
        other.wait()


def test_stray_is_told_and_ended_when_its_notes_are_lost(tmp_path: Path) -> None:
    import shutil

    with ground(tmp_path, "plain", box="process") as made:
        first, unit = made.make(), made.unit()
        eventually(lambda: made.answers(first.start(made.workload(unit)).endpoint), "it answers")
        shutil.rmtree(tmp_path / "run" / "units")
        second = made.make()
        stray = [r for r in second.observe() if r.unit == unit]
        assert [r.phase for r in stray] == [Phase.ALIVE]
        second.stop(stray[0].deployment)
        assert processes_of(unit) == []


def test_log_stays_bounded_when_a_unit_writes_much(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(5000)))
    before = log.stat().st_size
    processes.bound(log, size=10_000)
    assert log.stat().st_size <= 10_000 < before
    assert processes.tail(log, 1) == "line 4999"
    assert log.read_text().startswith("line "), "no half line at its head"
