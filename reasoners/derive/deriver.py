"""Derivation to a fixpoint, and its maintenance under changes: cost follows the change, not the graph.

One mechanism for every rule. A rule's footprint says which subjects of its heads a changed triple can concern; for
those subjects the heads are computed again and compared with what is held. A rule whose footprint cannot be followed
from the head's subject is run as a whole when a triple it reads changes; `Deriver.table` says which and why.
Recursive strata are maintained by over-deletion and re-derivation, because recomputing alone would let facts hold
each other up in a circle.

Source: Gupta, Mumick, Subrahmanian, "Maintaining views incrementally" (SIGMOD 1993), algorithm DRed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.derive.budget import Budget, Exceeded, Meter, is_notice, notice
from reasoners.derive.compiled import Compiled, compiled, heads_of, held_heads
from reasoners.derive.rule import Rule
from reasoners.derive.schema import classes_of, narrow
from reasoners.derive.strata import Stratum, stratify
from reasoners.derive.workspace import Workspace, quad
from reasoners.errors import InputError, IntegrityError
from reasoners.graph import Term, View, memory_view
from reasoners.sparql.reads import Affected, Index
from reasoners.vocab import RDFS

SETTLES = 100  # waves of over-deletion in one stratum; one is enough for every rule that is accepted


Todo = dict[int, set[Term] | None]
"""Number of a rule -> subjects whose heads are to be computed again (None: all)."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one rule is maintained."""

    rule: str
    stratum: int
    recursive: bool
    mode: str  # 'incremental' | 're-run: why' | 'incremental; re-run when …: why'


@dataclass(slots=True)
class Pending:
    """What changes may have touched so far; pass the same one to `affected` and `run`."""

    rules: Affected[int] = field(default_factory=Affected)
    schema: bool = False


class Deriver:
    """Maintains what rules of purpose `derive` derive. Holds no state of the data; may be used for any view."""

    def __init__(self, rules: Iterable[Rule], *, budget: Budget | None = None) -> None:
        """Check, order and compile `rules`; other purposes are left out. Raises InputError.

        A rule that is not shipped and exceeds the `budget` in one run is suspended: see `reasoners.derive.budget`.
        """
        self.budget = budget
        self.suspended: Mapping[ox.NamedNode, set[ox.Triple]] = {}  # rule -> its notice; `full` derives no more of it
        self.rules = sorted((r for r in rules if r.purpose == "derive"), key=lambda r: r.iri.value)
        self._compiled = [compiled(n, rule) for n, rule in enumerate(self.rules)]
        self._number = {c.rule.iri: c.number for c in self._compiled}
        if len(self._number) != len(self.rules):
            raise InputError("two rules have the same IRI", place=_twice(self.rules), remedy="name each rule once")
        self._axioms = frozenset(p for c in self._compiled for p in c.schema.predicates)
        if any(classes_of(c.found) for c in self._compiled):
            self._axioms |= {RDFS.subClassOf}
        self._stale = bool(self._axioms)
        self._strata: list[Stratum] = []
        self._index: Index[int] = Index()
        self._prepare(memory_view(()))
        self._stale = bool(self._axioms)  # the axioms of the real view are still to be seen

    @property
    def strata(self) -> list[list[Rule]]:
        """Rules in order of evaluation, as of the axioms last seen."""
        return [list(s.rules) for s in self._strata]

    def table(self) -> list[Row]:
        """How each rule is maintained, in order of evaluation."""
        rows: list[Row] = []
        for number, stratum in enumerate(self._strata):
            for rule in stratum.rules:
                one = self._compiled[self._number[rule.iri]]
                if one.whole:
                    mode = f"re-run: {one.whole}"
                elif one.partly:
                    mode = f"incremental; re-run when an unlinked part changes: {'; '.join(one.partly)}"
                else:
                    mode = "incremental"
                rows.append(Row(rule.name, number, stratum.recursive, mode))
        return rows

    def affected(self, view: View, triples: Iterable[ox.Triple], into: Pending) -> None:
        """Note what `triples` can concern.

        Call with the triples that are about to lose their last *asserted* graph, on the view that still holds them.
        Also when a rule derives them too, so that they stay in the closure: that derivation may rest on the triple
        itself.
        """
        triples = list(triples)
        if self._stale:
            self._prepare(view)
        if any(t.predicate in self._axioms for t in triples):
            into.schema = True
        self._index.affected(view, triples, into.rules)

    def run(
        self, work: Workspace, pending: Pending, added: Iterable[ox.Triple], *, now: ox.Literal | None = None
    ) -> None:
        """Bring every derived graph up to date. `added`: triples that entered the closure; `now`: the commit's time.

        The asserted part of `work` has its new state already; `pending` was filled on the old one. What leaves and
        enters the closure is what `work.write` reports. Raises InputError when changed axioms make the rules
        unorderable, or a rule needs `now` and none is given.
        """
        added = list(added)
        schema = pending.schema or any(t.predicate in self._axioms for t in added)
        if self._stale or schema:
            self._prepare(work.view)
        # The caller may undo this change: then the axioms seen here are not those of the next call.
        self._stale = schema
        state = _State(pending.rules, Affected(), self.budget.meter() if self.budget is not None else Meter(None))
        self._index.affected(work.view, added, state.grown)
        for one in self._compiled:
            if one.found.now or not one.found.patterns:
                state.shrunk.everywhere.add(one.number)
            if not one.rule.trusted and is_notice(work.held(one.rule.iri, one.rule.iri)):
                state.off.add(one.number)
        if schema:
            self._drop_unwritable(work, state)
        for stratum in self._strata:
            members = self._members(stratum)
            if stratum.recursive:
                self._fixpoint(work, stratum, state, now)
            else:
                self._once(work, members[0], state, now)

    def full(self, view: View, *, now: ox.Literal | None = None) -> dict[ox.NamedNode, set[ox.Triple]]:
        """All derived triples by rule, from scratch in a memory copy of the asserted `view`."""
        off = dict(self.suspended)
        meter = self.budget.meter() if self.budget is not None else Meter(None)
        while True:
            try:
                return self._from_scratch(view, now, off, meter)
            except Exceeded as over:
                off[over.rule.iri] = notice(over.rule.iri, over.why, now)

    def strata_of(self, view: View) -> list[list[ox.NamedNode]]:
        """The rules in order of evaluation under the axioms of a view."""
        self._prepare(view)
        self._stale = bool(self._axioms)
        return [[r.iri for r in s.rules] for s in self._strata]

    def heads(self, view: View, rule: ox.NamedNode, now: ox.Literal | None) -> set[ox.Triple]:
        """All that one rule derives from a view, unless it is suspended."""
        if rule in self.suspended:
            return set()
        return heads_of(view, self._compiled[self._number[rule]], None, now, Meter(None))

    def _from_scratch(
        self, view: View, now: ox.Literal | None, off: Mapping[ox.NamedNode, set[ox.Triple]], meter: Meter
    ) -> dict[ox.NamedNode, set[ox.Triple]]:
        closure = memory_view(view.triples())
        known: dict[ox.NamedNode, set[ox.Triple]] = {}
        for rule in self.rules:
            if rule.iri in off:
                known[rule.iri] = set(off[rule.iri])
                closure.store.extend(quad(t, ox.DefaultGraph()) for t in known[rule.iri])
        if self._axioms:
            self._prepare(closure)
        for stratum in self._strata:
            changed = True
            while changed:
                changed = False
                for one in self._members(stratum):
                    if one.rule.iri in off:
                        continue
                    held = known.setdefault(one.rule.iri, set())
                    new = heads_of(closure, one, None, now, meter) - held
                    changed = changed or (stratum.recursive and any(t not in closure for t in new))
                    held |= new
                    closure.store.bulk_extend(quad(t, ox.DefaultGraph()) for t in new)
        return {iri: triples for iri, triples in known.items() if triples}

    # -- one stratum ----------------------------------------------------------------------------------------------

    def _once(self, work: Workspace, one: Compiled, state: _State, now: ox.Literal | None) -> None:
        subjects = state.take(one)
        if one.number in state.off or (subjects is not None and not subjects):
            return
        try:
            heads = heads_of(work.view, one, subjects, now, state.meter)
        except Exceeded as over:
            self._suspend(work, one, over.why, state, now)
            return
        held = held_heads(work, one, subjects)
        self._write(work, one, (held - heads, heads - held), state)

    def _suspend(self, work: Workspace, one: Compiled, why: str, state: _State, now: ox.Literal | None) -> None:
        """Take away all that a rule derived and say that it is suspended."""
        state.off.add(one.number)
        held = set(work.held(one.rule.iri, None))
        self._write(work, one, (held, notice(one.rule.iri, why, now)), state)

    def _fixpoint(self, work: Workspace, stratum: Stratum, state: _State, now: ox.Literal | None) -> None:
        members = self._members(stratum)
        again: Todo = {}
        over_deletions = 0
        while True:
            over_deletions += self._over_delete(work, stratum, members, state, again)
            if over_deletions > SETTLES:
                # Facts that are added come only after all losses are known; a second wave is a fault of ours.
                raise IntegrityError(
                    f"recursive rules do not settle: {', '.join(r.name for r in stratum.rules)}",
                    place=stratum.rules[0].iri.value,
                    remedy="disable one of these rules and report them",
                )
            for one in members:
                _put(again, one.number, state.take_grown(one))
                if one.number in state.off:
                    again.pop(one.number, None)
            todo = [one for one in members if again.get(one.number, set()) != set()]
            if not todo:
                return
            for one in todo:
                subjects = again.pop(one.number)
                try:
                    heads = heads_of(work.view, one, subjects, now, state.meter)
                except Exceeded as over:
                    self._suspend(work, one, over.why, state, now)
                    continue
                held = held_heads(work, one, subjects)
                self._write(work, one, (held - heads, heads - held), state, (again, {m.number for m in members}))

    def _over_delete(
        self, work: Workspace, stratum: Stratum, members: Sequence[Compiled], state: _State, again: Todo
    ) -> bool:
        """Take away every held head that may have lost its support, and what may rest on it; note the subjects to redo.

        Returns whether anything was taken away.
        """
        done: Todo = {}
        taken = False
        while True:
            changes: dict[ox.NamedNode, tuple[set[ox.Triple], set[ox.Triple]]] = {}
            doomed: set[ox.Triple] = set()
            for one in members:
                subjects = state.take_shrunk(one)
                seen = done.get(one.number, set())
                if seen is None or subjects == set() or one.number in state.off:
                    continue
                fresh = None if subjects is None else subjects - seen
                _put(done, one.number, subjects)
                held = {t for t in held_heads(work, one, fresh) if stratum.writes(one.rule, t)}
                if held:
                    changes[one.rule.iri] = (held, set())
                    doomed |= held
            if not changes:
                break
            self._index.affected(work.view, doomed, state.shrunk)
            work.write(changes)
            taken = True
        for number, subjects in done.items():
            _put(again, number, subjects)
        return taken

    def _write(
        self,
        work: Workspace,
        one: Compiled,
        change: tuple[set[ox.Triple], set[ox.Triple]],
        state: _State,
        recursion: tuple[Todo, set[int]] | None = None,
    ) -> None:
        """Write what changed and note what that concerns.

        `recursion`: to do and members of the recursive stratum at work. Its members read each other positively, so what
        they add can only add.
        """
        removed, added = change
        if removed:
            self._index.affected(work.view, removed, state.shrunk)
        if not removed and not added:
            return
        _, entered = work.write({one.rule.iri: change})
        if not entered:
            return
        if recursion is None:
            self._index.affected(work.view, entered, state.grown)
            return
        again, inside = recursion
        gained: Affected[int] = Affected()
        self._index.affected(work.view, entered, gained)
        for number in gained.everywhere:
            if number in inside:
                _put(again, number, None)
            else:
                state.grown.everywhere.add(number)
        for number, nodes in gained.nodes.items():
            if number in inside:
                _put(again, number, nodes)
            else:
                state.grown.nodes.setdefault(number, set()).update(nodes)

    def _drop_unwritable(self, work: Workspace, state: _State) -> None:
        """Take away what a rule derived through axioms that are gone: no present stratum would look at it."""
        for one in self._compiled:
            if one.schema.names:
                strata = [s for s in self._strata if one.rule.iri in s.heads]
                held = work.held(one.rule.iri, None)
                gone = {t for t in held if not any(s.writes(one.rule, t) for s in strata)}
                if strata and gone:
                    self._write(work, one, (gone, set()), state)

    def _members(self, stratum: Stratum) -> list[Compiled]:
        return [self._compiled[self._number[r.iri]] for r in stratum.rules]

    def _prepare(self, view: View) -> None:
        """Order the rules and index what they read, given the axioms of `view`."""
        self._strata = stratify(self.rules, view)
        self._index = Index()
        for one in self._compiled:
            rows = one.schema.rows(view)
            self._index.add(one.number, narrow(one.reads, one.found, rows))
        self._stale = False


@dataclass(slots=True)
class _State:
    """Subjects to look at: `shrunk` may have lost heads, `grown` (of a positive rule) can only have gained some."""

    shrunk: Affected[int]
    grown: Affected[int]
    meter: Meter
    off: set[int] = field(default_factory=set)  # numbers of suspended rules

    def take(self, one: Compiled) -> set[Term] | None:
        """All subjects of a rule, no longer pending; None: every subject."""
        return _union(_pop(self.shrunk, one), _pop(self.grown, one))

    def take_shrunk(self, one: Compiled) -> set[Term] | None:
        lost = _pop(self.shrunk, one)
        return lost if one.found.positive else _union(lost, _pop(self.grown, one))

    def take_grown(self, one: Compiled) -> set[Term] | None:
        return _pop(self.grown, one) if one.found.positive else set()


def _pop(side: Affected[int], one: Compiled) -> set[Term] | None:
    nodes = side.nodes.pop(one.number, set())
    if one.number in side.everywhere:
        side.everywhere.discard(one.number)
        return None
    return None if one.whole and nodes else nodes


def _put(todo: Todo, number: int, subjects: set[Term] | None) -> None:
    todo[number] = _union(todo.get(number, set()), subjects)


def _union(a: set[Term] | None, b: set[Term] | None) -> set[Term] | None:
    return None if a is None or b is None else a | b


def _twice(rules: Sequence[Rule]) -> str:
    names = [r.iri.value for r in rules]
    return next(n for n in names if names.count(n) > 1)
