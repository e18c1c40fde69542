"""From two signatures to money back: votes, abstentions, forged ones, expiry, cancellation, a folder instead of a socket."""

from __future__ import annotations

import json
from pathlib import Path

import pyoxigraph as ox
import pytest
from agreement_ground import TOKEN, Ground

from engine.errors import BusyError, InputError, IntegrityError
from engine.graph.keys import KeyRing
from engine.ledger import agreements as sla
from engine.ledger.agreements.lifecycle import balance, votes_of
from engine.ledger.chain import Reverted
from engine.ledger.knowledge import rows_of
from reasoners.vocab import DAPP, RDF


def settlement(place: Ground, version: str) -> dict[str, set[str]]:
    """What the graph says of a version's settlement: local name of the predicate -> values."""
    found: dict[str, set[str]] = {}
    for quad in place.kb.quads(None, DAPP.forAgreement, ox.NamedNode(version)):
        if place.kb.quads(quad.subject, RDF.type, DAPP.Settlement):
            for each in place.kb.quads(quad.subject):
                key = each.predicate.value.replace("#", "/").rsplit("/", 1)[-1]
                found.setdefault(key, set()).add(each.object.value.rsplit("#", 1)[-1])
    return found


def test_agreement_is_opened_once_and_only_with_both_signatures(place: Ground) -> None:
    version = sla.propose(place.kb, place.terms(), connected=place.connected)
    with pytest.raises(InputError, match="provider has not signed"):
        sla.open_(place.kb, version, connected=place.connected)
    sla.accept(place.kb, version, account=place.provider)
    with pytest.raises(InputError, match="no side"):
        sla.accept(place.kb, version, account=next(iter(place.witnesses)))
    sla.accept(place.kb, version)  # the side that has not signed yet
    with pytest.raises(Reverted, match="BalanceTooLow"):
        sla.open_(place.kb, version, connected=place.connected)
    first = sla.open_(place.kb, version, connected=place.connected, fund=True)
    again = sla.open_(place.kb, version, connected=place.connected, fund=True)
    assert (first["state"], again["state"]) == ("open", "open")
    assert "transaction" not in again
    assert balance(place.contract, place.provider) == 0


@pytest.mark.parametrize(
    ("bad", "state", "violated"),
    [((10, 10, 0), "violated", True), ((0, 1, 10), "kept", False)],
    ids=["violated", "kept"],
)
def test_agreement_is_settled_by_most_votes(place: Ground, bad: tuple[int, ...], state: str, violated: bool) -> None:
    version = place.opened()
    terms = place.terms_of(version)
    before = [balance(place.contract, a) for a in (terms.provider, terms.consumer)]
    with pytest.raises(BusyError, match="0 votes for violated, 0 for kept"):
        sla.settle(place.kb, version, connected=place.connected)
    place.voted(version, dict(zip(place.witnesses, bad, strict=True)))
    ended = sla.conclude(place.kb, version, connected=place.connected)
    assert ended["settled"]["state"] == state
    assert ended["enforced"]["violated"] is violated
    after = [balance(place.contract, a) for a in (terms.provider, terms.consumer)]
    assert [a - b for a, b in zip(after, before, strict=True)] == list(terms.outcome(3, violated))
    told = settlement(place, version)
    assert told["agreementState"] == {"AgreementViolated" if violated else "AgreementKept"}
    assert told["pays"] == {"0.5" if violated else "1.5"}
    assert len(told["restsOn"]) == 4  # the event and three votes
    repeated = sla.conclude(place.kb, version, connected=place.connected)
    assert repeated["settled"]["state"] == state
    assert "transaction" not in repeated["settled"]
    assert settlement(place, version) == told
    about = [f for f in place.kb.call("findings") if any(x in f["about"] for x in ("/sla-", "/witness/", "/ledger/"))]
    assert [f for f in about if version.removesuffix("/terms") in f["about"]] == []


def test_agreement_is_not_opened_once_its_period_has_begun(place: Ground) -> None:
    version = sla.propose(place.kb, place.terms(), connected=place.connected)
    for side in (place.provider, place.consumer):
        sla.accept(place.kb, version, account=side)
    place.hands.at = place.terms_of(version).start + 1.0
    with pytest.raises(InputError, match="has begun") as refused:
        sla.open_(place.kb, version, connected=place.connected, fund=True)
    assert "sla counter" in refused.value.remedy


def test_votes_do_not_settle_before_the_end(place: Ground) -> None:
    version = place.opened()
    end = place.terms_of(version).end
    place.voted(version, dict.fromkeys(place.witnesses, 0))
    place.hands.at = end - 5.0  # the chain's clock is behind the witnesses'
    with pytest.raises(BusyError, match="not over yet"):
        sla.settle(place.kb, version, connected=place.connected)
    place.hands.at = float(end)
    assert sla.settle(place.kb, version, connected=place.connected)["state"] == "kept"


def test_witness_abstains_and_says_so_when_it_measured_too_little(place: Ground) -> None:
    version = place.opened()
    place.hands.at = float(place.terms_of(version).end)
    account = next(iter(place.witnesses))
    witness = place.witness(version, account)
    place.measured(witness, 0, share=0.3)
    outcome = witness.seal()
    assert outcome.violated is None
    assert "30%" in outcome.why
    row = rows_of(place.kb, "sla-votes", version=version)[0]
    assert row["abstention"] == outcome.why
    assert "seal" not in row
    assert sla.status(place.kb, version, connected=place.connected)["abstained"] == {witness.iri: outcome.why}
    judged = place.kb.call("enforce", version=version, dry_run=True)
    assert judged["violated"] is None


def test_witness_signs_one_seal_however_often_it_starts(place: Ground) -> None:
    version = place.opened()
    place.hands.at = float(place.terms_of(version).end)
    account = next(iter(place.witnesses))
    seals = set()
    for _ in range(2):
        witness = place.witness(version, account)
        place.measured(witness, 10)
        seals.add(witness.seal().seal)
        witness.raw.close()
    assert len(seals) == 1
    witness = place.witness(version, account)
    witness.raw.db.execute("UPDATE measurement SET good=1")  # somebody changes what was measured
    with pytest.raises(IntegrityError):
        witness.seal()


def test_vote_is_left_out_when_it_does_not_open_its_seal(place: Ground) -> None:
    """One witness's salt is another's, and a stranger votes: two honest votes decide."""
    version = place.opened()
    liar, *honest = place.witnesses
    place.voted(version, dict.fromkeys(honest, 10))
    witness = place.witness(version, liar)
    place.measured(witness, 10)
    outcome = witness.seal()
    witness.raw.db.execute("UPDATE note SET value=? WHERE key='salt'", ("00" * 32,))
    witness.open(outcome)
    base = place.kb.graph_iri("main").rsplit("/", 1)[0]
    stranger = ox.NamedNode(f"{base}/witness/stranger-vote")
    place.kb.commit(
        "witness",
        [
            ox.Triple(stranger, RDF.type, DAPP.WitnessVote),
            ox.Triple(stranger, DAPP.forAgreement, ox.NamedNode(version)),
            ox.Triple(stranger, DAPP.castBy, ox.NamedNode(f"{base}/self")),
        ],
    )
    told, terms = sla.contract_terms(place.kb, version)
    votes, refused = votes_of(place.kb, told, terms)
    assert [terms.witnesses[v.witness] for v in votes] == sorted(honest)
    assert len(refused) == 2
    assert any("does not open its seal" in r for r in refused)
    assert any("not of a witness" in r for r in refused)
    assert sla.settle(place.kb, version, connected=place.connected)["votes"] == {"violated": 2, "kept": 0}


def test_votes_come_through_a_folder_when_witnesses_have_no_socket(place: Ground, tmp_path: Path) -> None:
    version = place.opened()
    place.voted(version, dict.fromkeys(place.witnesses, 10), spool=tmp_path)
    files = sorted(tmp_path.glob("*.json"))
    assert len(files) == 6  # a seal and a vote of each
    assert rows_of(place.kb, "sla-votes", version=version) == []
    forged = json.loads(files[1].read_text())
    forged["statements"] = [s.replace('"true"', '"false"') for s in forged["statements"]]
    kept = files[1].read_text()
    files[1].write_text(json.dumps(forged))
    new, refused = sla.collect(place.kb, tmp_path)
    assert (len(new), len(refused)) == (5, 1)
    files[1].write_text(kept)
    assert [len(x) for x in sla.collect(place.kb, tmp_path)] == [1, 0]
    assert sla.collect(place.kb, tmp_path) == ([], [])
    ended = sla.conclude(place.kb, version, connected=place.connected)
    assert ended["settled"]["state"] == "violated"
    assert ended["enforced"]["violated"] is True


def test_agreement_expires_when_nobody_votes(place: Ground) -> None:
    version = place.opened()
    terms = place.terms_of(version)
    before = [balance(place.contract, a) for a in (terms.provider, terms.consumer)]
    with pytest.raises(Reverted, match="TooEarly"):
        sla.expire(place.kb, version, connected=place.connected)
    place.hands.at = terms.settle_by + 1.0
    assert sla.expire(place.kb, version, connected=place.connected)["state"] == "expired"
    assert sla.conclude(place.kb, version, connected=place.connected)["settled"]["state"] == "expired"
    after = [balance(place.contract, a) for a in (terms.provider, terms.consumer)]
    assert [a - b for a, b in zip(after, before, strict=True)] == list(terms.escrow)
    assert settlement(place, version)["agreementState"] == {"AgreementExpired"}


def test_agreement_is_cancelled_by_both_and_money_is_taken_out(place: Ground) -> None:
    version = place.opened()
    terms = place.terms_of(version)
    keys = KeyRing(place.folder / "home" / "keys")
    signed = sla.cancel_signature(place.kb, version, place.provider)
    assert sla.cancel(place.kb, version, [signed], connected=place.connected)["state"] == "cancelled"
    sla.follow(place.kb, place.connected)
    assert settlement(place, version)["agreementState"] == {"AgreementCancelled"}
    assert keys.addresses()
    held = balance(place.contract, place.consumer)
    assert held >= terms.escrow[1]
    out = sla.withdraw(place.kb, place.consumer, connected=place.connected)
    assert (out["withdrawn"], out["balance"]) == (held, 0)
    assert sla.withdraw(place.kb, place.consumer, connected=place.connected)["withdrawn"] == 0
    put = sla.deposit(place.kb, place.provider, TOKEN, connected=place.connected, payer=place.consumer)
    assert put["balance"] >= TOKEN
