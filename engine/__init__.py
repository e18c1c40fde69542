"""DAppOps: a knowledge graph and semantic engine for quality-critical decentralised applications.

>>> import engine
>>> kb = engine.open("my-kb")
>>> kb.query("SELECT ?app WHERE { ?app a dapp:QualityCriticalApplication }")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.kb import Change, KnowledgeBase, Table, open

__all__ = ["Change", "KnowledgeBase", "Table", "open"]


def __getattr__(name: str) -> Any:
    # the command line's --help must not pay for the graph
    if name in __all__:
        from engine import kb

        return getattr(kb, name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
