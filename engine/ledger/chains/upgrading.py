"""Newer rules for a running chain: proposed by the sealer, agreed by a quorum of its co-signers, in force from a height on.

Order matters. First every replica is asked; with too few signatures nothing changes anywhere. Then the signatures are written
down, the sealer's own schedule changes (refused by the chain itself when the height was reached meanwhile), and last the
replicas are told. One that misses this reads it from the feed, with the signatures, before it comes to that height.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import DappopsError, InputError
from engine.graph.keys import KeyRing
from engine.ledger.chains.cosigning import ask, group
from engine.ledger.chains.feed import UPGRADES
from engine.ledger.chains.statements import Upgrade, agreed, from_hex, ledger_domain, upgrade_digest
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.schedule import checked
from engine.ledger.home import ChainRecord, Connected


@dataclass(frozen=True, slots=True)
class Agreed:
    """An upgrade that will happen: who signed, who did not and why, who was told already."""

    upgrade: Upgrade
    signers: tuple[str, ...]
    refused: Mapping[str, str]
    told: tuple[str, ...]


def upgrade(connected: Connected, rules: str, height: int, *, keys: KeyRing) -> Agreed:
    """Let a chain follow `rules` from block `height` on.

    InputError for rules or a height that cannot be, IntegrityError when fewer than a quorum agree: then nothing changed.
    A chain without co-signers changes by the sealer's word alone.
    """
    record, chain = connected.record, connected.chain
    if not isinstance(chain, EmbeddedChain):
        raise InputError("the rules of a network elsewhere are not ours", place=record.name, rule="--kind embedded")
    head, (later, pending) = chain.store.head(), chain.rules[-1]
    if later > head:
        raise InputError(
            f"{pending} from block {later} is agreed already",
            place=record.name,
            remedy=f"wait until it holds (now {head})",
        )
    if height <= head:
        raise InputError(
            f"height {height} is not ahead", place=record.name, remedy=f"the head is {head}: choose a later one"
        )
    checked([*chain.rules, (height, rules)])
    found = group(record)
    if found is None:
        chain.schedule(height, rules)
        return Agreed(Upgrade(rules, height), (), {}, ())
    domain = ledger_domain(chain.chain_id, chain.header(0).hash)
    proposal = keys.unlock(found.sealer).sign(upgrade_digest(domain, rules, height))
    answers, errors = ask(record, "replica_agree", rules, height, "0x" + proposal.hex(), timeout=15)
    made = Upgrade(rules, height, tuple(from_hex(a["signature"]) for a in answers.values()))
    refused = {address: _told(error) for address, error in sorted(errors.items())}
    try:
        signers = agreed(made, domain, found.members, found.quorum)
    except DappopsError as error:
        error.message += "".join(f"; {address}: {why}" for address, why in refused.items())
        raise
    _keep(record, made)
    chain.schedule(height, rules)
    told, _ = ask(record, "replica_adopt", made.json(), timeout=15)
    return Agreed(made, tuple(signers), refused, tuple(sorted(told)))


def _told(error: DappopsError) -> str:
    return f"{error.message} ({error.rule})" if error.rule else error.message


def _keep(record: ChainRecord, made: Upgrade) -> None:
    """The signatures on disk, before anything follows from them."""
    path = record.folder / UPGRADES
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump([*(u for u in stored if u["height"] != made.height), made.json()], file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
