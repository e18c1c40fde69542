"""Rows of random queries verify or say what is not proven; what is no answer, and what was tampered with, does not verify."""

from __future__ import annotations

from answers_queries import FORMS
from answers_trial import Tally

from verifier.answers import FAILED, PROVEN


def test_each_row_verifies_or_says_what_is_not_proven_when_queries_are_random(trial: Tally) -> None:
    assert trial.wrong == []
    assert all(FAILED not in rows for rows in trial.rows.values())
    assert sum(rows[PROVEN] for rows in trial.rows.values()) > 100


def test_every_form_is_asked_and_most_have_proven_rows_when_queries_are_random(trial: Tally) -> None:
    assert set(trial.queries) == set(FORMS)
    proven = {form for form, rows in trial.rows.items() if rows[PROVEN]}
    assert len(proven) >= len(FORMS) // 2


def test_rows_that_are_no_answers_are_never_proven_when_the_issuer_lies(trial: Tally) -> None:
    assert trial.lies[PROVEN] == 0
    assert trial.lies.total() > 100


def test_tampered_proofs_fail_whatever_was_changed(trial: Tally) -> None:
    assert trial.tampered.total() > 30
    assert len(trial.tampered) >= 6
    assert trial.redundant <= trial.tampered.total() // 3


def test_answers_are_rdflibs_when_it_is_asked_too(trial: Tally) -> None:
    # a few differences are rdflib's own: what it is known to do otherwise is left out, what it does rarely is not
    assert trial.opinions["same"] > 0
    assert trial.opinions["other"] <= max(1, trial.opinions["same"] // 20), trial.differ
