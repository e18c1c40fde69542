"""The hash tree against the recursive definition of its root, whatever the order, the batches and the pages."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError, IntegrityError
from engine.graph import tree as tree_module
from engine.graph.hashing import keccak256
from engine.graph.leaves import empty_root, subtree_hash
from engine.graph.terms import triple_line
from engine.graph.tree import Leaf, MerkleTree, leaf_of

GRAPH = "https://w3id.org/dappops/g/0x00/test"


def naive_root(leaves: Iterable[Leaf], graph: str = GRAPH) -> bytes:
    """The definition of engine/graph/leaves.py, written as it reads: split at the first bit in which places differ."""

    def bits(path: bytes) -> str:
        return f"{int.from_bytes(path, 'big'):0256b}"

    def node(some: list[tuple[str, Leaf]]) -> bytes:
        if len(some) == 1:
            leaf = some[0][1]
            return keccak256(b"\x00" + keccak256(graph.encode()) + leaf.path + leaf.value)
        bit = next(i for i in range(256) if len({text[i] for text, _ in some}) == 2)
        left, right = ([x for x in some if x[0][bit] == side] for side in "01")
        return keccak256(b"\x01" + bytes([bit]) + node(left) + node(right))

    leaves = set(leaves)
    return (
        node([(bits(leaf.path), leaf) for leaf in leaves]) if leaves else keccak256(b"\x02" + keccak256(graph.encode()))
    )


def random_leaf(rng: random.Random, density: int) -> Leaf:
    """A leaf whose subject, predicate and object come from few (dense) or many (sparse) hashes."""
    subject, predicate, obj = rng.randrange(density), rng.randrange(3), rng.randrange(density)
    path = keccak256(b"s%d" % subject)[:12] + keccak256(b"p%d" % predicate)[:8] + keccak256(b"o%d" % obj)[:12]
    return Leaf(path, keccak256(path))


def comb_leaf(rng: random.Random) -> Leaf:
    """A leaf of a tree that is as deep as it gets: places that share long prefixes."""
    path = ((1 << 256) - (1 << rng.randrange(257))) & ((1 << 256) - 1)
    return Leaf(path.to_bytes(32, "big"), keccak256(b"%d" % path))


def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([2, 20, 1000]))
def test_root_equals_the_definition_when_built_in_any_order(seed: int, size: int, density: int) -> None:
    rng = random.Random(seed)
    leaves = list({random_leaf(rng, density) for _ in range(size)} | {comb_leaf(rng) for _ in range(size // 4)})
    expected = naive_root(leaves)
    rng.shuffle(leaves)
    tree = MerkleTree(database(), GRAPH)
    assert tree.apply(leaves, []) == tree.root == expected
    one_by_one = MerkleTree(database(), GRAPH)
    rng.shuffle(leaves)
    for leaf in leaves:
        one_by_one.apply([leaf], [])
    assert one_by_one.root == expected
    assert one_by_one.count == len(leaves)
    if leaves:
        assert subtree_hash(GRAPH, sorted(leaves)) == expected
    else:
        assert empty_root(GRAPH) == expected


@settings(max_examples=40)
@given(
    st.integers(0, 2**32), st.sampled_from([3, 5, 64]), st.sampled_from([1, 3, 1000]), st.sampled_from([3, 40, 10**6])
)
def test_root_depends_on_the_set_only_when_history_is_random(seed: int, page: int, cache: int, density: int) -> None:
    """Random batches, saves, reopenings and failed batches over small pages and caches; compared with a fresh build."""
    rng = random.Random(seed)
    whole, tree_module.PAGE = tree_module.PAGE, page
    try:
        db = database()
        tree, held, position = MerkleTree(db, GRAPH, cache_pages=cache), set[Leaf](), 0
        other = MerkleTree(db, GRAPH + "2", cache_pages=cache)
        for step in range(14):
            size = rng.choice([1, 2, 12, 120])
            new = {random_leaf(rng, density) if rng.random() < 0.9 else comb_leaf(rng) for _ in range(size)} - held
            gone = set(rng.sample(sorted(held), min(len(held), rng.choice([0, 1, size, 2 * size]))))
            if rng.random() < 0.1:
                gone, new = set(held), set()
            before = tree.root
            if rng.random() < 0.3:
                bad_add, bad_remove = list(new), rng.sample(sorted(held), rng.randrange(len(held) + 1))
                if held - set(bad_remove) and rng.random() < 0.5:
                    bad_add.append(rng.choice(sorted(held - set(bad_remove))))
                else:
                    bad_remove.append(Leaf(rng.randbytes(32), rng.randbytes(32)))
                with pytest.raises(IntegrityError):
                    tree.apply(bad_add, bad_remove)
                assert tree.root == before
                assert tree.count == len(held)
            after = tree.apply(new, gone)
            if rng.random() < 0.3:
                assert tree.apply(gone, new) == before, "the reverse batch takes it back"
                assert tree.apply(new, gone) == after
            held = (held - gone) | new
            assert after == (subtree_hash(GRAPH, sorted(held)) if held else empty_root(GRAPH))
            assert tree.count == len(held)
            if rng.random() < 0.5:
                position = step + 1
                tree.save(position)
                other.apply([Leaf(rng.randbytes(32), rng.randbytes(32))], [])
                other.save(position)
            if position == step + 1 and rng.random() < 0.6:
                tree = MerkleTree(db, GRAPH, cache_pages=cache)
                assert (tree.root, tree.count, tree.position) == (after, len(held), position)
        assert list(tree.under(b"")) == sorted(held)
    finally:
        tree_module.PAGE = whole


def test_tree_opens_at_its_last_save_when_later_changes_were_not_saved() -> None:
    db, rng = database(), random.Random(1)
    first, second = ([random_leaf(rng, 10**6) for _ in range(300)] for _ in range(2))
    tree = MerkleTree(db, GRAPH)
    assert tree.position == 0
    saved = tree.apply(first, [])
    tree.save(7)
    tree.apply(second, first[:100])
    again = MerkleTree(db, GRAPH)
    assert (again.root, again.position, again.count) == (saved, 7, 300)
    assert again.apply(second, first[:100]) == tree.root


def test_save_joins_the_transaction_when_one_is_open() -> None:
    db = database()
    tree = MerkleTree(db, GRAPH)
    tree.apply([Leaf(b"a" * 32, b"v" * 32)], [])
    db.execute("BEGIN")
    tree.save(1)
    assert db.in_transaction
    db.execute("ROLLBACK")
    assert MerkleTree(db, GRAPH).count == 0


def test_tree_is_empty_when_cleared_and_others_stay() -> None:
    db, rng = database(), random.Random(2)
    trees = [MerkleTree(db, f"urn:g{i}") for i in range(3)]
    for tree in trees:
        tree.apply([random_leaf(rng, 10**6) for _ in range(200)], [])
        tree.save(1)
    roots = [tree.root for tree in trees]
    trees[1].clear()
    assert trees[1].root == empty_root("urn:g1")
    assert [MerkleTree(db, f"urn:g{i}").root for i in range(3)] == [roots[0], empty_root("urn:g1"), roots[2]]
    (pages,) = db.execute("SELECT count(DISTINCT id >> 40) FROM tree_page").fetchone()
    assert pages == 2
    leaf = random_leaf(rng, 10**6)
    trees[1].apply([leaf], [])
    trees[1].save(5)
    assert leaf in MerkleTree(db, "urn:g1")


def test_altered_page_is_found_when_loaded() -> None:
    db, rng = database(), random.Random(3)
    tree = MerkleTree(db, GRAPH)
    leaves = [random_leaf(rng, 10**6) for _ in range(200)]
    tree.apply(leaves, [])
    tree.save(1)
    db.execute("DELETE FROM tree_page WHERE id = (SELECT min(id) FROM tree_page)")
    with pytest.raises(IntegrityError, match="missing or altered"):
        list(MerkleTree(db, GRAPH).under(b""))


def test_save_is_refused_when_another_writer_was_faster() -> None:
    db, rng = database(), random.Random(5)
    first = MerkleTree(db, GRAPH)
    first.apply([random_leaf(rng, 10**6) for _ in range(200)], [])
    first.save(1)
    second = MerkleTree(db, GRAPH)
    for tree in (first, second):
        tree.apply([random_leaf(rng, 10**6)], [])
    first.save(2)
    with pytest.raises(IntegrityError, match="another writer"):
        second.save(2)
    assert not db.in_transaction
    assert MerkleTree(db, GRAPH).root == first.root


@pytest.mark.parametrize("size", [0, 1, 2, 500])
def test_batch_is_refused_when_it_contradicts_the_set(size: int) -> None:
    rng = random.Random(size)
    leaves = [random_leaf(rng, 10**6) for _ in range(size)]
    tree = MerkleTree(database(), GRAPH)
    root = tree.apply(leaves, [])
    fresh = random_leaf(rng, 10**6)
    batches = [([fresh, fresh], []), ([fresh], [fresh]), ([], [fresh])]
    if leaves:
        batches += [([leaves[0], fresh], []), ([], [leaves[0], leaves[0]]), ([], [Leaf(leaves[0].path, b"x" * 32)])]
    for added, removed in batches:
        with pytest.raises(IntegrityError):
            tree.apply(added, removed)
        assert tree.root == root
        assert tree.count == size
    if leaves:
        with pytest.raises(InputError, match="same place"):
            tree.apply([fresh, Leaf(leaves[0].path, b"x" * 32)], [])
        changed = Leaf(leaves[0].path, b"x" * 32)
        assert tree.apply([changed], [leaves[0]]) == naive_root([changed, *leaves[1:]])


def test_leaf_has_the_defined_place_and_value_when_public_or_salted() -> None:
    triple = ox.Triple(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal('a "b" .\n'))
    line = triple_line(triple).encode()
    path = keccak256(b"<urn:s>")[:12] + keccak256(b"<urn:p>")[:8] + keccak256(str(triple.object).encode())[:12]
    assert leaf_of(triple) == Leaf(path, keccak256(line))
    salt = b"s" * 32
    own = keccak256(b"\x04" + salt + path)
    assert leaf_of(triple, salt) == Leaf(path, keccak256(b"\x03" + own + keccak256(line)))


def test_roots_differ_when_only_the_graph_differs() -> None:
    leaf = Leaf(b"a" * 32, b"v" * 32)
    roots = set()
    for graph in ("urn:a", "urn:b"):
        tree = MerkleTree(database(), graph)
        roots.add(tree.root)
        roots.add(tree.apply([leaf], []))
    assert len(roots) == 4


def test_memory_holds_few_pages_when_the_cache_is_small() -> None:
    db, rng = database(), random.Random(4)
    leaves = [Leaf(rng.randbytes(32), rng.randbytes(32)) for _ in range(5000)]
    tree = MerkleTree(db, GRAPH, cache_pages=4)
    tree.apply(leaves, [])
    tree.save(1)
    assert len(tree._cache) <= 4
    assert sum(1 for _ in tree.under(b"")) == 5000
    assert len(tree._cache) <= 4
    (stored,) = db.execute("SELECT count(*) FROM tree_page").fetchone()
    assert stored > 80
    tree.apply([], leaves)
    tree.save(2)
    assert db.execute("SELECT count(*) FROM tree_page").fetchone() == (0,)
