"""What the sides of an agreement do: sign a version, put money in, open, settle, expire, cancel, take money out.

Every step can be repeated: what is done already is told, not done twice. What counts is the chain; the graph is told by
`follow`. Signatures are triples (`dapp:Acceptance` in the signer's graph `agreements`) or files, so that two homes that never
meet can agree. Anyone who holds both signatures may open, anyone who holds the votes may settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import BusyError, InputError, IntegrityError
from engine.graph.keys import recover
from engine.ledger.agreements import typed
from engine.ledger.agreements.model import Version
from engine.ledger.agreements.versions import (
    GRAPH,
    chain_of,
    contract_of,
    contract_terms,
    introduced,
)
from engine.ledger.chain import Reverted, lower
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import for_contract, for_key
from engine.ledger.home import Connected
from engine.ledger.knowledge import keys_of, rows_of
from reasoners.vocab import DAPP, RDF

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

Json = dict[str, Any]
STATES = ("none", "open", "kept", "violated", "expired", "cancelled")  # as the contract numbers them
SIGNATURE = "dappops-signature-1"


# -- signing ---------------------------------------------------------------------------------------------------------
def accept(kb: KnowledgeBase, version: str, *, account: str | None = None, author: str | None = None) -> Json:
    """Sign a version's Terms with the key of one side (default: the side whose key is here) and say so in the graph.

    `author`: whose graph `agreements` says it (default: the account). Returns the signature as a file would hold it.
    """
    told, terms = contract_terms(kb, version)
    sides = (terms.provider, terms.consumer)
    keys = keys_of(kb)
    if account is None:
        held = [side for side in sides if side in keys.addresses()]
        signed = {row["account"] for row in rows_of(kb, "sla-acceptances", version=told.iri)}
        wanted = [side for side in held if side not in signed] or held
        preferred = [side for side in wanted if side == kb.author] or wanted
        if not preferred:
            raise InputError("no key of either side is here", place=told.iri, rule=f"{sides[0]} or {sides[1]}")
        account = preferred[0]
    account = lower(account)
    if account not in sides:
        raise InputError(f"{account} is no side of this agreement", place=told.iri, rule=f"{sides[0]} or {sides[1]}")
    where = typed.domain(told.chain_id, told.contract)
    signature = keys.unlock(account).sign(typed.terms_digest(where, terms))
    return add_signature(kb, _signature(told, terms, account, signature), author=author or account)


def _signature(version: Version, terms: typed.Terms, account: str, signature: bytes) -> Json:
    return {
        "format": SIGNATURE, "version": version.iri, "termsHash": terms.terms_hash.hex(), "agreement": terms.identifier.hex(),
        "account": account, "signature": signature.hex(),
    }  # fmt: skip


def add_signature(kb: KnowledgeBase, signed: Mapping[str, Any], *, author: str | None = None) -> Json:
    """Check a signature under a version (made here or elsewhere) and say it in the graph; IntegrityError when it is none."""
    try:
        if signed["format"] != SIGNATURE:
            raise ValueError(signed["format"])
        told, terms = contract_terms(kb, str(signed["version"]))
        account, signature = (
            lower(str(signed["account"])),
            for_key(bytes.fromhex(str(signed["signature"]).removeprefix("0x"))),
        )
        hash_ = str(signed["termsHash"])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"not a signature under an agreement: {error}", rule=f"format {SIGNATURE}") from error
    digest = typed.terms_digest(typed.domain(told.chain_id, told.contract), terms)
    if hash_ != terms.terms_hash.hex():
        raise IntegrityError(
            "what was signed is not what is here",
            place=told.iri,
            rule="terms hash",
            remedy="exchange the version again",
        )
    if account not in (terms.provider, terms.consumer) or recover(digest, signature) != account:
        raise IntegrityError("the signature is not of a side of this agreement", place=told.iri)
    chosen = author or kb.author
    graph = kb.graph_iri(GRAPH, chosen)
    node = ox.NamedNode(f"{graph}/{told.name}-v{told.number}-{account}-acceptance")
    pairs: list[tuple[ox.NamedNode, ox.NamedNode | ox.Literal]] = [
        (RDF.type, DAPP.Acceptance),
        (DAPP.forAgreement, ox.NamedNode(told.iri)),
        (DAPP.account, ox.Literal(account)),
        (DAPP.signatureHex, ox.Literal(signature.hex())),
        (DAPP.termsHash, ox.Literal(terms.terms_hash.hex())),
        (DAPP.onChainIdentifier, ox.Literal(terms.identifier.hex())),
    ]
    kb.commit(
        graph,
        [*(ox.Triple(node, p, o) for p, o in pairs), *introduced(told, chosen)],
        author=chosen,
        message=f"accepted: {told.name}, version {told.number}",
    )
    return _signature(told, terms, account, signature)


def signatures(kb: KnowledgeBase, version: Version, terms: typed.Terms) -> tuple[bytes, bytes]:
    """(provider's, consumer's) signature as the contract takes them; InputError says who has not signed."""
    digest = typed.terms_digest(typed.domain(version.chain_id, version.contract), terms)
    found: dict[str, bytes] = {}
    for row in rows_of(kb, "sla-acceptances", version=version.iri):
        signature = for_key(bytes.fromhex(row["signature"].removeprefix("0x")))
        if recover(digest, signature) == row["account"]:
            found[row["account"]] = signature
    for side, account in (("provider", terms.provider), ("consumer", terms.consumer)):
        if account not in found:
            raise InputError(
                f"the {side} has not signed this version", place=version.iri, rule=account, remedy="dappops sla accept"
            )
    return for_contract(found[terms.provider]), for_contract(found[terms.consumer])


# -- state and money -------------------------------------------------------------------------------------------------
def state(contract: Contract, terms: typed.Terms) -> str:
    """How an agreement stands on its chain: one of `STATES`."""
    return STATES[int(contract.call("stateOf", terms.identifier))]


def _sender(kb: KnowledgeBase, connected: Connected, *preferred: str | None) -> str:
    """Who pays for gas: the first of these whose key is here, else the node."""
    here = {str(a) for a in connected.chain.accounts()}
    for account in preferred:
        if account and lower(account) in here:
            return str(lower(account))
    return str(kb.info()["node"])


def deposit(
    kb: KnowledgeBase, account: str, wei: int, *, connected: Connected | None = None, payer: str | None = None
) -> Json:
    """Put money into an account's balance at the contract; `payer` (default: the account) sends it."""
    connected = connected or chain_of(kb)
    contract = connected.contract("ServiceAgreement")
    sender = _sender(kb, connected, payer, account)
    made = contract.send(sender, "depositFor", lower(account), value=wei)
    return {
        **_sent(made.transaction, made.block, made.gas_used),
        "account": lower(account),
        "balance": balance(contract, account),
    }


def withdraw(kb: KnowledgeBase, account: str, wei: int | None = None, *, connected: Connected | None = None) -> Json:
    """Take money (default: all) out of an account's balance, to that account."""
    connected = connected or chain_of(kb)
    contract = connected.contract("ServiceAgreement")
    amount = balance(contract, account) if wei is None else wei
    if amount == 0:
        return {"account": lower(account), "withdrawn": 0, "balance": balance(contract, account)}
    made = contract.send(lower(account), "withdraw", amount)
    sent = _sent(made.transaction, made.block, made.gas_used)
    return {**sent, "account": lower(account), "withdrawn": amount, "balance": balance(contract, account)}


def balance(contract: Contract, account: str) -> int:
    """Wei that an account has at the contract, what is in escrow left out."""
    return int(contract.call("balanceOf", lower(account)))


def _sent(transaction: bytes, block: int, gas: int) -> Json:
    return {"transaction": transaction.hex(), "block": block, "gas": gas}


# -- opening ---------------------------------------------------------------------------------------------------------
def open_(
    kb: KnowledgeBase,
    version: str,
    *,
    connected: Connected | None = None,
    sender: str | None = None,
    fund: bool = False,
) -> Json:
    """Open an agreement that both sides have signed, in one transaction; an open one is told as it is.

    `fund`: first deposit what a side whose key is here lacks (else BalanceTooLow). Must be in a block before the start.
    """
    told, terms = contract_terms(kb, version)
    connected = connected or chain_of(kb, told)
    contract = contract_of(told, connected)
    now = state(contract, terms)
    if now != "none":
        return _told(told, terms, now)
    provider, consumer = signatures(kb, told, terms)
    payer = _sender(kb, connected, sender)
    if fund:
        here = {str(a) for a in connected.chain.accounts()}
        for account, wanted in zip((terms.provider, terms.consumer), terms.escrow, strict=True):
            lacking = wanted - balance(contract, account)
            if lacking > 0 and account in here:
                able = connected.chain.balance(lower(account)) > lacking
                contract.send(account if able else payer, "depositFor", account, value=lacking)
    try:
        made = contract.send(payer, "open", terms.values, provider, consumer)
    except Reverted as error:
        if error.error == "TooLate":
            raise InputError(
                "the period has begun, by the chain's clock", place=told.iri, rule="an agreement is opened before its start",
                remedy="answer it with a later start: dappops sla counter VERSION --set start=+60",
            ) from error  # fmt: skip
        raise
    return {**_told(told, terms, "open"), **_sent(made.transaction, made.block, made.gas_used)}


def _told(version: Version, terms: typed.Terms, now: str) -> Json:
    return {
        "version": version.iri, "agreement": terms.identifier.hex(), "termsHash": terms.terms_hash.hex(), "state": now,
        "start": version.start, "end": version.end, "settleBy": version.settle_by,
    }  # fmt: skip


def status(kb: KnowledgeBase, version: str, *, connected: Connected | None = None) -> Json:
    """A version with its state on the chain, balances of both sides, and who signed, sealed and opened."""
    told, terms = contract_terms(kb, version)
    connected = connected or chain_of(kb, told)
    contract = contract_of(told, connected)
    votes = rows_of(kb, "sla-votes", version=told.iri)
    return {
        **_told(told, terms, state(contract, terms)), "chain": connected.record.name, "chainTime": connected.chain.header().time,
        "signed": sorted({row["account"] for row in rows_of(kb, "sla-acceptances", version=told.iri)}),
        "sides": {
            side: {"account": account, "balance": balance(contract, account), "escrow": escrow}
            for side, account, escrow in zip(
                ("provider", "consumer"), (terms.provider, terms.consumer), terms.escrow, strict=True
            )
        },
        "witnesses": list(terms.witnesses), "quorum": terms.quorum,
        "sealed": sum("seal" in row for row in votes), "opened": sum("salt" in row for row in votes),
        "abstained": {row["witness"]: row["abstention"] for row in votes if "abstention" in row},
    }  # fmt: skip


# -- ending ----------------------------------------------------------------------------------------------------------
def votes_of(kb: KnowledgeBase, version: Version, terms: typed.Terms) -> tuple[list[typed.Vote], list[str]]:
    """Opened votes that the contract will take, and why others were left out."""
    where = typed.domain(version.chain_id, version.contract)
    accounts = {e.witness: e.account for e in version.engagements}
    votes: dict[int, typed.Vote] = {}
    refused: list[str] = []
    for row in rows_of(kb, "sla-votes", version=version.iri):
        account = accounts.get(row["witness"])
        if account is None or not row["vote"].startswith(f"{row['witness'].rsplit('/', 1)[0]}/"):
            refused.append(f"{row['vote']}: not of a witness of this agreement")
            continue
        if "abstention" in row:
            continue
        if not {"salt", "violated", "digest", "seal", "signature"} <= row.keys():
            refused.append(f"{row['vote']}: not opened")
            continue
        place = terms.witnesses.index(account)
        vote = typed.Vote(
            place, row["violated"] in ("true", "1"), _bytes32(row["digest"]), _bytes32(row["salt"]),
            for_key(bytes.fromhex(row["signature"].removeprefix("0x"))),
        )  # fmt: skip
        if vote.seal != _bytes32(row["seal"]):
            refused.append(f"{row['vote']}: it does not open its seal")
        elif recover(typed.seal_digest(where, terms.identifier, vote.seal), vote.signature) != account:
            refused.append(f"{row['vote']}: the seal's signature is not the witness's")
        elif place in votes:
            refused.append(f"{row['vote']}: a second vote of one witness")
        else:
            votes[place] = vote
    return [votes[place] for place in sorted(votes)], refused


def _bytes32(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def settle(kb: KnowledgeBase, version: str, *, connected: Connected | None = None, sender: str | None = None) -> Json:
    """Settle by the opened votes in the graph, in one transaction; a settled agreement is told as it is.

    BusyError before the end (by the chain's clock) and while there is no quorum; InputError once it is too late.
    """
    told, terms = contract_terms(kb, version)
    connected = connected or chain_of(kb, told)
    contract = contract_of(told, connected)
    now = state(contract, terms)
    votes, refused = votes_of(kb, told, terms)
    if now != "open":
        if now == "none":
            raise InputError("this agreement was not opened", place=told.iri, remedy="dappops sla open")
        return {**_told(told, terms, now), "refused": refused}
    against = sum(v.violated for v in votes)
    if max(against, len(votes) - against) < terms.quorum:
        raise BusyError(
            f"{against} votes for violated, {len(votes) - against} for kept, {terms.quorum} needed", place=told.iri,
            rule="; ".join(refused), remedy="wait for the witnesses; after settle-by: dappops sla expire",
        )  # fmt: skip
    try:
        made = contract.send(_sender(kb, connected, sender), "settle", terms.values, typed.ordered(votes))
    except Reverted as error:
        if error.error == "TooEarly":
            raise BusyError(
                "the period is not over yet, by the chain's clock", place=told.iri, remedy="try again after its end"
            ) from error
        raise
    return {
        **_told(told, terms, state(contract, terms)), **_sent(made.transaction, made.block, made.gas_used),
        "votes": {"violated": against, "kept": len(votes) - against}, "refused": refused,
    }  # fmt: skip


def expire(kb: KnowledgeBase, version: str, *, connected: Connected | None = None, sender: str | None = None) -> Json:
    """Give every side its own back after settle-by."""
    told, terms = contract_terms(kb, version)
    connected = connected or chain_of(kb, told)
    contract = contract_of(told, connected)
    now = state(contract, terms)
    if now != "open":
        return _told(told, terms, now)
    made = contract.send(_sender(kb, connected, sender), "expire", terms.values)
    return {**_told(told, terms, "expired"), **_sent(made.transaction, made.block, made.gas_used)}


def cancel(
    kb: KnowledgeBase,
    version: str,
    signed: Sequence[str] = (),
    *,
    connected: Connected | None = None,
    sender: str | None = None,
) -> Json:
    """End an open agreement by both sides. `signed`: signatures made elsewhere (`cancel_signature`); keys here sign themselves."""
    told, terms = contract_terms(kb, version)
    connected = connected or chain_of(kb, told)
    contract = contract_of(told, connected)
    now = state(contract, terms)
    if now != "open":
        return _told(told, terms, now)
    digest = typed.cancel_digest(typed.domain(told.chain_id, told.contract), terms.identifier)
    by = {
        recover(digest, for_key(bytes.fromhex(s.removeprefix("0x")))): bytes.fromhex(s.removeprefix("0x"))
        for s in signed
    }
    keys = keys_of(kb)
    for account in (terms.provider, terms.consumer):
        if account not in by and account in keys.addresses():
            by[account] = keys.unlock(account).sign(digest)
        if account not in by:
            raise InputError(
                f"{account} has not signed the cancellation", place=told.iri, remedy="dappops sla cancel --sign"
            )
    both = [for_contract(for_key(by[a])) for a in (terms.provider, terms.consumer)]
    made = contract.send(_sender(kb, connected, sender), "cancel", terms.values, *both)
    return {**_told(told, terms, "cancelled"), **_sent(made.transaction, made.block, made.gas_used)}


def cancel_signature(kb: KnowledgeBase, version: str, account: str) -> str:
    """One side's signature under a cancellation, as hex, for the other side."""
    told, terms = contract_terms(kb, version)
    digest = typed.cancel_digest(typed.domain(told.chain_id, told.contract), terms.identifier)
    return keys_of(kb).unlock(lower(account)).sign(digest).hex()


__all__ = [
    "GRAPH", "STATES", "accept", "add_signature", "balance", "cancel", "cancel_signature", "deposit", "expire", "open_",
    "settle", "signatures", "state", "status", "votes_of", "withdraw",
]  # fmt: skip
