"""What the set proofs of one row tell: statements that are there, and patterns of which all statements are known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from verifier.answers import rules
from verifier.answers.authority import GraphInfo
from verifier.answers.facts import Facts, Goal
from verifier.answers.rules import Rule
from verifier.answers.solve import All, Evidence, Statement, Unknown
from verifier.answers.terms import TYPE
from verifier.trees import cut

T = TypeVar("T")
Terms = tuple[str | None, str | None, str | None]


@dataclass(slots=True)
class Index:
    """Statements found by subject, predicate or object."""

    by: tuple[dict[str, list[Statement]], ...] = field(default_factory=lambda: ({}, {}, {}))
    all: dict[Statement, None] = field(default_factory=dict)

    def add(self, statements: Iterable[Statement]) -> None:
        """Take in statements."""
        for statement in statements:
            if statement not in self.all:
                self.all[statement] = None
                for index, term in zip(self.by, statement, strict=True):
                    index.setdefault(term, []).append(statement)

    def find(self, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """Those that match."""
        wanted = (s, p, o)
        lists: list[Sequence[Statement]] = [
            index.get(term, ()) for index, term in zip(self.by, wanted, strict=True) if term is not None
        ]
        few: Sequence[Statement] = min(lists, key=len) if lists else tuple(self.all)
        for statement in few:
            if all(term is None or term == have for term, have in zip(wanted, statement, strict=True)):
                yield statement


_NOTHING = Index()


@dataclass(frozen=True, slots=True)
class Shown:
    """A set proof that holds: `name` is its graph's."""

    name: str
    root: bytes
    pattern: Terms
    index: Index

    @property
    def whole(self) -> bool:
        """Whether it shows the whole graph."""
        return self.pattern == (None, None, None)


class Cache(Generic[T]):
    """The values last used, a few."""

    def __init__(self, size: int) -> None:
        self._size, self._kept = size, OrderedDict[Any, T]()

    def get(self, key: object, make: Callable[[], T]) -> T:
        """The value of a key, made when it is not kept."""
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


@dataclass(frozen=True, slots=True)
class Policy:
    """What whole policy graphs say: the rules in force, and what can be derived by looking at them alone."""

    rules: list[Rule]
    derivable: dict[Goal, tuple[list[Statement], Evidence]]


# A root stands for one set of statements, so what was once read under it need not be read again.
_GRAPHS: Cache[Index] = Cache(8)
_POLICIES: Cache[Policy] = Cache(4)


def shown(name: str, root: bytes, pattern: Terms, lines: Sequence[str]) -> Shown:
    """What a set proof shows that holds against `root`."""

    def make() -> Index:
        index = Index()
        index.add(terms for terms in map(cut, lines) if terms is not None)
        return index

    return Shown(name, root, pattern, _GRAPHS.get((name, root), make) if pattern == (None, None, None) else make())


def _policy(graphs: Sequence[Shown]) -> Policy:
    def objects(s: str, p: str) -> list[str]:
        return sorted({x[2] for one in graphs for x in one.index.find(s, p, None)})

    nodes = {x[0] for one in graphs for x in one.index.find(None, TYPE, rules.RULE)}
    return Policy(rules.in_force(nodes, objects), {})


class Known(Facts):
    """Facts of some set proofs, and statements that are derived (or taken for so)."""

    def __init__(
        self, graphs: Mapping[str, GraphInfo], listed: Sequence[str], policy: Sequence[str], node: str,
        regime: str, shown: Iterable[Shown], derived: Iterable[Statement],
    ) -> None:  # fmt: skip
        super().__init__(dict(graphs), listed, policy, node, regime)
        self._small: dict[str, Index] = {}
        self._whole: dict[str, Shown] = {}
        self._patterns: set[tuple[str, Terms]] = set()
        self._derived = Index()
        self._derived.add(derived)
        for one in shown:
            if one.whole:
                self._whole[one.name] = one
            else:
                self._small.setdefault(one.name, Index()).add(one.index.all)
                self._patterns.add((one.name, one.pattern))
        self._policy: Policy | None = None
        if self.policy and all(name in self._whole for name in self.policy):
            whole = [self._whole[name] for name in self.policy]
            key = (node, self.public, *((one.name, one.root) for one in whole))
            self._policy = _POLICIES.get(key, lambda: _policy(whole))
            self.shared = self._policy.derivable

    def _index(self, graph: str) -> Index:
        whole = self._whole.get(graph)
        return whole.index if whole is not None else self._small.get(graph) or _NOTHING

    def holds(self, graph: str, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`."""
        return self._index(graph).find(s, p, o)

    def whole(
        self, graph: str, s: str | None, p: str | None, o: str | None, *, wide: bool
    ) -> tuple[list[Statement], All]:
        """See `Facts`."""
        patterns = ((s, p, o), (s, p, None), (s, None, None)) if s is not None else ()
        if graph in self._whole:
            return list(self._index(graph).find(s, p, o)), All(graph, None, None)
        if any((graph, pattern) in self._patterns for pattern in patterns):
            return list(self._index(graph).find(s, p, o)), All(graph, s, p)
        raise Unknown(f"{' '.join(x or '*' for x in (s, p, o))} in {graph}")

    def derived(self, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`."""
        return self._derived.find(s, p, o)

    def rules(self) -> list[Rule]:
        """See `Facts`."""
        if self._policy is None:
            raise Unknown("what rules derive: the policy in force is not shown whole")
        return self._policy.rules

    def rule(self, iri: str) -> tuple[Rule | None, bool]:
        """The rule of this IRI, if it is one and switched on; and whether it is known that none supersedes it.

        Unknown when what the policy graphs say of it is not all shown.
        """
        try:
            return next((r for r in self.rules() if r.iri == iri), None), True
        except Unknown:
            return rules.compiled(iri, self._said), False

    def _said(self, s: str, p: str) -> list[str]:
        found = {x[2] for name in self.policy for x in self.whole(name, s, p, None, wide=False)[0]}
        return sorted(found)

    def asserted(self, statement: Statement) -> bool:
        """Whether some public graph is shown to hold it."""
        return any(True for name in self.public for _ in self.holds(name, *statement))
