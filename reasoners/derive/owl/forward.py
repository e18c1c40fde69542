"""From facts to all that follows: many at once by columns, few one by one.

`Forward.run` takes facts that are already in the state and have not been joined yet. Rounds over columns as long as
there are many; below `FEW` each fact goes through the rules by itself, which costs what it touches. An axiom among few
facts is joined by columns all the same when there are many facts it may concern.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from reasoners.derive.owl import columns
from reasoners.derive.owl.columns import Batch, column
from reasoners.derive.owl.irregular import own_equalities, reads_equality
from reasoners.derive.owl.join import solve as solve_one
from reasoners.derive.owl.program import IMPLIED, LISTS, TRANSITIVE_RULES, Program
from reasoners.derive.owl.relation import EMPTY, MASK, Keys, among, distinct, swap
from reasoners.derive.owl.rules import SAME_AS, SUB_CLASS, SUB_PROPERTY, TRANSITIVE, TYPE, Row, Rule, fill, unify
from reasoners.derive.owl.state import Reason, State
from reasoners.derive.owl.transitive import FEW_EDGES, closure, increment

FEW = 1_500  # facts that are followed one by one
MANY = 20_000  # facts from which on an axiom is joined by columns
Delta = dict[int, Keys]
# Applied to what they concluded themselves they find nothing: the hierarchies they follow are closed.
_ONCE = frozenset({"cax-sco", "prp-spo1", "scm-dom1", "scm-dom2", "scm-rng1", "scm-rng2"})


class Forward(Program):
    """Follows facts through the rules."""

    def __init__(self, state: State, like: Forward | None = None) -> None:
        super().__init__(state, like)
        self._covered: dict[tuple[str, int], Keys] = {}  # facts of a round by the rule of `_ONCE` that concluded them
        self._via: dict[Row, str] = {}  # the same for facts that wait to be followed one by one

    # -- the whole ----------------------------------------------------------------------------------------------------------
    def everything(self) -> None:
        """All that follows from the facts, none of which has been joined yet."""
        self._notice_all()
        self._follow_lists()
        for p in list(self.state.facts.relations):
            self._close(p, None)
        self.rounds(self._whole(self.fixed + list(self.listed.values())))
        self._settle()

    def run(self, facts: Iterable[Row]) -> None:
        """All that follows from facts that were added."""
        self._follow(list(facts))
        self._settle()

    def _follow(self, facts: list[Row]) -> None:
        if len(facts) <= FEW or self.state.records is not None:
            self._one_by_one(deque(facts))
        else:
            # less what a merge rewrote
            self.rounds(self._closed(_delta([fact for fact in facts if fact in self.state.facts])))

    def _settle(self) -> None:
        """What new lists, newly used datatypes and equality itself add, until nothing does."""
        while True:
            fresh = self._follow_lists() if self.lists_changed else []
            if fresh and self.state.records is not None:
                self._one_by_one(self._whole_noted(fresh))
                continue
            if fresh:
                self.rounds(self._whole(fresh))
                continue
            if self.vocabulary_merged:
                self._read_rules_again()
                self.rounds(self._whole([*self.fixed, *self.listed.values()]))
                continue
            rows: list[Row] = []
            if self.axioms_changed:
                self.axioms_changed = False
                if reads_equality(self.state, self._guarded_classes):
                    self.irregular = self.reflexive = True
                self.literals.look()
                rows += self.literals.fresh()
            else:
                rows += self.literals.fresh()
            rows += self.literals.mixed()
            if self.reflexive:
                rows += own_equalities(self.state)
            rows = [row for row in rows if self.put(row)]
            if not rows:
                return
            self._follow(rows)

    def _whole(self, rules: Iterable[Rule]) -> Delta:
        new: dict[int, list[Keys]] = {}
        pairs: list[tuple[Rule, Batch]] = []
        for rule in rules:
            if rule.name in IMPLIED or rule.name in TRANSITIVE_RULES:
                continue
            for batch in columns.solve(self.state.facts, rule.body, columns.start()):
                self._emit(rule, batch, new, pairs)
        return self._absorb(new, pairs)

    def _whole_noted(self, rules: Iterable[Rule]) -> deque[Row]:
        queue: deque[Row] = deque()
        for rule in rules:
            for env in list(solve_one(self.state.facts, rule.body, [-1] * rule.variables)):
                if rule.holds(env):
                    self._conclude(rule, env, queue)
        return queue

    # -- columns --------------------------------------------------------------------------------------------------------------
    def rounds(self, delta: Delta) -> None:
        """Join what is new with everything, until nothing is."""
        while delta:
            if sum(map(len, delta.values())) <= FEW:
                self._one_by_one(deque((k >> 32, p, k & MASK) for p, keys in delta.items() for k in keys.tolist()))
                return
            new: dict[int, list[Keys]] = {}
            pairs: list[tuple[Rule, Batch]] = []
            covered, self._covered = self._covered, {}
            for p, keys in delta.items():
                back = np.sort(swap(keys))
                for rule, place in self._occurrences(p, back):
                    some = covered.get((rule.name, p))
                    if some is None:
                        batch = columns.matching(rule.body[place], keys, back, p)
                    else:
                        rest = keys[~among(some, keys)]
                        batch = columns.matching(rule.body[place], rest, np.sort(swap(rest)), p)
                    if batch is not None:
                        for found in columns.solve(self.state.facts, rule.rests[place], batch):
                            self._emit(rule, found, new, pairs)
            delta = self._absorb(new, pairs)

    def _occurrences(self, p: int, back: Keys) -> list[tuple[Rule, int]]:
        out = list(self._ahead.plain.get(p, ()))
        if p == TYPE:
            out += [(g.rule, g.place) for g in self._ahead.open_type]
            for c in self._ahead.typed.keys() & set(distinct(back >> 32).tolist()):
                out += self._ahead.typed[c]
        return out + self._onward.open(False, False, p)

    def _emit(self, rule: Rule, batch: Batch, new: dict[int, list[Keys]], pairs: list[tuple[Rule, Batch]]) -> None:
        batch = columns.unequal(rule, batch)
        if not batch.rows:
            return
        assert rule.head is not None
        s, p, o = rule.head
        predicate = batch.get(p)
        assert predicate is not None
        for number in [predicate] if isinstance(predicate, int) else distinct(predicate).tolist():
            part = batch if isinstance(predicate, int) else batch.pick(predicate == number)
            if number == SAME_AS:
                part = part.pick(column(part, s) != column(part, o))
                if part.rows:
                    pairs.append((rule, part))
            else:
                self._keep(number, (column(part, s) << 32) | column(part, o), new, rule.name)

    def _keep(self, p: int, keys: Keys, new: dict[int, list[Keys]], name: str) -> None:
        relation = self.state.facts.relations.get(p)
        keys = distinct(keys)
        if relation is not None:
            keys = keys[~among(relation.keys, keys)]
        if len(keys):
            new.setdefault(p, []).append(keys)
            if name in _ONCE:
                held = self._covered.get((name, p))
                self._covered[name, p] = keys if held is None else distinct(np.concatenate((held, keys)))

    def _absorb(self, new: dict[int, list[Keys]], pairs: list[tuple[Rule, Batch]]) -> Delta:
        """Add what a round found and merge what it made equal; what the next round has to join."""
        state = self.state
        delta: Delta = {}
        for p, found in new.items():
            fresh = state.facts.relation(p).extend(distinct(np.concatenate(found)) if len(found) > 1 else found[0])
            if len(fresh):
                delta[p] = fresh
                self._notice_keys(p, fresh)
        losers = self._unite(pairs)
        if losers:
            for p, keys in list(delta.items()):
                gone = np.isin(keys >> 32, losers) | np.isin(keys & MASK, losers)
                delta[p] = keys[~gone] if p not in losers else keys[:0]
            for p, keys in self._rewrite_all(losers).items():
                delta[p] = distinct(np.concatenate((delta.get(p, keys[:0]), keys)))
        return self._closed({p: keys for p, keys in delta.items() if len(keys)})

    def _closed(self, delta: Delta) -> Delta:
        """New facts and what transitive properties make of them."""
        if TYPE in delta:  # properties that became transitive
            now = delta[TYPE]
            for p in (now[(now & MASK) == TRANSITIVE] >> 32).tolist():
                more = self._close(p, None)
                if len(more):
                    delta[p] = distinct(np.concatenate((delta.get(p, more[:0]), more)))
        for p, keys in list(delta.items()):
            more = self._close(p, keys)
            if len(more):
                delta[p] = distinct(np.concatenate((keys, more)))
        return delta

    def _transits(self, p: int) -> bool:
        state = self.state
        if p in {state.norm(SUB_CLASS), state.norm(SUB_PROPERTY)}:
            return True
        types = state.facts.relations.get(TYPE)
        return types is not None and types.has(p, TRANSITIVE)

    def _close(self, p: int, fresh: Keys | None) -> Keys:
        """Close a transitive relation, of which only `fresh` pairs (None: all) are not followed; what was added."""
        relation = self.state.facts.relations.get(p)
        if relation is None or not self._transits(p) or (fresh is not None and not len(fresh)):
            return EMPTY
        if fresh is not None and len(fresh) <= FEW_EDGES:
            pairs = increment(relation, [(k >> 32, k & MASK) for k in fresh.tolist()])
            more = np.sort(np.array([s << 32 | o for s, o in pairs], dtype=np.int64))
        else:
            more = relation.extend(closure(relation.keys))
        if len(more):
            self._notice_keys(p, more)
        return more

    def _notice_keys(self, p: int, keys: Keys) -> None:
        if self.state.touched is not None:
            for k in keys.tolist():
                self.state.touched.setdefault((k >> 32, p, k & MASK), False)
        if p in self._guarded or (p == TYPE and np.isin(keys & MASK, list(self._guarded_classes)).any()):
            self.axioms_changed = True
            self._forget()
        if p in LISTS:
            self.lists_changed = True

    def _unite(self, pairs: list[tuple[Rule, Batch]]) -> list[int]:
        state = self.state
        losers = []
        for rule, batch in pairs:
            assert rule.head is not None
            left, right = column(batch, rule.head[0]), column(batch, rule.head[2])
            both = (np.minimum(left, right) << 32) | np.maximum(left, right)
            _, first = np.unique(both, return_index=True)
            for i in first.tolist():
                a, b = int(left[i]), int(right[i])
                if state.norm(a) != state.norm(b):
                    env = [-1] * rule.variables
                    for v in range(rule.variables):
                        found = batch.get(~v)
                        if found is not None:
                            env[v] = found if isinstance(found, int) else int(found[i])
                    united = state.unite(Reason(a, b, rule.name, rule.premises(env)))
                    if united is not None:
                        losers.append(united[1])
        return losers

    def _rewrite_all(self, losers: list[int]) -> Delta:
        """Replace former representatives in all facts; the facts that are new by that."""
        state = self.state
        out: Delta = {}
        if min(losers) < state.vocabulary:
            self.irregular = self.vocabulary_merged = True
        if SAME_AS in state.members:
            self.axioms_changed = True
        if state.touched is not None and len(losers) < FEW:  # an increment: only what mentions them
            for rep in {state.norm(term) for term in losers}:
                for fact in state.facts.mentioning(rep):
                    state.touched.setdefault(fact, True)  # it will be shown for more terms
            rows = [fact for term in losers for fact in state.facts.mentioning(term)]
            return _delta(self._rewritten(rows))
        state.tied = None
        winners = list({state.norm(term) for term in losers})
        remap = np.arange(len(state.terms), dtype=np.int64)
        for term, rep in state.rep.items():
            remap[term] = rep
        rows = []
        for p, relation in list(state.facts.relations.items()):
            keys = relation.keys
            mapped = (remap[keys >> 32] << 32) | remap[keys & MASK]
            changed = np.ones(len(keys), dtype=np.bool_) if p in state.rep else mapped != keys
            if state.touched is not None:  # what mentions a winner will be shown for more terms
                wider = keys if p in winners else keys[np.isin(keys >> 32, winners) | np.isin(keys & MASK, winners)]
                for k in wider.tolist():
                    state.touched.setdefault((k >> 32, p, k & MASK), True)
            if not changed.any():
                continue
            gone = keys[changed]
            if state.touched is not None:
                for k in gone.tolist():
                    state.touched.setdefault((k >> 32, p, k & MASK), True)
            given = [k for k in gone.tolist() if state.originals_of((k >> 32, p, k & MASK))]
            for k in given:
                row = (k >> 32, p, k & MASK)
                state.move(row, state.norm_row(row))
            relation.remove(gone)
            q = state.rep.get(p, p)
            if q == SAME_AS:
                rows += [(k >> 32, p, k & MASK) for k in gone.tolist()]
                continue
            fresh = state.facts.relation(q).extend(distinct(mapped[changed]))
            self._notice_keys(q, fresh)
            out[q] = distinct(np.concatenate((out[q], fresh))) if q in out else fresh
        self._notice_all()
        if rows:  # a predicate became equal to owl:sameAs
            self.irregular = True
            found = [state.unite(Reason(s, o, "eq-rep-p", ((s, p, o),))) for s, p, o in rows]
            more = [united[1] for united in found if united is not None]
            for p, keys in (self._rewrite_all(more) if more else {}).items():
                out[p] = distinct(np.concatenate((out.get(p, keys[:0]), keys)))
            out = {p: keys[among(state.facts.relation(p).keys, keys)] for p, keys in out.items()}
        return out

    def _rewritten(self, rows: Iterable[Row]) -> Iterable[Row]:
        state = self.state
        for fact in rows:
            if self.take(fact):
                new = state.norm_row(fact)
                state.move(fact, new)
                if new[1] == SAME_AS and new[0] != new[2]:
                    self.irregular = True
                    queue: deque[Row] = deque()
                    self.merge(Reason(new[0], new[2], "eq-rep-p", (fact,)), queue)
                    yield from queue
                elif self.put(new):
                    yield new

    # -- one by one -------------------------------------------------------------------------------------------------------------
    def _one_by_one(self, queue: deque[Row]) -> None:
        state = self.state
        facts, lookup = state.facts, self.lookup
        noted = state.records is not None
        if not noted:
            lookup = self._onward
        many = len(facts) > MANY and not noted
        while queue:
            if len(queue) > 8 * FEW and not noted:
                self.rounds(self._closed(_delta([row for row in queue if row in facts])))
                return
            row = queue.popleft()
            if row not in facts:
                continue  # rewritten meanwhile; what it became is in the queue
            via = self._via.pop(row, "")
            if not noted:
                self._pass_on(row, via, queue)
            for rule, place in list(lookup.occurrences(row)):
                if rule.name == via:
                    continue
                env = unify(rule.body[place], row, rule.variables)
                if env is None:
                    continue
                if row not in facts:
                    break  # rewritten by a merge: what it became is in the queue
                if many and rule.data and place not in rule.data:
                    self._by_columns(rule, place, row, queue)
                    continue
                for found in list(solve_one(facts, rule.rests[place], env)):
                    if rule.holds(found):
                        self._conclude(rule, found, queue)

    def _conclude(self, rule: Rule, env: list[int], queue: deque[Row]) -> None:
        assert rule.head is not None
        head = fill(rule.head, env)
        if head[1] == SAME_AS and not (self.reflexive and head[0] == head[2]):
            self.merge(Reason(head[0], head[2], rule.name, rule.premises(env)), queue)
            return
        state = self.state
        if head[0] in state.rep or head[2] in state.rep or head[1] in state.rep:
            head = state.norm_row(head)  # a merge came between
        if self.put(head):
            queue.append(head)
            if rule.name in _ONCE:
                self._via[head] = rule.name
            if state.records is not None:
                state.records.setdefault(head, (rule.name, rule.premises(env)))

    def _pass_on(self, row: Row, via: str, queue: deque[Row]) -> None:
        """What a transitive property makes of a fact."""
        s, p, o = row
        found: list[tuple[int, int, int]] = []
        if p == TYPE and o == TRANSITIVE:
            found = [(k >> 32, s, k & MASK) for k in self._close(s, None).tolist()]
        if via != "transitive" and self._transits(p):
            relation = self.state.facts.relation(p)
            found += [(a, p, b) for a, b in increment(relation, [(s, o)])]
            for new in found:
                if self.state.touched is not None:
                    self.state.touched.setdefault(new, False)
                self.notice(new)
        for new in found:
            self._via[new] = "transitive"
            queue.append(new)

    def merge(self, reason: Reason, queue: deque[Row]) -> None:
        """Make two terms equal and rewrite the facts about the one that is no longer the representative."""
        state = self.state
        united = state.unite(reason)
        if united is None:
            return
        if state.records is not None and reason.rule:
            state.records.setdefault((reason.a, SAME_AS, reason.b), (reason.rule, reason.premises))
        winner, loser = united
        if winner == SAME_AS:
            self.axioms_changed = True
        if loser < state.vocabulary:
            self.irregular = self.vocabulary_merged = True
        for old in state.facts.mentioning(loser):
            self.notice(old)
        for new in list(state.rewrite(winner, loser)):
            if new[1] == SAME_AS and new[0] != new[2]:
                self.irregular = True
                self.merge(Reason(new[0], new[2], "eq-rep-p", (new,)), queue)
            elif self.put(new):
                queue.append(new)

    def _by_columns(self, rule: Rule, place: int, row: Row, queue: deque[Row]) -> None:
        keys = np.array([row[0] << 32 | row[2]], dtype=np.int64)
        batch = columns.matching(rule.body[place], keys, swap(keys), row[1])
        if batch is None:
            return
        new: dict[int, list[Keys]] = {}
        pairs: list[tuple[Rule, Batch]] = []
        for found in columns.solve(self.state.facts, rule.rests[place], batch):
            self._emit(rule, found, new, pairs)
        delta = self._absorb(new, pairs)
        queue.extend((k >> 32, p, k & MASK) for p, found_ in delta.items() for k in found_.tolist())


def _delta(rows: Iterable[Row]) -> Delta:
    by_predicate: dict[int, list[int]] = {}
    for s, p, o in rows:
        by_predicate.setdefault(p, []).append(s << 32 | o)
    return {p: distinct(np.array(keys, dtype=np.int64)) for p, keys in by_predicate.items()}
