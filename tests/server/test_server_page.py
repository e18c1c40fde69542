"""What the page and its parts show, that it is escaped, guarded by headers, and kept until something changes."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from server_world import Site

from engine.server import make_app
from engine.server.content import PARTS

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as browsers send it


def words_of(html: str) -> str:
    """The text of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_page_shows_every_part_when_there_is_one_of_everything(site: Site) -> None:
    answer = site.get("/", HTML)
    assert answer.status_code == 200
    text = words_of(answer.text)
    for expected in (
        "Small shop", "Ledger", "trust", "OCI image", "Shop owner", "inside European Union", "response time at most 200 ms",
        "0.04 EUR", "Example Cloud", "First host", "failed", "10.0.0.1:8001", "2 of 2", "18 of 30 W", "process ended",
        "Shop is silent", "process failure", "Restart the web", "90 % in 4 s", "recovered in 6.2 s", "Blur in NumPy", "AVX2",
        "19,200", "0.26", "plan",
    ):  # fmt: skip
        assert expected in text or expected in answer.text, expected


def test_page_works_without_script_when_forms_and_links_are_followed(site: Site) -> None:
    html = site.get("/", HTML).text
    query = re.search(r'href="(/query)"', html)
    assert query
    assert 'action="/sparql"' in site.get(query[1], HTML).text
    link = re.search(r'href="(/why\?decision=[^"]+)"', html)
    assert link
    why = site.get(link[1].replace("&amp;", "&"), HTML)
    assert why.status_code == 200
    assert "Ledger" in why.text


def test_markup_in_data_is_text_when_shown(site: Site) -> None:
    html = site.get("/", HTML).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "Web <b>front" not in html


def test_page_needs_nothing_from_elsewhere_when_its_sources_are_listed(site: Site) -> None:
    html = site.get("/", HTML).text
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("/", "#")) and not source.startswith("//") for source in sources)
    assert not re.search(r"<style|\son\w+=|style=", html), "the policy refuses inline style and script"
    assert len(re.findall(r"<script", html)) == 1


def test_tables_are_described_when_read_aloud(site: Site) -> None:
    html = site.get("/", HTML).text
    assert html.count("<table") == html.count("<caption") > 5
    headings = re.findall(r"<th(?: [^>]*)?>", html)
    assert all("scope=" in heading for heading in headings)
    assert '<html lang="en">' in html


@pytest.mark.parametrize(
    "path", ["/", "/query", "/api/status", "/api/terms", "/no-such-page", "/static/page.css", "/healthz"]
)
def test_headers_guard_every_answer_when_it_is_sent(path: str, site: Site) -> None:
    answer = site.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("name", PARTS)
def test_part_is_the_same_alone_when_the_script_asks_for_it(name: str, site: Site) -> None:
    alone = site.get(f"/part/{name}").text.strip()
    assert alone.startswith("<section")
    page = re.sub(r"\s+", "", site.get("/", HTML).text)
    assert re.sub(r"\s+", "", alone) in page


def test_answer_is_not_sent_again_when_nothing_was_committed(site: Site) -> None:
    first = site.get("/part/runtime")
    mark = first.headers["ETag"]
    assert site.get("/part/runtime", If_None_Match=mark).status_code == 304
    with site.kb.change(graph="notes", message="a note") as change:
        change.add(site.kb.graph_iri("notes") + "/one", "rdfs:label", "a note")
    again = site.get("/part/runtime", If_None_Match=mark)
    assert again.status_code == 200
    assert again.headers["ETag"] != mark


def test_new_state_is_shown_when_it_was_committed(site: Site) -> None:
    before = site.get("/api/events").get_json()["events"]
    with site.kb.change(graph="world", message="an event") as change:
        event = f"{site.graph}/started"
        change.add(event, "rdf:type", "dapp:OperationEvent")
        change.add(event, "dapp:eventKind", "started")
        change.parse(
            f"<{event}> <https://w3id.org/dappops#eventAbout> <{site.graph}/webRuns> ; <https://w3id.org/dappops#atTime> "
            f'"2026-01-01T10:06:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime> .'
        )
    after = site.get("/api/events").get_json()["events"]
    assert len(after) == len(before) + 1
    assert after[0]["kind"] == "started"


def test_api_gives_the_data_of_the_page_when_asked(site: Site) -> None:
    status = site.get("/api/status").get_json()
    assert [a["label"] for a in status["applications"]] == ["Small shop"]
    assert status["applications"][0]["running"] == 2
    plan = site.get("/api/plan").get_json()
    assert plan["totals"] == [{"currency": "EUR", "amount": 0.04}]
    assert {p["unit"] for p in plan["placements"]} == {"Web <b>front</b>", "Ledger"}
    (incident,) = site.get("/api/runtime").get_json()["incidents"]
    assert [h["rank"] for h in incident["hypotheses"]] == ["1", "2"]
    assert incident["actions"][0]["brier"] == 0.01
    assert site.get("/api/functions").get_json()["extensions"] == {"First host": ["AVX2"]}
    (decision,) = site.get("/api/decisions").get_json()["decisions"]
    why = site.get(f"/api/why?decision={quote(decision['iri'])}").get_json()
    assert {u["unit"]["label"] for u in why["units"]} >= {"Ledger"}


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/api/nothing", 404, "api"),
        ("/part/nothing", 404, "part"),
        ("/?application=urn:x:other", 404, "application"),
        ("/api/why?decision=not an iri", 400, "input"),
        ("/no-such-page", 404, "http"),
    ],
)
def test_problem_says_what_to_do_when_a_request_is_at_fault(path: str, status: int, slug: str, site: Site) -> None:
    answer = site.get(path)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    told = answer.get_json()
    assert told["status"] == status
    assert told["type"].endswith(f"/problems/{slug}")
    assert told["title"]
    assert told["detail"]


def test_problem_is_a_page_when_a_browser_asks(site: Site) -> None:
    answer = site.get("/no-such-page", HTML)
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert 'role="alert"' in answer.text


def test_method_is_refused_with_the_allowed_ones_when_it_is_another(site: Site) -> None:
    answer = site.post("/", "x", "text/plain")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_foreign_name_is_refused_when_the_server_is_on_loopback(site: Site) -> None:
    refused = site.get("/", HTML, Host="rebound.example:8080")
    assert refused.status_code == 403
    assert site.get("/", HTML, Host="localhost:8080").status_code == 200
    assert site.get("/", HTML, Host="[::1]:8080").status_code == 200
    open_to_all = Site(site.kb, site.graph, make_app(site.kb, any_host=True))
    assert open_to_all.get("/", HTML, Host="box.example:8080").status_code == 200


def test_page_of_another_site_is_refused_when_it_fetches(site: Site) -> None:
    other = {"Sec_Fetch_Site": "cross-site"}
    assert site.get("/api/plan", **other, Sec_Fetch_Mode="cors").status_code == 403
    assert site.get("/", HTML, **other, Sec_Fetch_Mode="navigate").status_code == 200
    assert site.get("/api/plan", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status_code == 200


def test_page_tells_the_first_step_when_the_knowledge_base_is_empty() -> None:
    pytest.importorskip("flask", reason='the page needs Flask: pip install "dappops[serve]"')
    import engine

    with engine.open(":memory:") as kb:
        answer = Site(kb, "", make_app(kb)).get("/", HTML)
        assert answer.status_code == 200
        assert "dappops commit" in answer.text
