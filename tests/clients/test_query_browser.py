"""The query page in a real Chromium: asking, showing, refusing, cancelling, completing, signing in; under its policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import Browser, browsing, chromium
from client_server import Served

BUILT = Path(__file__).resolve().parents[2] / "engine/server/static/built/query.js"
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(not BUILT.is_file(), reason="the query page is not built: make page (needs Node.js)"),
]
STATUS = "document.getElementById('status').textContent"
ROWS = "[...document.querySelectorAll('#views tbody tr')].map((r) => [...r.cells].map((c) => c.innerText))"
EDITOR = "document.getElementById('editor').shadowRoot"
PLACES = """SELECT ?name ?lat ?long ?shape {
  VALUES (?name ?lat ?long ?shape) { ("Sydney" -33.9 151.2 "POINT (151.2 -33.9)") ("Paris" 48.9 2.3 UNDEF) }
}"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(autouse=True)
def _quiet(tab: Browser, served: Served) -> Iterator[None]:
    """No test leaves a message in the console, a refusal of the policy among them, nor asks anybody else."""
    tab.messages.clear()
    tab.requests.clear()
    yield
    refused = [m for m in tab.messages if "Failed to load resource" not in m]
    assert not refused
    assert all(url.startswith((served.url, "about:", "data:", "blob:")) for url in tab.requests), tab.requests


def asked(tab: Browser, served: Served, query: str, show: str = "") -> str:
    """Open the page with a query, which it asks at once; what it then says."""
    tab.go(f"{served.url}/query#query={quote(query)}{f'&show={show}' if show else ''}")
    said: str = tab.until(f"document.getElementById('run')?.disabled === false && {STATUS}")
    return said


def test_rows_are_sorted_and_paged_when_there_are_many(tab: Browser, served: Served) -> None:
    values = " ".join(f"({n} 'text {n % 7}')" for n in range(120))
    said = asked(tab, served, f"SELECT ?n ?text {{ VALUES (?n ?text) {{ {values} }} }}")
    assert said.startswith("120 rows in ")
    assert len(tab.run(ROWS)) == 50
    heads = "document.querySelectorAll('#views th button')"
    tab.run(f"{heads}[0].click(), {heads}[0].click()")
    assert [row[0] for row in tab.run(ROWS)][:3] == ["119", "118", "117"], "numbers are sorted as numbers"
    assert tab.run("document.querySelector('#views th').getAttribute('aria-sort')") == "descending"
    tab.run("[...document.querySelectorAll('.pager button')].find((b) => b.textContent === 'Last').click()")
    assert len(tab.run(ROWS)) == 20
    assert "rows 101 to 120 of 120" in tab.run("document.querySelector('.pager').innerText")


def test_terms_are_short_and_whole_in_the_title_when_shown(tab: Browser, served: Served) -> None:
    asked(
        tab, served, "SELECT ?unit ?kind ?label { ?unit a ?kind ; rdfs:label ?label FILTER (?kind = dapp:TrustUnit) }"
    )
    ((unit, kind, label),) = tab.run(ROWS)
    assert (unit, kind) == (f"0x{served.node[2:6]}…/world/ledger", "dapp:TrustUnit")
    assert label.split() == ["Ledger", "en"]
    assert tab.run("document.querySelector('#views tbody a').title") == f"{served.world}/ledger"
    tab.run("document.querySelector('#views tbody a').click()")
    tab.until(f"{STATUS}.includes('triple')")
    assert "DESCRIBE" in tab.run("decodeURIComponent(location.hash)")


def test_markup_stays_text_when_an_answer_has_some(tab: Browser, served: Served) -> None:
    asked(tab, served, "SELECT ?m { ?event dapp:message ?m }")
    assert tab.run(ROWS) == [["<script>alert('x')</script>"]]


def test_places_are_on_a_map_when_columns_are_places(tab: Browser, served: Served) -> None:
    asked(tab, served, PLACES, "map")
    tab.until("document.querySelectorAll('.map path.spot').length === 3")
    assert tab.run("document.getElementById('note').textContent") == "3 places"
    outline = "[...document.querySelectorAll('.map path.land')].map((p) => p.getAttribute('d').length)"
    assert min(tab.run(outline)) > 1000, "the world and a copy on each side"
    tabs = tab.run("[...document.querySelectorAll('[role=tab]')].map((t) => t.textContent)")
    assert tabs == ["Table", "Map"]
    tab.run("document.getElementById('tab-map').focus()")
    tab.press("ArrowLeft")
    assert len(tab.until(ROWS)) == 2
    assert "show=table" in tab.run("location.hash")


def test_triples_are_a_graph_when_they_are_constructed(tab: Browser, served: Served) -> None:
    query = "CONSTRUCT { ?a dapp:hasUnit ?u . ?u rdfs:label ?l } { ?a dapp:hasUnit ?u . ?u rdfs:label ?l }"
    assert asked(tab, served, query, "graph").startswith("4 triples in")
    tab.until("document.querySelectorAll('.graph canvas').length")
    assert tab.run("document.getElementById('note').textContent") == "3 nodes, 2 edges"
    formats = tab.run("[...document.querySelectorAll('#formats button')].map((b) => b.textContent)")
    assert formats == ["Turtle", "N-Triples", "RDF/XML", "JSON-LD", "TriG", "N-Quads"]


def test_truth_is_a_word_when_it_is_asked_for(tab: Browser, served: Served) -> None:
    assert asked(tab, served, "ASK { ?a a dapp:QualityCriticalApplication }").startswith("yes in")
    assert tab.run("document.querySelector('.truth').textContent") == "yes"


def test_place_is_marked_when_a_query_is_refused(tab: Browser, served: Served) -> None:
    assert asked(tab, served, "SELECT ?s\nWHERE { ?s ?p }").startswith("failed after")
    told = tab.run("document.querySelector('#problem [role=alert]').innerText")
    assert "line 2" in told
    assert "What to do:" in told
    assert tab.run(f"{EDITOR}.querySelectorAll('.cm-lint-marker-error').length") == 1
    marked = tab.run(f"{EDITOR}.querySelector('.cm-activeLine').innerText")
    assert marked == "WHERE { ?s ?p }"


def test_query_is_ended_when_it_is_cancelled(tab: Browser, served: Served) -> None:
    tab.go(f"{served.url}/query#query={quote('SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }')}")
    tab.until(f"{STATUS}.startsWith('running')")
    tab.press("Escape")
    tab.until(f"{STATUS}.startsWith('cancelled')")
    assert tab.run("[document.getElementById('run').disabled, document.getElementById('cancel').disabled]") == [
        False,
        True,
    ]


def test_keyboard_writes_completes_and_asks_when_no_mouse_is_there(tab: Browser, served: Served) -> None:
    tab.go(f"{served.url}/query")
    tab.until(f"Boolean({EDITOR}?.querySelector('.cm-content'))")
    tab.run(f"{EDITOR}.querySelector('.cm-content').focus()")
    tab.press("a", modifiers=2)
    tab.press("Delete")
    tab.send("Input.insertText", text="SELECT ?unit { ?unit a dapp:TrustU")
    tab.press(" ", modifiers=2)
    shown = tab.until(f"{EDITOR}.querySelector('.cm-tooltip-autocomplete li[aria-selected]')?.innerText")
    assert shown.startswith("dapp:TrustUnit")
    tab.until("new Promise((done) => setTimeout(() => done(true), 200))")  # what was just opened takes no key yet
    tab.press("Enter", text="\r")
    tab.until(f"{EDITOR}.querySelector('.cm-content').innerText.includes('dapp:TrustUnit')")
    tab.send("Input.insertText", text=" }")
    tab.press("Enter", modifiers=2)
    tab.until(f"{STATUS}.startsWith('1 row')")
    assert json.loads(tab.run("localStorage.getItem('dappops.queries')"))[0]["text"].startswith(
        "SELECT ?unit { ?unit a dapp:TrustUnit"
    )


def test_examples_are_asked_when_they_are_chosen(tab: Browser, served: Served) -> None:
    tab.go(f"{served.url}/query")
    tab.until("document.querySelectorAll('#examples .entry').length > 30")
    tab.run(
        "[...document.querySelectorAll('#examples .entry')].find((e) => e.innerText.includes('Graphs and their size')).click()"
    )
    tab.until(f"/^\\d+ rows? in/.test({STATUS})")
    assert f"0x{served.node[2:6]}…/world" in {row[0] for row in tab.run(ROWS)} or served.world in {
        row[0] for row in tab.run(ROWS)
    }


def test_session_is_the_wallets_when_it_signs(tab: Browser, served: Served) -> None:
    """An injected EIP-1193 provider with a real key: the page asks it, the server takes what it signs."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    account = Account.create()
    wallet = f"""window.ethereum = {{ request: async ({{ method, params }}) => {{
      if (method === 'eth_requestAccounts') return ['{account.address}'];
      window.toSign = params[0];
      return new Promise((done) => {{ window.signed = done; }});
    }} }}"""
    script = tab.send("Page.addScriptToEvaluateOnNewDocument", source=wallet)["identifier"]
    try:
        tab.go(f"{served.url}/query")
        button = "[...document.querySelectorAll('#account button')].find((b) => b.textContent.includes('wallet'))"
        tab.until(f"Boolean({button})")
        tab.run(f"{button}.click()")
        message = bytes.fromhex(tab.until("window.toSign")[2:]).decode()
        assert account.address in message
        signature = Account.sign_message(encode_defunct(text=message), account.key).signature.hex().removeprefix("0x")
        tab.run(f"window.signed('0x{signature}')")
        tab.until("document.getElementById('account').innerText.startsWith('Signed in as')")
        tab.run("document.getElementById('run').click()")
        tab.until(f"{STATUS}.startsWith('2 rows')")
        tab.run("[...document.querySelectorAll('#account button')].at(-1).click()")
        tab.until("Boolean(document.getElementById('token'))")
    finally:
        tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_colours_follow_the_system_when_it_is_dark(tab: Browser, served: Served) -> None:
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        asked(tab, served, "SELECT ?u { ?u a dapp:TrustUnit }")
        light = tab.run(
            "[document.body, document.getElementById('editor').shadowRoot.querySelector('.cm-editor')]"
            ".map((e) => Math.max(...getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)))"
        )
        assert max(light) < 80
    finally:
        tab.send("Emulation.setEmulatedMedia", features=[])
