"""A rule that exceeds its budget is suspended, alone, visibly, and in step with what else is derived."""

from __future__ import annotations

import itertools
import random
from contextlib import contextmanager

import pyoxigraph as ox

from reasoners.derive import Budget, Deriver, MemoryWorkspace, Pending, Rule
from reasoners.vocab import DAPP

EX = "http://ex.org/"
NOW = ox.Literal("2026-01-01T00:00:00Z", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime"))


def iri(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def rule(name: str, text: str, head: str, *, trusted: bool = False) -> Rule:
    return Rule(iri(name), f"PREFIX : <{EX}> {text}", frozenset({EX + head}), label=name, trusted=trusted)


PAIRS = rule("pairs", "CONSTRUCT { ?x :pair ?y } WHERE { ?x :p ?a . ?y :p ?b FILTER(?x != ?y) }", "pair")
PLAIN = rule("plain", "CONSTRUCT { ?x :plain ?a } WHERE { ?x :p ?a }", "plain")
ABOVE = rule("above", "CONSTRUCT { ?x :paired true } WHERE { ?x :pair ?y }", "paired")
LONELY = rule("lonely", "CONSTRUCT { ?x :lonely true } WHERE { ?x :p ?a FILTER NOT EXISTS { ?x :pair ?y } }", "lonely")


def facts(*numbers: int) -> list[ox.Triple]:
    return [ox.Triple(iri(f"n{i}"), iri("p"), ox.Literal(i)) for i in numbers]


def step(deriver: Deriver, work: MemoryWorkspace, removed: list[ox.Triple], added: list[ox.Triple]) -> None:
    pending = Pending()
    deriver.affected(work.view, removed, pending)
    deriver.run(work, pending, work.change(removed, added)[1], now=NOW)


def rows(limit: int) -> Budget:
    return Budget(1e9, limit, itertools.count().__next__)


def test_only_the_rule_that_exceeds_its_rows_is_suspended() -> None:
    deriver = Deriver([PAIRS, PLAIN, ABOVE, LONELY], budget=rows(20))
    work = MemoryWorkspace()
    step(deriver, work, [], facts(1, 2, 3))
    assert len(work.derived()[PAIRS.iri]) == 6
    assert LONELY.iri not in work.derived()
    step(deriver, work, [], facts(*range(4, 9)))
    derived = work.derived()
    assert {t.predicate for t in derived[PAIRS.iri]} == {DAPP.suspendedBecause, DAPP.suspendedAt}
    (why,) = (t.object for t in derived[PAIRS.iri] if t.predicate == DAPP.suspendedBecause)
    assert "more than 20 rows" in str(why)
    assert len(derived[PLAIN.iri]) == 8
    assert ABOVE.iri not in derived  # what rested on it has gone,
    assert len(derived[LONELY.iri]) == 8  # and what its absence allows has come


def test_suspended_rule_stays_off_until_its_notice_goes() -> None:
    deriver = Deriver([PAIRS, PLAIN], budget=rows(20))
    work = MemoryWorkspace()
    step(deriver, work, [], facts(*range(9)))
    notice = work.derived()[PAIRS.iri]
    step(deriver, work, facts(3, 4, 5, 6, 7, 8), [])
    assert work.derived()[PAIRS.iri] == notice
    assert len(work.derived()[PLAIN.iri]) == 3
    deriver.suspended = {PAIRS.iri: notice}
    assert deriver.full(MemoryWorkspace(facts(0, 1, 2)).view)[PAIRS.iri] == notice
    deriver.suspended = {}
    assert len(deriver.full(MemoryWorkspace(facts(0, 1, 2)).view)[PAIRS.iri]) == 6
    work.write({PAIRS.iri: (notice, set())})
    step(deriver, work, [], facts(50))
    assert iri("pair") in {t.predicate for t in work.derived()[PAIRS.iri]}


def test_full_derivation_suspends_what_exceeds_and_derives_the_rest() -> None:
    deriver = Deriver([PAIRS, PLAIN, ABOVE, LONELY], budget=rows(20))
    derived = deriver.full(MemoryWorkspace(facts(*range(9))).view, now=NOW)
    assert DAPP.suspendedAt in {t.predicate for t in derived[PAIRS.iri]}
    assert len(derived[LONELY.iri]) == len(derived[PLAIN.iri]) == 9
    assert ABOVE.iri not in derived


def test_shipped_rule_is_never_suspended() -> None:
    trusted = rule(
        "pairs", "CONSTRUCT { ?x :pair ?y } WHERE { ?x :p ?a . ?y :p ?b FILTER(?x != ?y) }", "pair", trusted=True
    )
    deriver = Deriver([trusted], budget=rows(20))
    work = MemoryWorkspace()
    step(deriver, work, [], facts(*range(9)))
    assert len(work.derived()[trusted.iri]) == 72


def test_time_counts_when_a_query_ends_without_rows() -> None:
    """The clock is the test's: what matters is that a query with no result is charged."""
    ticks = itertools.count(0, 7)
    none = rule("none", "CONSTRUCT { ?x :pair ?y } WHERE { ?x :p ?a . ?y :p ?b FILTER(?a > 100) }", "pair")
    deriver = Deriver([none, PLAIN], budget=Budget(5.0, 1000, lambda: next(ticks)))
    work = MemoryWorkspace()
    step(deriver, work, [], facts(1))
    assert any("more than 5 s" in t.object.value for t in work.derived()[none.iri] if isinstance(t.object, ox.Literal))


def test_guard_is_entered_around_each_query_of_a_local_rule() -> None:
    entered: list[str] = []

    @contextmanager
    def guard(one: Rule):  # type: ignore[no-untyped-def]
        entered.append(one.name)
        yield

    deriver = Deriver([PAIRS, PLAIN], budget=Budget(1e9, 1000, lambda: 0.0, guard))
    step(deriver, MemoryWorkspace(), [], facts(1, 2))
    assert set(entered) == {"pairs", "plain"}


RECURSIVE = (
    rule("edge", "CONSTRUCT { ?x :reach ?y } WHERE { ?x :to ?y }", "reach"),
    rule("far", "CONSTRUCT { ?x :reach ?z } WHERE { ?x :reach ?y . ?y :reach ?z }", "reach"),
    rule("back", "CONSTRUCT { ?x :round ?y } WHERE { ?x :reach ?y . ?y :reach ?x }", "round"),
)


def test_recursive_rule_that_is_suspended_takes_along_only_what_rested_on_it(effort: int) -> None:
    """After any changes the state is what the rules without the suspended one derive."""
    suspended = 0
    for seed in range(20 * effort):
        rng = random.Random(seed)
        deriver = Deriver(RECURSIVE, budget=rows(40))
        work, held = MemoryWorkspace(), set[ox.Triple]()
        for _ in range(5):
            new = {ox.Triple(iri(f"n{rng.randrange(8)}"), iri("to"), iri(f"n{rng.randrange(8)}")) for _ in range(4)}
            gone = set(rng.sample(sorted(held, key=str), min(len(held), 1)))
            new -= gone
            step(deriver, work, sorted(gone, key=str), sorted(new - held, key=str))
            held = (held - gone) | new
            off = {r.iri: work.held(r.iri, r.iri) for r in RECURSIVE if work.held(r.iri, r.iri)}
            judge = Deriver(RECURSIVE)
            judge.suspended = off
            assert work.derived() == judge.full(MemoryWorkspace(held).view), f"seed {seed}"
        suspended += bool(off)
    assert suspended > 0
