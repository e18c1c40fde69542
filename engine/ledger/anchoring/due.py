"""What is to be anchored now, what waits, and until when: by time, count and urgency, within a budget. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.ledger.anchoring.settings import HOUR, Settings


@dataclass(frozen=True, slots=True)
class Waiting:
    """A head that no anchor holds. `since`: Unix seconds of the oldest commit that none covers."""

    graph: str
    sequence: int
    head: bytes
    since: float
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What one transaction cost."""

    at: float
    gas: int
    wei: int


@dataclass(frozen=True, slots=True)
class Due:
    """What to do now. `until` (Unix seconds) is when it is worth asking again, None when nothing waits."""

    singles: tuple[Waiting, ...] = ()
    batch: bool = False
    until: float | None = None
    why: str = "nothing waits"


def due(
    waiting: Sequence[Waiting], spent: Sequence[Spent], expected: Spent, settings: Settings, now: float, *, flush: bool = False
) -> Due:  # fmt: skip
    """What is due. `expected` is the cost of one transaction, `flush` sends what waits without waiting longer.

    Over budget nothing goes, not even what is urgent: the answer says until when. When the budget has room for fewer
    transactions than there are urgent heads, one batch takes them all.
    """
    if not waiting:
        return Due()
    urgent = sorted((w for w in waiting if w.urgent), key=lambda w: (w.since, w.graph))
    others = [w for w in waiting if not w.urgent]
    oldest = min((w.since for w in others), default=now)
    ripe = bool(others) and (flush or len(others) >= settings.max_heads or now - oldest >= settings.max_age)
    if not urgent and not ripe:
        return Due((), False, oldest + settings.max_age, f"{len(others)} wait for company or {settings.max_age:g} s")
    room, free, why = _room(spent, expected, settings, now)
    if room < 1:
        return Due((), False, free, why)
    if room < len(urgent) + ripe:
        return Due((), True, None, f"one batch for all: {why}" if len(urgent) > 1 or ripe else "urgent")
    reasons = [f"{len(urgent)} urgent"] if urgent else []
    if ripe:
        count = len(others) >= settings.max_heads
        reasons.append("asked for" if flush else "enough wait" if count else f"the oldest waited {now - oldest:.0f} s")
    later = None if ripe or not others else oldest + settings.max_age
    return Due(tuple(urgent), ripe, later, ", ".join(reasons))


def _room(spent: Sequence[Spent], expected: Spent, settings: Settings, now: float) -> tuple[int, float | None, str]:
    """How many transactions the budgets leave room for, when there is room for one again, and what is scarce."""
    room, free, why, never = 1 << 30, None, "within budget", False
    for kind, seconds, limit in settings.limits():
        inside = sorted((s.at, s.gas if kind == "gas" else s.wei) for s in spent if s.at > now - seconds)
        cost = expected.gas if kind == "gas" else expected.wei
        used = sum(amount for _, amount in inside)
        fits = room if cost <= 0 else max(0, limit - used) // cost
        if fits < room or (fits == 0 and cost > limit):
            room, span = fits, "an hour" if seconds == HOUR else "a day"
            why = f"{used:,} of {limit:,} {kind} {span} are spent, one anchor costs about {cost:,}"
        if fits == 0:
            later = _until(inside, limit - cost, used, seconds)
            if later is None:
                never, why = True, f"{why}: the budget is smaller than one anchor"
            else:
                free = later if free is None else max(free, later)
    return room, None if never else free, why


def _until(inside: Sequence[tuple[float, int]], allowed: int, used: int, seconds: int) -> float | None:
    """When enough of what was spent is out of the window; None: never."""
    if allowed < 0:
        return None
    for at, amount in inside:
        used -= amount
        if used <= allowed:
            return at + seconds
    return None
