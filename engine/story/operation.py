"""Steps 8 and 10: the plan becomes processes on emulated hosts; something breaks, is understood, cured and remembered."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.accelerators import broker
from engine.errors import DappopsError
from engine.ledger import naming
from engine.ledger.chains import managing
from engine.ledger.home import Connected
from engine.orchestration import deployments, faults
from engine.orchestration.deployments import tail
from engine.orchestration.named import Named
from engine.orchestration.operate import Attempt, Operator, Resolved
from engine.orchestration.operate import Settings as Watching
from engine.orchestration.runtime import Pass, Runtime
from engine.orchestration.telemetry import TelemetryStore
from engine.story import settling
from engine.story.agreeing import DOMAIN, MAIN, host_name
from engine.story.functions import TENANTS, start_broker
from engine.story.live import VIEWERS as PLAYER
from engine.story.live import Following, Load
from engine.story.stage import Settings, Stage, Told

READY = 120.0  # seconds for all units to answer
RECORDS = {"plan-provider-record", "plan-reputation"}
"""Rules of the plan that read how a provider did."""


@dataclass
class Live:
    """What runs from step 8 on."""

    runtime: Runtime
    load: Load
    name: Named | None = None
    injected: list[faults.Injection] = field(default_factory=list)

    def close(self, *, keep: bool) -> list[str]:
        """End the load and what was injected; unless `keep`, everything. What would not go, in words."""
        self.load.stop()
        for injection in self.injected:
            with suppress(DappopsError):
                injection.undo()
        if keep:
            self.runtime.close()
            return []
        try:
            return self.runtime.down()
        finally:
            self.runtime.close()


def provision(stage: Stage) -> tuple[Told, Live]:
    """Step 8: deployments from the plan; hosts, driver and reconcile loop bring them up; the front end serves."""
    told = Told()
    if stage.home is not None:
        start_broker(stage)
    sockets = {}
    handle = broker.find(stage.home) if stage.home is not None else None
    if handle is not None:
        sockets = {tenant: Path(handle.grant(tenant)) for tenant in TENANTS}
    made = deployments.deploy(stage.kb, stage.application, plan=stage.left[4]["decision"])
    for problem in made["problems"]:
        told.say(f"  {tail(problem['unit'])}: {problem['reason']}")
    runtime = Runtime(stage.kb, stage.settings.mode, broker=sockets or None)
    live = Live(runtime, Load(runtime, stage.settings))
    try:
        runtime.up()
        about = runtime.describe()
        told.say(
            f"hosts in mode {about['mode']}, units in boxes {', '.join(about['boxes'])}"
            + ("; found running from an earlier run and adopted" if about["adopted"] else "")
        )
        for limit in about["notAvailable"]:
            told.lacks(f"{limit['what']}: {limit['reason']}" + (f" ({limit['remedy']})" if limit["remedy"] else ""))
        started = time.monotonic()
        passes: list[Pass] = []

        def hear(done: Pass) -> None:
            passes.append(done)
            running = sum(done.state(w.workload.deployment) == "Running" for w in done.wanted)
            stage.progress("units answer", running, len(done.wanted))

        last = runtime.run(lambda done: done.settled and done.ready, READY, hear)
        seconds = time.monotonic() - started
        told.say(f"{len(last.wanted)} units answer after {seconds:.1f} s and {len(passes)} passes of the loop:")
        for wanted in last.wanted:
            work = wanted.workload
            told.say(f"  {work.unit:<20} on {work.host:<12} {last.state(work.deployment)}")
        serving = _serves(live, stage.settings)
        told.lines += serving["lines"]
        names = _name(stage, live, told)
    except BaseException:
        live.close(keep=False)
        raise
    told.data = {
        "mode": about["mode"], "adopted": about["adopted"], "boxes": about["boxes"], "seconds": round(seconds, 2),
        "deployments": made["deployments"], "problems": made["problems"], "serving": serving["data"], "names": names,
    }  # fmt: skip
    return told, live


def _name(stage: Stage, live: Live, told: Told) -> dict[str, Any]:
    """Names on the main ledger: the application's follows its front end, each host's leads to its agent."""

    def connect() -> Connected:
        return managing.connect(stage.kb, MAIN)

    live.name = Named(stage.kb, DOMAIN, PLAYER, connect, application=stage.application)
    live.runtime.followers.append(live.name)
    live.runtime.reconcile_once()
    urls = live.runtime.agents.urls()
    with connect() as connected:
        for host, url in sorted(urls.items()):
            name, me = host_name(host), stage.kb.author
            if naming.record(connected, name).free:
                naming.register(connected, me, name, endpoints=[url])
            else:
                naming.move(connected, me, name, [url])
    where = _resolved(stage)
    told.say(f"{DOMAIN} resolves to {where}; {len(urls)} names of hosts registered beside it")
    return {"name": DOMAIN, "resolvesTo": where, "hosts": sorted(host_name(h) for h in urls)}


def _resolved(stage: Stage) -> str:
    with managing.connect(stage.kb, MAIN) as connected:
        return ", ".join(naming.resolve(connected, DOMAIN).endpoints)


def _serves(live: Live, settings: Settings) -> dict[str, Any]:
    """Apply load until pictures come out at the other end, or say that none did."""
    live.load.ensure()
    deadline = time.monotonic() + 30.0
    seen: dict[str, Any] = {}
    while time.monotonic() < deadline:
        live.runtime.reconcile_once()
        lines = list(live.load.lines)
        seen = next((x for x in reversed(lines) if x.get("viewers", {}).get("ok")), {})
        if len(lines) >= 4 and seen:
            break
        time.sleep(0.2)
    if not seen:
        return {"lines": ["the front end served no picture within 30 s"], "data": None}
    phones, viewers = seen["phones"], seen["viewers"]
    text = (
        f"load: {settings.cameras} phones, {phones['ok']} pictures taken and {viewers['ok']} served in one second, "
        f"95th percentile {(viewers.get('p95_ms') or 0):.0f} ms at the viewers"
    )
    return {"lines": [text], "data": seen}


def operate(stage: Stage, live: Live) -> Told:
    """Step 10: learn what is usual, break something that no reasoner is told of, watch the loop cure it, plan anew."""
    told, runtime, settings = Told(), live.runtime, stage.settings
    path = stage.home / "telemetry.sqlite" if stage.home is not None else ":memory:"
    source = Following(runtime, live.load)
    watching = Watching(horizon=settings.recovery, seed=settings.seed)
    happened: list[tuple[str, dict[str, Any]]] = []
    store = TelemetryStore(path)
    operator = Operator(
        stage.kb, source, store, settings=watching, application=stage.application, clock=time.time,
        say=lambda what, data: happened.append((what, data)),
    )  # fmt: skip
    try:
        with runtime.looping():
            candidates = runtime.fault_candidates()
            for kind, reason in runtime.describe()["faults"]["notAvailable"].items():
                told.lacks(f"fault {kind}: {reason}")
            fault = faults.draw(settings.seed, candidates)
            stage.progress("agree on the next period", 0, None)
            period = settling.NextPeriod(
                stage,
                live.load,
                start=settings.witnesses_ready + settings.learn,
                seconds=round(fault.delay + settings.afterwards),
            )
            told.say(
                f"the next period of {len(period.agreements)} agreements is signed and opened; witnesses wait for it"
            )
            stage.progress("learn what is usual", 0, None)
            baselines = operator.learn(settings.learn)
            told.say(f"learned {len(baselines)} baselines in {settings.learn:.0f} s of load")
            trouble = _Trouble(live, fault)
            stage.progress("watch", 0, None)
            try:
                incident = operator.watch(settings.patience + fault.delay)
                resolved = operator.resolve(incident) if incident is not None else None
            finally:
                trouble.cancel()
            report = _report(told, live, trouble, incident, resolved)
            told.say("the period in which it broke, and which ends before it is repaired:")
            report["settled"] = period.finish(told)
            for injection in live.injected:
                injection.undo()
            report["replan"] = _replan(stage, told, live, resolved)
            report["name"] = _resolved(stage)
            moves = live.name.moves if live.name is not None else 0
            told.say(f"{DOMAIN} resolves to {report['name']}" + (f", moved {moves} times" if moves else ""))
    finally:
        source.close()
        store.close()
    told.data = report
    return told


class _Trouble:
    """A fault on its way; the truth stays here until the diagnosis has been made."""

    def __init__(self, live: Live, fault: faults.Fault) -> None:
        self.fault, self.live = fault, live
        self.at: float | None = None
        self.detail, self.error = "", ""
        self._timer = threading.Timer(fault.delay, self._happen)
        self._timer.daemon = True
        self._timer.start()

    def _happen(self) -> None:
        try:
            self.at = time.time()
            injection = self.live.runtime.inject(self.fault.kind, self.fault.target)
            self.live.injected.append(injection)
            self.detail = injection.detail
        except DappopsError as error:
            self.error = str(error)

    def cancel(self) -> None:
        """Let nothing more happen."""
        self._timer.cancel()
        self._timer.join(timeout=30)


def _same(live: Live, truth: faults.Fault, suspect: str, kind: str) -> bool:
    """Whether a hypothesis names what was broken; a host's only line stands for the host's end of it."""
    if tail(kind) != truth.kind:
        return False
    line = live.runtime.fabric.topology.line(suspect)
    return suspect == truth.target or (truth.kind == "LinkDegradation" and line == tail(truth.target))


def _report(
    told: Told, live: Live, trouble: _Trouble, incident: dict[str, Any] | None, resolved: Resolved | None
) -> dict[str, Any]:
    fault = trouble.fault
    report: dict[str, Any] = {
        "fault": {"kind": fault.kind, "target": fault.target, "detail": trouble.detail, "error": trouble.error},
        "incident": incident, "detectionSeconds": None, "rootCauseRight": None, "recovered": False,
        "recoverySeconds": None, "attempts": [],
    }  # fmt: skip
    if trouble.error:
        told.say(f"the fault could not be made: {trouble.error}")
    if incident is None or resolved is None:
        told.say("nothing unusual was seen in time")
        told.say(f"(what had been broken: {trouble.detail})")
        return report
    if trouble.at is not None:
        report["detectionSeconds"] = round(incident["detected"] - trouble.at, 1)
    told.say(f"incident with {incident['anomalies']} anomalies; who could it be:")
    for guess in incident["hypotheses"][:3]:
        told.say(
            f"  {guess['rank']}. {tail(guess['kind'])} of {tail(guess['suspect'])}, confidence {guess['confidence']:.2f}"
        )
    for number, attempt in enumerate(resolved.attempts, 1):
        _tell_attempt(told, number, attempt)
        report["attempts"].append(
            {
                "decision": attempt.decision,
                "recovered": attempt.recovered,
                "recoveryTime": attempt.recovery_time,
                "scored": attempt.scored,
                "error": attempt.error,
            }
        )
    best = incident["hypotheses"][0] if incident["hypotheses"] else None
    right = best is not None and _same(live, fault, best["suspect"], best["kind"])
    report |= {
        "rootCauseRight": right, "recovered": resolved.recovered, "reason": resolved.reason,
        "attributedTo": resolved.attributed_to,
        "recoverySeconds": resolved.attempts[-1].recovery_time if resolved.recovered else None,
    }  # fmt: skip
    told.say(f"recovered: {'yes' if resolved.recovered else 'no, ' + resolved.reason}")
    told.say(
        f"now told: {trouble.detail}; root cause {'right' if right else 'wrong'}, detected after {report['detectionSeconds']} s"
    )
    return report


def _tell_attempt(told: Told, number: int, attempt: Attempt) -> None:
    decision = attempt.decision
    actions, network = decision["actions"], decision["network"]
    stopped = [a for a in actions if not a["eligible"]]
    by_shape = [a for a in actions if a["violations"]]
    told.say(
        f"decision {number}: a Boolean network of {len(network)} variables; {len(actions)} actions looked at, "
        f"{len(stopped)} not eligible, {len(by_shape)} of these stopped by SHACL"
    )
    for action in by_shape[:2]:
        told.say(f"  no: {action['label']}: {action['violations'][0]['message']}")
    for action in [a for a in actions if a["eligible"]][:4]:
        mark = "->" if decision["chosen"] and action["action"] == decision["chosen"]["action"] else "  "
        told.say(
            f"  {mark} {action['label']}: recovers with probability {action['probability']:.2f}, expected after "
            f"{action['expectedRecoveryTime']:.1f} s, interrupts {action['blastRadius']}"
        )
    if attempt.error:
        told.say(f"  could not be carried out: {attempt.error}")
    elif attempt.recovered:
        told.say(
            f"  carried out; recovered after {attempt.recovery_time:.1f} s, Brier score {attempt.scored['brier']:.3f}"
        )
    else:
        told.say(f"  carried out; did not help within its horizon, Brier score {attempt.scored['brier']:.3f}")


def _against(stage: Stage, decision: str) -> list[str]:
    """Which of the rules that read providers' records rejected offers in a decision."""
    told = stage.kb.call("why", decision=decision)
    rejected = {tail(rule["iri"]) for u in told["units"] for r in u["rejections"] for rule in r["rules"] if rule}
    return sorted(rejected & RECORDS)


def _replan(stage: Stage, told: Told, live: Live, resolved: Resolved | None) -> dict[str, Any] | None:
    """A new plan, now that the record has changed; carried out."""
    if resolved is None:
        return None
    made = stage.kb.call("plan", application=stage.application, author=stage.kb.author, seed=stage.settings.seed)
    blamed = sorted(set(resolved.attributed_to))
    providers = sorted({p["provider"] for p in made["placements"]})
    report = {
        "decision": made["decision"],
        "providers": providers,
        "avoided": [tail(b) for b in blamed],
        "placements": made["placements"],
    }
    if not made["placements"]:
        told.say("no new plan fits; see `dappops why`")
        return report
    deployments.deploy(stage.kb, stage.application)
    live.runtime.run(lambda done: done.settled and done.ready, READY)
    why = "nobody's record speaks against them"
    if blamed:
        why = f"avoids {', '.join(tail(b) for b in blamed)}, by {' and '.join(_against(stage, made['decision'])) or 'chance'}"
    told.say(f"planned anew on {', '.join(providers)}: {why}")
    return report


__all__ = ["Live", "operate", "provision"]
