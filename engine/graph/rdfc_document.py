"""RDFC-1.0 (https://www.w3.org/TR/rdf-canon/) of one document, in a process of its own: hostile input makes it exponential.

Run as a script, never imported: `rdfc_document.py SECONDS BYTES EXTENSION ALGORITHM BASE`; the document comes on standard
input, its canonical N-Quads go to standard output. Exit code 2 with a message on standard error: the document is at fault.
`engine.graph.canonical` starts and kills it.
"""

import resource
import sys


def main() -> None:
    """Set the limits before anything is read, then parse, label, sort and write."""
    seconds, space = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pyoxigraph as ox

    format = ox.RdfFormat.from_extension(sys.argv[3])
    try:
        quads = ox.parse(sys.stdin.buffer, format=format, base_iri=sys.argv[5] or None, rename_blank_nodes=True)
        dataset = ox.Dataset()
        for quad in quads:
            if isinstance(quad.object, ox.Triple) or getattr(quad.object, "direction", None) is not None:
                print(f"RDF 1.2 has no canonical form yet: {str(quad)[:200]}", file=sys.stderr)
                sys.exit(2)
            dataset.add(quad)
    except (SyntaxError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    dataset.canonicalize(getattr(ox.CanonicalizationAlgorithm, sys.argv[4]))
    # https://www.w3.org/TR/rdf-canon/#canonical-quads: sorted by code point, which UTF-8 keeps
    for line in sorted(f"{quad} .\n".encode() for quad in dataset):
        sys.stdout.buffer.write(line)


if __name__ == "__main__":
    main()
