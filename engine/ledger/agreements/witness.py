"""One witness: measures what an agreement version tells it to, judges that by the shipped rules, seals a vote, opens it.

Runs as a process of its own (`python -m engine.ledger.agreements.witness`, `dappops witness run`) with its own key and its
own file of measurements; all it is given is the version as its proposer signed it. It may be ended and started again at any
time: measurements, salt and seal are on disk before they are used, so it never signs two seals (which would exclude it).
A vote is opened when every witness has sealed or abstained, or after half of the time for voting.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine.errors import BusyError, InputError
from engine.graph.keys import Key
from engine.ledger.agreements import evidence, model, typed
from engine.ledger.agreements.desk import Desk, SocketDesk, SpoolDesk
from engine.ledger.agreements.exchange import SignedGraph
from engine.ledger.agreements.measurements import Raw, digest
from engine.ledger.agreements.model import Engagement, Version
from engine.ledger.agreements.places import Locate, nowhere
from engine.ledger.agreements.probes import measure
from engine.ledger.agreements.versions import terms_for
from engine.resources import files
from reasoners.derive import Rule, parse_rules, rule_from_file
from reasoners.enforce import judge
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, RDF

RETRY = 0.2  # seconds between two looks at who else has sealed
Say = Callable[[str, dict[str, Any]], None]


@cache
def rules() -> tuple[Rule, ...]:
    """The shipped rules of purpose `enforce`: a witness judges by what came with it, not by a node's policy."""
    triples: list[ox.Triple] = []
    for path in files("queries/rules", "enforce-*.rq"):
        triples += rule_from_file(path.read_text(encoding="utf-8"), path.stem)
    return tuple(parse_rules(memory_view(triples)))


class Clock:
    """Unix seconds that do not jump when the machine's clock is set; `skew` is added."""

    def __init__(self, skew: float = 0.0) -> None:
        self._at, self._mark, self.skew = time.time(), time.monotonic(), skew

    def now(self) -> float:
        """The time."""
        return self._at + time.monotonic() - self._mark + self.skew


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a witness did. `violated` None: it abstained, `why` says for what reason."""

    violated: bool | None
    why: str
    measured: int
    digest: bytes
    seal: bytes


class Witness:
    """One witness of one version. `folder`: where its measurements are; `patience`: seconds after the end until it opens its
    vote although others have not sealed (default: half of the time for voting)."""

    def __init__(
        self, signed: SignedGraph, key: Key, folder: Path, desk: Desk, *, clock: Clock | None = None,
        patience: float | None = None, say: Say = lambda what, data: None, locate: Locate = nowhere,
    ) -> None:  # fmt: skip
        self.locate = locate
        told = memory_view(signed.triples())
        self.version: Version = model.read(told, signed.graph)
        self.terms = terms_for(self.version, model.root_of(signed.graph, signed.triples()))
        self.statements = signed.triples()
        self.key, self.desk, self.clock, self.say = key, desk, clock or Clock(), say
        if key.address not in self.terms.witnesses:
            raise InputError(f"{key.address} is no witness of this agreement", place=self.version.iri)
        self.base = signed.graph.split("/g/", 1)[0]
        self.iri = next(e.witness for e in self.version.engagements if e.account == key.address)
        self.graph = f"{self.base}/g/{key.address}/witness"
        self.vote = ox.NamedNode(f"{self.graph}/{evidence.local(self.version)}-vote")
        room = self.version.settle_by - self.version.end
        self.opens = self.version.end + (room / 2 if patience is None else min(patience, room))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.raw = Raw(folder / f"{evidence.local(self.version)}-{self.terms.identifier.hex()[:16]}.sqlite")
        self.raw.note("agreement", self.terms.identifier.hex())
        self.raw.note("witness", key.address)

    def stop(self) -> None:
        """End `run` soon; what is measured stays."""
        self._stop.set()

    def run(self) -> Outcome:
        """From wherever it stands to the opened vote. BusyError when it was stopped, or nobody takes what it signs."""
        self.measure()
        outcome = self.seal()
        if outcome.violated is not None:
            self.open(outcome)
        return outcome

    # -- measuring ---------------------------------------------------------------------------------------------------
    def measure(self) -> None:
        """Measure every slot that is still to come, until the period is over."""
        threads = [
            threading.Thread(target=self._engaged, args=(number, engagement), daemon=True)
            for number, engagement in enumerate(evidence.engagements_of(self.version, self.key.address))
        ]
        self.say("measuring", {"until": self.version.end, "engagements": len(threads)})
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._wait_until(self.version.end)
        if self._stop.is_set():
            raise BusyError("the witness was stopped", place=self.version.iri, remedy="start it again")
        self.say("measured", {"measurements": len(self.raw.rows())})

    def _engaged(self, number: int, engagement: Engagement) -> None:
        done = self.raw.slots(number)
        under_way: list[Future[None]] = []
        size = min(1 + model.MOST_AT_ONCE, 1 + math.ceil(engagement.probe.timeout / engagement.interval))
        with ThreadPoolExecutor(size) as pool:
            for slot in range(evidence.slots(self.version, engagement)):
                at = evidence.due(self.version, engagement, slot)
                late = self.clock.now() - at
                if slot in done or late > engagement.interval / 2:
                    continue  # measured before a restart, or its time has passed: nobody invents it afterwards
                if not self._wait_until(at):
                    return
                under_way = [f for f in under_way if not f.done() or f.result() is not None]
                under_way.append(pool.submit(self._measure, number, slot, engagement))
        for future in under_way:
            future.result()

    def _measure(self, number: int, slot: int, engagement: Engagement) -> None:
        begun = self.clock.now()
        try:
            sample = measure(engagement.probe, self.locate)
        except BusyError:
            return  # the chain that knows the name is away: nothing was learned of the service
        with self._lock:
            self.raw.keep(number, slot, round(begun * 1000), sample)

    def _wait_until(self, at: float) -> bool:
        left = at - self.clock.now()
        return not (self._stop.wait(left) if left > 0 else self._stop.is_set())

    # -- voting ------------------------------------------------------------------------------------------------------
    def seal(self) -> Outcome:
        """Judge what was measured; publish the seal, or that this witness abstains."""
        rows = self.raw.rows()
        found = digest(self.terms.identifier, self.key.address, rows)
        self.evidence = evidence.evidence_triples(self.version, self.key.address, self.iri, self.graph, rows, found)
        share = evidence.coverage(self.version, self.key.address, rows)
        if share < self.version.coverage:
            violated, why = None, f"measured {share:.0%} of what was planned, {self.version.coverage:.0%} is the least"
        else:
            made = judge(memory_view(self.statements), rules(), ox.NamedNode(self.version.iri), self.evidence)
            finding = made.of(ox.NamedNode(self.iri))
            violated, why = (None, "no finding") if finding is None else (finding.violated, finding.why)
        head = [
            ox.Triple(ox.NamedNode(self.iri), RDF.type, DAPP.Witness),
            ox.Triple(self.vote, RDF.type, DAPP.WitnessVote),
            ox.Triple(self.vote, DAPP.castBy, ox.NamedNode(self.iri)),
            ox.Triple(self.vote, DAPP.forAgreement, ox.NamedNode(self.version.iri)),
        ]
        label = evidence.local(self.version)
        if violated is None:
            self._publish(
                "abstention", [*self.evidence, *head, ox.Triple(self.vote, DAPP.abstention, ox.Literal(why))],
                f"abstains: {label}",
            )  # fmt: skip
            self.say("abstained", {"why": why})
            return Outcome(None, why, len(rows), found, b"")
        salt = bytes.fromhex(self.raw.note("salt") or self.raw.note("salt", secrets.token_hex(32)))
        seal = typed.seal_of(violated, found, salt)
        self.raw.note("seal", seal.hex())
        where = typed.domain(self.version.chain_id, self.version.contract)
        signature = self.key.sign(typed.seal_digest(where, self.terms.identifier, seal))
        self._publish(
            "seal",
            [
                *head, ox.Triple(self.vote, DAPP.sealHash, ox.Literal(seal.hex())),
                ox.Triple(self.vote, DAPP.signatureHex, ox.Literal(signature.hex())),
            ],
            f"sealed: {label}",
        )  # fmt: skip
        self.say("sealed", {"seal": seal.hex()})
        return Outcome(violated, why, len(rows), found, seal)

    def open(self, outcome: Outcome) -> None:
        """Wait for the others' seals, at most until `opens`; then publish evidence, verdict and salt."""
        everybody = {e.witness for e in self.version.engagements}
        while self.clock.now() < self.opens and not everybody <= self._settled():
            if self._stop.wait(RETRY):
                raise BusyError("the witness was stopped", place=self.version.iri, remedy="start it again")
        salt = self.raw.note("salt")
        rests = dict.fromkeys(t.subject for t in self.evidence if isinstance(t.subject, ox.NamedNode))
        self._publish(
            "vote",
            [
                *self.evidence,
                ox.Triple(self.vote, DAPP.foundViolated, ox.Literal(bool(outcome.violated))),
                ox.Triple(self.vote, DAPP.sealSalt, ox.Literal(salt)),
                ox.Triple(self.vote, DAPP.evidenceDigest, ox.Literal(outcome.digest.hex())),
                *(ox.Triple(self.vote, DAPP.restsOn, node) for node in rests),
            ],
            f"voted: {evidence.local(self.version)}",
        )  # fmt: skip
        self.say("voted", {"violated": outcome.violated, "why": outcome.why, "measurements": outcome.measured})

    def _settled(self) -> set[str]:
        try:
            return self.desk.settled(self.version.iri)
        except BusyError:
            return set()

    def _publish(self, step: str, triples: list[ox.Triple], message: str) -> None:
        """Hand in, again and again until the voting is over: an owner may be away for a while."""
        while True:
            try:
                self.desk.publish(step, triples, message)
                return
            except BusyError:
                if self.clock.now() > self.version.settle_by or self._stop.wait(RETRY):
                    raise


def desk_for(signed: SignedGraph, key: Key, home: Path | None, spool: Path | None) -> Desk:
    """Where a witness of this version hands in: the spool folder when there is one, else the owner of the knowledge base."""
    base = signed.graph.split("/g/", 1)[0]
    if spool is not None:
        return SpoolDesk(spool, key, base, model.root_of(signed.graph, signed.triples()).hex()[:16])
    if home is None:
        raise InputError("nowhere to hand in votes", remedy="name a knowledge base or a spool folder")
    return SocketDesk(home, key, f"{base}/g/{key.address}/witness")


def locator(chain: dict[str, str] | None) -> Locate:
    """How registered names are found: by the chain that is named, opened when the first name is asked for."""
    if chain is None:
        return nowhere
    from engine.graph.keys import KeyRing
    from engine.ledger.agreements.places import Names
    from engine.ledger.home import connect

    home = Path(chain["home"])
    return Names(lambda: connect(home, chain["name"], keys=KeyRing(home / "no-keys")))


def main(arguments: list[str] | None = None) -> int:
    """The process: settings as one JSON object on standard input (no secret among them), what happens as JSON lines.

    {"graphs": signed graphs, one a version, "account", "home": the witness's own folder, "knowledgeBase": folder or null,
    "spool": or null, "patience": seconds or null, "skew": seconds, "chain": {"home", "name"} to look names up, or null}
    """
    import signal
    import sys

    from engine.errors import DappopsError
    from engine.graph.keys import KeyRing
    from engine.ledger.agreements.exchange import checked

    lock = threading.Lock()

    def say(what: str, data: dict[str, Any]) -> None:
        with lock:
            sys.stdout.write(json.dumps({"event": what, **data}) + "\n")
            sys.stdout.flush()

    def failed(error: DappopsError, version: str = "") -> int:
        say("failed", {"error": str(error), "family": type(error).__name__, "version": version})
        return error.exit_code

    def witness_of(signed: SignedGraph) -> Witness:
        desk = desk_for(signed, key, Path(home_of_kb) if home_of_kb else None, Path(spool) if spool else None)
        version = model.read(memory_view(signed.triples()), signed.graph).iri
        return Witness(
            signed, key, home / "measurements", desk, clock=clock, patience=settings.get("patience"),
            say=lambda what, data: say(what, {**data, "version": version}), locate=locate,
        )  # fmt: skip

    try:
        settings = json.loads(sys.stdin.read())
        home = Path(settings["home"])
        key = KeyRing(home / "keys").unlock(settings["account"])
        home_of_kb, spool = settings.get("knowledgeBase"), settings.get("spool")
        clock, locate = Clock(float(settings.get("skew") or 0)), locator(settings.get("chain"))
        group = [witness_of(checked(graph)) for graph in settings["graphs"]]
    except DappopsError as error:
        return failed(error)

    def stop(number: int, frame: object) -> None:
        for witness in group:
            witness.stop()

    signal.signal(signal.SIGTERM, stop)

    def run(witness: Witness) -> int:
        try:
            witness.run()
        except DappopsError as error:
            return failed(error, witness.version.iri)
        return 0

    with ThreadPoolExecutor(max(1, len(group))) as pool:
        return max(pool.map(run, group), default=0)


if __name__ == "__main__":
    raise SystemExit(main())
