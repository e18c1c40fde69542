"""What the agreement contract told, brought back as triples: events when they are in a block, settlements when that is final.

Events of a block that is no longer in the chain are taken back, with what rests on them, in the same transaction that states
what took their place. Where it stands follows from the graph itself: the newest block whose stated hash the chain still has,
so a repeated call, a crash in between or a lost file changes nothing. Reputation reads settlements only, and those are said
of final blocks only, so a reorganisation that the chain allows never touches it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import BusyError, DappopsError, InputError
from engine.ledger.agreements.evidence import local
from engine.ledger.agreements.lifecycle import GRAPH as AGREEMENTS
from engine.ledger.agreements.model import Version, moment
from engine.ledger.agreements.typed import Terms
from engine.ledger.agreements.versions import chain_of, contract_terms
from engine.ledger.contracts import Contract, Event, interface
from engine.ledger.home import Connected
from engine.ledger.knowledge import rows_of
from engine.ledger.money import to_tokens
from engine.ledger.naming.statements import ledger_iri
from reasoners.vocab import DAPP, DAPPI, RDF

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

GRAPH = "ledger"
ENDS = {
    "AgreementSettled": None,  # its own verdict says which
    "AgreementExpired": DAPPI.AgreementExpired,
    "AgreementCancelled": DAPPI.AgreementCancelled,
}
TRIES = 5  # a chain may move while it is read
SPAN = 2_000  # blocks asked for at once: public nodes refuse more


@dataclass(slots=True)
class Followed:
    """What one look at a chain changed. `pending`: ends of agreements that are in a block which is not yet final."""

    new: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    settlements: list[str] = field(default_factory=list)
    pending: int = 0
    block: int = 0
    final: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "new": self.new, "withdrawn": self.withdrawn, "settlements": self.settlements, "pending": self.pending,
            "block": self.block, "final": self.final,
        }  # fmt: skip


def follow(kb: KnowledgeBase, connected: Connected | None = None, *, author: str | None = None) -> Followed:
    """Bring the graphs `ledger` and `agreements` of the author to what the chain says now. Idempotent.

    BusyError when the chain moves faster than it can be read.
    """
    connected = connected or chain_of(kb)
    for _ in range(TRIES):
        found = _look(kb, connected, (author or kb.author).lower())
        if found is not None:
            return found
    raise BusyError("the chain moved while it was read", place=f"chain {connected.record.name}", remedy="try again")


def _look(kb: KnowledgeBase, connected: Connected, author: str) -> Followed | None:
    chain, contract = connected.chain, connected.contract("ServiceAgreement")
    head = chain.header()
    graph, agreements = kb.graph_iri(GRAPH, author), kb.graph_iri(AGREEMENTS, author)
    ledger = ox.NamedNode(ledger_iri(graph, connected.record.name))
    stated = [r for r in rows_of(kb, "sla-events", ledger=ledger.value) if r["event"].startswith(f"{graph}/")]
    good = _common(connected, {(int(r["block"]), r["hash"]) for r in stated}, head.number)
    orphans = sorted(r["event"] for r in stated if int(r["block"]) > good or int(r["block"]) > head.number)
    mark = Mark(connected.record.folder / f"agreements-{author}.json", contract.address)
    first = min(mark.block(connected, len(stated)) + 1, head.number + 1)
    if orphans:
        first = min(first, good + 1)
    logs = [
        log
        for start in range(first, head.number + 1, SPAN)
        for log in chain.logs(contract.address, first=start, last=min(start + SPAN - 1, head.number))
    ]
    final = min(chain.final(), head.number)
    events = [e for log in logs if (e := interface("ServiceAgreement").event(log)) is not None]
    versions = known_versions(kb, connected.record.chain_id, contract.address)
    told = {r["event"] for r in stated} - set(orphans)
    added: list[ox.Triple] = []
    result = Followed(withdrawn=orphans, block=head.number, final=final)
    for event in events:
        node = event_node(graph, connected.record.name, event)
        if node.value not in told:
            result.new.append(node.value)
            told.add(node.value)
            added += event_triples(node, ledger, contract, event, versions, connected.record.kind)
    for row in stated:  # a version that came to be known later than its event
        version = versions.get(row.get("identifier", ""))
        if "version" not in row and version is not None and row["event"] not in orphans:
            added.append(ox.Triple(ox.NamedNode(row["event"]), DAPP.forAgreement, ox.NamedNode(version[0].iri)))
    gone = set(orphans)
    ends = {
        r["identifier"]: (r["kind"], int(r["block"]))
        for r in stated
        if r["kind"] in ENDS and r["event"] not in gone and "identifier" in r
    }
    ends.update({bytes(e.args["agreement"]).hex(): (e.name, e.log.block) for e in events if e.name in ENDS})
    removed = [q.triple for o in orphans for q in kb.quads(ox.NamedNode(o), graph=graph)]
    changes = {graph: (removed, added)} if removed or added else {}
    ended, dropped = _ends(kb, contract, graph, agreements, connected, versions, final, ends, gone, result)
    if ended or dropped:
        changes[agreements] = (dropped, ended)
    if chain.header(head.number).hash != head.hash:
        return None
    if changes:
        kb.commit_all(changes, author=author, message=f"chain {connected.record.name} up to block {head.number}")
    mark.put(head.number, head.hash, len(told))
    return result


def _common(connected: Connected, stated: Iterable[tuple[int, str]], head: int) -> int:
    """The newest block with a stated event that the chain still has: everything up to it is as it was. -1: none."""
    for number, hash_ in sorted(stated, reverse=True):
        if number <= head and connected.chain.header(number).hash.hex() == hash_.removeprefix("0x"):
            return number
    return -1


class Mark:
    """How far a chain was read, so that it is not read from the start each time. It may be lost: then it is."""

    def __init__(self, path: Path, contract: str) -> None:
        self.path, self.contract = path, contract

    def block(self, connected: Connected, stated: int) -> int:
        """The block up to which everything was read, if the chain still has it and the graph its events; else -1."""
        try:
            body = json.loads(self.path.read_text(encoding="utf-8"))
            number = int(body["block"])
            same = (
                body["contract"] == self.contract
                and body["events"] <= stated
                and connected.chain.header(number).hash.hex() == body["hash"]
            )
        except (OSError, ValueError, KeyError, InputError):
            return -1
        return number if same else -1

    def put(self, number: int, hash_: bytes, events: int) -> None:
        """Keep it, with how many events the graph then had."""
        draft = self.path.with_suffix(f".{os.getpid()}")
        body = {"block": number, "hash": hash_.hex(), "contract": self.contract, "events": events}
        draft.write_text(json.dumps(body), encoding="utf-8")
        draft.replace(self.path)


# -- versions --------------------------------------------------------------------------------------------------------
Known = dict[str, tuple[Version, Terms]]
_cache: dict[tuple[str, str], tuple[Version, Terms]] = {}  # a version never changes


def known_versions(kb: KnowledgeBase, chain_id: int, contract: str) -> Known:
    """On-chain identifier (hex) -> version and terms, of every version in the graph that can be opened there."""
    found: Known = {}
    for iri in dict.fromkeys(r["version"] for r in rows_of(kb, "sla-versions")):
        key = (str(kb.home), iri)
        if key not in _cache:
            try:
                _cache[key] = contract_terms(kb, iri)
            except DappopsError:
                continue  # a text that no contract takes: never signed, so never opened
        version, terms = _cache[key]
        if version.chain_id == chain_id and version.contract == contract:
            found[terms.identifier.hex()] = (version, terms)
    return found


# -- events ----------------------------------------------------------------------------------------------------------
def event_node(graph: str, chain: str, event: Event) -> ox.NamedNode:
    """One node for each event in each block: after a reorganisation the same event is another one."""
    return ox.NamedNode(f"{graph}/{chain}-{event.log.block_hash.hex()[:24]}-{event.log.index}")


def event_triples(
    node: ox.NamedNode, ledger: ox.NamedNode, contract: Contract, event: Event, versions: Known, kind: str
) -> list[ox.Triple]:
    """What the graph says of an event."""
    args, log = event.args, event.log
    emitter = ox.NamedNode(f"{ledger.value}-{contract.address}")
    pairs: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.LedgerEvent),
        (DAPP.eventKind, ox.Literal(event.name)),
        (DAPP.onLedger, ledger),
        (DAPP.emittedBy, emitter),
        (DAPP.blockNumber, ox.Literal(log.block)),
        (DAPP.blockHash, ox.Literal(log.block_hash.hex())),
        (DAPP.transactionHash, ox.Literal(log.transaction.hex())),
        (DAPP.logIndex, ox.Literal(log.index)),
    ]
    if "agreement" in args:
        identifier = bytes(args["agreement"]).hex()
        pairs.append((DAPP.onChainIdentifier, ox.Literal(identifier)))
        if identifier in versions:
            pairs.append((DAPP.forAgreement, ox.NamedNode(versions[identifier][0].iri)))
    account = args.get("witness") or args.get("account")
    if account:
        pairs.append((DAPP.account, ox.Literal(str(account).lower())))
    amount = args.get("amount", args.get("paid"))
    if amount is not None:
        pairs.append((DAPP.pays, to_tokens(int(amount), exact=False)))
    if "violated" in args:
        pairs.append((DAPP.foundViolated, ox.Literal(bool(args["violated"]))))
    return [
        *(ox.Triple(node, p, o) for p, o in pairs),
        ox.Triple(ledger, RDF.type, DAPP.Ledger),
        ox.Triple(ledger, DAPP.chainIdentifier, ox.Literal(contract.chain.chain_id)),
        ox.Triple(ledger, DAPP.ledgerKind, ox.Literal(kind)),
        ox.Triple(emitter, RDF.type, DAPP.SmartContract),
        ox.Triple(emitter, DAPP.contractName, ox.Literal(contract.name)),
        ox.Triple(emitter, DAPP.contractAddress, ox.Literal(str(contract.address))),
        ox.Triple(emitter, DAPP.onLedger, ledger),
    ]


# -- settlements -----------------------------------------------------------------------------------------------------
def settlement_node(agreements: str, identifier: str) -> ox.NamedNode:
    """One node for the end of each agreement."""
    return ox.NamedNode(f"{agreements}/settlement-{identifier[:24]}")


def _ends(
    kb: KnowledgeBase, contract: Contract, graph: str, agreements: str, connected: Connected, versions: Known, final: int,
    ends: dict[str, tuple[str, int]], gone: set[str], result: Followed,
) -> tuple[list[ox.Triple], list[ox.Triple]]:  # fmt: skip
    """(added, removed) statements on ends of agreements: those in final blocks, less what rests on withdrawn events."""
    held = {
        str(q.subject.value): str(q.object.value)  # type: ignore[union-attr]
        for q in kb.quads(None, DAPP.restsOn, None, graph=agreements)
        if str(q.subject).startswith(f"<{agreements}/settlement-") and str(q.object).startswith(f"<{graph}/")
    }
    removed = [
        q.triple
        for settlement, event in held.items()
        if event in gone
        for q in kb.quads(ox.NamedNode(settlement), graph=agreements)
    ]
    standing = {settlement for settlement, event in held.items() if event not in gone}
    added: list[ox.Triple] = []
    for identifier, (version, terms) in versions.items():
        node = settlement_node(agreements, identifier)
        if node.value in standing:
            continue
        kind, block = ends.get(identifier, ("", 0))
        if not kind:
            continue
        if block > final:
            result.pending += 1
            continue
        told = contract.events(kind, first=block, last=block, agreement=bytes.fromhex(identifier))
        if not told:
            continue  # the chain moved; the caller sees it and looks again
        end = told[-1]
        at = connected.chain.header(block).time
        event = event_node(graph, connected.record.name, end)
        added += settlement_triples(node, version, terms, event, end, at, _voters(kb, contract, version, end))
        result.settlements.append(node.value)
    return added, removed


def _voters(kb: KnowledgeBase, contract: Contract, version: Version, end: Event) -> list[str]:
    """Votes in the graph that the chain counted."""
    if end.name != "AgreementSettled":
        return []
    counted = contract.events("VoteCounted", first=end.log.block, last=end.log.block, agreement=end.args["agreement"])
    accounts = {str(e.args["witness"]).lower() for e in counted}
    base = {e.witness: e.account for e in version.engagements}
    rows = rows_of(kb, "sla-votes", version=version.iri)
    return sorted({r["vote"] for r in rows if base.get(r["witness"]) in accounts and local(version) in r["vote"]})


def settlement_triples(
    node: ox.NamedNode, version: Version, terms: Terms, event: ox.NamedNode, end: Event, at: int, votes: Iterable[str]
) -> list[ox.Triple]:
    """What the graph says of the end of an agreement."""
    pairs: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.Settlement),
        (DAPP.forAgreement, ox.NamedNode(version.iri)),
        (DAPP.onChainIdentifier, ox.Literal(terms.identifier.hex())),
        (DAPP.settledAt, moment(at)),
        (DAPP.restsOn, event),
        *((DAPP.restsOn, ox.NamedNode(vote)) for vote in votes),
    ]
    if end.name == "AgreementSettled":
        violated = bool(end.args["violated"])
        pairs += [
            (DAPP.agreementState, DAPPI.AgreementViolated if violated else DAPPI.AgreementKept),
            (DAPP.foundViolated, ox.Literal(violated)),
            (DAPP.pays, to_tokens(int(end.args["paid"]), exact=False)),
            (DAPP.paidTo, ox.NamedNode(version.consumer if violated else version.provider)),
        ]
    else:
        state = ENDS[end.name]
        assert state is not None
        pairs.append((DAPP.agreementState, state))
    return [ox.Triple(node, p, o) for p, o in pairs]


__all__ = ["Followed", "event_node", "event_triples", "follow", "known_versions", "settlement_triples"]
