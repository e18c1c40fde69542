"""The JSON-LD context of the language, made from the vocabulary: `python -m engine.catalogue.ml.context [--check]`.

Under it a document without sugar, its scalars read as strings, is plain JSON-LD 1.1 (https://www.w3.org/TR/json-ld11/).
Names of shipped things are scoped to the keys whose values they can be, so `NO` is Norway under `allowedPlace` only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from engine.catalogue.ml.items import class_name
from engine.catalogue.ml.vocabulary import LANG_STRING, LANGUAGE, STRING, Term, Vocabulary, shipped
from engine.resources import data_root
from reasoners.vocab import DAPP, PREFIXES

PATH = "ontology/context.jsonld"
Context = dict[str, "Context | str | float | None"]


def build(vocabulary: Vocabulary) -> dict[str, Context]:
    """The context document."""
    context: Context = {"@version": 1.1, "@vocab": DAPP.iri}
    context.update(PREFIXES)
    context.update(
        {"id": "@id", "type": "@type", "dappops": None, "application": "@included", "catalogue": "@included"}
    )
    for key in sorted(vocabulary.terms):
        context[key] = _definition(vocabulary.terms[key])
    return {"@context": context}


def _definition(term: Term) -> Context | str:
    iri = class_name(term.iri) if not term.iri.startswith(DAPP.iri) else f"dapp:{term.iri[len(DAPP.iri) :]}"
    if term.reference and term.names:
        names: Context = {name: _curie(thing) for name, thing in sorted(term.names.items())}
        return {"@id": iri, "@type": "@vocab", "@context": names}
    if term.reference:
        return {"@id": iri, "@type": "@id"}
    if term.datatype == LANG_STRING:
        return {"@id": iri, "@language": LANGUAGE, "@container": "@language"}
    if term.datatype == STRING:
        return iri
    return {"@id": iri, "@type": class_name(term.datatype)}


def _curie(iri: str) -> str:
    return next((f"{p}:{iri[len(ns) :]}" for p, ns in PREFIXES.items() if iri.startswith(ns)), iri)


def text(vocabulary: Vocabulary) -> str:
    """The context as it is written to disk: one key a line."""
    context = build(vocabulary)["@context"]
    lines = [f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in context.items()]
    return '{\n  "@context": {\n' + ",\n".join(lines) + "\n  }\n}\n"


def main(arguments: list[str]) -> int:
    """Write the context; with --check only say whether it is current (exit 1 when not)."""
    return write_or_check(data_root() / PATH, text(shipped()), arguments, "engine.catalogue.ml.context")


def write_or_check(path: Path, wanted: str, arguments: list[str], module: str) -> int:
    """Write a generated file; with --check only compare."""
    if arguments == ["--check"]:
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"{path} is not current: run python -m {module}", file=sys.stderr)
        return 1
    if arguments:
        print(f"usage: python -m {module} [--check]", file=sys.stderr)
        return 2
    path.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
