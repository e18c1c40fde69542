"""Suspended rules on the command line: which they are, and how one is tried again."""

from __future__ import annotations

from typing import Any

import pyoxigraph as ox

from engine.commands.graph import find
from engine.errors import InputError, did_you_mean
from engine.graph.kernel import now_utc
from engine.graph.wire import encode_triples
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPP, XSD

Json = dict[str, Any]


def with_suspensions(kb: KnowledgeBase, rows: list[Json]) -> list[Json]:
    """The rules, each with `suspended`: None, or since when and why."""
    told: dict[str, dict[str, str]] = {}
    for name, predicate in (("because", DAPP.suspendedBecause), ("since", DAPP.suspendedAt)):
        for quad in _quads(kb, predicate=predicate):
            if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, ox.Literal):
                told.setdefault(quad.subject.value, {"because": "", "since": ""})[name] = quad.object.value
    return [{**row, "suspended": told.get(row["iri"])} for row in rows]


def resume_rule(kb: KnowledgeBase, name: str) -> None:
    """Commit to the policy graph that a rule is resumed now; InputError when it is not suspended.

    The commit tries the rule first, and is refused when the rule still exceeds its budget.
    """
    rows = [row for row in with_suspensions(kb, kb.call("rules")) if row["suspended"]]
    known = {row["iri"]: row for row in rows}
    iri = name if name in known else next((r["iri"] for r in rows if name in (r["label"], _local(r["iri"]))), None)
    iri = iri or find(kb, name)
    if iri not in known:
        raise InputError(f"{name} is not suspended{did_you_mean(name, known)}", remedy="see `dappops rules`")
    node = ox.NamedNode(iri)
    before = [q.triple for q in _quads(kb, subject=node, predicate=DAPP.resumedAt)]
    triple = ox.Triple(node, DAPP.resumedAt, ox.Literal(now_utc(), datatype=XSD.dateTime))
    changes = {"policy": {"removed": encode_triples(before), "added": encode_triples([triple])}}
    kb.call("commit", changes=changes, author=kb.author, message=f"resume the rule {iri}")


def _quads(kb: KnowledgeBase, **pattern: ox.NamedNode) -> list[ox.Quad]:
    text = kb.call("quads", **{name: str(term) for name, term in pattern.items()})
    return list(ox.parse(text, format=ox.RdfFormat.N_QUADS)) if text else []


def _local(iri: str) -> str:
    return iri.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
