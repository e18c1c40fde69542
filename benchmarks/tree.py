"""The hash tree: cost of a leaf in bulk and in small commits as the graph grows, and of proofs.

Three kinds of 12-leaf batch: one subject (an offer, a reading: the usual commit), twelve subjects anywhere with every
page in memory, and twelve anywhere with the default cache, where pages come from SQLite. CPU time, so that a busy
machine distorts little. Writes results/tree.json.

    python -m benchmarks.tree [SIZE ...]
"""

from __future__ import annotations

import json
import os
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox

from engine.graph.labels import stable_labels
from engine.graph.proofs import verify
from engine.graph.terms import canonical
from engine.graph.tree import Leaf, MerkleTree, leaf_of

GRAPH = "https://w3id.org/dappops/g/0x0000000000000000000000000000000000000000/bench"
BATCH, ROUNDS = 12, 300
SUBJECTS = 200  # proved one by one


def clock(action: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    action()
    return time.process_time() - start


def triple(subject: int, number: int) -> ox.Triple:
    """One of a subject's twelve statements."""
    return ox.Triple(
        ox.NamedNode(f"{GRAPH}/offer-{subject}"), ox.NamedNode(f"urn:p{number}"), ox.Literal(f"{subject} {number}")
    )


def random_batch(rng: random.Random) -> list[Leaf]:
    """Leaves of as many subjects as leaves."""
    return [Leaf(rng.randbytes(32), rng.randbytes(32)) for _ in range(BATCH)]


def subject_batch(rng: random.Random) -> list[Leaf]:
    """Leaves of one subject."""
    subject = rng.randbytes(12)
    return [Leaf(subject + rng.randbytes(20), rng.randbytes(32)) for _ in range(BATCH)]


def batches(tree: MerkleTree, make: Callable[[random.Random], list[Leaf]], seed: int) -> dict[str, float]:
    """Microseconds a leaf, amortised, to apply small batches and to save after each."""
    rng = random.Random(seed)
    data = [make(rng) for _ in range(ROUNDS)]
    apply = save = 0.0
    for batch in data:
        apply += clock(lambda batch=batch: tree.apply(batch, []))  # type: ignore[misc]
        save += clock(lambda: tree.save(tree.position + 1))
    undo = sum(clock(lambda batch=batch: tree.apply([], batch)) for batch in data)  # type: ignore[misc]
    tree.save(tree.position + 1)
    unit = 1e6 / ROUNDS / BATCH
    return {"apply": round(apply * unit, 1), "save": round(save * unit, 1), "remove": round(undo * unit, 1)}


def one_size(size: int, folder: Path) -> dict[str, object]:
    """All figures for a graph of about `size` statements."""
    db = sqlite3.connect(folder / f"{size}.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    triples = [triple(s, n) for s in range(-(-size // BATCH)) for n in range(BATCH)]
    leaves: list[Leaf] = []
    hashing = clock(lambda: leaves.extend(map(leaf_of, triples)))
    tree = MerkleTree(db, GRAPH)
    building = clock(lambda: tree.apply(leaves, []))
    saving = clock(lambda: tree.save(1))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root, unit = tree.root, 1e6 / len(leaves)
    result: dict[str, object] = {
        "leaves": len(leaves),
        "bulkMicrosecondsPerLeaf": {
            "hash": round(hashing * unit, 2), "build": round(building * unit, 2), "save": round(saving * unit, 2)
        },
        "bytesPerLeaf": round(os.path.getsize(folder / f"{size}.sqlite") / len(leaves), 1),
    }  # fmt: skip
    opened: list[MerkleTree] = []
    result["openMicroseconds"] = round(1e6 * clock(lambda: opened.append(MerkleTree(db, GRAPH))), 1)
    small = {"oneSubject": batches(opened[0], subject_batch, 1)}
    warm = MerkleTree(db, GRAPH, cache_pages=1 << 20)
    sum(1 for _ in warm.under(b""))
    small["anywhereInMemory"] = batches(warm, random_batch, 2)
    del warm
    small["anywhereFromDisk"] = batches(MerkleTree(db, GRAPH), random_batch, 3)
    result["batchMicrosecondsPerLeaf"] = small
    tree = MerkleTree(db, GRAPH)
    if tree.root != root:
        raise SystemExit("the root is not the one before the batches were taken back")
    result["proof"] = proofs(tree, triples)
    db.close()
    return result


def proofs(tree: MerkleTree, triples: list[ox.Triple]) -> dict[str, object]:
    """Microseconds to prove all of a subject, and a subject's absence; bytes of the proofs as JSON."""
    rng = random.Random(4)
    result: dict[str, object] = {}
    for name in ("subject", "absent"):
        made, checked, length = 0.0, 0.0, 0
        for _ in range(SUBJECTS):
            start = BATCH * rng.randrange(len(triples) // BATCH)
            matching = triples[start : start + BATCH] if name == "subject" else []
            subject = str(matching[0].subject) if matching else f"<{GRAPH}/absent-{rng.random()}>"
            begin = time.process_time()
            proof = tree.prove((subject, None, None), matching)
            made += time.process_time() - begin
            data = json.loads(json.dumps(proof.to_json()))
            length += len(json.dumps(data))
            begin = time.process_time()
            if not verify(data, tree.root):
                raise SystemExit("a proof does not verify")
            checked += time.process_time() - begin
        result[name] = {
            "proveMicroseconds": round(1e6 * made / SUBJECTS, 1),
            "verifyMicroseconds": round(1e6 * checked / SUBJECTS, 1),
            "bytes": length // SUBJECTS,
        }
    return result


def doors() -> dict[str, float]:
    """Microseconds a triple at the door (already canonical, to be rewritten) and a blank node for its label."""
    plain = [triple(i, i % BATCH) for i in range(20_000)]
    xsd = "http://www.w3.org/2001/XMLSchema#"
    subject, predicate = plain[0].subject, plain[0].predicate
    odd = [
        ox.Triple(
            subject, predicate, ox.Literal(f"{i}.50", datatype=ox.NamedNode(xsd + ("double" if i % 2 else "decimal")))
        )
        for i in range(20_000)
    ]
    blank = [t for i in range(5_000) for n in (ox.BlankNode(f"q{i}"),) for t in (
        ox.Triple(plain[i].subject, predicate, n), ox.Triple(n, predicate, ox.Literal(str(i)))
    )]  # fmt: skip
    return {
        "canonicalTriple": round(clock(lambda: [canonical(t) for t in plain]) * 1e6 / len(plain), 2),
        "rewrittenTriple": round(clock(lambda: [canonical(t) for t in odd]) * 1e6 / len(odd), 2),
        "labelOfBlankNode": round(clock(lambda: stable_labels(blank)) * 1e6 / 5_000, 1),
    }


def main(*sizes: str) -> None:
    """Run the benchmark for graphs of these sizes."""
    with tempfile.TemporaryDirectory() as folder:
        results = [one_size(int(size), Path(folder)) for size in sizes or ("10000", "100000", "1000000")]
    report = {
        "sizes": results,
        "doorMicroseconds": doors(),
        "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    target = Path(__file__).parent / "results" / "tree.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
