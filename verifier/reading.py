"""From bytes to typed parts, strictly: what is not exactly as docs/proof-format.md says is malformed, with its place.

Nothing is hashed or trusted here. Later modules get values of known kinds and bounded sizes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

FORMAT = "dappops-proof-2"
SET_FORMAT = "dappops-proof-1"
MAX_FILE = 64 << 20  # bytes
MAX_HEADS, MAX_SETS, MAX_ANCHORS = 10_000, 100_000, 1_000
MAX_LEAVES, MAX_LINES = 100_000, 1_000_000
MAX_DEPTH = 64
MAX_TEXT = 4 << 20  # bytes of one text: a line has three terms of 1 MiB at most

_HASH = re.compile("[0-9a-f]{64}").fullmatch
_BYTES = re.compile("(?:[0-9a-f]{2})*").fullmatch
_ADDRESS = re.compile("0x[0-9a-f]{40}").fullmatch
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL).finditer
_SIGNATURE = re.compile("[0-9a-f]{128}0[01]").fullmatch

T = TypeVar("T")
Pair = tuple[int, bytes]
Leaf = tuple[bytes, bytes]
Node = int | bytes | Leaf
Pattern = tuple[str | None, str | None, str | None]


class Malformed(Exception):
    """The file is not of the format."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place, self.message = place, message


@dataclass(frozen=True, slots=True)
class Genesis:
    """Who a graph belongs to, as its first commit said."""

    owner: str
    kind: str
    audience: str
    policy: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """The signed content of a commit, less what its place gives."""

    delta: bytes
    expires: int
    author: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """A node's word that it accepted the commit."""

    time: str
    gate: bytes
    signer: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Before:
    """The four fields of the head before."""

    parent: bytes
    set_root: bytes
    log_root: bytes
    policy_root: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """How a set root follows from the one before."""

    parent: Before | None
    removed: list[Leaf]
    added: list[Leaf]
    tree: list[Node]


@dataclass(frozen=True, slots=True)
class Head:
    """One state of one graph."""

    graph: str
    genesis: Genesis
    sequence: int
    parent: bytes
    set_root: bytes
    log_root: bytes
    policy_root: bytes
    commit: Signed
    log_path: list[bytes]
    seal: Seal
    step: Step | None
    next: Signed | None
    anchor: int | None
    path: list[Pair] | None


@dataclass(frozen=True, slots=True)
class SetProof:
    """All statements that match a pattern, or that there is none."""

    head: int
    graph: str
    pattern: Pattern
    lines: list[str]
    salts: list[bytes]
    siblings: list[Pair]
    witness: Leaf | None


@dataclass(frozen=True, slots=True)
class Extension:
    """That one history begins with another."""

    old: int
    new: int
    path: list[bytes]


@dataclass(frozen=True, slots=True)
class Slot:
    """A storage slot with its Merkle-Patricia proof."""

    slot: bytes
    value: bytes
    proof: list[bytes]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a registry held at the end of a block."""

    chain: int
    contract: str
    kind: str
    submitter: str
    root: bytes
    block_hash: bytes
    header: bytes
    account_proof: list[bytes]
    storage: list[Slot]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Co-signers' word on an anchor's block."""

    anchor: int
    gateway_chain: int
    gateway: str
    signatures: list[bytes]


@dataclass(frozen=True, slots=True)
class File:
    """A well-formed proof file. `answer` is read by `verifier.answers`."""

    heads: list[Head]
    sets: list[SetProof]
    extends: list[Extension]
    anchors: list[Anchor]
    checkpoints: list[Checkpoint]
    answer: object


def parse(source: bytes | str | Mapping[str, Any]) -> File:
    """The file in bytes, a text, or an already parsed JSON value. Malformed says where it is not of the format."""
    value: object = source
    if isinstance(source, bytes | str):
        if len(source) > MAX_FILE:
            raise Malformed("file", f"it is larger than {MAX_FILE >> 20} MiB")
        try:
            text = source.decode("utf-8") if isinstance(source, bytes) else source
            if too_deep(text):  # before Python's parser sees it: its stack may be smaller than its limit
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Malformed("file", f"it is no JSON: {error}") from None
    at = At("file", value)
    part = at.members("format", "heads", "sets", "extends", "anchors", "checkpoints", "answer")
    part["format"].equals(FORMAT)
    heads = part["heads"].each(_head, MAX_HEADS)
    if not heads:
        raise Malformed("heads", "a proof is about one head at least")
    sets = part["sets"].each(_set, MAX_SETS)
    anchors = part["anchors"].each(_anchor, MAX_ANCHORS)
    file = File(
        heads, sets, part["extends"].each(_extension, MAX_HEADS), anchors,
        part["checkpoints"].each(_checkpoint, MAX_ANCHORS), part["answer"].value,
    )  # fmt: skip
    _references(file)
    return file


def _references(file: File) -> None:
    places = [(f"heads[{i}].anchor", h.anchor, len(file.anchors)) for i, h in enumerate(file.heads)]
    places += [(f"sets[{i}].head", s.head, len(file.heads)) for i, s in enumerate(file.sets)]
    places += [(f"extends[{i}]", max(e.old, e.new), len(file.heads)) for i, e in enumerate(file.extends)]
    places += [(f"checkpoints[{i}].anchor", c.anchor, len(file.anchors)) for i, c in enumerate(file.checkpoints)]
    for place, number, size in places:
        if number is not None and number >= size:
            raise Malformed(place, f"there is no number {number}")


def too_deep(text: str) -> bool:
    """Whether brackets outside of strings nest deeper than a JSON parser's stack may bear."""
    depth = 0
    for match in _BRACKETS(text):
        first = match[0][0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in "]}":
            depth -= 1
    return False


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


# -- parts -----------------------------------------------------------------------------------------------------------
def _head(at: At) -> Head:
    part = at.members(
        "graph", "genesis", "sequence", "parent", "setRoot", "logRoot", "policyRoot", "commit", "logPath", "seal",
        "step", "next", "anchor",
    )  # fmt: skip
    genesis = part["genesis"].members("owner", "kind", "audience", "policy", "signature")
    seal = part["seal"].members("time", "gate", "signer", "signature")
    anchor = None if part["anchor"].value is None else part["anchor"].members("anchor", "path")
    path = None if anchor is None or anchor["path"].value is None else anchor["path"].each(_sibling, 256)
    owner = genesis["owner"]
    return Head(
        part["graph"].text(),
        Genesis(
            "shipped" if owner.value == "shipped" else owner.address(), genesis["kind"].one_of("data", "policy"),
            genesis["audience"].text(), genesis["policy"].hash(), genesis["signature"].signature(),
        ),
        part["sequence"].number(), part["parent"].hash(), part["setRoot"].hash(), part["logRoot"].hash(),
        part["policyRoot"].hash(), _signed(part["commit"]), part["logPath"].each(At.hash, 64),
        Seal(seal["time"].text(), seal["gate"].hash(), seal["signer"].address(), seal["signature"].signature()),
        None if part["step"].value is None else _step(part["step"]),
        None if part["next"].value is None else _signed(part["next"]),
        None if anchor is None else anchor["anchor"].number(), path,
    )  # fmt: skip


def _signed(at: At) -> Signed:
    part = at.members("delta", "expires", "author", "signature")
    return Signed(
        part["delta"].hash(), part["expires"].number(), part["author"].address(), part["signature"].signature()
    )


def _step(at: At) -> Step:
    part = at.members("parent", "removed", "added", "tree")
    before = None
    if part["parent"].value is not None:
        four = part["parent"].members("parent", "setRoot", "logRoot", "policyRoot")
        before = Before(
            four["parent"].hash(), four["setRoot"].hash(), four["logRoot"].hash(), four["policyRoot"].hash()
        )
    return Step(
        before, part["removed"].each(_leaf, MAX_LEAVES), part["added"].each(_leaf, MAX_LEAVES),
        part["tree"].each(_node, MAX_LEAVES * 512),
    )  # fmt: skip


def _node(at: At) -> Node:
    if isinstance(at.value, str):
        return at.hash()
    return _leaf(at) if isinstance(at.value, list) else _bit(at)


def _set(at: At) -> SetProof:
    part = at.members("head", "proof")
    proof = part["proof"].members("format", "graph", "pattern", "lines", "salts", "siblings", "witness")
    proof["format"].equals(SET_FORMAT)
    terms = proof["pattern"].each(lambda x: None if x.value is None else x.text(), 3)
    if len(terms) != 3:
        raise Malformed(proof["pattern"].place, "a pattern has three terms")
    return SetProof(
        part["head"].number(), proof["graph"].text(), (terms[0], terms[1], terms[2]),
        proof["lines"].each(At.text, MAX_LINES), proof["salts"].each(At.hash, MAX_LINES),
        proof["siblings"].each(_sibling, 256), None if proof["witness"].value is None else _leaf(proof["witness"]),
    )  # fmt: skip


def _extension(at: At) -> Extension:
    part = at.members("from", "to", "path")
    return Extension(part["from"].number(), part["to"].number(), part["path"].each(At.hash, 128))


def _anchor(at: At) -> Anchor:
    part = at.members(
        "chainId", "contract", "kind", "submitter", "root", "blockHash", "header", "accountProof", "storage"
    )
    return Anchor(
        part["chainId"].number(), part["contract"].address(), part["kind"].one_of("single", "batch"),
        part["submitter"].address(), part["root"].hash(), part["blockHash"].hash(), part["header"].raw(8192),
        part["accountProof"].each(_trie_node, 64), part["storage"].each(_slot, MAX_HEADS),
    )  # fmt: skip


def _slot(at: At) -> Slot:
    part = at.members("slot", "value", "proof")
    return Slot(part["slot"].hash(), part["value"].hash(), part["proof"].each(_trie_node, 64))


def _checkpoint(at: At) -> Checkpoint:
    part = at.members("anchor", "gateway", "signatures")
    gateway = part["gateway"].members("chainId", "contract")
    return Checkpoint(
        part["anchor"].number(), gateway["chainId"].number(), gateway["contract"].address(),
        part["signatures"].each(At.signature, 1000),
    )  # fmt: skip


def _trie_node(at: At) -> bytes:
    return at.raw(4096)


def _bit(at: At) -> int:
    bit = at.number()
    if bit > 255:
        raise Malformed(at.place, "a bit is at most 255")
    return bit


def _sibling(at: At) -> Pair:
    bit, value = at.pair()
    return _bit(bit), value.hash()


def _leaf(at: At) -> Leaf:
    place, value = at.pair()
    return place.hash(), value.hash()


class At:
    """A JSON value with its place in the file."""

    __slots__ = ("place", "value")

    def __init__(self, place: str, value: object) -> None:
        self.place, self.value = place, value

    def _bad(self, what: str) -> Malformed:
        return Malformed(self.place, f"it is no {what}")

    def members(self, *keys: str) -> dict[str, At]:
        """Its members; exactly these."""
        value = self.value
        if not isinstance(value, Mapping):
            raise self._bad("object")
        if len(value) != len(keys) or any(key not in value for key in keys):
            wrong = [k for k in keys if k not in value] or [str(k) for k in value if k not in keys]
            raise Malformed(self.place, f"exactly {', '.join(keys)} belong there, look at {wrong[0][:80]!r}")
        base = "" if self.place == "file" else self.place + "."
        return {key: At(base + key, value[key]) for key in keys}

    def _list(self, limit: int) -> list[Any]:
        if not isinstance(self.value, list):
            raise self._bad("list")
        if len(self.value) > limit:
            raise Malformed(self.place, f"there are more than {limit}")
        return self.value

    def items(self, limit: int) -> Iterator[At]:
        """Its items, at most so many."""
        return (At(f"{self.place}[{i}]", x) for i, x in enumerate(self._list(limit)))

    def each(self, read: Callable[[At], T], limit: int) -> list[T]:
        """Its items, read."""
        return [read(item) for item in self.items(limit)]

    def pair(self) -> tuple[At, At]:
        """Its two items."""
        if not isinstance(self.value, list) or len(self.value) != 2:
            raise self._bad("pair")
        return At(self.place + "[0]", self.value[0]), At(self.place + "[1]", self.value[1])

    def number(self) -> int:
        """A whole number from 0 to 2^53 - 1."""
        value = self.value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53:
            value = int(value)
        if type(value) is not int or not 0 <= value < 1 << 53:
            raise self._bad("whole number from 0 to 2^53 - 1")
        return value

    def text(self) -> str:
        """Unicode text."""
        value = self.value
        if not isinstance(value, str):
            raise self._bad("text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise self._bad("Unicode text") from None
        if size > MAX_TEXT:
            raise Malformed(self.place, "the text is too long")
        return value

    def _hex(self, matches: Callable[[str], object], what: str) -> str:
        if not isinstance(self.value, str) or not matches(self.value):
            raise self._bad(what)
        return self.value

    def hash(self) -> bytes:
        """32 bytes."""
        return bytes.fromhex(self._hex(_HASH, "hash (64 lower-case hex digits)"))

    def raw(self, limit: int) -> bytes:
        """Bytes, at most so many."""
        text = self._hex(_BYTES, "bytes (pairs of lower-case hex digits)")
        if len(text) > 2 * limit:
            raise Malformed(self.place, f"there are more than {limit} bytes")
        return bytes.fromhex(text)

    def signature(self) -> bytes:
        """65 bytes: r, s, v."""
        return bytes.fromhex(self._hex(_SIGNATURE, "signature (130 lower-case hex digits, the last two 00 or 01)"))

    def address(self) -> str:
        """0x and 40 lower-case hex digits."""
        return self._hex(_ADDRESS, "address (0x and 40 lower-case hex digits)")

    def one_of(self, *allowed: str) -> str:
        """One of these words."""
        if not isinstance(self.value, str) or self.value not in allowed:
            raise Malformed(self.place, f"it is none of {', '.join(allowed)}")
        return self.value

    def equals(self, wanted: str) -> None:
        """Exactly this word."""
        if self.value != wanted:
            raise Malformed(self.place, f"it is not {wanted!r}")
