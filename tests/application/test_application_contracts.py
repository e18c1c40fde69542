"""From an application's requirements to contracts: what is called for, what it will cost, what it cost, and what becomes of it."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

from engine.errors import InputError
from engine.ledger import application as room
from engine.ledger import home
from engine.ledger.application import agreed, merkle
from engine.ledger.application.agreed import Agreement
from engine.ledger.application.deploy import put, record
from engine.ledger.application.operate import Successor, bound, compared, pick, state_root, succeed
from engine.ledger.application.templates import Group, Series, checked_shares, millionths
from engine.ledger.chain import Address, Reverted
from engine.ledger.contracts import Contract
from engine.ledger.eip712 import for_contract
from reasoners.vocab import DAPP, DAPPI

if TYPE_CHECKING:
    from engine.ledger.application.operate import Known
    from tests.application.conftest import Place


def groups(place: Place, needs: room.Needs) -> dict[str, Group]:
    """As the command makes them; the two members whose keys are here work."""
    workers = place.members[:2]
    return {n.template: needs.group(n, place.kb.author, operators=workers) for n in needs.contracts}


@pytest.fixture(scope="module")
def deployed(place: Place) -> dict[str, Known]:
    """All four contracts."""
    needs = room.needs(place.kb, place.application)
    priced = room.forecast(place.connected, needs, groups(place, needs), place.kb.author, price=10**9)
    done = room.deploy(place.kb, place.connected, needs, groups(place, needs), priced=priced)
    for each in done:
        assert each.error is not None
        assert abs(each.error) < 0.01
        assert each.gas == pytest.approx(priced.of(each.template).deployment(), rel=0.01)
    return {k.template: k for k in room.known(place.kb, place.application)}


# -- what is called for ----------------------------------------------------------------------------------------------
def test_requirements_call_for_templates(place: Place) -> None:
    found = room.needs(place.kb, place.application)
    main = place.application.rpartition("/")[0]
    called = {n.template: {r.rpartition("/")[2] for r in n.requirements} for n in found.contracts}
    assert called == {
        "DigestLog": {"audited", "fair"}, "ConsentRegister": {"consent"}, "ReadingLog": {"warm", "cold"},
        "RevenueShare": {"fair"},
    }  # fmt: skip
    by = {n.template: n for n in found.contracts}
    assert by["DigestLog"].rate == pytest.approx(2 / 64)
    assert (by["ConsentRegister"].longest_s, by["ConsentRegister"].rate) == (30 * 86400, 0.001)
    # two requirements on one value are one series with a range
    series = Series(place.application, DAPPI.Temperature.value, Decimal("2.5"), Decimal("8.0"))
    assert by["ReadingLog"].series == (series,)
    assert by["ReadingLog"].rate == pytest.approx(1 / 600)
    assert {a for a, _ in by["RevenueShare"].shares} == {*place.members}
    assert {*found.members} == {*place.members}
    assert all(n.why for n in found.contracts)
    assert (f"{main}/quick", "QualityRequirement") in found.without


def test_requirement_without_a_template_is_refused(place: Place) -> None:
    found = room.needs(place.kb, place.application)
    main = place.application.rpartition("/")[0]
    with pytest.raises(InputError, match=r"no template for this requirement \(QualityRequirement\)") as caught:
        found.only(requirements=[f"{main}/quick"])
    assert "DigestLog" in caught.value.rule
    with pytest.raises(InputError, match="no requirement of this application"):
        found.only(requirements=[f"{main}/nothing"])
    with pytest.raises(InputError, match="did you mean"):
        found.only(["DigestLogs"])
    [only] = found.only(requirements=[f"{main}/consent"]).contracts
    assert only.template == "ConsentRegister"


def test_shares_are_missing_when_a_payee_has_no_account(place: Place) -> None:
    main = place.kb.graph_iri("main")
    [authority] = place.kb.quads(None, DAPP.account, None, main)[2:3]
    place.kb.commit(main, [], [authority.triple])
    try:
        needs = room.needs(place.kb, place.application).only(["RevenueShare"])
        [needed] = needs.contracts
        assert "dapp:account" in needed.missing
        with pytest.raises(InputError, match="cannot be deployed yet"):
            room.deploy(place.kb, place.connected, needs, groups(place, needs))
        [given] = (
            room.needs(place.kb, place.application, shares=[(place.members[0], 3)]).only(["RevenueShare"]).contracts
        )
        assert (given.shares, given.missing) == (((place.members[0], 3),), "")
    finally:
        place.kb.commit(main, [authority.triple])


@pytest.mark.parametrize("given", [[], [("0x" + "1" * 40, 0)], [("0x" + "1" * 40, 1)] * 2])
def test_shares_are_refused_where_the_contract_would(given: list[tuple[str, int]]) -> None:
    with pytest.raises(InputError):
        checked_shares(given)


def test_group_is_refused_where_the_contract_would() -> None:
    accounts = tuple(Address(f"0x{n:040x}") for n in range(1, 5))
    for quorum in (2, 5):
        with pytest.raises(InputError, match="quorum"):
            Group(accounts, accounts, quorum=quorum)
    with pytest.raises(InputError, match="members"):
        Group((), accounts)
    assert (Group(accounts, accounts).quorum, Group(accounts[:3], accounts).quorum) == (3, 2)
    with pytest.raises(InputError, match="too large"):
        millionths(Decimal(10) ** 31)


# -- the tree of a batch ---------------------------------------------------------------------------------------------
def test_every_digest_leads_to_the_root_and_no_other(effort: int) -> None:
    dice = random.Random(3)
    for _ in range(20 * effort):
        digests = [dice.randbytes(32) for _ in range(dice.randint(1, 40))]
        root = merkle.root(digests)
        for index, digest in enumerate(digests):
            assert merkle.leads(digest, merkle.path(digests, index), root)
            assert not merkle.leads(dice.randbytes(32), merkle.path(digests, index), root)
    with pytest.raises(InputError):
        merkle.root([])


# -- on the chain ----------------------------------------------------------------------------------------------------
def test_deploying_states_contracts_and_their_requirements(place: Place, deployed: dict[str, Known]) -> None:
    assert set(deployed) == {"DigestLog", "ConsentRegister", "ReadingLog", "RevenueShare"}
    for one in deployed.values():
        assert one.requirements
        assert bound(place.connected, one).call("template") == one.template
        assert bound(place.connected, one).call("quorum") == 2
    needs = room.needs(place.kb, place.application).only(["DigestLog"])
    with pytest.raises(InputError, match="has its DigestLog"):
        room.deploy(place.kb, place.connected, needs, groups(place, needs))


def test_logic_is_deployed_once(place: Place, deployed: dict[str, Known]) -> None:
    found = home.connect(place.keys.folder.parent, keys=place.keys)
    try:
        needs = room.needs(place.kb, place.application).only(["DigestLog"])
        again = room.forecast(found, needs, groups(place, needs), place.kb.author)
        assert again.of("DigestLog").logic == 0
        assert again.price == 0  # an embedded chain asks no fee
    finally:
        found.close()


def test_digest_log_proves_what_was_in_a_batch(place: Place, deployed: dict[str, Known]) -> None:
    contract = bound(place.connected, deployed["DigestLog"])
    digests = [bytes([n]) * 32 for n in range(25)]
    root = merkle.root(digests)
    contract.send(place.members[1], "append", b"s" * 32, root, len(digests))
    for index in (0, 7, 24):
        assert contract.call("includes", root, digests[index], merkle.path(digests, index))
    assert not contract.call("includes", root, b"x" * 32, merkle.path(digests, 7))
    assert contract.call("batchOf", root)[0] == place.members[1]
    with pytest.raises(Reverted, match="AlreadyLogged"):
        contract.send(place.members[1], "append", b"s" * 32, root, len(digests))


def test_consent_ends_when_the_person_withdraws_though_the_register_is_paused(
    place: Place, deployed: dict[str, Known]
) -> None:
    one = deployed["ConsentRegister"]
    contract = bound(place.connected, one)
    where = agreed.domain(place.connected.chain.chain_id, contract.address)
    person, consent = place.outside, b"c" * 32
    until = place.connected.chain.header().time + 86400
    granting = for_contract(person.sign(where.digest(agreed.GRANT.hash(consent, until))))
    contract.send(place.kb.author, "grant", consent, until, granting)
    assert contract.call("isGranted", person.address, consent)
    room.pause(place.kb, place.connected, one)
    withdrawal = for_contract(person.sign(where.digest(agreed.WITHDRAWAL.hash(consent))))
    contract.send(place.kb.author, "withdrawSigned", consent, withdrawal)
    assert not contract.call("isGranted", person.address, consent)
    room.unpause(place.kb, place.connected, one)
    with pytest.raises(Reverted, match="AlreadyWithdrawn"):
        contract.send(place.kb.author, "grant", consent, until, granting)


def test_reading_counts_once_when_a_quorum_attests_it(place: Place, deployed: dict[str, Known]) -> None:
    contract = bound(place.connected, deployed["ReadingLog"])
    [needed] = room.needs(place.kb, place.application).only(["ReadingLog"]).contracts
    series, time = needed.series[0].key, place.connected.chain.header().time
    where = agreed.domain(place.connected.chain.chain_id, contract.address)
    digest = where.digest(agreed.READING.hash(series, 9_000_000, time))
    assert digest == contract.call("readingDigest", series, 9_000_000, time)
    keys = sorted((place.keys.unlock(a) for a in place.members[:2]), key=lambda k: k.address)
    signatures = [for_contract(k.sign(digest)) for k in keys]
    with pytest.raises(Reverted, match="TooFewSignatures"):
        contract.send(place.kb.author, "attest", series, 9_000_000, time, signatures[:1])
    contract.send(place.kb.author, "attest", series, 9_000_000, time, signatures)
    [breach] = contract.events("ThresholdBreached")
    assert (breach.args["value"], breach.args["bound"]) == (9_000_000, 8_000_000)
    with pytest.raises(Reverted, match="NotNewer"):
        contract.send(place.kb.author, "attest", series, 9_000_000, time, signatures)


def test_income_is_divided_and_taken_by_each(place: Place, deployed: dict[str, Known]) -> None:
    contract = bound(place.connected, deployed["RevenueShare"])
    contract.send(place.kb.author, "pay", b"clip" * 8, value=3_000)
    before = place.connected.chain.balance(Address(place.outside.address))
    contract.send(place.kb.author, "release", place.outside.address)
    assert place.connected.chain.balance(Address(place.outside.address)) == before + 1_000
    with pytest.raises(Reverted, match="NothingOwed"):
        contract.send(place.kb.author, "release", place.outside.address)


def test_status_compares_gas_with_the_forecast(place: Place, deployed: dict[str, Known]) -> None:
    one = deployed["DigestLog"]
    contract = bound(place.connected, one)
    for n in range(3):
        contract.send(place.members[1], "append", bytes([n + 1]) * 32, bytes([n + 101]) * 32, 64)
    needs = room.needs(place.kb, place.application).only(["DigestLog"])
    calls = room.forecast(place.connected, needs, groups(place, needs), place.kb.author).of("DigestLog").calls
    told = compared(room.status(place.connected, one), calls)
    assert told["append"]["calls"] >= 3
    assert abs(told["append"]["forecast_error"]) < 0.02


# -- agreement -------------------------------------------------------------------------------------------------------
def test_unpausing_needs_members_elsewhere_when_too_few_keys_are_here(place: Place) -> None:
    needs = room.needs(place.kb, place.application).only(["DigestLog"])
    group = Group(tuple(Address(a) for a in place.members), (Address(place.kb.author),), quorum=3)
    [log] = needs.contracts
    address, _, _ = put(place.kb, place.connected, log, group)
    record(place.kb, place.connected, place.application, "DigestLog", address, ["urn:example:test"])
    one = pick(place.kb, place.connected, address)
    room.pause(place.kb, place.connected, one)
    with pytest.raises(InputError, match="2 of 3 members signed"):
        room.unpause(place.kb, place.connected, one)
    proposal = room.unpause(place.kb, place.connected, one, sign_only=True)
    assert isinstance(proposal, Agreement)
    with pytest.raises(InputError, match="no member"):
        room.unpause(place.kb, place.connected, one, signatures=[place.outside.sign(b"another digest".ljust(32))])
    theirs = place.outside.sign(proposal.digest)
    room.unpause(place.kb, place.connected, one, signatures=[theirs])
    assert room.status(place.connected, one)["paused"] is False
    record(place.kb, place.connected, place.application, "DigestLog", address, ())


def test_patching_keeps_state_and_is_refused_when_nothing_changes(place: Place, deployed: dict[str, Known]) -> None:
    one = deployed["DigestLog"]
    contract = bound(place.connected, one)
    contract.send(place.members[1], "append", b"p" * 32, b"patched" + bytes(25), 3)
    with pytest.raises(InputError, match="already"):
        room.patch(place.kb, place.connected, one)
    logic = Contract.deploy(place.connected.chain, place.kb.author, "DigestLog").address
    room.patch(place.kb, place.connected, one, implementation=logic)
    assert contract.call("implementation") == logic
    assert contract.call("batchOf", b"patched" + bytes(25))[2] == 3
    with pytest.raises(InputError, match="no contract at this address"):
        room.patch(place.kb, place.connected, one, implementation="0x" + "12" * 20)


def test_migrating_freezes_the_old_contract_and_the_new_one_goes_on(place: Place, deployed: dict[str, Known]) -> None:
    one = deployed["DigestLog"]
    old = bound(place.connected, one)
    old.send(place.members[1], "append", b"m" * 32, b"before" + bytes(26), 2)
    needs = room.needs(place.kb, place.application).only(["DigestLog"])
    to = succeed(place.kb, place.connected, one, needs, groups(place, needs)["DigestLog"])
    with pytest.raises(Reverted, match="EnforcedPause"):  # it waits
        Contract(place.connected.chain, to.address, "DigestLog").send(
            place.members[1], "append", b"m" * 32, b"r" * 32, 1
        )
    room.migrate(place.kb, place.connected, one, to)
    with pytest.raises(Reverted, match="Moved"):
        old.send(place.members[1], "append", b"m" * 32, b"after" + bytes(27), 2)
    [new] = [k for k in room.known(place.kb, place.application) if k.template == "DigestLog" and k.requirements]
    assert new.address == to.address
    assert set(new.requirements) == set(one.requirements)
    contract = bound(place.connected, new)
    assert contract.call("batchOf", b"before" + bytes(26))[2] == 2
    contract.send(place.members[1], "append", b"m" * 32, b"after" + bytes(27), 2)
    told = room.status(place.connected, new)
    assert told["predecessor"] == {
        "chain_id": place.connected.chain.chain_id, "address": one.address, "state_root": "0x" + to.state_root.hex(),
    }  # fmt: skip
    assert pick(place.kb, place.connected, "DigestLog").address == new.address


def test_migrating_is_refused_when_the_contract_went_on(place: Place, deployed: dict[str, Known]) -> None:
    one = deployed["RevenueShare"]
    before = state_root(bound(place.connected, one))
    bound(place.connected, one).send(place.kb.author, "pay", bytes(32), value=3)
    successor = Successor(place.connected.chain.chain_id, Address(place.kb.author), before)
    with pytest.raises(InputError, match="went on"):
        room.migrate(place.kb, place.connected, one, successor)


def test_migrating_to_another_chain_hands_over_the_root(place: Place, deployed: dict[str, Known]) -> None:
    one = deployed["ReadingLog"]
    folder = place.keys.folder.parent
    home.create(folder, "second", keys=place.keys, account=place.kb.author, clock=place.clock)
    needs = room.needs(place.kb, place.application).only(["ReadingLog"])
    with home.connect(folder, "second", keys=place.keys, clock=place.clock) as second:
        to = succeed(place.kb, place.connected, one, needs, groups(place, needs)["ReadingLog"], second)
        room.migrate(place.kb, place.connected, one, to, there=second)
        told = room.status(place.connected, one)
        assert told["successor"] == {
            "chain_id": second.chain.chain_id, "address": to.address, "state_root": "0x" + to.state_root.hex(),
        }  # fmt: skip
        new = pick(place.kb, second, "ReadingLog")
        assert room.status(second, new)["predecessor"]["state_root"] == "0x" + to.state_root.hex()
        assert room.status(second, new)["paused"] is False


def test_contract_that_nobody_knows_is_refused(place: Place, deployed: dict[str, Known]) -> None:
    with pytest.raises(InputError, match="did you mean"):
        pick(place.kb, place.connected, "ConsentRegisters")
