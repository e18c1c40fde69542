"""The SPARQL 1.1 Protocol for queries: what a request asks, which format its answer takes, and the text of that.

Only text is made here; the query itself is the service method `query`. Sources: https://www.w3.org/TR/sparql11-protocol/,
https://www.w3.org/TR/sparql11-results-json/, https://www.w3.org/TR/rdf-sparql-XMLres/,
https://www.w3.org/TR/sparql11-results-csv-tsv/
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pyoxigraph as ox

from engine.graph.wire import decode_term, decode_triples
from engine.server.problem import Problem
from reasoners.graph import Term
from reasoners.vocab import PREFIXES, XSD

Answer = Mapping[str, Any]
JSON, XML = "application/sparql-results+json", "application/sparql-results+xml"
CSV, TSV, HTML = "text/csv", "text/tab-separated-values", "text/html"
TURTLE, NTRIPLES = "text/turtle", "application/n-triples"
OF_ROWS = (JSON, XML, CSV, TSV)
OF_TRUTH = (JSON, XML)
OF_TRIPLES = (TURTLE, NTRIPLES)
SAME = {"application/json": JSON, "application/xml": XML, "text/xml": XML, "text/plain": NTRIPLES}
MAX_QUERY = 100_000  # characters
ROWS = 10_000  # of an answer, when the request does not say
MOST_ROWS = 100_000
FORM = "application/x-www-form-urlencoded"
DIRECT = "application/sparql-query"
NO_UPDATE = "this endpoint answers queries; it changes nothing"


def asked(
    method: str, kind: str, url: Mapping[str, Sequence[str]], form: Mapping[str, Sequence[str]], body: str
) -> str:
    """The query text of a request; Problem when it is none.

    `kind` is the media type of the body, `url` and `form` hold the parameters of each.
    """
    if "update" in url or "update" in form or kind == "application/sparql-update":
        raise Problem(
            501, "no-update", NO_UPDATE, more={"remedy": "`dappops update` evaluates an update and commits it, signed"}
        )
    if method == "POST" and kind == DIRECT:
        texts, given = [body], url
    elif method == "POST" and kind == FORM:
        texts, given = list(form.get("query", ())), form
    elif method == "POST":
        raise Problem(
            415,
            "media-type",
            f"a query is not sent as {kind or 'nothing'}",
            more={"remedy": f"send {FORM} or {DIRECT}"},
        )
    else:
        texts, given = list(url.get("query", ())), url
    if any(p in given for p in ("default-graph-uri", "named-graph-uri")):
        raise Problem(
            400, "dataset", "the data set is named in the query here", more={"remedy": "write FROM and FROM NAMED"}
        )
    if len(texts) != 1:
        raise Problem(
            400, "query", f"{len(texts)} queries in one request", more={"remedy": "send exactly one parameter `query`"}
        )
    if len(texts[0]) > MAX_QUERY:
        raise Problem(413, "too-long", "the query is too long", more={"rule": f"at most {MAX_QUERY:,} characters"})
    return texts[0]


def limit_of(text: str | None) -> int:
    """How many rows or triples an answer may have."""
    if text is None:
        return ROWS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_ROWS):
        raise Problem(400, "limit", f"{text!r} is no number of rows", more={"rule": f"1 to {MOST_ROWS:,}"})
    return int(text)


def wants_proof(text: str | None) -> bool:
    """Whether the answer shall carry its proof."""
    if text not in (None, "0", "1"):
        raise Problem(400, "proof", f"proof={text!r} is not understood", more={"rule": "proof=1, or nothing"})
    return text == "1"


def proven(answer: Answer) -> str:
    """An answer in the W3C's JSON with one more member, `proof`: a proof file's value (docs/proof-format.md)."""
    return json.dumps({**json.loads(_json(answer)), "proof": answer["proof"]}, ensure_ascii=False)


def offered(answer: Answer) -> tuple[str, ...]:
    """The media types that an answer of this form can take, the usual one first."""
    return OF_TRUTH if "boolean" in answer else OF_TRIPLES if "triples" in answer else OF_ROWS


def negotiate(accepted: Sequence[tuple[str, float]], offers: Sequence[str]) -> str:
    """The offer that an Accept header (media type, quality) likes best; Problem 406 when it likes none."""
    if not accepted:
        return offers[0]
    best, liking = "", 0.0
    for offer in offers:
        quality = max((q for kind, q in accepted if _matches(SAME.get(kind, kind), offer)), default=0.0)
        if quality > liking:
            best, liking = offer, quality
    if not best:
        raise Problem(
            406, "not-acceptable", "the answer has none of the accepted formats", more={"rule": ", ".join(offers)}
        )
    return best


def _matches(kind: str, offer: str) -> bool:
    return kind in ("*/*", offer) or (kind.endswith("/*") and offer.startswith(kind[:-1]))


def text_of(answer: Answer, kind: str) -> str:
    """An answer in one of the offered formats."""
    return WRITERS[kind](answer)


# -- formats ---------------------------------------------------------------------------------------------------------
def _json(answer: Answer) -> str:
    if "boolean" in answer:
        return json.dumps({"head": {}, "boolean": answer["boolean"]})
    names = answer["variables"]
    rows = [
        {name: _json_term(decode_term(text)) for name, text in zip(names, row, strict=True) if text is not None}
        for row in answer["rows"]
    ]
    return json.dumps({"head": {"vars": names}, "results": {"bindings": rows}}, ensure_ascii=False)


def _json_term(term: Term) -> dict[str, Any]:
    if isinstance(term, ox.NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, ox.BlankNode):
        return {"type": "bnode", "value": term.value}
    if isinstance(term, ox.Triple):
        parts = {"subject": term.subject, "predicate": term.predicate, "object": term.object}
        return {"type": "triple", "value": {name: _json_term(part) for name, part in parts.items()}}
    out = {"type": "literal", "value": term.value}
    if term.language:
        out["xml:lang"] = term.language
    elif term.datatype != XSD.string:
        out["datatype"] = term.datatype.value
    return out


def _xml(answer: Answer) -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<sparql xmlns="http://www.w3.org/2005/sparql-results#">'
    if "boolean" in answer:
        return f"{head}<head/><boolean>{'true' if answer['boolean'] else 'false'}</boolean></sparql>\n"
    names = answer["variables"]
    out = [head, "<head>", *(f"<variable name={quoteattr(name)}/>" for name in names), "</head><results>\n"]
    for row in answer["rows"]:
        cells = (
            f"<binding name={quoteattr(name)}>{_xml_term(decode_term(text))}</binding>"
            for name, text in zip(names, row, strict=True)
            if text is not None
        )
        out.append(f"<result>{''.join(cells)}</result>\n")
    return "".join([*out, "</results></sparql>\n"])


def _xml_term(term: Term) -> str:
    if isinstance(term, ox.NamedNode):
        return f"<uri>{escape(term.value)}</uri>"
    if isinstance(term, ox.BlankNode):
        return f"<bnode>{escape(term.value)}</bnode>"
    if isinstance(term, ox.Triple):
        parts = zip(("subject", "predicate", "object"), (term.subject, term.predicate, term.object), strict=True)
        return f"<triple>{''.join(f'<{name}>{_xml_term(part)}</{name}>' for name, part in parts)}</triple>"
    mark = ""
    if term.language:
        mark = f" xml:lang={quoteattr(term.language)}"
    elif term.datatype != XSD.string:
        mark = f" datatype={quoteattr(term.datatype.value)}"
    return f"<literal{mark}>{escape(term.value)}</literal>"


def _csv(answer: Answer) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(answer["variables"])
    for row in answer["rows"]:
        writer.writerow(["" if text is None else _csv_term(text) for text in row])
    return out.getvalue()


def _csv_term(text: str) -> str:
    term = decode_term(text)
    return (
        f"_:{term.value}"
        if isinstance(term, ox.BlankNode)
        else str(term)
        if isinstance(term, ox.Triple)
        else term.value
    )


def _tsv(answer: Answer) -> str:
    # terms travel as N-Triples, which is how TSV wants them
    lines = ["\t".join(f"?{name}" for name in answer["variables"])]
    lines += ["\t".join("" if text is None else text for text in row) for row in answer["rows"]]
    return "\n".join(lines) + "\n"


def _turtle(answer: Answer) -> str:
    data = ox.serialize(decode_triples(answer["triples"]), format=ox.RdfFormat.TURTLE, prefixes=dict(PREFIXES))
    assert data is not None
    return data.decode()


def _ntriples(answer: Answer) -> str:
    return str(answer["triples"])


WRITERS: dict[str, Callable[[Answer], str]] = {
    JSON: _json, XML: _xml, CSV: _csv, TSV: _tsv, TURTLE: _turtle, NTRIPLES: _ntriples,
}  # fmt: skip
