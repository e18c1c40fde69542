"""Cost of derivation: one-offer commits against graph size, full derivation, OWL 2 RL against owlrl.

    python benchmarks/derive.py [--sizes 10000 100000 1000000] [--rl 1000 10000 100000] [--seconds 300]

Prints CPU milliseconds and ratios, and writes benchmarks/results/derive.json. The catalogue is generated: offers with
six triples each in 50 regions within places, and the shipped `derive-*` rules plus one with a negation and a recursion.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reasoners.derive import Deriver, MemoryWorkspace, Pending, Rule, owl_rl, rules_from_files  # noqa: E402
from reasoners.graph import memory_view  # noqa: E402
from reasoners.vocab import DAPP, OWL, RDF, RDFS  # noqa: E402

EX = "http://ex.org/"
PROLOGUE = f"PREFIX : <{EX}> PREFIX dapp: <{DAPP.iri}> "
LOCAL = (
    (
        "slow",
        "CONSTRUCT { ?o :slow true } WHERE { ?o dapp:offersType ?t FILTER NOT EXISTS { ?t :fast ?x } }",
        EX + "slow",
    ),
    ("inside", "CONSTRUCT { ?r :inside ?p } WHERE { ?r dapp:within ?p }", EX + "inside"),
    ("inside-far", "CONSTRUCT { ?r :inside ?q } WHERE { ?r :inside ?p . ?p :inside ?q }", EX + "inside"),
)
Commit = tuple[list[ox.Triple], list[ox.Triple]]


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def offer(rng: random.Random, name: str) -> list[ox.Triple]:
    o = node(name)
    return [
        ox.Triple(o, RDF.type, DAPP.ServiceOffer),
        ox.Triple(o, DAPP.offersType, node(f"type{rng.randrange(200)}")),
        ox.Triple(o, DAPP.inRegion, node(f"region{rng.randrange(50)}")),
        ox.Triple(o, node("price"), ox.Literal(rng.randrange(1000))),
        ox.Triple(o, node("below"), node(f"thing{rng.randrange(1000)}")),
        ox.Triple(o, DAPP.offeredBy, node(f"provider{rng.randrange(20)}")),
    ]


def catalogue(size: int, rng: random.Random) -> Iterator[ox.Triple]:
    yield ox.Triple(node("below"), RDFS.subPropertyOf, node("above"))
    yield ox.Triple(node("Special"), RDFS.subClassOf, node("General"))
    for i in range(50):
        yield ox.Triple(node(f"region{i}"), DAPP.within, node(f"country{i % 20}"))
    for i in range(20):
        yield ox.Triple(node(f"country{i}"), DAPP.within, node(f"continent{i % 5}"))
    for i in range(5):
        yield ox.Triple(node(f"continent{i}"), DAPP.within, node("world"))
    for i in range(100):
        yield ox.Triple(node(f"type{i}"), node("fast"), ox.Literal(True))
    for i in range(size // 6):
        yield from offer(rng, f"offer{i}")


def rules() -> list[Rule]:
    files = [(p.stem, p.read_text(encoding="utf-8")) for p in (ROOT / "queries" / "rules").glob("derive-*.rq")]
    local = [Rule(node(n), PROLOGUE + text, frozenset({head}), label=n) for n, text, head in LOCAL]
    return [*rules_from_files(files), *local]


def commit(deriver: Deriver, work: MemoryWorkspace, change: Commit) -> float:
    """CPU milliseconds of one commit's derivation, the asserted change included."""
    start = time.process_time()
    pending = Pending()
    deriver.affected(work.view, change[0], pending)
    _, entered = work.change(*change)
    deriver.run(work, pending, entered)
    return 1000 * (time.process_time() - start)


def cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def incremental(size: int) -> dict[str, float]:
    rng = random.Random(1)
    deriver = Deriver(rules())
    work = MemoryWorkspace(catalogue(size, rng))
    view = memory_view(work.view.triples())
    derived: dict[ox.NamedNode, set[ox.Triple]] = {}
    full = cpu(lambda: derived.update(deriver.full(view)))
    work.write({r: (set(), t) for r, t in derived.items()})
    deriver.run(work, Pending(), [])
    adds = [commit(deriver, work, ([], offer(rng, f"new{i}"))) for i in range(200)]
    gone = [commit(deriver, work, (list(work.view.triples(node(f"new{i}"), None, None)), [])) for i in range(100)]
    move = (node("region7"), DAPP.within, node("country7"))
    wide = commit(deriver, work, ([ox.Triple(*move)], [ox.Triple(move[0], move[1], node("country8"))]))
    concerned = len(work.view.subjects(DAPP.inRegion, node("region7")))
    return {
        "triples": len(list(work.view.triples())),
        "derived": sum(map(len, work.derived().values())),
        "full_s": round(full, 3),
        "add_offer_ms": round(statistics.median(adds), 3),
        "remove_offer_ms": round(statistics.median(gone), 3),
        "move_region_ms": round(wide, 1),
        "move_region_offers": concerned,
    }


def ontology(size: int, rng: random.Random) -> list[ox.Triple]:
    text = f"""@prefix : <{EX}> . @prefix owl: <{OWL.iri}> . @prefix rdfs: <{RDFS.iri}> .
    :p rdfs:domain :A ; rdfs:range :B . :q rdfs:subPropertyOf :p . :r owl:inverseOf :q . :A rdfs:subClassOf :C .
    :C rdfs:subClassOf :D . :t a owl:TransitiveProperty . :s a owl:SymmetricProperty . :E owl:equivalentClass :B .
    :X owl:intersectionOf ( :A :B ) . :c owl:propertyChainAxiom ( :q :r ) .
    :Y owl:someValuesFrom :B ; owl:onProperty :p ."""
    out = [q.triple for q in ox.parse(text.encode(), format=ox.RdfFormat.TURTLE)]
    nodes = size // 6
    for i in range(size):
        p = rng.choice("pqrstuvwxyz")
        start, end = (i, i + 1) if p == "t" and i % 5 else (rng.randrange(nodes), rng.randrange(nodes))
        out.append(ox.Triple(node(f"n{start}"), node(p), node(f"n{end}")))
    return out


def entail(size: int, seconds: float, compare: bool) -> dict[str, float | str]:
    known = rules_from_files((p.stem, p.read_text(encoding="utf-8")) for p in (ROOT / "queries/rules/rl").glob("*.rq"))
    base = ontology(size, random.Random(1))
    view = memory_view(base)
    found: list[int] = []
    ours = cpu(lambda: found.append(len(owl_rl(view, known).triples)))
    out: dict[str, float | str] = {"triples": len(base), "inferred": found[0], "ours_s": round(ours, 2)}
    if not compare:
        return {**out, "owlrl": f"not run: the size below took more than a tenth of {seconds:g} s"}
    import owlrl
    import rdflib

    lines = ox.serialize(base, format=ox.RdfFormat.N_TRIPLES) or b""
    graph = rdflib.Graph().parse(data=lines.decode(), format="nt")
    closure = owlrl.DeductiveClosure(owlrl.OWLRL_Semantics, axiomatic_triples=False, datatype_axioms=False)
    theirs = cpu(lambda: closure.expand(graph))
    return {**out, "owlrl_s": round(theirs, 2), "ratio": round(theirs / ours, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rl", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=300, help="owlrl is not tried where it would take longer")
    options = parser.parse_args()
    results: dict[str, list[dict[str, float | str]]] = {"incremental": [], "rl": []}
    for size in options.sizes:
        results["incremental"].append(dict(incremental(size)))
        print("incremental", results["incremental"][-1], flush=True)
    slow = False
    for size in options.rl:
        row = entail(size, options.seconds, not slow)
        slow = slow or float(row.get("owlrl_s", 0)) > options.seconds / 10
        results["rl"].append(row)
        print("rl", row, flush=True)
    target = ROOT / "benchmarks" / "results" / "derive.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
