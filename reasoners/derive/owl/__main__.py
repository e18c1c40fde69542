"""OWL 2 RL on files of RDF.

    python -m reasoners.derive.owl entails PREMISE... --conclusion FILE    exit 0: it follows, 1: it does not
    python -m reasoners.derive.owl check FILE...                           exit 0: consistent, 1: prints contradictions
    python -m reasoners.derive.owl close FILE...                           prints the closure as N-Triples

Formats by suffix: .ttl .nt .rdf .owl .xml .jsonld .n3. Nothing is fetched: owl:imports is not followed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyoxigraph as ox

from reasoners.derive.derivation import Derivation
from reasoners.derive.owl.engine import Rl
from reasoners.derive.owl.entail import entails, inconsistencies

_FORMATS = {
    ".ttl": ox.RdfFormat.TURTLE, ".n3": ox.RdfFormat.N3, ".nt": ox.RdfFormat.N_TRIPLES, ".rdf": ox.RdfFormat.RDF_XML,
    ".owl": ox.RdfFormat.RDF_XML, ".xml": ox.RdfFormat.RDF_XML, ".jsonld": ox.RdfFormat.JSON_LD,
}  # fmt: skip


def read(paths: list[str]) -> list[ox.Triple]:
    """Triples of files; blank nodes of different files stay apart."""
    out: list[ox.Triple] = []
    for name in paths:
        path = Path(name)
        form = _FORMATS.get(path.suffix.lower())
        if form is None:
            raise SystemExit(f"{name}: no RDF format goes by {path.suffix!r}; known: {', '.join(_FORMATS)}")
        data = path.read_bytes()
        out += [
            q.triple for q in ox.parse(data, format=form, base_iri=path.resolve().as_uri(), rename_blank_nodes=True)
        ]
    return out


def tell(derivation: Derivation, depth: int = 1, most: int = 12) -> None:
    """Print a derivation, indented."""
    print("  " * depth + f"{derivation.triple}  [{derivation.rule or 'asserted'}]")
    if depth < most:
        for premise in derivation.premises:
            tell(premise, depth + 1, most)


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reasoners.derive.owl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["entails", "check", "close"])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--conclusion", metavar="FILE", help="with `entails`: the graph that should follow")
    options = parser.parse_args(arguments)
    triples = read(options.files)
    if options.what == "entails":
        if not options.conclusion:
            parser.error("entails needs --conclusion FILE")
        follows = entails(triples, read([options.conclusion]))
        print("entailed" if follows else "not entailed")
        return 0 if follows else 1
    if options.what == "check":
        found = inconsistencies(triples)
        for clash in found:
            print(f"{clash.rule}: {clash.problem}: {', '.join(map(str, clash.about))}")
            for derivation in clash.derivations:
                tell(derivation)
        print("consistent" if not found else f"{len(found)} contradictions")
        return 1 if found else 0
    for part in Rl(triples).ntriples():
        sys.stdout.write(part)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
