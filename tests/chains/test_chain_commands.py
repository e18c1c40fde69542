"""Chains through the command line and the graph: made, measured, chosen by kind of transaction, upgraded, removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import engine
from engine.cli import cli
from engine.errors import DappopsError
from engine.kb import KnowledgeBase
from engine.ledger.chains import managing
from engine.ledger.knowledge import folder_of

Run = Callable[..., Any]
STORY = Path(__file__).resolve().parents[2] / "examples/crowd-rehearsal.yaml"
FORBIDDEN = """
@prefix dapp: <https://w3id.org/dappops#> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix : <GRAPH/> .
:own a dapp:Rule ; rdfs:label "No single sealer"@en ; dapp:purpose "ledger" ;
  dapp:headPredicate "https://w3id.org/dappops#excludedFor"^^xsd:anyURI ; sh:construct '''
  PREFIX dapp: <https://w3id.org/dappops#>
  CONSTRUCT { ?x dapp:excludedFor ?kind } WHERE { ?x a dapp:Ledger ; dapp:consensusKind "single sealer" . ?a dapp:hasTransactionType ?kind }
''' .
"""


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with engine.open(str(tmp_path_factory.mktemp("home"))) as made:
        yield made
        for record in managing.chains.records(folder_of(made)):
            managing.cosigning.stop(record)


@pytest.fixture(scope="module")
def run(kb: KnowledgeBase) -> Run:
    """A command's JSON; `fails` is its exit code, or the error that it raises."""

    def call(*words: str, fails: int | str = 0) -> Any:
        done = CliRunner().invoke(cli, ["--home", str(kb.home), *words, "--json"])
        if isinstance(fails, str):
            assert isinstance(done.exception, DappopsError), done.output
            assert fails in str(done.exception)
            return None
        assert done.exit_code == fails, (done.output, done.exception)
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def measured(run: Run) -> dict[str, Any]:
    """`quick` without co-signers, `signed` with two; both measured."""
    run("chain", "create", "quick")
    run("chain", "create", "signed", "--co-signers", "2")
    return {n: run("chain", "profile", n, "--samples", "4", "--burst", "20") for n in ("quick", "signed")}


def test_profile_is_measured_and_stated(run: Run, kb: KnowledgeBase, measured: dict[str, Any]) -> None:
    assert (measured["quick"]["co_signers"], measured["signed"]["co_signers"]) == (0, 2)
    for name, found in measured.items():
        assert 0 < found["inclusion"] <= found["slow_inclusion"]
        assert found["finality"] >= found["inclusion"]
        assert found["throughput"] > 0
        assert found["gas"] > 21_000
        rows = kb.select(
            f"""SELECT ?t ?n ?g ?c {{ <{kb.graph_iri("ledger")}/{name}> dapp:hasLedgerProfile ?p ; dapp:coSignerCount ?c .
            ?p dapp:atTime ?t ; dapp:sampleCount ?n ; dapp:gasUsed ?g }}"""
        ).rows
        assert texts(rows) == [[found["measured_at"], "24", str(found["gas"]), str(found["co_signers"])]]
    assert {r["name"]: len(r["coSigners"]) for r in run("chain", "list")} == {"quick": 0, "signed": 2}


def texts(rows: Any) -> list[list[str]]:
    return [[term.value for term in row if term is not None] for row in rows]


def test_kinds_of_transactions_go_to_different_ledgers_and_the_graph_says_why(
    run: Run, kb: KnowledgeBase, measured: dict[str, Any]
) -> None:
    run("commit", str(STORY), "--graph", "rehearsal")

    def chosen(result: Any) -> dict[str, str | None]:
        return {
            c["scope"]["iri"].rsplit("/", 1)[-1]: c["ledger"]["label"] if c["ledger"] else None
            for c in result["chosen"]
        }

    run("chain", "fund", "quick", "0x" + "5e" * 20, "2.5")
    first = run("chain", "choose", "crowd-rehearsal", "-w", "finality=1")
    assert chosen(first) == {"frame-digest": "quick", "consent-entry": "signed", "settlement": "signed"}
    used = kb.select("SELECT ?s ?l { ?s dapp:usesLedger ?l }")
    assert {
        (s.value.rsplit("/", 1)[-1], ledger.value.rsplit("/", 1)[-1]) for s, ledger in used.rows if s and ledger
    } == set(chosen(first).items())
    why = run("why", first["decision"])
    assert json.dumps(why).count("ledger-bound") >= 2

    # a rule that nobody shipped changes the choice; taken back, the first one returns
    kb_rule = FORBIDDEN.replace("GRAPH", kb.graph_iri("policy"))
    with kb.change(graph="policy") as change:
        change.parse(kb_rule)
    second = run("chain", "choose", "crowd-rehearsal", "-w", "finality=1")
    assert chosen(second) == dict.fromkeys(("frame-digest", "consent-entry", "settlement"), "signed")
    with kb.change(graph="policy") as change:
        change.removed.extend(q.triple for q in kb.quads(graph=kb.graph_iri("policy")))
    run("chain", "choose", "crowd-rehearsal", "-w", "finality=1", "--dry-run")
    assert len(kb.select("SELECT ?s ?l { ?s dapp:usesLedger ?l }")) == 3
    assert run("findings") == []


def test_checkpoint_upgrade_and_relay_are_stated(run: Run, kb: KnowledgeBase, measured: dict[str, Any]) -> None:
    made = run("chain", "checkpoint", "signed")
    done = run("chain", "upgrade", "signed", "--rules", "prague")
    assert set(done["signers"]) == set(made["signatures"])
    told = kb.select(
        """SELECT ?n (COUNT(?who) AS ?count) { { ?x a dapp:Checkpoint ; dapp:blockNumber ?n }
        UNION { ?x a dapp:LedgerUpgrade ; dapp:fromHeight ?n ; dapp:evmRules "prague" } ?x dapp:coSignedBy ?who }
        GROUP BY ?n ORDER BY ?n"""
    )
    assert texts(told.rows) == [[str(made["number"]), "2"], [str(done["height"]), "2"]]
    assert run("chain", "upgrade", "signed", "--rules", "cancun", fails="agreed already") is None
    graph = kb.graph_iri("rehearsal")
    from engine.graph.hashing import keccak256

    source = managing.connect(kb, "signed")
    source.contract("GraphRegistry").send(kb.author, "anchorHead", keccak256(graph.encode()), b"\x11" * 32)
    assert run("chain", "relay", "--from", "quick", "--to", "signed", fails="anchored nothing") is None
    run("chain", "checkpoint", "signed")
    moved = run("chain", "relay", "--from", "signed", "--to", "quick", "--graph", "rehearsal")
    assert (moved["value"], moved["vouchedBy"], len(moved["transactions"])) == ("0x" + "11" * 32, "co-signers", 2)
    assert run("chain", "relay", "--from", "signed", "--to", "quick", "--graph", "rehearsal")["transactions"] == []


def test_chain_is_kept_when_somebody_relies_on_it(run: Run, kb: KnowledgeBase, measured: dict[str, Any]) -> None:
    connected = managing.connect(kb, "signed")
    connected.contract("GraphRegistry").send(kb.author, "anchorHead", b"\x12" * 32, b"\x13" * 32)
    connected.contract("ServiceAgreement").send(kb.author, "deposit", value=5)
    reasons = "; ".join(managing.needed(connected))
    assert "anchored" in reasons
    assert "5 wei" in reasons
    run("chain", "stop", "signed", "--remove", fails="still needed")
    assert run("chain", "stop", "signed") == {"chain": "signed", "stopped": 3, "removed": False}
    assert {r["running"] for r in run("chain", "replicas", "signed")} == {False}
    run("chain", "stop", "quick", "--remove", fails="imported")
    run("chain", "create", "spare")
    spare = f"ASK {{ VALUES ?x {{ <{kb.graph_iri('ledger')}/spare> }} {{ ?x ?p ?o }} UNION {{ ?s ?q ?x }} }}"
    assert kb.query(spare)
    run("chain", "profile", "spare", "--samples", "1", "--burst", "2")  # probes keep nothing
    assert run("chain", "stop", "spare", "--remove")["removed"]
    assert [r["name"] for r in run("chain", "list")] == ["quick", "signed"]
    assert not kb.query(spare)


def test_mistakes_are_told_when_a_chain_cannot_be_made(run: Run, kb: KnowledgeBase) -> None:
    run("chain", "create", "Bad Name", fails="not a name")
    run("chain", "create", "x", "--co-signers", "4", "--quorum", "2", fails="more than half")
    run("chain", "create", "x", "--quorum", "2", fails="no co-signers")
    run(
        "chain",
        "create",
        "x",
        "--kind",
        "json-rpc",
        "--rpc",
        "http://127.0.0.1:1",
        "--co-signers",
        "2",
        fails="embedded",
    )
    run("chain", "profile", "nowhere", fails="no chain 'nowhere'")
    assert not (folder_of(kb) / "chains" / "x").exists()
