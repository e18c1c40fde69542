"""Entailment tests of the W3C SPARQL 1.1 suite under the OWL RDF-based regime."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

import pyoxigraph as ox
from rdflib import RDF, Graph, Namespace, URIRef
from rdflib.collection import Collection

from reasoners.derive import owl_rl
from reasoners.graph import memory_view

# Tests whose answers OWL 2 RL does not give, and why.
KNOWN_FAILURES = {
    "sparqldl-10": "needs eq-ref, which is no triple of the closure: every term would equal itself",
    "sparqldl-11": "the range of a property from the domain of its inverse: no RL rule concludes it",
    "sparqldl-12": "expects no blank node among the answers; the closure has the restriction as a domain",
}


def answers(rows: ox.QuerySolutions, names: list[str]) -> set[tuple[str, ...]]:
    return {tuple("_" if isinstance(r[n], ox.BlankNode) else str(r[n]) for n in names) for r in rows}


def test_w3c_entailment_tests_pass_when_the_regime_is_owl_rdf_based(shared_data: Path) -> None:
    folder = shared_data / "w3c" / "sparql11" / "entailment"
    manifest = Graph().parse(folder / "manifest.ttl", publicID=folder.as_uri() + "/")
    test = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
    query = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-query#")
    regime = URIRef("http://www.w3.org/ns/sparql-service-description#entailmentRegime")
    wanted = URIRef("http://www.w3.org/ns/entailment/OWL-RDF-Based")
    failed, count = set(), 0

    def path(node: object) -> Path:
        return Path(unquote(urlparse(str(node)).path))

    (entries,) = manifest.objects(None, test.entries)
    for entry in Collection(manifest, entries):
        action = manifest.value(entry, test.action)
        stated = manifest.value(action, regime) or manifest.value(entry, regime)
        regimes = Collection(manifest, stated) if (stated, RDF.first, None) in manifest else [stated]
        if wanted not in regimes:
            continue
        count += 1
        data = path(manifest.value(action, query.data))
        form = {".ttl": ox.RdfFormat.TURTLE, ".rdf": ox.RdfFormat.RDF_XML}[data.suffix]
        base = [q.triple for q in ox.parse(data.read_bytes(), format=form, base_iri="http://example.org/")]
        view = memory_view([*base, *owl_rl(memory_view(base)).triples])
        got = view.query(path(manifest.value(action, query.query)).read_text(encoding="utf-8"))
        expected = ox.parse_query_results(
            path(manifest.value(entry, test.result)).read_bytes(), format=ox.QueryResultsFormat.XML
        )
        if isinstance(expected, ox.QueryBoolean):
            same = isinstance(got, ox.QueryBoolean) and bool(got) == bool(expected)
        else:
            assert isinstance(got, ox.QuerySolutions)
            names = [v.value for v in expected.variables]
            same = answers(got, names) == answers(expected, names)
        if not same:
            failed.add(str(entry).rsplit("#", 1)[-1])
    assert count == 39
    assert failed == set(KNOWN_FAILURES)
