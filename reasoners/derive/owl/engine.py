"""`Rl`: the OWL 2 RL closure of a set of triples, kept up to date as triples are added and removed.

The whole of tables 4 to 9. Bulk: rules as column joins over sorted arrays. Increments: fact by fact, exact in both
directions, at a cost that follows what is touched; a change that puts more in doubt than it takes to start afresh starts
afresh. Memory: about 24 bytes a fact, 8 an asserted triple, 250 a term (450 a literal).

Source: https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import pyoxigraph as ox

from reasoners.derive.derivation import Derivation
from reasoners.derive.owl import shown
from reasoners.derive.owl.backward import TooMuch, retract
from reasoners.derive.owl.datatypes import is_supported
from reasoners.derive.owl.forward import Forward
from reasoners.derive.owl.relation import EMPTY, Keys, Relation, distinct
from reasoners.derive.owl.rules import SAME_AS, Row
from reasoners.derive.owl.state import Reason, State
from reasoners.derive.owl.terms import Terms

AFRESH = 50_000  # removed triples from which on everything is derived again
AFRESH_PART = 0.05  # or this part of all


class Rl:
    """Asserted triples and what follows from them."""

    def __init__(self, triples: Iterable[ox.Triple] = (), *, terms: Terms | None = None) -> None:
        self.state = State(terms)
        self.stated: set[Row] = set()  # axiomatic triples that are asserted, too
        self.forward = Forward(self.state)
        self._load((str(t.subject), str(t.predicate), str(t.object)) for t in triples)

    @classmethod
    def blank(cls, terms: Terms | None = None) -> Rl:
        """Nothing asserted and nothing derived, not even what follows from the axiomatic triples."""
        out = cls.__new__(cls)
        out.state, out.stated = State(terms), set()
        out.forward = Forward(out.state)
        return out

    @classmethod
    def from_ntriples(cls, data: bytes) -> Rl:
        """From N-Triples as a serialiser writes them (one triple a line, single spaces): the quickest way in."""
        out = cls.blank()
        out._load(_split(data))
        return out

    @classmethod
    def from_store(cls, store: ox.Store, graph: ox.DefaultGraph | ox.NamedNode | None = None) -> Rl:
        """From one graph of a store (None: the default graph)."""
        return cls.from_ntriples(_dump(store, graph))

    def _load(self, triples: Iterable[tuple[str, str, str]]) -> None:
        asserted = self.state.asserted.relations
        for predicate, keys in self._encode(triples).items():
            asserted[predicate] = Relation(keys)
        for axiom in self.state.axioms:
            if self.state.asserted.discard(axiom):
                self.stated.add(axiom)
        self.rebuild()

    def _encode(self, triples: Iterable[tuple[str, str, str]]) -> dict[int, Keys]:
        """Triples given as N-Triples terms: sorted, distinct keys by predicate."""
        number = self.state.terms.number
        known = self.state.terms.numbers
        found: dict[int, list[int]] = {}
        for s, p, o in triples:
            # most terms were seen before: look them up without a call
            subject = known.get(s)
            if subject is None:
                subject = number(s)
            predicate = known.get(p)
            if predicate is None:
                predicate = number(p)
            obj = known.get(o)
            if obj is None:
                obj = number(o)
            keys = found.get(predicate)
            if keys is None:
                keys = found[predicate] = []
            keys.append(subject << 32 | obj)
        out: dict[int, Keys] = {}
        while found:  # one list is let go before the next becomes an array
            predicate, keys = found.popitem()
            out[predicate] = distinct(np.array(keys, dtype=np.int64))
        return out

    def difference(self, store: ox.Store) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """(gone, new): what is asserted here and not in the store's default graph, and the other way round."""
        there = self._encode(_split(_dump(store)))
        here = {p: r.keys for p, r in self.state.asserted.relations.items()}
        for s, p, o in self.stated:
            here[p] = distinct(np.append(here.get(p, EMPTY), s << 32 | o))
        return self._triples(shown.less(here, there)), self._triples(shown.less(there, here))

    def closure_difference(self, store: ox.Store) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """(too much, missing): what the store's default graph holds beyond the closure, and what of it is missing."""
        there = self._encode(_split(_dump(store)))
        here = shown.show_all(self.state)
        return self._triples(shown.less(there, here)), self._triples(shown.less(here, there))

    def rebuild(self) -> None:
        """Derive everything from the asserted triples."""
        old = self.state
        state = self.state = State(old.terms)
        state.asserted = old.asserted
        self.forward = Forward(state)
        self._unite_asserted()
        remap = None
        if state.rep or state.terms.canonical:
            remap = np.arange(len(state.terms), dtype=np.int64)
            for table in (state.terms.canonical, state.rep):
                for term in table:
                    remap[term] = state.norm(term)
        for p, relation in state.asserted.relations.items():
            if state.norm(p) != SAME_AS:
                self._take_in(p, relation.keys, remap)
        for axiom in state.axioms:
            state.facts.add(axiom)
        self.forward.vocabulary_merged = any(t < state.vocabulary for t in state.rep)
        self.forward.irregular = self.forward.vocabulary_merged
        self.forward.everything()

    def _unite_asserted(self) -> None:
        """Classes of what is asserted to be equal, by owl:sameAs or by what is equal to it."""
        state = self.state
        done: set[int] = set()
        while True:
            found = [p for p in state.asserted.relations if p not in done and state.norm(p) == SAME_AS]
            if not found:
                break
            for p in found:
                done.add(p)
                for a, b in state.asserted.relations[p]:
                    state.unite(Reason(a, b, "" if p == SAME_AS else "eq-rep-p", ((a, p, b),)))
        state.tied = None

    def _take_in(self, p: int, keys: Keys, remap: Keys | None) -> None:
        state = self.state
        q = state.norm(p)
        facts = keys
        if remap is not None:
            facts = (remap[keys >> 32] << 32) | remap[keys & 0xFFFFFFFF]
            changed = np.ones(len(keys), dtype=np.bool_) if p != q else facts != keys
            for k in keys[changed].tolist():
                row = (k >> 32, p, k & 0xFFFFFFFF)
                state.originals.setdefault(state.norm_row(row), set()).add(row)
            if changed.any():
                facts = distinct(facts)
        held = state.facts.relations.get(q)
        if held is None:
            state.facts.relations[q] = Relation(facts)
        else:
            held.extend(facts)

    # -- changing -----------------------------------------------------------------------------------------------------------
    def rows(self, triples: Iterable[ox.Triple]) -> list[Row]:
        """Triples as numbers."""
        number = self.state.terms.number
        return [(number(str(t.subject)), number(str(t.predicate)), number(str(t.object))) for t in triples]

    def apply(
        self, removed: Iterable[ox.Triple] = (), added: Iterable[ox.Triple] = ()
    ) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Assert and retract; (removed, added) triples of the closure, asserted ones included.

        Exact whatever the change: the closure afterwards is the one of the asserted triples afterwards.
        """
        out, come = self.apply_rows(self.rows(removed), self.rows(added))
        return self._triples(out), self._triples(come)

    def fork(self) -> Rl:
        """A copy that can be changed apart; settled arrays are shared, so it costs what is recent and the classes."""
        out = Rl.__new__(Rl)
        own, copy = self.state, State(self.state.terms)
        out.state = copy
        copy.asserted = own.asserted.copy()
        copy.facts.relations.update(own.facts.copy().relations)
        copy.originals = {fact: set(rows) for fact, rows in own.originals.items()}
        copy.rep = dict(own.rep)
        copy.members = {rep: list(members) for rep, members in own.members.items()}
        copy.reasons = {rep: list(reasons) for rep, reasons in own.reasons.items()}
        copy.tied = None
        out.stated = set(self.stated)
        out.forward = Forward(copy, self.forward)
        return out

    def apply_rows(self, removed: list[Row], added: list[Row]) -> tuple[dict[int, Keys], dict[int, Keys]]:
        """`apply` over numbers; what left and what came as keys by predicate."""
        state = self.state
        axioms = state.axioms
        self.stated.difference_update(r for r in removed if r in axioms)
        self.stated.update(r for r in added if r in axioms)
        coming = set(added)
        removed = [r for r in removed if r not in axioms and r not in coming and r in state.asserted]
        added = [r for r in added if r not in axioms and r not in state.asserted]
        if not removed and not added:
            return {}, {}
        size = len(state.asserted)
        if (removed and self.forward.irregular) or len(removed) > max(AFRESH, AFRESH_PART * size):
            return self._afresh(removed, added)
        state.touched = {}
        try:
            try:
                queue = deque(retract(self.forward, removed)) if removed else deque[Row]()
            except TooMuch:
                state.forget_transaction()
                for row in removed:
                    state.assert_row(row)
                return self._afresh(removed, added)
            for row in added:
                fact = state.assert_row(row)
                if fact is None:
                    continue
                if fact[1] == SAME_AS:
                    if row[1] != SAME_AS:
                        self.forward.irregular = True
                    self.forward.merge(Reason(row[0], row[2], "", (row,)), queue)
                elif self.forward.put(fact):
                    queue.append(fact)
            self.forward.run(queue)
            return self._with_own_equality(removed, added, *shown.changes(state))
        finally:
            state.forget_transaction()

    def _with_own_equality(
        self, removed: list[Row], added: list[Row], out: dict[int, Keys], come: dict[int, Keys]
    ) -> tuple[dict[int, Keys], dict[int, Keys]]:
        """Asserted equalities of a term to itself show, too, while no class of several shows them."""
        state = self.state
        gone, new = set(out.get(SAME_AS, EMPTY).tolist()), set(come.get(SAME_AS, EMPTY).tolist())
        before = {m: len(ms) > 1 for ms in state.classes_before.values() for m in ms}
        own = {t for t, p, o in (*removed, *added) if p == SAME_AS and t == o}
        own |= {t for t in before if (t, SAME_AS, t) in state.asserted}
        if not own:
            return out, come
        for term in own:
            row = (term, SAME_AS, term)
            several = len(state.members_of(state.norm(term))) > 1
            now = several or row in state.asserted
            was = before.get(term, several) or row in removed or (row in state.asserted and row not in added)
            key = term << 32 | term
            gone.discard(key)
            new.discard(key)
            if was and not now:
                gone.add(key)
            elif now and not was:
                new.add(key)
        for found, keys in ((out, gone), (come, new)):
            found[SAME_AS] = np.array(sorted(keys), dtype=np.int64)
        return out, come

    def _afresh(self, removed: list[Row], added: list[Row]) -> tuple[dict[int, Keys], dict[int, Keys]]:
        before = shown.show_all(self.state)
        for row in removed:
            self.state.asserted.discard(row)
        for row in added:
            self.state.asserted.add(row)
        self.rebuild()
        after = shown.show_all(self.state)
        return shown.less(before, after), shown.less(after, before)

    def _triples(self, keys: dict[int, Keys]) -> list[ox.Triple]:
        return [q.triple for part in self._lines(keys, 50_000) for q in ox.parse(part, format=ox.RdfFormat.N_TRIPLES)]

    # -- reading --------------------------------------------------------------------------------------------------------------
    def triples(self) -> Iterator[ox.Triple]:
        """The closure, asserted triples included; what RDF cannot hold is left out (see `shown`)."""
        for part in self.ntriples():
            for quad in ox.parse(part, format=ox.RdfFormat.N_TRIPLES):
                yield quad.triple

    def ntriples(self, size: int = 50_000) -> Iterator[str]:
        """The closure as N-Triples, `size` lines at a time."""
        yield from self._lines(shown.show_all(self.state), size)

    def inferred(self) -> Iterator[ox.Triple]:
        """The closure less the asserted triples."""
        rows = shown.show_all(self.state)
        asserted = dict(self.state.asserted.relations)
        less: dict[int, Keys] = {}
        for p, keys in rows.items():
            own = asserted[p].keys if p in asserted else keys[:0]
            also = [s << 32 | o for s, q, o in self.stated if q == p]
            gone = np.concatenate((own, np.array(also, dtype=np.int64))) if also else own
            less[p] = np.setdiff1d(keys, gone)
        for part in self._lines(less, 50_000):
            for quad in ox.parse(part, format=ox.RdfFormat.N_TRIPLES):
                yield quad.triple

    def _lines(self, rows: dict[int, Keys], size: int) -> Iterator[str]:
        texts = self.state.terms.texts
        for p, keys in rows.items():
            middle = f" {texts[p]} "
            for start in range(0, len(keys), size):
                chunk = keys[start : start + size].tolist()
                yield "".join([f"{texts[k >> 32]}{middle}{texts[k & 0xFFFFFFFF]} .\n" for k in chunk])

    def __contains__(self, triple: ox.Triple) -> bool:
        """Whether the triple is entailed, literals compared by value; a term's equality to itself included (eq-ref)."""
        terms = self.state.terms
        found = [terms.find(str(t)) for t in (triple.subject, triple.predicate, triple.object)]
        s, p, o = (t if t is None else self.state.norm(t) for t in found)
        if p is None:
            return False
        if p == SAME_AS and triple.subject == triple.object:
            return True
        if s is None or o is None:
            return False
        return s == o if p == SAME_AS else (s, p, o) in self.state.facts

    def explain(self, triple: ox.Triple) -> Derivation | None:
        """One derivation of a triple of the closure, down to asserted triples; None when it is not entailed.

        None, too, when none is found within bounds (see `explain`): the triple holds all the same.
        """
        from reasoners.derive.owl.explain import Explainer

        return Explainer(self).triple(triple)

    def is_asserted(self, row: Row) -> bool:
        """Whether a triple is asserted as it stands."""
        return row in self.state.asserted or row in self.stated

    def demand_types(self, datatypes: Iterable[str]) -> None:
        """Hold the types of literals (dt-type2) for these datatypes, which no axiom reads, as facts."""
        self.forward.literals.want(self.state.terms.number(f"<{d}>") for d in datatypes if is_supported(d))
        self.forward.run([row for row in self.forward.literals.fresh() if self.forward.put(row)])

    def __len__(self) -> int:
        """Facts held, over representatives."""
        return len(self.state.facts)

    @property
    def size(self) -> int:
        """Bytes held, estimated."""
        terms = self.state.terms
        text = sum(map(len, terms.texts)) + 170 * len(terms) + 250 * len(terms.literals)
        return self.state.facts.size + self.state.asserted.size + text


def _dump(store: ox.Store, graph: ox.DefaultGraph | ox.NamedNode | None = None) -> bytes:
    return store.dump(format=ox.RdfFormat.N_TRIPLES, from_graph=graph or ox.DefaultGraph()) or b""


def _split(data: bytes) -> Iterator[tuple[str, str, str]]:
    for line in data.decode().split("\n"):
        if line:
            s, p, o = line[:-2].split(" ", 2)
            yield s, p, o
