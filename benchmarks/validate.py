"""SHACL validation: full runs against pySHACL and pyrudof, and the cost of a change against the size of the graph.

    python benchmarks/validate.py [--sizes 10000 100000 1000000] [--seconds 300]

All shipped shapes over a generated catalogue in the shipped vocabulary (offers with prices, regions, providers, types,
placements under a placement requirement; about one offer in a hundred is wrong in one of six ways) together with the
ontology modules. Every engine runs in a process of its own, loads the same file, and is stopped after --seconds. CPU
seconds are those of validation alone, loading apart. pySHACL's results are compared one by one, pyrudof's by focus node,
component and shape. Changes: one offer of 12 quads (new each time); a region moved into a forbidden country, which is
two hops away from the placements that it makes wrong. Prints ratios and writes benchmarks/results/validate.json.
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
from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reasoners.graph import View  # noqa: E402
from reasoners.validate import Affected, Result, Shapes, Validator  # noqa: E402
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, UNIT, XSD  # noqa: E402

EX = "https://example.org/"
OFFERS_A_REGION, OFFERS_A_PROVIDER, OFFERS_A_PLACEMENT = 100, 50, 10
HOME, FORBIDDEN = DAPPI("Country-DE"), DAPPI("Country-US")
ENGINES = ("ours", "pyrudof", "pyshacl")
ROUNDS = 100


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def decimal(value: float) -> ox.Literal:
    return ox.Literal(f"{value:.4f}", datatype=XSD.decimal)


def moment(text: str) -> ox.Literal:
    return ox.Literal(text, datatype=XSD.dateTime)


def offer(rng: random.Random, name: str, region: str, provider: str, *, wrong: int = 0) -> list[ox.Triple]:
    """12 triples; `wrong` picks a mistake."""
    o, price = node(name), node(f"{name}-price")
    amount = decimal(-1 if wrong == 1 else 0.1 + rng.random())
    until = "2020-01-01T00:00:00Z" if wrong == 2 else "2030-01-01T00:00:00Z"
    triples = [
        ox.Triple(o, RDF.type, DAPP.ServiceOffer),
        ox.Triple(o, DAPP.offersType, node(f"type{rng.randrange(200)}")),
        ox.Triple(o, DAPP.offeredBy, node("nobody" if wrong == 3 else provider)),
        ox.Triple(o, DAPP.inRegion, node(region)),
        ox.Triple(o, DAPP.validFrom, moment("2026-01-01T00:00:00Z")),
        ox.Triple(o, DAPP.validUntil, moment(until)),
        ox.Triple(price, RDF.type, DAPP.PriceSpecification),
        ox.Triple(price, DAPP.amount, amount),
        ox.Triple(price, DAPP.currency, ox.Literal("usd" if wrong == 4 else "USD")),
        ox.Triple(price, DAPP.perUnit, ox.Literal("hour") if wrong == 5 else UNIT.HR),
        ox.Triple(price, DAPP.term, DAPPI.OnDemand),
    ]
    return triples if wrong == 6 else [*triples, ox.Triple(o, DAPP.hasPrice, price)]


def catalogue(size: int) -> Iterator[ox.Triple]:
    """About `size` triples."""
    rng = random.Random(7)
    offers = max(100, int(size / 13.2))
    regions, providers = max(1, offers // OFFERS_A_REGION), max(1, offers // OFFERS_A_PROVIDER)
    yield ox.Triple(node("app"), RDF.type, DAPP.QualityCriticalApplication)
    yield ox.Triple(node("app"), DAPP.hasUnit, node("unit"))
    yield ox.Triple(node("unit"), RDF.type, DAPP.FunctionalUnit)
    yield ox.Triple(node("app"), DAPP.hasRequirement, node("requirement"))
    yield ox.Triple(node("requirement"), RDF.type, DAPP.PlacementRequirement)
    yield ox.Triple(node("requirement"), DAPP.forbiddenPlace, FORBIDDEN)
    for i in range(200):
        t = node(f"type{i}")
        yield ox.Triple(t, RDF.type, DAPP.ResourceType)
        yield ox.Triple(t, RDFS.label, ox.Literal(f"type {i}", language="en"))
        yield ox.Triple(t, DAPP.vcpus, ox.Literal(2 ** (i % 7)))
        yield ox.Triple(t, DAPP.memory, decimal(2 ** (i % 9)))
    for i in range(providers):
        yield ox.Triple(node(f"provider{i}"), RDF.type, DAPP.CentralisedProvider)
        yield ox.Triple(node(f"provider{i}"), RDFS.label, ox.Literal(f"provider {i}", language="en"))
    for i in range(regions):
        r = node(f"region{i}")
        yield ox.Triple(r, RDF.type, DAPP.Region)
        yield ox.Triple(r, RDFS.label, ox.Literal(f"region {i}", language="en"))
        yield ox.Triple(r, DAPP.within, HOME)
    for i in range(offers):
        wrong = rng.randrange(1, 7) if rng.random() < 0.01 else 0
        yield from offer(rng, f"offer{i}", f"region{i % regions}", f"provider{i % providers}", wrong=wrong)
    for i in range(0, offers, OFFERS_A_PLACEMENT):
        p = node(f"placement{i}")
        yield ox.Triple(p, RDF.type, DAPP.Placement)
        yield ox.Triple(p, DAPP.placesUnit, node("unit"))
        yield ox.Triple(p, DAPP.onOffer, node(f"offer{(i * 7 + i // OFFERS_A_PLACEMENT) % offers}"))


def turtle(pattern: str) -> list[ox.Triple]:
    files = sorted((ROOT / "ontology").glob(pattern))
    if not files:
        raise SystemExit(f"no file ontology/{pattern}")
    return [q.triple for f in files for q in ox.parse(path=str(f), format=ox.RdfFormat.TURTLE)]


def write(path: Path, triples: Iterator[ox.Triple] | list[ox.Triple], *more: list[ox.Triple]) -> int:
    """Distinct triples as N-Triples; returns how many."""
    unique = dict.fromkeys(t for part in (triples, *more) for t in part)
    with path.open("wb") as out:
        ox.serialize(unique, out, format=ox.RdfFormat.N_TRIPLES)
    return len(unique)


# -- one engine, in its own process --------------------------------------------------------------------------------


def cpu() -> float:
    return time.process_time()


Found = list[list[str | None]]  # focus, shape, component, value of each result


def ours(data: Path, shapes: Path) -> tuple[Callable[[], Found], float]:
    started = cpu()
    store = ox.Store()
    store.bulk_load(path=str(data), format=ox.RdfFormat.N_TRIPLES)
    loaded = cpu() - started
    validator = validator_of(shapes)

    def run() -> Found:
        return [[str(r.focus), str(r.shape), str(r.component), value(r)] for r in validator.full(View(store))]

    return run, loaded


def value(r: Result) -> str | None:
    return None if r.value is None else str(r.value)


def validator_of(shapes: Path) -> Validator:
    return Validator(Shapes.parse(q.triple for q in ox.parse(path=str(shapes), format=ox.RdfFormat.N_TRIPLES)))


def pyshacl(data: Path, shapes: Path) -> tuple[Callable[[], Found], float]:
    import pyshacl as engine
    import rdflib
    from rdflib.namespace import SH

    from reasoners.validate.fallback import from_rdflib
    from reasoners.validate.values import stored

    started = cpu()
    graph = rdflib.Graph().parse(data, format="nt")
    shape_graph = rdflib.Graph().parse(shapes, format="nt")
    loaded = cpu() - started

    def run() -> Found:
        _, report, _ = engine.validate(graph, shacl_graph=shape_graph, inference="none")
        parts = (SH.focusNode, SH.sourceShape, SH.sourceConstraintComponent, SH.value)
        rows = ([report.value(r, p) for p in parts] for r in report.subjects(rdflib.RDF.type, SH.ValidationResult))
        return [[None if x is None else str(stored(from_rdflib(x))) for x in row] for row in rows]

    return run, loaded


def pyrudof(data: Path, shapes: Path) -> tuple[Callable[[], Found], float]:
    import pyrudof as engine

    started = cpu()
    rudof = engine.Rudof(engine.RudofConfig())
    rudof.read_data(str(data), format=engine.RDFFormat.NTriples)
    # read through Turtle: N-Triples is a part of it
    rudof.read_shacl(shapes.read_text(encoding="utf-8"))
    loaded = cpu() - started

    def run() -> Found:
        report = rudof.validate_shacl()
        return [[f"<{e.focus_node}>", f"<{e.source_shape}>", f"<{e.constraint_component}>", None] for e in report]

    return run, loaded


def child(name: str, data: Path, shapes: Path) -> None:
    run, loaded = {"ours": ours, "pyshacl": pyshacl, "pyrudof": pyrudof}[name](data, shapes)
    started, wall = cpu(), time.perf_counter()
    found = run()
    took = {
        "cpu_s": round(cpu() - started, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
        "load_cpu_s": round(loaded, 2),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    json.dump({**took, "peak_mib": peak, "results": len(found), "found": found}, sys.stdout)


def in_child(name: str, data: Path, shapes: Path, seconds: float) -> dict[str, object] | str:
    command = [sys.executable, __file__, "--engine", name, "--files", str(data), str(shapes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"not finished in {seconds:.0f} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:200] if done.stderr else done.returncode}"
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))


def compare(ours_: Found, theirs: Found, *, values: bool) -> str:
    """'same', or what is told by one side only."""
    width = 4 if values else 3
    a, b = (Counter(tuple(row[:width]) for row in found) for found in (ours_, theirs))
    only_ours, only_theirs = a.keys() - b.keys(), b.keys() - a.keys()
    if not only_ours and not only_theirs:
        return "same"

    def kinds(rows: set[tuple[str | None, ...]]) -> str:
        return (
            ", ".join(f"{n} {str(c).rsplit('#', 1)[-1].rstrip('>')}" for c, n in Counter(r[2] for r in rows).items())
            or "none"
        )

    return f"ours only: {kinds(only_ours)}; theirs only: {kinds(only_theirs)}"


# -- changes -------------------------------------------------------------------------------------------------------


def change(
    validator: Validator, store: ox.Store, removed: list[ox.Triple], added: list[ox.Triple]
) -> tuple[float, list[Result]]:
    """Milliseconds of CPU for finding what a change concerns and checking it (the store's own work not counted)."""
    affected: Affected[int] = Affected()
    started = cpu()
    validator.affected(View(store), removed, affected)
    spent = cpu() - started
    for t in removed:
        store.remove(ox.Quad(*t))
    store.extend(ox.Quad(*t) for t in added)
    started = cpu()
    view = View(store)
    validator.affected(view, added, affected)
    found = validator.check(view, affected)
    return 1000 * (spent + cpu() - started), found


def changes(data: Path, shapes: Path) -> dict[str, object]:
    """Median and worst of both changes, each undone before the next."""
    store = ox.Store()
    store.bulk_load(path=str(data), format=ox.RdfFormat.N_TRIPLES)
    validator = validator_of(shapes)
    rng = random.Random(1)
    one: list[float] = []
    for i in range(ROUNDS):
        new = offer(rng, f"new{i}", "region0", "provider0")
        took, found = change(validator, store, [], new)
        assert not found, found[0]
        one.append(took)
        took, found = change(
            validator, store, [], bad := offer(rng, f"bad{i}", "region0", "provider0", wrong=1 + i % 6)
        )
        assert found, f"mistake {1 + i % 6} was not found"
        for t in (*new, *bad):
            store.remove(ox.Quad(*t))
    hops: list[float] = []
    region = node("region0")
    home, away = ox.Triple(region, DAPP.within, HOME), ox.Triple(region, DAPP.within, FORBIDDEN)
    told = 0
    for _ in range(20):
        took, found = change(validator, store, [home], [away])
        told = len({r.focus for r in found})
        assert told, "the placements in the moved region were not found"
        hops.append(took)
        took, found = change(validator, store, [away], [home])
        assert not found
    return {
        "one offer, 12 quads: median ms": round(statistics.median(one), 2),
        "one offer, 12 quads: p99 ms": round(sorted(one)[int(0.99 * len(one))], 2),
        "region moved: placements found two hops away": told,
        "region moved: median ms": round(statistics.median(hops), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "validate.json")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        child(args.engine, *args.files)
        return
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        shapes = Path(folder) / "shapes.nt"
        write(shapes, turtle("shapes/*.ttl"))
        for size in args.sizes:
            data = Path(folder) / f"data{size}.nt"
            policy = [turtle(p) for p in ("modules/*.ttl", "axioms/*.ttl", "individuals.ttl", "countries.ttl")]
            triples = write(data, catalogue(size), *policy)
            print(f"{triples:,} triples", flush=True)
            row: dict[str, object] = {"triples": triples}
            base: dict[str, object] = {}
            for name in ENGINES:
                told = in_child(name, data, shapes, args.seconds)
                if isinstance(told, str):
                    row[name] = told
                    print(f"  {name:8} {told}", flush=True)
                    continue
                found = told.pop("found")
                if name == "ours":
                    base = {**told, "found": found}
                else:
                    told["times ours"] = round(float(str(told["cpu_s"])) / float(str(base["cpu_s"])), 1)
                    told["compared"] = compare(base["found"], found, values=name == "pyshacl")  # type: ignore[arg-type]
                row[name] = told
                print(f"  {name:8} {told}", flush=True)
            row["change"] = changes(data, shapes)
            print(f"  change   {row['change']}", flush=True)
            results[str(size)] = row
            data.unlink()
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
