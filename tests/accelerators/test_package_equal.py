"""The same inputs through every package in its box: equal bytes, or a report that says which and why not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine.accelerators import boxes, packages
from engine.accelerators.archive import digest_of

COUNT, SIZE = 33, 71  # no multiple of anybody's lanes or blocks
INPUTS = bytes(i * 7 % 251 for i in range(COUNT * SIZE))
EXPECTED = b"".join(hashlib.sha256(INPUTS[at : at + SIZE]).digest() for at in range(0, COUNT * SIZE, SIZE))
ABSENT = "/nonexistent/program"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> packages.Store:
    made = packages.Store(tmp_path_factory.mktemp("home"))
    packages.build(made)
    return made


@pytest.mark.parametrize("name", ["sha256-batch", "frame-filter"])
def test_packages_give_equal_bytes_in_each_box(store: packages.Store, name: str, effort: int) -> None:
    parameters = {"count": COUNT, "size": SIZE} if name == "sha256-batch" else {"width": SIZE, "height": COUNT}
    # PoCL builds a kernel at every start, for seconds: quick effort starts it in one box of each function
    one = "container" if name == "sha256-batch" else "sandbox"
    chosen = [p for p in store.packages() if effort > 1 or p.variant != "opencl" or p.box == one]
    report = packages.verify_equal(store, name, parameters, INPUTS, packages=chosen)
    assert report.equal, report.as_json()
    assert [r.package for r in report.rows] == [p for p in chosen if p.function == name]
    for row in report.rows:  # what did not run was not available, and says so
        assert bool(row.output) != bool(row.reason)
        assert row.output or (not row.available and "not available" in row.reason)
    assert len(report.compared) >= 2
    if name == "sha256-batch":
        assert {r.output for r in report.compared} == {digest_of(EXPECTED)}


def test_report_gives_the_reason_when_a_box_is_absent(store: packages.Store) -> None:
    absent = {
        "sandbox": boxes.SandboxBox(binary=ABSENT), "container": boxes.ContainerBox(runtimes=(ABSENT,)),
        "wasm": boxes.WasmBox(library="wasmtime_of_nobody"),
    }  # fmt: skip
    chosen = [p for p in store.packages() if p.variant in ("native", "wasm")]
    report = packages.verify_equal(
        store, "sha256-batch", {"count": COUNT, "size": SIZE}, INPUTS, packages=chosen, found_boxes=absent
    )
    assert report.equal
    assert [r.package.box for r in report.compared] == ["process"]
    assert {r.package.box for r in report.rows if r.reason} == {"sandbox", "container", "wasm"}
    assert all(not r.available and "->" in r.reason for r in report.rows if r.reason)


def test_report_names_the_odd_one_when_a_variant_is_wrong(tmp_path: Path, store: packages.Store) -> None:
    wrong = b"def call(inputs, parameters):\n    return bytes(32 * parameters['count'])\n"
    spoilt = packages.Store(tmp_path)
    path = "engine/accelerators/library/sha256_batch/native.py"
    packages.build(spoilt, ["sha256-batch"], replaced={path: wrong})
    chosen = [p for p in spoilt.packages() if p.box == "process" and p.variant == "native"]
    right = [
        p for p in store.packages() if (p.function, p.box) == ("sha256-batch", "process") and p.variant != "opencl"
    ]
    for package in right:
        spoilt.put(store.get(package.digest))
    report = packages.verify_equal(
        spoilt, "sha256-batch", {"count": COUNT, "size": SIZE}, INPUTS, packages=[*right, *chosen]
    )
    assert not report.equal
    assert [r.package.digest for r in report.odd] == [chosen[0].digest]


def test_report_is_not_equal_when_a_variant_that_is_there_fails(tmp_path: Path) -> None:
    spoilt = packages.Store(tmp_path)
    path = "engine/accelerators/library/sha256_batch/native.py"
    packages.build(
        spoilt, ["sha256-batch"], replaced={path: b"def call(inputs, parameters):\n    raise ValueError('no')\n"}
    )
    chosen = [p for p in spoilt.packages() if p.box == "process" and p.variant in ("native", "numpy")]
    report = packages.verify_equal(spoilt, "sha256-batch", {"count": COUNT, "size": SIZE}, INPUTS, packages=chosen)
    assert not report.equal
    assert [r.reason for r in report.rows if r.reason] == ["failed: ValueError: no"]
