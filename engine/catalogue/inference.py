"""What documents say beyond what they write: class and property hierarchy, OWL 2 RL, and the rules of their shapes.

For documents that are validated as they stand, without a knowledge base; a knowledge base derives for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyoxigraph as ox

from engine.errors import InputError, did_you_mean
from engine.resources import files
from reasoners.graph import View, memory_view

REGIMES = ("none", "hierarchy", "rl")
HIERARCHY = ("derive-type", "derive-property")


def inferred(triples: Sequence[ox.Triple], regime: str) -> list[ox.Triple]:
    """The triples with what the regime infers from them.

    `none`: they alone. `hierarchy`: members of superclasses, statements of superproperties. `rl`: all that the rules of
    OWL 2 RL derive; InputError when they are inconsistent, with the clash.
    """
    if regime not in REGIMES:
        raise InputError(
            f"no inference {regime!r}{did_you_mean(regime, REGIMES)}", remedy=f"use one of {', '.join(REGIMES)}"
        )
    if regime == "none":
        return list(triples)
    from reasoners.derive import Deriver, rules_from_files

    if regime == "hierarchy":
        named = [p for p in files("queries/rules", "derive-*.rq") if p.stem in HIERARCHY]
        rules = rules_from_files((p.stem, p.read_text(encoding="utf-8")) for p in named)
        found = Deriver(rules).full(memory_view(triples))
        return list(dict.fromkeys((*triples, *(t for derived in found.values() for t in sorted(derived, key=str)))))
    return _rl(memory_view(triples), triples)


def _rl(view: View, triples: Sequence[ox.Triple]) -> list[ox.Triple]:
    from reasoners.derive import owl_rl

    closure = owl_rl(view)
    if closure.inconsistencies:
        first = closure.inconsistencies[0]
        raise InputError(
            f"the data is inconsistent under OWL 2 RL: {first.problem} ({', '.join(map(str, first.about))})",
            place=first.rule,
            rule="https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules",
            remedy="correct one of the statements named, or validate with inference none",
        )
    return list(dict.fromkeys((*triples, *sorted(closure.triples, key=str))))


def with_shape_rules(triples: Sequence[ox.Triple], shapes: Sequence[ox.Triple]) -> list[ox.Triple]:
    """The triples with what the sh:rule of the shapes derive from them, to a fixpoint.

    InputError for a malformed rule, and for rules that cannot be put in an order. Source:
    https://www.w3.org/TR/shacl-af/#rules.
    """
    from engine.graph.gate import Conditions
    from reasoners.derive import Deriver
    from reasoners.derive.shacl import shacl_rules

    rules = shacl_rules(memory_view(shapes), Conditions(list(shapes)))
    found = Deriver(rules).full(memory_view(triples))
    return list(dict.fromkeys((*triples, *(t for derived in found.values() for t in sorted(derived, key=str)))))
