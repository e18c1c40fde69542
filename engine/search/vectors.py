"""The vector index: the one home of FAISS. A view of texts and their vectors; it can be dropped and is made anew.

Up to `FLAT` vectors every one is compared (exact); above, a navigable graph (HNSW) finds nearly all of the nearest in a
fraction of the time. https://github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import NotAvailableError
from engine.search.embed import REMEDY
from engine.search.index_file import put

if TYPE_CHECKING:
    from engine.search.embed import Vectors

FLAT = 50_000
LINKS, BUILD, LOOK = 32, 100, 128  # HNSW: links a node, candidates while building and while searching


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise NotAvailableError("not available: faiss, for searching by meaning", remedy=REMEDY) from error
    return faiss


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """An index over unit vectors; positions are those of the texts it was built from."""

    kind: str
    native: Any

    def __len__(self) -> int:
        return int(self.native.ntotal)

    def nearest(self, query: Vectors, count: int, among: Sequence[int] | None = None) -> list[list[tuple[int, float]]]:
        """For each row of `query`, (position, cosine) of the `count` nearest, `among` these positions when given."""
        import numpy as np

        faiss = _faiss()
        count = min(count, len(self) if among is None else len(among))
        if count == 0:
            return [[] for _ in query]
        chosen = None if among is None else faiss.IDSelectorBatch(np.asarray(sorted(among), dtype=np.int64))
        if self.kind == "HNSW":
            params = faiss.SearchParametersHNSW(sel=chosen, efSearch=max(LOOK, 2 * count))
        else:
            params = faiss.SearchParameters(sel=chosen)
        scores, places = self.native.search(np.ascontiguousarray(query, dtype=np.float32), count, params=params)
        return [
            [(int(p), float(s)) for p, s in zip(row, found, strict=True) if p >= 0]
            for row, found in zip(places, scores, strict=True)
        ]


def build(matrix: Vectors, *, flat: int = FLAT) -> VectorIndex:
    """An index over the rows of `matrix`. The same rows give the same index."""
    import numpy as np

    faiss = _faiss()
    width = matrix.shape[1]
    if len(matrix) <= flat:
        kind, native = "flat", faiss.IndexFlatIP(width)
        native.add(np.ascontiguousarray(matrix))
        return VectorIndex(kind, native)
    kind, native = "HNSW", faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
    native.hnsw.efConstruction = BUILD
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # the graph depends on the order in which threads link it
    try:
        native.add(np.ascontiguousarray(matrix))
    finally:
        faiss.omp_set_num_threads(threads)
    return VectorIndex(kind, native)


def stored(folder: Path, matrix: Vectors, *, flat: int = FLAT) -> VectorIndex:
    """The index over `matrix` that `folder` keeps, or a new one that is kept there.

    `vectors.json` names the vectors it was built from and its own SHA-256; where either differs it is built anew.
    """
    import numpy as np

    faiss = _faiss()
    path, told = folder / "vectors.faiss", folder / "vectors.json"
    wanted = hashlib.sha256(np.ascontiguousarray(matrix).tobytes()).hexdigest()
    try:
        note = json.loads(told.read_text(encoding="utf-8"))
        data = path.read_bytes()
        if note["of"] == wanted and note["digest"] == hashlib.sha256(data).hexdigest():
            return VectorIndex(note["kind"], faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8)))
    except (OSError, ValueError, KeyError, RuntimeError):
        pass  # none there, or not to be trusted: it is only a view
    made = build(matrix, flat=flat)
    data = faiss.serialize_index(made.native).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    put(path, data)
    note = {"of": wanted, "digest": hashlib.sha256(data).hexdigest(), "kind": made.kind, "count": len(made)}
    put(told, (json.dumps(note, indent=2) + "\n").encode())
    return made
