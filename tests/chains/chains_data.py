"""Invented ledgers with measured profiles, an application with kinds of transactions, and the shipped rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox

from reasoners.derive import Rule
from reasoners.derive.rule import rules_from_files
from reasoners.graph import Term, View, memory_view
from reasoners.ledger import Choice, Options, choose
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VIEWS = {p.stem: p.read_text() for p in sorted((ROOT / "queries/views").glob("ledger-*.rq"))}
SHIPPED = rules_from_files((p.stem, p.read_text()) for p in (ROOT / "queries/rules").glob("ledger-*.rq"))
BASE = "https://w3id.org/dappops/g/0x" + "cd" * 20
EX = "https://example.org/"


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{BASE}/world/{name}")


def ex(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def dec(value: float | str) -> ox.Literal:
    return ox.Literal(str(value), datatype=XSD.decimal)


def literal(value: object) -> Term:
    if isinstance(value, (ox.NamedNode, ox.Literal)):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return dec(str(value))
    return ox.Literal(str(value))


PROFILE = {
    "transactionThroughput": 50,
    "inclusionTime": Decimal("0.01"),
    "finalityTime": Decimal("0.01"),
    "transactionCost": 0,
}


@dataclass
class World:
    """An application `app` with the types that `kind` adds, and ledgers."""

    triples: list[ox.Triple] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = self.add(node("app"), RDF.type, DAPP.QualityCriticalApplication)

    def add(self, subject: ox.NamedNode, predicate: ox.NamedNode, *values: object) -> ox.NamedNode:
        self.triples += [ox.Triple(subject, predicate, literal(v)) for v in values]
        return subject

    def kind(self, name: str) -> ox.NamedNode:
        made = self.add(node(name), RDF.type, DAPP.TransactionType)
        self.add(self.app, DAPP.hasTransactionType, made)
        return self.add(made, RDFS.label, name)

    def demand(self, scope: ox.NamedNode, metric: str, operator: str, bound: object, **more: object) -> ox.NamedNode:
        made = node(f"{scope.value.rsplit('/', 1)[-1]}-{metric}-{operator}")
        self.add(made, RDF.type, DAPP.LedgerRequirement)
        self.add(scope, DAPP.hasRequirement, made)
        self.add(made, DAPP.constrains, DAPPI(metric))
        self.add(made, DAPP.operator, DAPPI(operator))
        self.add(made, DAPP.bound, bound)
        for name, value in more.items():
            self.add(made, DAPP(name), value)
        return made

    def ledger(
        self, name: str, *, signers: int | None = 0, at: datetime | None = NOW, **measured: object
    ) -> ox.NamedNode:
        made = self.add(node(name), RDF.type, DAPP.Ledger)
        self.add(made, RDFS.label, name)
        if signers is not None:
            self.add(made, DAPP.coSignerCount, ox.Literal(signers))
        if at is not None:
            profile = self.add(node(f"{name}/profile"), RDF.type, DAPP.LedgerProfile)
            self.add(made, DAPP.hasLedgerProfile, profile)
            moment = at.isoformat().replace("+00:00", "Z")
            self.add(profile, DAPP.atTime, ox.Literal(moment, datatype=XSD.dateTime))
            for key, value in {**PROFILE, **measured}.items():
                if value is not None:
                    self.add(profile, DAPP(key), value)
        return made

    def view(self) -> View:
        return memory_view([*self.triples, *METRICS])

    def choose(self, rules: Sequence[Rule] = SHIPPED, options: Options | None = None) -> Choice:
        return choose(self.view(), self.app, rules, options, views=VIEWS, now=NOW)


def _metrics() -> list[ox.Triple]:
    parsed = ox.parse(path=ROOT / "ontology/individuals.ttl", format=ox.RdfFormat.TURTLE)
    return [q.triple for q in parsed if q.predicate in (DAPP.ledgerProperty, RDFS.label)]


METRICS = _metrics()


def chosen(choice: Choice) -> dict[str, str | None]:
    """Local name of each scope -> local name of its ledger."""
    return {s.value.rsplit("/", 1)[-1]: x.value.rsplit("/", 1)[-1] if x else None for s, x in choice.chosen}


def rule(text: str, *, weight: float = 1.0, purpose: str = "ledger") -> Rule:
    """A rule that nobody shipped."""
    prefixes = f"PREFIX dapp: <{DAPP.iri}>\nPREFIX dappi: <{DAPPI.iri}>\nPREFIX ex: <{EX}>\n"
    heads = frozenset(DAPP(h).value for h in ("excludedFor", "discouragedFor") if f"dapp:{h}" in text)
    return Rule(node("held-out"), prefixes + text, heads, purpose=purpose, weight=Decimal(str(weight)))
