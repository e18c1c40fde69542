"""The local driver keeps the contract of `Driver` in every mode, and the contract's suite finds drivers that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import driver_compliance
import orchestration_harness as harness
import pytest
from driver_mutants import MUTANTS
from orchestration_harness import Ground, eventually, ground, need_namespaces, processes_of

from engine.errors import InputError
from engine.orchestration import sandbox
from engine.orchestration.driver import Phase
from engine.orchestration.local import Local

Part = Callable[[Ground], None]


@pytest.mark.parametrize("part", driver_compliance.SUITE, ids=lambda part: part.__name__)
@pytest.mark.parametrize("mode", ["namespaces", "plain"])
def test_local_driver_keeps_the_contract(tmp_path: Path, mode: str, part: Part) -> None:
    if mode == "namespaces":
        need_namespaces()
    with ground(tmp_path, mode, box="auto" if mode == "namespaces" else "process") as made:
        part(made)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_suite_finds_the_driver_when_it_is_broken(
    tmp_path: Path, mutant: type[Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "PATIENCE", 1.5)  # what never comes need not be waited for long
    with ground(tmp_path, "plain", box="process") as made:
        made.driver = mutant
        with pytest.raises((AssertionError, InputError, OSError, pytest.fail.Exception)):
            MUTANTS[mutant](made)


def test_every_part_of_the_suite_finds_a_mutant() -> None:
    assert set(MUTANTS.values()) == set(driver_compliance.SUITE), "a part that finds nothing proves nothing"


def test_unit_sees_no_keys_and_no_other_state_when_it_runs_in_a_sandbox(tmp_path: Path) -> None:
    if sandbox.missing():
        pytest.skip(sandbox.missing())
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret").write_text("0x00")
    with ground(tmp_path, "plain") as made:
        driver, unit = made.make(), made.unit()
        started = driver.start(made.workload(unit))
        assert started.box == "sandbox"
        eventually(lambda: made.answers(started.endpoint), "it answers")
        assert not made.get(f"{started.endpoint}/exists{tmp_path}/keys/secret")["exists"]
        assert not made.get(f"{started.endpoint}/exists{tmp_path}/run/units")["exists"]
        assert made.get(f"{started.endpoint}/exists{made.state(unit)}")["writable"]
        assert not made.get(f"{started.endpoint}/exists/usr")["writable"]


def test_unit_gets_what_the_contract_names_and_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "of the operator")
    with ground(tmp_path, "plain", box="process") as made:
        driver, unit = (
            Local(made.fabric, made.home, made.mark, box="process", broker=tmp_path / "broker.sock"),
            made.unit(),
        )
        started = driver.start(made.workload(unit, host="right"))
        eventually(lambda: made.answers(started.endpoint), "it answers")
        seen = made.get(f"{started.endpoint}/environment")
        assert seen["DAPPOPS_UNIT"] == unit
        assert seen["DAPPOPS_HOST"] == "right"
        assert f"http://{seen['DAPPOPS_LISTEN']}" == started.endpoint
        assert seen["DAPPOPS_STATE"] == str(made.state(unit, "right"))
        assert seen["DAPPOPS_BROKER"] == str(tmp_path / "broker.sock")
        assert seen["DAPPOPS_PEERS"].endswith("peers/units.json")
        assert "SECRET_TOKEN" not in seen


def test_workload_is_unreachable_when_its_host_is_off(tmp_path: Path) -> None:
    with ground(tmp_path, "plain", box="process") as made:
        driver, unit = made.make(), made.unit()
        started = driver.start(made.workload(unit))
        eventually(lambda: made.answers(started.endpoint), "it answers")
        made.fabric.power("left", False)
        assert processes_of(unit) == []
        assert [r.phase for r in driver.observe()] == [Phase.UNREACHABLE]
        made.fabric.power("left", True)
        assert [r.phase for r in driver.observe()] == [Phase.ENDED]
        assert made.journal(unit) == 1


def test_driver_says_what_it_lacks_when_plain_processes_are_asked_for(tmp_path: Path) -> None:
    with ground(tmp_path, "plain", box="process") as made:
        check = made.make().check()
        assert check.boxes == ("process",)
        told = " ".join(str(limit) for limit in check.limits)
        assert "sandbox" in told
        assert "links" in told
        assert all(limit.reason and limit.remedy for limit in check.limits)
