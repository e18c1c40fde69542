"""Contracts on the chain and in the graph: logic once a chain, a proxy for each application, triples in the graph `ledger`.

A proxy is initialised in its constructor, so a deployment is whole or not there. When the graph could not be written, the
same command finds nothing in the graph and deploys anew: an orphan on the chain holds nothing and belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.ledger import home
from engine.ledger.application.forecast import (
    PROXY,
    Fees,
    Forecast,
    create,
    forecast,
    initialisation,
    logic_name,
)
from engine.ledger.application.needs import Needs
from engine.ledger.application.templates import NOWHERE, Group, Needed, Origin
from engine.ledger.chain import Address
from engine.ledger.contracts import artifact
from engine.ledger.home import Connected
from engine.ledger.knowledge import rows_of
from engine.ledger.naming.statements import GRAPH, ledger_iri
from reasoners.vocab import DAPP, RDF

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase


@dataclass(frozen=True, slots=True)
class Deployed:
    """A contract made. Gas really used and fees really paid (wei), beside the forecast's."""

    template: str
    iri: str
    address: Address
    requirements: tuple[str, ...]
    gas: int
    fee: int
    forecast: Fees | None

    @property
    def error(self) -> float | None:
        """(used - forecast) / forecast of the gas; None without a forecast."""
        return None if self.forecast is None else self.gas / self.forecast.deployment() - 1

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "template": self.template, "iri": self.iri, "address": self.address,
            "requirements": list(self.requirements), "gas": self.gas, "fee_wei": str(self.fee),
            "forecast_gas": None if self.forecast is None else self.forecast.deployment(), "forecast_error": self.error,
        }  # fmt: skip


def contract_iri(graph: str, chain: str, address: str) -> str:
    """IRI of a contract in a graph."""
    return f"{graph}/contract/{chain}/{address}"


def deploy(
    kb: KnowledgeBase,
    connected: Connected,
    needs: Needs,
    groups: Mapping[str, Group],
    *,
    priced: Forecast | None = None,
) -> list[Deployed]:
    """Deploy what is needed and complete, and say so in the graph. InputError when one of them is there already.

    Without `priced` the forecast is made here first.
    """
    assert kb.home is not None
    wanted = [n for n in needs.contracts if not n.missing]
    if not wanted:
        [first, *_] = needs.contracts
        raise InputError(f"{first.template} cannot be deployed yet", place=needs.application, rule=first.missing)
    ledger = ledger_iri(kb.graph_iri(GRAPH), connected.record.name)
    there = {
        r["template"]: r["address"]
        for r in rows_of(kb, "contract-deployed", application=needs.application)
        if r["ledger"] == ledger and "requirement" in r
    }
    for needed in wanted:
        if needed.template in there:
            raise InputError(
                f"this application has its {needed.template} on chain {connected.record.name}",
                place=there[needed.template], remedy="patch or migrate it, or choose others with --template",
            )  # fmt: skip
    priced = priced or forecast(connected, needs, groups, kb.author)
    return [_deploy(kb, connected, needs.application, n, groups[n.template], priced.of(n.template)) for n in wanted]


def _deploy(
    kb: KnowledgeBase, connected: Connected, application: str, needed: Needed, group: Group, fees: Fees
) -> Deployed:
    address, gas, fee = put(kb, connected, needed, group)
    iri = record(kb, connected, application, needed.template, address, needed.requirements)
    return Deployed(needed.template, iri, address, needed.requirements, gas, fee, fees)


def put(
    kb: KnowledgeBase, connected: Connected, needed: Needed, group: Group, origin: Origin = NOWHERE
) -> tuple[Address, int, int]:
    """Logic where it is not there yet, and a proxy. Its address, gas used, fee in wei."""
    logic, gas, fee = put_logic(kb, connected, needed.template)
    call = initialisation(needed, group, origin)
    address, done = create(connected.chain, kb.author, PROXY, (logic, call))
    return address, gas + done.gas_used, fee + int(done.fee)


def put_logic(kb: KnowledgeBase, connected: Connected, template: str) -> tuple[Address, int, int]:
    """The address of this version of a template's logic on the chain, with gas and fee when it had to be deployed."""
    assert kb.home is not None
    name = logic_name(template)
    known = home.record(kb.home, connected.record.name).contracts.get(name)
    if known is not None and connected.chain.code(known):
        return known, 0, 0
    address, done = create(connected.chain, kb.author, template, ())
    home.remember(kb.home, connected.record.name, {name: address})
    return address, done.gas_used, int(done.fee)


def record(
    kb: KnowledgeBase, connected: Connected, application: str, template: str, address: str, requirements: Sequence[str]
) -> str:
    """Let the graph `ledger` say of a contract what is so now; its IRI. Requirements: none once it was handed over."""
    graph = kb.graph_iri(GRAPH)
    iri = contract_iri(graph, connected.record.name, address)
    me = ox.NamedNode(iri)
    wanted = {
        ox.Triple(me, RDF.type, DAPP.ApplicationContract),
        ox.Triple(me, DAPP.contractName, ox.Literal(template)),
        ox.Triple(me, DAPP.contractAddress, ox.Literal(address)),
        ox.Triple(me, DAPP.onLedger, ox.NamedNode(ledger_iri(graph, connected.record.name))),
        ox.Triple(me, DAPP.ofApplication, ox.NamedNode(application)),
        ox.Triple(me, DAPP.abiDigest, ox.Literal(artifact(template).digest.hex())),
        *(ox.Triple(me, DAPP.fulfils, ox.NamedNode(r)) for r in requirements),
    }
    there = {quad.triple for quad in kb.quads(me, graph=graph)}
    if wanted != there:
        kb.commit(
            graph, sorted(wanted - there, key=str), sorted(there - wanted, key=str), message=f"{template} at {address}"
        )
    return iri
