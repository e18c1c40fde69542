"""One world and one trial for all tests of this folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import rdflib
from answers_queries import FORMS, Queries
from answers_trial import Court, Tally, comparable
from answers_world import World

QUERIES_PER_FORM = 5  # at quick effort
PER_FILL = 40  # queries before the graphs are filled anew


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A knowledge base with two owners, rules, three graphs that are filled."""
    made = World(Path(tmp_path_factory.mktemp("answers")) / "home")
    made.refill(random.Random(7))
    yield made
    made.close()


@pytest.fixture(scope="session")
def trial(world: World, effort: int) -> Tally:
    """Random queries of every form: proven, checked, lied about, tampered with."""
    rng = random.Random(20260115 + effort)
    tally = Tally()
    court = Court(world, rng, tally)
    queries = Queries(world.words, rng)
    opinion: rdflib.Dataset | None = None
    for number in range(QUERIES_PER_FORM * len(FORMS) * effort):
        if number % PER_FILL == 0:
            world.refill(rng)
            opinion = None
        form = FORMS[number % len(FORMS)]
        ask = queries.query(form)
        found = court.rows(ask)
        if found is not None:
            court.tamper(ask, *found, times=2)
        if found is not None and rng.random() < 0.3 and comparable(ask):
            opinion = opinion or world.second_opinion()
            court.ask_rdflib(ask, opinion)
    return tally
