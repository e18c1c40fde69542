"""RDF files as records: one record per subject with the blank nodes below it, so that a bad one can stay out alone.

A file is read twice. The first pass finds every syntax error before anything is written, and which subjects turn up
again later in the file; the second yields each other subject as soon as it ends, so memory holds only the scattered
subjects and those that share blank nodes. Parsing is pyoxigraph's, with three gaps closed here: it takes a cut-off
RDF/XML document for an empty one, does not say where in JSON-LD a context is missing, and reads RDF 1.2 terms that the
graph has no form for.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from xml.parsers import expat

import pyoxigraph as ox

from engine.catalogue.nesting import too_deep
from engine.catalogue.records import Record
from engine.errors import InputError, did_you_mean
from engine.resources import files

FORMATS: Mapping[str, ox.RdfFormat] = {
    "turtle": ox.RdfFormat.TURTLE, "n-triples": ox.RdfFormat.N_TRIPLES, "n-quads": ox.RdfFormat.N_QUADS,
    "trig": ox.RdfFormat.TRIG, "rdf-xml": ox.RdfFormat.RDF_XML, "json-ld": ox.RdfFormat.JSON_LD,
}  # fmt: skip
"""Names for `--format`."""
EXTENSIONS: Mapping[str, str] = {
    "ttl": "turtle", "nt": "n-triples", "nq": "n-quads", "trig": "trig", "rdf": "rdf-xml", "owl": "rdf-xml",
    "xml": "rdf-xml", "jsonld": "json-ld", "json": "json-ld",
}  # fmt: skip
CONTEXT_IRI = "https://w3id.org/dappops/context.jsonld"
MAX_LITERAL = 1 << 20
"""Bytes of UTF-8 in one literal; the kernel's own limit, checked while reading so that a file fails as a whole."""
MAX_DEPTH = 1000
"""Nesting of XML elements: pyoxigraph's time grows with its square."""
_CHUNK = 1 << 16


def format_of(path: Path, name: str | None = None) -> str:
    """The format by its name, else by the file's extension (before `.gz`); InputError when neither tells."""
    if name is not None:
        if name not in FORMATS:
            raise InputError(
                f"no format {name!r}{did_you_mean(name, FORMATS)}", remedy=f"use one of {', '.join(FORMATS)}"
            )
        return name
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    try:
        return EXTENSIONS[suffix.removeprefix(".").lower()]
    except KeyError:
        raise InputError(
            f"the extension {suffix or '(none)'!r} does not tell the format", place=str(path),
            remedy=f"name it with --format: {', '.join(FORMATS)}",
        ) from None  # fmt: skip


def read_file(path: Path, *, graph: str, format: str | None = None) -> Iterator[Record]:
    """Records of a file, in file order. Relative IRIs resolve against `graph`/.

    Triples outside named graphs go to `graph`. A named graph must be `graph` or another graph of the same author.
    InputError with file, line and column for what cannot be read; raised before the first record is yielded.
    """
    source = _Source(path, format_of(path, format), graph)
    scattered = source.check()
    return source.records(scattered)


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says, whatever graph it says it in. Blank nodes are called by their order in it."""

    name: str
    format: str
    triples: list[ox.Triple]
    prefixes: dict[str, str]


def read_document(
    source: Path | bytes, *, name: str = "", format: str | None = None, base: str = "", blank: str = "b"
) -> Document:
    """All triples of a file, or of its bytes under a `name`; never fetches anything.

    The format is `format`, else told by the name's extension, else by the content. `base` resolves relative IRIs (the
    file's own address unless given); `blank` begins the blank nodes' labels, so that documents do not share any.
    InputError with file, line and column for what cannot be read.
    """
    path = source if isinstance(source, Path) else Path(name or "document")
    body = None if isinstance(source, Path) else source
    found = _Source(path, format or "turtle", base, body)
    if format is None:
        suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        found.format_name = EXTENSIONS.get(suffix.removeprefix(".").lower()) or found.sniffed()
    else:
        found.format_name = format_of(path, format)
    found.base = base or (
        path.absolute().as_uri() if isinstance(source, Path) else f"urn:x-document:{quote(path.name)}"
    )
    if found.format_name == "rdf-xml":
        found._check_xml()
    names: dict[ox.BlankNode, ox.BlankNode] = {}

    def own(term: Any) -> Any:
        if type(term) is ox.BlankNode:
            return names.get(term) or names.setdefault(term, ox.BlankNode(f"{blank}{len(names)}"))
        return term

    triples: dict[ox.Triple, None] = {}
    with _blame(path):
        parser = found._parse()
        for quad in parser:
            found._check_terms(quad)
            triples[ox.Triple(own(quad.subject), quad.predicate, own(quad.object))] = None
    return Document(path.name, found.format_name, list(triples), dict(getattr(parser, "prefixes", {})))


class _Source:
    """One file, or the bytes of one; every pass opens it anew."""

    def __init__(self, path: Path, format_name: str, graph: str, body: bytes | None = None) -> None:
        self.path, self.format_name, self.graph, self.body = path, format_name, graph, body
        self.base = f"{graph}/"
        self.siblings = graph.rpartition("/")[0] + "/"  # .../g/<address>/

    def sniffed(self) -> str:
        """The format by the content: XML, JSON, quads a line, else TriG, of which Turtle and N-Triples are parts."""
        with _blame(self.path), self._open() as source:
            head = source.read(_CHUNK).decode("utf-8", errors="replace").lstrip()
        if head.startswith("<?xml") or re.match(r"<(!DOCTYPE|!--|[\w-]+:RDF\b)", head):
            return "rdf-xml"
        if re.match(r"\{\s*(\"|\})|\[\s*(\{|\]\s*$)", head):
            return "json-ld"
        first = next((row for row in head.splitlines() if row.strip() and not row.startswith("#")), "")
        return "n-quads" if re.fullmatch(r"(<\S*>|_:\S+) <\S*> .+ (<\S*>|_:\S+) \.\s*", first) else "trig"

    def check(self) -> set[int]:
        """Read everything once. Hashes of (subject, graph) pairs that are not in one piece."""
        if self.format_name == "rdf-xml":
            self._check_xml()
        closed: set[int] = set()
        scattered: set[int] = set()
        last: tuple[Any, str] | None = None
        with _blame(self.path):
            for quad in self._parse():
                graph = self._graph_of(quad)
                self._check_terms(quad)
                group = (quad.subject, graph)
                if group != last:
                    if last is not None:
                        closed.add(hash(last))
                    if hash(group) in closed:
                        scattered.add(hash(group))
                    last = group
        return scattered

    def records(self, scattered: set[int]) -> Iterator[Record]:
        """Second pass; the file must be the one that was checked."""
        waiting = _Waiting(self.path.name)
        group: list[ox.Triple] = []
        last: tuple[Any, str] | None = None

        def close() -> Iterator[Record]:
            if not group or last is None:
                return
            plain = isinstance(last[0], ox.NamedNode) and not any(isinstance(t.object, ox.BlankNode) for t in group)
            if plain and hash(last) not in scattered:
                yield Record(_name(last[0]), tuple(dict.fromkeys(group)), last[1])
            else:
                waiting.add(group, last[1])

        with _blame(self.path):
            for quad in self._parse():
                key = (quad.subject, self._graph_of(quad))
                if key != last:
                    yield from close()
                    group, last = [], key
                group.append(quad.triple)
            yield from close()
        yield from waiting.records()

    def _parse(self) -> Iterator[ox.Quad]:
        format_ = FORMATS[self.format_name]
        base = self.base
        if self.format_name == "json-ld":
            return ox.parse(self._json_ld(), format_, base_iri=base)
        return ox.parse(self._open(), format_, base_iri=base)

    def _open(self) -> IO[bytes]:
        raw: IO[bytes] = self.path.open("rb") if self.body is None else io.BufferedReader(io.BytesIO(self.body))
        if raw.peek(2)[:2] == b"\x1f\x8b":  # type: ignore[attr-defined]  # by content: a plain file may be named .gz
            raw = io.BufferedReader(gzip.GzipFile(fileobj=raw), _CHUNK)
        if raw.peek(3)[:3] == b"\xef\xbb\xbf":  # type: ignore[attr-defined]  # byte order mark
            raw.read(3)
        return raw

    def _graph_of(self, quad: ox.Quad) -> str:
        name = quad.graph_name
        if isinstance(name, ox.DefaultGraph):
            return ""
        if (
            not isinstance(name, ox.NamedNode)
            or not name.value.startswith(self.siblings)
            or "/" in name.value[len(self.siblings) :]
        ):
            raise InputError(
                f"the file writes to graph {name}", place=str(self.path), rule="a commit goes to graphs of its author",
                remedy=f"use the default graph, <{self.graph}>, or a graph under <{self.siblings}>",
            )  # fmt: skip
        return "" if name.value == self.graph else name.value

    def _check_terms(self, quad: ox.Quad) -> None:
        value = quad.object
        problem = ""
        if isinstance(value, ox.Literal):
            if len(value.value) > MAX_LITERAL // 4 and len(value.value.encode()) > MAX_LITERAL:
                problem = f"has a literal of {len(value.value.encode())} bytes; the largest is {MAX_LITERAL}"
            elif "\0" in value.value:
                problem = "has a literal with the character NUL"
        elif isinstance(value, ox.Triple):
            problem = "uses a triple as a term (RDF 1.2)"
        if problem or isinstance(quad.subject, ox.Triple):
            raise InputError(
                f"{_name(quad.subject)} {problem or 'is a triple (RDF 1.2)'}",
                place=f"{self.path}, {_name(quad.predicate)}", rule="terms that the graph can hold",
                remedy="keep large values in a file and state its digest; state facts about facts with dapp:Claim",
            )  # fmt: skip

    def _check_xml(self) -> None:
        """Well-formedness by expat, which also stops entity bombs."""
        parser = expat.ParserCreate(namespace_separator=" ")
        depth = 0

        def opened(name: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > MAX_DEPTH:
                line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
                raise _syntax(self.path, f"elements nested more than {MAX_DEPTH} deep", line, column)

        def closed(name: str) -> None:
            nonlocal depth
            depth -= 1

        parser.StartElementHandler, parser.EndElementHandler = opened, closed
        with _blame(self.path), self._open() as source:
            try:
                while block := source.read(_CHUNK):
                    parser.Parse(block, False)
                parser.Parse(b"", True)
            except expat.ExpatError as error:
                raise _syntax(
                    self.path, expat.ErrorString(error.code) or "not XML", error.lineno, error.offset + 1
                ) from error

    def _json_ld(self) -> bytes:
        """The document with our own context put in; contexts elsewhere would need the network and are refused."""
        with _blame(self.path), self._open() as source:
            data = source.read()
            try:
                text = data.decode("utf-8")
                if too_deep(text):
                    raise _syntax(self.path, "nested too deeply", None, None)
                document = json.loads(
                    text, object_pairs_hook=self._object, parse_float=self._number, parse_constant=self._number
                )
                local = json.dumps(self._with_context(document, text)).encode() if '"@context"' in text else data
            except json.JSONDecodeError as error:
                raise _syntax(self.path, error.msg, error.lineno, error.colno) from error
            except (RecursionError, ValueError) as error:
                if isinstance(error, UnicodeError):
                    raise
                reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(":")[0]
                raise _syntax(self.path, reason, None, None) from error
        return local

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """A JSON object; a second value for a key would silently replace the first."""
        value = dict(pairs)
        if len(value) < len(pairs):
            keys = [key for key, _ in pairs]
            raise _syntax(
                self.path, f"key {next(k for k in keys if keys.count(k) > 1)!r} occurs twice in one object", None, None
            )
        return value

    def _number(self, digits: str) -> float:
        """A JSON number, which is an `xsd:double`."""
        if not isfinite(value := float(digits)):
            raise _syntax(self.path, f"{digits} is no number that JSON-LD can hold", None, None)
        return value

    def _with_context(self, value: Any, text: str) -> Any:
        if isinstance(value, list):
            return [self._with_context(item, text) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: self._local(inner, text) if key == "@context" else self._with_context(inner, text)
            for key, inner in value.items()
        }

    def _local(self, context: Any, text: str) -> Any:
        """A context in which nothing is remote any more."""
        if isinstance(context, list):
            return [self._local(item, text) for item in context]
        if context == CONTEXT_IRI:
            return _own_context()
        remote = context if isinstance(context, str) else context.get("@import") if isinstance(context, dict) else None
        if remote is not None:
            before = text[: max(0, text.find(json.dumps(remote)))]
            raise InputError(
                f"the context {remote} would have to be fetched", rule="imports never use the network",
                place=f"{self.path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}",
                remedy=f"put the context into the file, or use {CONTEXT_IRI}, which is built in",
            )  # fmt: skip
        return context


@cache
def _own_context() -> Any:
    found = files("ontology", "context.jsonld")
    if not found:
        raise InputError("the shipped context is missing", place="ontology/context.jsonld", remedy="reinstall dappops")
    return json.loads(found[0].read_text(encoding="utf-8"))["@context"]


class _Waiting:
    """Triples whose record is not complete before the file ends: scattered subjects and those with blank nodes.

    Subjects that share a blank node are one record: half of what they say would be another statement.
    """

    def __init__(self, file_name: str) -> None:
        self._file = file_name
        self._triples: dict[tuple[Any, str], dict[ox.Triple, None]] = {}
        self._parent: dict[tuple[Any, str], tuple[Any, str]] = {}

    def add(self, triples: list[ox.Triple], graph: str) -> None:
        """Take triples of one subject."""
        key = (triples[0].subject, graph)
        self._triples.setdefault(key, {}).update(dict.fromkeys(triples))
        self._root(key)
        for triple in triples:
            if isinstance(triple.object, ox.BlankNode):
                self._parent[self._root((triple.object, graph))] = self._root(key)

    def _root(self, key: tuple[Any, str]) -> tuple[Any, str]:
        path = []
        while (parent := self._parent.setdefault(key, key)) != key:
            path.append(key)
            key = parent
        for passed in path:
            self._parent[passed] = key
        return key

    def records(self) -> Iterator[Record]:
        """The records, in the order in which their first subject appeared."""
        members: dict[tuple[Any, str], list[tuple[Any, str]]] = {}
        for key in self._triples:
            members.setdefault(self._root(key), []).append(key)
        for number, keys in enumerate(members.values(), 1):
            named = [subject for subject, _ in keys if isinstance(subject, ox.NamedNode)]
            name = _name(named[0]) if named else f"{self._file}, unnamed thing {number}"
            more = f" (with {len(named) - 1} more that share a blank node)" if len(named) > 1 else ""
            yield Record(name + more, tuple(triple for key in keys for triple in self._triples[key]), keys[0][1])


def _name(term: Any) -> str:
    return term.value if isinstance(term, ox.NamedNode) else str(term)


def _syntax(path: Path, message: str, line: int | None, column: int | None) -> InputError:
    place = str(path) if line is None else f"{path}:{line}:{column or 1}"
    return InputError(message, place=place, rule="the file's syntax", remedy="correct it there; nothing was written")


@contextmanager
def _blame(path: Path) -> Iterator[None]:
    """Turns what reading can raise into one InputError with place and remedy."""
    try:
        yield
    except SyntaxError as error:
        message = str(error.msg).partition(": ")[2] if str(error.msg).startswith("Parser error at") else str(error.msg)
        raise _syntax(path, message, error.lineno, error.offset) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the compressed data is cut off or damaged: {error}"
        raise InputError(message, place=str(path), remedy="copy or compress it again; nothing was written") from error
    except UnicodeError as error:
        raise InputError(
            f"not UTF-8: {error}", place=str(path), remedy="save it in UTF-8; nothing was written"
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}", place=str(path), remedy="check the path"
        ) from error
    except MemoryError as error:
        if "buffer maximal size" not in str(error):  # pyoxigraph's limit on one token, not the machine's
            raise
        message = "one name or literal is longer than 16 MiB, or a quotation mark is missing"
        raise _syntax(path, message, None, None) from error
