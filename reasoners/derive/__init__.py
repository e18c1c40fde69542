"""SPARQL rules as data: read, checked, tried, ordered, and evaluated to a fixpoint that is maintained incrementally.

Pure: rules and state come in, derived triples go out through a `Workspace`. Reading rule files, running commits and
knowing the time are the engine's. Names are loaded at first use, so that the child process of a trial stays small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reasoners.derive.budget import Budget
    from reasoners.derive.deriver import Deriver, Pending, Row
    from reasoners.derive.rl import Closure, Inconsistency, owl_rl
    from reasoners.derive.rule import Rule, parse_rules, rule_from_file, rules_from_files
    from reasoners.derive.safety import check_rule
    from reasoners.derive.strata import Stratum, stratify
    from reasoners.derive.trial import Limits, try_rule
    from reasoners.derive.workspace import MemoryWorkspace, Workspace

_HOMES = {
    "budget": ("Budget",),
    "deriver": ("Deriver", "Pending", "Row"),
    "rl": ("Closure", "Inconsistency", "owl_rl"),
    "rule": ("Rule", "parse_rules", "rule_from_file", "rules_from_files"),
    "safety": ("check_rule",),
    "strata": ("Stratum", "stratify"),
    "trial": ("Limits", "try_rule"),
    "workspace": ("MemoryWorkspace", "Workspace"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Budget",
    "Closure",
    "Deriver",
    "Inconsistency",
    "Limits",
    "MemoryWorkspace",
    "Pending",
    "Row",
    "Rule",
    "Stratum",
    "Workspace",
    "check_rule",
    "owl_rl",
    "parse_rules",
    "rule_from_file",
    "rules_from_files",
    "stratify",
    "try_rule",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
