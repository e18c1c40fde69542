"""Makes the proof of an answer: for each row what it rests on, down to asserted statements in graphs with heads.

Rows come from the store's own evaluation; their support is found by the verifier's solver on the same state. What cannot be
shown is not hidden: a row is marked unproven with the reason, or rests on an absence or a derivation that is labelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.ledger.answers.live import LiveFacts
from engine.ledger.proofs import Anchors, Draft, set_part
from verifier.answers import algebra as a
from verifier.answers.check import CONDITIONAL, PROVEN, UNPROVEN, rests
from verifier.answers.facts import CLOSURE, EVERYBODY, FULL, HIERARCHY, Source
from verifier.answers.parser import parse
from verifier.answers.rules import Rule, compiled, instance
from verifier.answers.solve import All, Assumed, Context, Evidence, Exhausted, Fact, Solver, Statement
from verifier.answers.terms import Unsupported, decode

Json = dict[str, Any]
STEPS = 200_000  # of the search for one row's support
ATTEMPTS = 200  # ways to support a row or a derivation that are looked at
MAX_BYTES = 48 << 20  # of the statements shown; a proof file has 64 MiB at most
DEEPEST = 100  # derivations on derivations

Key = tuple[str, str | None, str | None, str | None]
"""One set proof: graph, and the terms that its statements begin with."""


KEPT = 4  # proofs of whole policy graphs, about 2 MB each
_WHOLE: dict[str, tuple[str, Json]] = {}


class _Circular(Exception):
    """A statement would rest on itself."""


@dataclass(slots=True)
class Parts:
    """What a row or a derivation rests on."""

    sets: dict[Key, None] = field(default_factory=dict)
    derivations: dict[int, None] = field(default_factory=dict)
    taken: dict[Statement, str] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)


class Prover:
    """Collects the proofs of one answer. The caller holds the kernel's lock."""

    def __init__(self, facts: LiveFacts, draft: Draft, query: a.Query | None) -> None:
        self.facts, self.draft, self.query = facts, draft, query
        self.source: Source = EVERYBODY
        self.named = facts.named
        if query is not None and (query.default_from or query.named_from):
            self.source, self.named = query.default_from, query.named_from
        self.derivations: list[Json] = []
        self.labels: list[list[str]] = []  # of the derivations
        self.known: dict[Statement, int] = {}
        self.untold: dict[Statement, str] = {}
        self.size = 0
        self.places: dict[Key, int] = {}

    # -- rows -------------------------------------------------------------------------------------------------------
    def row(self, variables: Sequence[str], values: Sequence[str | None], truth: bool | None = None) -> Json:
        """One item of `rows`."""
        wanted = {f"?{v}": t for v, t in zip(variables, values, strict=True)}
        why = "no support was found"
        parts = None
        try:
            assert self.query is not None
            parts = self._supported(wanted, truth)
        except Unsupported as error:
            why = f"its form is not proven: {error}"
        except (Exhausted, RecursionError):
            why = "the search for its support was given up"
        if parts is None:
            if self.query is not None and isinstance(self.query.root, a.Aggregate):
                why = f"aggregate: {self.query.root.why_not or 'group completeness not proven'}"
            return unproven(values, why)
        claim = CONDITIONAL if parts.labels else PROVEN
        return {"values": list(values), "claim": claim, "why": "; ".join(parts.labels), **self._json(parts)}

    def _supported(self, wanted: Mapping[str, str | None], truth: bool | None) -> Parts | None:
        assert self.query is not None
        for assume in (False, True):
            self.facts.steps, self.facts.named = STEPS, self.named
            search = rests(self.query, Solver(self.facts), Context(self.source, assume=assume), wanted, truth)
            for number, evidence in enumerate(search):
                try:
                    return self._parts(evidence, ())
                except _Circular:
                    pass
                if number >= ATTEMPTS:
                    break
        return None

    # -- evidence to parts ------------------------------------------------------------------------------------------
    def _parts(self, evidence: Evidence, stack: tuple[Statement, ...]) -> Parts:
        parts = Parts()
        for item in sorted((x for x in evidence if isinstance(x, All)), key=str):
            parts.sets[item.graph, item.subject, item.predicate, item.object] = None
        whole = {key[0] for key in parts.sets if key[1] is None}
        for key in [k for k in parts.sets if k[1] is not None and k[0] in whole]:
            del parts.sets[key]
        for fact in sorted((x for x in evidence if isinstance(x, Fact)), key=str):
            self._support(fact, parts, stack)
        parts.labels.update(dict.fromkeys(sorted(x.text for x in evidence if isinstance(x, Assumed))))
        return parts

    def _support(self, fact: Fact, parts: Parts, stack: tuple[Statement, ...]) -> None:
        s, p, o = fact.statement
        asserted, derived = self.facts.holders(fact.statement)
        choices = self.facts.enough(fact.source, fact.statement, asserted)
        if choices:

            def shown(graph: str) -> bool:
                patterns = ((s, p, o), (s, p, None), (s, None, None), (None, None, None))
                return any((graph, *pattern) in parts.sets for pattern in patterns)

            best = min(choices, key=lambda graphs: sum(not shown(g) for g in graphs))
            parts.sets.update(dict.fromkeys((g, s, p, o) for g in best if not shown(g)))
            return
        if fact.source not in (EVERYBODY, CLOSURE):
            raise InputError(
                "a statement is in no graph", place=" ".join(fact.statement), remedy="run `dappops doctor`"
            )
        found = self._derivation(fact.statement, derived, stack)
        if isinstance(found, int):
            parts.derivations[found] = None
            parts.labels.update(dict.fromkeys(self.labels[found]))
        else:
            parts.taken[fact.statement] = found
            parts.labels[f"derivation not given: {' '.join(fact.statement)}: {found}"] = None

    # -- derivations ------------------------------------------------------------------------------------------------
    def _derivation(self, statement: Statement, rules: Iterable[str], stack: tuple[Statement, ...]) -> int | str:
        """The number of a statement's derivation, or why none is given."""
        if statement in self.known:
            return self.known[statement]
        if statement in self.untold:
            return self.untold[statement]
        if statement in stack or len(stack) > DEEPEST:
            raise _Circular
        rules = list(rules)
        why = "it is inferred by OWL 2 RL, whose rules stand in no policy graph" if self.facts.regime == FULL else ""
        if "findings" in rules:
            why = "it is a finding of the node about its shapes"
        for iri in rules:
            rule = next((r for r in self.facts.rules() if r.iri == f"<{iri}>"), None)
            if rule is None:
                continue
            if rule.query is None:
                why = f"the rule {iri}: {rule.why}"
                continue
            try:
                parts = self._applied(rule, statement, (*stack, statement))
            except Unsupported as error:
                why = f"the rule {iri}: {error}"
                continue
            if parts is not None:
                self.derivations.append({**self._json(parts), "statement": f"{' '.join(statement)} .", "rule": iri})
                self.labels.append(list(parts.labels))
                self.known[statement] = len(self.derivations) - 1
                return self.known[statement]
        if stack and not why:
            raise _Circular
        self.untold[statement] = why or "no derivation was found that does not rest on itself"
        return self.untold[statement]

    def _applied(self, rule: Rule, statement: Statement, stack: tuple[Statement, ...]) -> Parts | None:
        """What one application of a rule rests on that gives a statement."""
        assert rule.query is not None
        tried = 0
        for assume in (False, True):
            for head, given in rule.givens(*statement):
                for solution in Solver(self.facts).solve(rule.query.root, Context(CLOSURE, assume=assume), given):
                    if instance(head, {**given, **solution.bindings}) != statement:
                        continue
                    tried += 1
                    try:
                        parts = self._parts(solution.evidence, stack)
                    except _Circular:
                        if tried >= ATTEMPTS:
                            return None
                        continue
                    self._rule(rule.iri, parts)
                    return parts
        return None

    def _rule(self, iri: str, parts: Parts) -> None:
        """That the rule is in force: all that policy graphs say of it."""
        asked: dict[str, None] = {}

        def objects(s: str, p: str) -> list[str]:
            asked[s] = None
            return self.facts.said(s, p)

        compiled(iri, objects)
        whole = {key[0] for key in parts.sets if key[1] is None}
        for graph in self.facts.policy:
            if graph not in whole:
                parts.sets.update(dict.fromkeys((graph, s, None, None) for s in asked))

    # -- to JSON ----------------------------------------------------------------------------------------------------
    def _json(self, parts: Parts) -> Json:
        return {
            "sets": sorted({self._set(key) for key in parts.sets}), "derivations": sorted(parts.derivations),
            "taken": [{"statement": f"{' '.join(s)} .", "why": why} for s, why in parts.taken.items()],
        }  # fmt: skip

    def _set(self, key: Key) -> int:
        if key not in self.places:
            graph, *terms = key
            if terms == [None] * 3:
                self.places[key] = self._whole(graph[1:-1])
            else:
                self.places[key] = self.draft.prove(graph[1:-1], [decode(t) for t in terms if t is not None])
            proof = self.draft.sets[self.places[key]]["proof"]
            self.size += sum(map(len, proof["lines"])) + 80 * len(proof["siblings"]) + 400
            if self.size > MAX_BYTES:
                raise InputError(
                    "the proof becomes too large", place="query", rule=f"at most {MAX_BYTES >> 20} MiB of statements",
                    remedy="ask for fewer rows (LIMIT)",
                )  # fmt: skip
        return self.places[key]

    def _whole(self, graph: str) -> int:
        """A whole graph, which is a policy: the same proof serves every answer until its next commit."""
        at = self.draft.head(graph)
        root = str(self.draft.heads[at]["setRoot"])
        if _WHOLE.get(graph, ("", {}))[0] != root:
            _WHOLE[graph] = root, set_part(self.draft.kernel, graph)["proof"]
            if len(_WHOLE) > KEPT:
                _WHOLE.pop(next(iter(_WHOLE)))
        self.draft.sets.append({"head": at, "proof": _WHOLE[graph][1]})
        return len(self.draft.sets) - 1


def proof_of(
    kernel: Kernel, text: str, regime: str, variables: Sequence[str], rows: Sequence[Sequence[str | None]],
    truth: bool | None, *, anchors: Anchors | None = None, deadline: float,
) -> Json:  # fmt: skip
    """The proof file's value for rows (or for an ASK: one row of no values, and its truth). The caller holds the lock.

    Rows that are no answers come out unproven, whoever claims them. BusyError at the deadline (monotonic seconds).
    """
    why = ""
    query = None
    try:
        query = parse(text)
    except (Unsupported, ValueError) as error:
        why = f"the query is not read for proving: {error}"
    facts = LiveFacts(kernel, FULL if regime == FULL else HIERARCHY, deadline=deadline)
    draft = Draft(kernel, anchors)
    prover = Prover(facts, draft, query)
    made: dict[tuple[str | None, ...], Json] = {}
    for row in rows:
        if tuple(row) not in made:
            made[tuple(row)] = unproven(row, why) if query is None else prover.row(variables, row, truth)
    for graph in facts.policy if prover.derivations else facts.policy[:1] if not draft.heads else ():
        draft.head(graph[1:-1])
    return draft.result({
        "query": text, "node": kernel.node, "regime": facts.regime, "variables": list(variables), "truth": truth,
        "graphs": [g[1:-1] for g in sorted(facts.graphs)], "policy": [g[1:-1] for g in facts.policy],
        "rows": [made[tuple(row)] for row in rows], "derivations": prover.derivations,
    })  # fmt: skip


def unproven(values: Sequence[str | None], why: str) -> Json:
    """A row of which nothing is claimed."""
    return {"values": list(values), "claim": UNPROVEN, "why": why, "sets": [], "derivations": [], "taken": []}
