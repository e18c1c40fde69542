"""What is known: statements that are there, patterns of which all statements are known, and what rules make of both.

Three kinds of source: named graphs (one, or the merge of some after FROM); *everybody*, the default graph of a query: every
public graph of the data set, what rules derive, findings; and the *closure*, which rules read: of the public graphs what
counts (`authority`), and what rules derive. A subclass knows graphs: the verifier from set proofs, a prover from its store.

That no rule derives a statement needs the whole policy: which rules there are, and which classes and properties lie below
others. Then every rule whose head may be that statement is solved in the possible sense, goals within goals, to a fixpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice

from verifier.answers.authority import GraphInfo, counts, is_finding, is_terminology
from verifier.answers.rules import Rule, instance
from verifier.answers.solve import NONE, All, Context, Evidence, Exhausted, Fact, Solver, Statement, Unknown
from verifier.answers.terms import Unsupported

Source = tuple[str, ...]
EVERYBODY: Source = ("*",)
CLOSURE: Source = ("+",)
STEPS = 1_000_000  # matches looked at and patterns begun, before a search is given up
_UNKNOWN_COST = 1_000_000
_ENOUGH = 50
HIERARCHY, FULL = "hierarchy", "full"
"""Regimes: what rules of the policy derive; the OWL 2 RL closure on top, of which nothing is proven."""
Goal = tuple[str | None, str | None]


class Facts(ABC):
    """A data set as far as it is known. `named`, `public` and `policy` hold graph names in angle brackets."""

    def __init__(
        self, graphs: dict[str, GraphInfo], listed: Iterable[str], policy: Iterable[str], node: str, regime: str,
    ) -> None:  # fmt: skip
        self.graphs, self.node, self.regime = graphs, node, regime
        self.named = tuple(listed)
        # a listed graph of which nothing is known stays in: then no absence can be shown
        self.public = tuple(g for g in self.named if g not in graphs or graphs[g].audience == "public")
        self.policy = tuple(policy)
        self.steps = STEPS
        self.shared: dict[Goal, tuple[list[Statement], Evidence]] = {}  # what the policy alone decides
        self._derivable = _Derivable(self)

    def step(self) -> None:
        """Count one unit of work; Exhausted when there were too many."""
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted("more steps than allowed")

    # -- what a subclass knows --------------------------------------------------------------------------------------
    @abstractmethod
    def holds(self, graph: str, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """Statements known to be in a graph."""

    @abstractmethod
    def whole(
        self, graph: str, s: str | None, p: str | None, o: str | None, *, wide: bool
    ) -> tuple[list[Statement], All]:
        """All statements of a graph that match; Unknown when not all are known. `wide`: the whole graph is wanted anyway."""

    @abstractmethod
    def derived(self, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """Statements known to be derived."""

    @abstractmethod
    def rules(self) -> list[Rule]:
        """The derive rules in force; Unknown when not all are known."""

    # -- reading ----------------------------------------------------------------------------------------------------
    def known(self, source: Source, s: str | None, p: str | None, o: str | None) -> Iterator[Statement]:
        """Statements that are certainly there, each once."""
        if s is not None and s.startswith('"'):
            return
        if source not in (EVERYBODY, CLOSURE):
            seen: set[Statement] = set()
            for graph in source:
                for statement in self.holds(graph, s, p, o):
                    if statement not in seen:
                        seen.add(statement)
                        yield statement
            return
        holders: dict[Statement, list[GraphInfo]] = {}
        for graph in self.public:
            for statement in self.holds(graph, s, p, o):
                holders.setdefault(statement, []).append(self.graphs[graph])
        for statement, graphs in holders.items():
            if source == EVERYBODY or counts(statement, graphs, self.node):
                yield statement
        for statement in self.derived(s, p, o):
            if statement not in holders or (source == CLOSURE and not counts(statement, holders[statement], self.node)):
                yield statement

    def complete(self, source: Source, s: str | None, p: str | None, o: str | None) -> tuple[list[Statement], Evidence]:
        """Every statement that may be there, each once, and what shows that there are no more. Unknown when nothing does."""
        if s is not None and s.startswith('"'):
            return [], NONE
        shared = source in (EVERYBODY, CLOSURE)
        graphs = self.public if shared else source
        if source == CLOSURE and is_terminology(p, o):
            graphs = self.policy  # elsewhere it does not count
        elif source == EVERYBODY and (s is None or is_finding(s) or self.regime != HIERARCHY):
            raise Unknown(
                f"{_shown(s, p, o)} in the default graph" + (" under OWL 2 RL" if self.regime == FULL else "")
            )
        evidence: set[Fact | All] = set()
        holders: dict[Statement, list[GraphInfo]] = {}
        for graph in graphs:
            if graph not in self.graphs:
                raise Unknown(f"{_shown(s, p, o)} in {graph}")
            statements, rests = self.whole(graph, s, p, o, wide=shared and graph in self.policy)
            evidence.add(rests)
            for statement in statements:
                holders.setdefault(statement, []).append(self.graphs[graph])
        found = [x for x, there in holders.items() if source != CLOSURE or counts(x, there, self.node)]
        if not shared:
            return found, frozenset(evidence)
        more, rests_on = self._derivable.goal((s, p))
        seen = set(found)
        found += (x for x in more if x not in seen and (p is None or x[1] == p) and (o is None or x[2] == o))
        return found, rests_on.union(evidence)

    def estimate(self, source: Source, s: str | None, p: str | None, o: str | None, certain: bool) -> int:
        """About how many statements match: for the order of joins only."""
        if certain:
            return sum(1 for _ in islice(self.known(source, s, p, o), _ENOUGH))
        if s is None:
            return 500 if source == CLOSURE and is_terminology(p, o) else _UNKNOWN_COST
        return 2 if p is not None else 60

    def nodes(self, source: Source, certain: bool) -> Iterator[tuple[str, Evidence]]:
        """Every node (subject or object) of a source."""
        if not certain:
            raise Unknown("every node of a graph")
        seen: set[str] = set()
        for statement in self.known(source, None, None, None):
            for node in (statement[0], statement[2]):
                if node not in seen:
                    seen.add(node)
                    yield node, frozenset((Fact(source, statement),))

    def occurs(self, source: Source, term: str) -> Evidence | None:
        """What shows that a term is a node of a source."""
        for s, o in ((term, None), (None, term)):
            for statement in self.known(source, s, None, o):
                return frozenset((Fact(source, statement),))
        return None


class _Derivable:
    """What rules may derive, goal by goal (subject, predicate; None: any).

    Goals that ask for each other are solved together, again and again until nothing is added: the first one that was begun
    (`low` tells how far down the stack a goal leans) repeats, and only then are they done.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.table: dict[Goal, dict[Statement, None]] = {}
        self.done: dict[Goal, Evidence] = {}
        self.failed: dict[Goal, Unknown] = {}
        self.open: dict[Goal, int] = {}  # goals under way, and their depth
        self.pending: dict[Goal, int] = {}  # closed ones that lean on open ones, and how deep
        self.leaned: set[Goal] = set()
        self.low = 0
        self.rests: set[Evidence] = set()
        self.changes = 0

    def goal(self, goal: Goal) -> tuple[list[Statement], Evidence]:
        """Statements that rules may derive for a goal, and what that rests on. Unknown when it cannot be told."""
        shared = self.facts.shared.get(goal)
        if shared is not None:
            self.rests.add(shared[1])
            return shared
        if goal in self.failed:
            raise self.failed[goal]
        if goal in self.open:
            self.leaned.add(goal)
            self.low = min(self.low, self.open[goal])
        elif goal in self.pending:
            self.low = min(self.low, self.pending[goal])
        elif goal not in self.done:
            self.compute(goal)
        evidence = self.done.get(goal, NONE)
        self.rests.add(evidence)
        return list(self.table[goal]), evidence

    def compute(self, goal: Goal) -> None:
        depth = len(self.open)
        self.open[goal] = depth
        table = self.table.setdefault(goal, {})
        outer_low, outer_rests, before = self.low, self.rests, set(self.pending)
        self.low, self.rests = depth, set()
        try:
            while True:
                changes = self.changes
                for rule in self.facts.rules():
                    self.apply(rule, goal, table)
                if self.low < depth or goal not in self.leaned or self.changes == changes:
                    break
                self.forget(before)
        except Unknown as unknown:
            self.failed[goal] = unknown
            self.forget(before)
            self.low, self.rests = outer_low, outer_rests
            raise
        finally:
            del self.open[goal]
            self.leaned.discard(goal)
        if self.low < depth:
            self.pending[goal] = self.low
        else:
            self.finish([goal, *(g for g in self.pending if g not in before)])
        self.low, self.rests = min(outer_low, self.low), outer_rests | self.rests

    def forget(self, before: set[Goal]) -> None:
        """Goals that were closed since are to be solved again: what they leaned on has changed, or failed."""
        for one in [g for g in self.pending if g not in before]:
            del self.pending[one]

    def finish(self, goals: Iterable[Goal]) -> None:
        evidence = NONE.union(*self.rests)
        policy = {All(graph, None, None) for graph in self.facts.policy}
        for one in goals:
            self.pending.pop(one, None)
            self.done[one] = evidence
            if evidence <= policy:
                self.facts.shared[one] = (list(self.table[one]), evidence)

    def apply(self, rule: Rule, goal: Goal, table: dict[Statement, None]) -> None:
        s, p = goal
        if not rule.may_write(p):
            return
        if rule.query is None:
            raise Unknown(f"what the rule {rule.iri} derives ({rule.why})")
        for head, given in rule.givens(s, p):
            search = Context(CLOSURE, certain=False)
            try:
                for one in Solver(self.facts).solve(rule.query.root, search, given):
                    statement = instance(head, {**given, **one.bindings})
                    if statement is not None and statement not in table:
                        table[statement] = None
                        self.changes += 1
            except Unsupported as error:
                raise Unknown(f"what the rule {rule.iri} derives ({error})") from error
            self.rests.add(search.rests())


def _shown(s: str | None, p: str | None, o: str | None) -> str:
    return " ".join(x or "*" for x in (s, p, o))


__all__ = ["CLOSURE", "EVERYBODY", "FULL", "HIERARCHY", "Facts", "Source"]
