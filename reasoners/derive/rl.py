"""OWL 2 RL closure and inconsistencies of a view in one call; `reasoners.derive.owl` is the reasoner."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyoxigraph as ox

from reasoners.derive.owl.clash import Clash, clashes
from reasoners.derive.owl.engine import Rl
from reasoners.graph import View

Inconsistency = Clash


@dataclass(frozen=True, slots=True)
class Closure:
    """What the rules add to the asserted triples, and what contradicts."""

    triples: set[ox.Triple] = field(default_factory=set)
    inconsistencies: list[Inconsistency] = field(default_factory=list)


def owl_rl(view: View) -> Closure:
    """Closure of the asserted `view`: the triples that follow and are not asserted, and the contradictions.

    Triples with a literal subject, which the specification's rules can produce, are left out: RDF has none.
    """
    rl = Rl(view.triples())
    return Closure(set(rl.inferred()), clashes(rl))
