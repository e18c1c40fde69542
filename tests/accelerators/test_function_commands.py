"""`dappops devices` and `dappops function` from end to end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine.accelerators.boxes import get
from engine.cli import main


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("functions") / "kb"


def run(home: Path, *words: str, code: int = 0) -> Any:
    """What a command prints as JSON; the command line in this process, as its entry point runs it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main(["--home", str(home), "--json", *words])
    assert ended.value.code == code, out.getvalue()
    return json.loads(out.getvalue()) if out.getvalue().strip() else None


def test_devices_are_shown_and_nothing_is_committed_unless_asked(home: Path) -> None:
    found = run(home, "devices", "--no-opencl")
    assert found["devices"][0]["kind"] == "cpu"
    assert found["published"] is None
    assert found["missing"] == ["OpenCL not looked for, as asked"]
    published = run(home, "devices", "--no-opencl", "--publish")["published"]
    assert published["added"] > 0
    assert run(home, "devices", "--no-opencl", "--publish")["published"]["added"] == 0
    assert run(home, "devices", "--publish", "--dry-run", code=2)["error"]["family"] == "UsageError"


def test_functions_are_listed_without_a_knowledge_base(tmp_path: Path) -> None:
    found = run(tmp_path / "none", "function", "list")
    assert [f["function"] for f in found["functions"]] == ["frame-filter", "sha256-batch"]
    assert not (tmp_path / "none").exists()


def test_function_is_measured_chosen_shown_and_called(home: Path, tmp_path: Path) -> None:
    if (reason := get("process").check()) is not None:
        pytest.skip(reason)
    made = run(
        home, "function", "profile", "sha256-batch", "--variant", "native", "--box", "process", "--sizes", "8,64",
        "--repeats", "3", "--budget", "0.5",
    )  # fmt: skip
    assert [p["size"] for p in made["profiles"]] == [8, 64]
    assert run(home, "findings") == []

    choice = run(home, "function", "choose", "sha256-batch", "--size", "20")
    assert choice["chosen"]["variant"]["label"] == "SHA-256 batch through OpenSSL"
    told = run(home, "why")
    assert told["decision"] == choice["decision"]
    assert told["units"][0]["chosen"]["thing"]["label"] == choice["chosen"]["option"]
    nothing = run(home, "function", "choose", "sha256-batch", "--size", "20", "--isolation", "container", code=1)
    assert nothing["chosen"] is None
    assert nothing["conflicts"]

    shown = run(home, "function", "show", "sha256-batch")
    assert len(shown["variants"]) == 4
    assert len(shown["profiles"]) == 2

    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(200)))
    call = ("function", "call", "sha256-batch", "--input", str(source), "--output", str(target))
    answer = run(home, *call, "-p", "count=2", "-p", "size=100")
    assert (answer["variant"], answer["box"]) == ("native", "process")
    wanted = b"".join(hashlib.sha256(bytes(range(a, a + 100))).digest() for a in (0, 100))
    assert target.read_bytes() == wanted
    target.unlink()
    run(home, *call, "-p", "count=2", "-p", "size=100", "--variant", "native", "--box", "process")
    assert target.read_bytes() == wanted

    wrong = run(home, *call, "-p", "count=3", "-p", "size=100", code=3)
    assert "300 bytes" in wrong["error"]["rule"]
    assert run(home, *call, "-p", "count", code=2)["error"]["family"] == "UsageError"


def test_call_says_what_is_missing_when_no_broker_listens(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"abc")
    said = run(
        home, "function", "call", "sha256-batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"),
        "-p", "count=1", "-p", "size=3", "--broker", str(tmp_path / "nobody.sock"), code=5,
    )  # fmt: skip
    assert "no broker" in said["error"]["message"]
    assert said["error"]["remedy"]


def test_packages_are_the_same_when_built_again(home: Path, tmp_path: Path) -> None:
    first = run(home, "function", "package", "sha256-batch", "--oci", str(tmp_path / "oci"))
    again = run(home, "function", "package", "sha256-batch")
    assert first["packages"] == again["packages"]
    assert len(first["packages"]) == 10
    assert len(first["written"]) == 3
    assert all(Path(p).is_file() for p in first["written"])


def test_broker_is_served_with_the_decisions_that_were_made(home: Path, tmp_path: Path) -> None:
    if (reason := get("process").check()) is not None:
        pytest.skip(reason)
    found = run(home, "function", "serve")
    try:
        assert [(c["function"], c["size"]) for c in found["choices"]] == [("sha256-batch", 20)]
        (tmp_path / "in").write_bytes(b"abc")
        answer = run(
            home, "function", "call", "sha256-batch", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"),
            "-p", "count=1", "-p", "size=3", "--broker", found["socket"],
        )  # fmt: skip
        assert (answer["variant"], answer["box"], answer["chosen"]) == ("native", "process", "decision")
        assert (tmp_path / "out").read_bytes() == hashlib.sha256(b"abc").digest()
        assert run(home, "function", "serve", "--status")["pid"] == found["pid"]
    finally:
        assert run(home, "function", "serve", "--stop") == {"stopped": True}
