"""Why a triple follows: a tree of rule applications, named as in the specification, down to asserted triples.

Where no equal terms are involved, a proof is searched backwards in the closure. Else the facts that may have a part in it
are collected backwards, and what is asserted of them is reasoned over once more, noting how each fact first came about:
an order of events is a proof without circles, whatever was merged on the way.

Steps about literals as subjects, which no RDF triple can state, and about the cells of lists are not shown: their own
premises stand in their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import pyoxigraph as ox

from reasoners.derive.derivation import Derivation
from reasoners.derive.owl.backward import Proof, prove
from reasoners.derive.owl.engine import Rl
from reasoners.derive.owl.rules import CELL_OF, SAME_AS, Row
from reasoners.derive.owl.state import Reason, State

STEPS = 200_000  # rule applications looked at for one explanation
MOST_FACTS = 20_000  # facts collected to be reasoned over once more
MOST_NODES = 20_000  # facts in one derivation


class Explainer:
    """Derivations of triples of one closure."""

    def __init__(self, rl: Rl) -> None:
        self.rl = rl

    def triple(self, triple: ox.Triple) -> Derivation | None:
        """One derivation of an entailed triple; None when it is not entailed, or when none was found within bounds."""
        terms = self.rl.state.terms
        numbers = [terms.find(str(t)) for t in (triple.subject, triple.predicate, triple.object)]
        s, p, o = numbers
        if s is None or p is None or o is None:
            return None
        row = (s, p, o)
        if row in self.rl.state.asserted or row in self.rl.stated:
            return Derivation(triple)
        if triple not in self.rl:
            return None
        if p == SAME_AS and s == o and len(self.rl.state.members_of(self.rl.state.norm(s))) == 1:
            return Derivation(triple, "eq-ref")
        return next(iter(self.row(row)), None)

    def row(self, row: Row) -> tuple[Derivation, ...]:
        """Derivations of a triple over numbers: one, or those of its premises when RDF cannot state it."""
        state = self.rl.state
        if row in state.asserted or row in self.rl.stated:
            return (Derivation(state.terms.triple(*row)),)
        fact = state.norm_row(row)
        if fact == row and row[1] != SAME_AS and _plain(state, fact):
            proofs, _ = prove(
                self.rl.forward,
                fact,
                lambda f: _plain(state, f) and state.is_given(f),
                lambda f: _plain(state, f),
                STEPS,
            )
            if fact in proofs:
                return _Tree(self.rl, proofs).of(fact)
        return self._again(row)

    def fact(self, fact: Row) -> tuple[Derivation, ...]:
        """Derivations of a fact as it is written in some asserted triple, and of what makes that triple the fact."""
        state = self.rl.state
        if fact[1] == SAME_AS:
            return self._again(fact)
        written = min(state.originals_of(fact), default=fact)
        out = list(self.row(written))
        for term, rep in zip(written, fact, strict=True):
            if term != rep and state.terms.canonical.get(term, term) != rep:
                out += self.row((term, SAME_AS, rep))
        return tuple(out)

    def _again(self, row: Row) -> tuple[Derivation, ...]:
        for most in (MOST_FACTS // 20, MOST_FACTS):
            rows = _support(self.rl, row, most)
            small = replay(self.rl, rows)
            found = _Tree(small, {}).of(row)
            if found:
                return found
        return ()


def _plain(state: State, fact: Row) -> bool:
    members = state.members
    return not (fact[0] in members or fact[1] in members or fact[2] in members)


def _support(rl: Rl, goal: Row, most: int) -> list[Row]:
    """Asserted triples that may have a part in a derivation, nearest first."""
    state = rl.state
    seen: set[Row] = set()
    classes: set[int] = set()
    out: dict[Row, None] = {}
    agenda: deque[Row] = deque([state.norm_row(goal)])
    steps = STEPS

    def want_class(term: int) -> None:
        rep = state.norm(term)
        if rep in classes or rep not in state.members:
            return
        classes.add(rep)
        for reason in state.reasons.get(rep, ()):
            if not reason.rule or reason.rule == "eq-rep-p":
                out.update(dict.fromkeys(r for r in reason.premises if r in state.asserted))
            agenda.extend(state.norm_row(premise) for premise in reason.premises)

    for term in goal:
        want_class(term)
    while agenda and len(seen) < most and steps > 0:
        fact = agenda.popleft()
        if fact in seen:
            continue
        seen.add(fact)
        for term in fact:
            want_class(term)
        given = state.originals_of(fact)
        out.update(dict.fromkeys(sorted(given)))
        if fact[1] == SAME_AS or (given and _plain(state, fact)):
            continue
        for rule, env in rl.forward.lookup.backward(fact):
            steps -= 1
            agenda.extend(p for p in rule.premises(env) if p not in seen)
            if steps < 0:
                break
    return list(out)


def replay(rl: Rl, rows: Iterable[Row]) -> Rl:
    """A closure of asserted rows of another one that notes how each fact first came about."""
    small = Rl.blank(rl.state.terms)
    small.stated = rl.stated
    state = small.state
    state.records = {}
    queue: deque[Row] = deque(fact for fact in state.axioms if small.forward.put(fact))
    for row in rows:
        fact = state.assert_row(row)
        if fact is None:
            continue
        if fact[1] == SAME_AS:
            small.forward.merge(Reason(row[0], row[2], "" if row[1] == SAME_AS else "eq-rep-p", (row,)), queue)
            continue
        if row != fact:
            _note_original(state, row, fact)
        if small.forward.put(fact):
            queue.append(fact)
    small.forward.run(queue)
    return small


def _note_original(state: State, row: Row, fact: Row) -> None:
    assert state.records is not None
    names = ("eq-rep-s", "eq-rep-p", "eq-rep-o")
    before = row
    for place in range(3):
        if before[place] == fact[place]:
            continue
        after = tuple(fact[i] if i == place else t for i, t in enumerate(before))
        new: Row = (after[0], after[1], after[2])
        state.records.setdefault(new, (names[place], ((before[place], SAME_AS, fact[place]), before)))
        before = new


class _Tree:
    """Derivations made of noted proofs."""

    def __init__(self, rl: Rl, proofs: dict[Row, Proof]) -> None:
        self.rl, self.state = rl, rl.state
        self.proofs = proofs
        self.made: dict[Row, tuple[Derivation, ...]] = {}
        # parts of paths, known since they were divided
        self._paths: dict[tuple[int, int], list[tuple[int, Reason]]] = {}

    def of(self, row: Row) -> tuple[Derivation, ...]:
        """Derivations of a row; () when nothing was noted of it."""
        if not self._step(row):
            return ()
        stack = [row]
        open_: set[Row] = set()
        while stack:
            if len(self.made) > MOST_NODES:
                return ()
            top = stack[-1]
            if top in self.made:
                stack.pop()
                continue
            step = self._step(top)
            if step is None:
                return ()
            rule, premises = step
            waiting = [p for p in premises if p not in self.made]
            if waiting and top not in open_:
                open_.add(top)
                stack.extend(waiting)
                continue
            if any(p not in self.made for p in premises):
                return ()  # a circle: notes of different states
            stack.pop()
            self.made[top] = self._node(top, rule, tuple(d for p in premises for d in self.made[p]))
        return self.made[row]

    def _node(self, row: Row, rule: str, premises: tuple[Derivation, ...]) -> tuple[Derivation, ...]:
        terms = self.state.terms
        if row[1] == CELL_OF or terms.is_literal(row[0]) or not terms.is_iri(row[1]):
            return premises
        return (Derivation(terms.triple(*row), rule, tuple(dict.fromkeys(premises))),)

    def _step(self, row: Row) -> Proof | None:
        """(rule, premises) of a row; ('', ()) when asserted, None when nothing is known."""
        state = self.state
        if row in state.asserted or row in self.rl.stated:
            return ("", ())
        if row in state.axioms:
            return (state.axioms[row], ())
        proof = self.proofs.get(row)
        if proof is not None and proof[0]:
            return proof
        if row[1] == SAME_AS:
            return self._equal(row)
        noted = state.records.get(row) if state.records is not None else None
        if noted is not None:
            return noted
        if state.is_axiom(row):
            return ("dt-type2", ())
        for written in sorted(state.originals.get(row, ())):
            if written[:2] == row[:2]:  # the same value, written otherwise
                return ("eq-rep-o", (written, (written[2], SAME_AS, row[2])))
        fact = state.norm_row(row)
        if fact == row or fact not in state.facts:
            return None
        # a triple with another of the equal terms than the fact: one replacement at a time
        for place, name in enumerate(("eq-rep-s", "eq-rep-p", "eq-rep-o")):
            if row[place] != fact[place]:
                nearer = tuple(fact[i] if i == place else t for i, t in enumerate(row))
                return (name, ((fact[place], SAME_AS, row[place]), (nearer[0], nearer[1], nearer[2])))
        return None

    def _equal(self, row: Row) -> Proof | None:
        a, _, b = row
        state = self.state
        if state.norm(a) != state.norm(b):
            return None
        if state.terms.canonical.get(a, a) == state.terms.canonical.get(b, b):
            return ("eq-ref" if a == b else "dt-eq", ())
        if (b, SAME_AS, a) in state.asserted:
            return ("eq-sym", ((b, SAME_AS, a),))
        canonical = state.terms.canonical
        path = self._path(canonical.get(a, a), canonical.get(b, b))
        if path is None:
            return None
        if len(path) > 1:
            half = len(path) // 2
            middle = path[half][0]
            self._paths[a, middle], self._paths[middle, b] = path[:half], path[half:]
            return ("eq-trans", ((a, SAME_AS, middle), (middle, SAME_AS, b)))
        one, reason = path[0]
        if reason.rule:
            if one == canonical.get(reason.a, reason.a):
                return (reason.rule, reason.premises)
            return ("eq-sym", ((b, SAME_AS, a),))
        return ("eq-trans", (reason.premises[0],)) if (a, b) != (reason.a, reason.b) else ("", ())

    def _path(self, start: int, end: int) -> list[tuple[int, Reason]] | None:
        """Steps from one term to another along the reasons, which form a tree over the class."""
        known = self._paths.get((start, end))
        if known is not None:
            return known
        near: dict[int, list[tuple[int, Reason]]] = {}
        canonical = self.state.terms.canonical
        for reason in self.state.reasons.get(self.state.norm(start), ()):
            a, b = canonical.get(reason.a, reason.a), canonical.get(reason.b, reason.b)
            near.setdefault(a, []).append((b, reason))
            near.setdefault(b, []).append((a, reason))
        came: dict[int, tuple[int, Reason]] = {}
        agenda = deque([start])
        while agenda and end not in came:
            term = agenda.popleft()
            for other, reason in near.get(term, ()):
                if other != start and other not in came:
                    came[other] = (term, reason)
                    agenda.append(other)
        if end not in came:
            return None
        path = []
        term = end
        while term != start:
            term, reason = came[term]
            path.append((term, reason))
        return path[::-1]


def nodes(derivation: Derivation) -> Iterator[Derivation]:
    """Every node of a derivation, premises first, shared ones once."""
    done: set[int] = set()
    stack: list[tuple[Derivation, bool]] = [(derivation, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((p, False) for p in node.premises)
