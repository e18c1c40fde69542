"""Answers to SPARQL queries as text: tables, CSV, the W3C's JSON, N-Triples and Turtle."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pyoxigraph as ox

from engine.commands.output import count, line, short, table
from engine.errors import InputError
from engine.graph.wire import decode_term
from reasoners.graph import Term
from reasoners.vocab import PREFIXES, XSD

CELL = 2000  # characters of one value in a table


def show(answer: Mapping[str, Any], format_: str) -> None:
    """Print an answer of the service's `query`; InputError when it has no such form."""
    if format_ == "json":
        click.echo(json.dumps(as_json(answer), ensure_ascii=False, indent=1))
    elif "boolean" in answer:
        line(("true" if answer["boolean"] else "false") if format_ == "csv" else ("yes" if answer["boolean"] else "no"))
    elif "triples" in answer:
        if format_ == "csv":
            raise InputError(
                "CONSTRUCT and DESCRIBE give triples, not rows",
                remedy="use --format turtle, nt or json, or write a SELECT",
            )
        click.echo(turtle(answer["triples"]) if format_ == "turtle" else answer["triples"], nl=False)
    elif format_ in {"turtle", "nt"}:
        raise InputError(
            "SELECT gives rows, not triples", remedy="use --format table, csv or json, or write a CONSTRUCT"
        )
    elif format_ == "csv":
        # https://www.w3.org/TR/sparql11-results-csv-tsv/
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer["variables"])
        writer.writerows([_plain(cell) for cell in row] for row in answer["rows"])
    else:
        _table(answer)


def _table(answer: Mapping[str, Any]) -> None:
    if answer["rows"] and answer["variables"]:
        table("", answer["variables"], [[_cell(cell) for cell in row] for row in answer["rows"]])
    line(count(len(answer["rows"]), "row") + (" (cut off: raise --limit)" if answer["truncated"] else ""))


def turtle(triples: str) -> str:
    """N-Triples text as Turtle."""
    return serialised(list(ox.parse(triples, ox.RdfFormat.N_TRIPLES, lenient=True)), ox.RdfFormat.TURTLE)


def serialised(items: Sequence[ox.Quad | ox.Triple], syntax: ox.RdfFormat) -> str:
    """RDF text with the known prefixes that it uses."""
    used = {}
    if syntax in {ox.RdfFormat.TURTLE, ox.RdfFormat.TRIG, ox.RdfFormat.RDF_XML}:
        terms = {str(t) for item in items for t in (item.subject, item.predicate, item.object)}
        used = {name: namespace for name, namespace in sorted(PREFIXES.items()) if any(namespace in t for t in terms)}
    plain: Any = items if syntax.supports_datasets else [i.triple if isinstance(i, ox.Quad) else i for i in items]
    return (ox.serialize(plain, format=syntax, prefixes=used) or b"").decode()


def as_json(answer: Mapping[str, Any]) -> dict[str, Any]:
    """https://www.w3.org/TR/sparql11-results-json/; triples as N-Triples text under `triples`."""
    if "boolean" in answer:
        return {"head": {}, "boolean": answer["boolean"]}
    if "triples" in answer:
        return {"triples": answer["triples"]}
    names = answer["variables"]
    bindings = [
        {name: term_json(decode_term(cell)) for name, cell in zip(names, row, strict=True) if cell is not None}
        for row in answer["rows"]
    ]
    found: dict[str, Any] = {"head": {"vars": names}, "results": {"bindings": bindings}}
    return {**found, "truncated": True} if answer["truncated"] else found


def term_json(term: Term) -> dict[str, str]:
    """One RDF term of a JSON result."""
    if isinstance(term, ox.NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, ox.BlankNode):
        return {"type": "bnode", "value": term.value}
    if term.language:
        return {"type": "literal", "value": term.value, "xml:lang": term.language}
    if term.datatype == XSD.string:
        return {"type": "literal", "value": term.value}
    return {"type": "literal", "value": term.value, "datatype": term.datatype.value}


def write_proof(proof: Mapping[str, Any], file: Path) -> None:
    """Write a proof file, whole or not at all."""
    partial = file.with_name(file.name + ".part")
    try:
        partial.write_text(json.dumps(proof, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise InputError(
            f"the proof cannot be written: {error}", place=str(file), remedy="name another file"
        ) from error


def proof_line(proof: Mapping[str, Any], file: Path) -> str:
    """What a proof file proves, on one line."""
    claims = Counter(row["claim"] for row in proof["answer"]["rows"])
    told = [f"{claims[c]} {c}" for c in ("proven", "conditional", "unproven") if claims[c]]
    return (
        f"{file}: {', '.join(told) or 'no rows'} ({file.stat().st_size:,} bytes; check it with `dappops verify {file}`)"
    )


def _cell(text: str | None) -> str:
    value = "" if text is None else short(decode_term(text))
    return value if len(value) <= CELL else value[:CELL] + "…"


def _plain(text: str | None) -> str:
    term = None if text is None else decode_term(text)
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else term.value
