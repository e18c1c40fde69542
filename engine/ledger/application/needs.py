"""Which contracts an application's requirements call for: the views `contract-*.rq` say it, this puts their rows together.

A contract fulfils several requirements when they call for the same template. A requirement that no view takes needs no
contract (placement, capabilities, deadlines are kept by planning and operation), or one that we do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.ledger.application.templates import DAY_S, TEMPLATES, Group, Needed, Series, checked_shares, template
from engine.ledger.chain import Address
from engine.ledger.knowledge import rows_of
from reasoners.vocab import DAPPI

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Needs:
    """`without`: (requirement, kinds) that no template takes. `members`, `witnesses`: accounts the graph knows."""

    application: str
    contracts: tuple[Needed, ...]
    without: tuple[tuple[str, str], ...]
    members: tuple[str, ...]
    witnesses: tuple[str, ...]

    def only(self, templates: Sequence[str] = (), requirements: Sequence[str] = ()) -> Needs:
        """Those asked for by template or requirement; InputError for a requirement that has no template."""
        for name in templates:
            template(name)
        covered = {r for n in self.contracts for r in n.requirements}
        kinds = dict(self.without)
        for requirement in requirements:
            if requirement in covered:
                continue
            if requirement not in kinds:
                raise InputError(
                    "no requirement of this application", place=requirement, remedy="see `dappops contract templates`"
                )
            raise InputError(
                f"no template for this requirement ({kinds[requirement]})", place=requirement,
                rule="; ".join(f"{t.name}: {t.about}" for t in TEMPLATES.values()),
                remedy="write a contract and a view contract-<name>.rq for it, or keep it without a chain",
            )  # fmt: skip
        asked = [
            n for n in self.contracts
            if (not templates or n.template in templates) and (not requirements or {*n.requirements} & {*requirements})
        ]  # fmt: skip
        if not asked:
            raise InputError(
                "no requirement of this application calls for a contract", place=self.application,
                rule="; ".join(f"{t.name}: {t.about}" for t in TEMPLATES.values()),
                remedy="see `dappops contract templates` for what calls for which",
            )  # fmt: skip
        return replace(self, contracts=tuple(asked))

    def group(
        self,
        needed: Needed,
        author: str,
        *,
        members: Sequence[str] = (),
        guardians: Sequence[str] = (),
        operators: Sequence[str] = (),
        quorum: int = 0,
    ) -> Group:
        """Who decides and who works: as given, else as the graph says, else the node itself."""
        work = operators or (self.witnesses if needed.template == "ReadingLog" else ()) or (author,)
        return Group(
            members=tuple(Address(a) for a in members or self.members or (author,)),
            operators=tuple(Address(a) for a in work), guardians=tuple(Address(a) for a in guardians), quorum=quorum,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "application": self.application, "contracts": [n.as_json() for n in self.contracts],
            "without": [{"requirement": r, "kind": k} for r, k in self.without],
            "members": list(self.members), "witnesses": list(self.witnesses),
        }  # fmt: skip


def needs(kb: KnowledgeBase, application: str, *, shares: Sequence[tuple[str, int]] = ()) -> Needs:
    """What an application calls for. `shares` (account, share) stand in for what the graph does not say."""
    rows = {name: rows_of(kb, t.view, application=application) for name, t in TEMPLATES.items()}
    makers: dict[str, Callable[[Sequence[Row]], Needed]] = {
        "DigestLog": lambda found: _plain(found, "DigestLog"), "ConsentRegister": _consents, "ReadingLog": _readings,
        "RevenueShare": lambda found: _shares(found, shares),
    }  # fmt: skip
    contracts = tuple(makers[name](found) for name, found in rows.items() if found)
    covered = {r for n in contracts for r in n.requirements}
    kinds: dict[str, list[str]] = {}
    for row in rows_of(kb, "contract-requirements", application=application):
        if row["requirement"] not in covered:
            kinds.setdefault(row["requirement"], []).append(row["kind"].rpartition("#")[2])
    group = rows_of(kb, "contract-group", application=application)
    accounts = {
        part: tuple(_distinct(r["account"] for r in group if r["part"] == part)) for part in ("member", "witness")
    }
    notes = [] if accounts["member"] else ["no participant has an account: this node alone decides over it"]
    if not accounts["witness"]:
        told = "no witness has an account: this node alone attests readings"
        contracts = tuple(replace(n, notes=(*n.notes, told)) if n.template == "ReadingLog" else n for n in contracts)
    return Needs(
        application,
        tuple(replace(n, notes=(*notes, *n.notes)) for n in contracts),
        tuple((r, ", ".join(sorted({*k} - {"Requirement"}) or k)) for r, k in sorted(kinds.items())),
        accounts["member"],
        accounts["witness"],
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _plain(rows: Sequence[Row], name: str) -> Needed:
    rates = {r["subject"]: float(r["rate"]) for r in rows if "rate" in r and "subject" in r}
    return Needed(
        name, tuple(_distinct(r["requirement"] for r in rows)), tuple(_distinct(r["why"] for r in rows)),
        rate=sum(rates.values()) if rates else None,
    )  # fmt: skip


def _consents(rows: Sequence[Row]) -> Needed:
    days = [Decimal(r["days"]) for r in rows if "days" in r]
    made = _plain(rows, "ConsentRegister")
    # the shortest period binds: a consent that outlives it would outlive the data's
    return replace(made, longest_s=int(min(days) * DAY_S)) if days else made


def _readings(rows: Sequence[Row]) -> Needed:
    series: dict[tuple[str, str], Series] = {}
    for row in rows:
        key, bound = (row["subject"], row["metric"]), Decimal(row["bound"])
        found = series.get(key, Series(*key))
        if row["operator"] == DAPPI.AtLeast.value:
            found = replace(found, lowest=bound if found.lowest is None else max(bound, found.lowest))
        else:
            found = replace(found, highest=bound if found.highest is None else min(bound, found.highest))
        series[key] = found
    return replace(_plain(rows, "ReadingLog"), series=tuple(series[k] for k in sorted(series)))


def _shares(rows: Sequence[Row], given: Sequence[tuple[str, int]]) -> Needed:
    made = _plain(rows, "RevenueShare")
    if given:
        return replace(made, shares=checked_shares(given))
    accounts = _distinct(r["account"] for r in rows if "account" in r)
    without = _distinct(r["payee"] for r in rows if "account" not in r)
    if without:
        names = ", ".join(p.rpartition("/")[2] for p in without)
        missing = f"where {names} get paid: state dapp:account of each, or give --share ACCOUNT=PART"
        return replace(made, missing=missing)
    return replace(made, shares=checked_shares([(a, 1) for a in accounts]), notes=("equal shares, as none are stated",))
