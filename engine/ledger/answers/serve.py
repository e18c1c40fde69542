"""The service method `prove_query`: an answer from the public graphs with its proof."""

from __future__ import annotations

import time
from itertools import islice

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.reading import query_store
from engine.graph.service import Caller, Json, method
from engine.ledger.anchoring.serve import known_anchors
from engine.ledger.answers.prove import proof_of
from engine.ledger.proofs import Anchors
from reasoners.derive.text import with_prologue
from reasoners.vocab import PREFIXES
from verifier.answers.facts import FULL, HIERARCHY

MAX_ROWS = 10_000  # of a proven answer; docs/proof-format.md
SECONDS = 120.0  # for one proven answer; commits wait meanwhile


@method
def prove_query(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Answer a SELECT or ASK with the proof of each row.

    {"boolean"} or {"variables", "rows", "truncated"} as `query`, and "proof": a proof file's value. InputError for other
    forms, for more rows than `limit` (10,000 at most) can take, and for a proof beyond the file's size.

    `answer` ({"tx"} with {"boolean"} or {"variables", "rows"}) is one that a replica gave: then the query itself is not
    run here, where nothing could end it, and {"moved": true} says that the state has gone on since. `seconds` bounds the
    proving, 120 at most.
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
    if kernel.safe:
        raise InputError(
            "opened without its own policy, this node proves no answers", rule="--safe", remedy="open it without --safe"
        )
    regime = params.get("regime") or HIERARCHY
    if regime not in (HIERARCHY, FULL):
        raise InputError(f"no regime {regime!r} here", rule=f"one of {HIERARCHY}, {FULL}")
    text = with_prologue(params["text"])
    seconds = min(float(params.get("seconds") or SECONDS), SECONDS)
    given: Json | None = params.get("answer")
    with known_anchors(kernel) as anchors, kernel.lock.held():
        deadline = time.monotonic() + seconds
        if given is None:
            return prove(kernel, text, regime, limit, anchors, deadline=deadline)
        if given["tx"] != kernel.log.head_tx():
            return {"moved": True}
        return proven(kernel, text, regime, limit, given, anchors, deadline=deadline)


def prove(
    kernel: Kernel, text: str, regime: str, limit: int, anchors: Anchors | None = None, *, deadline: float
) -> Json:
    """`prove_query` on a text that declares its prefixes; the caller holds the lock."""
    public = [iri for iri, info in kernel.log.graphs.items() if info.audience == "public"]
    store = kernel.full.store(kernel) if regime == FULL else kernel.store.store
    result = query_store(store, text, named=public, prefixes=PREFIXES)
    if isinstance(result, ox.QueryTriples):
        raise InputError(
            "only rows are proven", place="query", rule="SELECT and ASK", remedy="select the statements' terms instead"
        )
    answer: Json
    if isinstance(result, ox.QueryBoolean):
        answer = {"boolean": bool(result)}
    else:
        rows = [[None if t is None else str(t) for t in row] for row in islice(result, limit + 1)]
        answer = {"variables": [v.value for v in result.variables], "rows": rows}
    return proven(kernel, text, regime, limit, answer, anchors, deadline=deadline)


def proven(
    kernel: Kernel, text: str, regime: str, limit: int, answer: Json, anchors: Anchors | None = None, *, deadline: float
) -> Json:
    """An answer from the current state with its proof; the caller holds the lock."""
    if "boolean" in answer:
        truth = bool(answer["boolean"])
        proof = proof_of(kernel, text, regime, (), [()], truth, anchors=anchors, deadline=deadline)
        return {"boolean": truth, "proof": proof}
    variables, rows = list(answer["variables"]), [list(row) for row in answer["rows"]]
    truncated = len(rows) > limit
    del rows[limit:]
    proof = proof_of(kernel, text, regime, variables, rows, None, anchors=anchors, deadline=deadline)
    return {"variables": variables, "rows": rows, "truncated": truncated, "proof": proof}
