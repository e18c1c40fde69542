"""Versions: what is proposed, what cannot be agreed, graphs that never change, and two homes that agree by files."""

from __future__ import annotations

import json
from typing import Any

import pyoxigraph as ox
import pytest
from agreement_ground import Ground

from engine.errors import InputError, IntegrityError
from engine.ledger import agreements as sla
from engine.ledger.agreements import model, versions
from engine.ledger.agreements.exchange import load
from engine.ledger.agreements.lifecycle import signatures
from engine.ledger.agreements.terms import read_yaml, terms_of
from reasoners.graph import memory_view
from reasoners.vocab import DAPP, DAPPI


def test_version_has_the_root_that_both_sides_sign(place: Ground) -> None:
    version = sla.propose(place.kb, place.terms(), connected=place.connected)
    told, terms = sla.contract_terms(place.kb, version)
    graph = next(g for g in place.kb.info()["graphs"] if g["iri"] == told.graph)
    assert (graph["root"], graph["sequence"], graph["kind"]) == (terms.terms_hash.hex(), 1, "fixed")
    assert place.contract.call("identifierOf", terms.values) == terms.identifier
    assert sla.terms_in(memory_view(versions.statements(place.kb, version)), version) == terms
    assert model.read(memory_view(model.triples(told)), version) == told


def test_version_is_refused_a_second_commit(place: Ground) -> None:
    terms = place.terms()
    version = sla.propose(place.kb, terms, connected=place.connected)
    assert sla.propose(place.kb, terms, connected=place.connected) == version  # the same again is no change
    graph = version.removesuffix("/terms")
    more = ox.Triple(ox.NamedNode(version), DAPP.witnessQuorum, ox.Literal(3))
    for change in ({"added": [more]}, {"removed": versions.statements(place.kb, version)[:1]}):
        with pytest.raises(InputError, match="never changes"):
            place.kb.commit(graph, **change)
    with pytest.raises(InputError, match="never changes"):
        place.kb.commit(graph.replace("-v1", "-v9"), [more], expires=2_000_000_000)
    with pytest.raises(InputError, match="never changes"):
        sla.propose(place.kb, {**terms, "payment": "9"}, connected=place.connected)
    assert place.kb.call("verify")["commits"] > 0


def test_version_is_answered_by_a_side_and_by_nobody_else(place: Ground) -> None:
    first = sla.propose(place.kb, place.terms(), connected=place.connected)
    second = sla.counter(
        place.kb, first, {"payment": "1.2", "quorum": 3}, author=place.provider, connected=place.connected
    )
    told = sla.read(place.kb, second)
    assert (told.number, told.previous, told.price, told.quorum) == (2, first, 12 * 10**17, 3)
    assert f"/g/{place.provider}/" in second
    with pytest.raises(InputError, match="nothing is different"):
        sla.counter(place.kb, second, {}, connected=place.connected)
    stranger = "0x" + "5" * 40
    with pytest.raises(InputError, match="only a side"):
        sla.counter(place.kb, first, {"payment": "1"}, author=stranger, connected=place.connected)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"quorum": 1}, "more than half"),
        ({"quorum": 4}, "more than half"),
        ({"seconds": 10, "settleWithin": -5, "start": "+5"}, ""),
        ({"payment": "-1"}, "not negative"),
        ({"payment": "0.0000000000000000001"}, "18 decimals"),
        ({"objectives": []}, ""),
        ({"objectives": [{"metric": "Availability"}]}, "atLeast, atMost, equal"),
        ({"objectives": [{"metric": "Availability", "atLeast": 99, "tolerance": 1}]}, "less than 1"),
        ({"measure": [{"http": "ftp://x/", "every": 1}]}, "http:// or https://"),
        ({"measure": [{"http": "http://user:secret@x/", "every": 1}]}, "no user and password"),
        ({"measure": [{"http": "http://x/", "every": 100}]}, "at least one a period"),
        ({"measure": [{"tcp": "nowhere", "every": 1}]}, "host:port"),
        ({"measure": [{"sparql": "http://x/", "every": 1}]}, ""),
        ({"measure": [{"http": "http://x/", "every": 1, "for": ["Throughput"]}]}, "metrics of objectives"),
        ({"witness": []}, "witnesses"),
        ({"provider": "https://example.org/unknown"}, "an account signs"),
    ],
    ids=lambda x: json.dumps(x)[:40] if isinstance(x, dict) else "",
)
def test_terms_are_refused_when_nobody_could_carry_them_out(place: Ground, change: dict[str, Any], rule: str) -> None:
    before = place.kb.info()["head"]
    with pytest.raises(InputError) as refused:
        sla.propose(place.kb, place.terms(**change), connected=place.connected)
    assert refused.value.message
    assert rule in f"{refused.value.rule} {refused.value.remedy}"
    assert place.kb.info()["head"] == before


def test_side_is_no_witness_and_does_not_agree_with_itself(place: Ground) -> None:
    for change in ({"witnesses": [place.provider, *place.witnesses]}, {"providerAccount": place.consumer}):
        with pytest.raises(InputError, match="cannot be agreed"):
            sla.propose(place.kb, place.terms(**change), connected=place.connected)


def test_terms_are_read_from_yaml_and_come_back(place: Ground) -> None:
    written = json.dumps(place.terms(objectives=[{"metric": "ResponseTime", "atMost": 60, "window": 5}]))
    version = sla.propose(place.kb, read_yaml(written, "terms.yaml"), connected=place.connected)
    told = sla.read(place.kb, version)
    assert told.objectives[0] == model.Objective(DAPPI.ResponseTime.value, DAPPI.AtMost.value, 60.0, 0.05, 5.0)
    again = terms_of(told)
    assert sla.propose(place.kb, again, connected=place.connected) == version
    with pytest.raises(InputError) as refused:
        read_yaml("agreement: x\n\tpayment: 1\n", "terms.yaml")
    assert refused.value.place.startswith("terms.yaml:2")


def test_two_homes_agree_by_files(place: Ground, other: Ground) -> None:
    """The consumer proposes here; the provider, in a home of its own, takes the version, signs, and sends the signature."""
    base = place.kb.graph_iri("main").split("/g/", 1)[0]
    terms = place.terms(provider=f"{base}/g/{other.consumer}/self")
    version = sla.propose(place.kb, terms, connected=place.connected)
    text = json.dumps(place.kb.call("signed_graph", graph=version.removesuffix("/terms")))
    changed = json.loads(text)
    changed["statements"] = [x.replace('"1.5"', '"9.5"') for x in changed["statements"]]
    assert changed["statements"] != json.loads(text)["statements"]
    with pytest.raises(IntegrityError):
        other.kb.call("adopt_graph", graph=changed)
    with pytest.raises(InputError):
        load("{}", "x.json")
    other.kb.call("adopt_graph", graph=load(text, "version.json").as_json())
    assert other.kb.call("adopt_graph", graph=json.loads(text))["sequence"] is None
    assert sla.contract_terms(other.kb, version) == sla.contract_terms(place.kb, version)
    signed = sla.accept(other.kb, version)
    assert signed["account"] == other.consumer
    assert other.kb.call("verify")["commits"] > 0
    forged = {**signed, "signature": signed["signature"][:-4] + "0000"}
    with pytest.raises((IntegrityError, InputError)):
        sla.add_signature(place.kb, forged)
    sla.add_signature(place.kb, signed)
    sla.accept(place.kb, version)
    told, terms_ = sla.contract_terms(place.kb, version)
    assert all(len(s) == 65 for s in signatures(place.kb, told, terms_))
