"""Rows of serialised answers, counted in pieces, are as many as there were, wherever the pieces are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.replicas.counting import COUNTERS, LEAST, Json, Xml
from engine.replicas.evaluation import ROWS

NASTY = st.text(st.sampled_from('ab"\\{}[],:<>&\n\r\t '), max_size=12)
TERMS = st.one_of(NASTY.map(ox.Literal), st.just(ox.NamedNode("http://e/x")), st.just(ox.BlankNode("b1")), st.none())


def answers(rows: list[tuple[object, object]]) -> ox.QuerySolutions:
    """A real answer with these rows."""
    store = ox.Store()
    cells = " ".join(
        "(" + " ".join("UNDEF" if t is None or isinstance(t, ox.BlankNode) else str(t) for t in r) + ")" for r in rows
    )
    found = store.query(f"SELECT ?x ?y WHERE {{ VALUES (?x ?y) {{ {cells} }} }}")
    assert isinstance(found, ox.QuerySolutions)
    return found


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(body), *(c % (len(body) + 1) for c in cuts)})
    return [body[a:b] for a, b in pairwise(marks)]


@pytest.mark.parametrize("name", sorted(COUNTERS))
@given(rows=st.lists(st.tuples(TERMS, TERMS), max_size=6), cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_rows_are_counted_exactly_however_an_answer_is_cut(
    name: str, rows: list[tuple[object, object]], cuts: list[int]
) -> None:
    body = answers(rows).serialize(format=ROWS[name])
    assert body is not None
    counter = COUNTERS[name]()
    for piece in pieces(body, cuts):
        counter.take(piece)
    assert counter.rows == len(rows)
    assert len(body) >= LEAST[name] * len(rows), "fewer bytes than the least would let a row go uncounted"


@given(
    rows=st.lists(st.tuples(TERMS, TERMS), max_size=4), cut=st.integers(0, 10_000), indent=st.sampled_from([None, 1])
)
def test_an_answer_in_json_or_xml_is_whole_only_with_its_last_byte(
    rows: list[tuple[object, object]], cut: int, indent: int | None
) -> None:
    body = answers(rows).serialize(format=ROWS["json"])
    assert body is not None
    body = json.dumps(json.loads(body), indent=indent).encode()
    whole, part = Json(), Json()
    whole.take(body)
    part.take(body[: cut % len(body)])
    assert whole.whole
    assert whole.rows == len(rows)
    assert not part.whole
    xml = answers(rows).serialize(format=ROWS["xml"])
    assert xml is not None
    whole_xml, part_xml = Xml(), Xml()
    whole_xml.take(xml)
    part_xml.take(xml[: cut % len(xml)])
    assert whole_xml.whole
    assert not part_xml.whole
