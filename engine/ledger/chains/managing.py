"""Chains of a home as people handle them: make one, list them, measure, give tokens, stop. What is done is said in the graph."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.errors import DappopsError, InputError
from engine.kb import KnowledgeBase
from engine.ledger import home as chains
from engine.ledger.chain import Inclusion, Message, Wei, lower
from engine.ledger.chains import cosigning, described, processes
from engine.ledger.chains.profile import PROBE, Profile, Progress, measure
from engine.ledger.chains.relaying import Relayed, relay
from engine.ledger.chains.statements import checked_quorum
from engine.ledger.chains.upgrading import Agreed, upgrade
from engine.ledger.contracts import Contract
from engine.ledger.embedded.schedule import name_at
from engine.ledger.home import ChainRecord, Connected
from engine.ledger.knowledge import folder_of, keys_of
from engine.ledger.naming.statements import ledger_iri

OPEN = 1  # IServiceAgreement.State


def connect(kb: KnowledgeBase, name: str) -> Connected:
    """A chain of a home; `main` is made on first use."""
    if name == chains.DEFAULT:
        return chains.ensure(folder_of(kb), keys_of(kb), kb.author)
    return chains.connect(folder_of(kb), name, keys=keys_of(kb))


def create(
    kb: KnowledgeBase,
    name: str,
    *,
    kind: str = "embedded",
    rpc: str | None = None,
    chain_id: int | None = None,
    confirmations: int | None = None,
    co_signers: int = 0,
    quorum: int | None = None,
    every: int = 0,
    start: bool = True,
) -> ChainRecord:
    """Make a chain with our contracts on it (or take up a network), its co-signers, and say so in the graph."""
    if co_signers:
        checked_quorum(co_signers, quorum)  # told before anything is made
        if kind != "embedded":
            raise InputError(
                "co-signers execute blocks again, which needs an embedded chain", place=name, rule="--co-signers"
            )
    elif quorum is not None:
        raise InputError("a quorum of no co-signers", rule="--quorum needs --co-signers", remedy="give both")
    home = folder_of(kb)
    if confirmations is not None and kind == "embedded":
        raise InputError("an embedded chain is not reorganised", place=name, rule="--confirmations belongs to json-rpc")
    made = chains.create(
        home, name, keys=keys_of(kb), account=kb.author, kind=kind, rpc=rpc, chain_id=chain_id,
        settings={} if confirmations is None else {"confirmations": confirmations},
    )  # fmt: skip
    if co_signers:
        cosigning.make(made, sealer=kb.author, count=co_signers, quorum=quorum, every=every)
        if start:
            cosigning.start(made, home)
    publish(kb, made)
    return made


def publish(kb: KnowledgeBase, record: ChainRecord, profile: Profile | None = None) -> dict[str, Any]:
    """Say what a chain is and, where it was measured, what came out; nothing is committed when that stands there already."""
    rules = None
    if record.kind == "embedded":
        opened = connect(kb, record.name).chain
        rules = name_at(opened.rules, opened.store.head())  # type: ignore[attr-defined]  # an embedded one
        opened.close()  # type: ignore[attr-defined]
    said: dict[str, Any] = kb.call(
        "publish_ledger",
        chain=described.summary(record, rules),
        profile=profile.json() if profile else None,
        author=kb.author,
    )
    return said


def listed(kb: KnowledgeBase) -> list[dict[str, Any]]:
    """Every chain: what it is, where it is, who co-signs, what was measured of it."""
    profiles: dict[str, Any] = kb.call("ledger_profiles")
    graph = kb.graph_iri("ledger")
    return [
        _row(kb, record, profiles.get(ledger_iri(graph, record.name), {})) for record in chains.records(folder_of(kb))
    ]


def _row(kb: KnowledgeBase, record: ChainRecord, measured: dict[str, float]) -> dict[str, Any]:
    found = cosigning.group(record)
    row: dict[str, Any] = {
        "name": record.name, "kind": record.kind, "chainId": record.chain_id, "contracts": dict(record.contracts),
        "coSigners": list(found.members) if found else [], "quorum": found.quorum if found else 0, "measured": measured,
    }  # fmt: skip
    server = processes.running(record.folder / cosigning.SERVER)
    row["url"] = (
        server.url if server else record.rpc if record.kind == "json-rpc" and "env:" not in str(record.rpc) else None
    )
    try:
        opened = chains.connect(folder_of(kb), record.name, keys=keys_of(kb)).chain
        row |= {"head": opened.header().number, "final": opened.final()}
        row["rules"] = [list(r) for r in getattr(opened, "rules", ())]
    except DappopsError as error:
        row |= {"head": None, "final": None, "problem": str(error)}
    return row


def profiled(
    kb: KnowledgeBase,
    name: str,
    *,
    samples: int = 20,
    burst: int = 100,
    patience: float = 60.0,
    progress: Progress | None = None,
) -> Profile:
    """Measure a chain and say so in the graph."""
    connected = connect(kb, name)
    found = measure(
        connected, kb.author, samples=samples, burst=burst, patience=patience, progress=progress or (lambda *_: None)
    )
    publish(kb, connected.record, found)
    return found


def checkpointed(
    kb: KnowledgeBase, name: str, number: int | None = None, *, wait: float = 10.0
) -> cosigning.Checkpoint:
    """Have a block (None: the newest) co-signed and say so in the graph."""
    connected = connect(kb, name)
    header = connected.chain.header(number)
    made = cosigning.collect(connected.record, header.number, header.hash, header.rlp, wait=wait)
    _say(kb, name, made)
    return made


def upgraded(kb: KnowledgeBase, name: str, rules: str, height: int | None = None, *, ahead: int = 10) -> Agreed:
    """Let a chain's co-signers agree to newer rules from `height` (`ahead` blocks from now, unless given) and say so."""
    connected = connect(kb, name)
    height = connected.chain.header().number + ahead if height is None else height
    made = upgrade(connected, rules, height, keys=keys_of(kb))
    publish(kb, connected.record)
    kb.call("publish_upgrade", name=name, rules=rules, height=height, signers=list(made.signers), author=kb.author)
    return made


def relayed(
    kb: KnowledgeBase,
    source: str,
    target: str,
    *,
    graph: bytes | None = None,
    submitter: str | None = None,
    wait: float = 15.0,
) -> Relayed:
    """Bring a head, or a batch, of one chain to another and say which checkpoint was signed for it."""
    made = relay(
        folder_of(kb), connect(kb, source), connect(kb, target), keys=keys_of(kb), account=kb.author, graph=graph,
        submitter=submitter, wait=wait,
    )  # fmt: skip
    if made.checkpoint is not None and made.signers.kind == "co-signers":
        _say(kb, source, made.checkpoint)
    return made


def _say(kb: KnowledgeBase, name: str, made: cosigning.Checkpoint) -> None:
    kb.call(
        "publish_checkpoint", name=name, number=made.number, hash="0x" + made.hash.hex(), signers=list(made.signatures),
        author=kb.author,
    )  # fmt: skip


def fund(kb: KnowledgeBase, name: str, to: str, wei: int) -> Inclusion:
    """Send tokens of a chain from the author's account. InputError when it has too few."""
    if wei <= 0:
        raise InputError("nothing to send", rule="an amount above 0")
    connected = connect(kb, name)
    have = connected.chain.balance(lower(kb.author))
    if have < wei:
        raise InputError(f"{kb.author} has {have} wei on {name}, {wei} are wanted", remedy="send less")
    return connected.chain.send(Message(lower(kb.author), lower(to), value=Wei(wei)))


def stop(kb: KnowledgeBase, name: str, *, remove: bool = False) -> dict[str, Any]:
    """End a chain's programs; its data stays. With `remove` it goes too, unless somebody could still need it.

    InputError tells what keeps it: anchors that proofs point to, names, agreements, money in them.
    """
    record = chains.record(folder_of(kb), name)
    reasons = needed(connect(kb, name)) if remove else []
    if reasons:
        raise InputError(
            f"chain {name} is still needed: {'; '.join(reasons)}", place=str(record.folder), rule="what others rely on stays",
            remedy="settle what is open, or stop it without --remove: its data stays and nothing runs",
        )  # fmt: skip
    ended = cosigning.stop(record)
    if remove:
        gone = record.folder.with_name(f".{name}-removed-{time.time_ns()}")
        record.folder.rename(gone)  # at once, so that no half-removed chain can be met
        kb.call("forget_ledger", name=name, author=kb.author)
        shutil.rmtree(gone)
    return {"chain": name, "stopped": ended, "removed": remove}


def needed(connected: Connected) -> list[str]:
    """Why a chain cannot be removed; empty when nobody relies on it. Probes of a measurement count for nothing.

    A network elsewhere goes on without us: there only agreements that are open keep it.
    """
    reasons = []
    has = connected.record.contracts
    if connected.record.kind == "embedded" and "GraphRegistry" in has:
        registry = connected.contract("GraphRegistry")
        heads = {e.args["graph"] for e in registry.events("HeadAnchored")} - {PROBE}
        batches = registry.events("BatchAnchored")
        if heads or batches:
            reasons.append(f"{_count(len(heads), 'head')} and {_count(len(batches), 'batch')} are anchored")
        gateways = {a for n, a in has.items() if n.startswith("Gateway")}
        if told := sum(len(_imported(Contract(connected.chain, a, "Gateway"))) for a in gateways):
            reasons.append(f"{_count(told, 'head')} of other chains {'is' if told == 1 else 'are'} imported")
        if names := _names(connected):
            reasons.append(f"{_count(len(names), 'name')} can be resolved ({', '.join(sorted(names)[:3])})")
    if "ServiceAgreement" in has:
        agreements = connected.contract("ServiceAgreement")
        opened = [e.args["agreement"] for e in agreements.events("AgreementOpened")]
        if still := sum(agreements.call("stateOf", a) == OPEN for a in opened):
            reasons.append(f"{_count(still, 'agreement')} open")
        if connected.record.kind == "embedded" and (money := connected.chain.balance(agreements.address)):
            reasons.append(f"{money} wei lie in agreements")
    return reasons


def _imported(gateway: Contract) -> set[object]:
    return {
        (e.args["sourceChain"], e.args["submitter"], e.args.get("graph"))
        for kind in ("HeadImported", "BatchImported")
        for e in gateway.events(kind)
    }


def _names(connected: Connected) -> set[str]:
    if "NameRegistry" not in connected.record.contracts:
        return set()
    registry = connected.contract("NameRegistry")
    alive = set()
    for event in registry.events("NameRegistered"):
        expires = registry.call("record", event.args["node"])[2]
        if expires > connected.chain.header().time:
            alive.add(str(event.args["name"]))
    return alive


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('ch') else 's'}"


def replicas(
    kb: KnowledgeBase, name: str, *, start: bool = False, stop: bool = False, numbers: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """What a chain's replicas do, after these were started or stopped."""
    record = chains.record(folder_of(kb), name)
    cosigning.known(record)
    if start:
        cosigning.start(record, folder_of(kb), numbers)
    if stop:
        cosigning.stop(record, numbers)
    return cosigning.statuses(record)


def as_recorded(record: ChainRecord) -> dict[str, Any]:
    """A chain's description as data, without what may be secret in its address."""
    return replace(record, rpc=None).json() | {"folder": str(record.folder)}
