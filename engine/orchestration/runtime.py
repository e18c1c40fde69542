"""Everything that makes an application run here, as one object: hosts, driver, agents, the reconcile loop, faults.

    with Runtime(kb).up() as runtime:
        runtime.run(lambda done: done.settled)

What runs goes on when the object is closed or its process dies; the next `up` finds and adopts it. `down` ends it all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError, DappopsError, InputError, NotAvailableError
from engine.graph.wire import decode_term
from engine.orchestration import programs
from engine.orchestration.agents import Agents
from engine.orchestration.deployments import (
    GRAPH,
    Deployed,
    Row,
    deployed_of,
    programs_folder,
    tail,
    topology_of,
)
from engine.orchestration.driver import Phase, Running, Workload
from engine.orchestration.emulation import Fabric, Namespaces, Plain, home_mark, open_fabric
from engine.orchestration.emulation.fabric import Notebook, kill_marked
from engine.orchestration.emulation.topology import Topology
from engine.orchestration.faults import Injection, Injector
from engine.orchestration.health import Prober
from engine.orchestration.local import GRACE, Local
from engine.orchestration.publish import Publisher, seconds_of
from engine.orchestration.reconcile import (
    START_TIMEOUT,
    Happened,
    Seen,
    Start,
    Step,
    Stop,
    Wanted,
    account,
    difference,
    with_logs,
)

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

QUICK, CALM = 0.25, 1.0  # seconds between passes while something starts, and otherwise


@dataclass(frozen=True, slots=True)
class Pass:
    """One turn of the loop: what was done, and how everything is."""

    steps: tuple[Step, ...]
    happened: tuple[Happened, ...]
    seen: Mapping[str, Seen]  # IRI of deployments and hosts
    wanted: tuple[Wanted, ...]

    def state(self, iri: str) -> str:
        """Name of the state of a deployment or host."""
        return self.seen[iri].state if iri in self.seen else ""

    @property
    def ready(self) -> bool:
        """Whether everything that should run answers, and nothing else runs."""
        return all(self.state(w.workload.deployment) == ("Running" if w.run else "Stopped") for w in self.wanted)

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way: each is as it should be, failed or lost."""
        good = ("Running", "Failed", "Lost", "Degraded", "Stopped")
        return not self.steps and all(self.state(w.workload.deployment) in good for w in self.wanted)


class Runtime:
    """See the module. `mode`: auto, namespaces or plain; `box`: auto or process; `programs`: where entry points are.

    `broker`: the function broker's socket, or one per unit. For several threads.
    """

    def __init__(
        self, kb: KnowledgeBase, mode: str = "auto", *, programs: Path | None = None, box: str = "auto",
        broker: Path | Mapping[str, Path] | None = None, start_timeout: float = START_TIMEOUT, agents: bool = True,
    ) -> None:  # fmt: skip
        self.kb, self._mode, self.programs, self.start_timeout = kb, mode, programs or programs_folder(), start_timeout
        self._own = None if kb.home is not None else tempfile.mkdtemp(prefix="dappops-")
        self.home = Path(kb.home if kb.home is not None else str(self._own))
        self.run_folder, self.mark = self.home / "run", home_mark(self.home)
        self._box, self._broker, self._with_agents = box, broker, agents
        self.adopted = False
        self._fabric: Fabric | None = None
        self._lock, self._flock = threading.RLock(), -1
        self._stop, self._thread = threading.Event(), None  # type: tuple[threading.Event, threading.Thread | None]
        self._seen: dict[str, Seen] = {}
        self._problem: DappopsError | None = None
        self.last: Pass | None = None
        self.followers: list[Callable[[Mapping[str, Sequence[str]]], None]] = []
        """Hear in every pass where each unit answers ({unit: [URL, ...]}); what they raise is kept in `follower_problem`."""
        self.follower_problem: DappopsError | None = None

    # -- life -------------------------------------------------------------------------------------------------------
    def up(self, *, fresh: bool = False) -> Runtime:
        """Bring hosts, agents and driver up; adopt what an earlier run left, unless `fresh`.

        BusyError when another process runs this home's loop; InputError when no host is described;
        NotAvailableError when the mode that was asked for cannot be had.
        """
        with self._lock:
            self._take()
            try:
                topology = self._topology()
                self._fabric = open_fabric(self.run_folder, self.mark, self._mode)
                before = Notebook(self.run_folder / "fabric.json").read().get("mode")
                if fresh or before not in (None, self._fabric.mode):
                    self._clear()
                kill_marked(self.mark, kind="hog")
                self.adopted = self._fabric.up(topology)
                if not self.adopted:
                    shutil.rmtree(self.run_folder / "units", ignore_errors=True)
                self.driver = Local(self._fabric, self.home, self.mark, box=self._box, broker=self._broker)
                self.agents = Agents(self._fabric, self.run_folder, self.mark)
                if self._with_agents:
                    self.agents.ensure()
                self.prober, self.publisher = Prober(self._fabric), Publisher(self.kb)
                self._remember()
            except BaseException:
                self._release()
                raise
        return self

    def _take(self) -> None:
        """One loop for a home at any time; the lock goes with the process, however that ends."""
        self.run_folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.run_folder / "runtime.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
            os.close(handle)
            raise BusyError(
                f"process {holder or 'unknown'} already keeps this knowledge base's deployments", place=str(self.run_folder),
                remedy="commit what should change, it will carry it out; or end it first",
            ) from error  # fmt: skip
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._flock = handle

    def _release(self) -> None:
        if self._flock >= 0:
            os.close(self._flock)
            self._flock = -1

    def _topology(self) -> Topology:
        found = topology_of(self._rows("deploy-hosts"), self._rows("deploy-links"))
        if not found.hosts:
            raise InputError(
                "no emulated host that a driver reaches is described", place=str(self.home),
                remedy="commit one, e.g. `dappops commit examples/hosts.yaml --graph hosts`",
            )  # fmt: skip
        return found

    def _rows(self, view: str, **bindings: str) -> list[Row]:
        answer = self.kb.call("view", name=view, bindings=bindings)
        return [
            {name: decode_term(term) for name, term in zip(answer["variables"], row, strict=True) if term is not None}
            for row in answer["rows"]
        ]

    def _remember(self) -> None:
        """Begin with what the graph says was seen, as far as it is about what runs now."""
        running = {r.deployment: r for r in self.driver.observe()}
        for deployed in self._deployed():
            now = running.get(deployed.iri)
            if (
                deployed.state
                and now is not None
                and (now.host, now.generation) == (tail(deployed.host), deployed.generation)
            ):
                since = seconds_of(deployed.since)
                self._seen[deployed.iri] = Seen(deployed.state, deployed.generation, now.host, since, since)
        for row in self._rows("deploy-host-states"):
            if "state" in row:
                state, since = tail(str(decode_value(row, "state"))), seconds_of(decode_value(row, "since"))
                self._seen[decode_value(row, "host")] = Seen(state, since=since)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go; what runs goes on and will be found again."""
        self.stop()
        with self._lock:
            if self._fabric is not None:
                self.prober.close()
                self.driver.close()
                self._fabric = None
            self._release()
            if self._own:
                shutil.rmtree(self._own, ignore_errors=True)

    def down(self) -> list[str]:
        """End everything of this home and take the hosts away; what would not go, in words (empty: nothing is left)."""
        self.stop()
        with self._lock:
            if self._flock < 0:
                self._take()
            if self._fabric is not None:
                self.prober.close()
                self.driver.close()
            kill_marked(self.mark, kind="unit", grace=GRACE)
            stuck = self._clear()
            Publisher(self.kb).withdraw("hosts taken down: nothing is watched any more")
            self._seen, self.last = {}, None
            self._fabric = None
            self._release()
            return stuck

    def _clear(self) -> list[str]:
        """Both kinds of fabric, since an earlier run may have had the other one; and every file but the lock."""
        stuck = [*Plain(self.run_folder, self.mark).down()]
        if os.geteuid() == 0:
            stuck += Namespaces(self.run_folder, self.mark).down()
        for name in ("units", "hosts", "agents", "peers", "hogs"):
            shutil.rmtree(self.run_folder / name, ignore_errors=True)
        return stuck

    def leftovers(self) -> list[str]:
        """What of this home is there now (namespaces, control groups, processes), in words; needs no `up`."""
        found = list(Plain(self.run_folder, self.mark).left())
        if os.geteuid() == 0:
            found = list(Namespaces(self.run_folder, self.mark).left())
        return found

    @property
    def fabric(self) -> Fabric:
        """The hosts; NotAvailableError before `up`."""
        if self._fabric is None:
            raise NotAvailableError("the hosts are not up", remedy="call `up()` first")
        return self._fabric

    # -- the loop ---------------------------------------------------------------------------------------------------
    def _deployed(self) -> list[Deployed]:
        graph = self.kb.graph_iri(GRAPH)
        return [d for d in deployed_of(self._rows("deploy-status")) if d.iri.startswith(f"{graph}/")]

    def _wanted(self, deployed: Deployed) -> Wanted:
        try:
            program = str(programs.find(self.programs, deployed.entry)) if deployed.entry else ""
        except InputError:
            program = str(self.programs / deployed.entry)  # the driver says what is wrong with it
        workload = Workload(
            deployed.iri, deployed.name, tail(deployed.host), deployed.generation, program, deployed.digest
        )
        return Wanted(workload, deployed.desired == "Running")

    def reconcile_once(self, *, publish_now: bool = False) -> Pass:
        """One pass: read what is wanted, look, take the steps, ask who answers, commit what changed."""
        with self._lock:
            if self._fabric is None:
                raise NotAvailableError("the hosts are not up", remedy="call `up()` first")
            wanted = [self._wanted(d) for d in self._deployed()]
            observed: Sequence[Running] = self.driver.observe()
            steps = difference(wanted, observed)
            started = time.time()
            failed = self._carry_out(steps)
            if steps:
                observed = self.driver.observe()
            self._tell_peers(wanted, observed)
            if self._with_agents:
                self.agents.ensure()
            answers, hosts = self._ask(observed)
            now = time.time()
            found = account(
                wanted, observed, answers, hosts, self._seen, now, failed=failed, start_timeout=self.start_timeout,
                started=started,
            )  # fmt: skip
            logs = {w.workload.deployment: self.driver.log_tail(w.workload.unit) for w in wanted}
            happened = (
                with_logs(found.happened, logs) if any(h.kind == "failed" for h in found.happened) else found.happened
            )
            self._seen = dict(found.seen)
            self.publisher.publish(found.seen, happened, time.monotonic(), now=publish_now)
            self.last = Pass(tuple(steps), tuple(happened), found.seen, tuple(wanted))
            return self.last

    def _carry_out(self, steps: Sequence[Step]) -> dict[str, str]:
        """deployment -> why its start did not succeed."""
        failed = {}
        stops = [s.deployment for s in steps if isinstance(s, Stop)]
        if stops:  # each may take its time to end in order
            with ThreadPoolExecutor(len(stops)) as pool:
                list(pool.map(self.driver.stop, stops))
        for step in steps:
            if isinstance(step, Start):
                try:
                    self.driver.start(step.workload)
                except DappopsError as error:
                    failed[step.workload.deployment] = str(error)
        return failed

    def _tell_peers(self, wanted: Sequence[Wanted], observed: Sequence[Running]) -> None:
        run = {w.workload.deployment for w in wanted if w.run}
        peers = {
            r.unit: [r.endpoint] for r in observed if r.deployment in run and r.endpoint and r.phase is not Phase.ENDED
        }  # fmt: skip
        note = Notebook(self.driver.peers)
        if note.read() != peers or not note.path.exists():
            note.write(peers)
        for follow in self.followers:
            try:
                follow(peers)
            except DappopsError as error:  # a chain that is away must not stop what keeps the units running
                self.follower_problem = error
            else:
                self.follower_problem = None

    def _ask(
        self, observed: Sequence[Running]
    ) -> tuple[dict[str, tuple[bool, str]], dict[str, tuple[str, bool | None]]]:
        hosts = self.fabric.topology.hosts
        agents = self.agents.urls() if self._with_agents else {}
        asked = {r.deployment: f"{r.endpoint}/healthz" for r in observed if r.phase is Phase.ALIVE and r.endpoint}
        told = self.prober.ask(asked | {hosts[h].iri: f"{url}/healthz" for h, url in agents.items() if h in hosts})
        answers = {iri: (told[iri].well, told[iri].problem) for iri in asked if iri in told}
        about = {name: (host.iri, told[host.iri].well if host.iri in told else None) for name, host in hosts.items()}
        return answers, about

    def run(
        self,
        until: Callable[[Pass], bool],
        timeout: float | None = None,
        told: Callable[[Pass], None] = lambda done: None,
    ) -> Pass:
        """Pass after pass until `until` says so, or BusyError after `timeout` seconds; `told` hears of each.

        With a loop in the background (`start`), waits for its passes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            done = self.reconcile_once()
            told(done)
            if until(done):
                return self.reconcile_once(publish_now=True) if done.happened else done
            if deadline is not None and time.monotonic() > deadline:
                waiting = sorted(w.workload.unit for w in done.wanted if done.state(w.workload.deployment) != "Running")
                raise BusyError(
                    f"not so after {timeout:g} s; not running: {', '.join(waiting) or 'nothing'}", place=str(self.home),
                    remedy="see `dappops events`, and wait longer",
                )  # fmt: skip
            self._stop.wait(CALM if done.settled else QUICK)

    def start(self) -> None:
        """Run the loop in a thread of its own until `stop`; what goes wrong there ends it and is raised by `stop`."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._background, daemon=True, name="reconcile")
        self._thread.start()

    def _background(self) -> None:
        while not self._stop.is_set():
            try:
                done = self.reconcile_once()
            except BusyError:
                self._stop.wait(CALM)
                continue
            except DappopsError as error:
                self._problem = error
                return
            self._stop.wait(CALM if done.settled else QUICK)

    def stop(self) -> None:
        """End the loop in the background; raises what ended it before."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=30)
            self._thread = None
        self._stop.clear()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    @contextlib.contextmanager
    def looping(self) -> Iterator[Runtime]:
        """The loop in the background for a `with` block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    # -- for others -------------------------------------------------------------------------------------------------
    def in_control(self, argv: Sequence[str]) -> list[str]:
        """A command so that it runs where it reaches every host: for scraper and load generator."""
        return self.fabric.in_control(argv)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What `in_control` puts before a command."""
        return tuple(self.fabric.in_control([]))

    def endpoints(self) -> dict[str, str]:
        """Unit -> URL at which it answers, or will."""
        return {r.unit: r.endpoint for r in self.driver.observe() if r.endpoint}

    def targets(self) -> dict[str, str]:
        """Feature (IRI of a deployment or host) -> URL of its exposition. Changes when something moves."""
        found = {r.deployment: f"{r.endpoint}/metrics" for r in self.driver.observe() if r.endpoint}
        hosts = self.fabric.topology.hosts
        return found | {hosts[h].iri: f"{url}/metrics" for h, url in self.agents.urls().items() if h in hosts}

    def _injector(self) -> Injector:
        hosts = {h.iri: name for name, h in self.fabric.topology.hosts.items()}
        return Injector(self.fabric, self.driver, hosts, lambda host: self.agents.ensure())

    def fault_candidates(self) -> dict[str, list[str]]:
        """Faults that can be injected here now, with their targets: for `faults.draw`."""
        return self._injector().candidates([d.iri for d in self._deployed() if d.desired == "Running"])

    def inject(self, kind: str, target: str) -> Injection:
        """Make something fail (see `faults`); nothing of it is written to the graph."""
        with self._lock:
            return self._injector().inject(kind, target)

    def describe(self) -> dict[str, Any]:
        """Mode, hosts as they are played, boxes, and what is not available and why."""
        fabric, check = self.fabric, self.driver.check()
        limits = [*check.limits, *(self.agents.limits() if self._with_agents else [])]
        rates = {h: fabric.topology.rate(h) for h in fabric.topology.hosts}
        return {
            "mode": fabric.mode, "adopted": self.adopted, "boxes": list(check.boxes), "home": str(self.home),
            "hosts": [
                {
                    "host": h.id, "iri": h.iri, "provider": tail(h.provider), "slots": h.slots, "cores": h.cores,
                    "memoryMB": None if h.memory is None else round(h.memory / 1e6),
                    "lineMBs": None if rates[h.id] is None else round((rates[h.id] or 0) / 1e6, 3),
                    "agent": self.agents.urls().get(h.id),
                }
                for h in fabric.topology.hosts.values()
            ],
            "notAvailable": [{"what": x.what, "reason": x.reason, "remedy": x.remedy} for x in limits],
            "faults": {"notAvailable": self._injector().limits()},
        }  # fmt: skip

    def cpu_seconds(self) -> dict[str, float]:
        """Host -> processor time used so far, where it is counted."""
        found = {h: self.fabric.cpu_seconds(h) for h in self.fabric.topology.hosts}
        return {h: used for h, used in found.items() if used is not None}


def decode_value(row: Row, name: str) -> str:
    """The text of a term in a row, "" when unbound."""
    term = row.get(name)
    return "" if term is None else str(getattr(term, "value", term))
