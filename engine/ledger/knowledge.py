"""What the parts of this room ask of an open knowledge base: its folder, its keys, rows of a named view as texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.graph.keys import KeyRing
from engine.graph.wire import decode_term

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase


def folder_of(kb: KnowledgeBase) -> Path:
    """The home of a knowledge base; InputError for one in memory: chains and keys are on disk."""
    if kb.home is None:
        raise InputError("a knowledge base in memory has no chains", remedy="use a home folder (--home DIR)")
    return kb.home


def keys_of(kb: KnowledgeBase) -> KeyRing:
    """The keys of a home."""
    return KeyRing(folder_of(kb) / "keys")


def rows_of(kb: KnowledgeBase, view: str, **bindings: str) -> list[dict[str, str]]:
    """Rows of a named view as texts; `bindings`: IRIs, empty ones left out. Unbound columns are missing."""
    answer = kb.call("view", name=view, bindings={k: f"<{v}>" for k, v in bindings.items() if v})
    return [
        {name: decode_term(term).value for name, term in zip(answer["variables"], row, strict=True) if term is not None}
        for row in answer["rows"]
    ]
