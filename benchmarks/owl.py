"""OWL 2 RL: materialisation beside owlrl and reasonable, one change at growing sizes, differences and their reasons.

    python benchmarks/owl.py [--sizes 10000 100000 1000000] [--seconds 300] [--python PYTHON] [--differences 40]

The ontology is generated with an axiom of every kind (tables 5 to 7, 9) and data that makes each of them conclude; `--plain`
leaves out what reasonable does not do (chains, keys, lists of any length) so that the closures compare. Each peer runs in
a child process and is stopped after `--seconds`; a size is not tried when the one below took a tenth of that. `reasonable` is
taken from the interpreter `--python` (default: this one) when it is installed there; it reads from a file, and so do we.
CPU seconds of each part; memory resident after loading. Prints ratios and writes benchmarks/results/owl.json.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyoxigraph as ox

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "owl")]

from reasoners.derive.owl import Explainer, Rl, clashes  # noqa: E402

EX = "http://ex.org/"
PREFIXES = """@prefix : <http://ex.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> . """
PLAIN = """
:A rdfs:subClassOf :B . :B rdfs:subClassOf :C . :E owl:equivalentClass :A . :p rdfs:domain :A ; rdfs:range :D .
:q rdfs:subPropertyOf :p . :r owl:inverseOf :q . :s a owl:SymmetricProperty . :t a owl:TransitiveProperty .
:w owl:equivalentProperty :v . :F owl:someValuesFrom :D ; owl:onProperty :p . :G owl:hasValue :n1 ; owl:onProperty :u .
:A a owl:Class . :p a owl:ObjectProperty . :f a owl:FunctionalProperty . :i a owl:InverseFunctionalProperty .
:C owl:disjointWith :Z . :H owl:allValuesFrom :K ; owl:onProperty :v . :A rdfs:subClassOf :H .
"""
FULL = """
:chain owl:propertyChainAxiom ( :q :r :v :u ) . :key a owl:Class ; owl:hasKey ( :k1 :k2 ) . :D rdfs:subClassOf :key .
:I owl:intersectionOf ( :A :D :L ) . :U owl:unionOf ( :I :G ) . :O owl:oneOf ( :n1 :n2 :n3 ) . :L owl:complementOf :Z .
:M owl:maxCardinality "1"^^xsd:nonNegativeInteger ; owl:onProperty :g . :G rdfs:subClassOf :M .
:N owl:maxQualifiedCardinality "1"^^xsd:nonNegativeInteger ; owl:onProperty :h ; owl:onClass :A . :O rdfs:subClassOf :N .
:u1 :u :n1 ; :g :g1, :g2 . :h0 a :O ; :h :h1, :h2 . :h1 a :A . :h2 a :A . :bad a :C, :Z ; :q :n2 ; :z :n2 ; :size "x" .
[] a owl:AllDisjointClasses ; owl:members ( :C :Z :Y ) . :q owl:propertyDisjointWith :z .
:size rdfs:range xsd:integer . :Small owl:someValuesFrom xsd:byte ; owl:onProperty :size .
"""


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def ontology(size: int, *, plain: bool) -> list[ox.Triple]:
    """About `size` triples: terminology of every kind, edges of 14 properties, classes, values, equal terms."""
    rng = random.Random(size)
    out = [q.triple for q in ox.parse(PREFIXES + PLAIN + ("" if plain else FULL), format=ox.RdfFormat.TURTLE)]
    nodes = size // 6
    node_type = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
    for i in range(size):
        p = rng.choice("pqrstuvwxyghkk")
        start, end = rng.randrange(nodes), rng.randrange(nodes)
        if p == "t":  # short transitive paths
            start, end = i, i + 1 if i % 5 else i + 2
        if p == "k":
            for key in ("k1", "k2"):
                out.append(ox.Triple(node(f"n{start}"), node(key), ox.Literal(f"{start // 2 if i % 50 == 0 else i}")))
        elif p == "x":
            out.append(ox.Triple(node(f"n{start}"), node_type, node(rng.choice("ADLG"))))
        elif p == "y":
            out.append(ox.Triple(node(f"n{start}"), node("size"), ox.Literal(rng.randrange(300))))
        elif p in "gh" or i % 200 == 0:
            name = rng.choice("fi") if p not in "gh" else p
            out.append(ox.Triple(node(f"m{i // 200}"), node(name), node(f"o{rng.randrange(size)}")))
        else:
            out.append(ox.Triple(node(f"n{start}"), node(p), node(f"n{end}")))
    return out[: size + 60]


def cpu() -> float:
    return time.process_time()


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ours(path: Path, size: int) -> dict[str, Any]:
    data = path.read_bytes()
    before = resident()
    start = cpu()
    rl = Rl.from_ntriples(data)
    bulk = cpu() - start
    held = resident() - before  # in a process of its own
    start = cpu()
    lines = sum(part.count("\n") for part in rl.ntriples())
    written = cpu() - start
    start = cpu()
    found = clashes(rl, most=200, derive=False)
    checked = cpu() - start
    rng = random.Random(7)
    add, remove, told = [], [], []
    for i in range(60):
        change = [
            ox.Triple(node(f"n{rng.randrange(size // 6)}"), node("qrsv"[i % 4]), node(f"n{rng.randrange(size // 6)}"))
        ]
        start = cpu()
        _, come = rl.apply((), change)
        add.append(1000 * (cpu() - start))
        told.append(len(come))
        start = cpu()
        rl.apply(change)
        remove.append(1000 * (cpu() - start))
    merge = [ox.Triple(node("n5"), ox.NamedNode("http://www.w3.org/2002/07/owl#sameAs"), node("n9"))]
    times = []
    for change in (((), merge), (merge, ())):
        start = cpu()
        rl.apply(*change)
        times.append(1000 * (cpu() - start))
    sample = [t for _, t in zip(range(200), rl.inferred(), strict=False)]
    explainer = Explainer(rl)
    start = cpu()
    derived = sum(explainer.triple(t) is not None for t in sample)
    explain = 1000 * (cpu() - start) / max(1, len(sample))
    return {
        "bulk_s": round(bulk, 3), "closure": lines, "write_s": round(written, 3), "check_s": round(checked, 3),
        "contradictions": len(found), "facts": len(rl), "bytes_per_fact": round(rl.size / len(rl), 1),
        "resident_bytes_per_fact": round(held / len(rl), 1), "add_ms": round(statistics.median(add), 3),
        "add_worst_ms": round(max(add), 2), "remove_ms": round(statistics.median(remove), 3),
        "remove_worst_ms": round(max(remove), 2), "told": round(statistics.mean(told), 1),
        "merge_ms": round(times[0], 2), "unmerge_ms": round(times[1], 2), "explain_ms": round(explain, 3),
        "explained": f"{derived} of {len(sample)}",
    }  # fmt: skip


PEERS = {
    "owlrl": """
import sys, time, rdflib, owlrl
graph = rdflib.Graph().parse(sys.argv[1], format="nt")
start = time.process_time()
owlrl.DeductiveClosure(owlrl.OWLRL_Semantics, axiomatic_triples=False, datatype_axioms=False).expand(graph)
print(time.process_time() - start, len(graph))
""",
    "reasonable": """
import sys, time, reasonable
start = time.process_time()
reasoner = reasonable.PyReasoner()
reasoner.load_file(sys.argv[1])
found = reasoner.reason()
print(time.process_time() - start, len(found))
""",
}


def peer(name: str, python: str, path: Path, seconds: float) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", PEERS[name], str(path)], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {f"{name}_s": f"over {seconds:g}"}
    if done.returncode:
        return {f"{name}_s": "not installed" if "ModuleNotFoundError" in done.stderr else done.stderr[-200:]}
    took, count = done.stdout.split()
    return {f"{name}_s": round(float(took), 3), f"{name}_closure": int(count)}


def explained(number: int) -> dict[str, Any]:
    from owl_agreement import differences
    from owl_samples import named, statements

    kinds: Counter[str] = Counter()
    left = 0
    for seed in range(number):
        rng = random.Random(seed)
        found, unexplained = differences(
            named("\n".join(statements(rng, axioms=rng.randint(3, 8), data=rng.randint(4, 25))))
        )
        kinds += found
        left += len(unexplained)
    return {"ontologies": number, "unexplained": left, "reasons": dict(kinds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--differences", type=int, default=40)
    options = parser.parse_args()
    results: dict[str, Any] = {"every_rule": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("every_rule", "plain"):
            skipped: set[str] = set()
            for size in options.sizes:
                path = Path(folder) / f"{kind}-{size}.ttl"  # reasonable goes by the suffix; N-Triples is Turtle
                data = ox.serialize(dict.fromkeys(ontology(size, plain=kind == "plain")), format=ox.RdfFormat.N_TRIPLES)
                path.write_bytes(data or b"")
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    row: dict[str, Any] = {"triples": size, **pool.submit(ours, path, size).result()}
                for name, python in (("owlrl", sys.executable), ("reasonable", options.python)):
                    if name in skipped or (name == "reasonable" and kind == "every_rule"):
                        continue
                    row |= peer(name, python, path, options.seconds)
                    took = row[f"{name}_s"]
                    if not isinstance(took, float) or took > options.seconds / 10:
                        skipped.add(name)
                    if isinstance(took, float):
                        row[f"{name}_ratio"] = round(took / row["bulk_s"], 1)
                results[kind].append(row)
                print(kind, row, flush=True)
    results["differences_from_owlrl"] = explained(options.differences)
    print(results["differences_from_owlrl"])
    target = ROOT / "benchmarks" / "results" / "owl.json"
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
