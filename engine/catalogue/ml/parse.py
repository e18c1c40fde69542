"""YAML text to a tree of nodes that know where they stand; the only place that touches PyYAML.

DAppOps-ML reads scalars as the failsafe schema does (every scalar is a string, https://yaml.org/spec/1.2.2/#101-failsafe-schema):
what a scalar means is decided by the key it stands under, so a country `NO` never becomes `false` and a version `1.10`
never becomes `1.1`. What YAML can do beyond that and a description does not need (tags, merge keys, several documents)
is an error here. Input is hostile until shown otherwise: size, depth and alias expansion are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import yaml

from engine.catalogue.ml.positions import START, Position, Reporter

MAX_CHARACTERS = 4_000_000  # the largest known description has 60,000
MAX_DEPTH = 48
MAX_NODES = 200_000  # after aliases are followed

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")
_INDENT_TAB = re.compile(r"^ *\t[ \t]*", re.MULTILINE)
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(slots=True, eq=False)
class Scalar:
    """A string as written; `plain` when it had no quotes."""

    position: Position
    text: str
    plain: bool

    @property
    def null(self) -> bool:
        """Nothing written, `~` or `null`."""
        return self.plain and self.text in _NULLS


@dataclass(slots=True, eq=False)
class Sequence:
    """A YAML list."""

    position: Position
    items: list[Node]


@dataclass(slots=True, eq=False)
class Mapping:
    """A YAML map; entries in file order, keys unique (a repeated one was reported and dropped)."""

    position: Position
    entries: list[tuple[Scalar, Node]]

    def get(self, key: str) -> Node | None:
        """The value under `key`, or None."""
        return next((value for k, value in self.entries if k.text == key), None)

    def key(self, key: str) -> Scalar | None:
        """The key itself (for its position), or None."""
        return next((k for k, _ in self.entries if k.text == key), None)


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read. `complete` is False after a syntax error: then nothing may be concluded from absence."""

    root: Node | None
    complete: bool


def line_widths(text: str) -> list[int]:
    """Length of each line, by YAML's line breaks."""
    return [len(line) for line in _LINE_BREAK.split(text)]


def parse(text: str, report: Reporter) -> Parsed:
    """The tree of the first document in `text`; every problem goes to `report`."""
    if len(text) > MAX_CHARACTERS:
        report.add(
            "file-too-large",
            START,
            f"the file has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read",
            "split the description: what other owners state belongs in their own graphs",
        )
        return Parsed(None, False)
    for found in _UNPRINTABLE.finditer(text):
        report.add(
            "illegal-character",
            _place(text, found.start()),
            f"character U+{ord(found[0]):04X} may not stand in a YAML file",
            "remove it, or write it as an escape in a double-quoted string",
        )
    text = _UNPRINTABLE.sub(" ", text)
    first = len(report.errors)
    builder = _Builder(report, {})
    try:
        return Parsed(builder.build(text), True)
    except yaml.MarkedYAMLError as error:
        found_error = error
    if _is_tab_error(found_error, text):
        # Tabs are the commonest slip and the easiest to see through: name every one and read on.
        del report.errors[first:]
        for line, indent in _indents(text).items():
            report.add(
                "tab",
                Position(line, indent.index("\t") + 1),
                "a tab in the indentation: YAML allows only spaces there",
                "indent with two spaces (most editors can insert spaces for tabs)",
            )
        first = len(report.errors)
        for width in _likely_widths(text):
            del report.errors[first:]
            untabbed, shifts = _without_tabs(text, width)
            builder = _Builder(report, shifts)
            try:
                return Parsed(builder.build(untabbed), True)
            except yaml.MarkedYAMLError as error:
                found_error = error
    report.add(
        "yaml-syntax",
        builder.at(found_error.problem_mark or found_error.context_mark),
        _explain(found_error, builder),
        "correct this place first: what follows it could not be read and may hold further mistakes",
    )
    return Parsed(builder.root, False)


def _place(text: str, offset: int) -> Position:
    breaks = list(_LINE_BREAK.finditer(text, 0, offset))
    start = breaks[-1].end() if breaks else 0
    return Position(len(breaks) + 1, offset - start + 1)


def _indents(text: str) -> dict[int, str]:
    """Line -> its indentation, for lines that have a tab there."""
    found = {number: _INDENT_TAB.match(line) for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    return {number: match[0] for number, match in found.items() if match}


def _likely_widths(text: str) -> tuple[int, ...]:
    """A file of tabs means levels by them; a stray tab among spaces most likely continues the line before."""
    spaced = sum(1 for line in text.split("\n") if line.startswith(" ") and line.strip())
    return (2, 4, 8, 0) if len(_indents(text)) > spaced else (0, 8, 4, 2)


def _without_tabs(text: str, width: int) -> tuple[str, dict[int, int]]:
    """Each tab as `width` spaces (0: the indentation of the line before); line -> columns that were added."""
    lines = text.split("\n")
    shifts: dict[int, int] = {}
    for number, indent in _indents(text).items():
        line = lines[number - 1]
        before = next((each for each in reversed(lines[: number - 1]) if each.strip()), "")
        spaces = indent.replace("\t", " " * width) if width else " " * (len(before) - len(before.lstrip()))
        lines[number - 1] = spaces + line[len(indent) :]
        shifts[number] = len(spaces) - len(indent)
    return "\n".join(lines), shifts


def _is_tab_error(error: yaml.MarkedYAMLError, text: str) -> bool:
    """Whether a tab is, or can be, the cause: it may surface a line later as a key at an unexpected column."""
    if "tab" in f"{error.problem} {error.context}":
        return True
    mark = error.problem_mark
    return mark is not None and any(line <= mark.line + 1 for line in _indents(text))


def _explain(error: yaml.MarkedYAMLError, builder: _Builder) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    begin, end = builder.at(error.context_mark), builder.at(error.problem_mark)
    begun = f" (begun at {begin})" if error.context and START < begin < end else ""
    return "this is not YAML: " + ", ".join(parts) + begun


class _Mark(Protocol):
    """A mark of the pure or of the C parser."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Builder:
    """Composes nodes from parser events, so that what stood before a syntax error is not lost."""

    def __init__(self, report: Reporter, shifts: dict[int, int]) -> None:
        self.report, self.shifts = report, shifts
        self.anchors: dict[str, tuple[Node, int]] = {}  # node, size with aliases followed
        self.open: list[tuple[Mapping | Sequence, str | None]] = []
        self.keys: list[Scalar | None] = []  # the key waiting for its value, per open mapping
        self.given: list[dict[str, Scalar]] = []  # the keys a mapping already has, per open mapping
        self.sizes: list[int] = []
        self.root: Node | None = None
        self.refused: set[str] = set()  # anchors whose aliases grew too large
        self.total = 0
        self.skip = 0  # containers deeper than MAX_DEPTH that are being dropped

    def at(self, mark: _Mark | None) -> Position:
        """The position of a mark of either parser, as it was before tabs were seen through."""
        if mark is None:
            return START
        line, column = mark.line + 1, mark.column + 1
        return Position(line, max(1, column - self.shifts.get(line, 0)))

    def build(self, text: str) -> Node | None:
        documents = 0
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.report.add(
                        "several-documents",
                        self.at(event.start_mark),
                        "a second YAML document starts here",
                        "one file describes one application: put the other document into a file of its own",
                    )
                    break
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self._tag(event)
                self._add(Scalar(self.at(event.start_mark), event.value, not event.style), 1, event.anchor)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._start(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            if self.total > MAX_NODES:
                self.report.add(
                    "file-too-large",
                    self.at(event.start_mark),
                    f"more than {MAX_NODES:,} values; nothing after this is read",
                    "split the description: what other owners state belongs in their own graphs",
                )
                break
        return self.root

    def _tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!" and tag not in _CORE_TAGS:
            self.report.add(
                "tag",
                self.at(event.start_mark),
                f"the tag {tag!r} has no meaning here",
                "remove it: the key already says what kind of value is wanted",
            )

    def _alias(self, event: yaml.AliasEvent) -> None:
        where = self.at(event.start_mark)
        anchor = event.anchor or ""
        found = self.anchors.get(anchor)
        if found is None:
            near = self.report.nearest(anchor, self.anchors)
            self.report.add(
                "unknown-anchor",
                where,
                f"no anchor &{anchor} before this alias" + _hint(near and f"*{near}"),
                f"write &{anchor} at the value to repeat, or write the value here",
            )
            self._add(Scalar(where, "", True), 1, None)
            return
        node, size = found
        if self.total + size > MAX_NODES:
            if anchor not in self.refused:
                self.report.add(
                    "alias-expansion",
                    where,
                    f"with *{anchor} the file would grow beyond {MAX_NODES:,} values",
                    "write the values out, or repeat less",
                )
                self.refused.add(anchor)
            node, size = Scalar(where, "", True), 1
        self._add(node, size, None)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        if self.skip or len(self.open) >= MAX_DEPTH:
            if not self.skip:
                self.report.add(
                    "too-deep",
                    self.at(event.start_mark),
                    f"nested deeper than {MAX_DEPTH} levels",
                    "give the inner item an id, list it at an upper level and refer to it by its id",
                )
                self._add(Scalar(self.at(event.start_mark), "", True), 1, None)
            self.skip += 1
            return
        self._tag(event)
        where = self.at(event.start_mark)
        node: Mapping | Sequence = (
            Mapping(where, []) if isinstance(event, yaml.MappingStartEvent) else Sequence(where, [])
        )
        self._attach(node)
        self.open.append((node, event.anchor))
        self.keys.append(None)
        self.given.append({})
        self.sizes.append(1)
        self.total += 1

    def _end(self) -> None:
        if self.skip:
            self.skip -= 1
            return
        node, anchor = self.open.pop()
        self.keys.pop()
        self.given.pop()
        size = self.sizes.pop()
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        if self.sizes:
            self.sizes[-1] += size

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if self.skip:
            return
        self.total += size
        if self.sizes:
            self.sizes[-1] += size
        self._attach(node)
        if anchor is not None:
            self.anchors[anchor] = (node, size)

    def _attach(self, node: Node) -> None:
        if not self.open:
            if self.root is None:
                self.root = node
            return
        parent = self.open[-1][0]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self.keys[-1]
        if key is None:
            if not isinstance(node, Scalar):
                self.report.add(
                    "key-not-a-word",
                    node.position,
                    "a list or map cannot be a key",
                    "write a plain word before the colon (quote the whole text if the brackets belong to it)",
                )
                node = Scalar(node.position, "", True)
                self.keys[-1] = Scalar(node.position, "\0", True)
                return
            self.keys[-1] = node
            return
        self.keys[-1] = None
        if key.text == "\0":
            return
        first = self.given[-1].setdefault(key.text, key)
        if first is not key:
            self.report.add(
                "duplicate-key",
                key.position,
                f"the key {key.text!r} was already given in line {first.position.line}",
                "keep one of them; several values go into one list",
            )
            return
        parent.entries.append((key, node))


def _hint(word: str) -> str:
    return f" (did you mean {word!r}?)" if word else ""


def _events(text: str) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
    return events
