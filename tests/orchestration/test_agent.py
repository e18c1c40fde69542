"""The host agent as a process: what it measures, what it says of its peers, that it ends in order."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal import ROOT, free_port, until

from engine.orchestration import agent

PROGRAM = ROOT / "engine" / "orchestration" / "agent.py"


class Agents:
    """Agents of made-up hosts on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports, self.running = folder, {}, {}

    def start(self, host: str, *more: str) -> None:
        port = self.ports.setdefault(host, free_port())
        self.tell()
        command = [sys.executable, "-S", "-E", str(PROGRAM), "--listen", f"127.0.0.1:{port}", "--host", host]
        self.running[host] = subprocess.Popen(
            [*command, "--peers", str(self.folder / "agents.json"), *more],
            env={**os.environ, "DAPPOPS_HOST": host}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self.get(host, "/healthz"), f"{host} does not answer")

    def tell(self) -> None:
        fresh = self.folder / ".agents"
        fresh.write_text(json.dumps({host: f"127.0.0.1:{port}" for host, port in self.ports.items()}))
        fresh.replace(self.folder / "agents.json")

    def get(self, host: str, path: str) -> bytes:
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[host]}{path}", timeout=5) as answer:
            return bytes(answer.read())

    def metrics(self, host: str) -> dict[str, float]:
        lines = self.get(host, "/metrics").decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def end(self) -> dict[str, int]:
        for process in self.running.values():
            process.terminate()
        return {host: process.wait(10) for host, process in self.running.items()}


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    running = Agents(tmp_path)
    yield running
    running.end()


def test_round_trip_and_rate_are_told_when_a_peer_answers(agents: Agents) -> None:
    agents.start("h1")
    agents.start("h2")
    told = until(
        lambda: (
            (m := agents.metrics("h1")).get('dappops_probe_megabytes_per_second{peer="h2"}')
            and m.get('dappops_probe_seconds{peer="h2"}')
            and m
        ),
        "no round trip is told",
    )
    assert 0 < told['dappops_probe_seconds{peer="h2"}'] < 0.45
    assert told['dappops_probe_megabytes_per_second{peer="h2"}'] > 0
    assert told['dappops_probe_total{peer="h2"}'] >= 1
    assert not [name for name in told if 'peer="h1"' in name], "it does not probe itself"


def test_loss_is_counted_and_the_way_is_silent_when_a_peer_is_killed(agents: Agents) -> None:
    agents.start("h1")
    agents.start("h2")
    until(lambda: 'dappops_probe_seconds{peer="h2"}' in agents.metrics("h1"), "no round trip is told")
    agents.running["h2"].kill()
    agents.running["h2"].wait()
    told = until(
        lambda: (
            (m := agents.metrics("h1"))['dappops_probe_lost_total{peer="h2"}'] >= 2
            and 'dappops_probe_megabytes_per_second{peer="h2"}' not in m
            and m
        ),
        "loss is not counted",
    )
    assert 'dappops_probe_seconds{peer="h2"}' not in told
    agents.start("h2")
    until(lambda: 'dappops_probe_seconds{peer="h2"}' in agents.metrics("h1"), "it does not see it come back")


def test_new_peer_is_probed_when_the_file_changes(agents: Agents) -> None:
    agents.start("h1")
    assert not [name for name in agents.metrics("h1") if "probe" in name]
    (agents.folder / "agents.json").write_text('{"h1": "127.0.0.1:1", "h2": ')  # somebody writes it in place
    agents.start("h2")
    until(lambda: 'dappops_probe_total{peer="h2"}' in agents.metrics("h1"), "the new peer is not probed")


def test_processor_time_is_told_by_unit_when_processes_carry_the_host(agents: Agents) -> None:
    agents.start("h1")
    busy = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\nprint(1, flush=True); input()"
    units = {
        unit: subprocess.Popen(
            [sys.executable, "-S", "-c", busy], env={**os.environ, "DAPPOPS_HOST": host, "DAPPOPS_UNIT": unit},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for unit, host in (("mine", "h1"), ("other", "h11"))
    }  # fmt: skip
    try:
        for process in units.values():
            assert process.stdout is not None
            process.stdout.readline()
        told = until(
            lambda: (
                (m := agents.metrics("h1")).get('dappops_process_cpu_seconds_total{deployment="mine"}', 0) >= 0.4 and m
            ),
            "its processor time is not told",
        )
        assert 'dappops_process_cpu_seconds_total{deployment="other"}' not in told
        assert told["dappops_host_cpu_seconds_total"] >= 0.4
        assert told["dappops_host_memory_bytes"] > 1e6
        spent = told["dappops_host_cpu_seconds_total"]
    finally:
        for process in units.values():
            process.communicate(b"\n", timeout=10)
    until(
        lambda: agents.metrics("h1")["dappops_host_cpu_seconds_total"] >= spent, "a counter fell when a process ended"
    )


def test_cgroups_are_read_when_they_are_of_either_version(tmp_path: Path) -> None:
    two = tmp_path / "v2"
    two.mkdir()
    (two / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\nthrottled_usec 750000\n")
    (two / "memory.current").write_text("1048576\n")
    (two / "cgroup.procs").write_text("12\n13\n")
    new = agent.Cgroups([two])
    assert (new.cpu(), new.throttled(), new.memory(), new.pids()) == (2.5, 0.75, 1048576.0, {12, 13})
    cpu, memory = tmp_path / "cpu", tmp_path / "memory"
    cpu.mkdir()
    memory.mkdir()
    (cpu / "cpuacct.usage").write_text("3000000000\n")
    (cpu / "cpu.stat").write_text("nr_periods 5\nnr_throttled 2\nthrottled_time 400000000\n")
    (memory / "memory.usage_in_bytes").write_text("2097152\n")
    old = agent.Cgroups([cpu, memory])
    assert (old.cpu(), old.throttled(), old.memory(), old.pids()) == (3.0, 0.4, 2097152.0, set())
    none = agent.Cgroups([tmp_path / "nowhere"])
    assert (none.cpu(), none.throttled(), none.memory()) == (None, None, None)


def test_agent_measures_a_real_cgroup_when_one_can_be_made(agents: Agents) -> None:
    roots = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup/memory")]
    if os.geteuid() != 0 or not all((root / "tasks").exists() for root in roots):
        pytest.skip(
            "not root, or no control groups of version 1: the other version is read from files in the test above"
        )
    made = [root / f"dappops-test-{os.getpid()}" for root in roots]
    try:
        for folder in made:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    try:
        agents.start("h1", *(part for folder in made for part in ("--cgroup", str(folder))))
        agents.start("outside")
        for folder in made:
            (folder / "cgroup.procs").write_text(str(agents.running["h1"].pid))
        told = until(
            lambda: (
                (m := agents.metrics("h1"))["dappops_host_cpu_seconds_total"] > 0
                and m["dappops_host_memory_bytes"] > 0
                and m
            ),
            "nothing is measured",
        )
        assert "dappops_host_cpu_throttled_seconds_total" in told
    finally:
        agents.end()
        for folder in made:
            folder.rmdir()


def test_agent_ends_in_order_when_asked(agents: Agents) -> None:
    agents.start("h1")
    agents.start("h2")
    assert agents.end() == {"h1": 0, "h2": 0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "nowhere", "--host", "h"], "invalid address value: 'nowhere'"),
        (["--listen", "127.0.0.1:0"], "say --host or set DAPPOPS_HOST"),
        (["--listen", "127.0.0.1:0", "--host", "h", "--cgroup", "/nowhere"], "--cgroup /nowhere: no such folder"),
    ],
)
def test_agent_refuses_with_the_reason_when_an_argument_is_wrong(arguments: list[str], said: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DAPPOPS_HOST"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_agent_takes_no_harm_when_strangers_send_packets(agents: Agents) -> None:
    agents.start("h1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for packet in (b"", b"ping", b"x" * 64, b"pong" + b"\xff" * 8):
            stranger.sendto(packet, ("127.0.0.1", agents.ports["h1"]))
    agents.start("h2")
    until(lambda: 'dappops_probe_seconds{peer="h2"}' in agents.metrics("h1"), "it echoes and probes no more")


def test_label_is_escaped_when_a_name_has_quotes() -> None:
    assert agent.escaped('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
