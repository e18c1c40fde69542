"""The gate: shapes and rules of the policy graphs, compiled once and kept until the policy changes.

*Integrity* shapes read a committed graph together with the policy, at nodes of that graph, and block. *Coherence*
shapes read the public closure and never block: what they find becomes a `dapp:Finding`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.consistency import Consistency
from engine.graph.hashing import keccak256
from reasoners.derive import Budget, Deriver, Rule, check_rule, parse_rules
from reasoners.graph import Term, View
from reasoners.validate import Affected, Result, RootShape, Shapes, Validator
from reasoners.validate.compile import Compiler, NotCompiled, resolve
from reasoners.validate.parse import Parser
from reasoners.validate.shapegraph import ShapeGraph
from reasoners.vocab import DAPP, DAPPI, RDF, SH


class Refused(InputError):
    """A changeset that integrity shapes refuse. `results` says node, path, shape and remedy for each violation."""

    exit_code = 1

    def __init__(self, graph: str, results: Sequence[Result]) -> None:
        self.graph, self.results = graph, list(results)
        first = self.results[0]
        super().__init__(
            f"{len(self.results)} violation{'s' if len(self.results) > 1 else ''}, first: {first.message}",
            place=str(first.focus),
            rule=str(first.shape),
            remedy="nothing was written; correct what the report names and commit again",
        )

    def data(self) -> dict[str, Any]:
        """Plain data, for clients in other processes."""
        return {"graph": self.graph, "results": [result_json(r) for r in self.results]}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Refused:
        """The refusal that `data` describes."""
        return cls(data["graph"], [result_from_json(r) for r in data["results"]])


def result_json(result: Result) -> dict[str, Any]:
    """A validation result as plain data; terms as N-Triples text."""

    def text(term: Term | None) -> str | None:
        return None if term is None else str(term)

    return {
        "focus": str(result.focus), "path": result.path, "value": text(result.value), "message": result.message,
        "severity": result.severity.value, "component": result.component.value, "shape": str(result.shape),
        "root": str(result.root), "origin": str(result.origin), "constraint": text(result.constraint),
    }  # fmt: skip


def result_from_json(data: dict[str, Any]) -> Result:
    """The result that `result_json` wrote (its path as text only)."""
    from engine.graph.wire import decode_term

    def term(key: str) -> Term | None:
        return None if data[key] is None else decode_term(data[key])

    return Result(
        focus=decode_term(data["focus"]), path=data["path"], value=term("value"), component=ox.NamedNode(data["component"]),
        shape=decode_term(data["shape"]), root=decode_term(data["root"]), severity=ox.NamedNode(data["severity"]),
        messages=(ox.Literal(data["message"], language="en"),), constraint=term("constraint"),
        origin=decode_term(data["origin"]), route=None,
        detail="",
        unit=0,
    )  # fmt: skip


def is_coherence(root: RootShape) -> bool:
    """Whether a shape only reports (coherence) instead of blocking."""
    return root.enforcement == DAPPI.Coherence


class Gate:
    """Compiled policy. Building it parses shapes and rules; using it does not touch the policy again."""

    def __init__(self, policy: View | None, *, trusted: View | None = None, same_shapes_as: Gate | None = None) -> None:
        """Compile what `policy` holds; rules that `trusted` (the shipped policy) holds may use variable predicates.

        `same_shapes_as`: a gate whose shapes are known to be the same, to take over its validators.
        """
        self._same_shapes_as = same_shapes_as
        self._policy = policy
        self._shape_triples = list(policy.triples()) if policy is not None else []
        self.rules: list[Rule] = (
            []
            if policy is None
            else parse_rules(
                policy, trusted=trusted if trusted is not None else (), conforming=Conditions(self._shape_triples)
            )
        )
        self._deriver = Deriver([r for r in self.rules if r.purpose == "derive"], budget=rule_budget())

    @property
    def deriver(self) -> Deriver:
        """What keeps the derived graphs; it knows which rules are suspended now."""
        self._deriver.suspended = {} if self._policy is None else suspensions(self._policy)
        return self._deriver

    @cached_property
    def _validators(self) -> tuple[Validator, Validator]:
        if self._same_shapes_as is not None:
            same, self._same_shapes_as = self._same_shapes_as, None
            return same.integrity, same.coherence
        text = "\n".join(sorted(map(str, self._shape_triples)))
        return _compiled(keccak256(text.encode()), _Triples(self._shape_triples))

    @property
    def integrity(self) -> Validator:
        """Validator of the shapes that block."""
        return self._validators[0]

    @property
    def coherence(self) -> Validator:
        """Validator of the shapes that report."""
        return self._validators[1]

    @cached_property
    def consistency(self) -> Consistency:
        """What an author's graph must not contradict."""
        if self._same_shapes_as is not None and self._same_shapes_as._shape_triples == self._shape_triples:
            return self._same_shapes_as.consistency
        return Consistency(self._shape_triples)

    def check_rules(self, rules: Iterable[Rule]) -> None:
        """The safety rules for rules that a local policy brings; InputError on the first that breaks one."""
        for rule in rules:
            check_rule(rule)


MOST_DIFFERENT = 5  # values told apart in one condition: each more multiplies the work by the number of values


class _Counting(Compiler):
    """Counts further than validation does, which walks instead: a rule is one text."""

    def _distinct(self, x: str, p: str, n: int, test: Callable[[str], str] = lambda v: "") -> str:
        if n > MOST_DIFFERENT:
            raise NotCompiled(f"it counts to {n}, more than {MOST_DIFFERENT}")
        known = [self.fresh() for _ in range(n)]
        apart = " && ".join(f"!sameTerm({a}, {b})" for a, b in combinations(known, 2))
        return " ".join(f"{x} {p} {v} . {test(v)}" for v in known) + (f" FILTER({apart})" if apart else "")


class Conditions:
    """Shapes as SPARQL expressions, for the conditions of SHACL rules. Shapes are parsed when one is first asked for."""

    def __init__(self, triples: Iterable[ox.Triple]) -> None:
        self._triples = triples
        self._parser: Parser | None = None
        self._compiler = _Counting()

    def __call__(self, shape: Term, variable: str) -> str:
        """An expression that is true when the node conforms; InputError for a shape that has no such form."""
        if self._parser is None:
            self._parser = Parser(ShapeGraph(self._triples))
        try:
            parsed = self._parser.shape(shape)
            if parsed.beyond:
                raise NotCompiled(parsed.beyond[0])
            # a rule's text holds in every state: a class may get subclasses later
            return resolve(self._compiler.conforms(parsed, variable), lambda cls: True)
        except (NotCompiled, RecursionError) as error:
            why = "it refers to itself" if isinstance(error, RecursionError) else str(error)
            raise InputError(
                f"this shape cannot be a condition of a rule: {why}", place=str(shape),
                rule="https://www.w3.org/TR/shacl-af/#rules-condition", remedy="write it as a pattern in sh:construct",
            ) from error  # fmt: skip


RULE_SECONDS, RULE_ROWS = "DAPPOPS_RULE_SECONDS", "DAPPOPS_RULE_ROWS"


def rule_budget() -> Budget:
    """What one local rule may use in one commit: as much as in its trial, or what the environment says."""
    from engine.graph.trial import LIMITS

    def number(name: str, default: float) -> float:
        try:
            return float(os.environ.get(name) or default)
        except ValueError as error:
            raise InputError(f"{name} is no number", place="environment", remedy="e.g. 10") from error

    return Budget(number(RULE_SECONDS, LIMITS.seconds), int(number(RULE_ROWS, LIMITS.rows)), time.monotonic)


def suspensions(policy: View) -> Mapping[ox.NamedNode, set[ox.Triple]]:
    """The notices of suspended rules in a store, less those that the policy has resumed since."""
    found: dict[ox.NamedNode, set[ox.Triple]] = {}
    for quad in policy.store.quads_for_pattern(None, DAPP.suspendedBecause, None, ox.DefaultGraph()):
        rule = quad.subject
        if not isinstance(rule, ox.NamedNode):
            continue
        graph = names.derived_graph(rule)
        triples = {q.triple for q in policy.store.quads_for_pattern(rule, None, None, graph)}
        since = max((t.object.value for t in triples if t.predicate == DAPP.suspendedAt), default="")  # type: ignore[union-attr]
        resumed = max((o.value for o in policy.objects(rule, DAPP.resumedAt)), default="")
        if triples and not resumed > since:
            found[rule] = triples
    return found


def touches_shapes(triples: Iterable[ox.Triple]) -> bool:
    """Whether a policy change can alter shapes (rules, facts and most axioms cannot)."""
    return any(
        (t.predicate in SH and t.predicate not in _RULE_TEXT)
        or t.predicate in _SHAPE_PARTS
        or (t.predicate == RDF.type and t.object in SH)
        for t in triples
    )


_RULE_TEXT = frozenset({SH.construct, SH.rule, SH.condition, SH.subject, SH.predicate, SH.object})
_SHAPE_PARTS = frozenset({RDF.first, RDF.rest, DAPP.regime, DAPP.enforcement})


class _Triples(list[ox.Triple]):
    """Triples that a cache ignores: their digest stands beside them."""

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Triples)


@lru_cache(maxsize=8)
def _compiled(digest: bytes, triples: _Triples) -> tuple[Validator, Validator]:
    """Validators of a policy; they hold no state of any graph, so knowledge bases with the same policy share them."""
    shapes = Shapes.parse(triples)
    return Validator(shapes.select(lambda root: not is_coherence(root))), Validator(shapes.select(is_coherence))


def finding_triples(result: Result, *, base: str, at: str) -> list[ox.Triple]:
    """A coherence result as a `dapp:Finding`, named by what it is about so that the same finding is the same node."""
    key = "|".join(
        str(x)
        for x in (
            result.root,
            result.shape,
            result.component,
            result.constraint,
            result.origin,
            result.focus,
            result.path,
            result.value,
            result.detail,
        )
    )
    node = ox.NamedNode(f"{base}/{keccak256(key.encode()).hex()[:32]}")
    triples = [
        ox.Triple(node, RDF.type, DAPP.Finding),
        ox.Triple(node, DAPP.about, result.origin),
        ox.Triple(node, DAPP.ofShape, result.root),
        ox.Triple(node, DAPP.message, ox.Literal(result.message, language="en")),
        ox.Triple(node, SH.resultSeverity, result.severity),
        ox.Triple(
            node, DAPP.detectedAt, ox.Literal(at, datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime"))
        ),
    ]
    if result.path:
        triples.append(ox.Triple(node, DAPP.onPathText, ox.Literal(result.path)))
    if result.value is not None:
        triples.append(ox.Triple(node, SH.value, result.value))
    return triples


def in_graph(view: View, graph: ox.NamedNode) -> Callable[[Term], bool]:
    """Whether a node occurs in a graph as subject or object: the focus nodes an integrity shape may judge."""
    store, memo = view.store, dict[Term, bool]()

    def occurs(node: Term) -> bool:
        known = memo.get(node)
        if known is None:
            known = (
                not isinstance(node, ox.Literal)
                and next(iter(store.quads_for_pattern(node, None, None, graph)), None) is not None
            ) or next(iter(store.quads_for_pattern(None, None, node, graph)), None) is not None
            memo[node] = known
        return known

    return occurs


def check_covering(
    validator: Validator, view: View, affected: Affected[int]
) -> tuple[list[Result], dict[Term, set[Term] | None]]:
    """Check every constraint of every affected root shape at its affected targets.

    Returns the results, and per root shape the targets judged again (None: all of them): what earlier findings they replace.
    """
    covered: dict[Term, set[Term] | None] = {}
    for number in affected.everywhere:
        covered[validator.units[number].root.node] = None
    for number, nodes in affected.nodes.items():
        unit = validator.units[number]
        root = unit.root.node
        if unit.beyond:
            covered[root] = None
        elif covered.get(root, nodes) is not None:
            held = covered.setdefault(root, set())
            assert held is not None
            held |= nodes
    wide: Affected[int] = Affected()
    for unit in validator.units:
        if unit.root.node in covered:
            nodes_of_root = covered[unit.root.node]
            if nodes_of_root is None:
                wide.everywhere.add(unit.number)
            else:
                wide.nodes[unit.number] = nodes_of_root
    return validator.check(view, wide), covered
