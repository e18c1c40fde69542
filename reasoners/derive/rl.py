"""OWL 2 RL closure and inconsistencies of a view, for queries in the full regime; it never feeds shapes.

The rules are `queries/rules/rl/*.rq`, one file for each rule of the specification's tables 4 to 7 and 9, and the
inconsistencies `queries/rules/rl/checks/*.rq`. Left out: eq-ref (every term equals itself) and the datatype rules of
table 8. Property chains longer than the file `prp-spo2` knows are compiled here, one rule an axiom.

A rule is evaluated again only when something it reads, given the axioms at hand, was added since its last evaluation;
a rule that reads one kind of data joined with axioms sees only those axioms and what is new.

Source: https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.derive import text as source
from reasoners.derive.analysis import Analysis, Pattern, analyse
from reasoners.derive.rule import Rule
from reasoners.derive.schema import Key, Schema, instances, is_axiom, is_axiom_predicate, schema_of
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.sparql.paths import rdf_list
from reasoners.sparql.reads import path_reads
from reasoners.vocab import OWL, RDF

FILE_CHAIN = 3  # longest chain that prp-spo2.rq covers
AXIOMS, FRESH = ox.NamedNode("urn:dappops:rl:axioms"), ox.NamedNode("urn:dappops:rl:fresh")


@dataclass(frozen=True, slots=True)
class Check:
    """A query whose rows contradict: columns ?subject and ?other."""

    name: str
    problem: str
    text: str


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Two things that must not go together, and the rule of the specification that says so."""

    rule: str
    problem: str
    subject: ox.NamedNode | ox.BlankNode | ox.Literal
    other: ox.NamedNode | ox.BlankNode | ox.Literal


@dataclass(slots=True)
class Closure:
    """What the rules add to the asserted triples, what contradicts, and how many evaluations it took."""

    triples: set[ox.Triple] = field(default_factory=set)
    inconsistencies: list[Inconsistency] = field(default_factory=list)
    evaluations: int = 0


def check_from_file(text: str, name: str) -> Check:
    """The check of a `.rq` file; InputError without a `# Problem:` line."""
    problem = source.header(text).get("Problem", "")
    if not problem:
        raise InputError(
            "the header has no `# Problem:` line", place=f"{name}.rq", remedy="say what the rows contradict"
        )
    return Check(name, problem, source.strip_comments(text))


def owl_rl(view: View, rules: Sequence[Rule], checks: Sequence[Check] = ()) -> Closure:
    """Closure of the asserted `view` under `rules`, and the rows of `checks` on it.

    Triples with a literal subject, which the specification's rules can produce, are left out: RDF has none.
    Raises InputError for a property chain that is not a well-formed list.
    """
    store = ox.Store()
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object) for t in view.triples())
    engine = _Engine(store, [*rules, *_long_chains(View(store))])
    engine.run()
    out = Closure(engine.added, [], engine.evaluations)
    for check in checks:
        for row in View(store).select(check.text):
            subject, other = row["subject"], row["other"]
            if isinstance(subject, ox.Triple) or isinstance(other, ox.Triple) or subject is None or other is None:
                continue
            out.inconsistencies.append(Inconsistency(check.name, check.problem, subject, other))
    return out


def _long_chains(view: View) -> Iterable[Rule]:
    for triple in view.triples(None, OWL.propertyChainAxiom, None):
        head, cell = triple.subject, triple.object
        if isinstance(cell, ox.Triple) or not isinstance(head, ox.NamedNode):
            continue
        steps = rdf_list(view, cell)
        if len(steps) <= FILE_CHAIN or not all(isinstance(s, ox.NamedNode) for s in steps):
            continue
        path = "/".join(str(s) for s in steps)
        text = f"CONSTRUCT {{ ?u {head} ?w }} WHERE {{ ?u {path} ?w }}"
        yield Rule(
            ox.NamedNode(f"urn:dappops:rl:chain:{head.value}"), text, frozenset({head.value}), "entail", trusted=True
        )


@dataclass(slots=True)
class _Member:
    rule: Rule
    found: Analysis
    schema: Schema
    linear: bool  # joins axioms with one kind of data
    seen: int = 0  # batches it has taken into account
    keys: frozenset[Key] = frozenset()  # what it reads, given the axioms


class _Engine:
    def __init__(self, store: ox.Store, rules: Sequence[Rule]) -> None:
        self.store = store
        self.view = View(store)
        self.added: set[ox.Triple] = set()
        self.evaluations = 0
        # Batch 0 is everything asserted; each later one is what an evaluation added.
        self.batches: list[tuple[frozenset[Key], list[ox.Triple]]] = [(frozenset(), [])]
        self.members = [self._member(rule) for rule in rules]
        self.axioms_changed = True
        store.bulk_extend(
            ox.Quad(t.subject, t.predicate, t.object, AXIOMS) for t in list(self.view.triples()) if _is_axiom_triple(t)
        )

    def _member(self, rule: Rule) -> _Member:
        found = analyse(rule.text)
        data = [p for p in found.patterns if not _in_axioms(p)]
        linear = len(data) == 1 and data[0].top and found.positive and not _is_path(data[0])
        return _Member(rule, found, schema_of(found), linear)

    def run(self) -> None:
        busy = True
        while busy:
            busy = False
            for member in self.members:
                if self.axioms_changed:
                    self._read_axioms()
                upto = len(self.batches)
                if member.seen == upto:
                    continue
                fresh = self.batches[member.seen : upto]
                first = member.seen == 0
                member.seen = upto
                if not first and not any(_touches(member.keys, keys) for keys, _ in fresh):
                    continue
                busy = True
                self._evaluate(member, None if first or not member.linear else fresh)

    def _evaluate(self, member: _Member, fresh: Sequence[tuple[frozenset[Key], list[ox.Triple]]] | None) -> None:
        self.evaluations += 1
        view = self.view
        # New axioms join with old data: then the rule needs both.
        if fresh is not None and not any(_is_axiom_triple(t) for _, ts in fresh for t in ts):
            self.store.remove_graph(FRESH)
            self.store.extend(ox.Quad(t.subject, t.predicate, t.object, FRESH) for _, ts in fresh for t in ts)
            view = View(self.store, (AXIOMS, FRESH))
        result = view.query(member.rule.text)
        assert isinstance(result, ox.QueryTriples)
        new = [t for t in set(result) if ox.Quad(t.subject, t.predicate, t.object) not in self.store]
        if not new:
            return
        self.store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in new)
        self.added.update(new)
        axioms = [t for t in new if _is_axiom_triple(t)]
        if axioms:
            self.store.extend(ox.Quad(t.subject, t.predicate, t.object, AXIOMS) for t in axioms)
            self.axioms_changed = True
        keys: set[Key] = {(t.predicate, None) for t in new if t.predicate != RDF.type}
        keys |= {(RDF.type, t.object) for t in new if t.predicate == RDF.type and not isinstance(t.object, ox.Triple)}
        self.batches.append((frozenset(keys), new))

    def _read_axioms(self) -> None:
        self.axioms_changed = False
        for member in self.members:
            readings = instances(member.found, member.schema.rows(self.view))
            # Its own axioms may be what is new.
            member.keys = frozenset(key for one in readings for key, _ in one.reads) | frozenset(
                (leaf, None) for leaf in member.schema.predicates
            )


def _touches(reads: frozenset[Key], added: frozenset[Key]) -> bool:
    if (None, None) in reads:
        return True
    for predicate, obj in added:
        if (predicate, None) in reads or (obj is not None and (predicate, obj) in reads):
            return True
        if obj is None and any(p == predicate for p, _ in reads):
            return True
    return False


def _in_axioms(p: Pattern) -> bool:
    """Whether the pattern can only match triples that `_is_axiom_triple` copies."""
    if is_axiom(p):
        return True
    return not p.predicate_variable and all(
        r.predicate is not None and is_axiom_predicate(r.predicate) for r in path_reads(p.path)
    )


def _is_axiom_triple(t: ox.Triple) -> bool:
    if t.predicate == RDF.type:
        return isinstance(t.object, ox.NamedNode) and t.object.value.startswith(OWL.iri)
    return is_axiom_predicate(t.predicate)


def _is_path(p: Pattern) -> bool:
    return len(list(path_reads(p.path))) != 1
