"""Replicas keep their contract, and the contract tells a broken one; the kernel's copy follows every kind of change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyoxigraph as ox
import pytest
from replica_compliance import SUITE, Make

import engine
from engine.errors import DappopsError
from engine.graph.gate import Refused
from engine.graph.replica import MemoryReplica
from reasoners.graph import View


class _KeepsWhatLeft(MemoryReplica):
    def apply(self, position: int, left: Sequence[ox.Triple], entered: Sequence[ox.Triple]) -> None:
        super().apply(position, [], entered)


class _HandsOutItsOwnStore(MemoryReplica):
    def snapshot(self) -> View:
        self._handed = None
        return super().snapshot()


class _TakesAnyOrder(MemoryReplica):
    def apply(self, position: int, left: Sequence[ox.Triple], entered: Sequence[ox.Triple]) -> None:
        if self._store is None:
            self.reset(0, [])
        self._position = min(self._position, position)
        super().apply(position, left, entered)


class _AddsOnReset(MemoryReplica):
    def reset(self, position: int, triples: Iterable[ox.Triple]) -> None:
        held = [] if self._store is None else [q.triple for q in self._store]
        super().reset(position, [*held, *triples])


class _ForgetsItsPosition(MemoryReplica):
    @property
    def position(self) -> int:
        return 0


class _LeavesAnUndoneChange(MemoryReplica):
    def apply(self, position: int, left: Sequence[ox.Triple], entered: Sequence[ox.Triple]) -> None:
        super().apply(position, left, [t for t in entered if t not in self._left])


class _DiesWithItsViews(MemoryReplica):
    def close(self) -> None:
        if self._store is not None:
            self._store.clear()
        super().close()


BROKEN = (
    _KeepsWhatLeft, _HandsOutItsOwnStore, _TakesAnyOrder, _AddsOnReset, _ForgetsItsPosition, _LeavesAnUndoneChange,
    _DiesWithItsViews,
)  # fmt: skip


@pytest.mark.parametrize("check", SUITE, ids=lambda c: c.__name__)
@pytest.mark.parametrize("make", [MemoryReplica])
def test_replica_keeps_the_contract(make: Make, check: Callable[[Make], None]) -> None:
    check(make)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda c: c.__name__)
def test_contract_is_not_kept_when_a_replica_is_broken(broken: Make) -> None:
    def fails(check: Callable[[Make], None]) -> bool:
        try:
            check(broken)
        except (AssertionError, pytest.fail.Exception, DappopsError):
            return True
        return False

    assert any(fails(check) for check in SUITE)


def test_memory_view_follows_when_things_are_committed_refused_and_undone() -> None:
    with engine.open(":memory:") as kb:
        kernel = kb.kernel
        assert kernel is not None
        graph = kb.graph_iri("main")
        ex = [ox.NamedNode(f"{graph}/{n}") for n in range(4)]
        p = ox.NamedNode("http://ex.org/p")
        seen = kernel.memory_view()
        kb.commit("main", [ox.Triple(ex[0], p, ex[1])])
        kb.commit("main", [ox.Triple(ex[1], p, ex[2])], [ox.Triple(ex[0], p, ex[1])])
        bad = f"INSERT DATA {{ <{graph}/offer> a <https://w3id.org/dappops#ServiceOffer> }}"
        with pytest.raises(Refused):
            kb.update(bad)
        assert set(kernel.memory_view().triples()) == set(kernel.store.view().triples())
        assert ox.Triple(ex[1], p, ex[2]) not in seen
        assert kernel.memory_view() is kernel.memory_view()
        kernel.rebuild()
        assert set(kernel.memory_view().triples()) == set(kernel.store.view().triples())
