"""An answer with its proof, as JSON: the W3C's results format with one more member.

https://www.w3.org/TR/sparql11-results-json/, docs/proof-format.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyoxigraph as ox

from engine.graph.wire import decode_term
from reasoners.graph import Term
from reasoners.vocab import XSD


def proven(answer: Mapping[str, Any]) -> bytes:
    """The answer of the service method `prove_query` with its `proof`, a proof file's value."""
    out: dict[str, Any]
    if "boolean" in answer:
        out = {"head": {}, "boolean": answer["boolean"]}
    else:
        names = answer["variables"]
        rows = [
            {name: _term(decode_term(text)) for name, text in zip(names, row, strict=True) if text is not None}
            for row in answer["rows"]
        ]
        out = {"head": {"vars": names}, "results": {"bindings": rows}}
    return json.dumps({**out, "proof": answer["proof"]}, ensure_ascii=False).encode()


def _term(term: Term) -> dict[str, Any]:
    if isinstance(term, ox.NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, ox.BlankNode):
        return {"type": "bnode", "value": term.value}
    if isinstance(term, ox.Triple):
        parts = {"subject": term.subject, "predicate": term.predicate, "object": term.object}
        return {"type": "triple", "value": {name: _term(part) for name, part in parts.items()}}
    out = {"type": "literal", "value": term.value}
    if term.language:
        out["xml:lang"] = term.language
    elif term.datatype != XSD.string:
        out["datatype"] = term.datatype.value
    return out


__all__ = ["proven"]
