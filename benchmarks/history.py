"""What the past costs on a long log: the state as of a transaction, read back from now and from snapshots.

Commits small changes one by one, then takes the asserted state as of transactions ever further back, with and without
snapshots, and makes all snapshots from nothing. Writes results/history.json.

usage: python benchmarks/history.py [COMMITS …]      (default 2000 8000)
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyoxigraph as ox

import engine
from engine.graph import history, snapshots
from engine.graph.snapshots import Snapshots
from engine.kb import KnowledgeBase
from reasoners.vocab import RDFS

PER_COMMIT = 5  # triples added, and as many removed again later
HELD = 2000  # commits whose triples are there at a time


def fill(kb: KnowledgeBase, commits: int) -> None:
    """A log of so many transactions over a state that stays about as large."""
    graph = kb.graph_iri("notes")

    def made(number: int) -> list[ox.Triple]:
        return [
            ox.Triple(ox.NamedNode(f"{graph}/{number}"), RDFS.comment, ox.Literal(f"note {number} {n}"))
            for n in range(PER_COMMIT)
        ]

    for number in range(commits):
        kb.commit("notes", made(number), made(number - HELD) if number >= HELD else [])


def timed(kb: KnowledgeBase, tx: int) -> float:
    """Milliseconds of the asserted state as of a transaction, median of three."""
    assert kb.kernel is not None
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        history.state_at(kb.kernel, tx, derive=False)
        taken.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(taken), 1)


def measure(commits: int) -> dict[str, object]:
    """One size of log."""
    with tempfile.TemporaryDirectory() as folder, engine.open(Path(folder) / "kb") as kb:
        fill(kb, commits)
        assert kb.kernel is not None
        assert kb.home is not None
        head = kb.kernel.log.head_tx()
        back = [b for b in (100, 500, 1000, 2000, 4000, head - 10) if b < head]
        without = {b: timed(kb, head - b) for b in back}
        kept = Snapshots(kb.home)
        started = time.perf_counter()
        kept.make_due()
        making = time.perf_counter() - started
        size = sum(kept.path(tx).stat().st_size for tx in kept.kept())
        return {
            "transactions": head, "every": snapshots.EVERY, "snapshots": len(kept.kept()), "bytes": size,
            "makeAllSeconds": round(making, 2), "logBytes": (kb.home / "log.sqlite").stat().st_size,
            "backMs": {str(b): {"fromNow": without[b], "fromSnapshot": timed(kb, head - b)} for b in back},
        }  # fmt: skip


def main() -> None:
    """Run at the sizes given."""
    rows = []
    for commits in [int(x) for x in sys.argv[1:]] or [2000, 8000]:
        rows.append(measure(commits))
        print(json.dumps(rows[-1]), flush=True)
    target = Path(__file__).parent / "results" / "history.json"
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
