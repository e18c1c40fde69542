"""OWL 2 RL in full: closure, incremental in both directions, contradictions, derivations, entailment.

Names are loaded at first use: numpy comes with the first of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reasoners.derive.owl.clash import Clash, clashes
    from reasoners.derive.owl.engine import Rl
    from reasoners.derive.owl.entail import Entailment, entails, inconsistencies
    from reasoners.derive.owl.explain import Explainer
    from reasoners.derive.owl.guard import Caused, ClashGuard

_HOMES = {
    "clash": ("Clash", "clashes"),
    "engine": ("Rl",),
    "entail": ("Entailment", "entails", "inconsistencies"),
    "explain": ("Explainer",),
    "guard": ("Caused", "ClashGuard"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["Caused", "Clash", "ClashGuard", "Entailment", "Explainer", "Rl", "clashes", "entails", "inconsistencies"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
