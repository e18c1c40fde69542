"""Cost of derivation: one-offer commits against graph size, full derivation, forms of rules, explanations.

    python benchmarks/derive.py [--sizes 10000 100000 1000000] [--forms 10000]

Prints CPU milliseconds and writes benchmarks/results/derive.json. The catalogue is generated: offers with six triples each in
50 regions within places, and the shipped `derive-*` rules plus one with a negation and a recursion. The forms are evaluated
over the same catalogue, each once as its author wrote it and once as it is evaluated (EXISTS groups in steps), in the same run;
a form whose text as written would take longer than --seconds is said to. OWL 2 RL is `owl.py`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reasoners.derive import Deriver, MemoryWorkspace, Pending, Rule, rules_from_files  # noqa: E402
from reasoners.derive.why import Explainer  # noqa: E402
from reasoners.derive.workspace import ASSERTED, quad  # noqa: E402
from reasoners.graph import memory_view  # noqa: E402
from reasoners.vocab import DAPP, RDF, RDFS  # noqa: E402

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


FORMS = {
    "linked": "?o dapp:inRegion ?r FILTER NOT EXISTS { ?o dapp:offersType ?t . ?t :fast true }",
    "union": "?o dapp:inRegion ?r FILTER NOT EXISTS { { ?o dapp:offersType ?t . ?t :fast true } UNION { ?o :price 7 } }",
    "blank": "?o dapp:inRegion ?r FILTER EXISTS { ?o dapp:offersType [ :fast true ] ; :price ?p . FILTER(?p > 500) }",
    "list": "?o dapp:inRegion ?r FILTER NOT EXISTS { ?o dapp:offersType ?t . ?t :fast true , false }",
    "minus": "?o dapp:inRegion ?r MINUS { ?o dapp:offersType ?t . ?t :fast true }",
    "optional": "?o dapp:inRegion ?r OPTIONAL { ?o dapp:offersType/:fast ?f } FILTER(!BOUND(?f))",
    "count": "{ SELECT ?o (COUNT(DISTINCT ?x) AS ?r) WHERE { ?o :below ?x } GROUP BY ?o }",
    "path": "?o dapp:inRegion/dapp:within+ ?r",
}


CHILD = """
import sys, time
import pyoxigraph as ox
text = sys.stdin.buffer.readline().decode()
store = ox.Store()
store.bulk_load(sys.stdin.buffer.read(), format=ox.RdfFormat.N_TRIPLES)
start = time.process_time()
sum(1 for _ in store.query(text))
print(time.process_time() - start)
"""


def as_written(text: str, data: bytes, seconds: float) -> float | str:
    """CPU seconds that the store takes for the text as it stands, in a process that is ended after `seconds`."""
    order = " ".join(text.split()).encode() + b"\n" + data
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=order, capture_output=True, timeout=seconds, check=True
        )
    except subprocess.TimeoutExpired:
        return f"more than {seconds:g}"
    return round(float(done.stdout), 3)


def forms(size: int, seconds: float) -> list[dict[str, float | str]]:
    """Each form from scratch and after one more offer."""
    rows: list[dict[str, float | str]] = []
    for name, body in FORMS.items():
        rng = random.Random(1)
        text = PROLOGUE + f"CONSTRUCT {{ ?o :h ?r }} WHERE {{ {body} }}"
        deriver = Deriver([Rule(node(name), text, frozenset({EX + "h"}), label=name)])
        work = MemoryWorkspace(catalogue(size, rng))
        data = ox.serialize(work.view.triples(), format=ox.RdfFormat.N_TRIPLES) or b""
        view = memory_view(work.view.triples())
        derived: dict[ox.NamedNode, set[ox.Triple]] = {}
        full = cpu(lambda: derived.update(deriver.full(view)))  # noqa: B023
        work.write({r: (set(), t) for r, t in derived.items()})
        adds = [commit(deriver, work, ([], offer(rng, f"new{i}"))) for i in range(50)]
        (row,) = deriver.table()
        rows.append({
            "form": name, "triples": size, "derived": sum(map(len, derived.values())), "full_s": round(full, 3),
            "as_written_s": as_written(text, data, seconds), "add_offer_ms": round(statistics.median(adds), 3), "mode": row.mode,
        })  # fmt: skip
        print("form", rows[-1], flush=True)
    return rows


def explanations(size: int) -> dict[str, float]:
    """Milliseconds to explain a derived triple down to what is asserted."""
    rng = random.Random(1)
    deriver = Deriver(rules())
    work = MemoryWorkspace(catalogue(size, rng))
    derived = deriver.full(memory_view(work.view.triples()))
    work.write({r: (set(), t) for r, t in derived.items()})
    store = work.store
    by_triple: dict[ox.Triple, list[ox.NamedNode]] = {}
    for iri, triples in derived.items():
        for triple in triples:
            by_triple.setdefault(triple, []).append(iri)
    chosen = rng.sample(sorted(by_triple, key=str), 100)
    spent = []
    for triple in chosen:
        explainer = Explainer(
            work.view, deriver.rules, lambda t: quad(t, ASSERTED) in store, lambda t: by_triple.get(t, [])
        )
        start = time.process_time()
        assert explainer.explain(triple)
        spent.append(1000 * (time.process_time() - start))
    return {"triples": size, "median_ms": round(statistics.median(spent), 2), "worst_ms": round(max(spent), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--forms", type=int, default=10_000, help="triples of the catalogue that forms of rules are tried on"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for a form as it is written")
    options = parser.parse_args()
    results: dict[str, object] = {}
    sizes: list[dict[str, float]] = []
    for size in options.sizes:
        sizes.append(incremental(size))
        print("incremental", sizes[-1], flush=True)
    results["incremental"] = sizes
    results["forms"] = forms(options.forms, options.seconds)
    results["why"] = [explanations(size) for size in options.sizes[:2]]
    print("why", results["why"], flush=True)
    target = ROOT / "benchmarks" / "results" / "derive.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
