"""Rules that a local policy brings are tried on a snapshot, in a child that the system can end, before they count."""

from __future__ import annotations

from collections.abc import Iterable

import pyoxigraph as ox

from reasoners.derive import Rule
from reasoners.derive.trial import Limits, try_rule
from reasoners.graph import View

LIMITS = Limits(seconds=10.0, memory=2 * 1024**3, rows=5_000_000)


def try_rules(rules: Iterable[Rule], snapshot: View) -> None:
    """Evaluate each rule once with limits; BusyError for the first that exceeds its budget."""
    data = ox.serialize(snapshot.triples(), format=ox.RdfFormat.N_TRIPLES) or b""
    for rule in rules:
        try_rule(rule, data, LIMITS)
