"""Does one graph follow from another? With blank nodes of the conclusion as "there is something".

What the closure does not hold as facts is added here: each term's equality to itself (eq-ref), the types of literals
(dt-type2, a blank node of the conclusion may stand for a literal), equality by value (dt-eq) and the difference of
literals with different values (dt-diff). From a contradiction everything follows.

Source: https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyoxigraph as ox

from reasoners.derive.owl.clash import Clash, clashes, inconsistencies_of
from reasoners.derive.owl.datatypes import is_supported
from reasoners.derive.owl.engine import Rl
from reasoners.derive.owl.join import solve
from reasoners.derive.owl.rules import DIFFERENT, SAME_AS, Atom


def entails(premise: Iterable[ox.Triple], conclusion: Iterable[ox.Triple]) -> bool:
    """Whether the conclusion follows from the premise by the rules of OWL 2 RL."""
    return Entailment(premise).holds(conclusion)


def inconsistencies(triples: Iterable[ox.Triple]) -> list[Clash]:
    """The contradictions that follow from triples, each with its derivations; empty when there is none."""
    return clashes(Rl(triples))


class Entailment:
    """The closure of a premise, to be asked about several conclusions."""

    def __init__(self, premise: Iterable[ox.Triple]) -> None:
        self.rl = Rl(premise)
        self.consistent = not inconsistencies_of(self.rl)

    def holds(self, conclusion: Iterable[ox.Triple]) -> bool:
        """Whether a graph follows."""
        if not self.consistent:
            return True
        wanted = list(conclusion)
        types = {t.object.value for t in wanted if isinstance(t.object, ox.NamedNode) and is_supported(t.object.value)}
        state = self.rl.state
        number = state.terms.number
        for triple in wanted:  # literals of the conclusion are typed, too
            if isinstance(triple.object, ox.Literal):
                number(str(triple.object))
        self.rl.demand_types(sorted(types))
        variables: dict[str, int] = {}

        def term(t: object) -> int:
            if isinstance(t, ox.BlankNode):
                return ~variables.setdefault(t.value, len(variables))
            return state.norm(number(str(t)))

        atoms = [(term(t.subject), term(t.predicate), term(t.object)) for t in wanted]
        chosen = _equalities(atoms)
        if chosen is None:
            return False
        rest = [_replace(atom, chosen) for atom in atoms if atom[1] != SAME_AS]
        different = [atom for atom in rest if atom[1] == DIFFERENT]
        plain = [atom for atom in rest if atom[1] != DIFFERENT]
        env = [-1] * len(variables)
        return any(self._different(different, found) for found in solve(state.facts, plain, env))

    def _different(self, atoms: Sequence[Atom], env: list[int]) -> bool:
        """Whether the things can be different: stated, or literals with different values."""
        if not atoms:
            return True
        s, p, o = atoms[0]
        for bound in solve(self.rl.state.facts, [(s, p, o)], env):
            if self._different(atoms[1:], bound):
                return True
        return any(self._different(atoms[1:], bound) for bound in self._by_value(s, o, env))

    def _by_value(self, s: int, o: int, env: list[int]) -> Iterator[list[int]]:
        terms = self.rl.state.terms
        one, other = (t if t >= 0 else env[~t] for t in (s, o))
        firsts = [one] if one >= 0 else terms.literals
        seconds = [other] if other >= 0 else terms.literals
        for a in firsts:
            left = self._value(a)
            if left is None:
                continue
            for b in seconds:
                right = self._value(b)
                if right is not None and right != left:
                    bound = env.copy()
                    if s < 0:
                        bound[~s] = a
                    if o < 0:
                        bound[~o] = b
                    yield bound

    def _value(self, rep: int) -> object:
        state = self.rl.state
        for member in state.members_of(rep):
            if state.terms.is_literal(member):
                return state.terms.value(member)
        return None


def _equalities(atoms: Sequence[Atom]) -> dict[int, int] | None:
    """What each variable of an equality stands for; None when two different things would have to be equal."""
    chosen: dict[int, int] = {}

    def find(term: int) -> int:
        while term in chosen:
            term = chosen[term]
        return term

    for s, p, o in atoms:
        if p != SAME_AS:
            continue
        a, b = find(s), find(o)
        if a == b:
            continue
        if a < 0:
            chosen[a] = b
        elif b < 0:
            chosen[b] = a
        else:
            return None
    return {term: find(term) for term in chosen}


def _replace(atom: Atom, chosen: dict[int, int]) -> Atom:
    s, p, o = (chosen.get(t, t) for t in atom)
    return (s, p, o)


__all__ = ["Entailment", "entails", "inconsistencies"]
