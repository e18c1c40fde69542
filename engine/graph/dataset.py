"""A read-only rdflib Dataset over a knowledge base, for everything that speaks rdflib.

It serves any `QuadSource`, so that the process that owns the store and one that is its client look the same; that is
why the package oxrdflib, which needs the store itself, is not used. The dataset's union (`default_union`) is what
everybody sees: the closure and the inert graph. Its named graphs are the asserted ones; its default graph holds what
is in the union and in no asserted graph, that is, what rules derived. SPARQL goes to the source's engine; rdflib's own
engine works too (`use_store_provided=False`). Nothing can be written here: `kb.change(author)` is the only way in.

Opening a dataset turns rdflib's `SPARQL_LOAD_GRAPHS` off for the whole process: otherwise FROM would fetch from the
network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import pyoxigraph as ox
import rdflib
import rdflib.plugins.sparql
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID
from rdflib.query import Result
from rdflib.store import Store
from rdflib.term import BNode, Identifier, Literal, URIRef, Variable

from engine.errors import InputError, did_you_mean
from reasoners.graph import Term
from reasoners.vocab import XSD

REMEDY = "with kb.change(author) as change: …"
GraphKey = ox.NamedNode | ox.DefaultGraph | None
Pattern = tuple[Term | None, ox.NamedNode | None, Term | None]


@dataclass(frozen=True, slots=True)
class Solutions:
    """Rows of a SELECT; a row has a term or None per variable."""

    variables: Sequence[str]
    rows: Iterable[Sequence[Term | None]]


class QuadSource(Protocol):
    """Where a dataset reads from. Every call answers from accepted state only."""

    def quads(
        self,
        subject: Term | None,
        predicate: ox.NamedNode | None,
        obj: Term | None,
        graph: ox.NamedNode | ox.DefaultGraph | None,
    ) -> Iterator[ox.Quad]:
        """Quads of one asserted graph; of the union (DefaultGraph), each once, under any graph name; of all asserted
        graphs (None)."""

    def graph_names(self) -> list[str]:
        """IRIs of the asserted graphs, the empty ones included."""

    def query(
        self,
        text: str,
        *,
        graph: str | None,
        prefixes: Mapping[str, str],
        base: str | None,
        substitutions: Mapping[str, Term],
    ) -> Solutions | bool | Iterable[ox.Triple]:
        """Answer SPARQL on the union or on one graph; NotImplementedError for what rdflib's engine shall do instead."""


def dataset(source: QuadSource) -> rdflib.Dataset:
    """A read-only rdflib Dataset of the source's current state."""
    rdflib.plugins.sparql.SPARQL_LOAD_GRAPHS = False
    return ReadOnlyDataset(ReadOnlyStore(source))


# -- terms -----------------------------------------------------------------------------------------------------------
def to_rdflib(term: Term) -> URIRef | BNode | Literal:
    """The same term in rdflib: lexical form, datatype and language tag are kept, ill-typed literals too."""
    if isinstance(term, ox.NamedNode):
        return URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return BNode(term.value)
    if term.language is not None:
        return Literal(term.value, lang=term.language)
    if term.datatype == XSD.string:
        return Literal(term.value)
    return Literal(term.value, datatype=URIRef(term.datatype.value), normalize=False)


def from_rdflib(term: object) -> Term | None:
    """The same term in pyoxigraph; None for what no graph here can hold (variables, formulas, malformed IRIs)."""
    try:
        if isinstance(term, URIRef):
            return ox.NamedNode(str(term))
        if isinstance(term, BNode):
            return ox.BlankNode(str(term))
        if isinstance(term, Literal):
            if term.language:
                return ox.Literal(str(term), language=term.language.lower())
            return ox.Literal(str(term), datatype=ox.NamedNode(str(term.datatype)) if term.datatype else None)
    except ValueError:
        return None
    return None


# -- store -----------------------------------------------------------------------------------------------------------
def _refuse(*_: object, **__: object) -> NoReturn:
    raise InputError(
        "this dataset is read-only",
        place="kb.dataset()",
        rule="nothing enters the graph without passing the gate",
        remedy=REMEDY,
    )


class ReadOnlyStore(Store):
    """rdflib's store interface over a QuadSource."""

    context_aware = True
    graph_aware = True
    formula_aware = False
    transaction_aware = False

    def __init__(self, source: QuadSource) -> None:
        super().__init__()
        self._source = source
        self._prefixes: dict[str, URIRef] = {}

    # rdflib calls these for every way to write; `Dataset.update` and `Graph.update` end in `update`
    add = addN = remove = remove_graph = update = commit = rollback = create = destroy = _refuse  # noqa: N815

    def add_graph(self, graph: rdflib.Graph) -> None:
        """Accept a graph that exists (rdflib asks this to read one); InputError for another."""
        iri = str(graph.identifier)
        if iri != str(DATASET_DEFAULT_GRAPH_ID) and iri not in (known := self._source.graph_names()):
            raise InputError(
                f"there is no graph <{iri}>{did_you_mean(iri, known)}",
                place="kb.dataset()",
                rule="a graph is made by its first commit",
                remedy=REMEDY,
            )

    # -- patterns ---------------------------------------------------------------------------------------------------
    def triples(
        self, triple_pattern: tuple[Any, Any, Any], context: Any = None
    ) -> Iterator[tuple[tuple[Any, Any, Any], Iterator[rdflib.Graph]]]:
        """Matching triples, each once, with the graphs that hold it (found when asked for)."""
        pattern = _pattern(triple_pattern)
        if pattern is None:
            return
        name = self._context(context)
        holders = _Holders(self._source, pattern, self._graph)
        if name == DATASET_DEFAULT_GRAPH_ID:
            for triple in self._derived(pattern):
                yield _triple(triple), iter((self._graph(DATASET_DEFAULT_GRAPH_ID),))
            return
        graph = ox.DefaultGraph() if name is None else _name(name)
        if graph is None:
            return
        for quad in self._source.quads(*pattern, graph):
            yield _triple(quad.triple), holders.of(quad.triple)

    def _derived(self, pattern: Pattern) -> Iterator[ox.Triple]:
        asserted = {q.triple for q in self._source.quads(*pattern, None)}
        for quad in self._source.quads(*pattern, ox.DefaultGraph()):
            if quad.triple not in asserted:
                yield quad.triple

    def __len__(self, context: Any = None) -> int:
        """Number of triples of a graph or of the union (a scan)."""
        name = self._context(context)
        if name == DATASET_DEFAULT_GRAPH_ID:
            return sum(1 for _ in self._derived((None, None, None)))
        graph = ox.DefaultGraph() if name is None else _name(name)
        return 0 if graph is None else sum(1 for _ in self._source.quads(None, None, None, graph))

    def contexts(self, triple: tuple[Any, Any, Any] | None = None) -> Generator[rdflib.Graph, None, None]:
        """The asserted graphs; with a triple (or pattern), the graphs that hold a match."""
        if triple is None or triple == (None, None, None):
            for name in self._source.graph_names():
                yield self._graph(URIRef(name))
            return
        pattern = _pattern(triple)
        if pattern is None:
            return
        for name in sorted({_iri(q) for q in self._source.quads(*pattern, None)}):
            yield self._graph(URIRef(name))
        if any(True for _ in self._derived(pattern)):
            yield self._graph(DATASET_DEFAULT_GRAPH_ID)

    def _graph(self, name: Identifier) -> rdflib.Graph:
        return rdflib.Graph(store=self, identifier=name)

    @staticmethod
    def _context(context: Any) -> Identifier | None:
        """Identifier of the graph meant; None for the union (a Dataset stands for it)."""
        if context is None or isinstance(context, rdflib.ConjunctiveGraph):
            return None
        identifier: Identifier = context.identifier if isinstance(context, rdflib.Graph) else context
        return identifier

    # -- SPARQL -----------------------------------------------------------------------------------------------------
    def query(
        self,
        query: Any,
        initNs: Mapping[str, Any],  # noqa: N803
        initBindings: Mapping[Any, Any],  # noqa: N803
        queryGraph: Any,  # noqa: N803
        **options: Any,
    ) -> Result:
        """Answer by the source's engine; NotImplementedError hands the query to rdflib's engine."""
        text, prefixes, base = query, initNs, options.get("base")
        if not isinstance(query, str):
            prepared = getattr(query, "_original_args", None)
            if prepared is None:
                raise NotImplementedError
            text, prefixes, base = prepared[0], {**initNs, **prepared[1]}, prepared[2]
        if queryGraph == DATASET_DEFAULT_GRAPH_ID or isinstance(queryGraph, BNode):
            raise NotImplementedError
        substitutions: dict[str, Term] = {}
        for variable, value in initBindings.items():
            term = from_rdflib(value)
            if term is None or isinstance(term, ox.BlankNode):
                raise NotImplementedError
            substitutions[str(variable).lstrip("?")] = term
        found = self._source.query(
            text,
            graph=None if queryGraph == "__UNION__" else str(queryGraph),
            prefixes={str(p): str(n) for p, n in prefixes.items()},
            base=None if base is None else str(base),
            substitutions=substitutions,
        )
        return _result(found)

    # -- prefixes: they belong to this object, not to the knowledge base ----------------------------------------------
    def bind(self, prefix: str, namespace: URIRef, override: bool = True) -> None:
        """Remember a prefix for this dataset's queries and serialisations."""
        taken = self.prefix(namespace)
        if override:
            if taken is not None:
                del self._prefixes[taken]
            self._prefixes[prefix] = namespace
        elif taken is None:
            self._prefixes.setdefault(prefix, namespace)

    def namespace(self, prefix: str) -> URIRef | None:
        """The namespace of a prefix."""
        return self._prefixes.get(prefix)

    def prefix(self, namespace: URIRef) -> str | None:
        """The prefix of a namespace."""
        return next((p for p, n in self._prefixes.items() if n == namespace), None)

    def namespaces(self) -> Iterator[tuple[str, URIRef]]:
        """All prefixes bound here."""
        yield from list(self._prefixes.items())


class ReadOnlyDataset(rdflib.Dataset):
    """A Dataset that refuses to write before it would fetch or parse anything, and never asks another endpoint."""

    def __init__(self, store: ReadOnlyStore) -> None:
        super().__init__(store=store, default_union=True)

    parse = load = remove_graph = remove_context = _refuse

    def update(self, update_object: Any, *options: Any, **more: Any) -> None:
        """Refused: see `kb.update`."""
        _refuse()

    def query(self, query_object: Any, *options: Any, **more: Any) -> Result:
        """Like `Dataset.query`; InputError for SERVICE, also in rdflib's own engine."""
        from engine.graph.sparql_text import reads_of_query, refuse_service

        text = (
            query_object
            if isinstance(query_object, str)
            else (getattr(query_object, "_original_args", None) or ("",))[0]
        )
        service = reads_of_query(text).service
        if service is not None:
            raise refuse_service(text, service)
        return super().query(query_object, *options, **more)


# -- helpers ---------------------------------------------------------------------------------------------------------
class _Holders:
    """The graphs that hold the triples of a pattern, fetched once, when the first is asked for."""

    def __init__(self, source: QuadSource, pattern: Pattern, graph: Callable[[Identifier], rdflib.Graph]) -> None:
        self._source, self._pattern, self._graph = source, pattern, graph
        self._found: dict[ox.Triple, list[str]] | None = None

    def of(self, triple: ox.Triple) -> Iterator[rdflib.Graph]:
        if self._found is None:
            self._found = {}
            for quad in self._source.quads(*self._pattern, None):
                self._found.setdefault(quad.triple, []).append(_iri(quad))
        names = self._found.get(triple)
        if not names:
            yield self._graph(DATASET_DEFAULT_GRAPH_ID)
            return
        for name in names:
            yield self._graph(URIRef(name))


def _iri(quad: ox.Quad) -> str:
    if not isinstance(quad.graph_name, ox.NamedNode):
        raise TypeError("an asserted graph is named by an IRI")
    return quad.graph_name.value


def _name(identifier: object) -> ox.NamedNode | None:
    term = from_rdflib(identifier)
    return term if isinstance(term, ox.NamedNode) else None


def _pattern(triple: tuple[Any, Any, Any]) -> Pattern | None:
    """The pattern in pyoxigraph terms; None when nothing can match it."""
    terms: list[Term | None] = []
    for term in triple:
        converted = None if term is None else from_rdflib(term)
        if term is not None and converted is None:
            return None
        terms.append(converted)
    subject, predicate, obj = terms
    if isinstance(subject, ox.Literal) or (predicate is not None and not isinstance(predicate, ox.NamedNode)):
        return None
    return subject, predicate, obj


def _triple(triple: ox.Triple) -> tuple[URIRef | BNode | Literal, URIRef | BNode | Literal, URIRef | BNode | Literal]:
    return to_rdflib(triple.subject), to_rdflib(triple.predicate), to_rdflib(triple.object)  # type: ignore[arg-type]


def _result(found: Solutions | bool | Iterable[ox.Triple]) -> Result:
    if isinstance(found, bool):
        answer = Result("ASK")
        answer.askAnswer = found
        return answer
    if isinstance(found, Solutions):
        answer = Result("SELECT")
        variables = [Variable(v) for v in found.variables]
        answer.vars = variables
        answer.bindings = (
            {v: to_rdflib(t) for v, t in zip(variables, row, strict=True) if t is not None} for row in found.rows
        )
        return answer
    answer = Result("CONSTRUCT")
    answer.graph = rdflib.Graph()
    for triple in found:
        answer.graph.add(_triple(triple))
    return answer


__all__ = [
    "GraphKey",
    "QuadSource",
    "ReadOnlyDataset",
    "ReadOnlyStore",
    "Solutions",
    "dataset",
    "from_rdflib",
    "to_rdflib",
]
