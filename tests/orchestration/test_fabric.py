"""Hosts that this machine plays: their networks, rates and bounds are real, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from orchestration_harness import HOSTS, Ground, eventually, ground, need_namespaces, processes_of, sweep

from engine.errors import InputError, NotAvailableError
from engine.orchestration.agents import Agents
from engine.orchestration.emulation import Host, Link, Namespaces, Topology, home_mark, open_fabric
from engine.orchestration.emulation.cgroups import mounts
from engine.orchestration.emulation.topology import cores, memory

MEASURE = """
import sys, time, urllib.request as u
begun = time.monotonic(); size = len(u.urlopen(sys.argv[1], timeout=60).read())
print(size / (time.monotonic() - begun))
"""


def rate(made: Ground, url: str, size: int) -> float:
    """Bytes a second of a transfer, as seen from the control network."""
    argv = made.fabric.in_control([sys.executable, "-I", "-c", MEASURE, f"{url}/bytes/{size}"])
    return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


# -- topology, pure --------------------------------------------------------------------------------------------------
def test_way_is_as_narrow_as_its_narrowest_link_and_as_long_as_all() -> None:
    a, b, c = (Host(n, f"urn:{n}") for n in "abc")
    links = (
        Link("urn:l1", "urn:a", "urn:r1", 10e6, 0.001), Link("urn:l2", "urn:b", "urn:r2", 20e6, 0.002),
        Link("urn:l3", "urn:r1", "urn:r2", 5e6, 0.003), Link("urn:l4", "urn:registry", "urn:r1", 1e6, 0.0),
    )  # fmt: skip
    found = Topology({"a": a, "b": b, "c": c}, links)
    way = found.ways("a")["b"]
    assert way.rate == 5e6
    assert way.latency == pytest.approx(0.006)
    assert "c" not in found.ways("a"), "no chain of links leads there"
    assert found.ways("b")["a"].rate == way.rate
    assert found.rate("a") == 10e6
    assert (found.line("urn:l2"), found.line("urn:b"), found.line("urn:l3")) == ("b", "b", None)


def test_way_does_not_lead_through_another_host() -> None:
    hosts = {n: Host(n, f"urn:{n}") for n in "abc"}
    links = (Link("urn:l1", "urn:a", "urn:b"), Link("urn:l2", "urn:b", "urn:c"))
    assert set(Topology(hosts, links).ways("a")) == {"b"}


def test_host_has_what_its_slots_were_sold_with() -> None:
    assert cores(0.2, 1, 3) == pytest.approx(0.6)
    assert cores(None, 4, 3) is None
    assert cores(0.001, 1, 1) == 0.05, "less would not start a program"
    assert memory(0.125, 4) == (512 + 64) << 20


def test_mount_table_of_either_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    text = f"tmpfs /sys tmpfs rw 0 0\ncgroup /c/cpu cgroup rw,relatime,cpu,cpuacct 0 0\ncgroup2 {tmp_path} cgroup2 rw 0 0\n"
    old, new = mounts(text)
    assert (old.version, set(old.controllers)) == (1, {"cpu", "cpuacct"})
    assert new.version == 2
    assert {"cpu", "memory"} <= set(new.controllers)


# -- namespaces ------------------------------------------------------------------------------------------------------
def test_host_gets_its_rate_and_its_processor_when_it_is_a_namespace(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces", box="process") as made:
        driver, slow, quick = made.make(), made.unit(), made.unit()
        ends = [
            driver.start(made.workload(slow, "left")).endpoint,
            driver.start(made.workload(quick, "right")).endpoint,
        ]
        eventually(lambda: all(made.answers(e) for e in ends), "both answer")
        assert rate(made, ends[0], 600_000) < 2.5e6, "the line carries 2 MB a second"
        assert rate(made, ends[1], 600_000) > 2.5e6, "the other one ten times that"
        groups = made.fabric.cgroups("left")
        if not groups:
            pytest.skip("control groups cannot be written here")
        inside = {int(p) for g in groups for p in (g / "cgroup.procs").read_text().split()}
        assert set(processes_of(slow)) <= inside
        assert not set(processes_of(quick)) & inside
        assert made.fabric.cpu_seconds("left") is not None


def test_host_uses_no_more_than_its_share_when_it_is_busy(tmp_path: Path) -> None:
    need_namespaces()
    small = Topology({"left": Host("left", "urn:test:left", cores=0.2), "right": HOSTS.hosts["right"]}, HOSTS.links)
    with ground(tmp_path, "namespaces", topology=small) as made:
        groups = made.fabric.cgroups("left")
        if not groups:
            pytest.skip("control groups cannot be written here")
        enter = "; ".join(f"echo $$ > {g}/cgroup.procs" for g in groups)
        hogs = [subprocess.Popen(["/bin/sh", "-c", f"{enter}; while :; do :; done"]) for _ in range(2)]

        def figure(name: str) -> int:
            for line in "\n".join(
                (g / "cpu.stat").read_text() for g in groups if (g / "cpu.stat").exists()
            ).splitlines():
                if line.startswith(f"{name} "):
                    return int(line.split()[1])
            return 0

        eventually(lambda: figure("nr_throttled") >= 10, "it is held back")
        # each period of 25 ms lets it have 5 ms; nr_periods counts the periods in which it wanted any
        used, periods = made.fabric.cpu_seconds("left"), figure("nr_periods")
        for hog in hogs:
            hog.kill()
            hog.wait()
        assert used is not None
        assert used <= (periods + 2) * 0.005 * 1.5 + 0.05


def test_hosts_reach_each_other_and_not_the_machine(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces", box="process") as made:
        driver, unit = made.make(), made.unit()
        end = driver.start(made.workload(unit, "left")).endpoint
        eventually(lambda: made.answers(end), "control reaches it")
        code = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
        ask = [sys.executable, "-I", "-c", code, f"{end}/healthz"]
        assert subprocess.run([*made.fabric.enter("right"), *ask], capture_output=True, check=False).returncode == 0
        assert subprocess.run(ask, capture_output=True, check=False, timeout=60).returncode != 0, "the machine does not"
        links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
        assert "br0" not in links
        made.fabric.power("left", False)
        assert not made.answers(end)
        with pytest.raises(NotAvailableError, match="does not answer"):
            driver.start(made.workload(made.unit(), "left"))


def test_degraded_line_is_slow_and_whole_again_when_repaired(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces", box="process") as made:
        driver, unit = made.make(), made.unit()
        end = driver.start(made.workload(unit, "right")).endpoint
        eventually(lambda: made.answers(end), "it answers")
        made.fabric.degrade("right", 0.02, 0.1)
        rules = subprocess.run(
            [*made.fabric.enter("right"), "nft", "list", "ruleset"], capture_output=True, text=True, check=True
        )
        assert rules.stdout.count("drop") == 2
        assert rate(made, end, 60_000) < 1e6, "a fiftieth of 20 MB a second, and every tenth packet lost"
        made.fabric.repair("right")
        made.fabric.repair("right")
        assert rate(made, end, 600_000) > 2.5e6


def test_nothing_is_left_when_the_fabric_is_down(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces") as made:
        driver, unit = made.make(), made.unit()
        driver.start(made.workload(unit))
        agents = Agents(made.fabric, tmp_path / "run", made.mark)
        agents.ensure()
        assert any("namespace" in x for x in made.fabric.left())
        assert made.fabric.down() == []
        assert list(made.fabric.left()) == []
        assert processes_of(unit) == []
        assert not [n for n in os.listdir("/run/netns") if made.mark in n]


BRINGS_UP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from orchestration_harness import HOSTS, Ground
from engine.orchestration.emulation import home_mark, open_fabric
home = Path(sys.argv[1])
fabric = open_fabric(home / "run", home_mark(home), sys.argv[3])
fabric.up(HOSTS)
ground = Ground(home, fabric, "process")
ground.make().start(ground.workload(sys.argv[4]))
print("up", flush=True)
import time; time.sleep(600)
"""


@pytest.mark.parametrize("mode", ["namespaces", "plain"])
def test_fabric_is_adopted_when_its_maker_was_killed(tmp_path: Path, mode: str) -> None:
    if mode == "namespaces":
        need_namespaces()
    unit = f"web-{os.getpid()}-adopted-{mode}"
    (tmp_path / "run").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", BRINGS_UP, str(tmp_path), str(Path(__file__).parent), mode, unit],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        fabric = open_fabric(tmp_path / "run", home_mark(tmp_path), mode)
        assert fabric.left()
        assert fabric.up(HOSTS), "the same hosts are there: they are used again"
        made = Ground(tmp_path, fabric, "process")
        driver = made.make()
        eventually(lambda: [r for r in driver.observe() if made.answers(r.endpoint)], "it runs and answers")
        assert made.journal(unit) == 1
        changed = Topology({"left": HOSTS.hosts["left"]}, HOSTS.links)
        assert not fabric.up(changed), "other hosts: the old ones are taken away first"
        assert processes_of(unit) == []
        made.close()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        sweep(tmp_path)


def test_half_built_fabric_is_built_anew(tmp_path: Path) -> None:
    need_namespaces()
    fabric = Namespaces(tmp_path / "run", home_mark(tmp_path))
    try:
        fabric.up(HOSTS)
        subprocess.run(["ip", "netns", "del", fabric.namespace("h-left")], check=True)
        assert not Namespaces(tmp_path / "run", home_mark(tmp_path)).up(HOSTS)
        assert len([n for n in os.listdir("/run/netns") if fabric.mark in n]) == 4
    finally:
        sweep(tmp_path)


def test_faults_of_a_killed_run_are_gone_when_its_fabric_is_adopted(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces", box="process") as made:
        made.fabric.degrade("right", 0.02, 0.1)
        made.fabric.power("left", False)
        later = open_fabric(tmp_path / "run", made.mark)
        assert later.up(HOSTS)
        assert later.powered("left")
        rules = subprocess.run(
            [*later.enter("right"), "nft", "list", "ruleset"], capture_output=True, text=True, check=True
        )
        assert "drop" not in rules.stdout


def test_agents_measure_the_ways_between_hosts(tmp_path: Path) -> None:
    need_namespaces()
    with ground(tmp_path, "namespaces") as made:
        agents = Agents(made.fabric, tmp_path / "run", made.mark)
        if agents.limits():
            pytest.skip(str(agents.limits()[0]))
        agents.ensure()
        agents.ensure()
        url = agents.urls()["left"]
        eventually(lambda: made.answers(url), "the agent answers")
        code = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=5).read().decode())"

        def told() -> str:
            argv = made.fabric.in_control([sys.executable, "-I", "-c", code, f"{url}/metrics"])
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

        text = eventually(lambda: t if 'dappops_probe_seconds{peer="right"}' in (t := told()) else "", "it has probed")
        assert "dappops_host_cpu_cores" in text
        later = Agents(made.fabric, tmp_path / "run", made.mark)
        later.ensure()
        assert later.urls() == agents.urls()


# -- plain, and choosing ---------------------------------------------------------------------------------------------
def test_mode_says_why_when_it_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="namespace"):
        open_fabric(tmp_path, "mark", "namespace")
    plain = open_fabric(tmp_path, "mark", "plain")
    assert plain.mode == "plain"
    assert all("asked for" in limit.reason for limit in plain.limits())


def test_namespaces_are_refused_with_the_reason_when_not_root(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else to try")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from engine.errors import NotAvailableError\n"
        "from engine.orchestration.emulation import open_fabric\n"
        "os.setuid(65534)\n"
        "print(open_fabric(Path(sys.argv[1]), 'mark').limits()[0])\n"
        "try: open_fabric(Path(sys.argv[1]), 'mark', 'namespaces')\n"
        "except NotAvailableError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    if "Permission denied" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user cannot read this checkout")
    assert done.stdout.count("not root") == 2, done.stdout + done.stderr


def test_plain_host_cannot_be_degraded(tmp_path: Path) -> None:
    with ground(tmp_path, "plain") as made, pytest.raises(NotAvailableError, match="it has none"):
        made.fabric.degrade("left", 0.1, 0.1)


def test_hosts_of_two_homes_do_not_meet(tmp_path: Path) -> None:
    need_namespaces()
    with (
        ground(tmp_path / "one", "namespaces", box="process") as one,
        ground(tmp_path / "two", "namespaces", box="process") as two,
    ):
        unit = one.unit()
        end = one.make().start(one.workload(unit)).endpoint
        eventually(lambda: one.answers(end), "its own control reaches it")
        assert not two.answers(end), "the same address, another network"
        assert list(two.make().observe()) == []
        two.fabric.down()
        assert one.answers(end)


def test_unbounded_host_is_up_without_bounds(tmp_path: Path) -> None:
    need_namespaces()
    free = Topology({"left": replace(HOSTS.hosts["left"], cores=None, memory=None)}, ())
    with ground(tmp_path, "namespaces", topology=free) as made:
        driver, unit = made.make(), made.unit()
        end = driver.start(made.workload(unit)).endpoint
        eventually(lambda: made.answers(end), "it answers")
