"""The broker from outside: answers, refusals, isolation between tenants, limits, figures, and what it leaves."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from box_checks import wait_until

from engine.accelerators import boxes, broker, packages
from engine.accelerators.boxes.area import birth
from engine.accelerators.client import Answer, CallError, Client, encode, read
from engine.errors import InputError

MB = 1 << 20
MESSAGES = bytes(range(256)) * 4
SIXTEEN = {"count": 16, "size": 64}
DIGESTS = b"".join(hashlib.sha256(MESSAGES[at : at + 64]).digest() for at in range(0, 1024, 64))
LONG = {"count": 2_000_000, "size": 0}  # no input, seconds of work, 64 MB of output
SETTINGS = {
    "slots": 2, "queue_calls": 4, "limits": {"memory": 600 * MB}, "tenants": {"small": {"memory": 96 * MB}},
}  # fmt: skip
NATIVE: dict[str, Any] = {"variant": "native", "box": "process"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("home")
    packages.build(packages.Store(found), ["sha256-batch"])
    return found


@pytest.fixture(scope="module")
def handle(home: Path) -> Iterator[broker.Handle]:
    yield broker.start(home, settings=SETTINGS)
    assert broker.stop(home)


def workers(handle: broker.Handle, tenant: str) -> list[dict[str, Any]]:
    with handle.client() as client:
        return [w for w in client.command("status")["workers"] if w["tenant"] == tenant]


def inner(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(p) for p in children.read_text().split()] if children.exists() else []
    return [pid, *(q for p in found for q in inner(p))]


class Calling(threading.Thread):
    """One call on a connection of its own."""

    def __init__(self, handle: broker.Handle, tenant: str, parameters: dict[str, int], inputs: bytes, **options: Any):
        super().__init__(daemon=True)
        self._do = (handle, tenant, parameters, inputs, options)
        self.answer: Answer | None = None
        self.error: CallError | None = None
        self.start()

    def run(self) -> None:
        handle, tenant, parameters, inputs, options = self._do
        try:
            with handle.client(tenant) as client:
                self.answer = client.call("sha256-batch", parameters, inputs, **options)
        except CallError as error:
            self.error = error


@pytest.mark.parametrize("box", boxes.BOXES)
def test_call_is_answered_by_a_worker_in_each_box(handle: broker.Handle, box: str) -> None:
    if (reason := boxes.get(box).check()) is not None:
        pytest.skip(reason)
    variant = "wasm" if box == "wasm" else "native"
    with handle.client("boxes") as client:
        first = client.call("sha256-batch", SIXTEEN, MESSAGES, variant=variant, box=box)
        again = client.call("sha256-batch", SIXTEEN, MESSAGES, variant=variant, box=box)
    assert first.output == again.output == DIGESTS
    assert (first.info["cold"], again.info["cold"]) == (True, False)
    assert (first.info["variant"], first.info["box"], first.info["chosen"]) == (variant, box, "caller")
    assert re.fullmatch("sha256:[0-9a-f]{64}", first.info["digest"])


def test_socket_is_for_this_user_alone(handle: broker.Handle) -> None:
    assert stat.S_IMODE(os.stat(handle.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(Path(handle.socket).parent).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(handle.grant("boxes")).st_mode) == 0o600


def test_broker_loads_no_driver_and_no_numeric_library(handle: broker.Handle) -> None:
    maps = Path(f"/proc/{handle.pid}/maps").read_text().lower()
    assert "libpython" in maps or "python3" in maps
    for library in ("opencl", "pocl", "wasmtime", "numpy"):
        assert library not in maps, library


def test_tenants_have_workers_of_their_own(handle: broker.Handle) -> None:
    for tenant in ("one", "two", "one"):
        with handle.client(tenant) as client:
            assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS
    (one,), (two,) = workers(handle, "one"), workers(handle, "two")
    assert one["pid"] != two["pid"]
    with handle.client("one") as client:
        assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).info["worker"] == one["pid"]
    assert (one["calls"], two["calls"]) == (2, 1)


@pytest.mark.parametrize("box", ["process", "container"])
def test_crash_harms_nobody_else_and_is_named(handle: broker.Handle, box: str) -> None:
    if (reason := boxes.get(box).check()) is not None:
        pytest.skip(reason)
    with handle.client("bystander") as other, handle.client("unlucky") as own:
        other.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
        own.call("sha256-batch", SIXTEEN, MESSAGES, variant="numpy", box=box)
        (victim,) = [w for w in workers(handle, "unlucky") if w["box"] == box]
        (before,) = workers(handle, "bystander")
        calling = Calling(handle, "unlucky", LONG, b"", variant="numpy", box=box)
        wait_until(lambda: "unlucky" in own.command("status")["running"], "the call at work")
        os.kill(inner(victim["pid"])[-1], signal.SIGKILL)
        calling.join(30)
        assert calling.error is not None
        assert calling.error.code == "crashed"
        assert "SIGKILL" in calling.error.message or "memory" in calling.error.message
        assert calling.error.place == f"sha256-batch-numpy-{box}"
        assert other.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).info["cold"] is False
        assert workers(handle, "bystander")[0]["pid"] == before["pid"]
        after = own.call("sha256-batch", SIXTEEN, MESSAGES, variant="numpy", box=box)
        assert (after.output, after.info["cold"]) == (DIGESTS, True)


def test_worker_is_replaced_when_a_call_oversteps_its_deadline(handle: broker.Handle) -> None:
    with handle.client("late") as client:
        client.call("sha256-batch", SIXTEEN, MESSAGES, variant="numpy", box="process")
        (worker,) = workers(handle, "late")
        born = birth(worker["pid"])
        with pytest.raises(CallError) as caught:
            client.call("sha256-batch", LONG, variant="numpy", box="process", deadline_ms=200)
        assert caught.value.code == "deadline"
        wait_until(lambda: birth(worker["pid"]) != born, "the end of the late worker")
        assert client.call("sha256-batch", SIXTEEN, MESSAGES, variant="numpy", box="process").info["cold"] is True


def test_guest_is_ended_and_its_worker_kept_when_it_oversteps_its_deadline(handle: broker.Handle) -> None:
    if (reason := boxes.get("wasm").check()) is not None:
        pytest.skip(reason)
    with handle.client("guest") as client:
        client.call("sha256-batch", SIXTEEN, MESSAGES, variant="wasm", box="wasm")
        with pytest.raises(CallError) as caught:
            client.call("sha256-batch", LONG, variant="wasm", box="wasm", deadline_ms=60)
        assert caught.value.code == "deadline"
        wait_until(lambda: "guest" not in client.command("status")["running"], "the end of the call")
        again = client.call("sha256-batch", SIXTEEN, MESSAGES, variant="wasm", box="wasm")
        assert (again.output, again.info["cold"]) == (DIGESTS, False)


def test_call_ends_with_an_error_when_it_needs_more_memory_than_its_tenant_has(handle: broker.Handle) -> None:
    with handle.client("small") as client:
        assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS
        with pytest.raises(CallError) as caught:
            client.call("sha256-batch", LONG, **NATIVE)
        assert caught.value.code in ("crashed", "failed")
        assert "memory" in caught.value.message.lower()
        assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS


def test_queue_of_one_tenant_is_bounded_and_the_other_has_its_turn(handle: broker.Handle) -> None:
    work = {"count": 60_000, "size": 0}
    flood = [Calling(handle, "flood", work, b"", **NATIVE) for _ in range(12)]
    with handle.client("modest") as client:
        assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS
    for calling in flood:
        calling.join(60)
    refused = [c.error.code for c in flood if c.error]
    assert set(refused) <= {"busy"}
    assert len(flood) - len(refused) >= 4
    assert all(len(c.answer.output) == 60_000 * 32 for c in flood if c.answer)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"function": "sha-batch"}, "input", "did you mean 'sha256-batch'"),
        ({"parameters": {"count": 16}}, "input", "size is missing"),
        ({"parameters": {"count": 15, "size": 64}}, "input", "1024 bytes"),
        ({"parameters": None}, "input", "parameters are missing"),
        ({"variant": "cuda", "box": "process"}, "input", "no variant 'cuda'"),
        ({"variant": "native", "box": "sandbx"}, "input", "did you mean 'sandbox'"),
        ({"variant": "wasm", "box": "container"}, "unavailable", "no package"),
        ({"deadline_ms": 0}, "input", "deadline_ms"),
        ({"tenant": "../x"}, "input", "no tenant"),
        ({"op": "calls"}, "input", "did you mean 'call'"),
        ({"op": "choices", "choices": [{"function": "sha256-batch", "size": -1}]}, "input", "no choice"),
    ],
)
def test_request_is_refused_with_one_clear_error(
    handle: broker.Handle, fields: dict[str, Any], code: str, said: str
) -> None:
    header = {"op": "call", "tenant": "wrong", "function": "sha256-batch", "parameters": SIXTEEN, **fields}
    with handle.client() as client, pytest.raises(CallError) as caught:
        client.ask(header, MESSAGES, timeout=30)
    assert caught.value.code == code
    assert said in caught.value.message


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", struct.pack("!II", 2, 0) + b"[]", struct.pack("!II", 3, 0) + b"\xff{}"]
)
def test_broker_goes_on_when_somebody_talks_nonsense(handle: broker.Handle, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(30)
        raw.connect(handle.socket)
        raw.sendall(sent)
        answer = read(raw)
        assert answer is not None
        assert answer[0]["error"]["code"] == "input"
    with socket.socket(socket.AF_UNIX) as gone:  # hangs up in the middle of a frame
        gone.connect(handle.socket)
        gone.sendall(encode({"op": "ping"})[:5])
    with handle.client() as client:
        assert client.command("ping")["pid"] == handle.pid


def test_client_refuses_too_much_before_it_is_sent(handle: broker.Handle) -> None:
    with handle.client() as client, pytest.raises(CallError, match="divide it"):
        client.call("sha256-batch", SIXTEEN, bytes((1 << 26) + 1))


def test_granted_socket_takes_calls_of_its_tenant_only(handle: broker.Handle) -> None:
    path = handle.grant("stage")
    assert handle.grant("stage") == path
    with Client(path, tenant="stage") as own:
        assert own.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS
        for op in ("stop", "status", "grant", "metrics", "choices", "packages"):
            with pytest.raises(CallError) as caught:
                own.command(op)
            assert caught.value.code == "denied"
    with Client(path, tenant="one") as other, pytest.raises(CallError, match="denied"):
        other.call("sha256-batch", SIXTEEN, MESSAGES)


def test_open_choices_are_filled_by_the_decision_for_the_nearest_size(handle: broker.Handle) -> None:
    with handle.client("open") as client:
        default = client.call("sha256-batch", SIXTEEN, MESSAGES)
        assert default.info["chosen"] == "default"
        strongest = [b for b in boxes.BOXES if b != "wasm" and boxes.get(b).check() is None][-1]
        assert default.info["box"] == strongest
        table = [
            {"function": "sha256-batch", "size": 10, "variant": "native", "box": "process", "decision": "urn:x:small"},
            {
                "function": "sha256-batch",
                "size": 100_000,
                "variant": "numpy",
                "box": "process",
                "decision": "urn:x:large",
            },
        ]
        assert client.command("choices", choices=table) == {"choices": 2}
        try:
            found = client.call("sha256-batch", SIXTEEN, MESSAGES)
            assert (found.info["variant"], found.info["chosen"]) == ("native", "decision")
            assert found.info["decision"] == "urn:x:small"
            large = {"count": 50_000, "size": 0}
            assert client.call("sha256-batch", large).info["decision"] == "urn:x:large"
            pinned = client.call("sha256-batch", SIXTEEN, MESSAGES, variant="numpy")
            assert pinned.info["decision"] == "urn:x:large", "of those that have what the caller wants"
        finally:
            client.command("choices", choices=[])


def test_figures_are_told_by_tenant_function_and_variant(handle: broker.Handle) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with handle.client("counted") as client:
        for _ in range(3):
            client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
        with pytest.raises(CallError):
            client.call("sha256-batch", {"count": 1}, b"", **NATIVE)
        text = client.command("metrics")["text"]
    samples = {
        (s.name, s.labels.get("outcome") or s.labels.get("code")): s.value
        for family in text_string_to_metric_families(text) for s in family.samples
        if s.labels.get("tenant") == "counted"
    }  # fmt: skip
    assert samples["dappops_broker_calls_total", "ok"] == 3
    assert samples["dappops_broker_refused_total", "input"] == 1
    assert samples["dappops_broker_worker_starts_total", None] == 1
    assert samples["dappops_broker_queue_length", None] == 0
    assert samples["dappops_broker_call_seconds_total", None] > 0


def test_starting_again_uses_the_broker_that_runs(handle: broker.Handle, home: Path) -> None:
    assert broker.start(home) == handle
    assert broker.find(home) == handle
    second = subprocess.run(
        [sys.executable, "-m", "engine.accelerators.broker", str(home)], input=b"{}", capture_output=True, check=False
    )
    assert second.returncode == 4
    assert b"another broker" in second.stderr


def test_worker_is_replaced_when_its_package_is_another_now(tmp_path: Path) -> None:
    store = packages.Store(tmp_path)
    old = packages.build(store, ["sha256-batch"])
    running = broker.start(tmp_path, packages=old)
    try:
        with running.client() as client:
            first = client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
            path = "engine/accelerators/library/sha256_batch/native.py"
            changed = b"def call(inputs, parameters):\n    return b'new'\n"
            new = packages.build(store, ["sha256-batch"], replaced={path: changed})
            assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).info["cold"] is False
            assert broker.start(tmp_path, packages=new) == running
            second = client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
            assert (second.output, second.info["cold"]) == (b"new", True)
            assert second.info["digest"] != first.info["digest"]
    finally:
        broker.stop(tmp_path)


def test_settings_are_refused_when_they_are_wrong(tmp_path: Path) -> None:
    for wrong, said in (({"slotz": 1}, "did you mean 'slots'"), ({"limits": {"memory": -1}}, "memory is -1"),
                        ({"tenants": {"a": {"memory": 1.5}}}, "whole number"), ({"tenants": []}, "no JSON object")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            broker.start(tmp_path, settings=wrong)
    assert broker.find(tmp_path) is None
    assert broker.stop(tmp_path) is False


def test_client_says_how_to_start_when_there_is_no_broker(tmp_path: Path) -> None:
    with Client(str(tmp_path / "absent.sock")) as client, pytest.raises(CallError) as caught:
        client.command("ping")
    assert caught.value.code == "unavailable"
    assert "DAPPOPS_BROKER" in caught.value.remedy


def test_call_is_refused_with_the_digest_when_its_package_was_changed(tmp_path: Path) -> None:
    store = packages.Store(tmp_path)
    packages.build(store, ["sha256-batch"])
    package = store.find("sha256-batch", "native", "process")
    data = bytearray(store.path(package.digest).read_bytes())
    data[600] ^= 1
    store.path(package.digest).write_bytes(data)
    running = broker.start(tmp_path)
    try:
        with running.client() as client:
            with pytest.raises(CallError, match=package.digest):
                client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
            packages.build(store, ["sha256-batch"])
            assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).output == DIGESTS
    finally:
        broker.stop(tmp_path)


def test_nothing_outlives_a_killed_broker_and_the_next_one_sweeps(tmp_path: Path) -> None:
    packages.build(packages.Store(tmp_path), ["sha256-batch"])
    running = broker.start(tmp_path, settings={"idle": 0})
    chosen = [b for b in ("process", "sandbox", "container") if boxes.get(b).check() is None]
    found: list[int] = []
    with running.client() as client:
        for box in chosen:
            client.call("sha256-batch", SIXTEEN, MESSAGES, variant="native", box=box)
            found += [p for w in client.command("status")["workers"] for p in inner(w["pid"])]
    born = {p: birth(p) for p in found}
    assert found
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not any(b and birth(p) == b for p, b in born.items()), "the end of every worker")
    again = broker.start(tmp_path)
    assert again.pid != running.pid
    assert len(os.listdir(tmp_path / "run" / "boxes")) == 1
    assert broker.stop(tmp_path)
    left = {p.name for p in (tmp_path / "run").rglob("*") if not p.is_dir()}
    assert left == {"broker.lock", "broker.log"}


def test_worker_is_ended_when_it_is_idle(tmp_path: Path) -> None:
    packages.build(packages.Store(tmp_path), ["sha256-batch"])
    running = broker.start(tmp_path, settings={"idle": 0})
    try:
        with running.client() as client:
            client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE)
            wait_until(lambda: client.command("status")["workers"] == [], "the end of the idle worker")
            assert client.call("sha256-batch", SIXTEEN, MESSAGES, **NATIVE).info["cold"] is True
    finally:
        broker.stop(tmp_path)


CALLER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
module = importlib.util.module_from_spec(spec); sys.modules["client"] = module; spec.loader.exec_module(module)
answer = module.Client(tenant="program").call("sha256-batch", {"count": 1, "size": 0}, variant="native", box="process")
assert not any(m.split(".")[0] in ("engine", "reasoners", "numpy") for m in sys.modules)
print(answer.output.hex())
"""


def test_lines_in_the_documentation_call_the_broker(handle: broker.Handle, repo: Path) -> None:
    blocks = re.findall("```python\n(.*?)```", (repo / "docs" / "packages.md").read_text(encoding="utf-8"), re.S)
    (lines,) = [b for b in blocks if "import json, os, socket, struct" in b]
    code = lines + 'print(call("sha256-batch", {"count": 1, "size": 0}, b"").hex())\n'
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False,
        env={"DAPPOPS_BROKER": handle.socket},
    )  # fmt: skip
    assert done.stdout.strip() == hashlib.sha256(b"").hexdigest(), done.stderr


def test_program_needs_only_the_client_file_and_the_environment(handle: broker.Handle, repo: Path) -> None:
    path = repo / "engine" / "accelerators" / "client.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CALLER, str(path)], capture_output=True, text=True, check=False,
        env={"DAPPOPS_BROKER": handle.socket},
    )  # fmt: skip
    assert done.stdout.strip() == hashlib.sha256(b"").hexdigest(), done.stderr
