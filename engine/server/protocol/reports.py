"""What a refused write is told: problem details with each violation, or the SHACL report in an RDF format.

https://www.w3.org/TR/shacl/#validation-report, https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyoxigraph as ox

from engine.errors import DappopsError
from engine.graph.evaluating import FORMATS
from engine.graph.gate import Refused, result_json
from engine.graph.sparql_text import GRAMMAR, NOT_SPARQL
from engine.server.problem import MEDIA_TYPE, Problem, of_error
from engine.server.protocol.messages import Reply, reply_of
from engine.server.protocol.negotiation import GRAPH, Format, accepted, liking
from reasoners.sparql.paths import Pred
from reasoners.validate.results import Result, report
from reasoners.vocab import PREFIXES

_SYNTAXES = frozenset(f.iri for f in FORMATS.values())
SHOWN = 1000  # violations in one answer
_PROBLEM = (MEDIA_TYPE, "application/json", "application/*", "*/*")


def problem_of_write(error: DappopsError) -> Problem:
    """An error of a write as a problem: 422 with the report when the gate refused, 403 without authority."""
    if isinstance(error, Refused):
        results = [result_json(r) for r in error.results[:SHOWN]]
        for result in results:
            result["resultSeverity"] = result["severity"]
        return Problem(
            422, "refused", error.message, title="Refused by the shapes",
            more={
                "place": error.place, "rule": error.rule, "remedy": error.remedy, "graph": error.graph,
                "violations": len(error.results), "report": results,
            },
        )  # fmt: skip
    found = of_error(error)
    if found.status == 400:
        found.status, found.slug = _kind(error)
    return found


def _kind(error: DappopsError) -> tuple[int, str]:
    """Status and name of an InputError: whether the text is malformed, or what it asks for cannot be done."""
    rule = error.rule
    if rule.startswith(("authority", "a graph is written by")):
        return 403, "authority"
    if error.message.startswith("SERVICE"):
        return 403, "service"
    if error.message.startswith("LOAD"):
        return 403, "load"
    if rule.startswith("https://www.w3.org/TR/sparql11-update/"):
        return 409, "graph"  # a graph that has to be there is not, or the other way round
    if rule.startswith("at most"):
        return 413, "too-large"
    if error.message.startswith(NOT_SPARQL) or rule.startswith(GRAMMAR.partition("#")[0]) or rule in _SYNTAXES:
        return 400, "malformed"
    if rule.startswith("https://www.w3.org/TR/sparql11-protocol/"):
        return 400, "dataset"
    return 422, "input"  # well-formed, but the door does not let it in


def reply_to_refused(error: Refused, accept: str) -> Reply:
    """422: problem details, unless an RDF format is liked better."""
    ranges = accepted(accept)
    best, most = None, liking(ranges, _PROBLEM[:2]) if accept else 1.0
    for offer in GRAPH:
        # application/json asks for the problem, not for JSON-LD
        quality = (
            liking(ranges, (offer.media_type, *(a for a in offer.aliases if a not in _PROBLEM))) if accept else 0.0
        )
        if quality > most:
            best, most = offer, quality
    if best is None:
        return reply_of(problem_of_write(error))
    return Reply(422, report_in(error.results[:SHOWN], best), best.content_type)


def report_in(results: Iterable[Result], form: Format) -> bytes:
    """The validation report in a format."""
    triples = report([_with_path(r) for r in results], conforms=False)
    prefixes = dict(PREFIXES) if form.name in ("turtle", "trig", "rdfxml", "jsonld") else None
    data = ox.serialize(triples, format=FORMATS[form.name], prefixes=prefixes)
    assert data is not None
    return data


def _with_path(result: Result) -> Result:
    """A result that came as data has its path as text: a plain property is one again."""
    path = result.path or ""
    if result.route is None and path.startswith("<") and path.endswith(">") and path.count("<") == 1:
        return replace(result, route=Pred(ox.NamedNode(path[1:-1])))
    return result


__all__ = ["problem_of_write", "reply_to_refused", "report_in"]
