"""Proven answers at length: random queries of every form on random graphs, each row checked, lies told, proofs tampered with.

    python benchmarks/answers_soak.py [--queries 10000] [--rows 500] [--tampered 10000] [--seed 1] [--opinions 2000]

Asks so many queries in turn of every form (`tests/answers` makes them), goes on with a form until it had so many rows, and
tampers until so many changed proofs were checked. rdflib is asked about some answers, too (5 s each at most). Prints rows proven,
conditional, unproven and failed by form, what became of rows that are no answers, of tampered proofs, and how long proving and
checking took; writes benchmarks/results/answers_soak.json. A failed row, a lie proven or a tampered proof that passes ends it with 1.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import rdflib

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "answers")]

from answers_queries import FORMS, Ask, Queries  # noqa: E402
from answers_trial import Court, Tally, comparable  # noqa: E402
from answers_world import World  # noqa: E402

from verifier import verify  # noqa: E402

PER_FILL = 40  # queries before the graphs are filled anew
SPEEDS = (
    ("SELECT ?c ?l { ?c rdfs:label ?l }", 1_000), ("SELECT ?c ?d { ?c a ?d }", 2_000),
    ("SELECT ?c ?d { ?c rdfs:subClassOf+ ?d }", 1_000), ("SELECT ?c ?l { ?c a owl:Class OPTIONAL { ?c skos:altLabel ?l } }", 500),
)  # fmt: skip
PER_QUERY = 2  # times a proof is tampered with


class TimeUp(BaseException):
    """rdflib took too long; no library may catch it."""


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description="Proven answers at length.")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--tampered", type=int, default=10_000)
    parser.add_argument("--opinions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, tally = random.Random(options.seed), Tally()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "home")
        speeds = [speed(world, *one) for one in SPEEDS]
        soak(options, rng, tally, world)
        world.close()
    report(options, tally, speeds, time.process_time() - started)


def speed(world: World, text: str, limit: int) -> dict[str, Any]:
    """Seconds to prove and to verify an answer from the shipped graph, and the file's size; the second run counts."""
    for _ in range(2):
        start = time.perf_counter()
        answer = world.kb.prove_query(text, limit=limit)
        proved = time.perf_counter()
        body = json.dumps(answer["proof"], separators=(",", ":"))
        dumped = time.perf_counter()
        assert verify(body).holds
        done = time.perf_counter()
    return {
        "query": text, "rows": len(answer["rows"]), "prove_seconds": round(proved - start, 3),
        "verify_seconds": round(done - dumped, 3), "bytes": len(body),
    }  # fmt: skip


def soak(options: argparse.Namespace, rng: random.Random, tally: Tally, world: World) -> None:
    """Queries until every number is reached."""
    court, queries = Court(world, rng, tally), Queries(world.words, rng)
    opinion: rdflib.Dataset | None = None
    asked = 0
    turn = cycle(FORMS)
    while True:
        few = [f for f in FORMS if sum(tally.rows.get(f, Counter()).values()) < options.rows]
        tampered = tally.tampered.total()
        if tally.queries.total() >= options.queries and not few and tampered >= options.tampered:
            return
        form = next(turn) if tally.queries.total() < options.queries or not few else rng.choice(few)
        if asked % PER_FILL == 0:
            world.refill(rng)
            opinion = None
        asked += 1
        ask = queries.query(form)
        found = court.rows(ask)
        if found is None:
            continue
        if tampered < options.tampered:
            court.tamper(ask, *found, times=PER_QUERY)
        if tally.opinions.total() < options.opinions and comparable(ask) and rng.random() < 0.4:
            opinion = opinion or world.second_opinion()
            second(court, ask, opinion)
        if asked % 500 == 0:
            rows = sum(sum(c.values()) for c in tally.rows.values())
            print(
                f"{tally.queries.total()} queries, {rows} rows, {tampered} tampered, {len(tally.wrong)} wrong",
                flush=True,
            )


def second(court: Court, ask: Ask, opinion: rdflib.Dataset) -> None:
    """Ask rdflib, for a while."""

    def stop(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 5.0)
    try:
        court.ask_rdflib(ask, opinion)
    except TimeUp:
        court.tally.opinions["too slow"] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def report(options: argparse.Namespace, tally: Tally, speeds: list[dict[str, Any]], seconds: float) -> None:
    """Print, write, and end with 1 when something is wrong."""
    kinds = ("proven", "conditional", "unproven", "failed")
    print(f"{'form':22}{'queries':>8}{'aside':>7}" + "".join(f"{k:>12}" for k in kinds))
    for form in FORMS:
        rows = tally.rows.get(form, Counter())
        print(f"{form:22}{tally.queries[form]:8}{tally.aside[form]:7}" + "".join(f"{rows[k]:12}" for k in kinds))
    result: dict[str, Any] = {
        "seed": options.seed, "queries": tally.queries.total(), "cpu_seconds": round(seconds), "speed": speeds,
        "forms": {f: {"queries": tally.queries[f], "aside": tally.aside[f], **tally.rows.get(f, {})} for f in FORMS},
        "no_answers": dict(tally.lies), "tampered": dict(tally.tampered), "tampered_total": tally.tampered.total(),
        "redundant": tally.redundant, "rdflib": dict(tally.opinions), "differ": tally.differ[:50], "wrong": tally.wrong[:50],
    }  # fmt: skip
    for one in speeds:
        told = f"proven {one['prove_seconds']} s, verified {one['verify_seconds']} s, {one['bytes']:,} bytes"
        print(f"{one['rows']:6} rows, {told}: {one['query']}")
    print(f"rows that are no answers: {dict(tally.lies)}")
    print(
        f"tampered proofs that failed: {tally.tampered.total()} {dict(tally.tampered)}; needless parts: {tally.redundant}"
    )
    print(f"rdflib: {dict(tally.opinions)}; CPU seconds: {seconds:.0f}; wrong: {len(tally.wrong)}")
    for text in tally.wrong[:10]:
        print(f"  {text}")
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "answers_soak.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
