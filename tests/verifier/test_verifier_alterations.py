"""Whatever is changed in a proof file, the verifier notices; whatever is thrown at it, it answers."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import verifier

HEX = "0123456789abcdef"
Place = tuple[Any, ...]


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every text, number and null of a JSON value, with its way."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*at, index))
    else:
        yield at, value


def put(file: Any, at: Place, value: Any) -> Any:
    changed = copy.deepcopy(file)
    inside = changed
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = value
    return changed


def other(value: Any, index: int) -> Any:
    """The value with one of its characters or bits changed."""
    if isinstance(value, str):
        if not value:
            return "x"
        index %= len(value)
        old = value[index]
        new = HEX[(HEX.index(old) + 1 + index % 14) % 16] if old in HEX else "x" if old != "x" else "y"
        return value[:index] + new + value[index + 1 :]
    if isinstance(value, bool) or value is None:
        return 0
    return value ^ (1 << index % 8)


FREE = {("anchors", 0, "chainId")}
"""What only a node can contradict: the number of the chain."""


@pytest.mark.parametrize(
    "kind", ["inclusion", "absence", "history", "owner-history", "owner-past", "private", "unanchored"]
)
def test_altered_field_is_noticed(kinds: dict[str, Any], rpc: Any, kind: str, effort: int) -> None:
    file = kinds[kind]
    assert verifier.verify(file).holds
    chance = random.Random(kind)
    places = list(leaves(file))
    for at, value in places:
        if kind == "absence" and "pattern" in at:
            continue  # what else is not there is not there: another truth, with the same neighbour
        for _ in range(effort):
            changed = put(file, at, other(value, chance.randrange(1 << 16)))
            if at in FREE:
                assert not verifier.verify(changed, rpc).holds, at
            else:
                assert not verifier.verify(changed).holds, (at, value)


def test_every_byte_of_a_file_matters(kinds: dict[str, Any], effort: int) -> None:
    """Each byte of the text, not only each field: one replaced by another that keeps it a text."""
    free = json.dumps(kinds["owner"]["anchors"][0]["chainId"]).encode()
    text = json.dumps(kinds["owner"], separators=(",", ":")).encode()
    at_chain = text.index(b'"chainId":' + free) + len(b'"chainId":')
    chance = random.Random(1)
    step = max(1, 16 // effort)
    for index in range(0, len(text), step):
        at = min(len(text) - 1, index + chance.randrange(step))
        if at_chain <= at < at_chain + len(free):
            continue
        new = chance.choice([c for c in b'0123456789abcdefx "[]{}:,' if c != text[at]])
        assert not verifier.verify(text[:at] + bytes([new]) + text[at + 1 :]).holds, text[max(0, at - 60) : at + 20]


def test_left_out_or_doubled_items_are_noticed(kinds: dict[str, Any]) -> None:
    for kind in ("inclusion", "history", "owner", "private"):
        file = kinds[kind]
        lists = [(at[:-1]) for at, _ in leaves(file) if isinstance(at[-1], int)]
        for at in dict.fromkeys(lists):
            inside = file
            for key in at:
                inside = inside[key]
            if at in (("sets",), ("extends",)) or at[-1] == "storage" or (at and at[-1] == "pattern"):
                continue  # a proof of less is a proof; what storage lacks is asked of a node
            assert not verifier.verify(put(file, at, inside[:-1])).holds, at
            assert not verifier.verify(put(file, at, [*inside, inside[-1]])).holds or at == ("heads",), at


def test_head_of_another_owner_is_refused(kinds: dict[str, Any], world: Any) -> None:
    """A node that signs for a graph that is not its own proves nothing about it."""
    file = copy.deepcopy(kinds["owner"])
    file["heads"][0]["genesis"]["owner"] = world.kb.author
    assert not verifier.verify(file).holds
    mine = copy.deepcopy(kinds["inclusion"])
    mine["heads"][0]["graph"] = mine["heads"][0]["graph"].replace(world.kb.author, world.other)
    mine["sets"][0]["proof"]["graph"] = mine["heads"][0]["graph"]
    assert not verifier.verify(mine).holds


def test_malleable_signature_is_refused(kinds: dict[str, Any]) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    file = copy.deepcopy(kinds["inclusion"])
    seal = bytes.fromhex(file["heads"][0]["seal"]["signature"])
    s = order - int.from_bytes(seal[32:64], "big")
    file["heads"][0]["seal"]["signature"] = (seal[:32] + s.to_bytes(32, "big") + bytes([seal[64] ^ 1])).hex()
    assert not verifier.verify(file).holds


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=20,
)  # fmt: skip


@given(st.data())
def test_hostile_value_anywhere_is_answered(kinds: dict[str, Any], data: st.DataObject) -> None:
    file = kinds[data.draw(st.sampled_from(sorted(kinds)))]
    places = [at for at, _ in leaves(file)]
    place = data.draw(st.sampled_from(places))
    cut = data.draw(st.integers(1, len(place)))
    try:
        changed = put(file, place[:cut], data.draw(json_values))
    except (TypeError, KeyError):
        return
    assert verifier.verify(changed).checks


@given(st.binary(max_size=400) | st.text(max_size=400))
def test_hostile_bytes_are_answered(body: bytes | str) -> None:
    report = verifier.verify(body)
    assert not report.holds


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000, b'{"format":' * 50_000, b"\xff\xfe", b"\xef\xbb\xbf{}", b"NaN", b"1" * 10_000, b'"\\ud800"', b"",
        b'{"format":"dappops-proof-2","heads":[],"sets":[],"extends":[],"anchors":[],"checkpoints":[],"answer":null}',
    ],
)  # fmt: skip
def test_hostile_document_is_answered(body: bytes) -> None:
    report = verifier.verify(body)
    assert not report.holds
    assert len(report.text()) < 2000


def test_report_shows_nothing_a_terminal_obeys(kinds: dict[str, Any]) -> None:
    file = copy.deepcopy(kinds["inclusion"])
    file["sets"][0]["proof"]["lines"][0] = "\x1b[2J\u202e evil ."
    assert "\x1b" not in verifier.verify(file).text()
    assert "\u202e" not in verifier.verify(file).text()


# -- the command -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def issued(kinds: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("issued") / "proof.json"
    path.write_text(json.dumps(kinds["inclusion"]), encoding="utf-8")
    return path


def command(repo: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m verifier` in an empty folder, with nothing of the engine or the reasoners to be found."""
    guard = (
        "import sys, runpy\n"
        "class Guard:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('engine', 'reasoners', 'rdflib', 'web3', 'eth'):\n"
        "            raise ImportError('the verifier stands alone: ' + name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        f"sys.path.insert(0, {str(repo)!r})\n"
        f"sys.argv = ['dappops-verify', *{[str(a) for a in arguments]!r}]\n"
        "runpy.run_module('verifier', run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", guard], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_command_says_0_1_or_2(repo: Path, issued: Path, tmp_path: Path) -> None:
    done = command(repo, tmp_path, issued)
    assert done.returncode == 0, done.stderr
    assert "The proof holds." in done.stdout
    assert "What had to be believed:" in done.stdout
    body = bytearray(issued.read_bytes())
    body[body.index(b"setRoot") + 12] ^= 1
    (tmp_path / "altered.json").write_bytes(body)
    done = command(repo, tmp_path, "altered.json")
    assert done.returncode == 1, done.stderr
    assert "does NOT hold" in done.stdout
    assert command(repo, tmp_path, "missing.json").returncode == 2
    assert command(repo, tmp_path, issued, "--trust", "me").returncode == 2
    told = command(repo, tmp_path, issued, "--json", "--rpc", "http://127.0.0.1:9/")
    assert told.returncode == 1
    assert "the node does not say so" in told.stdout
    assert json.loads(told.stdout)["holds"] is False
