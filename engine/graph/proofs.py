"""Proofs about a graph's root: all statements with a subject, subject and predicate, or whole triple; or that none is.

A proof of a pattern shows the complete subtree of the pattern's places: every matching statement as its canonical
line, and the hashes beside the way up to the root. When nothing matches, it shows one leaf that lies where the matches
would have to be. `check` and `verify` need the proof, the root, and keccak; no store and no trust in the prover. Where
the root comes from (a signed head, a chain) is told by the log.

A pattern is compared as text: its terms must be canonical (`str` of a term that went through `terms.canonical`).
In a graph with a salt each line carries its own salt, which reveals nothing about other lines; a proof of absence
shows the place (hashes of terms) of one neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.errors import InputError
from engine.graph.hashing import new
from engine.graph.leaves import (
    INNER,
    PLACE_BITS,
    Leaf,
    bit_at,
    empty_root,
    leaf_prefix,
    line_leaf,
    prefix_of,
    salted,
    subtree_hash,
    terms_of_line,
)

FORMAT = "dappops-proof-1"
_HEX = re.compile("[0-9a-f]{64}").fullmatch
_KEYS = {"format", "graph", "pattern", "lines", "salts", "siblings", "witness"}

Pattern = tuple[str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Proof:
    """All statements of `graph` that match `pattern`, with what ties them to the graph's root."""

    graph: str
    pattern: Pattern
    lines: tuple[str, ...] = ()
    salts: tuple[bytes, ...] = ()  # one a line in a graph with a salt, none otherwise
    siblings: tuple[tuple[int, bytes], ...] = ()  # (bit, hash of the other side), from the root down
    witness: Leaf | None = None  # when nothing matches: the leaf that stands where matches would

    def to_json(self) -> dict[str, object]:
        """A value for `json.dumps`; hashes in hex."""
        return {
            "format": FORMAT,
            "graph": self.graph,
            "pattern": list(self.pattern),
            "lines": list(self.lines),
            "salts": [salt.hex() for salt in self.salts],
            "siblings": [[bit, value.hex()] for bit, value in self.siblings],
            "witness": None if self.witness is None else [self.witness.path.hex(), self.witness.value.hex()],
        }

    @classmethod
    def from_json(cls, data: object) -> Proof:
        """The proof in a parsed JSON value; InputError for anything that `to_json` would not have written."""
        if not isinstance(data, Mapping) or set(data) != _KEYS or data["format"] != FORMAT:
            raise _bad(f"it is no object of the format {FORMAT}")
        pattern = [None if x is None else _text(x) for x in _list(data["pattern"])]
        if len(pattern) != 3:
            raise _bad("the pattern has not three terms")
        siblings = []
        for pair in _list(data["siblings"]):
            bit, value = _list(pair, 2)
            if type(bit) is not int:
                raise _bad("a bit is no number")
            siblings.append((bit, _hash(value)))
        leaf = data["witness"]
        return cls(
            _text(data["graph"]),
            (pattern[0], pattern[1], pattern[2]),
            tuple(_text(x) for x in _list(data["lines"])),
            tuple(_hash(x) for x in _list(data["salts"])),
            tuple(siblings),
            None if leaf is None else Leaf(*(_hash(x) for x in _list(leaf, 2))),
        )


def verify(proof: Proof | Mapping[str, object], root: bytes) -> bool:
    """True when the proof holds for this root: its lines are the matches of its pattern, all of them and no others."""
    try:
        check(proof if isinstance(proof, Proof) else Proof.from_json(proof), root)
    except InputError:
        return False
    return True


def check(proof: Proof, root: bytes) -> None:
    """`verify` that says why not: InputError for a proof that does not hold."""
    prefix = prefix_of(*proof.pattern)
    if prefix is None:
        raise _bad("only (s, p, o), (s, p, *), (s, *, *) and (*, *, *) can be proved complete")
    size = 8 * len(prefix)
    bits = [bit for bit, _ in proof.siblings]
    if any(not 0 <= bit < PLACE_BITS for bit in bits) or any(a >= b for a, b in pairwise(bits)):
        raise _bad("the bits on the way down do not grow")
    if proof.lines:
        if proof.witness is not None:
            raise _bad("it has both matches and a witness of their absence")
        if bits and bits[-1] >= size:
            raise _bad("it leaves out a part of the pattern's subtree")
        way, current = prefix, subtree_hash(proof.graph, _leaves(proof))
    elif proof.witness is not None:
        if proof.salts:
            raise _bad("there are salts without lines")
        way = proof.witness.path
        if way.startswith(prefix):
            raise _bad("the witness itself matches the pattern")
        if any(bit < size and bit_at(way, bit) != bit_at(prefix, bit) for bit in bits):
            raise _bad("the witness lies elsewhere than matches would")
        current = new(leaf_prefix(proof.graph) + way + proof.witness.value).digest()
    else:
        if proof.siblings or proof.salts:
            raise _bad("an empty graph has no siblings and no salts")
        way, current = prefix, empty_root(proof.graph)
    for bit, sibling in reversed(proof.siblings):
        left, right = (sibling, current) if bit_at(way, bit) else (current, sibling)
        current = new(INNER[bit] + left + right).digest()
    if current != root:
        raise _bad("it leads to another root")


def _leaves(proof: Proof) -> list[Leaf]:
    """The leaves of the lines, which must match the pattern, in the order of their places."""
    if proof.salts and len(proof.salts) != len(proof.lines):
        raise _bad("the number of salts is not that of the lines")
    leaves = []
    for number, line in enumerate(proof.lines):
        try:
            terms = terms_of_line(line)
        except ValueError:
            raise _bad(f"line {number + 1} is no canonical N-Triples line") from None
        if any(want is not None and want != have for want, have in zip(proof.pattern, terms, strict=True)):
            raise _bad(f"line {number + 1} does not match the pattern")
        leaf = line_leaf(line)
        leaves.append(Leaf(leaf.path, salted(proof.salts[number], leaf.value)) if proof.salts else leaf)
    if any(one.path >= two.path for one, two in pairwise(leaves)):
        raise _bad("the lines are not in the order of their places, each once")
    return leaves


def _bad(why: str) -> InputError:
    return InputError(
        f"the proof does not hold: {why}", place="proof", rule=f"{FORMAT}: engine/graph/leaves.py",
        remedy="ask its issuer for a proof against this root",
    )  # fmt: skip


def _list(value: object, size: int | None = None) -> Sequence[object]:
    if not isinstance(value, list | tuple) or (size is not None and len(value) != size):
        raise _bad("a list is missing or has the wrong length")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _bad("a text is missing")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad("a text is no Unicode") from None
    return value


def _hash(value: object) -> bytes:
    if not isinstance(value, str) or _HEX(value) is None:
        raise _bad("a hash is not 64 lower-case hex digits")
    return bytes.fromhex(value)
