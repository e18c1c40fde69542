"""Answers with their proof: `/sparql?query=…&proof=1`."""

from __future__ import annotations

import json
from urllib.parse import quote

from server_world import Site

from verifier import verify

LABELS = "SELECT ?unit ?label WHERE { ?unit a dapp:TrustUnit ; rdfs:label ?label }"


def test_answer_carries_a_proof_that_holds_when_it_is_asked_for(site: Site) -> None:
    answer = site.get(f"/sparql?query={quote(LABELS)}&proof=1")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    body = json.loads(answer.text)
    assert body["results"]["bindings"][0]["label"]["value"] == "Ledger"
    assert [row["claim"] for row in body["proof"]["answer"]["rows"]] == ["proven"]
    assert verify(json.dumps(body["proof"])).holds


def test_ask_carries_a_proof_when_sent_as_a_form(site: Site) -> None:
    answer = site.post(
        "/sparql", {"query": "ASK { ?unit a dapp:TrustUnit }", "proof": "1"}, "application/x-www-form-urlencoded"
    )
    body = json.loads(answer.text)
    assert body["boolean"] is True
    assert verify(json.dumps(body["proof"])).holds


def test_proof_is_refused_when_the_parameter_or_the_form_is_another(site: Site) -> None:
    assert site.get(f"/sparql?query={quote(LABELS)}&proof=yes").status_code == 400
    described = site.get(f"/sparql?query={quote('DESCRIBE dapp:Place')}&proof=1")
    assert described.status_code == 400
    assert "only rows are proven" in described.text
