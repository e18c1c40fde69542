"""Genesis and schedule of an embedded chain: what two replicas must agree on before the first block.

Kept apart from the EVM, so that reading a chain's description loads none. Whoever has the same description makes the same
genesis block, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from engine.errors import InputError, did_you_mean
from engine.ledger.chain import lower

Rules = tuple[tuple[int, str], ...]
"""(height from which it holds, name), heights ascending from 0."""

NAMES = ("shanghai", "cancun", "prague")  # in the order in which a chain may go through them
GAS_LIMIT = 30_000_000


@dataclass(frozen=True, slots=True)
class Genesis:
    """A chain's beginning. `supply`: address to wei; `time` in Unix seconds."""

    chain_id: int
    time: int
    supply: Mapping[str, int] = field(default_factory=dict)
    gas_limit: int = GAS_LIMIT
    rules: Rules = ((0, "cancun"),)

    def json(self) -> dict[str, Any]:
        """As it stands in chain.json; wei as decimal text, since JSON numbers are doubles elsewhere."""
        return {
            "chainId": self.chain_id,
            "time": self.time,
            "gasLimit": self.gas_limit,
            "rules": [list(r) for r in self.rules],
            "supply": {lower(a): str(n) for a, n in sorted(self.supply.items())},
        }

    @staticmethod
    def of(body: Mapping[str, Any]) -> Genesis:
        """Read it back; InputError names what is wrong."""
        try:
            return Genesis(
                chain_id=int(body["chainId"]),
                time=int(body["time"]),
                supply={lower(a): int(n) for a, n in dict(body["supply"]).items()},
                gas_limit=int(body["gasLimit"]),
                rules=checked([(int(h), str(n)) for h, n in body["rules"]]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("not the genesis of an embedded chain", place=str(error)) from error


def checked(rules: Sequence[tuple[int, str]]) -> Rules:
    """The schedule, if it is one: from height 0, heights rising, rules only newer ones. InputError otherwise."""
    for _, name in rules:
        if name not in NAMES:
            near = did_you_mean(name, NAMES)
            raise InputError(f"there are no rules named {name!r}{near}", remedy=f"known: {', '.join(NAMES)}")
    heights, order = [h for h, _ in rules], [NAMES.index(n) for _, n in rules]
    if not rules or heights[0] != 0:
        raise InputError("a schedule of rules begins at height 0", place=str(list(rules)))
    if any(a >= b for a, b in pairwise(heights)):
        raise InputError("heights of a schedule must rise", place=str(list(rules)))
    if any(a >= b for a, b in pairwise(order)):
        raise InputError("rules only become newer", place=str(list(rules)), remedy=f"the order is {', '.join(NAMES)}")
    return tuple(rules)


def name_at(rules: Sequence[tuple[int, str]], height: int) -> str:
    """The rules of a block of this height."""
    return next(name for start, name in reversed(rules) if height >= start)
