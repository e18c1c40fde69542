"""Agreements at work: versions, signatures, witnesses, settlement, and what the chain said back in the graph.

Public are the names below; what each does is told where it is defined, in which order they are called in README.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.ledger.agreements.desk import collect
    from engine.ledger.agreements.drawing import draw, draw_block, draw_witnesses
    from engine.ledger.agreements.events import follow
    from engine.ledger.agreements.lifecycle import (
        accept,
        add_signature,
        cancel,
        cancel_signature,
        deposit,
        expire,
        open_,
        settle,
        status,
        withdraw,
    )
    from engine.ledger.agreements.oracle import attest, read_value
    from engine.ledger.agreements.outcome import assess, conclude
    from engine.ledger.agreements.planned import terms_from_plan
    from engine.ledger.agreements.versions import contract_terms, counter, propose, read, terms_in
    from engine.ledger.agreements.witnesses import make_witness, run_witnesses

_HOMES = {  # looked up when used: a command that shows a list needs no chain
    "desk": ("collect",),
    "drawing": ("draw", "draw_block", "draw_witnesses"),
    "events": ("follow",),
    "lifecycle": (
        "accept", "add_signature", "cancel", "cancel_signature", "deposit", "expire", "open_", "settle", "status", "withdraw",
    ),
    "oracle": ("attest", "read_value"),
    "outcome": ("assess", "conclude"),
    "planned": ("terms_from_plan",),
    "versions": ("contract_terms", "counter", "propose", "read", "terms_in"),
    "witnesses": ("make_witness", "run_witnesses"),
}  # fmt: skip
_HOME = {name: module for module, found in _HOMES.items() for name in found}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


__all__ = [
    "accept", "add_signature", "assess", "attest", "cancel", "cancel_signature", "collect", "conclude", "contract_terms",
    "counter", "deposit", "draw", "draw_block", "draw_witnesses", "expire", "follow", "make_witness", "open_", "propose", "read",
    "read_value", "run_witnesses", "settle", "status", "terms_from_plan", "terms_in", "withdraw",
]  # fmt: skip
