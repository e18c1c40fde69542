"""The public face of a knowledge base: `engine.open(home)`, queries, changes, history.

The same object works as the owner of the files or as a client of the process that owns them; it changes from client to
owner by itself when the owner ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import InputError, NotAvailableError
from engine.graph import history, service, wire
from engine.graph.commit import Receipt
from engine.graph.kernel import Kernel
from engine.graph.keys import KeyRing
from engine.graph.owner import OwnerClient, OwnerGoneError, OwnerLock, OwnerServer, attach
from reasoners.graph import Delta, Term, View
from reasoners.vocab import BASE, PREFIXES

if TYPE_CHECKING:
    import rdflib

PATIENCE = 60.0  # seconds to wait for an owner that is starting or recovering
Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Table:
    """Answer of a SELECT: variable names and rows of terms (None: unbound)."""

    variables: tuple[str, ...]
    rows: tuple[tuple[Term | None, ...], ...]
    truncated: bool = False

    def __iter__(self) -> Iterator[tuple[Term | None, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def bindings(self) -> list[dict[str, Term]]:
        """Rows as dictionaries of the bound variables."""
        return [{v: t for v, t in zip(self.variables, row, strict=True) if t is not None} for row in self.rows]


@dataclass(slots=True)
class Change:
    """A changeset being put together; it is committed when its `with` block ends without an error."""

    graph: str
    added: list[ox.Triple] = field(default_factory=list)
    removed: list[ox.Triple] = field(default_factory=list)
    receipt: Receipt | None = None

    def add(self, subject: Any, predicate: Any = None, obj: Any = None) -> None:
        """Add a triple: an `ox.Triple`, or three terms (pyoxigraph or rdflib terms, `prefix:name`, IRIs, Python values)."""
        self.added.append(_triple(subject, predicate, obj))

    def remove(self, subject: Any, predicate: Any = None, obj: Any = None) -> None:
        """Remove a triple."""
        self.removed.append(_triple(subject, predicate, obj))

    def parse(self, text: str, format: str = "turtle") -> None:
        """Add the triples of an RDF text (`turtle`, `nt`, `rdf+xml`, `json-ld`)."""
        formats = {
            "turtle": ox.RdfFormat.TURTLE, "nt": ox.RdfFormat.N_TRIPLES, "rdf+xml": ox.RdfFormat.RDF_XML,
            "json-ld": ox.RdfFormat.JSON_LD,
        }  # fmt: skip
        if format not in formats:
            raise InputError(f"format {format!r} is not read here", remedy=f"one of {', '.join(formats)}")
        try:
            parsed = [q.triple for q in ox.parse(text, format=formats[format], rename_blank_nodes=True)]
        except SyntaxError as error:
            raise InputError(str(error), rule=format) from error
        self.added.extend(parsed)


class KnowledgeBase:
    """An open knowledge base. Use `engine.open`; close it, or use it as a context manager."""

    def __init__(
        self,
        home: Path | None,
        *,
        author: str | None = None,
        safe: bool = False,
        base: str = BASE,
        patience: float = PATIENCE,
    ) -> None:
        self.home, self._author, self._safe, self._base, self._patience = home, author, safe, base, patience
        self.kernel: Kernel | None = None
        self._client: OwnerClient | None = None
        self._server: OwnerServer | None = None
        self._lock: OwnerLock | None = None
        self._keys: KeyRing | None = KeyRing(home / "keys") if home else None
        self._attach()

    # -- owner or client --------------------------------------------------------------------------------------------
    def _attach(self) -> None:
        if self.home is None:
            self.kernel = Kernel(None, base=self._base, safe=self._safe)
            return
        self._lock = self._lock or OwnerLock(self.home)
        self._client = attach(self.home, self._lock, self._patience)
        if self._client is None:
            try:
                self.kernel = Kernel(self.home, base=self._base, safe=self._safe)
            except BaseException:
                self._lock.release()
                self._lock = None
                raise
            self._expire(self.kernel)
            self._server = OwnerServer(self.home, self._dispatch)

    @staticmethod
    def _expire(kernel: Kernel) -> None:
        """Commit what has expired meanwhile, unless the node's key is locked: reading needs no passphrase."""
        with suppress(InputError), kernel.lock.held():
            history.expire(kernel, int(time.time()))

    @property
    def is_owner(self) -> bool:
        """Whether this process holds the files itself."""
        return self.kernel is not None

    def _dispatch(
        self,
        method: str,
        params: dict[str, Any],
        ask: Callable[[dict[str, Any]], dict[str, Any]],
        tell: Callable[[dict[str, Any]], None],
    ) -> Any:
        assert self.kernel is not None
        caller = service.Caller(
            sign=lambda address, digest: bytes.fromhex(
                ask({"sign": {"address": address, "digest": digest.hex()}})["signature"]
            ),
            progress=lambda frame: tell({"progress": frame}),
        )
        return service.call(self.kernel, method, params, caller)

    def _sign(self, address: str, digest: bytes) -> bytes:
        if self.kernel is not None:
            return self.kernel.key(address).sign(digest)
        assert self._keys is not None
        return self._keys.unlock(address).sign(digest)

    def call(self, method: str, progress: Progress | None = None, /, **params: Any) -> Any:
        """Call a service method (see `engine.graph.service`) here or at the owner."""
        while True:
            if self.kernel is not None:
                caller = service.Caller(self._sign, progress or (lambda frame: None))
                return service.call(self.kernel, method, params, caller)
            assert self._client is not None
            try:
                return self._client.call(method, params, sign=self._sign, progress=progress)
            except OwnerGoneError:
                # effective deltas make repeating safe: what was accepted already is no change
                self._client.close()
                self._attach()

    def close(self) -> None:
        """Save and let go; a client only hangs up."""
        if self.kernel is not None:
            self.kernel.feed.close()
        if self._server is not None:
            self._server.close()
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None
        if self._client is not None:
            self._client.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- who --------------------------------------------------------------------------------------------------------
    @property
    def author(self) -> str:
        """Address that signs what this object commits (default: the node's)."""
        if self._author is None:
            self._author = str(self.info()["node"])
        return self._author

    def info(self) -> dict[str, Any]:
        """Home, node, keys, graphs and their heads."""
        result: dict[str, Any] = self.call("info")
        return result

    def graph_iri(self, name: str, author: str | None = None) -> str:
        """IRI of a graph by short name."""
        from engine.graph.names import graph_iri

        base = self.kernel.base if self.kernel is not None else str(self.info()["base"])
        return name if "://" in name else graph_iri(author or self.author, name, base)

    # -- reading ----------------------------------------------------------------------------------------------------
    def query(
        self, text: str, *, as_of: int | None = None, limit: int | None = None, regime: str = "hierarchy"
    ) -> Table | bool | list[ox.Triple]:
        """Answer a SPARQL query; the default graph is the union of the readable graphs and what rules derived.

        `as_of`: the state after that transaction; `regime="full"`: with the OWL 2 RL closure on top.
        """
        answer = self.call("query", text=text, as_of=as_of, limit=limit, regime=regime)
        if "boolean" in answer:
            return bool(answer["boolean"])
        if "triples" in answer:
            return wire.decode_triples(answer["triples"])
        rows = tuple(tuple(None if t is None else wire.decode_term(t) for t in row) for row in answer["rows"])
        return Table(tuple(answer["variables"]), rows, answer["truncated"])

    def select(self, text: str, **options: Any) -> Table:
        """`query` for a SELECT."""
        answer = self.query(text, **options)
        if not isinstance(answer, Table):
            raise InputError("not a SELECT query", place="query")
        return answer

    def prove_query(self, text: str, *, limit: int | None = None, regime: str = "hierarchy") -> dict[str, Any]:
        """Answer a SELECT or ASK with the proof of each row: as the service's `query`, and `proof`, a proof file's value."""
        answer: dict[str, Any] = self.call("prove_query", text=text, limit=limit, regime=regime)
        return answer

    def quads(
        self,
        subject: Term | None = None,
        predicate: ox.NamedNode | None = None,
        obj: Term | None = None,
        graph: str | None = None,
    ) -> list[ox.Quad]:
        """Quads matching a pattern, in one graph or in the union."""
        text = self.call(
            "quads",
            subject=None if subject is None else str(subject),
            predicate=None if predicate is None else str(predicate),
            object=None if obj is None else str(obj),
            graph=graph,
        )
        return list(ox.parse(text, format=ox.RdfFormat.N_QUADS, lenient=True)) if text else []

    def view(self) -> View:
        """The closure as a View, for reasoners; only the owner has it."""
        if self.kernel is None:
            raise NotAvailableError(
                "another process owns the store", place=str(self.home), remedy="use `query`, or call a service method"
            )
        return self.kernel.store.view()

    def dataset(self) -> rdflib.Dataset:
        """A read-only rdflib Dataset of the current state."""
        from engine.graph.access import open_dataset

        return open_dataset(self)

    def log(self, limit: int = 20, graph: str | None = None) -> list[dict[str, Any]]:
        """Transactions, newest first."""
        result: list[dict[str, Any]] = self.call("log", limit=limit, graph=graph)
        return result

    def diff(self, old: int, new: int | None = None, graph: str | None = None) -> Delta:
        """What changed in the asserted graphs between two transactions."""
        answer = self.call("diff", old=old, new=new, graph=graph)

        def parsed(text: str) -> tuple[ox.Quad, ...]:
            return tuple(ox.parse(text, format=ox.RdfFormat.N_QUADS, lenient=True)) if text else ()

        return Delta(parsed(answer["removed"]), parsed(answer["added"]))

    # -- writing ----------------------------------------------------------------------------------------------------
    def commit(
        self,
        graph: str,
        added: Sequence[ox.Triple] = (),
        removed: Sequence[ox.Triple] = (),
        *,
        author: str | None = None,
        message: str = "",
        expires: int = 0,
    ) -> Receipt:
        """Commit to one graph (IRI or short name); `Refused` when an integrity shape is violated."""
        return self.commit_all({graph: (removed, added)}, author=author, message=message, expires=expires)

    def commit_all(
        self,
        changes: Mapping[str, tuple[Iterable[ox.Triple], Iterable[ox.Triple]]],
        *,
        author: str | None = None,
        message: str = "",
        expires: int = 0,
    ) -> Receipt:
        """Commit to several graphs as one transaction: graph -> (removed, added)."""
        author = (author or self.author).lower()
        if self.kernel is not None:
            lists = {g: (list(r), list(a)) for g, (r, a) in changes.items()}
            return self.kernel.commit(lists, author=author, message=message, expires=expires)
        encoded = {
            g: {"removed": wire.encode_triples(r), "added": wire.encode_triples(a)} for g, (r, a) in changes.items()
        }
        return Receipt.from_json(self.call("commit", changes=encoded, author=author, message=message, expires=expires))

    @contextmanager
    def change(self, author: str | None = None, *, graph: str = "main", message: str = "") -> Iterator[Change]:
        """Put a changeset together and commit it at the end of the block; an exception inside writes nothing."""
        draft = Change(graph)
        yield draft
        draft.receipt = self.commit(graph, draft.added, draft.removed, author=author, message=message)

    def update(self, text: str, *, author: str | None = None, graph: str = "main", message: str = "") -> Receipt:
        """Evaluate a SPARQL Update to its delta and commit that; triples without GRAPH go to `graph`."""
        return Receipt.from_json(
            self.call("update", text=text, author=author or self.author, graph=graph, message=message)
        )

    def revert(self, sequence: int, *, author: str | None = None) -> Receipt:
        """Commit the reverse of a transaction."""
        return Receipt.from_json(self.call("revert", sequence=sequence, author=author or self.author))


def open(  # the documented name: `engine.open(…)`
    home: str | os.PathLike[str] | None = None,
    *,
    author: str | None = None,
    safe: bool = False,
    base: str = BASE,
    patience: float = PATIENCE,
) -> KnowledgeBase:
    """Open (or make) the knowledge base in folder `home`; `":memory:"` keeps nothing.

    Default folder: `DAPPOPS_HOME`, else `.dappops` here. `safe` opens without local rules and shapes. BusyError when
    another process owns it and does not answer within `patience` seconds.
    """
    chosen = home if home is not None else os.environ.get("DAPPOPS_HOME", ".dappops")
    path = None if str(chosen) == ":memory:" else Path(chosen).absolute()
    return KnowledgeBase(path, author=author, safe=safe, base=base, patience=patience)


def _triple(subject: Any, predicate: Any, obj: Any) -> ox.Triple:
    if isinstance(subject, ox.Triple):
        return subject
    if isinstance(subject, ox.Quad):
        return subject.triple
    return ox.Triple(_term(subject, place="subject"), _term(predicate, place="predicate"), _term(obj, place="object"))  # type: ignore[arg-type]


def _term(value: Any, *, place: str) -> Term:
    """A pyoxigraph term from what a person would write."""
    if isinstance(value, ox.NamedNode | ox.BlankNode | ox.Literal):
        return value
    if hasattr(value, "n3"):  # an rdflib term
        return wire.decode_term(value.n3())
    if isinstance(value, str):
        prefix, colon, name = value.partition(":")
        if colon and prefix in PREFIXES and not name.startswith("//"):
            return ox.NamedNode(PREFIXES[prefix] + name)
        if place != "object" or "://" in value or value.startswith("urn:"):
            return ox.NamedNode(value)
        return ox.Literal(value)
    if isinstance(value, bool | int | float):
        return ox.Literal(value)
    raise InputError(
        f"{value!r} is not an RDF term",
        place=place,
        remedy="pass a pyoxigraph or rdflib term, an IRI, or a Python value",
    )
