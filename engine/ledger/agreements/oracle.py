"""A value of the outside world, measured by witnesses, attested to a contract of an application (`ReadingLog`).

A round has a series, a time, and the contract's witnesses (its operators). Each witness measures, signs and publishes its
reading; when all have, or after a while, each takes the median of what was published, and signs that if its own reading is
near enough. A quorum of equal signatures is an attestation, which anyone brings to the contract. Values are millionths of the
metric's unit on the chain and decimals in the graph. A witness that saw fewer readings than another may compute another
median; then there is no quorum, and the next round decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import BusyError, InputError
from engine.graph.hashing import keccak256
from engine.graph.keys import Key, recover
from engine.ledger.agreements.desk import Desk
from engine.ledger.agreements.model import moment
from engine.ledger.agreements.probes import Probe, check, measure
from engine.ledger.chain import Reverted, lower
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import Domain, Struct, for_contract, for_key
from engine.ledger.home import Connected
from engine.ledger.knowledge import rows_of
from reasoners.vocab import DAPP, RDF, XSD

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

READING = Struct("Reading", (("bytes32", "series"), ("int256", "value"), ("uint64", "time")))
MILLION = 10**6
CONTRACT = "ReadingLog"
LOOK = 0.2  # seconds between two looks at what others have published


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be attested: a metric (IRI) as a series of a contract, at a time (Unix seconds)."""

    chain_id: int
    contract: str
    series: bytes
    metric: str
    time: int

    def digest(self, value: int) -> bytes:
        """What witnesses sign for a value in millionths."""
        where = Domain("DAppOps Application", self.chain_id, self.contract)
        return where.digest(READING.hash(self.series, value, self.time))

    @property
    def name(self) -> str:
        """What the names of its readings begin with."""
        return f"reading-{keccak256(self.contract.lower().encode() + self.series).hex()[:16]}-{self.time}"


def series_of(name: str) -> bytes:
    """The series of a name: its keccak-256, or the 32 bytes themselves as 64 hexadecimal digits."""
    text = name.removeprefix("0x")
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text.lower()):
        return bytes.fromhex(text)
    return keccak256(name.encode())


def millionths(value: float) -> int:
    """A value in millionths of its unit, half to even."""
    return int((Decimal(repr(value)) * MILLION).quantize(Decimal(1), ROUND_HALF_EVEN))


def read_value(probe: Probe) -> float:
    """Measure once; BusyError when there was no value."""
    found = measure(check(probe))
    if found.value is None:
        raise BusyError(f"no value: {found.detail}", place=probe.target, remedy="a probe with a query reads a number")
    return found.value


def median_of(values: Sequence[int]) -> int:
    """The lower median: a value that somebody measured."""
    if not values:
        raise InputError("no readings", rule="the median of nothing is nothing")
    return sorted(values)[(len(values) - 1) // 2]


# -- a witness's part ------------------------------------------------------------------------------------------------
def reading_triples(
    asked: Round, key: Key, base: str, value: int, *, agreed: bool, rests: Sequence[str] = ()
) -> list[ox.Triple]:
    """A reading of a witness, or (agreed) the value that it signs for all, in its graph `witness`."""
    me = ox.NamedNode(f"{base}/g/{key.address}/self")
    node = ox.NamedNode(f"{base}/g/{key.address}/witness/{asked.name}{'-agreed' if agreed else ''}")
    pairs: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.Reading),
        (DAPP.measuredBy, me),
        (DAPP.ofMetric, ox.NamedNode(asked.metric)),
        (DAPP.observedValue, _decimal(value)),
        (DAPP.atTime, moment(asked.time)),
        (DAPP.signatureHex, ox.Literal(key.sign(asked.digest(value)).hex())),
        *((DAPP.restsOn, ox.NamedNode(r)) for r in rests),
    ]
    return [ox.Triple(me, RDF.type, DAPP.Witness), *(ox.Triple(node, p, o) for p, o in pairs)]


def _decimal(value: int) -> ox.Literal:
    text = format((Decimal(value) / MILLION).normalize(), "f")
    return ox.Literal(text if "." in text else f"{text}.0", datatype=XSD.decimal)


def witness_reading(asked: Round, key: Key, base: str, desk: Desk, probe: Probe) -> int:
    """Measure and publish; what was measured, in millionths."""
    value = millionths(read_value(probe))
    desk.publish(f"{asked.name[-24:]}-own", reading_triples(asked, key, base, value, agreed=False), "reading")
    return value


def witness_agrees(
    asked: Round, key: Key, base: str, desk: Desk, own: int, others: Mapping[str, int], tolerance: int
) -> int | None:
    """Sign and publish the median of what was published, if the own reading is within `tolerance` of it; else None.

    `others`: IRI of a reading -> millionths, the own among them.
    """
    value = median_of(list(others.values()))
    if abs(value - own) > tolerance:
        return None
    desk.publish(
        f"{asked.name[-24:]}-agreed",
        reading_triples(asked, key, base, value, agreed=True, rests=sorted(others)),
        "reading agreed",
    )
    return value


def take_part(
    kb: KnowledgeBase, connected: Connected, asked: Round, key: Key, base: str, desk: Desk, probe: Probe, *, tolerance: int,
    patience: float = 10.0,
) -> dict[str, Any]:  # fmt: skip
    """One witness's whole part in a round: measure, wait for the others' readings, sign the median, bring it in if it can.

    BusyError when too few have signed one value yet (another witness then brings it in), or the own reading is too far off.
    """
    log = Contract(connected.chain, lower(asked.contract), CONTRACT)
    among = operators(log)
    if key.address not in among:
        raise InputError(f"{key.address} is no witness of this contract", place=asked.contract)
    own = witness_reading(asked, key, base, desk, probe)
    deadline = time.monotonic() + patience
    while len(seen := readings(kb, asked, among, agreed=False)) < len(among) and time.monotonic() < deadline:
        time.sleep(LOOK)
    value = witness_agrees(asked, key, base, desk, own, {iri: v for iri, v, _ in seen.values()}, tolerance)
    if value is None:
        raise BusyError(
            f"the own reading {own / MILLION:g} is too far from the median",
            place=probe.target,
            remedy="look at the sensor",
        )
    return attest(kb, connected, asked, among)


def operators(log: Contract) -> list[str]:
    """The witnesses of a contract as it is now, ascending."""
    told = log.events("GroupChanged")
    if not told:
        raise InputError("no application contract at this address", place=log.address)
    return sorted(str(a).lower() for a in told[-1].args["operators"])


# -- everybody's part ------------------------------------------------------------------------------------------------
def readings(
    kb: KnowledgeBase, asked: Round, witnesses: Sequence[str], *, agreed: bool
) -> dict[str, tuple[str, int, bytes]]:
    """Account -> (IRI, millionths, signature) of readings of a round whose signature is that witness's; others are left out."""
    found: dict[str, tuple[str, int, bytes]] = {}
    ending = f"/witness/{asked.name}{'-agreed' if agreed else ''}"
    among = {w.lower() for w in witnesses}
    for row in rows_of(kb, "oracle-readings", metric=asked.metric):
        if not row["reading"].endswith(ending):
            continue
        value = int(Decimal(row["value"]) * MILLION)
        signature = for_key(bytes.fromhex(row["signature"].removeprefix("0x")))
        signer = recover(asked.digest(value), signature)
        if signer in among and f"/g/{signer}/" in row["reading"]:
            found[signer] = (row["reading"], value, signature)
    return found


def attest(
    kb: KnowledgeBase, connected: Connected, asked: Round, witnesses: Sequence[str], *, sender: str | None = None
) -> dict[str, Any]:
    """Bring a round's agreed reading to the contract; one that is there already is told as it is.

    BusyError while fewer than a quorum have signed one value.
    """
    log = Contract(connected.chain, lower(asked.contract), CONTRACT)
    quorum = int(log.call("operatorQuorum"))
    by_value: dict[int, dict[str, bytes]] = {}
    for account, (_, value, signature) in readings(kb, asked, witnesses, agreed=True).items():
        by_value.setdefault(value, {})[account] = signature
    latest = log.call("latest", asked.series)
    if int(latest[1]) == asked.time:
        return {"value": int(latest[0]) / MILLION, "time": asked.time, "breaches": int(latest[2]), "transaction": None}
    value, signed = max(by_value.items(), key=lambda item: (len(item[1]), -item[0]), default=(0, {}))
    if len(signed) < max(1, quorum):
        raise BusyError(
            f"{len(signed)} witnesses signed one value, {quorum} needed",
            place=asked.contract,
            remedy="wait, or ask for another round",
        )
    payer = sender or str(kb.info()["node"])
    signatures = [for_contract(signed[a]) for a in sorted(signed)]
    try:
        made = log.send(payer, "attest", asked.series, value, asked.time, signatures)
    except Reverted as error:
        if error.error == "NotNewer" and int(log.call("latest", asked.series)[1]) == asked.time:
            return attest(kb, connected, asked, witnesses)  # another was quicker
        raise
    latest = log.call("latest", asked.series)
    return {
        "value": value / MILLION, "time": asked.time, "breaches": int(latest[2]), "transaction": made.transaction.hex(),
        "block": made.block, "gas": made.gas_used, "witnesses": sorted(signed),
    }  # fmt: skip


__all__ = [
    "MILLION", "Round", "attest", "median_of", "millionths", "operators", "read_value", "reading_triples", "readings",
    "series_of", "take_part", "witness_agrees", "witness_reading",
]  # fmt: skip
