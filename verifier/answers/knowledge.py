"""What the set proofs of one row tell: statements that are there, and patterns of which all statements are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from verifier.answers import rules
from verifier.answers.authority import GraphInfo
from verifier.answers.facts import Facts
from verifier.answers.rules import Rule
from verifier.answers.solve import All, Statement, Unknown
from verifier.answers.terms import TYPE

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


@dataclass(frozen=True, slots=True)
class Shown:
    """A set proof that holds: `name` is its graph's, `root` the graph's set root."""

    name: str
    root: bytes
    pattern: Terms
    statements: tuple[Statement, ...]

    @property
    def whole(self) -> bool:
        """Whether it shows the whole graph."""
        return self.pattern == (None, None, None)


@lru_cache(maxsize=64)
def _indexed(name: str, root: bytes, statements: tuple[Statement, ...]) -> Index:
    index = Index()
    index.add(statements)
    return index


@lru_cache(maxsize=16)
def _rules(policy: tuple[Shown, ...]) -> list[Rule]:
    """The rules in force of whole policy graphs."""
    indexes = [_indexed(one.name, one.root, one.statements) for one in policy]

    def objects(s: str, p: str) -> list[str]:
        return sorted({x[2] for index in indexes for x in index.find(s, p, None)})

    nodes = {x[0] for index in indexes for x in index.find(None, TYPE, rules.RULE)}
    return rules.in_force(nodes, objects)


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
                self._small.setdefault(one.name, Index()).add(one.statements)
                self._patterns.add((one.name, one.pattern))

    def _index(self, graph: str) -> Index:
        whole = self._whole.get(graph)
        if whole is not None:
            return _indexed(whole.name, whole.root, whole.statements)
        return self._small.get(graph) or Index()

    def holds(self, graph: str, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`."""
        return self._index(graph).find(s, p, o)

    def whole(
        self, graph: str, s: str | None, p: str | None, o: str | None, *, wide: bool
    ) -> tuple[list[Statement], All]:
        """See `Facts`."""
        patterns = ((s, p, o), (s, p, None), (s, None, None)) if s is not None else ()
        if graph in self._whole or any((graph, pattern) in self._patterns for pattern in patterns):
            return list(self._index(graph).find(s, p, o)), All(graph, s, p)
        raise Unknown(f"{' '.join(x or '*' for x in (s, p, o))} in {graph}")

    def derived(self, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """See `Facts`."""
        return self._derived.find(s, p, o)

    def rules(self) -> list[Rule]:
        """See `Facts`."""
        if not self.policy or any(name not in self._whole for name in self.policy):
            raise Unknown("what rules derive: the policy in force is not shown whole")
        return _rules(tuple(self._whole[name] for name in self.policy))

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
