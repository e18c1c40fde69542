"""The index file and the vector index: reused when whole, told or made anew when not."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_data import NOW, SOURCE, components, stored_index

from engine.errors import IntegrityError
from engine.search import index_file, vectors

np = pytest.importorskip("numpy", reason="numpy is not installed")


def test_index_is_read_back_when_it_was_written(tmp_path: Path) -> None:
    made = stored_index(tmp_path)
    assert index_file.load(tmp_path) == made
    assert made.source == SOURCE
    assert [c.name for c in made.components] == sorted(c.name for c in components())
    assert made.as_json()["digest"] == f"sha256:{made.digest}"


def test_same_bytes_are_written_when_the_components_are_the_same(tmp_path: Path) -> None:
    one, other = stored_index(tmp_path / "a"), stored_index(tmp_path / "b", list(reversed(components())))
    assert one.digest == other.digest
    fewer = stored_index(tmp_path / "a", components()[1:])
    assert fewer.digest != one.digest
    assert len(list((tmp_path / "a").glob("components-*"))) == 1, "the file before is removed"


def test_stored_index_is_used_when_there_is_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    none, reason = index_file.obtain(tmp_path / "search", now=NOW)
    assert none is None
    assert reason.startswith("not available: apt")
    made = stored_index(tmp_path / "search")
    assert index_file.obtain(tmp_path / "search", now=NOW) == (made, "")
    kept, why = index_file.obtain(tmp_path / "search", now=NOW, refresh=True)
    assert kept == made, "what is there stays where a new list cannot be had"
    assert why.startswith("not available")


@pytest.mark.parametrize("harm", ["bytes", "manifest"])
def test_change_is_told_when_the_stored_index_was_touched(
    tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_index(tmp_path)
    path = next(tmp_path.glob("components-*")) if harm == "bytes" else tmp_path / "index.json"
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    with pytest.raises(IntegrityError) as caught:
        index_file.load(tmp_path)
    assert "--refresh" in caught.value.remedy
    monkeypatch.setenv("PATH", str(tmp_path))
    assert index_file.obtain(tmp_path, now=NOW, refresh=True)[0] is None, (
        "asked for a new one, the broken one is no obstacle"
    )


def unit_vectors(count: int, seed: int = 3) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def exhaustive(matrix: np.ndarray, query: np.ndarray, count: int) -> list[list[int]]:
    return [list(map(int, np.argsort(-row)[:count])) for row in query @ matrix.T]


def test_nearest_are_exact_when_the_index_is_flat() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    matrix, query = unit_vectors(500), unit_vectors(5, seed=4)
    index = vectors.build(matrix)
    assert index.kind == "flat"
    assert [[p for p, _ in row] for row in index.nearest(query, 10)] == exhaustive(matrix, query, 10)
    some = [3, 5, 80, 400]
    found = index.nearest(query, 10, among=some)
    assert [sorted(p for p, _ in row) for row in found] == [some] * 5
    assert index.nearest(query, 10, among=[]) == [[]] * 5


def test_most_of_the_nearest_are_found_when_the_index_is_a_graph() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    matrix, query = unit_vectors(2000), unit_vectors(20, seed=4)
    index = vectors.build(matrix, flat=100)
    assert index.kind == "HNSW"
    found = [[p for p, _ in row] for row in index.nearest(query, 10)]
    right = sum(len(set(a) & set(b)) for a, b in zip(found, exhaustive(matrix, query, 10), strict=True))
    assert right / 200 >= 0.95
    assert found == [[p for p, _ in row] for row in vectors.build(matrix, flat=100).nearest(query, 10)]
    (only,) = index.nearest(query[:1], 10, among=range(50))
    assert {p for p, _ in only} <= set(range(50))
    assert only


def test_vector_index_is_kept_and_made_anew_when_it_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    matrix, query = unit_vectors(50), unit_vectors(1, seed=4)
    first = vectors.stored(tmp_path, matrix).nearest(query, 3)
    path = tmp_path / "vectors.faiss"
    stamp = path.stat().st_mtime_ns
    assert vectors.stored(tmp_path, matrix).nearest(query, 3) == first
    assert path.stat().st_mtime_ns == stamp, "reused"
    path.write_bytes(b"nonsense")
    assert vectors.stored(tmp_path, matrix).nearest(query, 3) == first
    assert len(vectors.stored(tmp_path, matrix[:20])) == 20
    path.unlink()
    assert len(vectors.stored(tmp_path, matrix[:20])) == 20
