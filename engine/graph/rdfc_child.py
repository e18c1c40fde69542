"""RDFC-1.0 (https://www.w3.org/TR/rdf-canon/) in a process of its own, because hostile input makes it exponential.

Run as a script, never imported: standard input holds components as N-Triples, an empty line between two; each answer
is written as soon as it is known, so the parent sees which component did not end. The first argument is the limit of
CPU seconds, the second of address space in bytes. `engine.graph.labels` starts and kills it.
"""

import resource
import sys


def main() -> None:
    """Set the limits before anything is read, then answer component by component."""
    seconds, space = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pyoxigraph as ox

    for block in sys.stdin.buffer.read().split(b"\n\n"):
        dataset = ox.Dataset(ox.parse(block, format=ox.RdfFormat.N_TRIPLES))
        dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
        lines = sorted(f"{quad.triple} ." for quad in dataset)
        sys.stdout.buffer.write("\n".join(lines).encode() + b"\n\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
