"""Proofs: what is there can be shown complete, what is not can be shown absent, and nothing else can be shown."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError, IntegrityError
from engine.graph import tree as tree_module
from engine.graph.hashing import keccak256
from engine.graph.leaves import Leaf, prefix_of
from engine.graph.proofs import Pattern, Proof, check, verify
from engine.graph.terms import triple_line
from engine.graph.tree import MerkleTree, leaf_of

GRAPH = "https://w3id.org/dappops/g/0x00/test"
SALT = bytes(range(32))


def triple(s: int, p: int, o: int) -> ox.Triple:
    subject = ox.BlankNode(f"b{s:040x}") if s % 5 == 0 else ox.NamedNode(f"urn:s{s}")
    return ox.Triple(subject, ox.NamedNode(f"urn:p{p}"), ox.Literal(f"v {o} .") if o % 2 else ox.NamedNode(f"urn:o{o}"))


def tree_of(triples: list[ox.Triple], salt: bytes | None = None) -> MerkleTree:
    tree = MerkleTree(sqlite3.connect(":memory:", isolation_level=None), GRAPH, salt, cache_pages=2)
    tree.apply([leaf_of(t, salt) for t in triples], [])
    tree.save(1)
    return tree


def matches(triples: list[ox.Triple], pattern: Pattern) -> list[ox.Triple]:
    return [
        t
        for t in triples
        if all(
            want in (None, str(have)) for want, have in zip(pattern, (t.subject, t.predicate, t.object), strict=True)
        )
    ]


def pattern_for(t: ox.Triple, depth: int) -> Pattern:
    terms = [str(t.subject), str(t.predicate), str(t.object)]
    return tuple(term if i < depth else None for i, term in enumerate(terms))  # type: ignore[return-value]


def random_triples(rng: random.Random, size: int) -> list[ox.Triple]:
    return list({triple(rng.randrange(8), rng.randrange(3), rng.randrange(20)) for _ in range(size)})


@given(st.integers(0, 2**32), st.integers(0, 80), st.booleans(), st.sampled_from([3, 64]))
def test_proof_holds_and_is_complete_when_pattern_has_matches_or_none(
    seed: int, size: int, private: bool, page: int
) -> None:
    rng = random.Random(seed)
    whole, tree_module.PAGE = tree_module.PAGE, page
    try:
        triples = random_triples(rng, size)
        tree = tree_of(triples, SALT if private else None)
        for _ in range(8):
            target = triple(rng.randrange(11), rng.randrange(4), rng.randrange(22))
            pattern = pattern_for(target, rng.randrange(4))
            expected = matches(triples, pattern)
            proof = tree.prove(pattern, expected)
            assert {*proof.lines} == {triple_line(t) for t in expected}
            check(proof, tree.root)
            data = json.loads(json.dumps(proof.to_json()))
            assert Proof.from_json(data) == proof
            assert verify(data, tree.root)
            assert not verify(data, rng.randbytes(32))
    finally:
        tree_module.PAGE = whole


@given(st.integers(0, 2**32), st.integers(2, 60), st.booleans())
def test_proof_fails_when_a_match_is_left_out_or_made_up(seed: int, size: int, private: bool) -> None:
    rng = random.Random(seed)
    triples = random_triples(rng, size)
    tree = tree_of(triples, SALT if private else None)
    pattern = pattern_for(rng.choice(triples), rng.choice([0, 1, 2]))
    proof = tree.prove(pattern, matches(triples, pattern))
    for i in range(len(proof.lines)):
        lines = proof.lines[:i] + proof.lines[i + 1 :]
        salts = proof.salts[:i] + proof.salts[i + 1 :]
        assert not verify(dataclasses.replace(proof, lines=lines, salts=salts), tree.root)
    extra = triple_line(triple(99, 0, 1))
    salts = (*proof.salts, bytes(32)) if private else ()
    assert not verify(dataclasses.replace(proof, lines=(*proof.lines, extra), salts=salts), tree.root)


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_no_leaf_witnesses_absence_when_a_match_exists(seed: int, size: int) -> None:
    """A cheating prover with the whole tree: every leaf as witness, with every part of its true way to the root."""
    rng = random.Random(seed)
    triples = random_triples(rng, size)
    tree = tree_of(triples)
    present = rng.choice(triples)
    pattern = pattern_for(present, rng.choice([1, 2, 3]))
    for other in triples:
        own = tree.prove(pattern_for(other, 3), [other])
        forged = Proof(GRAPH, pattern, siblings=own.siblings, witness=leaf_of(other))
        assert not verify(forged, tree.root)
    missing = pattern_for(triple(99, 0, 0), 3)
    absent = tree.prove(missing, [])
    assert verify(absent, tree.root)
    assert not verify(dataclasses.replace(absent, pattern=pattern), tree.root)


@given(st.integers(0, 2**32), st.booleans(), st.integers(0, 3))
def test_other_subtree_cannot_stand_for_the_pattern_when_smaller(seed: int, private: bool, depth: int) -> None:
    """A proof for (s, p, o) or (s, p, *) shows a part of (s, *, *): relabelled, it must not pass for the whole."""
    rng = random.Random(seed)
    salt = SALT if private else None
    triples = [triple(1, p, o) for p in range(2) for o in range(3)] + random_triples(rng, 10)
    triples = list(dict.fromkeys(triples))
    tree = tree_of(triples, salt)
    narrow = pattern_for(triples[0], depth)
    proof = tree.prove(narrow, matches(triples, narrow))
    for wide_depth in range(depth):
        wide = pattern_for(triples[0], wide_depth)
        if matches(triples, wide) != matches(triples, narrow):
            assert not verify(dataclasses.replace(proof, pattern=wide), tree.root)


def mutations(value: object, rng: random.Random) -> list[object]:
    """All values that differ from a JSON value in one place."""
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        changed = [
            value + " ",
            value.upper(),
            value[:at] + "x" + value[at:],
            value[:-1],
            value[: at - 1] + value[at:],
            "",
        ]
        if value:
            at = rng.randrange(len(value))
            changed.append(value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :])
        return [x for x in {*changed, None, 7} if x != value]
    if isinstance(value, bool) or value is None:
        return ["<urn:x>", ["00" * 32, "00" * 32], 0]
    if isinstance(value, int):
        return [value + 1, value - 1, value + 256, -value - 1, str(value), float(value), None, True]
    if isinstance(value, list):
        result: list[object] = [None, {}]
        for i, item in enumerate(value):
            result += [[*value[:i], x, *value[i + 1 :]] for x in mutations(item, rng)]
            result.append(value[:i] + value[i + 1 :])
            result.append([*value[: i + 1], *value[i:]])
            if i and value[i - 1] != item:
                result.append([*value[: i - 1], item, value[i - 1], *value[i + 1 :]])
        result.append([*value, "00" * 32])
        return result
    if isinstance(value, dict):
        result = []
        for key, item in value.items():
            result += [{**value, key: x} for x in mutations(item, rng)]
            result.append({k: x for k, x in value.items() if k != key})
        result.append({**value, "more": 1})
        return result
    raise TypeError(value)


def equal_bits(a: object, b: object) -> bool:
    return json.dumps(a) == json.dumps(b)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("size", [0, 1, 25])
def test_proof_fails_when_any_single_thing_in_it_changes(size: int, private: bool) -> None:
    rng = random.Random(size)
    triples = [triple(1, p, o) for p in range(2) for o in range(2)][:size] + (
        random_triples(rng, size) if size > 1 else []
    )
    triples = list(dict.fromkeys(triples))
    tree = tree_of(triples, SALT if private else None)
    count = 0
    for target, depth in (
        (triple(1, 0, 0), 1),
        (triple(1, 0, 0), 2),
        (triple(1, 0, 0), 3),
        (triple(77, 0, 0), 3),
        (triple(1, 9, 0), 2),
    ):
        pattern = pattern_for(target, depth)
        data = tree.prove(pattern, matches(triples, pattern)).to_json()
        assert verify(data, tree.root)
        for changed in mutations(copy.deepcopy(data), rng):
            assert not equal_bits(changed, data)
            if isinstance(changed, dict) and not _still_true(changed, data, triples):
                assert not verify(changed, tree.root), changed
                count += 1
    assert count > 100


def _still_true(changed: dict[str, object], data: dict[str, object], triples: list[ox.Triple]) -> bool:
    """A changed pattern may be another true statement that the same parts prove, e.g. about another absent triple."""
    same = all(changed.get(key) == data[key] for key in data if key != "pattern") and set(changed) == set(data)
    pattern = changed.get("pattern")
    if not same or not isinstance(pattern, list) or len(pattern) != 3:
        return False
    if not all(x is None or isinstance(x, str) for x in pattern):
        return False
    if prefix_of(*pattern) is None:
        return False
    return {triple_line(t) for t in matches(triples, (pattern[0], pattern[1], pattern[2]))} == set(data["lines"])  # type: ignore[call-overload]


def test_absence_fails_when_shown_for_another_graph() -> None:
    tree = tree_of([triple(1, 1, 1)])
    absent = tree.prove(pattern_for(triple(2, 2, 2), 3), [])
    assert verify(absent, tree.root)
    assert not verify(dataclasses.replace(absent, graph="urn:other"), tree.root)
    empty = tree_of([])
    nothing = empty.prove((None, None, None), [])
    assert verify(nothing, empty.root)
    assert not verify(dataclasses.replace(nothing, graph="urn:other"), empty.root)


def test_proving_is_refused_when_the_pattern_is_no_subtree() -> None:
    tree = tree_of([triple(1, 1, 1)])
    for pattern in ((None, "<urn:p1>", None), (None, None, "<urn:o2>"), ("<urn:s1>", None, "<urn:o2>")):
        with pytest.raises(InputError, match="no proof can show"):
            tree.prove(pattern, [])
        assert not verify(Proof(GRAPH, pattern), tree.root)


def test_proving_is_refused_when_store_and_tree_disagree() -> None:
    triples = [triple(1, p, o) for p in range(2) for o in range(4)]
    tree = tree_of(triples)
    with pytest.raises(IntegrityError, match="hash tree"):
        tree.prove((None, None, None), triples[1:])
    with pytest.raises(IntegrityError, match="hash tree"):
        tree.prove((None, None, None), [*triples[1:], triple(2, 2, 2)])


def test_private_line_stays_hidden_when_its_neighbour_is_proved() -> None:
    triples = [triple(1, 0, o) for o in range(6)]
    tree = tree_of(triples, SALT)
    text = json.dumps(tree.prove(pattern_for(triples[0], 3), [triples[0]]).to_json())
    assert SALT.hex() not in text
    for other in triples[1:]:
        assert leaf_of(other).value.hex() not in text, "an unsalted hash would let anyone test guesses"
    assert tree.root != tree_of(triples).root


def test_collision_cannot_be_denied_when_another_line_has_the_place() -> None:
    """A leaf at the pattern's own place never witnesses absence, even with another value."""
    t = triple(1, 1, 1)
    tree = MerkleTree(sqlite3.connect(":memory:", isolation_level=None), GRAPH)
    other = Leaf(leaf_of(t).path, b"x" * 32)
    tree.apply([other], [])
    assert not verify(Proof(GRAPH, pattern_for(t, 3), witness=other), tree.root)


def test_proof_fails_when_its_way_is_no_tree_even_if_the_root_is_made_for_it() -> None:
    t = triple(1, 1, 1)
    leaf, side = leaf_of(t), bytes(32)
    current = keccak256(b"\x00" + keccak256(GRAPH.encode()) + leaf.path + leaf.value)
    for bit in (100, 200):  # from the leaf up: growing, so shrinking from the root down
        right = leaf.path[bit >> 3] >> (7 - (bit & 7)) & 1
        current = keccak256(b"\x01" + bytes([bit]) + (side + current if right else current + side))
    assert not verify(Proof(GRAPH, pattern_for(t, 3), (triple_line(t),), (), ((200, side), (100, side))), current)


def test_verifier_needs_no_store_when_run_alone(repo: Path) -> None:
    """It works with nothing of pyoxigraph loaded: only hashing and text."""
    triples = [triple(1, p, o) for p in range(2) for o in range(4)]
    tree = tree_of(triples)
    data = tree.prove(pattern_for(triples[0], 2), matches(triples, pattern_for(triples[0], 2))).to_json()
    code = (
        "import json, sys\n"
        "from engine.graph.proofs import verify\n"
        "data, root = json.load(sys.stdin)\n"
        "assert verify(data, bytes.fromhex(root))\n"
        "assert 'pyoxigraph' not in sys.modules, 'a store was loaded'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([data, tree.root.hex()]), text=True, cwd=repo, check=False,
        capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
