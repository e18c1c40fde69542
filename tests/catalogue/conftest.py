"""A second target for imports beside the kernel: one graph in memory, gated by SHACL over its whole state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyoxigraph as ox
import pytest

from engine.catalogue.cloud import CloudCatalogue
from engine.catalogue.records import Record
from engine.errors import InputError
from engine.resources import files
from reasoners.graph import View

GRAPH = f"https://w3id.org/dappops/g/0x{'a1' * 20}/cloud"
SH = "http://www.w3.org/ns/shacl#"

SMALL_SHAPES = """
@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> . @prefix e: <urn:e:> .
e:ThingShape a sh:NodeShape ; sh:targetClass e:Thing ; sh:property e:ThingShape-size .
e:ThingShape-size sh:path e:size ; sh:minCount 1 ; sh:maxCount 1 ; sh:datatype xsd:integer ;
  sh:message "A thing needs one whole size: add e:size."@en .
"""


@dataclass(frozen=True)
class Violation:
    """What the gate says about one node."""

    focus: Any
    value: Any
    shape: Any
    message: str


class GateRefusal(InputError):
    """A commit that shapes refuse."""

    def __init__(self, results: list[Violation]) -> None:
        super().__init__(f"{len(results)} violations")
        self.results = results


@dataclass(frozen=True)
class Done:
    """What a commit did."""

    sequence: int | None
    added: int
    removed: int


@dataclass
class MemoryTarget:
    """Commits effective deltas to one in-memory graph; pySHACL validates the state it would make."""

    shapes: str = SMALL_SHAPES
    background: str = ""
    commits: list[int] = field(default_factory=list)
    dies_at: int | None = None
    anonymous: bool = False  # refuse without saying which node is wrong
    latest: int = 0

    def __post_init__(self) -> None:
        self.store = ox.Store()

    @property
    def view(self) -> View:
        """The live state."""
        return View(self.store, [ox.NamedNode(GRAPH)])

    def triples(self) -> set[ox.Triple]:
        """All that is in the graph."""
        return {quad.triple for quad in self.store}

    def commit(
        self,
        graph: str,
        added: Sequence[ox.Triple],
        removed: Sequence[ox.Triple] = (),
        *,
        author: str | None = None,
        message: str = "",
    ) -> Done:
        """Apply, validate, keep or undo."""
        if self.dies_at is not None and len(self.commits) >= self.dies_at:
            raise KeyboardInterrupt
        name = ox.NamedNode(graph)
        gone = [q for t in removed if (q := ox.Quad(t.subject, t.predicate, t.object, name)) in self.store]
        come = [
            q for t in dict.fromkeys(added) if (q := ox.Quad(t.subject, t.predicate, t.object, name)) not in self.store
        ]
        if not gone and not come:
            return Done(None, 0, 0)
        for quad in gone:
            self.store.remove(quad)
        self.store.extend(come)
        results = list(self._validate(name))
        if results:
            for quad in come:
                self.store.remove(quad)
            self.store.extend(gone)
            raise InputError("something is wrong") if self.anonymous else GateRefusal(results)
        self.commits.append(len(come))
        self.latest += 1
        return Done(self.latest, len(come), len(gone))

    def _validate(self, name: ox.NamedNode) -> Iterator[Violation]:
        if not self.shapes:
            return
        import pyshacl
        import rdflib

        text = ox.serialize(
            (q.triple for q in self.store.quads_for_pattern(None, None, None, name)), format=ox.RdfFormat.N_TRIPLES
        )
        data = rdflib.Graph().parse(data=(text or b"") + self.background.encode(), format="nt")
        shapes = rdflib.Graph().parse(data=self.shapes, format="turtle")
        _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inference="none")
        sh = rdflib.Namespace(SH)
        for node in report.subjects(rdflib.RDF.type, sh.ValidationResult):
            yield Violation(
                _term(report.value(node, sh.focusNode)), _term(report.value(node, sh.value)),
                _term(report.value(node, sh.sourceShape)), str(report.value(node, sh.resultMessage)),
            )  # fmt: skip


def _term(node: Any) -> Any:
    import rdflib

    return ox.NamedNode(str(node)) if isinstance(node, rdflib.URIRef) else node


@pytest.fixture(scope="session")
def target() -> Callable[..., MemoryTarget]:
    """Makes memory targets."""
    return MemoryTarget


@pytest.fixture(scope="session")
def shipped_shapes() -> tuple[str, str]:
    """The shipped integrity shapes, and the vocabulary and individuals they look at, as N-Triples."""
    found = files("ontology", "*.ttl")
    assert found, "no ontology files"
    shapes = [path for path in found if path.parent.name == "shapes"]
    assert shapes, "no shape files"
    policy = [path for path in found if path.parent.name in {"modules", "ontology"} or path.name == "individuals.ttl"]
    enforcement = ox.NamedNode("https://w3id.org/dappops#enforcement")
    everything = [q.triple for path in shapes for q in ox.parse(path=path, format=ox.RdfFormat.TURTLE)]
    reporting = {t.subject for t in everything if t.predicate == enforcement and str(t.object).endswith("Coherence>")}
    kept = (t for t in everything if t.subject not in reporting)
    hierarchy = (q.triple for path in policy for q in ox.parse(path=path, format=ox.RdfFormat.TURTLE))
    return _lines(kept), _lines(hierarchy)


def _lines(triples: Iterable[ox.Triple]) -> str:
    return (ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b"").decode()


@pytest.fixture(scope="session")
def catalogue() -> CloudCatalogue:
    """The whole cloud catalogue."""
    return CloudCatalogue(GRAPH)


@pytest.fixture(scope="session")
def records(catalogue: CloudCatalogue) -> list[Record]:
    """All records of the whole catalogue."""
    return list(catalogue.records())


@pytest.fixture(scope="session")
def graph() -> str:
    """The graph that the tests import to."""
    return GRAPH
