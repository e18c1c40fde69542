"""The rules in force over one state: the tables' own, and those that lists stand for; found by what they read.

What is stated about predicates and classes decides which rules a fact can matter to. `Program` watches for changes of
that: every fact goes in and out through `put` and `take`.
"""

from __future__ import annotations

from reasoners.derive.owl.irregular import over_representatives
from reasoners.derive.owl.join import Lookup
from reasoners.derive.owl.lists import Key, list_rules
from reasoners.derive.owl.literals import LiteralTypes
from reasoners.derive.owl.rules import (
    CHAIN,
    FIRST,
    INTERSECTION,
    KEY,
    REST,
    TYPE,
    Index,
    Row,
    Rule,
    fixed_rules,
)  # fmt: skip
from reasoners.derive.owl.state import State

# What these conclude, others conclude as well: scm-eqc1, scm-eqp1, scm-int and scm-uni with cax-sco and prp-spo1.
IMPLIED = frozenset({"cax-eqc1", "cax-eqc2", "prp-eqp1", "prp-eqp2", "cls-int2", "cls-uni"})
TRANSITIVE_RULES = frozenset({"scm-sco", "scm-spo", "prp-trp"})  # closed by `transitive`
LISTS = frozenset({INTERSECTION, CHAIN, KEY, FIRST, REST})


class Program:
    """Rules and the indexes over them. `lookup` knows them all, `_onward` those that lead on to something new."""

    def __init__(self, state: State, like: Program | None = None) -> None:
        self.state = state
        self._body: Index
        self._head: Index
        self._ahead: Index
        self.literals: LiteralTypes
        self.irregular: bool
        self.reflexive: bool
        if like is None:
            rules = fixed_rules(state.terms)
            self.fixed = [r for r in rules if r.head is not None]
            self.clashes = [r for r in rules if r.head is None]
            self.listed: dict[Key, Rule] = {}
            self._index()
            guards = [g for i in (self._body, self._head) for o in (*i.open, *i.open_type) for g in o.guards]
            self._guarded = frozenset(p for p, _, _ in guards if p != TYPE)
            self._guarded_classes = frozenset(o for p, _, o in guards if p == TYPE)
        else:  # the rules of another, whose facts were copied
            self.fixed, self.clashes, self.listed = like.fixed, like.clashes, like.listed
            self._body, self._head = like._body, like._head
            self._ahead = like._ahead
            self._lookups()
            self._guarded, self._guarded_classes = like._guarded, like._guarded_classes
        self.axioms_changed = self.lists_changed = like is None
        self.literals = LiteralTypes(state, like.literals if like is not None else None)
        self.irregular = like is not None and like.irregular  # an axiom about the vocabulary: deletions start afresh
        self.vocabulary_merged = False  # the rules mention terms that are no longer representatives
        # owl:sameAs is read by an axiom: each term's equality to itself is a fact
        self.reflexive = like is not None and like.reflexive

    def _index(self) -> None:
        rules = [*self.fixed, *self.listed.values()]
        self._body, self._head = Index(rules), Index(rules, heads=True)
        self._ahead = Index(r for r in rules if r.name not in IMPLIED and r.name not in TRANSITIVE_RULES)
        self._lookups()

    def _lookups(self) -> None:
        self.lookup = Lookup(self.state.facts, self._body, self._head)
        self._onward = Lookup(self.state.facts, self._ahead, self._head)

    def _forget(self) -> None:
        self.lookup.forget()
        self._onward.forget()

    # -- changes that matter to the rules themselves ------------------------------------------------------------------------
    def notice(self, fact: Row) -> None:
        """A fact came or went."""
        _, p, o = fact
        if p in self._guarded or (p == TYPE and o in self._guarded_classes):
            self.axioms_changed = True
            self._forget()
        if p in LISTS:
            self.lists_changed = True

    def put(self, fact: Row) -> bool:
        """Add a fact; whether it is new."""
        if self.state.put(fact):
            self.notice(fact)
            return True
        return False

    def take(self, fact: Row) -> bool:
        """Remove a fact; whether it was there."""
        if self.state.take(fact):
            self.notice(fact)
            return True
        return False

    def _notice_all(self) -> None:
        self.axioms_changed = self.lists_changed = True
        self._forget()

    def _follow_lists(self) -> list[Rule]:
        """Rules of lists that are new; those of lists that are gone are dropped."""
        self.lists_changed = False
        found = list_rules(self.state.facts)
        fresh = [rule for key, rule in found.items() if key not in self.listed]
        if len(found) == len(self.listed) and not fresh:
            return []
        self.listed = {key: self.listed.get(key, rule) for key, rule in found.items()}
        self._index()
        return fresh

    def _read_rules_again(self) -> None:
        """Terms of the vocabulary were made equal: the rules over their representatives."""
        self.vocabulary_merged = False
        self.fixed, self.clashes = (
            [over_representatives(r, self.state) for r in self.fixed],
            [over_representatives(r, self.state) for r in self.clashes],
        )
        self._index()
