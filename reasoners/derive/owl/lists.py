"""The rules whose length is that of a list: cls-int1, prp-spo2 and prp-key, one rule for each axiom and its list.

The cells of the list are patterns of the rule like any other, so that it falls silent by itself when one goes. A cell
with several firsts or rests stands for several lists, as in the specification; bounded, and a list that bites its own
tail is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from reasoners.derive.owl.relation import Facts
from reasoners.derive.owl.rules import CHAIN, FIRST, INTERSECTION, KEY, NIL, REST, SAME_AS, TYPE, Atom, Row, Rule

MOST_READINGS = 64  # readings of one list with ambiguous cells
Key = tuple[int, Row, tuple[Row, ...]]


def readings(facts: Facts, head: int) -> Iterator[tuple[list[int], list[Row]]]:
    """(elements, cells as triples) of the well-formed, non-empty lists that begin at `head`."""
    firsts, rests = facts.relations.get(FIRST), facts.relations.get(REST)
    if firsts is None or rests is None:
        return
    found = 0
    waiting: list[tuple[int, tuple[int, ...], tuple[Row, ...]]] = [(head, (), ())]
    while waiting and found < MOST_READINGS:
        cell, before, passed = waiting.pop()
        elements, rows = list(before), list(passed)
        seen = {row[0] for row in rows}
        while cell != NIL and cell not in seen:
            seen.add(cell)
            ways = [(e, n) for e in firsts.out(cell) for n in rests.out(cell)]
            if not ways:
                break
            for e, n in ways[1:MOST_READINGS]:
                waiting.append((n, (*elements, e), (*rows, (cell, FIRST, e), (cell, REST, n))))
            e, n = ways[0]
            rows += [(cell, FIRST, e), (cell, REST, n)]
            elements.append(e)
            cell = n
        if cell == NIL and elements:
            found += 1
            yield elements, rows


def list_rules(facts: Facts) -> dict[Key, Rule]:
    """The rules that the axioms among `facts` stand for."""
    out: dict[Key, Rule] = {}
    for kind in (INTERSECTION, CHAIN, KEY):
        relation = facts.relations.get(kind)
        if relation is None:
            continue
        for subject, head in list(relation):
            axiom = (subject, kind, head)
            for elements, cells in readings(facts, head):
                key = (kind, axiom, tuple(cells))
                out[key] = _rule(kind, axiom, elements, cells)
    return out


def _rule(kind: int, axiom: Row, elements: list[int], cells: list[Row]) -> Rule:
    ground: list[Atom] = [axiom, *cells]
    subject = axiom[0]
    unequal: tuple[tuple[int, int], ...] = ()
    data: list[Atom]
    head: Atom
    if kind == INTERSECTION:
        name = "cls-int1"
        data = [(~0, TYPE, e) for e in dict.fromkeys(elements)]
        head = (~0, TYPE, subject)
    elif kind == CHAIN:
        name = "prp-spo2"
        data = [(~i, e, ~(i + 1)) for i, e in enumerate(elements)]
        head = (~0, subject, ~len(elements))
    else:
        name = "prp-key"
        data = [(~0, TYPE, subject), (~1, TYPE, subject)]
        for i, e in enumerate(elements):
            data += [(~0, e, ~(i + 2)), (~1, e, ~(i + 2))]
        head = (~0, SAME_AS, ~1)
        unequal = ((0, 1),)
    places = frozenset(range(len(ground), len(ground) + len(data)))
    return Rule(name, (*ground, *data), head, unequal, places)
