"""Looking backwards: proofs of a fact from what is given, and the exact removal of what no longer follows.

A deletion goes over the facts that rest on what was removed (delete and rederive), but stops at every fact that it can
prove anew from what remains, within a budget of steps: proofs are trees whose leaves are given, so a fact that is kept
needs nothing that goes. Whatever the budget cuts off is removed and then derived again: the result does not depend on it.

Equal terms: a fact that mentions a class of several terms is not proved on the way, because its proof could rest on the
very equality that is in doubt. When a fact goes on which a merge rests, the class is taken apart and everything
said of its members is derived again.

Sources: Gupta, Mumick, Subrahmanian, "Maintaining views incrementally" (SIGMOD 1993); Motik, Nenov, Piro, Horrocks,
"Incremental update of datalog materialisation: the backward/forward algorithm" (AAAI 2015).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from reasoners.derive.owl.forward import Forward
from reasoners.derive.owl.rules import SAME_AS, Row, fill
from reasoners.derive.owl.state import Reason

STEPS = 256  # rule applications looked at for one proof at most
LEAST_STEPS = 8  # after many that found none
MOST_DOUBTS = 3_000  # facts in doubt from which on starting afresh is cheaper, or this part of all:
MOST_PART = 0.01

Proof = tuple[str, tuple[Row, ...]]  # rule and premises; ('', ()) for what is given


class TooMuch(Exception):
    """More is in doubt than it takes to derive everything."""


def prove(
    forward: Forward,
    goal: Row,
    known: Callable[[Row], bool],
    usable: Callable[[Row], bool],
    steps: int = STEPS,
) -> tuple[dict[Row, Proof], set[Row] | None]:
    """(proofs of the goal and of what they rest on, else what the search has shown to have none).

    Without a proof the first is empty; the second is None when the search was cut off.

    `known` facts need no proof; only `usable` facts may occur in one. Breadth first, so proofs are shallow.
    """
    proofs: dict[Row, Proof] = {}
    waiting: dict[Row, list[list[object]]] = {}
    seen = {goal}
    agenda = deque([goal])

    def establish(fact: Row, proof: Proof) -> None:
        stack = [(fact, proof)]
        while stack:
            one, how = stack.pop()
            if one in proofs:
                continue
            proofs[one] = how
            for step in waiting.pop(one, ()):
                step[0] -= 1  # type: ignore[operator]
                if not step[0]:
                    stack.append((step[1], step[2]))  # type: ignore[arg-type]

    if known(goal):
        return {goal: ("", ())}, None
    while agenda:
        fact = agenda.popleft()
        if fact in proofs:
            continue
        for rule, env in forward.lookup.backward(fact):
            steps -= 1
            if steps < 0:
                return ({} if goal not in proofs else proofs), None
            premises = rule.premises(env)
            if fact in premises or not all(map(usable, premises)):
                continue
            for premise in premises:
                if premise not in proofs and known(premise):
                    establish(premise, ("", ()))
            missing = {p for p in premises if p not in proofs}
            if not missing:
                establish(fact, (rule.name, premises))
                break
            step: list[object] = [len(missing), fact, (rule.name, premises)]
            for premise in missing:
                waiting.setdefault(premise, []).append(step)
                if premise not in seen:
                    seen.add(premise)
                    agenda.append(premise)
        if goal in proofs:
            return proofs, None
    return {}, seen.difference(proofs)


class Removal:
    """One deletion: asserted triples were retracted from the state already."""

    def __init__(self, forward: Forward) -> None:
        self.forward, self.state = forward, forward.state
        self.gone: set[Row] = set()
        self.kept: set[Row] = set()
        self.refuted: set[Row] = set()
        self.steps = STEPS
        self.dissolved: set[int] = set()  # representatives
        self.agenda: deque[tuple[Row, bool]] = deque()
        self.limit = max(MOST_DOUBTS, int(MOST_PART * len(self.state.facts)))

    def doubt(self, fact: Row) -> None:
        """The fact lost one of its supports."""
        self.agenda.append((fact, False))

    def separate(self, term: int) -> None:
        """A reason why the term is equal to others fell away."""
        rep = self.state.norm(term)
        if rep in self.dissolved or rep not in self.state.members:
            return
        if any(m < self.state.vocabulary for m in self.state.members[rep]):
            raise TooMuch
        self.dissolved.add(rep)
        for fact in self.state.facts.mentioning(rep):
            self.agenda.append((fact, True))

    def run(self) -> list[Row]:
        """Remove what no longer follows; facts that have to be joined again (added to the state)."""
        state, forward = self.state, self.forward
        ties = state.ties()
        while self.agenda:
            fact, certain = self.agenda.popleft()
            if fact in self.gone or fact not in state.facts or (fact in self.kept and not certain):
                continue
            self.limit -= 1
            if len(self.agenda) > self.limit:
                raise TooMuch
            if not certain and self._holds(fact):
                continue
            self.gone.add(fact)
            for term in list(ties.pop(fact, ())):
                self.separate(term)
            for rule, env in forward.lookup.forward(fact):
                assert rule.head is not None
                head = fill(rule.head, env)
                if head[1] != SAME_AS and head not in self.gone:
                    self.agenda.append((head, False))
        return self._derive_again()

    def _plain(self, fact: Row) -> bool:
        """Whether no term of the fact has another equal to it."""
        members = self.state.members
        return not members or not (fact[0] in members or fact[1] in members or fact[2] in members)

    def _known(self, fact: Row) -> bool:
        return fact in self.kept or (self._plain(fact) and self.state.is_given(fact))

    def _usable(self, fact: Row) -> bool:
        return fact not in self.gone and self._plain(fact)

    def _holds(self, fact: Row) -> bool:
        if not self._plain(fact):
            return self.state.is_axiom(fact) and not self.state.members.keys() & set(fact)
        if fact in self.refuted:
            return False
        proofs, refuted = prove(self.forward, fact, self._known, self._usable, self.steps)
        self.kept.update(proofs)
        if fact in proofs:
            self.steps = min(STEPS, 2 * self.steps)
            return True
        if refuted is None:
            self.steps = max(LEAST_STEPS, self.steps // 2)
        else:
            self.refuted |= refuted
        return False

    def _derive_again(self) -> list[Row]:
        state, forward = self.state, self.forward
        given = {fact: state.originals_of(fact) for fact in self.gone}
        axioms = [fact for fact in self.gone if state.is_axiom(fact)]
        for fact in self.gone:
            forward.take(fact)
        apart: list[int] = []
        for rep in self.dissolved:
            apart += state.dissolve(rep)
        again: deque[Row] = deque()
        for fact, rows in given.items():
            for new in state.part(fact, rows):
                if forward.put(new):
                    again.append(new)
        for fact in [*axioms, *forward.literals.of(apart)]:
            if state.is_axiom(fact) and forward.put(fact):
                again.append(fact)
        members = set(apart)
        for fact in self.gone:
            if fact in state.facts or not members.isdisjoint(fact):
                continue  # what is said of the members comes from facts about them, which are joined again
            if next(forward.lookup.backward(fact), None) is not None and forward.put(fact):
                again.append(fact)
        equal = state.asserted.relations.get(SAME_AS)
        if equal is not None:
            for term in apart:
                for a, b in equal.mentioning(term):
                    forward.merge(Reason(a, b, "", ((a, SAME_AS, b),)), again)
        return list(again)


def retract(forward: Forward, rows: Iterable[Row]) -> list[Row]:
    """Take asserted triples out and remove what no longer follows; facts to be joined again. TooMuch: start afresh."""
    state = forward.state
    removal = Removal(forward)
    apart: list[int] = []
    for row in rows:
        fact = state.retract_row(row)
        if fact is None:
            continue
        if fact[1] == SAME_AS:
            apart.append(row[0])
        else:
            removal.doubt(fact)
    for term in apart:
        removal.separate(term)
    return removal.run()
