"""Derivation from scratch in rounds: when each derived triple first came, so that a derivation can rest on earlier ones only.

Looking for a derivation from the conclusion down may meet itself again and again where rules are recursive; what came in an
earlier round never rests on what came later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.derive.deriver import Deriver
from reasoners.derive.workspace import quad
from reasoners.graph import View, memory_view

MOST = 300_000  # triples of a closure that is derived anew to explain one of them


@dataclass(slots=True)
class Replay:
    """`view` holds the closure as it was before some round; `rounds` says when a derived triple came."""

    view: View
    rounds: dict[ox.Triple, int] = field(default_factory=dict)
    _by_round: list[list[ox.Triple]] = field(default_factory=list)

    def back_to(self, number: int) -> None:
        """Take away what came in this round or later."""
        while len(self._by_round) > number:
            for triple in self._by_round.pop():
                self.view.store.remove(quad(triple, ox.DefaultGraph()))


def replay(
    deriver: Deriver, view: View, asserted: Callable[[ox.Triple], bool], now: ox.Literal | None
) -> Replay | None:
    """The closure of what is asserted in `view`, derived in rounds; None when it has more than MOST triples."""
    stated: list[ox.Triple] = []
    for number, triple in enumerate(view.triples()):
        if number >= MOST:
            return None
        if asserted(triple):
            stated.append(triple)
    out = Replay(memory_view(stated))
    for rules in deriver.strata_of(out.view):
        while True:
            new = _round(deriver, out.view, rules, now)
            if not new:
                break
            out.rounds.update(dict.fromkeys(new, len(out._by_round)))
            out._by_round.append(new)
            out.view.store.extend(quad(t, ox.DefaultGraph()) for t in new)
    return out


def _round(deriver: Deriver, view: View, rules: Sequence[ox.NamedNode], now: ox.Literal | None) -> list[ox.Triple]:
    """What these rules derive at once, beyond what there is."""
    found: dict[ox.Triple, None] = {}
    for rule in rules:
        found.update(dict.fromkeys(t for t in deriver.heads(view, rule, now) if t not in view))
    return list(found)
