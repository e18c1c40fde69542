"""A parser is not given what could overflow its stack, whatever the process's recursion limit is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalogue.nesting import too_deep
from engine.catalogue.rdf_files import read_file
from engine.errors import InputError


def depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(
    st.recursive(
        st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
    )
)
def test_depth_is_that_of_the_value_when_strings_hold_brackets(value: object) -> None:
    text = json.dumps(value)
    assert not too_deep(text, depth(value))
    assert too_deep(text, depth(value) - 1) == (depth(value) > 0)


def test_deep_document_is_refused_when_a_library_raised_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonld"
    path.write_text("[" * 300_000)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(InputError, match="too deeply"):
            list(read_file(path, graph="https://w3id.org/dappops/g/0x" + "1" * 40 + "/main"))
    finally:
        sys.setrecursionlimit(before)
