"""From the opened votes to the consequence in one call: settle, hear the chain, judge the evidence, assess the providers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError
from engine.ledger.agreements.events import follow
from engine.ledger.agreements.lifecycle import expire, settle
from engine.ledger.agreements.versions import chain_of, read
from engine.ledger.home import Connected

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

LOOK = 0.2  # seconds between two looks at a chain


def conclude(
    kb: KnowledgeBase,
    version: str,
    *,
    connected: Connected | None = None,
    author: str | None = None,
    patience: float = 60.0,
) -> dict[str, Any]:
    """Settle (or expire, when it is too late for that), wait until that is final, then judge and assess.

    Returns {"settled", "followed", "enforced", "assessed"}. `patience`: seconds to wait for the chain; BusyError after it.
    """
    told = read(kb, version)
    connected = connected or chain_of(kb, told)
    deadline = time.monotonic() + patience
    while True:
        try:
            # the node's clock or the chain's, whichever is ahead: a chain without traffic has an old newest block
            if max(time.time(), connected.chain.header().time) > told.settle_by:
                settled = expire(kb, version, connected=connected)
            else:
                settled = settle(kb, version, connected=connected)
            break
        except BusyError as error:
            early = "chain's clock" in error.message
            if not early or time.monotonic() > deadline:
                raise
            time.sleep(LOOK)
    while True:
        followed = follow(kb, connected, author=author)
        if not followed.pending or followed.settlements:
            break
        if time.monotonic() > deadline:
            raise BusyError(
                "the settlement is in a block that is not final yet", place=told.iri, remedy="dappops sla status, later"
            )
        time.sleep(LOOK)
    chosen = author or kb.author
    return {
        "settled": settled, "followed": followed.as_json(), "enforced": kb.call("enforce", version=told.iri, author=chosen),
        "assessed": assess(kb, author=chosen),
    }  # fmt: skip


def assess(kb: KnowledgeBase, *, author: str | None = None, now: str | None = None) -> dict[str, Any]:
    """Assess the reputation of every provider with settlements, and commit what changed; see `engine.ledger.reputation`."""
    answer: dict[str, Any] = kb.call("assess", author=author or kb.author, now=now)
    return answer


__all__ = ["assess", "conclude"]
