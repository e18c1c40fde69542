"""A parsed query that was kept is the query that was parsed; what was tampered with is parsed anew."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import cache
from engine.errors import IntegrityError
from reasoners.sparql import algebra, packed


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[cache.Files]:
    """A memory of this test's own, with nothing parsed before."""
    before, files = algebra._memory, cache.Files(tmp_path / "queries")
    algebra.remember(files)
    algebra.parse.cache_clear()
    yield files
    algebra.remember(before)
    algebra.parse.cache_clear()


def same(one: Any, two: Any) -> bool:
    """Whether two trees are equal, the attributes that hide entries included."""
    from rdflib.paths import Path as Property

    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        hidden = [{k: v for k, v in vars(x).items() if k not in ("_evalfn", "ctx")} if hasattr(x, "name") else {}
                  for x in (one, two)]  # fmt: skip
        if hidden[0].keys() != hidden[1].keys() or not all(same(hidden[0][k], hidden[1][k]) for k in hidden[0]):
            return False
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one.n3() == two.n3() if isinstance(one, Property) else bool(one == two)


def test_tree_is_the_same_when_it_was_kept(repo: Path, kept: cache.Files) -> None:
    texts = [p.read_text(encoding="utf-8") for p in sorted((repo / "queries").glob("*/*.rq"))]
    texts = [t for t in texts if not t.lower().lstrip().startswith("insert")]
    assert len(texts) > 150
    first = [algebra.parse(text) for text in texts]
    algebra.parse.cache_clear()
    assert all(kept.get(text) is not None for text in texts)
    assert all(same(one, algebra.parse(text)) for one, text in zip(first, texts, strict=True))


@pytest.mark.parametrize("damage", [b"", b"\x80\x05.", pickle.dumps(eval), b"cos\nsystem\n(S'true'\ntR."])
def test_query_is_parsed_anew_when_what_was_kept_is_damaged(kept: cache.Files, damage: bytes) -> None:
    text = "SELECT ?s WHERE { ?s a <urn:x> FILTER NOT EXISTS { ?s <urn:p>/<urn:q> ?o } }"
    algebra.parse(text)
    kept._path(text).write_bytes(damage)
    algebra.parse.cache_clear()
    if damage == b"\x80\x05.":
        with pytest.raises(IntegrityError):
            packed.unpack(damage)
    assert same(algebra.parse(text), algebra._parsed(text))


def test_nothing_fails_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    files = cache.Files(tmp_path / "file" / "queries")
    files.put("text", b"data")
    assert files.get("text") is None


def test_folder_is_bounded_when_many_queries_were_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 10)
    files = cache.Files(tmp_path)
    for n in range(20):
        (tmp_path / f"old{n}").write_bytes(b"x")
    files.put("text", b"data")
    assert files.get("text") == b"data"
    assert len(list(tmp_path.iterdir())) == 11


def test_no_folder_is_used_when_the_cache_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAPPOPS_CACHE", "off")
    assert cache.folder() is None
    monkeypatch.setenv("DAPPOPS_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path / "queries"
