"""The hash trees of docs/proof-format.md: sets, the step from one set to the next, batches, the log of a graph.

Each function answers None when what it checks holds, else why it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from verifier.hashes import keccak
from verifier.reading import Leaf, Node, Pair, Pattern, SetProof, Step

BITS = 256
_INNER = [b"\x01" + bytes([bit]) for bit in range(BITS)]


@dataclass(frozen=True, slots=True)
class _Stub:
    """A subtree that is not shown."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class _Tip:
    """A leaf."""

    leaf: Leaf
    hash: bytes


@dataclass(frozen=True, slots=True)
class _Fork:
    """An inner node."""

    bit: int
    left: Tree
    right: Tree
    hash: bytes


Tree = _Stub | _Tip | _Fork


def bit_of(place: bytes, bit: int) -> int:
    """Bit number `bit`, the highest of the first byte being 0."""
    return place[bit >> 3] >> (7 - (bit & 7)) & 1


def first_difference(one: bytes, two: bytes) -> int:
    """The first bit in which two places differ (256: none)."""
    return BITS - (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_length()


def inner(bit: int, left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return keccak(_INNER[bit], left, right)


def climb(way: bytes, current: bytes, siblings: Sequence[Pair]) -> bytes:
    """From a node up to the root; `siblings` are given from the root down."""
    for bit, other in reversed(siblings):
        current = inner(bit, other, current) if bit_of(way, bit) else inner(bit, current, other)
    return current


# -- sets ------------------------------------------------------------------------------------------------------------
def leaf_prefix(graph: str) -> bytes:
    """What a leaf's preimage begins with."""
    return b"\x00" + keccak(graph.encode())


def empty_root(graph: str) -> bytes:
    """Root of the empty set."""
    return keccak(b"\x02", keccak(graph.encode()))


def cut(line: str) -> tuple[str, str, str] | None:
    """The three terms of a line; None when it has not that form."""
    parts = line.split(" ", 2)
    if len(parts) != 3 or not parts[2].endswith(" .") or "\n" in line:
        return None
    return parts[0], parts[1], parts[2][:-2]


def prefix_of(pattern: Pattern) -> bytes | None:
    """What the places of all matches begin with; None when the given terms are not the first ones."""
    sizes = (12, 8, 12)
    given = [term is not None for term in pattern]
    if given != sorted(given, reverse=True):
        return None
    return b"".join(keccak(term.encode())[:size] for term, size in zip(pattern, sizes, strict=True) if term is not None)


def leaves_of(proof: SetProof) -> list[Leaf] | str:
    """The leaves of a proof's lines, or what is wrong with them."""
    if proof.salts and len(proof.salts) != len(proof.lines):
        return "the number of salts is not that of the lines"
    found: list[Leaf] = []
    known: dict[str, bytes] = {}
    for number, line in enumerate(proof.lines):
        terms = cut(line)
        if terms is None:
            return f"line {number} is no canonical statement"
        if any(want is not None and want != have for want, have in zip(proof.pattern, terms, strict=True)):
            return f"line {number} does not match the pattern"
        hashes = []
        for term in terms:
            digest = known.get(term)
            if digest is None:
                digest = known[term] = keccak(term.encode())
            hashes.append(digest)
        place = hashes[0][:12] + hashes[1][:8] + hashes[2][:12]
        value = keccak(line.encode())
        found.append((place, keccak(b"\x03", proof.salts[number], value) if proof.salts else value))
    if any(one[0] >= two[0] for one, two in pairwise(found)):
        return "the lines are not in the order of their places, each once"
    return found


def tree_hash(graph: str, leaves: Sequence[Leaf]) -> bytes:
    """Hash of the tree over leaves that are sorted by place and distinct, at least one."""
    start = leaf_prefix(graph)
    hashes = [keccak(start, place, value) for place, value in leaves]
    open_: list[tuple[int, bytes]] = []  # (bit, left side) of the nodes whose right side is not complete
    current = hashes[0]
    for (one, _), (two, _), following in zip(leaves, leaves[1:], hashes[1:], strict=False):
        bit = first_difference(one, two)
        while open_ and open_[-1][0] > bit:
            above, left = open_.pop()
            current = inner(above, left, current)
        open_.append((bit, current))
        current = following
    while open_:
        above, left = open_.pop()
        current = inner(above, left, current)
    return current


def set_fault(proof: SetProof, root: bytes) -> str | None:
    """Section Sets."""
    prefix = prefix_of(proof.pattern)
    if prefix is None:
        return "only patterns that give the first terms can be complete"
    size, bits = 8 * len(prefix), [bit for bit, _ in proof.siblings]
    if any(one >= two for one, two in pairwise(bits)):
        return "the bits on the way down do not grow"
    if proof.lines:
        if proof.witness is not None:
            return "it has matches and a witness of their absence"
        if bits and bits[-1] >= size:
            return "it leaves out a part of the pattern's statements"
        leaves = leaves_of(proof)
        if isinstance(leaves, str):
            return leaves
        way, current = prefix, tree_hash(proof.graph, leaves)
    elif proof.witness is not None:
        way, value = proof.witness
        if proof.salts:
            return "there are salts without lines"
        if way.startswith(prefix):
            return "the witness itself matches the pattern"
        if any(bit < size and bit_of(way, bit) != bit_of(prefix, bit) for bit in bits):
            return "the witness lies elsewhere than matches would"
        current = keccak(leaf_prefix(proof.graph), way, value)
    else:
        if proof.siblings or proof.salts:
            return "an empty graph has neither siblings nor salts"
        way, current = prefix, empty_root(proof.graph)
    return None if climb(way, current, proof.siblings) == root else "it leads to another set root"


# -- step ------------------------------------------------------------------------------------------------------------
def delta_hash(removed: Sequence[Leaf], added: Sequence[Leaf]) -> bytes:
    """Hash of a delta over its leaves, both sorted by place."""
    gone = b"".join(b"-" + place + value for place, value in removed)
    return keccak(b"dappops/delta/1", gone, b"".join(b"+" + place + value for place, value in added))


def step_fault(graph: str, step: Step, old_root: bytes, new_root: bytes) -> str | None:
    """Section step, 3 and 4: the set before, changed as the delta says, is the set after."""
    start = leaf_prefix(graph)
    for name, leaves in (("removed", step.removed), ("added", step.added)):
        if any(one[0] >= two[0] for one, two in pairwise(leaves)):
            return f"the leaves of {name} are not in order, each once"
    planted = _plant(step.tree, start)
    if isinstance(planted, str):
        return planted
    tree = planted
    if _root(tree, graph) != old_root:
        return "the tree before does not have the set root before"
    for place, value in step.added:
        grown = _add(tree, _Tip((place, value), keccak(start, place, value)))
        if isinstance(grown, str):
            return grown
        tree = grown
    for leaf in step.removed:
        less = _shed(tree, leaf)
        if isinstance(less, str):
            return less
        tree = less
    return None if _root(tree, graph) == new_root else "it leads to another set root"


def _root(tree: Tree | None, graph: str) -> bytes:
    return empty_root(graph) if tree is None else tree.hash


def _plant(items: Sequence[Node], start: bytes) -> Tree | str | None:
    """The tree of a preorder list."""
    if not items:
        return None
    done: Tree | None = None
    forks: list[tuple[int, Tree | None]] = []  # on the way, each with its left side once known
    for item in items:
        if done is not None:
            return "there is more than one tree"
        if isinstance(item, int):
            if forks and forks[-1][0] >= item:
                return "the bits on the way down do not grow"
            forks.append((item, None))
            continue
        tree: Tree = _Stub(item) if isinstance(item, bytes) else _Tip(item, keccak(start, *item))
        while forks:
            bit, left = forks.pop()
            if left is None:
                forks.append((bit, tree))
                break
            tree = _fork(bit, left, tree)
        else:
            done = tree
    return done if done is not None else "the tree is not complete"


def _fork(bit: int, left: Tree, right: Tree) -> _Fork:
    return _Fork(bit, left, right, inner(bit, left.hash, right.hash))


def _way(tree: Tree, place: bytes) -> tuple[list[_Fork], _Tip] | None:
    """The forks from the root to a leaf by a place's bits, and the leaf; None when the way ends at a hash."""
    found: list[_Fork] = []
    while isinstance(tree, _Fork):
        found.append(tree)
        tree = tree.right if bit_of(place, tree.bit) else tree.left
    return None if isinstance(tree, _Stub) else (found, tree)


def _add(tree: Tree | None, fresh: _Tip) -> Tree | str:
    if tree is None:
        return fresh
    place, way = fresh.leaf[0], _way(tree, fresh.leaf[0])
    if way is None:
        return "the tree does not show the way to an added leaf"
    forks, tip = way
    split = first_difference(place, tip.leaf[0])
    if split == BITS:
        return "an added leaf's place is taken"
    depth = next((i for i, fork in enumerate(forks) if fork.bit > split), len(forks))
    other = forks[depth] if depth < len(forks) else tip
    node = _fork(split, other, fresh) if bit_of(place, split) else _fork(split, fresh, other)
    return _rebuilt(forks[:depth], place, node)


def _shed(tree: Tree | None, leaf: Leaf) -> Tree | str | None:
    way = None if tree is None else _way(tree, leaf[0])
    if way is None or way[1].leaf != leaf:
        return "a removed leaf was not there"
    forks = way[0]
    if not forks:
        return None
    last = forks.pop()
    return _rebuilt(forks, leaf[0], last.left if bit_of(leaf[0], last.bit) else last.right)


def _rebuilt(forks: Sequence[_Fork], place: bytes, tree: Tree) -> Tree:
    """The tree that has `tree` at the end of the way."""
    for fork in reversed(forks):
        right = bit_of(place, fork.bit)
        tree = _fork(fork.bit, fork.left, tree) if right else _fork(fork.bit, tree, fork.right)
    return tree


# -- batch -----------------------------------------------------------------------------------------------------------
def batch_root(graph: str, head: bytes, path: Sequence[Pair]) -> bytes | None:
    """The root to which a head's way in a batch leads; None when its bits do not grow."""
    if any(one[0] >= two[0] for one, two in pairwise(path)):
        return None
    place = keccak(graph.encode())
    return climb(place, keccak(b"\x05", place, head), path)


# -- log: https://www.rfc-editor.org/rfc/rfc9162#section-2.1 ----------------------------------------------------------
def node(left: bytes, right: bytes) -> bytes:
    """A node of the log's tree."""
    return keccak(b"\x01", left, right)


def log_root(entry: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which an entry's path leads (section 2.1.3.2); None when the path has not the right length."""
    if not 0 <= index < size:
        return None
    position, last, value = index, size - 1, keccak(b"\x00", entry)
    for sibling in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            value = node(sibling, value)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            value = node(value, sibling)
        position, last = position >> 1, last >> 1
    return value if last == 0 else None


def log_root_before(path: Sequence[bytes]) -> bytes:
    """The root without the last entry, whose path (at least one item) this is: its items are the peaks of that log."""
    value = path[0]
    for peak in path[1:]:
        value = node(peak, value)
    return value


def consistent(old: int, size: int, path: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Whether a log of `size` entries begins with one of `old` entries, 0 < old < size (section 2.1.4.2)."""
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node(sibling, before), node(sibling, after)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            after = node(after, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and before == old_root and after == root
