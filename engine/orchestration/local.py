"""The local driver: units as real processes on hosts that this machine plays.

What it knows lies in `<home>/run/units/<unit>/`: the intention (`intent.json`, written before a start), the claims of the
processes (`processes`), the log. A new instance reads them and goes on; see `docs/orchestration.md` for what a kill between
any two steps leads to.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engine.errors import DappopsError, InputError, NotAvailableError, did_you_mean
from engine.orchestration import processes, programs, sandbox
from engine.orchestration.driver import Check, Limit, Phase, Running, Workload
from engine.orchestration.emulation.fabric import AGENT_PORT, Fabric, Notebook
from engine.orchestration.processes import Mark, Process

GRACE = 3.0  # seconds between asking a unit to end and killing it
LINES = 6  # of a log, told when a unit ended
SIGNALS = {9: "killed (signal 9)", 11: "crashed (signal 11)", 15: "asked to end (signal 15)"}


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to run, or was: written before anything is started, so that a start is never forgotten."""

    deployment: str
    unit: str
    host: str
    generation: int
    token: str  # names this attempt: its claim is `claim-<token>`
    address: str
    port: int
    box: str
    boot: str  # of the machine; processes of another boot are gone
    stopped: bool = False


class Local:
    """See `Driver`. `home` is hidden from units, `run` is its folder for what runs.

    `box`: `auto` (a sandbox where there is one) or `process`; `broker`: socket of the function broker, or one per unit.
    """

    name = "local"

    def __init__(
        self,
        fabric: Fabric,
        home: Path,
        mark: str,
        *,
        box: str = "auto",
        broker: Path | Mapping[str, Path] | None = None,
    ) -> None:
        self.fabric, self.home, self.run, self.mark, self.broker = (
            fabric,
            home.resolve(),
            home.resolve() / "run",
            mark,
            broker,
        )
        self.units, self.peers = self.run / "units", self.run / "peers" / "units.json"
        self._lack = (
            sandbox.missing() if box == "auto" else "plain processes were asked for" if box == "process" else ""
        )
        self.box = "process" if self._lack else "sandbox"
        self._children: dict[tuple[str, str], subprocess.Popen[bytes]] = {}  # (unit, token): started by this instance
        self._lock = threading.Lock()  # of notes about ports and children
        self._units: dict[str, threading.RLock] = {}

    # -- Driver -----------------------------------------------------------------------------------------------------
    def check(self) -> Check:
        """See `Driver`."""
        limits = list(self.fabric.limits())
        if self._lack:
            limits.append(Limit("sandbox around units", self._lack, "install bubblewrap"))
        return Check(self.name, tuple(self.fabric.topology.hosts), (self.box,), tuple(limits))

    def observe(self) -> Sequence[Running]:
        """See `Driver`."""
        marked = processes.marked(self.mark)
        found: dict[str, Running] = {}
        for intent in self._intents():
            processes.bound(self._log(intent.unit))
            if not intent.stopped and (running := self._look(intent, marked)) is not None:
                found[intent.deployment] = running
        known = {i.unit for i in self._intents()}
        for process, mark in marked:
            if mark.kind == "unit" and mark.name not in known:  # its notes were lost: still nobody else's
                name, _, generation = mark.token.partition(":")
                deployment = f"urn:dappops:stray:{mark.name}"
                found[deployment] = Running(
                    deployment, mark.name, mark.host, int(generation) if generation.isdigit() else 0, Phase.ALIVE,
                    detail=f"nothing is noted about attempt {name}", pid=process.pid,
                )  # fmt: skip
        return [found[d] for d in sorted(found)]

    def start(self, workload: Workload) -> Running:
        """See `Driver`."""
        with self._of(workload.unit):
            known = self._intent(workload.unit)
            if known is not None and workload.generation < known.generation:
                raise InputError(
                    f"generation {workload.generation} is over: {known.generation} was started", place=workload.deployment,
                    remedy="raise the generation",
                )  # fmt: skip
            if known is not None and (known.generation, known.host) == (workload.generation, workload.host):
                if known.stopped:
                    return self._running(known, Phase.ENDED, f"generation {known.generation} was stopped: raise it")
                running = self._look(known, processes.marked(self.mark))
                if running is not None:
                    return running
                if not processes.revoke(self._claim(known)):  # a late process was quicker after all
                    return self._look(known, processes.marked(self.mark)) or self._running(known, Phase.ALIVE)
            elif known is not None:
                self._end(known)
            return self._start(workload, known)

    def stop(self, deployment: str) -> None:
        """See `Driver`."""
        unit = deployment.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        with self._of(unit):
            known = self._intent(unit)
            if known is None:
                self._kill_unit(unit, GRACE)
            elif known.deployment == deployment or deployment.startswith("urn:dappops:stray:"):
                self._end(known)
                self._note(known, stopped=True)

    def close(self) -> None:
        """See `Driver`."""
        with self._lock:
            for child in self._children.values():
                child.returncode = child.poll() if child.returncode is None else child.returncode
                if child.returncode is None:
                    child.returncode = 0  # it goes on without us: no warning when the object is collected
            self._children.clear()

    def _of(self, unit: str) -> threading.RLock:
        with self._lock:
            return self._units.setdefault(unit, threading.RLock())

    # -- beside the port --------------------------------------------------------------------------------------------
    def kill(self, deployment: str) -> list[int]:
        """Kill a deployment's processes at once, as a crash would; their ids."""
        unit = deployment.rsplit("/", 1)[-1]
        with self._of(unit):
            found = [p for p, m in processes.marked(self.mark) if m.kind == "unit" and m.name == unit]
            processes.end(found, 0)
            return [p.pid for p in found]

    def log_tail(self, unit: str, lines: int = LINES) -> str:
        """The last lines a unit wrote."""
        return processes.tail(self._log(unit), lines)

    # -- starting ---------------------------------------------------------------------------------------------------
    def _start(self, workload: Workload, before: Intent | None) -> Running:
        hosts = self.fabric.topology.hosts
        if workload.host not in hosts:
            raise InputError(
                f"no host {workload.host!r}{did_you_mean(workload.host, hosts)}", place=workload.deployment,
                remedy=f"one of {', '.join(hosts) or 'none'}",
            )  # fmt: skip
        if not self.fabric.powered(workload.host):
            raise NotAvailableError("the host does not answer", place=workload.host, remedy="choose another host")
        program = Path(workload.program)
        found = programs.digest(program)
        if workload.digest and workload.digest != found:
            raise InputError(
                "the program is not the one that was deployed", place=str(program), rule=workload.digest,
                remedy=f"it is {found} now: deploy it again, or bring the old one back",
            )  # fmt: skip
        with self._lock:
            intent = self._intend(workload, before)
        command, state = self._command(intent, program)
        given = {
            "DAPPOPS_LISTEN": f"{intent.address}:{intent.port}", "DAPPOPS_PEERS": str(self.peers),
            "DAPPOPS_STATE": str(state), "DAPPOPS_HOST": intent.host, "HOME": str(state),
        }  # fmt: skip
        if (broker := self._broker(intent.unit)) is not None:
            given["DAPPOPS_BROKER"] = str(broker)
        mark = Mark(self.mark, "unit", intent.unit, intent.host, f"{intent.token}:{intent.generation}")
        child = processes.launch(
            [*self.fabric.enter(intent.host), *command], mark, self._claim(intent),
            environment=sandbox.environment(intent.unit, **given), log=self._log(intent.unit),
            cgroups=self.fabric.cgroups(intent.host),
        )  # fmt: skip
        self._children[intent.unit, intent.token] = child
        return self._running(intent, Phase.ALIVE)

    def _intend(self, workload: Workload, before: Intent | None) -> Intent:
        """Write down what is about to be started; claims of dead processes are swept."""
        folder = self.units / workload.unit
        folder.mkdir(parents=True, exist_ok=True)
        number = int(before.token) + 1 if before is not None and before.token.isdigit() else 1
        while (folder / f"claim-{number}").exists():
            number += 1
        others = [i for i in self._intents() if i.unit != workload.unit and not i.stopped]
        taken = [i.port for i in others if i.host == workload.host or self.fabric.mode == "plain"] + [AGENT_PORT]
        same = before is not None and before.host == workload.host
        address, port = self.fabric.listen(workload.host, before.port if before is not None and same else 0, taken)
        intent = Intent(
            workload.deployment, workload.unit, workload.host, workload.generation, str(number), address, port, self.box,
            processes.boot(),
        )  # fmt: skip
        Notebook(folder / "intent.json").write(asdict(intent))
        for old in folder.glob("claim-*"):
            # a revoked one stays: the process it keeps out may still be on its way
            if isinstance(who := processes.claimed(old), Process) and not who.alive:
                old.unlink(missing_ok=True)
        return intent

    def _command(self, intent: Intent, program: Path) -> tuple[list[str], Path]:
        """The command inside the host's network, and the unit's private folder on that host."""
        state = self.run / "hosts" / intent.host / intent.unit
        state.mkdir(parents=True, exist_ok=True)
        self.peers.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(program)]
        if intent.box == "process":
            return command, state
        broker = self._broker(intent.unit)
        readable = [program.parent, self.peers.parent, *([broker] if broker else [])]
        return sandbox.argv(command, home=self.home, readable=readable, writable=[state]), state

    def _broker(self, unit: str) -> Path | None:
        return self.broker.get(unit) if isinstance(self.broker, Mapping) else self.broker

    # -- looking and ending -----------------------------------------------------------------------------------------
    def _look(self, intent: Intent, marked: Sequence[tuple[Process, Mark]]) -> Running | None:
        """How an intended process is; None when the intention was never carried out and may be again."""
        if not self.fabric.powered(intent.host):
            return self._running(intent, Phase.UNREACHABLE, "the host does not answer")
        claim = processes.claimed(self._claim(intent))
        child = self._children.get((intent.unit, intent.token))
        code = child.poll() if child is not None else None
        mine = [
            p
            for p, m in marked
            if m.kind == "unit" and m.name == intent.unit and m.token.startswith(f"{intent.token}:")
        ]
        if isinstance(claim, Process):
            if claim.alive and intent.boot == processes.boot():
                return self._running(intent, Phase.ALIVE, pid=claim.pid)
            return self._running(intent, Phase.ENDED, self._why(intent, code), pid=claim.pid)
        if code is not None:  # it did not get as far as its claim
            return self._running(intent, Phase.ENDED, self._why(intent, code))
        if mine or child is not None:
            return self._running(intent, Phase.ALIVE)
        return None

    def _why(self, intent: Intent, code: int | None) -> str:
        if intent.boot != processes.boot():
            return "the machine was started anew"
        if code is None:
            how = "ended; its exit code is not known, another process started it"
        elif code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            how = SIGNALS.get(number, f"ended by signal {number}")
        else:
            how = f"ended with exit code {code}"
        said = self.log_tail(intent.unit)
        return f"{how}; it said: {said}" if said and code not in (137, -9) else how

    def _end(self, intent: Intent) -> None:
        """End what an intention started, or keep it from starting late."""
        processes.revoke(self._claim(intent))
        claim = processes.claimed(self._claim(intent))
        found = [claim] if isinstance(claim, Process) and intent.boot == processes.boot() else []
        self._kill_unit(intent.unit, GRACE, found)
        child = self._children.pop((intent.unit, intent.token), None)
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)

    def _kill_unit(self, unit: str, grace: float, more: Sequence[Process] = ()) -> None:
        found = [*more, *(p for p, m in processes.marked(self.mark) if m.kind == "unit" and m.name == unit)]
        while found:
            processes.end(list(dict.fromkeys(found)), grace)
            grace = 0.0
            found = [p for p, m in processes.marked(self.mark) if m.kind == "unit" and m.name == unit]

    def _running(self, intent: Intent, phase: Phase, detail: str = "", pid: int = 0) -> Running:
        return Running(
            intent.deployment, intent.unit, intent.host, intent.generation, phase,
            f"http://{intent.address}:{intent.port}", intent.box, detail, pid,
        )  # fmt: skip

    # -- notes ------------------------------------------------------------------------------------------------------
    def _claim(self, intent: Intent) -> Path:
        return self.units / intent.unit / f"claim-{intent.token}"

    def _log(self, unit: str) -> Path:
        return self.units / unit / "log"

    def _note(self, intent: Intent, *, stopped: bool) -> None:
        Notebook(self.units / intent.unit / "intent.json").write({**asdict(intent), "stopped": stopped})

    def _intent(self, unit: str) -> Intent | None:
        data = Notebook(self.units / unit / "intent.json").read()
        try:
            return Intent(**{f.name: data[f.name] for f in fields(Intent)}) if data else None
        except (KeyError, TypeError) as error:
            raise DappopsError(
                f"the note about {unit} cannot be read", place=str(self.units / unit / "intent.json"),
                remedy="stop everything with `dappops deploy --stop`, or remove the file",
            ) from error  # fmt: skip

    def _intents(self) -> list[Intent]:
        found = [self._intent(p.parent.name) for p in sorted(self.units.glob("*/intent.json"))]
        return [i for i in found if i is not None]
