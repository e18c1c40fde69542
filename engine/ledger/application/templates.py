"""The templates of contracts for applications: what each is for and what it is initialised with. Pure.

A template is a contract in `contracts/src/application` behind a proxy. Which requirement calls for it is not said here but in
the view `queries/views/contract-<name>.rq`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.errors import InputError, did_you_mean
from engine.graph.hashing import keccak256
from engine.ledger.chain import Address, lower

ZERO = Address("0x" + 40 * "0")
MILLION = 10**6
LOWEST, HIGHEST = -(1 << 119), (1 << 119) - 1  # int120 of ReadingLog: no bound
DAY_S = 86_400
DEFAULT_CONSENT_DAYS = 365  # when the requirement names no retention period
MOST_IN_GROUP = 64  # as in Application.sol


@dataclass(frozen=True, slots=True)
class Template:
    """`daily`: the function that the application calls at its stated rate; `others`: what users call besides."""

    name: str
    view: str
    about: str
    daily: str
    others: tuple[str, ...]


TEMPLATES: Mapping[str, Template] = {
    t.name: t
    for t in (
        Template(
            "DigestLog", "contract-digest-log", "digests of what a unit took or made, in batches, one slot each", "append", ()
        ),
        Template(
            "ConsentRegister", "contract-consent-register", "consents as salted hashes, withdrawn at any time", "grant", ("withdraw",)
        ),
        Template(
            "ReadingLog", "contract-reading-log", "values of the outside world, attested by a quorum of witnesses", "attest", ()
        ),
        Template(
            "RevenueShare", "contract-revenue-share", "payments divided by agreed shares, taken by each", "pay", ("release",)
        ),
    )
}  # fmt: skip


def template(name: str) -> Template:
    """A template by name; InputError when there is none."""
    if name not in TEMPLATES:
        raise InputError(
            f"no template {name!r}{did_you_mean(name, TEMPLATES)}", remedy=f"known: {', '.join(TEMPLATES)}"
        )
    return TEMPLATES[name]


@dataclass(frozen=True, slots=True)
class Group:
    """Who decides (`members`, a `quorum` of them), who may stop it, who does the daily work. InputError where refused."""

    members: tuple[Address, ...]
    operators: tuple[Address, ...]
    guardians: tuple[Address, ...] = ()
    quorum: int = 0
    operator_quorum: int = 0
    """0: more than half."""

    def __post_init__(self) -> None:
        for name in ("members", "operators", "guardians"):
            accounts = tuple(sorted({lower(a) for a in getattr(self, name)}))
            object.__setattr__(self, name, accounts)
            if len(accounts) > MOST_IN_GROUP or (not accounts and name != "guardians"):
                raise InputError(f"{len(accounts)} {name}", place="group of the contract", rule=f"1 to {MOST_IN_GROUP}")
        object.__setattr__(self, "quorum", self.quorum or len(self.members) // 2 + 1)
        object.__setattr__(self, "operator_quorum", self.operator_quorum or len(self.operators) // 2 + 1)
        for quorum, accounts in ((self.quorum, self.members), (self.operator_quorum, self.operators)):
            if not len(accounts) < 2 * quorum <= 2 * len(accounts):
                raise InputError(
                    f"a quorum of {quorum} for {len(accounts)} accounts", place="group of the contract",
                    rule="more than half, at most all",
                )  # fmt: skip

    @property
    def values(self) -> tuple[Any, ...]:
        """The tuple that the contracts take."""
        return (
            self.members, self.quorum, self.guardians, self.operators, self.operator_quorum,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origin:
    """The contract that this one goes on from; none by default. `state_root` is given when it is on another chain."""

    chain_id: int = 0
    predecessor: Address = ZERO
    state_root: bytes = bytes(32)

    @property
    def values(self) -> tuple[Any, ...]:
        """The tuple that the contracts take."""
        return (self.chain_id, self.predecessor, self.state_root)


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Series:
    """Of a ReadingLog. Its name is the subject's and the metric's IRI; bounds are in the metric's unit, None: none."""

    subject: str
    metric: str
    lowest: Decimal | None = None
    highest: Decimal | None = None

    @property
    def name(self) -> str:
        """What is hashed for the chain."""
        return f"{self.subject} {self.metric}"

    @property
    def key(self) -> bytes:
        """`series` in the contract."""
        return keccak256(self.name.encode())

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "series": "0x" + self.key.hex(), "subject": self.subject, "metric": self.metric,
            "lowest": None if self.lowest is None else str(self.lowest),
            "highest": None if self.highest is None else str(self.highest),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needed:
    """A contract that requirements call for. `rate`: daily calls a second, None when the description states none."""

    template: str
    requirements: tuple[str, ...]
    why: tuple[str, ...]
    rate: float | None = None
    longest_s: int = DEFAULT_CONSENT_DAYS * DAY_S
    series: tuple[Series, ...] = ()
    shares: tuple[tuple[str, int], ...] = ()
    """(account, share)."""
    witnesses: tuple[str, ...] = ()
    missing: str = ""
    """What the description must say before it can be deployed; '' when nothing."""
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        every: dict[str, dict[str, Any]] = {
            "ConsentRegister": {"longest_s": self.longest_s},
            "ReadingLog": {"series": [s.as_json() for s in self.series]},
            "RevenueShare": {"shares": [{"account": a, "share": s} for a, s in self.shares]},
        }
        return {
            "template": self.template, "requirements": list(self.requirements), "why": list(self.why), "rate": self.rate,
            "parameters": every.get(self.template, {}), "missing": self.missing, "notes": list(self.notes),
        }  # fmt: skip


def arguments(needed: Needed, group: Group, origin: Origin = NOWHERE) -> tuple[Any, ...]:
    """What `initialize` of the template takes."""
    special: tuple[Any, ...] = ()
    if needed.template == "ConsentRegister":
        special = (needed.longest_s,)
    elif needed.template == "ReadingLog":
        special = (
            [s.key for s in needed.series],
            [LOWEST if s.lowest is None else millionths(s.lowest) for s in needed.series],
            [HIGHEST if s.highest is None else millionths(s.highest) for s in needed.series],
        )
    elif needed.template == "RevenueShare":
        special = ([lower(a) for a, _ in needed.shares], [s for _, s in needed.shares])
    return (group.values, origin.values, *special)


def millionths(value: Decimal) -> int:
    """A bound as the contract keeps it; InputError when it does not fit."""
    number = int((value * MILLION).to_integral_value())
    if not LOWEST <= number <= HIGHEST:
        raise InputError(f"{value} is too large for a reading", rule="less than 2^119 millionths")
    return number


def checked_shares(given: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Shares as RevenueShare takes them; InputError where it would refuse."""
    accounts = [lower(a) for a, _ in given]
    if not given or len(given) > MOST_IN_GROUP or len(set(accounts)) != len(accounts):
        raise InputError("not shares", place="RevenueShare", rule=f"1 to {MOST_IN_GROUP} accounts, each named once")
    if any(not 1 <= s <= 10**18 for _, s in given):
        raise InputError("a share is out of range", place="RevenueShare", rule="1 to 10^18")
    return tuple(zip(accounts, (s for _, s in given), strict=True))
