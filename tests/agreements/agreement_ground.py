"""A home with both sides and three witnesses, on an embedded chain whose clock stands where a test puts it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine
from engine.graph.keys import Key, KeyRing
from engine.kb import KnowledgeBase
from engine.ledger import agreements as sla
from engine.ledger.agreements.desk import Desk, SocketDesk, SpoolDesk
from engine.ledger.agreements.evidence import due, engagements_of, slots
from engine.ledger.agreements.exchange import checked
from engine.ledger.agreements.probes import Sample
from engine.ledger.agreements.typed import Terms
from engine.ledger.agreements.witness import Clock, Witness
from engine.ledger.contracts import Contract
from engine.ledger.home import Connected, connect, create

TOKEN = 10**18
UNIT = "ingest"


class Hands:
    """A clock that moves when it is told to: for the chain and for witnesses."""

    def __init__(self) -> None:
        self.at = float(int(time.time()))

    def __call__(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class HandClock(Clock):
    """A witness's clock that is the test's."""

    def __init__(self, hands: Hands) -> None:
        super().__init__()
        self.hands = hands

    def now(self) -> float:
        return self.hands.at


@dataclass
class Ground:
    kb: KnowledgeBase
    hands: Hands
    connected: Connected
    provider: str
    witnesses: dict[str, Path]
    folder: Path
    names: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    @property
    def consumer(self) -> str:
        return self.kb.author

    @property
    def contract(self) -> Contract:
        return self.connected.contract("ServiceAgreement")

    def terms(self, **changes: Any) -> dict[str, Any]:
        """Terms that can be agreed: a period of ten seconds, three witnesses, one HTTP probe a second."""
        base = self.kb.graph_iri("main").rsplit("/", 1)[0]
        return {
            "agreement": f"stream-{next(self.names)}", "provider": f"{base.rsplit('/', 1)[0]}/{self.provider}/self",
            "on": f"{base}/main/{UNIT}", "start": str(int(self.hands.at) + 10), "seconds": 10, "settleWithin": 100,
            "payment": "1.5", "compensation": "0.5", "witnessFee": "0.001", "witnesses": sorted(self.witnesses),
            "objectives": [{"metric": "Availability", "atLeast": 90}],
            "measure": [{"http": "http://127.0.0.1:9/", "every": 1, "timeout": 0.5}],
            **changes,
        }  # fmt: skip

    def opened(self, **changes: Any) -> str:
        """A version that both sides signed and that is open."""
        version = sla.propose(self.kb, self.terms(**changes), connected=self.connected)
        for side in (self.provider, self.consumer):
            sla.accept(self.kb, version, account=side)
        sla.open_(self.kb, version, connected=self.connected, fund=True)
        return version

    def terms_of(self, version: str) -> Terms:
        return sla.contract_terms(self.kb, version)[1]

    def witness(
        self, version: str, account: str, *, spool: Path | None = None, patience: float | None = 0.0
    ) -> Witness:
        """A witness in this process, its clock the test's."""
        signed = checked(self.kb.call("signed_graph", graph=version.removesuffix("/terms")))
        key: Key = KeyRing(self.witnesses[account] / "keys").unlock(account)
        base = signed.graph.split("/g/", 1)[0]
        assert self.kb.home is not None
        desk: Desk = SocketDesk(self.kb.home, key, f"{base}/g/{account}/witness")
        if spool is not None:
            desk = SpoolDesk(spool, key, base, "test")
        clock = HandClock(self.hands)
        return Witness(signed, key, self.witnesses[account] / "measurements", desk, clock=clock, patience=patience)

    def measured(self, witness: Witness, bad: int, *, share: float = 1.0) -> None:
        """Measurements as a service would have given them: the first `bad` of each engagement fail."""
        version = witness.version
        for number, engagement in enumerate(engagements_of(version, witness.key.address)):
            planned = slots(version, engagement)
            for slot in range(round(planned * share)):
                good = slot >= bad
                sample = Sample(good, 0.01 if good else 0.5, None, "200" if good else "503")
                witness.raw.keep(number, slot, round(due(version, engagement, slot) * 1000), sample)

    def voted(self, version: str, bad: Mapping[str, int], **options: Any) -> None:
        """Witnesses that measured so many bad answers seal, then open; the clock goes to the end of the period."""
        self.hands.at = max(self.hands.at, float(self.terms_of(version).end))
        sealed = []
        for account, count in bad.items():
            witness = self.witness(version, account, **options)
            self.measured(witness, count)
            sealed.append((witness, witness.seal()))
        for witness, outcome in sealed:
            witness.open(outcome)
            witness.raw.close()


@contextmanager
def ground(folder: Path, *, private: bytes | None = None) -> Iterator[Ground]:
    """A home in a folder. `private`: the node's key, when it must be a certain one."""
    home = folder / "home"
    keys = KeyRing(home / "keys")
    node = keys.create(private=private).address
    provider = keys.create().address
    witnesses = {sla.make_witness(folder / f"witness-{n}"): folder / f"witness-{n}" for n in (1, 2, 3)}
    hands = Hands()
    create(home, "main", keys=keys, account=node, clock=hands)
    with engine.open(home) as kb:
        main = kb.graph_iri("main")
        with kb.change(graph="main") as change:
            change.parse(
                f"<{main}/{UNIT}> a <https://w3id.org/dappops#FunctionalUnit> ;"
                f' <http://www.w3.org/2000/01/rdf-schema#label> "Ingest"@en .'
            )
        connected = connect(home, "main", keys=keys, clock=hands)
        yield Ground(kb, hands, connected, provider, dict(sorted(witnesses.items())), folder)
        connected.chain.close()  # type: ignore[attr-defined]
