"""A knowledge base in which everything that matters to a proof occurs: two owners, graphs, blank nodes, inert and derived triples."""

from __future__ import annotations

import random
from pathlib import Path

import pyoxigraph as ox
import rdflib
from answers_queries import EX, Words

import engine
from engine.graph import names
from engine.graph.keys import KeyRing
from reasoners.vocab import DAPP, OWL, RDF, RDFS, SH, XSD

PREDICATES = tuple(ox.NamedNode(f"{EX}p{i}") for i in range(5))
CLASSES = tuple(ox.NamedNode(f"{EX}C{i}") for i in range(4))
LITERALS = (
    *(ox.Literal(i) for i in range(4)), ox.Literal("a"), ox.Literal("b", language="en"), ox.Literal("2.5", datatype=XSD.decimal),
    ox.Literal(True), ox.Literal('with "quotes"\nand a line'),
)  # fmt: skip
RULES = {
    "reach": f"CONSTRUCT {{ ?a <{EX}reach> ?b }} WHERE {{ ?a <{EX}p0> ?b FILTER(isIRI(?b) || isBlank(?b)) }}",
    "reach-far": f"CONSTRUCT {{ ?a <{EX}reach> ?c }} WHERE {{ ?a <{EX}reach> ?b . ?b <{EX}reach> ?c }}",
    "lonely": f"CONSTRUCT {{ ?a <{EX}lonely> true }} WHERE {{ ?a a <{EX}C0> FILTER NOT EXISTS {{ ?a <{EX}p1> ?x }} }}",
    "noted": f"CONSTRUCT {{ ?a <{EX}noted> ?t }} WHERE {{ ?a <{EX}p2> ?t OPTIONAL {{ ?a <{EX}p3> ?y }} FILTER(!BOUND(?y)) }}",
}
HEADS = {"reach": "reach", "reach-far": "reach", "lonely": "lonely", "noted": "noted"}


class World:
    """The knowledge base, and how to fill it anew."""

    def __init__(self, home: Path) -> None:
        self.kb = engine.open(home)
        self.other = KeyRing(home / "keys").create().address
        self.me = self.kb.author
        self.graphs = [self.kb.graph_iri("one"), self.kb.graph_iri("two"), self.kb.graph_iri("three", self.other)]
        base = self.kb.graph_iri("one"), self.kb.graph_iri("three", self.other)
        self.mine = [ox.NamedNode(f"{base[0]}/n{i}") for i in range(6)]
        self.others = [ox.NamedNode(f"{base[1]}/m{i}") for i in range(3)]
        self.nobodys = [ox.NamedNode(f"{EX}x{i}") for i in range(2)]
        self.blanks = [ox.BlankNode(f"b{i}") for i in range(3)]
        with self.kb.change(graph="policy") as change:
            policy = self.kb.graph_iri("policy")
            change.add(CLASSES[0], RDFS.subClassOf, CLASSES[1])
            change.add(CLASSES[1], RDFS.subClassOf, CLASSES[2])
            change.add(PREDICATES[4], RDFS.subPropertyOf, PREDICATES[3])
            for name, text in RULES.items():
                rule = ox.NamedNode(f"{policy}/{name}")
                change.add(rule, RDF.type, DAPP.Rule)
                change.add(rule, RDFS.label, ox.Literal(name, language="en"))
                change.add(rule, SH.construct, ox.Literal(text))
                change.add(rule, DAPP.purpose, ox.Literal("derive"))
                change.add(rule, DAPP.headPredicate, ox.Literal(EX + HEADS[name], datatype=XSD.anyURI))

    def close(self) -> None:
        """Let go of the files."""
        self.kb.close()

    @property
    def words(self) -> Words:
        """What queries are made of."""
        predicates = [str(p) for p in PREDICATES] + [f"<{EX}{n}>" for n in ("reach", "lonely", "noted")]
        return Words(
            tuple(str(n) for n in (*self.mine, *self.others, *self.nobodys)), tuple(map(str, LITERALS)), tuple(predicates),
            tuple(map(str, CLASSES[:3])), tuple(f"<{g}>" for g in self.graphs),
        )  # fmt: skip

    def refill(self, rng: random.Random, size: int = 75) -> None:
        """Put other statements into the three graphs."""
        for graph, author in zip(self.graphs, (self.me, self.me, self.other), strict=True):
            held = [q.triple for q in self.kb.quads(graph=graph)]
            fresh = [self.triple(rng, author) for _ in range(size // 3 + rng.randrange(4))]
            self.kb.commit(graph, fresh, [t for t in held if rng.random() < 0.8], author=author)

    def triple(self, rng: random.Random, author: str) -> ox.Triple:
        """A statement that its author may make: about things of one's own, of nobody, or about blank nodes."""
        own = self.mine if author == self.me else self.others
        subject = rng.choice((*own, *own, *self.nobodys[:1], *self.blanks[:1], self.blanks[2]))
        roll = rng.random()
        if roll < 0.2:
            return ox.Triple(subject, RDF.type, rng.choice(CLASSES))
        if roll < 0.24:
            return ox.Triple(subject, OWL.sameAs, rng.choice((*self.mine, *self.others)))
        if roll < 0.26:
            return ox.Triple(subject, RDFS.subClassOf, CLASSES[3])  # inert: no policy says it
        target = rng.choice(LITERALS) if rng.random() < 0.3 else rng.choice((*self.mine, *self.others, *self.blanks))
        return ox.Triple(subject, rng.choice(PREDICATES), target)

    def second_opinion(self) -> rdflib.Dataset:
        """The same state for rdflib: what everybody sees as default graph, the asserted graphs by name."""
        kernel = self.kb.kernel
        assert kernel is not None
        store = kernel.store.store
        dataset = rdflib.Dataset()
        shipped = {
            q.triple for q in store.quads_for_pattern(None, None, None, None)
            if isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value.startswith(names.SHIPPED_PREFIX)
        }  # fmt: skip
        for source in (ox.DefaultGraph(), names.INERT):
            for quad in store.quads_for_pattern(None, None, None, source):
                if quad.triple not in shipped:
                    dataset.default_graph.add(tuple(map(to_rdflib, (quad.subject, quad.predicate, quad.object))))
        for graph in self.graphs:
            named = dataset.graph(rdflib.URIRef(graph))
            for quad in store.quads_for_pattern(None, None, None, ox.NamedNode(graph)):
                named.add(tuple(map(to_rdflib, (quad.subject, quad.predicate, quad.object))))
        return dataset


def to_rdflib(term: object) -> rdflib.term.Node:
    """An rdflib term."""
    if isinstance(term, ox.NamedNode):
        return rdflib.URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return rdflib.BNode(term.value)
    assert isinstance(term, ox.Literal)
    if term.language:
        return rdflib.Literal(term.value, lang=term.language)
    if term.datatype == XSD.string:
        return rdflib.Literal(term.value)
    return rdflib.Literal(term.value, datatype=rdflib.URIRef(term.datatype.value))
