"""What every replica must do, as functions of a factory; `test_replica` runs them on each one and on broken ones."""

from __future__ import annotations

import random
from collections.abc import Callable

import pyoxigraph as ox
import pytest

from engine.errors import InputError
from engine.graph.replica import Replica
from reasoners.graph import View

Make = Callable[[], Replica]


def triple(n: int) -> ox.Triple:
    return ox.Triple(
        ox.NamedNode(f"http://ex.org/{n % 7}"), ox.NamedNode(f"http://ex.org/p{n % 3}"), ox.Literal(str(n))
    )


def content(view: View) -> set[ox.Triple]:
    return set(view.triples())


def holds_what_was_loaded(make: Make) -> None:
    replica = make()
    assert replica.position == -1
    replica.reset(5, [triple(1), triple(2), triple(1)])
    assert replica.position == 5
    assert content(replica.snapshot()) == {triple(1), triple(2)}
    replica.reset(6, [triple(3)])
    assert content(replica.snapshot()) == {triple(3)}


def follows_changes(make: Make) -> None:
    chance = random.Random(7)
    replica, state = make(), set[ox.Triple]()
    replica.reset(0, [])
    for position in range(1, 60):
        left = [t for t in sorted(state, key=str) if chance.random() < 0.3]
        entered = [t for n in range(30) if (t := triple(n)) not in state and chance.random() < 0.3]
        state = (state - set(left)) | set(entered)
        replica.apply(position, left, entered)
        assert replica.position == position
        if chance.random() < 0.4:
            assert content(replica.snapshot()) == state
    assert content(replica.snapshot()) == state


def undone_change_leaves_nothing(make: Make) -> None:
    replica = make()
    replica.reset(1, [triple(1)])
    replica.apply(2, [triple(1)], [triple(2)])
    replica.apply(3, [triple(2)], [triple(1)])
    assert content(replica.snapshot()) == {triple(1)}


def view_stays_as_it_was(make: Make) -> None:
    replica = make()
    replica.reset(1, [triple(1)])
    views = [replica.snapshot()]
    for n in range(2, 6):
        replica.apply(n, [triple(n - 1)], [triple(n)])
        views.append(replica.snapshot())
    assert [content(v) for v in views] == [{triple(n)} for n in range(1, 6)]


def refuses_what_is_older(make: Make) -> None:
    replica = make()
    with pytest.raises(InputError, match="go on"):
        replica.apply(1, [], [triple(1)])
    replica.reset(4, [triple(1)])
    replica.apply(4, [], [triple(2)])  # parts of one change share a position
    with pytest.raises(InputError, match="go on"):
        replica.apply(3, [triple(1)], [])
    assert replica.position == 4
    assert content(replica.snapshot()) == {triple(1), triple(2)}


def view_outlives_the_replica(make: Make) -> None:
    replica = make()
    replica.reset(1, [triple(1)])
    view = replica.snapshot()
    replica.close()
    assert content(view) == {triple(1)}
    with pytest.raises(InputError):
        replica.snapshot()


SUITE = (
    holds_what_was_loaded, follows_changes, undone_change_leaves_nothing, view_stays_as_it_was, refuses_what_is_older,
    view_outlives_the_replica,
)  # fmt: skip
