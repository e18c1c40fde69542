"""rdflib, SPARQLWrapper, two JavaScript clients and a notebook, as their users would use them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from client_server import Served

LABELS = "SELECT ?unit ?label { ?unit a dapp:TrustUnit ; rdfs:label ?label }"
UNITS = "CONSTRUCT { ?u a dapp:Place } WHERE { ?u a dapp:TrustUnit }"
PREFIXES = "PREFIX dapp: <https://w3id.org/dappops#> PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> "


# -- rdflib ----------------------------------------------------------------------------------------------------------
def test_rdflib_store_reads_when_it_is_given_the_endpoint(served: Served) -> None:
    import rdflib
    from rdflib.plugins.stores.sparqlstore import SPARQLStore

    for method in ("GET", "POST"):
        store = SPARQLStore(served.endpoint, method=method, returnFormat="xml")
        graph = rdflib.Graph(store, identifier=rdflib.URIRef(served.world))
        dapp = rdflib.Namespace("https://w3id.org/dappops#")
        unit = rdflib.URIRef(f"{served.world}/ledger")
        assert (unit, rdflib.RDF.type, dapp.TrustUnit) in graph
        assert set(graph.objects(unit, rdflib.RDFS.label)) == {rdflib.Literal("Ledger", lang="en")}
        assert len(graph) > 100
        assert list(graph.query(PREFIXES + LABELS)) == [(unit, rdflib.Literal("Ledger", lang="en"))]
        assert bool(graph.query(PREFIXES + "ASK { ?a a dapp:QualityCriticalApplication }"))
        built = graph.query(PREFIXES + UNITS).graph
        assert built is not None
        assert len(built) == 1


def test_rdflib_dataset_lists_graphs_when_it_stands_over_the_endpoint(served: Served) -> None:
    import rdflib
    from rdflib.plugins.stores.sparqlstore import SPARQLStore

    dataset = rdflib.Dataset(store=SPARQLStore(served.endpoint), default_union=True)
    rows = dataset.query("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }")
    assert (rdflib.URIRef(served.world),) in set(rows)


def test_rdflib_update_store_writes_and_reads_back_when_signed_in(served: Served) -> None:
    import rdflib
    from rdflib.plugins.stores.sparqlstore import SPARQLUpdateStore

    name = rdflib.URIRef(served.graph("rdflib"))
    store = SPARQLUpdateStore(
        served.endpoint, served.endpoint, headers=served.headers, context_aware=True, autocommit=True, method="POST"
    )
    graph = rdflib.Graph(store, identifier=name)
    thing, label = rdflib.URIRef(f"{name}/thing"), rdflib.Literal('ein "Ding" mit Zeile\nund Umlaut: ä', lang="de")
    graph.add((thing, rdflib.RDFS.label, label))
    graph.add((thing, rdflib.RDFS.comment, rdflib.Literal("to be removed")))
    assert set(graph.objects(thing, rdflib.RDFS.label)) == {label}
    graph.remove((thing, rdflib.RDFS.comment, None))
    assert set(graph) == {(thing, rdflib.RDFS.label, label)}
    graph.update("DELETE { ?t rdfs:label ?l } INSERT { ?t rdfs:label 'renamed' } WHERE { ?t rdfs:label ?l }")
    assert set(graph.objects(thing, rdflib.RDFS.label)) == {rdflib.Literal("renamed")}


def test_rdflib_update_is_refused_when_the_graph_is_somebody_elses(served: Served) -> None:
    import rdflib
    from rdflib.plugins.stores.sparqlstore import SPARQLUpdateStore

    name = rdflib.URIRef(served.graph("no").replace(served.node, "0x" + "1" * 40))
    graph = rdflib.Graph(SPARQLUpdateStore(served.endpoint, served.endpoint, headers=served.headers), identifier=name)
    with pytest.raises(Exception, match="403"):
        graph.add((rdflib.URIRef(f"{name}/a"), rdflib.RDFS.label, rdflib.Literal("no")))


# -- SPARQLWrapper -----------------------------------------------------------------------------------------------------
def wrapper(served: Served, query: str, kind: str) -> Any:
    from SPARQLWrapper import SPARQLWrapper

    made = SPARQLWrapper(served.endpoint, returnFormat=kind)
    made.setQuery(PREFIXES + query)
    return made


@pytest.mark.parametrize("method", ["GET", "POST", "postdirectly"])
def test_wrapper_reads_every_format_of_rows_when_it_asks_for_it(method: str, served: Served) -> None:
    from SPARQLWrapper import CSV, JSON, POST, POSTDIRECTLY, TSV, XML

    def asked(query: str, kind: str) -> Any:
        made = wrapper(served, query, kind)
        made.setMethod("GET" if method == "GET" else POST)
        if method == "postdirectly":
            made.setRequestMethod(POSTDIRECTLY)
        return made.queryAndConvert()

    (row,) = asked(LABELS, JSON)["results"]["bindings"]
    assert row["label"] == {"type": "literal", "value": "Ledger", "xml:lang": "en"}
    (node,) = asked(LABELS, XML).getElementsByTagName("literal")
    assert node.firstChild.data == "Ledger"
    assert asked(LABELS, CSV).decode().splitlines()[1].endswith(",Ledger")
    assert asked(LABELS, TSV).decode().splitlines() == ["?unit\t?label", f'<{served.world}/ledger>\t"Ledger"@en']
    assert asked("ASK { ?a a dapp:QualityCriticalApplication }", JSON)["boolean"] is True


@pytest.mark.parametrize("kind", ["xml", "turtle", "n3", "rdf", "json-ld"])
def test_wrapper_reads_every_format_of_graphs_when_it_asks_for_it(kind: str, served: Served) -> None:
    import rdflib

    for query in (UNITS, f"DESCRIBE <{served.world}/ledger>"):
        found = wrapper(served, query, kind).queryAndConvert()
        if not isinstance(found, rdflib.Graph):
            found = rdflib.Graph().parse(data=found, format="turtle")
        assert rdflib.URIRef(f"{served.world}/ledger") in set(found.subjects())


def test_wrapper_names_what_is_wrong_when_a_query_is_no_sparql(served: Served) -> None:
    from SPARQLWrapper.SPARQLExceptions import QueryBadFormed

    with pytest.raises(QueryBadFormed, match="line 1"):
        wrapper(served, "SELECT ?s { ?s ?p }", "json").query()


def test_wrapper_updates_and_reads_its_write_when_signed_in(served: Served) -> None:
    graph = served.graph("wrapper")
    update = wrapper(served, f'INSERT DATA {{ GRAPH <{graph}> {{ <{graph}/a> rdfs:label "wrapped" }} }}', "json")
    update.setMethod("POST")
    update.addCustomHttpHeader("Authorization", served.headers["Authorization"])
    assert update.query().response.status in (200, 204)
    (row,) = wrapper(served, f"SELECT ?l {{ <{graph}/a> rdfs:label ?l }}", "json").queryAndConvert()["results"][
        "bindings"
    ]
    assert row["l"]["value"] == "wrapped"


# -- JavaScript --------------------------------------------------------------------------------------------------------
def node(repo: Path, script: str, *arguments: str) -> Any:
    folder = repo / "tests/clients/js"
    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node.js: the JavaScript clients are not tried")
    if not (folder / "node_modules").is_dir():
        pytest.skip("the JavaScript clients are not installed: npm ci --prefix tests/clients/js")
    told = subprocess.run(
        [program, str(folder / script), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stderr[-3000:]
    return json.loads(told.stdout)


def test_sparql_http_client_reads_and_writes_when_node_is_there(served: Served, repo: Path) -> None:
    graph = served.graph("javascript")
    told = node(repo, "sparql-http-client.mjs", served.endpoint, f"{served.url}/graphs", graph, served.token)
    assert told["rows"] == [{"unit": f"{served.world}/ledger", "label": "Ledger", "language": "en"}]
    assert (told["ask"], told["triples"], told["streamed"]) == (True, 1, 1234)
    assert told["afterUpdate"] == "written by JavaScript"
    assert told["stored"] == ["written by JavaScript"]
    assert told["error"]["status"] == 400


def test_fetch_sparql_endpoint_reads_when_node_is_there(served: Served, repo: Path) -> None:
    told = node(repo, "fetch-sparql-endpoint.mjs", served.endpoint)
    assert told["rows"] == [f"{served.world}/ledger"] * 2
    assert (told["triples"], told["ask"]) == (1, True)
    assert "400" in told["error"]


# -- Jupyter -----------------------------------------------------------------------------------------------------------
def test_notebook_runs_when_the_endpoint_does(
    served: Served, repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="Jupyter is not installed: pip install nbclient ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="Jupyter is not installed: pip install nbclient ipykernel")
    monkeypatch.setenv("DAPPOPS_ENDPOINT", served.endpoint)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(repo / "examples/notebooks/endpoint.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are made when it runs"
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = "\n".join(str(o.get("text", o.get("data"))) for c in done.cells for o in c.get("outputs", ()))
    assert "Ledger" in shown
    assert "TrustUnit" in shown
    assert "line 1" in shown
