"""Step 9: what was agreed is measured by witnesses, voted on and settled; decisions are anchored, proven, checked by a stranger.

The stranger is a process in an empty folder that runs the stand-alone verifier on a proof file and asks a node; it has no
access to the knowledge base. Then one byte of the file is changed, and it must say no.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import BusyError, DappopsError
from engine.graph.hashing import keccak256
from engine.ledger import agreements as sla
from engine.ledger import application as contracts
from engine.ledger import home as ledgers
from engine.ledger.agreements.witnesses import Say, run_witnesses
from engine.ledger.application import merkle
from engine.ledger.chains import cosigning, managing
from engine.ledger.contracts import Contract
from engine.ledger.knowledge import folder_of
from engine.orchestration.deployments import tail
from engine.story import agreeing
from engine.story.agreeing import COUNCIL, MAIN, anchor
from engine.story.live import Load, ask
from engine.story.stage import Stage, Told

LATE = 3.0  # seconds a witness may begin after the period has


def settle(stage: Stage, load: Load) -> Told:
    """Step 9, all of it."""
    told = Told()
    told.data["digests"] = _digests(stage, told, load)
    told.data["proof"] = _proof(stage, told)
    told.data["relayed"] = _relay(stage, told)
    told.data["settled"] = first_period(stage, told, load)
    told.data["anchored"] = anchor(stage, told)
    return told


# -- what the application records ------------------------------------------------------------------------------------
def _digests(stage: Stage, told: Told, load: Load) -> dict[str, Any] | None:
    """Batches that the ledger writer sealed, into the application's contract; the writer is told where they are."""
    known = [k for k in contracts.known(stage.kb, stage.application) if k.template == "DigestLog" and k.requirements]
    writer = load.runtime.endpoints().get("ledger-writer")
    if not known or writer is None:
        told.say("digests of pictures: no contract or no writer to take them from")
        return None
    deadline = time.monotonic() + 15.0
    while (head := ask(load.runtime, "GET", f"{writer}/head")) and not head["batches"] and time.monotonic() < deadline:
        load.runtime.reconcile_once()
        time.sleep(0.5)
    ledger = tail(known[0].ledger)
    done, entries = 0, 0
    with managing.connect(stage.kb, ledger) as connected:
        contract = Contract(connected.chain, known[0].address, "DigestLog")
        for number in range(1, int(head["batches"]) + 1):
            batch = ask(load.runtime, "GET", f"{writer}/batches/{number}")
            if batch["anchored"]:
                continue
            digests = [bytes.fromhex(digest) for _, _, digest in batch["entries"]]
            root = merkle.root(digests)
            if contract.call("batchOf", root)[2] == 0:
                stream = keccak256(b"ledger-writer")
                sent = contract.send(stage.kb.author, "append", stream, root, len(digests))
                body = {"ledger": ledger, "transaction": "0x" + sent.transaction.hex(), "block": sent.block}
            else:
                body = {"ledger": ledger, "transaction": "known", "block": 0}
            ask(load.runtime, "POST", f"{writer}/anchored", {"batch": number, "hash": batch["hash"], **body})
            done, entries = done + 1, entries + len(digests)
    head = ask(load.runtime, "GET", f"{writer}/head")
    told.say(
        f"{entries} digests of pictures in {done} batches recorded by DigestLog on {ledger}; the writer says: {head['state']}"
    )
    return {"ledger": ledger, "batches": done, "digests": entries, "state": head["state"]}


# -- what anyone can check -------------------------------------------------------------------------------------------
def _proof(stage: Stage, told: Told) -> dict[str, Any]:
    """The plan's decision, proven with its anchor; checked elsewhere; refused when one byte is another."""
    decision = stage.left[4]["decision"]
    graph = decision.rsplit("/", 1)[0]
    anchor(stage, told)
    made = stage.kb.call("prove_file", graph=graph, decision=decision, anchored=True)
    text = json.dumps(made, indent=1)
    home = folder_of(stage.kb)
    path = home / "plan.proof.json"
    path.write_text(text + "\n", encoding="utf-8")
    server = cosigning.serve(ledgers.record(home, MAIN), home)
    statements = sum(len(part["proof"]["lines"]) for part in made["sets"])
    said = _stranger(text, server.url)
    told.say(
        f"proof of the plan's decision: {statements} statements, {len(text) / 1000:.0f} kB; a process in an empty folder says: "
        + (f"holds, {said['checks']} checks" if said["holds"] else f"does not hold: {said['why']}")
    )
    told.lines += [f"    {line}" for line in said["trust"]]
    changed, where = tampered(made, random.Random(stage.settings.seed))
    refused = _stranger(json.dumps(changed, indent=1), server.url)
    told.say(
        f"one byte changed ({where}): "
        + ("accepted, which is wrong" if refused["holds"] else f"refused: {refused['why']}")
    )
    return {
        "file": str(path), "rpc": server.url, "statements": statements, "bytes": len(text), "holds": said["holds"],
        "trust": said["trust"], "tampered": where, "refused": not refused["holds"],
    }  # fmt: skip


def tampered(file: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], str]:
    """A copy with one letter or digit of one proven statement replaced by another, and which."""
    changed = json.loads(json.dumps(file))
    part = chance.choice([p["proof"] for p in changed["sets"] if p["proof"]["lines"]])
    number = chance.randrange(len(part["lines"]))
    line = part["lines"][number]
    at = chance.choice([i for i, c in enumerate(line) if c.isalnum()])
    new = chance.choice([c for c in "0123456789abcdef" if c != line[at]])
    part["lines"][number] = line[:at] + new + line[at + 1 :]
    return changed, f"character {at} of a statement, {line[at]!r} to {new!r}"


def _stranger(text: str, rpc: str) -> dict[str, Any]:
    """What the stand-alone verifier says of a proof file, run as a process of its own in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="dappops-stranger-") as folder:
        (Path(folder) / "proof.json").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "verifier", "proof.json", "--rpc", rpc, "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    try:
        said = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"holds": False, "why": (done.stderr or done.stdout).strip()[-300:], "trust": [], "checks": 0}
    failed = [c for c in said["checks"] if c["state"] == "fails"]
    why = f"{failed[0]['what']}: {failed[0]['detail']}" if failed else ""
    made = sum(c["state"] == "holds" for c in said["checks"])
    trust = [f"believed of {b['of']}: {b['what']}" for b in said["trust"]]
    return {"holds": bool(said["holds"]) and done.returncode == 0, "why": why, "trust": trust, "checks": made}


def _relay(stage: Stage, told: Told) -> dict[str, Any] | None:
    """The head of the decisions graph, anchored on the co-signed chain, proven on the main one."""
    graph = stage.left[4]["decision"].rsplit("/", 1)[0]
    stage.kb.call("anchor", chain=COUNCIL, graphs=[graph], urgent=True, flush=True)
    try:
        made = managing.relayed(stage.kb, COUNCIL, MAIN, graph=keccak256(graph.encode()))
    except BusyError as error:
        told.lacks(str(error))
        return None
    signers = len(made.checkpoint.signatures) if made.checkpoint is not None else 0
    gas = ", ".join(f"{name} {used:,} gas" for name, used in made.gas.items()) or "was there already"
    told.say(
        f"head {made.value.hex()[:16]} of the decisions, in block {made.number} of {COUNCIL}, is proven on {MAIN} by "
        f"{signers} co-signatures and a storage proof: {gas}"
    )
    return {"head": made.value.hex(), "block": made.number, "signers": signers, "gas": dict(made.gas)}


# -- what was agreed -------------------------------------------------------------------------------------------------
def first_period(stage: Stage, told: Told, load: Load) -> list[dict[str, Any]]:
    """Measure, vote and settle the first period of every agreement."""
    agreements = stage.left[7]["agreements"]
    settling = stage.left[7]["chosen"].get("settlement", MAIN)
    now = time.time()
    if any(a["start"] < now - LATE for a in agreements):  # provisioning took longer, or a run was resumed
        with managing.connect(stage.kb, settling) as connected:
            agreements = [
                agreeing.renewed(stage, a, connected, start="+12", seconds=stage.settings.period) for a in agreements
            ]
        told.say("the period agreed first had begun before the hosts were up: agreed anew for the next one")
    stage.progress("witnesses measure", 0, None)
    outcomes = witnessed(stage, load, agreements)
    return concluded(stage, told, agreements, outcomes, _settled(stage, agreements))


def witnessed(
    stage: Stage, load: Load, agreements: list[dict[str, Any]], say: Say = lambda what, data: None
) -> list[dict[str, Any]]:
    """Let the witnesses do their work on these agreements; blocks until they voted."""
    versions = [a["version"] for a in agreements]
    return run_witnesses(stage.kb, versions, agreeing.witnesses(stage), prefix=load.runtime.prefix, say=say)


class NextPeriod:
    """The next period of the agreements, measured in the background while something else goes on."""

    def __init__(self, stage: Stage, load: Load, *, start: float, seconds: float) -> None:
        """`start`: seconds from now; returns once every witness waits for it, so that their start disturbs nobody later."""
        self.stage, self.load = stage, load
        self.problem: DappopsError | None = None
        self.outcomes: list[dict[str, Any]] = []
        self.done: dict[str, dict[str, Any]] = {}
        self._ready: set[tuple[str, str]] = set()
        settling = stage.left[7]["chosen"].get("settlement", MAIN)
        before = stage.left[9]["settled"]
        with managing.connect(stage.kb, settling) as connected:
            self.agreements = [
                agreeing.renewed(stage, a, connected, start=f"+{start:g}", seconds=seconds) for a in before
            ]
        self._thread = threading.Thread(target=self._run, daemon=True, name="witnesses")
        self._thread.start()
        deadline = time.monotonic() + start / 2
        wanted = len(self.agreements) * agreeing.WITNESSES
        while len(self._ready) < wanted and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _run(self) -> None:
        def hear(what: str, data: dict[str, Any]) -> None:
            if what == "measuring":
                self._ready.add((data["witness"], data["version"]))

        try:
            self.outcomes = witnessed(self.stage, self.load, self.agreements, hear)
            self.done = _settled(self.stage, self.agreements)  # in time, whatever else takes how long
        except DappopsError as error:
            self.problem = error

    def finish(self, told: Told) -> list[dict[str, Any]]:
        """Wait for the votes, settle, and say what came of it."""
        self.stage.progress("witnesses vote", 0, None)
        self._thread.join()
        if self.problem is not None:
            told.say(f"the second period was not witnessed: {self.problem.message}")
            return []
        return concluded(self.stage, told, self.agreements, self.outcomes, self.done)


def _settled(stage: Stage, agreements: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settle agreements whose witnesses have voted, judge and assess: version -> what came of it; those without are left out."""
    done = {}
    for agreement in agreements:
        with suppress(BusyError):  # no quorum: it expires
            done[agreement["version"]] = sla.conclude(stage.kb, agreement["version"])
    return done


def concluded(
    stage: Stage, told: Told, agreements: list[dict[str, Any]], outcomes: list[dict[str, Any]],
    settled: dict[str, dict[str, Any]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Say how each agreement ended, a line each, and what the reputations are."""
    made = []
    for agreement in agreements:
        votes = [o for o in outcomes if o.get("version") == agreement["version"]]
        violated = sum(o.get("violated") is True for o in votes)
        kept = sum(o.get("violated") is False for o in votes)
        done = settled.get(agreement["version"])
        if done is None:
            told.say(
                f"  {tail(agreement['provider'])}: not settled: {kept} votes kept, {violated} violated are no quorum"
            )
            continue
        state = done["settled"]["state"]
        made.append(
            {**agreement, "state": state, "violated": violated, "kept": kept, "gas": done["settled"].get("gas")}
        )
        measured = sum(int(o.get("measurements") or 0) for o in votes)
        told.say(
            f"  {tail(agreement['provider'])}: {measured} measurements by {len(votes)} witnesses, {kept} votes kept, {violated} "
            f"violated: settled as {state}"
        )
    told.lines += reputations(stage)
    return made


def reputations(stage: Stage) -> list[str]:
    """What is known of each provider now, a line each."""
    answer = stage.kb.call("reputation", author=stage.kb.author)
    return [
        f"  reputation of {tail(r['participant']['iri'])}: expected {r['expected']:.2f}, at least {r['bound']:.2f}"
        for r in answer["assessments"]
        if not r.get("dimension")
    ]
