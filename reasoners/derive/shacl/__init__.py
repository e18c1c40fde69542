"""SHACL rules (https://www.w3.org/TR/shacl-af/#rules) compiled to the one kind of rule that this room derives with."""

from __future__ import annotations

from reasoners.derive.shacl.expressions import Conforming
from reasoners.derive.shacl.rules import shacl_rules

__all__ = ["Conforming", "shacl_rules"]
