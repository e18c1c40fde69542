"""What the reasoner knows: asserted triples as they were written, and facts over representatives of equal terms.

A *fact* is a triple of numbers in which every term is replaced by the representative of its class: of the terms that
`owl:sameAs` makes equal, and of the literals that denote one value. `norm` maps what is written to facts; `originals`
remembers, for each fact that is not literally asserted, which asserted triples it stands for. Each merge of two classes
keeps its reason, so that a deletion can tell which classes have to be taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reasoners.derive.owl.datatypes import has_value, is_supported
from reasoners.derive.owl.relation import Facts
from reasoners.derive.owl.rules import SAME_AS, TYPE, Row, axiomatic, new_terms
from reasoners.derive.owl.terms import Terms


@dataclass(frozen=True, slots=True)
class Reason:
    """Why two terms are the same: a rule with its facts as they were then; '' and the triple when asserted."""

    a: int
    b: int
    rule: str
    premises: tuple[Row, ...]


class State:
    """Asserted triples, facts, classes of equal terms."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms if terms is not None else new_terms()
        self.axioms: dict[Row, str] = axiomatic(self.terms)
        self.vocabulary = max(max(row) for row in self.axioms) + 1  # numbers below are the rules' own
        self.asserted = Facts()
        self.facts = Facts()
        self.originals: dict[Row, set[Row]] = {}
        self.rep: dict[int, int] = {}
        self.members: dict[int, list[int]] = {}
        self.reasons: dict[int, list[Reason]] = {}  # by representative
        self.tied: (
            dict[Row, set[int]] | None
        ) = {}  # fact that a merge rests on -> a member of the class; None: make anew
        self.mixed: set[int] = set()  # representatives (or former ones) of classes with literals and other terms
        self.touched: dict[Row, bool] | None = None  # facts changed in this transaction: were they there before?
        self.classes_before: dict[int, tuple[int, ...]] = {}
        self._remembered: set[int] = set()  # terms of those classes
        self.originals_before: dict[Row, frozenset[Row]] = {}
        self.records: dict[Row, tuple[str, tuple[Row, ...]]] | None = None  # first derivation of each fact

    # -- terms ----------------------------------------------------------------------------------------------------------
    def norm(self, term: int) -> int:
        """Representative of a term."""
        term = self.terms.canonical.get(term, term)
        return self.rep.get(term, term)

    def norm_row(self, row: Row) -> Row:
        """The fact that stands for a triple."""
        s, p, o = row
        canonical, rep = self.terms.canonical, self.rep
        if canonical:
            s, o = canonical.get(s, s), canonical.get(o, o)
        if rep:
            return (rep.get(s, s), rep.get(p, p), rep.get(o, o))
        return (s, p, o)

    def members_of(self, rep: int) -> list[int]:
        """Terms of a class."""
        return self.members.get(rep, [rep])

    # -- asserted ---------------------------------------------------------------------------------------------------------
    def originals_of(self, fact: Row) -> set[Row]:
        """Asserted triples that the fact stands for."""
        found = set(self.originals.get(fact, ()))
        if fact in self.asserted:
            found.add(fact)
        return found

    def is_axiom(self, fact: Row) -> bool:
        """Whether the fact holds in every graph: an axiomatic triple, or the type of a literal (dt-type2)."""
        if fact in self.axioms:
            return True
        s, p, o = fact
        if p != TYPE or not self.terms.is_iri(o) or not is_supported(self.terms.texts[o][1:-1]):
            return False
        datatype = self.terms.texts[o][1:-1]
        return any(has_value(self.terms.value(m), datatype) for m in self.members_of(s) if self.terms.is_literal(m))

    def is_given(self, fact: Row) -> bool:
        """Whether the fact needs no rule."""
        return fact in self.asserted or fact in self.originals or self.is_axiom(fact)

    def assert_row(self, row: Row) -> Row | None:
        """Take an asserted triple in; the fact it stands for, None when it was there."""
        if not self.asserted.add(row):
            return None
        fact = self.norm_row(row)
        if fact[1] == SAME_AS:
            return fact  # the classes stand for it
        if fact != row:
            self._touch_originals(fact)
            self.originals.setdefault(fact, set()).add(row)
        elif row[2] in self.terms.variants:
            self._touch_originals(fact, {row})
        return fact

    def retract_row(self, row: Row) -> Row | None:
        """Take an asserted triple out; the fact it stood for, None when it was not there."""
        fact = self.norm_row(row)
        if row not in self.asserted:
            return None
        if fact[1] == SAME_AS:
            self.asserted.discard(row)
            return fact
        if fact != row:
            self._touch_originals(fact)
            rest = self.originals[fact]
            rest.discard(row)
            if not rest:
                del self.originals[fact]
        elif row[2] in self.terms.variants:
            self._touch_originals(fact)
        self.asserted.discard(row)
        return fact

    def _touch_originals(self, fact: Row, without: Iterable[Row] = ()) -> None:
        if self.touched is not None and fact not in self.originals_before:
            self.originals_before[fact] = frozenset(self.originals_of(fact).difference(without))
            self.touched.setdefault(fact, fact in self.facts)

    # -- facts ------------------------------------------------------------------------------------------------------------
    def put(self, fact: Row) -> bool:
        """Add a fact; whether it is new."""
        if not self.facts.add(fact):
            return False
        if self.touched is not None:
            self.touched.setdefault(fact, False)
        return True

    def take(self, fact: Row) -> bool:
        """Remove a fact; whether it was there."""
        if not self.facts.discard(fact):
            return False
        if self.touched is not None:
            self.touched.setdefault(fact, True)
        return True

    # -- classes ------------------------------------------------------------------------------------------------------------
    def _remember(self, rep: int) -> None:
        if self.touched is not None and rep not in self._remembered:
            members = self.classes_before[rep] = tuple(self.members_of(rep))
            self._remembered.update(members)

    def unite(self, reason: Reason) -> tuple[int, int] | None:
        """Make one class of two; (representative, the former representative), None when they were one already.

        The facts still mention the former representative: see `rewrite`.
        """
        a, b = self.norm(reason.a), self.norm(reason.b)
        if a == b:
            return None
        winner, loser = self._order(a, b)
        self._remember(winner)
        self._remember(loser)
        moved = self.members.pop(loser, [loser])
        if {winner, loser} & self.mixed or len({self.terms.is_literal(t) for t in (winner, *moved)}) == 2:
            self.mixed.add(winner)
        for term in moved:
            self.rep[term] = winner
        self.members.setdefault(winner, [winner]).extend(moved)
        self.reasons.setdefault(winner, []).extend((*self.reasons.pop(loser, ()), reason))
        if self.tied is not None:
            for premise in reason.premises:
                key = premise if not reason.rule else self.norm_row(premise)
                self.tied.setdefault(key, set()).add(reason.a)
        return winner, loser

    def _order(self, a: int, b: int) -> tuple[int, int]:
        """(who stays, who goes): the vocabulary stays, else who is mentioned more often."""
        if min(a, b) < self.vocabulary:
            return min(a, b), max(a, b)
        mentions = {a: len(self.members_of(a)), b: len(self.members_of(b))}
        for relation in self.facts.relations.values():
            for term in mentions:
                mentions[term] += relation.count_out(term) + relation.count_into(term)
        return (a, b) if mentions[a] >= mentions[b] else (b, a)

    def rewrite(self, winner: int, loser: int) -> Iterator[Row]:
        """Facts that mention `loser`, over `winner` instead; yields those that are new, not yet added."""
        if self.touched is not None:
            for fact in self.facts.mentioning(winner):
                self.touched.setdefault(fact, True)  # it will be shown for more terms
        for fact in self.facts.mentioning(loser):
            self.take(fact)
            new = self.norm_row(fact)
            self.move(fact, new)
            if self.records is not None and new not in self.records:
                self._record_rewrite(fact, new, winner, loser)
            if new not in self.facts:
                yield new

    def move(self, fact: Row, new: Row) -> None:
        """What is known of a fact that is now written otherwise."""
        given = self.originals_of(fact)
        if given:
            if self.touched is not None:
                self.originals_before.setdefault(fact, frozenset(given))
                self._touch_originals(new)
            self.originals.pop(fact, None)
            if given != {new}:
                self.originals.setdefault(new, set()).update(given - {new})
        if self.tied:
            ties = self.tied.pop(fact, None)
            if ties:
                self.tied.setdefault(new, set()).update(ties)

    def part(self, fact: Row, rows: Iterable[Row]) -> set[Row]:
        """The facts that the originals of a fact that was removed stand for now that classes were taken apart."""
        if self.touched is not None:
            self.originals_before.setdefault(fact, frozenset(rows))
        self.originals.pop(fact, None)
        out = set()
        for row in rows:
            new = self.norm_row(row)
            if new != fact:
                self._touch_originals(new)
            if new != row:
                self.originals.setdefault(new, set()).add(row)
            out.add(new)
        return out

    def _record_rewrite(self, fact: Row, new: Row, winner: int, loser: int) -> None:
        assert self.records is not None
        names = ("eq-rep-s", "eq-rep-p", "eq-rep-o")
        before = fact
        for place in range(3):
            if before[place] != loser:
                continue
            after = tuple(winner if i == place else t for i, t in enumerate(before))
            row: Row = (after[0], after[1], after[2])
            self.records.setdefault(row, (names[place], ((loser, SAME_AS, winner), before)))
            before = row

    def dissolve(self, rep: int) -> list[int]:
        """Make every member of a class a class of its own again; the members. Facts are the caller's."""
        self._remember(rep)
        members = self.members.pop(rep, [rep])
        self.mixed.discard(rep)
        for term in members:
            self.rep.pop(term, None)
        self.reasons.pop(rep, None)  # ties of it that are left make at most too much of a later deletion
        return members

    def ties(self) -> dict[Row, set[int]]:
        """Which classes rest on which facts."""
        if self.tied is None:
            self.tied = {}
            for reasons in self.reasons.values():
                for reason in reasons:
                    for premise in reason.premises:
                        key = premise if not reason.rule else self.norm_row(premise)
                        self.tied.setdefault(key, set()).add(reason.a)
        return self.tied

    def forget_transaction(self) -> None:
        """Stop recording what changes."""
        self.touched = None
        self.classes_before, self.originals_before, self._remembered = {}, {}, set()
