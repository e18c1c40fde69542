"""Checks the `answer` of a proof file: which rows follow from the sets it shows, and what is left unproven.

docs/proof-format.md, section Answers. Nothing that the issuer says about a row is believed: each row is looked for again, in
what its own set proofs show and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from verifier.answers import algebra as a
from verifier.answers.authority import SHIPPED_GRAPH, GraphInfo
from verifier.answers.facts import CLOSURE, EVERYBODY, FULL, HIERARCHY, Source
from verifier.answers.knowledge import Known, Shown, shown
from verifier.answers.parser import parse
from verifier.answers.rules import instance
from verifier.answers.solve import Assumed, Context, Evidence, Exhausted, Fact, Solution, Solver, Statement, Unknown
from verifier.answers.terms import Unsupported, decode
from verifier.hashes import keccak
from verifier.reading import At, Head, Malformed, SetProof
from verifier.trees import cut

MAX_ROWS, MAX_DERIVATIONS, MAX_REFERENCES = 10_000, 100_000, 100_000
PROVEN, CONDITIONAL, UNPROVEN, FAILED = "proven", "conditional", "unproven", "failed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A statement that a row or derivation takes for derived, and why no derivation is given."""

    statement: Statement
    why: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a row or a derivation may use."""

    sets: tuple[int, ...]
    derivations: tuple[int, ...]
    taken: tuple[Taken, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values (N-Triples text; None: unbound), what it rests on, what is claimed of it and why not more."""

    values: tuple[str | None, ...]
    part: Part
    claim: str
    why: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """One application of a rule."""

    statement: Statement
    rule: str
    part: Part


@dataclass(frozen=True, slots=True)
class Answer:
    """A well-formed `answer`."""

    query: str
    node: str
    regime: str
    variables: tuple[str, ...]
    truth: bool | None
    graphs: tuple[str, ...]
    policy: tuple[str, ...]
    rows: tuple[Row, ...]
    derivations: tuple[Derivation, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a row: `proven`; `conditional`, on its labels; `unproven`, as its issuer says; `failed`, and why."""

    status: str
    values: tuple[str | None, ...]
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Verdicts:
    """The rows' verdicts, what is wrong with the answer as a whole, and what had to be believed."""

    query: str
    variables: tuple[str, ...]
    truth: bool | None
    rows: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is false. Unproven rows are said to be so, which is not false."""
        return not self.problems and all(row.status != FAILED for row in self.rows)

    def count(self, status: str) -> int:
        """How many rows have a status."""
        return sum(row.status == status for row in self.rows)


# -- reading ---------------------------------------------------------------------------------------------------------
def read(value: object) -> Answer:
    """The answer in a proof file's `answer`; Malformed says where it is not of the format."""
    part = At("answer", value).members(
        "query", "node", "regime", "variables", "truth", "graphs", "policy", "rows", "derivations"
    )  # fmt: skip
    truth = part["truth"].value
    if truth is not None and not isinstance(truth, bool):
        raise Malformed(part["truth"].place, "it is none of true, false and null")
    variables = tuple(part["variables"].each(At.text, 1000))
    rows = tuple(part["rows"].each(_row, MAX_ROWS))
    for number, row in enumerate(rows):
        if len(row.values) != len(variables):
            raise Malformed(f"answer.rows[{number}].values", "there is not one for each variable")
    return Answer(
        part["query"].text(), part["node"].address(), part["regime"].one_of(HIERARCHY, FULL), variables, truth,
        tuple(f"<{x}>" for x in part["graphs"].each(At.text, MAX_ROWS)),
        tuple(f"<{x}>" for x in part["policy"].each(At.text, MAX_ROWS)), rows,
        tuple(part["derivations"].each(_derivation, MAX_DERIVATIONS)),
    )  # fmt: skip


def _row(at: At) -> Row:
    part = at.members("values", "claim", "why", "sets", "derivations", "taken")
    values = tuple(part["values"].each(lambda x: None if x.value is None else _term(x), 1000))
    return Row(values, _part(part), part["claim"].one_of(PROVEN, CONDITIONAL, UNPROVEN), part["why"].text())


def _derivation(at: At) -> Derivation:
    part = at.members("statement", "rule", "sets", "derivations", "taken")
    return Derivation(_statement(part["statement"]), f"<{part['rule'].text()}>", _part(part))


def _part(part: Mapping[str, At]) -> Part:
    return Part(
        tuple(part["sets"].each(At.number, MAX_REFERENCES)), tuple(part["derivations"].each(At.number, MAX_REFERENCES)),
        tuple(part["taken"].each(_taken, MAX_REFERENCES)),
    )  # fmt: skip


def _taken(at: At) -> Taken:
    part = at.members("statement", "why")
    return Taken(_statement(part["statement"]), part["why"].text())


def _statement(at: At) -> Statement:
    terms = cut(at.text())
    if terms is None:
        raise Malformed(at.place, "it is no canonical statement")
    return terms


def _term(at: At) -> str:
    try:
        return str(decode(at.text()))
    except ValueError:
        raise Malformed(at.place, "it is no term") from None


# -- checking --------------------------------------------------------------------------------------------------------
def check(value: object, heads: Sequence[Head], sets: Sequence[SetProof], good: Callable[[int], bool]) -> Verdicts:
    """The verdicts on an `answer`. `good` tells whether the set proof of a number holds against its head."""
    answer = read(value)
    report = Verdicts(answer.query, answer.variables, answer.truth)
    try:
        query = parse(answer.query)
    except (ValueError, Unsupported) as error:
        if all(row.claim == UNPROVEN for row in answer.rows):
            report.rows = [Verdict(UNPROVEN, row.values, (row.why,)) for row in answer.rows]
        else:
            report.problems.append(f"the query is not read: {error}")
        return report
    checker = _Checker(answer, query, heads, sets, good)
    report.problems = checker.problems()
    if not report.problems:
        report.rows = [checker.row(row) for row in answer.rows]
        report.trust = checker.trust()
    return report


class _Checker:
    def __init__(
        self, answer: Answer, query: a.Query, heads: Sequence[Head], sets: Sequence[SetProof], good: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self.answer, self.query, self.heads, self.sets, self.good = answer, query, heads, sets, good
        self.graphs = {
            f"<{h.graph}>": GraphInfo(f"<{h.graph}>", h.genesis.owner, h.genesis.kind, h.genesis.audience)
            for h in heads
        }
        self.source: Source = EVERYBODY
        self.named: tuple[str, ...] | None = None
        if query.default_from or query.named_from:
            self.source, self.named = query.default_from, query.named_from
        self.shown: dict[int, Shown | None] = {}
        self.derived: dict[int, tuple[str, ...] | None] = {}  # labels of those that hold
        self.why_not: dict[int, str] = {}
        self.superseded: set[str] = set()
        self.verdicts: dict[tuple[tuple[str | None, ...], Part, str], Verdict] = {}

    # -- the whole --------------------------------------------------------------------------------------------------
    def problems(self) -> list[str]:
        """What is wrong with the answer before any row is looked at."""
        found = []
        answer, query = self.answer, self.query
        names = tuple(v[1:] for v in query.variables)
        if query.form == "ASK":
            if answer.truth is None or names or answer.variables or len(answer.rows) != 1:
                found.append("an ASK is answered by true or false, and one row of no values that proves it")
        elif query.form != "SELECT" or answer.truth is not None:
            found.append("only SELECT and ASK are answered here, ASK with a truth")
        elif sorted(names) != sorted(answer.variables) if query.starred else names != answer.variables:
            found.append("the variables are not those of the query")
        if len(self.graphs) != len(self.heads):
            found.append("two states of one graph")
        signers = {h.seal.signer for h in self.heads}
        if signers - {answer.node}:
            found.append("a head is sealed by another node than the one that answers")
        for name in answer.graphs:
            if name not in answer.policy and self.is_policy(name):
                found.append(f"{name} is policy in force at the node, but not listed as such")
        for name in answer.policy:
            info = self.graphs.get(name)
            if name not in answer.graphs or (info is not None and not info.in_force(answer.node)):
                found.append(f"{name} is no policy in force at the node")
        if len(set(answer.graphs)) != len(answer.graphs) or len(set(answer.policy)) != len(answer.policy):
            found.append("a graph is listed twice")
        return found

    def is_policy(self, name: str) -> bool:
        """Whether a graph is policy in force at the node: by its head, else by its name."""
        info = self.graphs.get(name)
        if info is not None:
            return info.in_force(self.answer.node)
        return name[1:].startswith(SHIPPED_GRAPH) or name.endswith(f"/g/{self.answer.node}/policy>")

    @cached_property
    def policy_is_shown(self) -> bool:
        """Whether some head of a listed policy graph was made under exactly these policy graphs."""
        heads = {f"<{h.graph}>": h for h in self.heads}
        listed = [heads.get(name) for name in self.answer.policy]
        if not listed or any(h is None for h in listed):
            return False
        roots = sorted((h.graph, h.set_root) for h in listed if h is not None)
        parts = b"".join(keccak(iri.encode()) + root for iri, root in roots)
        root = keccak(b"dappops/policy/1" + parts)
        return any(h is not None and h.policy_root == root for h in listed)

    def trust(self) -> list[str]:
        """What had to be believed of the node."""
        out = [f"that these {len(self.answer.graphs)} graphs, at these heads, are all that it answers from"]
        if self.query.form == "SELECT":
            out.append("that no row is missing, how often a row occurs, and in which order")
        out += [f"that no enabled rule supersedes {iri}" for iri in sorted(self.superseded)]
        return out

    # -- parts ------------------------------------------------------------------------------------------------------
    def set(self, number: int) -> Shown | None:
        """What a set proof shows; None when it does not hold."""
        if number not in self.shown:
            self.shown[number] = None
            if number < len(self.sets) and self.good(number):
                proof = self.sets[number]
                root = self.heads[proof.head].set_root
                self.shown[number] = shown(f"<{proof.graph}>", root, proof.pattern, proof.lines)
        return self.shown[number]

    def known(self, part: Part) -> tuple[Known, dict[Statement, tuple[str, ...]]]:
        """The facts of a part, and the labels of what is derived in it. ValueError when it refers to what does not hold."""
        sets = [self.set(n) for n in part.sets]
        if None in sets:
            raise ValueError("it rests on a set that does not hold")
        labels: dict[Statement, tuple[str, ...]] = {}
        for taken in part.taken:
            labels[taken.statement] = (f"derivation not given: {' '.join(taken.statement)}: {taken.why}",)
        for number in part.derivations:
            found = self.derivation(number)
            if found is None:
                raise ValueError(f"derivation {number} does not hold: {self.why_not.get(number, 'it is not there')}")
            labels[self.answer.derivations[number].statement] = found
        facts = Known(
            self.graphs, self.answer.graphs, self.answer.policy if self.policy_is_shown else (), self.answer.node, self.answer.regime,
            [x for x in sets if x is not None], labels,
        )  # fmt: skip
        return facts, labels

    def derivation(self, number: int) -> tuple[str, ...] | None:
        """The labels of a derivation that holds, else None. It may rest on earlier ones only."""
        for index in range(len(self.derived), min(number + 1, len(self.answer.derivations))):
            self.derived[index] = None
            try:
                self.derived[index] = self.derive(index, self.answer.derivations[index])
            except (ValueError, Unsupported, Exhausted, Unknown, RecursionError) as error:
                self.why_not[index] = str(error)
        return self.derived.get(number)

    def derive(self, number: int, one: Derivation) -> tuple[str, ...]:
        if any(other >= number for other in one.part.derivations):
            raise ValueError("it rests on a later one")
        facts, labels = self.known(one.part)
        rule, settled = facts.rule(one.rule)
        if rule is None or rule.query is None:
            raise ValueError(f"{one.rule} is no derive rule in force" if rule is None else rule.why)
        if not settled:
            self.superseded.add(one.rule)
        for assume in (False, True):
            for head, given in rule.givens(*one.statement):
                context = Context(CLOSURE, assume=assume)
                for solution in Solver(facts).solve(rule.query.root, context, given):
                    if instance(head, {**given, **solution.bindings}) == one.statement:
                        return self.labels(solution.evidence, facts, labels)
        raise ValueError(f"{one.rule} does not give {' '.join(one.statement)} from what is shown")

    def labels(self, evidence: Evidence, facts: Known, labels: Mapping[Statement, tuple[str, ...]]) -> tuple[str, ...]:
        """What a solution leaves unproven."""
        found: set[str] = set()
        for item in evidence:
            if isinstance(item, Assumed):
                found.add(item.text)
            elif isinstance(item, Fact):
                own = labels.get(item.statement)
                if own and not facts.asserted(item.statement):
                    found.update(own)
        return tuple(sorted(found))

    # -- rows -------------------------------------------------------------------------------------------------------
    def row(self, row: Row) -> Verdict:
        """The verdict on a row."""
        if row.claim == UNPROVEN:
            return Verdict(UNPROVEN, row.values, (row.why,))
        key = (row.values, row.part, row.claim)
        if key not in self.verdicts:
            try:
                self.verdicts[key] = self.proven(row)
            except (ValueError, Unsupported, Exhausted, RecursionError) as error:
                self.verdicts[key] = Verdict(FAILED, row.values, (str(error),))
        return self.verdicts[key]

    def proven(self, row: Row) -> Verdict:
        facts, labels = self.known(row.part)
        if self.named is not None:
            facts.named = self.named
        wanted = {f"?{n}": v for n, v in zip(self.answer.variables, row.values, strict=True)}
        for assume in (False, True):
            context = Context(self.source, assume=assume)
            evidence = find(self.query, Solver(facts), context, wanted, self.answer.truth)
            if evidence is not None:
                found = self.labels(evidence, facts, labels)
                if found and row.claim == PROVEN:
                    return Verdict(FAILED, row.values, ("it is said to be proven, but: " + "; ".join(found),))
                return Verdict(CONDITIONAL if found else PROVEN, row.values, found)
        return Verdict(FAILED, row.values, ("it does not come out of what is shown",))


def find(
    query: a.Query, solver: Solver, context: Context, wanted: Mapping[str, str | None], truth: bool | None
) -> Evidence | None:
    """What a row (or the truth of an ASK) rests on; None when it does not come out."""
    return next(iter(rests(query, solver, context, wanted, truth)), None)


def rests(
    query: a.Query, solver: Solver, context: Context, wanted: Mapping[str, str | None], truth: bool | None
) -> Iterable[Evidence]:
    """All that a row can rest on, one way after another."""
    if truth is False:
        absent = solver.absent(query.root, (), context, {})
        if absent is not None:
            yield absent
        return
    given = {v: t for v, t in wanted.items() if t is not None}
    root = query.root
    inner = root.inner if isinstance(root, a.Project) else root  # neither DISTINCT nor LIMIT makes a row
    one: Solution
    for one in solver.solve(inner, context, given):
        if all(one.bindings.get(v) == t for v, t in wanted.items()):
            yield one.evidence
