"""What becomes of a deployed contract: how it is and what it cost, paused, patched, handed over to a successor.

Pausing is one guardian's or member's act; everything else needs the members' agreement (`agreed.py`). The graph follows the
chain: a patch changes the digest that the graph states, a handed over contract fulfils nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, did_you_mean
from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger.application import merkle
from engine.ledger.application.agreed import MIGRATE, PATCH, UNPAUSE, Agreement, gather
from engine.ledger.application.deploy import put, put_logic, record
from engine.ledger.application.needs import Needs
from engine.ledger.application.templates import ZERO, Group, Needed, Origin
from engine.ledger.chain import Address, Inclusion, lower
from engine.ledger.contracts import Contract, interface
from engine.ledger.home import Connected
from engine.ledger.knowledge import rows_of
from engine.ledger.naming.statements import GRAPH, ledger_iri

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

DAILY = {  # event of a daily call -> function that tells it
    "BatchLogged": "append", "ConsentGranted": "grant", "ConsentWithdrawn": "withdraw", "ReadingAttested": "attest",
    "PaymentReceived": "pay", "PaymentReleased": "release",
}  # fmt: skip
MOST_ASKED = 200  # transactions whose real gas is asked for


@dataclass(frozen=True, slots=True)
class Known:
    """A contract that the graph knows."""

    iri: str
    application: str
    template: str
    address: Address
    ledger: str
    digest: str
    requirements: tuple[str, ...]


def known(kb: KnowledgeBase, application: str = "") -> list[Known]:
    """Contracts of an application, or of all."""
    rows = rows_of(kb, "contract-deployed", application=application)
    found: dict[str, Known] = {}
    for row in rows:
        one = found.get(row["contract"]) or Known(
            row["contract"], row["application"], row["template"], lower(row["address"]), row["ledger"],
            row.get("digest", ""), (),
        )  # fmt: skip
        if "requirement" in row:
            one = replace(one, requirements=(*one.requirements, row["requirement"]))
        found[row["contract"]] = one
    return list(found.values())


def pick(kb: KnowledgeBase, connected: Connected, text: str) -> Known:
    """A contract on this chain by address, IRI or template; InputError names those there are."""
    ledger = ledger_iri(kb.graph_iri(GRAPH), connected.record.name)
    here = [k for k in known(kb) if k.ledger == ledger]
    live = [k for k in here if k.requirements] or here
    found = [k for k in here if text.lower() in (k.address, k.iri.lower())] or [k for k in live if k.template == text]
    if len(found) == 1:
        return found[0]
    names = [k.template for k in live]
    shown = ", ".join(f"{k.template} {k.address}" for k in here) or "none"
    why = f"{len(found)} contracts are called {text!r}" if found else f"no contract {text!r}{did_you_mean(text, names)}"
    raise InputError(why, place=f"chain {connected.record.name}", remedy=f"give an address: {shown}")


def bound(connected: Connected, one: Known) -> Contract:
    """The binding of a known contract."""
    return Contract(connected.chain, one.address, one.template)


# -- how it is -------------------------------------------------------------------------------------------------------
def status(connected: Connected, one: Known) -> dict[str, Any]:
    """What the chain says of a contract now, and the mean gas of each daily function really used."""
    contract = bound(connected, one)
    chain_id, successor, root = contract.call("successor")
    origin = contract.call("origin")
    return {
        "iri": one.iri, "application": one.application, "template": one.template, "address": one.address,
        "requirements": list(one.requirements), "paused": contract.call("paused"),
        "implementation": contract.call("implementation"), "nonce": contract.call("nonce"),
        "quorum": contract.call("quorum"), "operator_quorum": contract.call("operatorQuorum"),
        "successor": None if successor == ZERO else {"chain_id": chain_id, "address": successor, "state_root": "0x" + root.hex()},
        "predecessor": None if origin[1] == ZERO else {"chain_id": origin[0], "address": origin[1], "state_root": "0x" + origin[2].hex()},
        "used": used(contract),
    }  # fmt: skip


def used(contract: Contract) -> dict[str, dict[str, Any]]:
    """Calls counted by their events, with the mean gas of the latest ones."""
    found = interface(contract.name)
    by_call: dict[str, list[bytes]] = {}
    for log in contract.chain.logs(contract.address):
        event = found.event(log)
        if event is not None and event.name in DAILY:
            by_call.setdefault(DAILY[event.name], []).append(log.transaction)
    report: dict[str, dict[str, Any]] = {}
    for function, transactions in sorted(by_call.items()):
        seen = [contract.chain.included(t) for t in dict.fromkeys(transactions[-MOST_ASKED:])]
        gas = [i.gas_used for i in seen if i is not None]
        report[function] = {"calls": len(transactions), "mean_gas": round(sum(gas) / len(gas)) if gas else None}
    return report


def state_root(contract: Contract) -> bytes:
    """The root over everything a contract ever told, in order: what members sign when they hand it over."""
    logs = contract.chain.logs(contract.address)
    return merkle.root([keccak256(b"".join(log.topics) + log.data) for log in logs])


# -- acts ------------------------------------------------------------------------------------------------------------
def pause(kb: KnowledgeBase, connected: Connected, one: Known) -> Inclusion:
    """Stop daily work, with the first key here that may."""
    contract = bound(connected, one)
    mine = _keys(kb).addresses()
    order = [kb.author, *(a for a in mine if a != kb.author)]
    for address in order:
        if contract.call("isGuardian", address) or contract.call("isMember", address):
            return contract.send(address, "pause")
    raise InputError(
        "no key here may pause it", place=one.address, rule="a guardian or a member", remedy="ask one of them"
    )


def unpause(
    kb: KnowledgeBase, connected: Connected, one: Known, *, signatures: Sequence[bytes] = (), sign_only: bool = False
) -> Agreement | Inclusion:
    """Let it work again, by agreement."""
    contract = bound(connected, one)
    values = (int(contract.call("nonce")),)
    agreement = gather(contract, _keys(kb), UNPAUSE, values, signatures)
    return agreement if sign_only else contract.send(kb.author, "unpause", agreement.enough())


def patch(
    kb: KnowledgeBase,
    connected: Connected,
    one: Known,
    *,
    implementation: str | None = None,
    call: bytes = b"",
    signatures: Sequence[bytes] = (),
    sign_only: bool = False,
) -> Agreement | Inclusion:
    """Another logic behind the same address, by agreement. Without `implementation`: the template's version shipped here.

    InputError when it has that logic already.
    """
    contract = bound(connected, one)
    logic = lower(implementation) if implementation else put_logic(kb, connected, one.template)[0]
    if not connected.chain.code(logic):
        raise InputError("there is no contract at this address", place=logic, remedy="deploy the logic first")
    if contract.call("implementation") == logic and not call:
        raise InputError("it has this logic already", place=one.address, rule=logic)
    values = (logic, keccak256(call), int(contract.call("nonce")))
    agreement = gather(contract, _keys(kb), PATCH, values, signatures)
    if sign_only:
        return agreement
    done = contract.send(kb.author, "patch", logic, call, agreement.enough())
    if implementation is None:
        record(kb, connected, one.application, one.template, one.address, one.requirements)
    return done


@dataclass(frozen=True, slots=True)
class Successor:
    """Where a contract goes: a contract that waits there, and the state it takes over."""

    chain_id: int
    address: Address
    state_root: bytes


def succeed(
    kb: KnowledgeBase, connected: Connected, one: Known, needs: Needs, group: Group, there: Connected | None = None
) -> Successor:
    """Deploy a successor, on this chain or on another, initialised from the application's description as it is now."""
    to = there or connected
    contract = bound(connected, one)
    needed = _needed(needs, one.template)
    root = state_root(contract)
    here = to.chain.chain_id == connected.chain.chain_id
    # on its own chain the successor waits for the old one, reads the root there, and goes on with its state
    origin = Origin(connected.chain.chain_id, one.address, bytes(32) if here else root)
    address, _, _ = put(kb, to, needed, group, origin)
    return Successor(to.chain.chain_id, address, root)


def migrate(
    kb: KnowledgeBase,
    connected: Connected,
    one: Known,
    successor: Successor,
    *,
    there: Connected | None = None,
    signatures: Sequence[bytes] = (),
    sign_only: bool = False,
) -> Agreement | Inclusion:
    """Freeze it and point to its successor, by agreement; a successor on the same chain takes over at once."""
    contract = bound(connected, one)
    to = (successor.chain_id, successor.address, successor.state_root)
    values = (*to, int(contract.call("nonce")))
    agreement = gather(contract, _keys(kb), MIGRATE, values, signatures)
    if sign_only:
        return agreement
    enough = agreement.enough()
    if state_root(contract) != successor.state_root:
        raise InputError(
            "the contract went on since its successor was made", place=one.address, rule="members sign the root of its history",
            remedy="pause it first, then migrate",
        )  # fmt: skip
    done = contract.send(kb.author, "migrate", *to, enough)
    if successor.chain_id == connected.chain.chain_id:
        Contract(connected.chain, successor.address, one.template).send(kb.author, "takeOver")
    record(kb, there or connected, one.application, one.template, successor.address, one.requirements)
    record(kb, connected, one.application, one.template, one.address, ())
    return done


def compared(report: Mapping[str, Any], forecast_calls: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Mean gas really used beside the forecast's, with the error of the forecast."""
    found: dict[str, dict[str, Any]] = {}
    for function, seen in report["used"].items():
        told = forecast_calls.get(function)
        mean = seen["mean_gas"]
        error = None if told is None or mean is None else mean / told - 1
        found[function] = {**seen, "forecast_gas": told, "forecast_error": error}
    return found


def _needed(needs: Needs, template: str) -> Needed:
    for needed in needs.contracts:
        if needed.template == template:
            if needed.missing:
                raise InputError(f"{template} cannot be deployed", place=needs.application, rule=needed.missing)
            return needed
    raise InputError(
        f"the application's description calls for no {template} any more", place=needs.application,
        remedy="pause the contract instead",
    )  # fmt: skip


def _keys(kb: KnowledgeBase) -> KeyRing:
    assert kb.home is not None
    return KeyRing(kb.home / "keys")
