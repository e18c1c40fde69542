"""Every shipped rule of this room does what its sample says, and has a sample."""

from __future__ import annotations

import sys
from pathlib import Path

import pyoxigraph as ox
import pytest

from reasoners.derive import Deriver, Rule, check_rule, rules_from_files
from reasoners.graph import View, memory_view

sys.path.insert(0, str(Path(__file__).parent))
from derive_samples import PREFIXES, RULES

FOLDER = Path(__file__).resolve().parents[2] / "queries" / "rules"
RULE_FILES = {p.stem: p for p in FOLDER.glob("derive-*.rq")}


def rule(name: str) -> Rule:
    (found,) = rules_from_files([(name, RULE_FILES[name].read_text(encoding="utf-8"))])
    return found


def turtle(text: str) -> View:
    return memory_view(q.triple for q in ox.parse((PREFIXES + text).encode(), format=ox.RdfFormat.TURTLE))


def heads(one: Rule, view: View) -> set[ox.Triple]:
    result = view.query(one.text)
    assert isinstance(result, ox.QueryTriples)
    return set(result)


def test_samples_are_complete_when_rules_are_counted() -> None:
    assert len(RULE_FILES) == 4
    assert RULES.keys() == RULE_FILES.keys()


@pytest.mark.parametrize("name", sorted(RULES))
def test_shipped_rule_writes_its_head_when_its_sample_fires(name: str) -> None:
    fires, expected, silent = RULES[name]
    one = rule(name)
    (wanted,) = turtle(expected + " .").triples()
    assert wanted in heads(one, turtle(fires))
    assert heads(one, turtle(silent)) == set()


@pytest.mark.parametrize("name", sorted(RULES))
def test_shipped_rule_is_accepted_when_it_is_trusted(name: str) -> None:
    check_rule(rule(name))


def test_hierarchy_rules_are_incremental_when_they_are_compiled() -> None:
    deriver = Deriver([rule(n) for n in RULES if n.startswith("derive-")])
    modes = {row.rule: row.mode for row in deriver.table()}
    assert len(modes) == 4
    assert all(mode.startswith("incremental") for mode in modes.values()), modes
