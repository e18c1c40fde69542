"""A rule that runs away is ended in its child process and reported; the caller lives."""

from __future__ import annotations

import pyoxigraph as ox
import pytest

from reasoners.derive import Limits, Rule, try_rule
from reasoners.errors import BusyError, InputError

EX = "http://ex.org/"


def make(where: str) -> Rule:
    text = f"PREFIX : <{EX}> CONSTRUCT {{ ?s :h ?o }} WHERE {{ {where} }}"
    return Rule(ox.NamedNode(EX + "rule"), text, frozenset({EX + "h"}))


def data(count: int) -> list[ox.Triple]:
    p = ox.NamedNode(EX + "p")
    return [ox.Triple(ox.NamedNode(f"{EX}n{i}"), p, ox.NamedNode(f"{EX}n{i + 1}")) for i in range(count)]


def test_trial_counts_heads_when_the_rule_is_cheap() -> None:
    assert try_rule(make("?s :p ?o"), data(50)) == 50
    quads = "".join(f"<{EX}a> <{EX}p> <{EX}b{i}> <{EX}g{i}> .\n" for i in range(3))
    assert try_rule(make("?s :p ?o"), quads.encode()) == 3


def test_trial_binds_the_time_when_the_rule_reads_it() -> None:
    until = [ox.Triple(ox.NamedNode(EX + "a"), ox.NamedNode(EX + "p"), ox.Literal(5))]
    assert try_rule(make("?s :p ?o FILTER(?o < ?now)"), until, now=ox.Literal(6)) == 1
    assert try_rule(make("?s :p ?o FILTER(?o < ?now)"), until, now=ox.Literal(5)) == 0


@pytest.mark.parametrize(
    "where",
    [
        "?s :p ?o . ?a :p ?b . ?c :p ?d . ?e :p ?f FILTER(?b = ?s && ?d = ?e && ?a = ?f)",
        "{ SELECT ?s (COUNT(*) AS ?o) WHERE { ?s :p ?x . ?a :p ?b . ?c :p ?d . ?e :p ?f } GROUP BY ?s }",
    ],
)
def test_trial_ends_the_rule_when_it_runs_out_of_time(where: str) -> None:
    with pytest.raises(BusyError, match=r"exceeds its budget of 0\.3 s on 2000 triples") as caught:
        try_rule(make(where), data(2000), Limits(seconds=0.3))
    assert caught.value.place == EX + "rule"
    assert caught.value.remedy


def test_trial_ends_the_rule_when_it_runs_out_of_memory() -> None:
    where = "{ SELECT DISTINCT ?s ?o ?b WHERE { ?s :p ?x . ?o :p ?y . ?b :p ?z } ORDER BY ?b }"
    with pytest.raises(BusyError, match="MiB"):
        try_rule(make(where), data(2000), Limits(seconds=60, memory=64 * 2**20))


def test_trial_ends_the_rule_when_it_writes_too_much() -> None:
    with pytest.raises(BusyError, match="1000 heads"):
        try_rule(make("?s :p ?x . ?o :p ?y"), data(2000), Limits(seconds=20, rows=1000))


def test_trial_refuses_the_rule_when_the_engine_cannot_read_it() -> None:
    with pytest.raises(InputError, match="not accepted"):
        try_rule(make("?s :p ?o ; ; :nope"), data(1))
