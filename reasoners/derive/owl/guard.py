"""Would a change of one author's graph contradict what the author says and the terminology in force? Cheaply.

From the terminology it is computed once which predicates and classes can take part in a contradiction, backwards from the
rules that conclude one, and in which direction knowledge flows along each predicate. A change that adds nothing of the
kind costs a few lookups. Else what is connected with it is collected from the author's view, bounded, and closed over
the ready-made closure of the terminology. Only what the author's graph and the terminology say is read: nobody can be
blocked by what another says.

Removals cannot cause a contradiction: the rules are monotone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyoxigraph as ox

from reasoners.derive.owl.clash import Clash, Found, derivations_of, find
from reasoners.derive.owl.datatypes import is_supported
from reasoners.derive.owl.engine import Rl
from reasoners.derive.owl.explain import Explainer
from reasoners.derive.owl.join import solve
from reasoners.derive.owl.rules import DIFFERENT, SAME_AS, TYPE, Atom, Rule
from reasoners.derive.owl.tables import PROBLEMS
from reasoners.graph import Term, View
from reasoners.vocab import OWL, RDF

MOST_TRIPLES = 20_000  # collected around one change
MOST_TOLD = 20  # contradictions told, with their derivations
_RENEW = 500_000  # terms seen by checks from which on the terminology is read anew, to let go of them

Key = tuple[int, int]  # (predicate, -1), or (rdf:type, class)


@dataclass(frozen=True)
class Caused:
    """Contradictions that a change would bring; `unchecked` says why it could not be looked for ('': it was)."""

    clashes: tuple[Clash, ...] = ()
    unchecked: str = ""
    looked_at: int = 0  # triples collected around the change


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule with the terminology filled in: patterns about individuals, and what they conclude."""

    head: Atom | None
    data: tuple[Atom, ...]


class ClashGuard:
    """The terminology in force, ready to judge changes. Make a new one when policy graphs change."""

    def __init__(self, policy: Iterable[ox.Triple], *, counts: Callable[[ox.Triple], bool] = lambda _: True) -> None:
        """`policy`: triples of the policy graphs; `counts`: whether a triple of an author's graph counts (authority)."""
        self._policy = list(policy)
        self._counts = counts
        self._read()

    def _read(self) -> None:
        self.base = Rl(self._policy)
        self._known = {(f.rule, f.about) for f in find(self.base)}
        self._keys: set[Key] = set()
        self._into: dict[int, int] = {}  # predicate -> edges into a thing that matter for it: 0 none, 1 one, 2 all
        self._into_literal: set[int] = set()  # predicates whose values are compared between subjects
        steps = self._reach()
        self._flow(steps)
        terms = self.base.state.terms
        self._nodes = {p: ox.NamedNode(terms.texts[p][1:-1]) for p, _ in self._keys if terms.is_iri(p)}
        self._all_in = [self._nodes[p] for p, level in self._into.items() if level == 2 and p in self._nodes]
        self._one_in = [self._nodes[p] for p, level in self._into.items() if level == 1 and p in self._nodes]
        self._out = set(self._nodes.values()) | {RDF.type, OWL.sameAs, OWL.differentFrom}
        self._literal_in = [self._nodes[p] for p in self._into_literal if p in self._nodes]
        self._terms_at_start = len(terms)

    # -- what can matter ----------------------------------------------------------------------------------------------------
    def _reach(self) -> list[_Step]:
        state = self.base.state
        steps: list[_Step] = []
        agenda: deque[Key] = deque()

        def want(atom: Atom) -> None:
            _, p, o = atom
            key = (p, o) if p == TYPE and o >= 0 else (p, -1)
            if key not in self._keys:
                self._keys.add(key)
                agenda.append(key)

        want((-1, SAME_AS, -2))
        want((-1, DIFFERENT, -2))
        for axiom in state.axioms:
            if is_supported(state.terms.texts[axiom[0]][1:-1]):
                want((-1, TYPE, axiom[0]))
        for rule in self.base.forward.clashes:
            for step in self._filled(rule, [-1] * rule.variables):
                steps.append(step)
                for atom in step.data:
                    want(atom)
        rules = [r for r in (*self.base.forward.fixed, *self.base.forward.listed.values()) if r.data]
        while agenda:
            p, c = agenda.popleft()
            for rule in rules:
                assert rule.head is not None
                _, hp, ho = rule.head
                if (hp >= 0 and hp != p) or (c >= 0 and ho >= 0 and ho != c):
                    continue
                env = [-1] * rule.variables
                if hp < 0:
                    env[~hp] = p
                if c >= 0 and ho < 0:
                    if env[~ho] >= 0 and env[~ho] != c:
                        continue
                    env[~ho] = c
                for step in self._filled(rule, env):
                    steps.append(step)
                    for atom in step.data:
                        want(atom)
        return list(dict.fromkeys(steps))

    def _filled(self, rule: Rule, env: list[int]) -> list[_Step]:
        axioms = [atom for i, atom in enumerate(rule.body) if i not in rule.data]
        out = []
        for found in solve(self.base.state.facts, axioms, env):
            if all(found[a] != found[b] or found[a] < 0 for a, b in rule.unequal):
                data = tuple(_partly(rule.body[i], found) for i in sorted(rule.data))
                out.append(_Step(_partly(rule.head, found) if rule.head else None, data))
        return out

    def _flow(self, steps: Sequence[_Step]) -> None:
        """Edges into a thing matter for it when a rule reads more about it, or concludes something of it."""
        changed = True
        while changed:
            changed = False
            for step in steps:
                for i, (s, p, o) in enumerate(step.data):
                    if p == TYPE:
                        continue
                    joined = any(o in (a[0], a[2]) for j, a in enumerate(step.data) if j != i) or s == o
                    level = 2 if joined else 0
                    head = step.head
                    if head is not None and level < 2:
                        if head[1] == SAME_AS:
                            level = 2 if o in (head[0], head[2]) else 0
                        elif head[0] == o:
                            level = 2 if head[1] != TYPE or len(step.data) > 1 else 1
                        elif head[2] == o:
                            level = self._into.get(head[1], 0)
                    if joined and o < 0 and p not in self._into_literal:
                        self._into_literal.add(p)
                        changed = True
                    if (
                        head is not None
                        and head[2] == o
                        and head[1] in self._into_literal
                        and p not in self._into_literal
                    ):
                        self._into_literal.add(p)
                        changed = True
                    if level > self._into.get(p, 0):
                        self._into[p] = level
                        changed = True
        self._into[SAME_AS] = self._into[DIFFERENT] = 2

    def relevant(self, triple: ox.Triple) -> bool:
        """Whether a triple can take part in a contradiction at all."""
        terms = self.base.state.terms
        p = terms.numbers.get(str(triple.predicate))
        if p is None:
            return False
        state = self.base.state
        p = state.norm(p)
        if p != TYPE:
            return (p, -1) in self._keys
        c = terms.numbers.get(str(triple.object))
        return c is not None and (p, state.norm(c)) in self._keys

    # -- a change -----------------------------------------------------------------------------------------------------------
    def caused(self, own: View, added: Iterable[ox.Triple], removed: Iterable[ox.Triple] = ()) -> Caused:
        """Contradictions that a change brings about.

        `own`: the author's graph and the policy graphs, with the change applied; `added` and `removed`: the change.
        A contradiction that was there before is not told.
        """
        fresh = [t for t in added if self._counts(t) and self.relevant(t)]
        if not fresh:
            return Caused()
        if len(self.base.state.terms) - self._terms_at_start > _RENEW:
            self._read()
        around = self._around(own, fresh)
        if around is None:
            return Caused(
                (), f"not checked for contradictions: more than {MOST_TRIPLES} triples are connected with the change"
            )
        after = self.base.fork()
        after.apply((), around)
        found = [f for f in find(after, most=MOST_TOLD) if (f.rule, f.about) not in self._known]
        if not found:
            return Caused((), "", len(around))
        before = self.base.fork()
        gone = set(fresh)
        back = [t for t in removed if self._counts(t) and self.relevant(t)]
        before.apply((), [*(t for t in around if t not in gone), *back])
        norm = after.state.norm
        old = {(f.rule, tuple(map(norm, f.about))) for f in find(before)}
        new = [f for f in found if (f.rule, tuple(map(norm, f.about))) not in old]
        return Caused(tuple(_told(after, new[:MOST_TOLD])), "", len(around))

    def _around(self, own: View, fresh: Sequence[ox.Triple]) -> list[ox.Triple] | None:
        """What is connected with the triples by what matters; None when that is too much."""
        out: dict[ox.Triple, None] = {}
        seen: set[Term] = set()
        agenda: deque[Term] = deque()

        def take(triple: ox.Triple, *, whole: bool = True) -> None:
            if triple in out or not self._counts(triple):
                return
            out[triple] = None
            if whole:
                visit(triple.subject)
            if triple.predicate != RDF.type and self._matters(triple.predicate):
                visit(triple.object)

        def visit(term: object) -> None:
            if term not in seen and isinstance(term, ox.NamedNode | ox.BlankNode | ox.Literal):
                seen.add(term)
                agenda.append(term)

        for triple in fresh:
            take(triple)
        while agenda:
            term = agenda.popleft()
            if isinstance(term, ox.Literal):
                edges = ((p, True) for p in self._literal_in)
            else:
                for triple in own.triples(term, None, None):
                    if triple.predicate in self._out and self.relevant(triple):
                        take(triple)
                edges = ((p, whole) for ps, whole in ((self._all_in, True), (self._one_in, False)) for p in ps)
            for predicate, whole in edges:
                for triple in own.triples(None, predicate, term):
                    take(triple, whole=whole)
                    if not whole:
                        break
                    if len(out) > MOST_TRIPLES:
                        return None
            if len(out) > MOST_TRIPLES:
                return None
        return list(out)

    def _matters(self, predicate: ox.NamedNode) -> bool:
        p = self.base.state.terms.numbers.get(str(predicate))
        return (p is not None and self._into.get(self.base.state.norm(p), 0) > 0) or predicate == OWL.sameAs


def _partly(atom: Atom, env: Sequence[int]) -> Atom:
    s, p, o = (t if t >= 0 or env[~t] < 0 else env[~t] for t in atom)
    return (s, p, o)


def _told(rl: Rl, found: Iterable[Found]) -> list[Clash]:
    explainer = Explainer(rl)
    return [
        Clash(f.rule, PROBLEMS[f.rule], tuple(map(rl.state.terms.term, f.about)), derivations_of(explainer, f))
        for f in found
    ]
