"""The service method `prove_query`: an answer with its proof."""

from __future__ import annotations

import time
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method, run_query
from engine.ledger.answers.live import LiveFacts
from engine.ledger.answers.prove import Prover
from engine.ledger.proofs import Draft
from reasoners.derive.text import with_prologue
from verifier.answers.facts import FULL, HIERARCHY
from verifier.answers.parser import parse
from verifier.answers.terms import Unsupported

MAX_ROWS = 10_000  # of a proven answer; docs/proof-format.md
SECONDS = 120.0  # for one proven answer; commits wait meanwhile


@method
def prove_query(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Answer a SELECT or ASK with the proof of each row.

    {"boolean"} or {"variables", "rows", "truncated"} as `query`, and "proof": a proof file's value. InputError for other
    forms, for more rows than `limit` (10,000 at most) can take, and for a proof beyond the file's size.
    """
    limit = int(params.get("limit") or MAX_ROWS)
    if not 1 <= limit <= MAX_ROWS:
        raise InputError(
            f"{limit:,} rows are not proven at once", rule=f"1 to {MAX_ROWS:,}", remedy="use LIMIT and OFFSET"
        )
    if params.get("as_of") is not None:
        raise InputError(
            "only answers from the current state are proven", place="as_of",
            remedy="prove single statements of the past with `dappops prove --as-of`",
        )  # fmt: skip
    regime = params.get("regime") or HIERARCHY
    text = with_prologue(params["text"])
    with kernel.lock.held():
        return prove(kernel, text, regime, limit, deadline=time.monotonic() + SECONDS)


def prove(kernel: Kernel, text: str, regime: str, limit: int, *, deadline: float) -> Json:
    """`prove_query` on a text that declares its prefixes; the caller holds the lock."""
    result = run_query(kernel, text, None, regime)
    if isinstance(result, ox.QueryTriples):
        raise InputError(
            "only rows are proven", place="query", rule="SELECT and ASK", remedy="select the statements' terms instead"
        )
    why = ""
    query = None
    try:
        query = parse(text)
    except (Unsupported, ValueError) as error:
        why = f"the query is not read for proving: {error}"
    facts = LiveFacts(kernel, FULL if regime == FULL else HIERARCHY, deadline=deadline)
    draft = Draft(kernel, _anchors(kernel))
    prover = Prover(facts, draft, query)
    variables: list[str] = []
    truth: bool | None = None
    truncated = False
    rows: list[list[str | None]] = []
    if isinstance(result, ox.QueryBoolean):
        truth = bool(result)
        rows.append([])
    else:
        variables = [v.value for v in result.variables]
        for row in result:
            if len(rows) == limit:
                truncated = True
                break
            rows.append([None if t is None else str(t) for t in row])
    proven: dict[tuple[str | None, ...], Json] = {}
    parts = []
    for values in rows:
        key = tuple(values)
        if key not in proven:
            proven[key] = prover.row(variables, values, truth) if query is not None else _unproven(values, why)
        parts.append(proven[key])
    for graph in facts.policy if prover.derivations else ():
        draft.head(graph[1:-1])
    if not draft.heads:
        draft.head(sorted(facts.named)[0][1:-1])
    answer = {
        "query": text, "node": kernel.node, "regime": facts.regime, "variables": variables, "truth": truth,
        "graphs": [g[1:-1] for g in sorted(facts.graphs)], "policy": [g[1:-1] for g in facts.policy], "rows": parts,
        "derivations": prover.derivations,
    }  # fmt: skip
    proof = draft.result(answer)
    if truth is not None:
        return {"boolean": truth, "proof": proof}
    return {"variables": variables, "rows": rows, "truncated": truncated, "proof": proof}


def _unproven(values: list[str | None], why: str) -> Json:
    return {"values": values, "sets": [], "derivations": [], "taken": [], "unproven": why}


def _anchors(kernel: Kernel) -> Any:
    """Where heads are on a chain, as far as this knowledge base knows."""
    return None
