"""How fast texts are embedded, how fast FAISS finds the nearest against comparing all, and what it misses.

`python benchmarks/search.py [--quick]` writes benchmarks/results/search.json. Real texts where this machine has a package
list, and clustered random unit vectors of the same width at sizes beyond it: recall@10 of the flat index and of the HNSW
graph against exhaustive numpy, time a query, time to build. One query at a time, one thread for each.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.errors import NotAvailableError  # noqa: E402
from engine.search import embed, vectors  # noqa: E402
from engine.search.index_file import write  # noqa: E402
from engine.search.packages import read_list  # noqa: E402
from engine.search.searcher import Searcher  # noqa: E402

Vectors = npt.NDArray[np.float32]
NEEDS = (
    "stabilise shaky video",
    "relay WebRTC media",
    "object storage server",
    "time series monitoring",
    "blockchain node",
)


def embedding(count: int | None) -> dict[str, Any]:
    """The package list, selected and embedded; then a first and a later search."""
    begun = time.perf_counter()
    source, components = read_list()
    read = time.perf_counter() - begun
    components = components[:count]
    with tempfile.TemporaryDirectory() as folder:
        made = Searcher(Path(folder))
        index = write(made.folder, source, components, now=datetime.now(UTC))
        embed.encode(["the model is loaded before time is taken"])
        begun, cpu = time.perf_counter(), time.process_time()
        embed.vectors([c.description for c in components], made.folder)
        wall, spent = time.perf_counter() - begun, time.process_time() - cpu
        texts = len({c.description for c in components})
        size = sum(p.stat().st_size for p in Path(folder).glob("components-*"))
        made.ready(now=datetime.now(UTC))
        begun = time.perf_counter()
        again = Searcher(made.folder)
        again.ready(now=datetime.now(UTC))
        ready = time.perf_counter() - begun
        made.find([["warm up"]], 10)
        begun = time.perf_counter()
        for need in NEEDS:
            made.find([[need]], 10)
        search = (time.perf_counter() - begun) / len(NEEDS)
    return {
        "source": index.source.label, "components": len(components), "texts": texts, "list_read_s": round(read, 2),
        "index_bytes": size, "embed_s": round(wall, 1), "texts_per_s": round(texts / wall, 1),
        "texts_per_cpu_s": round(texts / spent, 1), "ready_again_s": round(ready, 2), "search_new_need_ms": round(1000 * search, 1),
    }  # fmt: skip


def clustered(count: int, seed: int) -> Vectors:
    """Unit vectors around a few hundred centres, as meanings lie, not evenly around the sphere."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(300, embed.WIDTH))
    rows = centres[rng.integers(0, 300, count)] + 0.9 * rng.normal(size=(count, embed.WIDTH))
    out: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return out


def timed(ask: Callable[[Vectors], list[int]], queries: Vectors) -> tuple[list[list[int]], float]:
    """Answers, and milliseconds a query."""
    ask(queries[0])
    begun = time.perf_counter()
    found = [ask(query) for query in queries]
    return found, 1000 * (time.perf_counter() - begun) / len(queries)


def nearest(count: int, queries: int) -> dict[str, Any]:
    """Both kinds of index against comparing all, at one size."""
    import faiss

    faiss.omp_set_num_threads(1)
    matrix, asked = clustered(count, 1), clustered(queries, 2)

    def exhaustive(query: Vectors) -> list[int]:
        scores = matrix @ query
        best = np.argpartition(-scores, 10)[:10]
        return [int(i) for i in best[np.argsort(-scores[best])]]

    truth, plain = timed(exhaustive, asked)
    row: dict[str, Any] = {"vectors": count, "numpy_ms": round(plain, 3)}
    for kind, flat in (("flat", count), ("hnsw", 0)):
        begun = time.perf_counter()
        index = vectors.build(matrix, flat=flat)
        build = time.perf_counter() - begun
        found, each = timed(lambda q, index=index: [p for p, _ in index.nearest(q[None, :], 10)[0]], asked)
        right = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
        row[kind] = {"ms": round(each, 3), "recall_at_10": round(right / (10 * queries), 4), "build_s": round(build, 2)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few hundred texts, up to 10,000 vectors")
    quick = parser.parse_args().quick
    try:
        texts: dict[str, Any] = embedding(300 if quick else None)
    except NotAvailableError as error:
        texts = {"not_available": error.message}
    sizes = (1_000, 10_000) if quick else (4_000, 20_000, 60_000)
    result = {
        "benchmark": "search",
        "quick": quick,
        "python": platform.python_version(),
        "faiss": version("faiss-cpu"),
        "embedding": texts,
        "nearest": [nearest(n, 50 if quick else 200) for n in sizes],
    }
    out = ROOT / "benchmarks/results/search.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
