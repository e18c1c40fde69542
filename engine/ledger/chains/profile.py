"""Measuring a ledger: what an anchor of a head takes and costs on it, how many it takes a second, who co-signs it.

Real transactions: heads of a graph that does not exist (`PROBE`), all in one storage slot of the GraphRegistry. Nothing here
is typed in, and what could not be measured (a network that was not final in time) is left out.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from engine.errors import BusyError, InputError
from engine.graph.hashing import keccak256
from engine.ledger.chain import Chain
from engine.ledger.chains.cosigning import collect, group
from engine.ledger.contracts import Contract
from engine.ledger.home import Connected

PROBE = keccak256(b"dappops/ledger-profile/probe")
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured. Seconds; transactions a second; `fee` in wei; None: not known.

    `slow_inclusion` is exceeded by one in twenty. `samples` single anchors stand behind times and costs, `burst` more behind
    the throughput.
    """

    measured_at: str
    samples: int
    burst: int
    inclusion: float
    slow_inclusion: float
    finality: float | None
    throughput: float
    gas: int
    fee: int
    co_signers: int | None

    def json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    connected: Connected,
    account: str,
    *,
    samples: int = 20,
    burst: int = 100,
    patience: float = 60.0,
    progress: Progress = lambda done, total, note: None,
) -> Profile:
    """Measure a chain with real anchors from `account`, which pays for them; `patience`: seconds for one to become final.

    Raises what the chain raises: InputError when the account cannot pay, BusyError when the node is away.
    """
    if samples < 1 or burst < 2:
        raise InputError("too few samples to measure anything", rule="at least 1 sample and a burst of 2")
    chain = connected.chain
    registry = connected.contract("GraphRegistry")
    total = samples + burst
    inclusion, finality, gas, fees = [], [], [], []
    for n in range(samples):
        started = time.perf_counter()
        made = registry.send(account, "anchorHead", PROBE, secrets.token_bytes(32))
        inclusion.append(time.perf_counter() - started)
        waited = _final(chain, made.block, started, patience)
        finality += [] if waited is None else [waited]
        gas.append(made.gas_used)
        fees.append(int(made.fee))
        progress(n + 1, total, "single anchors")
        if waited is None:
            patience = 0.0  # told once: it is not final in the time that was given
    rate = _rate(registry, account, burst)
    progress(total, total, "burst")
    return Profile(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        samples=samples,
        burst=burst,
        inclusion=statistics.median(inclusion),
        slow_inclusion=percentile(inclusion, 0.95),
        finality=statistics.median(finality) if len(finality) == samples else None,
        throughput=rate,
        gas=int(statistics.median(gas)),
        fee=int(statistics.median(fees)),
        co_signers=co_signers(connected),
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of `values` that at least this part of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(part * 100) // 100) - 1)]


def co_signers(connected: Connected) -> int | None:
    """How many co-signers sign the newest block when they are asked; None for a network elsewhere: it was not asked here."""
    if connected.record.kind != "embedded":
        return None
    if group(connected.record) is None:
        return 0
    head = connected.chain.header()
    try:
        return len(collect(connected.record, head.number, head.hash, head.rlp, wait=5.0).signatures)
    except BusyError:
        return 0  # fewer than a quorum: nobody vouches


def _final(chain: Chain, block: int, started: float, patience: float) -> float | None:
    """Seconds from `started` until a block is final; None when it is not within `patience`."""
    pause = 0.001
    while chain.final() < block:
        if time.perf_counter() - started > patience:
            return None
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    return time.perf_counter() - started


def _rate(registry: Contract, account: str, burst: int) -> float:
    messages = [
        registry.message(account, "anchorHead", PROBE, secrets.token_bytes(32), gas=100_000) for _ in range(burst)
    ]
    started = time.perf_counter()
    done = registry.chain.send_all(messages)
    seconds = time.perf_counter() - started
    return sum(i.succeeded for i in done) / seconds
