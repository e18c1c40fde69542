"""Sources, artifacts, forge tests, gas and documentation of the contracts agree."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

INTERFACES = (
    "IApplication", "IConsentRegister", "IDigestLog", "IGateway", "IGraphRegistry", "INameRegistry", "IParticipantRegistry",
    "IReadingLog", "IRevenueShare", "IServiceAgreement",
)  # fmt: skip
FORGE = "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"


@pytest.fixture(scope="module")
def contracts(repo: Path) -> Path:
    return repo / "contracts"


@cache
def builder(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("contracts_build", path / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs_compiler(contracts: Path) -> None:
    reason = builder(contracts).ready()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def tested(contracts: Path, effort: int) -> dict[str, dict[str, Any]]:
    """Each forge test's outcome, by `Contract:test`."""
    needs_compiler(contracts)
    if not (contracts / FORGE).is_file():
        pytest.skip("forge is not installed: npm ci in contracts/ (x86-64 Linux only)")
    profile = {1: "default", 10: "full", 100: "soak"}[effort]
    done = subprocess.run(
        [str(contracts / FORGE), "test", "--json"], cwd=contracts, capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, "FOUNDRY_PROFILE": profile},
    )  # fmt: skip
    assert done.stdout.startswith("{"), done.stdout[-2000:] + done.stderr[-2000:]
    suites = json.loads(done.stdout)
    return {
        f"{suite.partition(':')[2]}:{name}": result
        for suite, found in suites.items()
        for name, result in found["test_results"].items()
    }


def test_artifacts_are_rebuilt_identically(contracts: Path) -> None:
    needs_compiler(contracts)
    done = subprocess.run(
        [sys.executable, str(contracts / "build.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_tells_when_an_artifact_differs(contracts: Path, tmp_path: Path) -> None:
    build = builder(contracts)
    there = {p.name: p.read_text() for p in (contracts / "artifacts").glob("*.json")}
    assert build.differences(there) == []
    name = next(iter(there))
    assert build.differences({**there, name: there[name].replace("0x60", "0x61")}) == [name]
    assert build.differences({k: v for k, v in there.items() if k != name}) == [name]


def test_forge_tests_pass(tested: dict[str, dict[str, Any]]) -> None:
    failed = {name: result["reason"] for name, result in tested.items() if result["status"] != "Success"}
    assert not failed
    kinds = [next(iter(result["kind"])) for result in tested.values()]
    # each kind of test is there: none was lost with a file
    assert kinds.count("Unit") >= 100
    assert kinds.count("Fuzz") >= 8
    assert kinds.count("Invariant") >= 4


def test_gas_is_as_committed(tested: dict[str, dict[str, Any]], contracts: Path) -> None:
    found = {name: r["kind"]["Unit"]["gas"] for name, r in tested.items() if "Unit" in r["kind"]}
    lines = (contracts / ".gas-snapshot").read_text().splitlines()
    committed = {name: int(gas) for line in lines for name, gas in re.findall(r"^(.+) \(gas: (\d+)\)$", line)}
    assert len(committed) == len(lines)
    changed = {
        n: (committed.get(n), found.get(n)) for n in committed.keys() | found.keys() if committed.get(n) != found.get(n)
    }
    assert not changed, "meant? then write the snapshot anew: contracts/README.md"


def test_interfaces_document_every_function_event_and_error(contracts: Path) -> None:
    folder = contracts / "src" / "interfaces"
    assert tuple(sorted(p.stem for p in folder.glob("*.sol"))) == INTERFACES
    missing = []
    for file in folder.glob("*.sol"):
        lines = [line.strip() for line in file.read_text().splitlines()]
        for before, line in pairwise(lines):
            if re.match(r"(interface|function|event|error|struct|enum) ", line) and not before.startswith(
                ("///", "*/")
            ):
                missing.append(f"{file.stem}: {line[:60]}")
    assert not missing


SYSTEM = ("Gateway", "GraphRegistry", "NameRegistry", "ParticipantRegistry", "ServiceAgreement")


@pytest.mark.parametrize("name", SYSTEM)
def test_contract_offers_what_its_interface_says_and_nothing_else(contracts: Path, name: str) -> None:
    """State is private: a public variable would be a function that the interface does not have."""
    declared = set(re.findall(r"function (\w+)\(", (contracts / "src" / "interfaces" / f"I{name}.sol").read_text()))
    artifact = json.loads((contracts / "artifacts" / f"{name}.json").read_text())
    offered = {e["name"] for e in artifact["abi"] if e["type"] == "function"}
    assert offered - {"eip712Domain"} == declared  # the one function that OpenZeppelin's EIP-712 base adds


@pytest.mark.parametrize("name", SYSTEM)
def test_artifact_is_small_enough_to_deploy_and_says_how_it_was_made(contracts: Path, name: str) -> None:
    artifact = json.loads((contracts / "artifacts" / f"{name}.json").read_text())
    assert artifact["contractName"] == name
    assert artifact["compiler"].startswith("0.8.37+commit.")
    assert artifact["settings"]["evmVersion"] == "cancun"
    assert len(artifact["deployedBytecode"]) // 2 - 1 <= 24_576  # EIP-170


def test_slither_findings_are_answered(contracts: Path, effort: int, tmp_path: Path) -> None:
    slither = shutil.which("slither")
    if slither is None or effort == 1:
        pytest.skip("slither is looked for at full effort: pip install slither-analyzer, in an environment of its own")
    needs_compiler(contracts)
    place = tmp_path / "contracts"
    for part in ("src", "tools"):
        shutil.copytree(contracts / part, place / part)
    for part in ("foundry.toml", "package.json"):
        shutil.copy(contracts / part, place / part)
    (place / "node_modules").symlink_to(contracts / "node_modules")
    path = f"{(contracts / FORGE).parent}:{os.environ['PATH']}"
    subprocess.run(
        [slither, ".", "--exclude-dependencies", "--filter-paths", "node_modules", "--json", "found.json"],
        cwd=place, env={**os.environ, "PATH": path}, capture_output=True, check=False, timeout=280,
    )  # fmt: skip
    found = json.loads((place / "found.json").read_text())
    assert found["success"], found["error"]
    answers = (contracts / "slither.md").read_text()
    open_ = []
    for each in found["results"].get("detectors", []):
        where = each["elements"][0]
        of = where.get("type_specific_fields", {}).get("parent", {}).get("name", "")
        name = f"{of}.{where['name']}"
        if not re.search(rf"^\| {each['check']} \|[^|]*`{re.escape(name)}`", answers, re.MULTILINE):
            open_.append(f"{each['check']}: {name}")
    assert not sorted(set(open_))
