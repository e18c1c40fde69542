"""The map tree of a batch: one root for one content, a way for each graph, none for another head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.hashing import keccak256
from engine.ledger.anchoring.batch import EMPTY, Batch, root_of

heads = st.dictionaries(st.text(min_size=1, max_size=12), st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


@given(heads, st.randoms())
def test_batch_root_depends_on_its_content_alone(content: dict[str, bytes], chance: object) -> None:
    items = list(content.items())
    chance.shuffle(items)  # type: ignore[attr-defined]
    assert Batch(dict(items)).root == Batch(content).root


@given(heads)
def test_path_leads_to_the_root_from_the_right_head_only(content: dict[str, bytes]) -> None:
    batch = Batch(content)
    for graph, head in content.items():
        path = batch.path(graph)
        assert root_of(graph, head, path) == batch.root
        assert root_of(graph, keccak256(head), path) != batch.root
        assert root_of(graph + "x", head, path) != batch.root
        assert [bit for bit, _ in path] == sorted({bit for bit, _ in path})


@given(heads, st.text(min_size=1, max_size=12), st.binary(min_size=32, max_size=32))
def test_batch_roots_differ_when_the_content_does(content: dict[str, bytes], graph: str, head: bytes) -> None:
    changed = {**content, graph: head}
    assert (Batch(changed).root == Batch(content).root) == (changed == content)


def test_batch_of_nothing_has_its_own_root_and_no_paths() -> None:
    assert Batch({}).root == EMPTY
    with pytest.raises(InputError, match="not in this batch"):
        Batch({}).path("a")
