"""Contradictions block their author, and nobody else (OWL 2 RL over the author's graph and the policy).

What is refused is a change after which the graph itself contradicts the terminology in force, or itself. What several
owners say together blocks nobody: the contradictions of the whole closure are told by the full regime.

Source: https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.graph import names
from engine.graph.authority import is_tbox
from engine.graph.hashing import keccak256
from reasoners.graph import View
from reasoners.validate import Result
from reasoners.vocab import OWL, SH

if TYPE_CHECKING:
    from reasoners.derive import Derivation
    from reasoners.derive.owl import Clash, ClashGuard

PROFILE = "https://www.w3.org/TR/owl2-profiles/#"
TOLD = 12  # statements told of one contradiction


class Consistency:
    """The terminology of one policy, ready to judge changes; made when the first change needs it."""

    def __init__(self, policy: Sequence[ox.Triple]) -> None:
        self._policy = policy

    @property
    def guard(self) -> ClashGuard:
        """Shared by knowledge bases with the same policy."""
        return _guard(keccak256("\n".join(sorted(map(str, self._policy))).encode()), _Same(self._policy))

    def refused(self, view: View, added: Iterable[ox.Triple], removed: Iterable[ox.Triple]) -> list[Result]:
        """What contradicts in the author's `view` (own graph and policy, the change applied) and did not before."""
        found = self.guard.caused(view, added, removed)
        return [result_of(clash) for clash in found.clashes]

    def brought(self, before: Consistency) -> list[Result]:
        """Contradictions within this policy that `before` did not have."""
        from reasoners.derive.owl import clashes

        had = {(c.rule, c.about) for c in clashes(before.guard.base, derive=False)}
        found = [c for c in clashes(self.guard.base, derive=False) if (c.rule, c.about) not in had]
        if not found:
            return []
        new = {(c.rule, c.about) for c in found}
        return [result_of(c) for c in clashes(self.guard.base) if (c.rule, c.about) in new]


def counts(triple: ox.Triple) -> bool:
    """Whether an author's statement can contradict: terminology counts from policy graphs only, one's half of an equality not."""
    if is_tbox(triple):
        return False
    if triple.predicate == OWL.sameAs:
        sides = {names.authority_over(t) for t in (triple.subject, triple.object) if isinstance(t, ox.NamedNode)}
        return len(sides) <= 1
    return True


def result_of(clash: Clash) -> Result:
    """A contradiction as a validation result: its rule is the shape, its statements are the message."""
    rule = ox.NamedNode(PROFILE + clash.rule)
    leaves = sorted({leaf for d in clash.derivations for leaf in d.leaves()}, key=str)
    because = "; ".join(f"{t.subject} {t.predicate} {t.object}" for t in leaves[:TOLD])
    more = f" (and {len(leaves) - TOLD} more)" if len(leaves) > TOLD else ""
    text = f"contradiction ({clash.rule}): {clash.problem}" + (f", because {because}{more}" if because else "")
    return Result(
        focus=clash.subject, path=None, value=clash.other, component=rule, shape=rule, root=rule, severity=SH.Violation,
        messages=(ox.Literal(text, language="en"),), constraint=None, origin=clash.subject, route=None,
        detail=" ".join(map(str, clash.about)), unit=0,
    )  # fmt: skip


def tree_of(derivation: Derivation) -> dict[str, object]:
    """A derivation as plain data."""
    return {
        "triple": str(derivation.triple), "rule": derivation.rule,
        "premises": [tree_of(p) for p in derivation.premises],
    }  # fmt: skip


class _Same(tuple[ox.Triple, ...]):
    """Triples that a cache ignores: their digest stands beside them."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same)


@lru_cache(maxsize=4)
def _guard(digest: bytes, policy: _Same) -> ClashGuard:
    from reasoners.derive.owl import ClashGuard

    return ClashGuard(policy, counts=counts)


__all__ = ["Consistency", "counts", "result_of", "tree_of"]
