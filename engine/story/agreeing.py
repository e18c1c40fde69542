"""Step 7: ledgers for each kind of transaction, contracts of the application, agreements with every provider of the plan.

Two chains of this node: `main`, which the node seals alone, and `council`, whose blocks co-signers execute again. Which kind of
transaction goes where is a decision by rules over measured profiles. Agreements are signed before anything is provisioned, so
their witnesses measure at names; where those lead is known after step 8.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine.graph.keys import KeyRing
from engine.ledger import agreements as sla
from engine.ledger import application as contracts
from engine.ledger import home as ledgers
from engine.ledger.agreements.planned import terms_from_plan
from engine.ledger.agreements.versions import read
from engine.ledger.agreements.witnesses import make_witness
from engine.ledger.application import Group
from engine.ledger.chain import lower
from engine.ledger.chains import cosigning, managing
from engine.ledger.home import Connected
from engine.ledger.knowledge import folder_of, keys_of
from engine.orchestration.deployments import tail
from engine.story.stage import Stage, Told
from reasoners.vocab import DAPP, RDF, XSD

MAIN, COUNCIL = ledgers.DEFAULT, "council"
CO_SIGNERS, QUORUM = 3, 2
WITNESSES = 3
DOMAIN = "rehearsal.live"  # names of the rehearsal end so; the application itself has this one
ROLES = {"provider": 1, "consumer": 2, "witness": 4}  # IParticipantRegistry
KINDS = {"DigestLog": "frame-digest", "ConsentRegister": "consent-entry", "RevenueShare": "settlement"}
"""Which kind of transaction a template's contract takes."""
SHARES = {"audience-union": 40, "mogplay-makers": 20, "northern-broadcast": 20}
ORGANISER = 20  # its share of a hundred
VOTING = 60.0  # seconds for votes and settlement
OBJECTIVES = [
    {"metric": "Reachability", "atLeast": "0.95", "tolerance": "0.05", "label": "hosts answer"},
    {"metric": "ResponseTime", "atMost": "500", "tolerance": "0.1", "label": "hosts answer within half a second"},
]


def host_name(host: str) -> str:
    """The name under which a host's agent is found."""
    return f"{host}.{DOMAIN}"


def accounts(stage: Stage, who: list[str]) -> dict[str, str]:
    """Account of each participant by short name; made once for a home."""
    path = folder_of(stage.kb) / "story-accounts.json"
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    keys = keys_of(stage.kb)
    held = set(keys.addresses())
    missing = [name for name in who if known.get(name) not in held]
    if missing:
        known |= {name: keys.create().address for name in missing}
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(known, indent=2, sort_keys=True), encoding="utf-8")
        os.replace(draft, path)
    return {name: known[name] for name in who}


def witnesses(stage: Stage) -> dict[str, Path]:
    """Account -> folder of each witness; a witness has a key of its own, in a folder of its own."""
    places = [folder_of(stage.kb) / "witnesses" / str(n) for n in range(1, WITNESSES + 1)]
    return {make_witness(place): place for place in places}


def agree_levels(stage: Stage) -> Told:
    """Step 7, all of it."""
    told = Told()
    told.data["ledgers"] = _ledgers(stage, told)
    told.data["chosen"] = _choose(stage, told)
    providers = sorted({p["provider"] for p in stage.left[4]["plan"]["placements"]})
    told.data["accounts"] = accounts(stage, [_short(name) for name in providers])
    told.data["witnesses"] = sorted(witnesses(stage))
    _model(stage)
    settling = told.data["chosen"].get("settlement", MAIN)
    with managing.connect(stage.kb, settling) as connected:
        _join(stage, told, connected)
        told.data["agreements"] = _agreements(stage, told, connected)
    told.data["contracts"] = _contracts(stage, told)
    told.data["anchored"] = anchor(stage, told)
    return told


def _short(name: str) -> str:
    return name.lower().replace(" ", "-")


def _model(stage: Stage) -> None:
    """How the organiser of a rehearsal reckons reputation: an agreement over seconds counts like one over months."""
    node = ox.NamedNode(f"{stage.kb.graph_iri('agreements')}/rehearsal-model")
    numbers = {DAPP.fullStake: "0.00001", DAPP.halfLife: "30", DAPP.counterpartyCap: "20", DAPP.confidenceLevel: "0.9"}
    triples = [ox.Triple(node, RDF.type, DAPP.ReputationModel)]
    triples += [ox.Triple(node, p, ox.Literal(v, datatype=XSD.decimal)) for p, v in numbers.items()]
    stage.kb.commit("agreements", triples, message="how reputation is reckoned in a rehearsal")


def _ledgers(stage: Stage, told: Told) -> list[dict[str, Any]]:
    """Make the two chains and measure them."""
    home, found = folder_of(stage.kb), []
    there = {r.name for r in ledgers.records(home)}
    managing.connect(stage.kb, MAIN).close()
    managing.publish(stage.kb, ledgers.record(home, MAIN))
    if COUNCIL not in there:
        managing.create(stage.kb, COUNCIL, co_signers=CO_SIGNERS, quorum=QUORUM)
    else:
        cosigning.start(ledgers.record(home, COUNCIL), home)
    for name in (MAIN, COUNCIL):
        stage.progress(f"measure ledger {name}", 0, None)
        made = managing.profiled(stage.kb, name, samples=6, burst=20)
        found.append({"name": name, **made.json()})
        final = "not known" if made.finality is None else f"{made.finality:.2f} s"
        told.say(
            f"ledger {name}: {made.throughput:.0f} transactions a second, in a block after {made.inclusion:.2f} s, final after "
            f"{final}, {made.gas:,} gas an anchor, {made.co_signers or 0} co-signers"
        )
    return found


def stop_ledgers(home: Path | None) -> None:
    """End what serves and co-signs the home's chains; their data stays."""
    for found in ledgers.records(home) if home is not None else ():
        cosigning.stop(found)


def _choose(stage: Stage, told: Told) -> dict[str, str]:
    """Which ledger each kind of transaction uses, by rules."""
    made = stage.kb.call("choose_ledger", application=stage.application, author=stage.kb.author)
    chosen = {}
    for pair in made["chosen"]:
        name = tail(pair["ledger"]["iri"]) if pair["ledger"] else None
        if name is not None:
            chosen[tail(pair["scope"]["iri"]).removeprefix("crowd-rehearsal.")] = name
        told.say(f"  {pair['scope']['label']}: {'no ledger fits' if name is None else name}")
    told.data["decision"] = made["decision"]
    rejected = ", ".join(
        f"{r['count']} by {r['constraint']['label']}" for r in made["rejections"] if r.get("constraint")
    )
    if rejected:
        told.say(f"  rejected: {rejected}")
    return chosen


def _join(stage: Stage, told: Told, connected: Connected) -> None:
    """Let providers, consumer and witnesses take part; obligations of providers are noted by the agreements' contract."""
    registry = connected.contract("ParticipantRegistry")
    holder = connected.record.contracts["ServiceAgreement"]
    kinds = dict.fromkeys(told.data["accounts"].values(), "provider") | {stage.kb.author: "consumer"}
    ring = keys_of(stage.kb)
    for account, place in witnesses(stage).items():
        kinds[account] = "witness"
        if account not in ring.addresses():  # a witness joins by itself; here its key signs that, too
            ring.create(private=KeyRing(place / "keys").unlock(account).private.secret)
    joined = 0
    for account, kind in kinds.items():
        if registry.call("rolesOf", account) == 0:
            registry.send(account, "join", ROLES[kind], [holder] if kind != "witness" else [])
            joined += 1
    told.say(f"{len(kinds)} participants on ledger {connected.record.name}, {joined} of them new")


def _agreements(stage: Stage, told: Told, connected: Connected) -> list[dict[str, Any]]:
    """One agreement with each provider of the plan: proposed, answered, signed by both, opened with deposits."""
    made = []
    measured = stage.left[4]["plan"]["placements"]
    for terms in terms_from_plan(
        stage.kb, stage.application, decision=stage.left[4]["decision"], seconds=stage.settings.period
    ):
        provider = tail(terms["provider"])
        label = next(p["provider"] for p in measured if _short(p["provider"]) == provider)
        account = told.data["accounts"][_short(label)]
        hosts = _hosts(stage, terms["provider"])
        given = {
            **terms, "agreement": provider, "providerAccount": account, "consumerAccount": stage.kb.author,
            "start": f"+{stage.settings.until_period:g}", "seconds": stage.settings.period,
            "settleWithin": VOTING, "witnessFee": "0.000001",
            "objectives": OBJECTIVES, "witnesses": told.data["witnesses"],
            "measure": [{"http": f"dapp://{host_name(h)}/healthz", "every": 1, "timeout": 2} for h in hosts],
        }  # fmt: skip
        version = sla.propose(stage.kb, fresh_name(stage, given), connected=connected)
        asked = f"{float(terms['compensation']) * 0.8:.6f}"
        version = sla.counter(stage.kb, version, {"compensation": asked}, author=account, connected=connected)
        made.append(opened(stage, version, account, connected) | {"provider": terms["provider"], "hosts": hosts})
        told.say(
            f"  {label}: {len(OBJECTIVES)} promises on {', '.join(hosts)}; pays {terms['payment']} when kept, "
            f"gets {asked} when not; two signatures, one transaction, {made[-1]['gas']:,} gas"
        )
    return made


def fresh_name(stage: Stage, terms: dict[str, Any]) -> dict[str, Any]:
    """The terms under a name that no earlier story in this home has used: a version's graph is written once."""
    number = 1
    while True:
        name = terms["agreement"] if number == 1 else f"{terms['agreement']}-{number}"
        if next(iter(stage.kb.quads(graph=stage.kb.graph_iri(f"sla-{name}-v1"))), None) is None:
            return {**terms, "agreement": name}
        number += 1


def opened(stage: Stage, version: str, provider: str, connected: Connected) -> dict[str, Any]:
    """Both sides sign a version, and it is opened with what they owe in deposit."""
    sla.accept(stage.kb, version, account=provider)
    sla.accept(stage.kb, version, account=stage.kb.author)
    done = sla.open_(stage.kb, version, connected=connected, fund=True)
    return {**done, "version": version, "account": provider}


def renewed(
    stage: Stage, before: dict[str, Any], connected: Connected, *, start: str, seconds: float
) -> dict[str, Any]:
    """The next version of an agreement: the same promises for another period."""
    number = read(stage.kb, before["version"]).nonce + 1
    version = sla.counter(
        stage.kb, before["version"], {"start": start, "seconds": seconds, "nonce": number}, connected=connected
    )
    return {**before, **opened(stage, version, before["account"], connected)}


def _hosts(stage: Stage, provider: str) -> list[str]:
    """Short names of a provider's hosts on which the plan places something."""
    bindings = {"decision": f"<{stage.left[4]['decision']}>", "provider": f"<{provider}>"}
    answer = stage.kb.call("view", name="plan-provider-hosts", bindings=bindings)
    return [tail(row[0].strip("<>")) for row in answer["rows"]]


def _contracts(stage: Stage, told: Told) -> list[dict[str, Any]]:
    """Contracts of the application itself, each on the ledger chosen for what it records; fees told before they are paid."""
    people = accounts(stage, list(SHARES))
    me = lower(stage.kb.author)
    members = (me, lower(people["northern-broadcast"]), lower(people["mogplay-makers"]))
    shares = [(me, ORGANISER), *((people[name], part) for name, part in SHARES.items())]
    group = Group(members=members, operators=(me,), guardians=(me,))
    found = contracts.needs(stage.kb, stage.application, shares=shares)
    made: list[dict[str, Any]] = [
        {"template": k.template, "address": k.address, "ledger": tail(k.ledger)}
        for k in contracts.known(stage.kb, stage.application)
        if k.requirements
    ]
    there = {m["template"] for m in made}
    for needed in found.contracts:
        ledger = told.data["chosen"].get(KINDS.get(needed.template, ""), MAIN)
        if needed.missing:
            told.say(f"  {needed.template}: not made: {needed.missing}")
        elif needed.template not in there:
            stage.progress(f"contract {needed.template}", 0, None)
            with managing.connect(stage.kb, ledger) as connected:
                only = replace(found, contracts=(needed,))
                priced = contracts.forecast(connected, only, {needed.template: group}, stage.kb.author)
                done = contracts.deploy(stage.kb, connected, only, {needed.template: group}, priced=priced)[0]
            made.append({**done.as_json(), "ledger": ledger})
            told.say(
                f"  {needed.template} on {ledger}, for {len(needed.requirements)} requirements: forecast "
                f"{priced.of(needed.template).deployment():,} gas, used {done.gas:,}"
            )
    told.say(f"  {len(found.without)} requirements call for no contract, such as those on memory and place")
    return made


def anchor(stage: Stage, told: Told) -> dict[str, Any]:
    """Put the heads of all graphs on the main ledger, in one batch."""
    done: dict[str, Any] = stage.kb.call("anchor", flush=True)
    heads = sum(a["heads"] for a in done["anchors"])
    for a in done["anchors"]:
        told.say(
            f"anchored {a['heads']} heads of graphs in block {a['block']} of {a['chain']}: {a['gas']:,} gas, {a['state']}"
        )
    return {"heads": heads, **done}
