"""What the query page is given: terms to complete with, examples, itself without a bundle; and that nothing private shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pyoxigraph as ox
import pytest
from server_world import Site, fill

import engine
from engine.kb import KnowledgeBase, Table
from engine.server import make_app, pages
from engine.server.content import PARTS
from engine.server.terms import Terms, written

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ROUTES = (
    "/", "/query", "/api/status", "/api/graphs", "/api/terms?prefix=secret", "/api/terms?prefix=", "/api/examples",
    "/api/events", "/api/prefixes", *(f"/api/{part}" for part in PARTS), *(f"/part/{part}" for part in PARTS),
)  # fmt: skip


def terms(site: Site, prefix: str, kind: str = "any") -> list[dict[str, str]]:
    found: list[dict[str, str]] = site.get(f"/api/terms?prefix={quote(prefix)}&kind={kind}").get_json()["terms"]
    return found


def test_terms_are_the_graphs_own_when_completed(site: Site) -> None:
    assert terms(site, "dapp:TrustU")[0] | {"uses": 0} == {
        "iri": "https://w3id.org/dappops#TrustUnit", "text": "dapp:TrustUnit", "kind": "class", "label": "trust unit", "uses": 0,
    }  # fmt: skip
    assert {t["kind"] for t in terms(site, "", "property")} == {"property"}
    assert "dapp:hasUnit" in [t["text"] for t in terms(site, "hasunit", "property")], "the local part, in any case"
    assert f"<{site.graph}/ledger>" in [t["text"] for t in terms(site, "Ledger")], "a thing by its label"
    assert f"<{site.graph}/ledger>" in [t["text"] for t in terms(site, f"{site.graph}/led")], "a thing by its IRI"
    assert not terms(site, "hasunit", "class")
    assert len(terms(site, "")) == 50, "bounded"


def test_terms_are_used_in_order_when_several_fit(site: Site) -> None:
    uses = [t["uses"] for t in terms(site, "dapp:has", "property")]
    assert uses == sorted(uses, reverse=True)
    assert len(uses) > 3


def test_terms_are_not_sent_again_when_nothing_changed(site: Site) -> None:
    first = site.get("/api/terms?prefix=dapp:Pl")
    assert site.get("/api/terms?prefix=dapp:Pl", If_None_Match=first.headers["ETag"]).status_code == 304
    assert site.get("/api/terms?prefix=dapp:Fu", If_None_Match=first.headers["ETag"]).status_code == 200


@pytest.mark.parametrize(("query", "slug"), [("kind=verb", "kind"), (f"prefix={'x' * 201}", "prefix")])
def test_completion_is_refused_when_it_asks_for_nothing_known(query: str, slug: str, site: Site) -> None:
    answer = site.get(f"/api/terms?{query}")
    assert (answer.status_code, answer.get_json()["type"].rpartition("/")[2]) == (400, slug)


def test_new_terms_are_read_when_the_state_and_the_pause_are_over(site: Site) -> None:
    asked: list[str] = []

    def call(method: str, **given: object) -> object:
        asked.append(method)
        return site.kb.call(method, **given)

    slow, quick = Terms(call, pause=3600), Terms(call, pause=0)
    for each in (slow, quick):
        each.like("dapp:", "any", "one")
    before = len(asked)
    slow.like("dapp:", "any", "two")
    assert len(asked) == before, "a graph under writes is not read for each of them"
    quick.like("dapp:", "any", "one")
    assert len(asked) == before, "nor while it is the same"
    quick.like("dapp:", "any", "two")
    assert len(asked) == before + 3


@pytest.mark.parametrize(
    ("iri", "text"),
    [
        ("https://w3id.org/dappops#Place", "dapp:Place"), ("https://w3id.org/dappops/id#Running", "dappi:Running"),
        ("https://w3id.org/dappops#a.b", "<https://w3id.org/dappops#a.b>"), ("urn:x", "<urn:x>"),
        ("https://w3id.org/dappops#", "<https://w3id.org/dappops#>"), ("https://w3id.org/dappops#-x", "<https://w3id.org/dappops#-x>"),
    ],
)  # fmt: skip
def test_term_is_written_so_that_a_query_reads_it(iri: str, text: str, site: Site) -> None:
    assert written(iri) == text
    answer = site.kb.query(f"SELECT ?t {{ VALUES ?t {{ {text} }} }}")
    assert isinstance(answer, Table)
    assert answer.rows == ((ox.NamedNode(iri),),)


def test_examples_are_the_shipped_queries_and_run_when_asked(site: Site, repo: Path) -> None:
    groups = site.get("/api/examples").get_json()["groups"]
    assert [g["name"] for g in groups] == ["Gallery", "Questions the ontology answers", "Views"]
    gallery = groups[0]["queries"]
    assert len(gallery) == len(list((repo / "queries/gallery").glob("*.rq"))) >= 9
    assert {e["show"] for e in gallery} == {"table", "map", "graph"}
    assert len(groups[1]["queries"]) >= 28
    assert len(groups[2]["queries"]) > 30
    for group in groups:
        for example in group["queries"]:
            assert example["title"]
            assert example["question"]
            assert not example["text"].startswith("#")
            if "SERVICE" not in example["text"]:
                site.kb.query(example["text"], limit=5)
    rows = {e["id"]: e["text"] for e in gallery}
    graph = site.kb.query(rows["03-application-as-a-graph"])
    assert isinstance(graph, list)
    assert len(graph) > 4
    answer = site.kb.query(rows["09-plan-as-a-graph"])
    assert isinstance(answer, list)
    assert len(answer) > 4


def test_plain_box_asks_when_the_page_is_not_built(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pages, "BUILT", tmp_path / "none.js")
    html = site.get("/query?query=ASK%7B%7D", HTML).text
    assert "make page" in html
    assert "<script" not in html
    assert re.search(r'<form method="post" action="/sparql"', html)
    assert "ASK{}</textarea>" in html


def test_built_page_needs_nothing_inline_when_it_is_there(
    site: Site, monkeypatch: pytest.MonkeyPatch, repo: Path
) -> None:
    monkeypatch.setattr(pages, "BUILT", repo / "README.md")
    html = site.get("/query?query=%3C%2Ftextarea%3E%3Cscript%3Ealert(1)", HTML).text
    assert "<script>alert" not in html
    assert not re.search(r"<style|\son\w+=|style=", html)
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(s.startswith(("/", "#")) and not s.startswith("//") for s in sources)
    prefixes = re.search(r'data-prefixes="([^"]*)"', html)
    assert prefixes
    assert json.loads(prefixes[1].replace("&#34;", '"'))["dapp"] == "https://w3id.org/dappops#"


def test_query_is_handed_on_when_the_status_page_is_asked_with_one(site: Site) -> None:
    answer = site.get("/?query=ASK%7B%7D", HTML)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/query?query=ASK")


def private(kb: KnowledgeBase, number: int) -> None:
    """Commit something to a private graph of the node."""
    assert kb.kernel is not None
    secret = kb.graph_iri("secret")
    with kb.kernel.lock.held():
        kb.kernel.graph_for(secret, kb.author, lambda digest: kb._sign(kb.author, digest), audience="private")
    with kb.change(graph="secret") as change:
        change.add(f"{secret}/secret{number}", "rdf:type", "dapp:StakeholderRole")
        change.add(f"{secret}/secret{number}", "rdfs:label", ox.Literal(f"Secret {number}"))


def test_nothing_changes_for_outsiders_when_a_private_graph_does() -> None:
    """Every route of the pages, byte by byte and header by header, before and after private commits."""
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    with engine.open(":memory:") as kb:
        site = Site(kb, fill(kb), make_app(kb))

        def shown() -> dict[str, tuple[object, ...]]:
            answers = {path: site.get(path) for path in ROUTES}
            return {path: (a.status_code, a.data, sorted(a.headers.items())) for path, a in answers.items()}

        before = shown()
        assert {status for status, *_ in before.values()} == {200}
        for number in range(3):
            private(kb, number)
        fresh = Site(kb, site.graph, make_app(kb))  # with nothing kept from before
        assert shown() == before
        site = fresh
        assert shown() == before
        with kb.change(graph="world") as change:
            change.add(f"{site.graph}/more", "rdfs:label", ox.Literal("more"))
        assert shown()["/api/status"] != before["/api/status"], "what is public does change"
