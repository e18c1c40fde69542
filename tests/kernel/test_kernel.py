"""The kernel's rules: effective deltas, authority, inertness, gate, history, redaction, blank nodes, keys."""

from __future__ import annotations

import json
import sqlite3
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.errors import InputError, IntegrityError
from engine.graph import names
from engine.graph.gate import Refused
from engine.graph.keys import KeyRing, commit_digest, recover, typed_data
from reasoners.vocab import DAPP, DAPPI, OWL, RDF, RDFS, UNIT, XSD


@pytest.fixture
def kb(home: Path) -> Iterator[engine.KnowledgeBase]:
    with engine.open(home) as opened:
        yield opened


def provider(
    kb: engine.KnowledgeBase, name: str = "provider", graph: str = "main", author: str | None = None
) -> list[ox.Triple]:
    node = ox.NamedNode(f"{kb.graph_iri(graph, author)}/{name}")
    return [
        ox.Triple(node, RDF.type, DAPP.CentralisedProvider),
        ox.Triple(node, RDFS.label, ox.Literal("A provider", language="en")),
        ox.Triple(node, DAPP.legalJurisdiction, DAPPI("Country-NL")),
    ]


def price(node: ox.NamedNode, amount: str) -> list[ox.Triple]:
    return [
        ox.Triple(node, RDF.type, DAPP.PriceSpecification),
        ox.Triple(node, DAPP.amount, ox.Literal(amount, datatype=XSD.decimal)),
        ox.Triple(node, DAPP.currency, ox.Literal("EUR")),
        ox.Triple(node, DAPP.perUnit, UNIT.HR),
        ox.Triple(node, DAPP.term, DAPPI.OnDemand),
    ]


# -- deltas ----------------------------------------------------------------------------------------------------------
def test_commit_is_empty_when_nothing_changes(kb: engine.KnowledgeBase) -> None:
    triples = provider(kb)
    assert kb.commit("main", triples).sequence == 2
    receipt = kb.commit("main", triples)
    assert (receipt.sequence, receipt.added) == (None, 0)
    assert kb.info()["head"] == 2


def test_delta_drops_what_is_there_and_what_is_not(kb: engine.KnowledgeBase) -> None:
    triples = provider(kb)
    kb.commit("main", triples[:2])
    receipt = kb.commit("main", triples, [ox.Triple(triples[0].subject, RDFS.seeAlso, ox.Literal("nothing"))])
    assert (receipt.added, receipt.removed) == (1, 0)


def test_union_keeps_a_triple_that_another_graph_holds(kb: engine.KnowledgeBase) -> None:
    triples = provider(kb)
    kb.commit("main", triples)
    kb.commit("other", triples)
    kb.commit("main", [], triples)
    count = kb.select(f"SELECT (COUNT(*) AS ?n) WHERE {{ {triples[0].subject} ?p ?o FILTER(?p != rdf:type) }}")
    assert count.rows[0][0] == ox.Literal(2)
    kb.commit("other", [], triples)
    assert not kb.query(f"ASK {{ {triples[0].subject} ?p ?o }}")


def test_union_counts_a_triple_of_two_graphs_once(kb: engine.KnowledgeBase) -> None:
    triples = provider(kb)
    kb.commit("main", triples)
    kb.commit("other", triples)
    count = kb.select(f"SELECT (COUNT(*) AS ?n) WHERE {{ {triples[0].subject} ?p ?o FILTER(?p != rdf:type) }}")
    assert count.rows[0][0] == ox.Literal(2)


def test_transaction_spans_graphs(kb: engine.KnowledgeBase) -> None:
    receipt = kb.commit_all({"main": ([], provider(kb)), "other": ([], provider(kb, graph="other"))})
    assert len(receipt.heads) == 2
    assert len(kb.log(1)[0]["commits"]) == 2


def test_transaction_writes_nothing_when_one_graph_is_refused(kb: engine.KnowledgeBase) -> None:
    node = ox.NamedNode(kb.graph_iri("other") + "/price")
    with pytest.raises(Refused):
        kb.commit_all({"main": ([], provider(kb)), "other": ([], price(node, "-1"))})
    assert kb.info()["head"] == 1
    assert not kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> ?p ?o }}")
    assert kb.call("audit")["commits"] == 1


def test_change_writes_nothing_when_the_block_fails(kb: engine.KnowledgeBase) -> None:
    def fail(change: engine.Change) -> None:
        change.add(provider(kb)[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), kb.change() as change:
        fail(change)
    assert kb.info()["head"] == 1


# -- gate ------------------------------------------------------------------------------------------------------------
def test_gate_refuses_with_node_path_and_remedy(kb: engine.KnowledgeBase) -> None:
    node = ox.NamedNode(kb.graph_iri("main") + "/price")
    with pytest.raises(Refused) as caught:
        kb.commit("main", price(node, "0.0"))
    (result,) = caught.value.results
    assert result.focus == node
    assert result.path == str(DAPP.amount)
    assert result.message
    assert not kb.query(f"ASK {{ {node} ?p ?o }}")
    assert kb.call("audit")["transactions"] == 1


def test_gate_refuses_ill_typed_and_incomparable_terms(kb: engine.KnowledgeBase) -> None:
    node = ox.NamedNode(kb.graph_iri("main") + "/price")
    for text, kind in (
        ("ten", XSD.decimal),
        ("1.1234567890123456789", XSD.decimal),
        ("9223372036854775808", XSD.integer),
    ):
        with pytest.raises(InputError) as caught:
            kb.commit("main", [ox.Triple(node, DAPP.amount, ox.Literal(text, datatype=kind))])
        assert caught.value.rule
        assert caught.value.remedy
    assert kb.info()["head"] == 1


def test_coherence_violation_becomes_a_finding_and_goes_when_cured(kb: engine.KnowledgeBase) -> None:
    graph = kb.graph_iri("main")
    offer, cost = ox.NamedNode(f"{graph}/offer"), ox.NamedNode(f"{graph}/price")
    triples = [
        ox.Triple(offer, RDF.type, DAPP.ServiceOffer),
        ox.Triple(offer, RDFS.label, ox.Literal("an offer", language="en")),
        ox.Triple(offer, DAPP.offersType, ox.NamedNode(f"{graph}/type")),
        ox.Triple(offer, DAPP.offeredBy, ox.NamedNode(f"{graph}/provider")),
        ox.Triple(offer, DAPP.inRegion, ox.NamedNode(f"{graph}/region")),
        ox.Triple(offer, DAPP.hasPrice, cost),
        *price(cost, "1.5"),
    ]
    receipt = kb.commit("main", triples)
    assert receipt.findings_opened
    rows = kb.call("findings")
    assert {r["about"] for r in rows} == {offer.value}
    before = len(rows)
    cured = kb.commit("main", provider(kb))
    assert len(cured.findings_closed) == 1
    assert len(kb.call("findings")) == before - 1
    assert kb.call("audit")["findings"] == before - 1


def test_rules_apply_to_the_first_commit_after_opening(home: Path) -> None:
    engine.open(home).close()
    with engine.open(home) as kb:
        kb.commit("main", provider(kb))
        assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> a dapp:Participant }}"), "derived along subclasses"
        assert kb.call("audit")["derived"]


def test_full_regime_entails_what_the_hierarchy_does_not(home: Path) -> None:
    with engine.open(home) as kb:
        graph = kb.graph_iri("policy")
        kb.commit(
            "policy",
            [
                ox.Triple(ox.NamedNode(f"{graph}/near"), RDF.type, OWL.SymmetricProperty),
                ox.Triple(ox.NamedNode(f"{graph}/a"), ox.NamedNode(f"{graph}/near"), ox.NamedNode(f"{graph}/b")),
            ],
        )
        ask = f"ASK {{ <{graph}/b> <{graph}/near> <{graph}/a> }}"
        assert not kb.query(ask)
        assert kb.query(ask, regime="full")
        kb.commit("policy", [], [ox.Triple(ox.NamedNode(f"{graph}/near"), RDF.type, OWL.SymmetricProperty)])
        assert not kb.query(ask, regime="full"), "the view follows the log"
        with pytest.raises(InputError, match="regime"):
            kb.query(ask, regime="everything")
    with engine.open(home) as kb:
        assert not kb.query(ask, regime="full"), "persisted"


# -- authority -------------------------------------------------------------------------------------------------------
def test_authority_refuses_facts_about_anothers_subject(home: Path) -> None:
    with engine.open(home) as kb:
        other = KeyRing(home / "keys").create().address
        kb.commit("main", provider(kb))
        mine = ox.NamedNode(kb.graph_iri("main") + "/provider")
        with pytest.raises(InputError, match="authority") as caught:
            kb.commit("main", [ox.Triple(mine, DAPP.identifier, ox.Literal("stolen"))], author=other)
        assert "Claim" in caught.value.remedy
        with pytest.raises(InputError, match="no authority over this graph"):
            kb.commit(kb.graph_iri("main"), provider(kb, author=other), author=other)
        assert kb.query(f"ASK {{ {mine} ?p ?o }}")
        assert not kb.query(f"ASK {{ {mine} dapp:identifier ?o }}")


def test_authority_refuses_axioms_about_the_shipped_vocabulary(kb: engine.KnowledgeBase) -> None:
    with pytest.raises(InputError, match="shipped vocabulary"):
        kb.commit("main", [ox.Triple(DAPP.ServiceOffer, RDFS.subClassOf, OWL.Nothing)])
    with pytest.raises(InputError, match="read-only"):
        kb.commit(f"{names.SHIPPED_PREFIX}9.9.9", [ox.Triple(DAPP.ServiceOffer, RDFS.comment, ox.Literal("mine"))])


def test_foreign_axiom_and_one_sided_same_as_are_inert(home: Path) -> None:
    with engine.open(home) as kb:
        other = KeyRing(home / "keys").create().address
        mine = ox.NamedNode(kb.graph_iri("main") + "/provider")
        theirs = ox.NamedNode(kb.graph_iri("main", other) + "/provider")
        kb.commit("main", provider(kb))
        kb.commit("main", provider(kb, author=other), author=other)
        same = ox.Triple(theirs, OWL.sameAs, mine)
        receipt = kb.commit("main", [same], author=other)
        assert receipt.inert_count == 1
        assert "both sides" in receipt.inert[0][1]
        assert same not in kb.view()
        assert kb.query(f"ASK {{ {theirs} <{OWL.iri}sameAs> {mine} }}"), "visible to queries all the same"
        kb.commit("main", [same])
        assert same in kb.view()
        kb.commit("main", [], [same])
        assert same not in kb.view()
        klass = ox.NamedNode("http://example.org/Thing")
        receipt = kb.commit(
            "main",
            [ox.Triple(klass, RDFS.subClassOf, DAPP.ServiceOffer), ox.Triple(klass, RDFS.label, ox.Literal("x"))],
        )
        assert receipt.inert_count == 2
        assert ox.Triple(klass, RDFS.subClassOf, DAPP.ServiceOffer) not in kb.view()
        assert kb.call("audit")["commits"] == kb.info()["head"]


# -- blank nodes -----------------------------------------------------------------------------------------------------
def test_blank_nodes_keep_their_labels_when_a_neighbour_changes(kb: engine.KnowledgeBase) -> None:
    graph = kb.graph_iri("main")
    with kb.change() as change:
        change.parse(f"@prefix : <{graph}/> . :a :p [ :q 1 ], [ :q 2 ; :r [ :s 3 ] ] .")
    before = {q.subject for q in kb.quads(graph=graph) if isinstance(q.subject, ox.BlankNode)}
    assert len(before) == 3
    kb.update(f"PREFIX : <{graph}/> DELETE {{ ?x :q 1 }} INSERT {{ ?x :q 5 }} WHERE {{ :a :p ?x . ?x :q 1 }}")
    after = {q.subject for q in kb.quads(graph=graph) if isinstance(q.subject, ox.BlankNode)}
    assert len(before & after) == 2
    assert kb.query(f"ASK {{ <{graph}/a> <{graph}/p>/<{graph}/q> 5 }}")
    assert kb.call("audit")["quads"]


def test_blank_node_labels_do_not_depend_on_the_input(kb: engine.KnowledgeBase) -> None:
    graph = kb.graph_iri("main")
    text = f"@prefix : <{graph}/> . :a :p [ :q 1 ; :r ( 1 2 3 ) ] ."
    with kb.change() as change:
        change.parse(text)
    with kb.change() as again:
        again.parse(text)
    assert again.receipt is not None
    assert again.receipt.sequence is None


def test_genid_iri_names_a_blank_node(kb: engine.KnowledgeBase) -> None:
    from engine.graph.labels import skolem

    graph = kb.graph_iri("main")
    with kb.change() as change:
        change.parse(f"@prefix : <{graph}/> . :a :p [ :q 1 ] .")
    (node,) = {q.subject for q in kb.quads(graph=graph) if isinstance(q.subject, ox.BlankNode)}
    assert isinstance(node, ox.BlankNode)
    kb.commit("main", [ox.Triple(skolem(node, "https://example.org/"), ox.NamedNode(f"{graph}/r"), ox.Literal(2))])
    assert kb.query(f"ASK {{ <{graph}/a> <{graph}/p> [ <{graph}/q> 1 ; <{graph}/r> 2 ] }}")
    assert kb.call("audit")["quads"]


# -- history ---------------------------------------------------------------------------------------------------------
def test_as_of_diff_and_revert(kb: engine.KnowledgeBase) -> None:
    one, two = provider(kb, "one"), provider(kb, "two")
    first = kb.commit("main", one).sequence
    second = kb.commit("main", two, one[2:]).sequence
    assert first is not None
    assert second is not None
    ask = f"ASK {{ {one[0].subject} dapp:legalJurisdiction ?j }}"
    assert kb.query(ask, as_of=first)
    assert not kb.query(ask)
    assert not kb.query(f"ASK {{ {two[0].subject} ?p ?o }}", as_of=first)
    delta = kb.diff(first, second)
    assert len(delta.added) == 3
    assert [q.triple for q in delta.removed] == [one[2]]
    assert kb.diff(second, first).added == delta.removed
    kb.revert(second)
    assert kb.query(ask)
    assert not kb.diff(first)
    with pytest.raises(InputError, match="no transaction"):
        kb.diff(99)


def test_redaction_erases_text_and_everything_still_verifies(home: Path) -> None:
    secret = "Jane Doe lives here 4711"
    with engine.open(home) as kb:
        graph = kb.graph_iri("main")
        node = ox.NamedNode(f"{graph}/person")
        kb.commit(
            "main",
            [
                *provider(kb),
                ox.Triple(node, RDFS.label, ox.Literal(secret)),
                ox.Triple(node, DAPP.identifier, ox.Literal("id")),
            ],
        )
        kb.commit("main", provider(kb, "two"))
        result = kb.call("redact", subject=f"<{node.value}>", graph="main", reason="erasure request")
        assert result == {"statements": 2, "commits": 2}
        assert kb.call("verify")["redacted"] == 2
        assert kb.call("audit")["quads"]
        assert not kb.query(f"ASK {{ {node} ?p ?o }}")
        assert not kb.query(f"ASK {{ {node} ?p ?o }}", as_of=2)
    hay = b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())
    assert secret.encode() not in hay
    database = sqlite3.connect(home / "log.sqlite")
    for (body,) in database.execute("SELECT body FROM payload UNION ALL SELECT body FROM intent"):
        assert secret.encode() not in zlib.decompress(body)


def test_altered_log_is_noticed(home: Path) -> None:
    with engine.open(home) as kb:
        kb.commit("main", provider(kb))
        assert kb.kernel is not None
        kb.kernel.log.db.execute("UPDATE entry SET delta=zeroblob(32) WHERE id=2")
        with pytest.raises(IntegrityError, match="delta hash"):
            kb.call("verify")


def test_expired_statements_are_removed_when_their_time_comes(kb: engine.KnowledgeBase) -> None:
    kb.commit("main", provider(kb), expires=1_000_000)
    kb.commit("main", provider(kb, "stays"))
    again = provider(kb, "again")
    kb.commit("main", again, expires=1_000_000)
    kb.commit("main", [], again)
    kb.commit("main", again)
    assert kb.call("expire", now=999_999)["sequence"] is None
    assert kb.call("expire", now=1_000_000)["removed"] == 3
    assert not kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> ?p ?o }}")
    assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/stays> ?p ?o }}")
    assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/again> ?p ?o }}"), "asserted again without an expiry"
    kb.commit("main", provider(kb, "late"), expires=5)
    assert kb.call("expire", now=1_000_001)["removed"] == 3
    assert kb.call("verify")["commits"] == 9


# -- proofs ----------------------------------------------------------------------------------------------------------
def test_proof_of_presence_and_absence_verifies_without_the_store(kb: engine.KnowledgeBase) -> None:
    from engine.graph.proofs import Proof, verify

    kb.commit("main", provider(kb))
    graph = kb.graph_iri("main")
    root = bytes.fromhex(next(g["root"] for g in kb.info()["graphs"] if g["iri"] == graph))
    subject = f"<{graph}/provider>"
    present = kb.call("prove", graph=graph, subject=subject, predicate=str(RDF.type))["proof"]
    assert verify(Proof.from_json(json.loads(json.dumps(present))), root)
    assert len(present["lines"]) == 1
    absent = kb.call("prove", graph=graph, subject=subject, predicate=str(DAPP.amount))["proof"]
    assert absent["lines"] == []
    assert verify(Proof.from_json(absent), root)
    assert not verify(Proof.from_json(absent), bytes(32))


# -- keys ------------------------------------------------------------------------------------------------------------
def test_signature_is_eip712(home: Path) -> None:
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    key = KeyRing(home).create()
    data = typed_data(b"\1" * 32, "https://example.org/g", 7, b"\2" * 32, b"\3" * 32, 99)
    signed = Account.sign_typed_data(key.private.secret, full_message=data)
    digest = commit_digest(b"\1" * 32, "https://example.org/g", 7, b"\2" * 32, b"\3" * 32, 99)
    assert bytes(signed.message_hash) == digest
    assert (
        Account.recover_message(encode_typed_data(full_message=data), signature=key.sign(digest)).lower() == key.address
    )
    assert recover(digest, key.sign(digest)) == key.address


def test_dev_key_is_private_to_its_user_and_marked(home: Path) -> None:
    engine.open(home).close()
    (path,) = (home / "keys").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["kind"] == "dev"


def test_keystore_needs_its_passphrase(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAPPOPS_PASSPHRASE", raising=False)
    address = KeyRing(home).create(passphrase="open sesame").address
    assert "private" not in json.loads((home / f"{address}.json").read_text())
    with pytest.raises(InputError, match="locked"):
        KeyRing(home).unlock(address)
    with pytest.raises(InputError, match="wrong passphrase"):
        KeyRing(home).unlock(address, "wrong")
    assert KeyRing(home).unlock(address, "open sesame").address == address


# -- policy ----------------------------------------------------------------------------------------------------------
def test_local_shape_in_the_policy_graph_counts_from_then_on(kb: engine.KnowledgeBase) -> None:
    policy = kb.graph_iri("policy")
    shape = f"""
        @prefix sh: <http://www.w3.org/ns/shacl#> . @prefix dapp: <https://w3id.org/dappops#> .
        @prefix dappi: <https://w3id.org/dappops/id#> .
        <{policy}/NeedsDid> a sh:NodeShape ; sh:targetClass dapp:CentralisedProvider ; dapp:regime dappi:Asserted ;
          dapp:enforcement dappi:Integrity ; sh:property <{policy}/NeedsDid-identifier> .
        <{policy}/NeedsDid-identifier> a sh:PropertyShape ; sh:path dapp:identifier ; sh:minCount 1 ;
          sh:message "Add a dapp:identifier."@en .
    """
    kb.commit("main", provider(kb))
    with kb.change(graph="policy", message="policy") as change:
        change.parse(shape)
    with pytest.raises(Refused, match="identifier"):
        kb.commit("main", provider(kb, "other"))
    assert change.receipt is not None
    assert change.receipt.sequence is not None
    kb.revert(change.receipt.sequence)
    assert kb.commit("main", provider(kb, "other")).added == 3
    assert kb.call("audit")["commits"]


def test_commit_that_fails_while_it_is_logged_leaves_no_trace(
    kb: engine.KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error after the roots were computed: store, trees and accumulator go back, and the next commit verifies."""
    assert kb.kernel is not None

    def fail(*args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(kb.kernel.log, "append", fail)
        with pytest.raises(sqlite3.OperationalError):
            kb.commit("main", provider(kb))
    assert not kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> ?p ?o }}")
    kb.commit("main", provider(kb))
    assert kb.call("audit")["commits"] == 2


def test_opening_commits_what_has_expired(home: Path) -> None:
    with engine.open(home) as kb:
        kb.commit("main", provider(kb), expires=1_000_000)
        assert kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> ?p ?o }}")
        head = kb.info()["head"]
    with engine.open(home) as kb:
        assert kb.info()["head"] == head + 1
        assert not kb.query(f"ASK {{ <{kb.graph_iri('main')}/provider> ?p ?o }}")
    with engine.open(home) as kb:
        assert kb.info()["head"] == head + 1
