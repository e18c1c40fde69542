"""What is needed: a text, a unit, or every unit of an application, as the recommend reasoner's needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.service import Json
from reasoners.graph import View
from reasoners.recommend import Need
from reasoners.vocab import DAPP, RDF, RDFS

NAME, PROTOCOL = 1, 4  # parts that the view tells apart
Needed = tuple[list[Need], dict[ox.NamedNode, list[str]], ox.NamedNode | None, ox.NamedNode | None]


def needs_of(view: View, params: Json, graph: str, query: str) -> Needed:
    """(needs, texts, application, request) of a request for recommendations; `query` is the view `recommend-needs`.

    The texts of a unit are its name with its protocols, which say what it is, and all that is said of it, which says what
    it does, often in the words of its trade. The request is a node of its own (in `graph`) only where a need is no unit's.
    InputError where nothing is needed.
    """
    text = str(params.get("need") or "").strip()
    unit = ox.NamedNode(params["unit"]) if params.get("unit") else None
    application = ox.NamedNode(params["application"]) if params.get("application") else None
    if unit is not None and application is None:
        holders = [n for n in view.subjects(DAPP.hasUnit, unit) if isinstance(n, ox.NamedNode)]
        application = min(holders, key=lambda n: n.value, default=None)
    if text and unit is None:
        digest = hashlib.sha256(f"{application.value if application else ''}\0{text}".encode()).hexdigest()
        request = ox.NamedNode(f"{graph}/need/{digest[:16]}")
        return [Need(request, text)], {request: [text]}, application, request
    if application is None:
        what = f"{unit.value} is a unit of no application" if unit else "nothing is needed"
        raise InputError(what, remedy="say what is needed in words, or name a unit or an application that is described")
    said: dict[ox.NamedNode, dict[int, list[str]]] = {}
    given = {ox.Variable("application"): application}
    for _, node, part, told in view.select(query, substitutions=given):
        if isinstance(node, ox.NamedNode) and isinstance(part, ox.Literal) and isinstance(told, ox.Literal):
            said.setdefault(node, {}).setdefault(int(part.value), []).append(told.value.strip().rstrip("."))
    if unit is not None:
        if text:
            return [Need(unit, text)], {unit: [text]}, application, None
        said = {unit: said[unit]} if unit in said else {}
    if not said:
        raise InputError(
            "there is no unit to recommend for", place=(unit or application).value,
            remedy="commit the application's description first (`dappops commit FILE`)",
        )  # fmt: skip
    ordered = sorted(said, key=lambda n: n.value)
    needs = [Need(node, _text(said[node])) for node in ordered]
    texts = {n.node: [_title(said[n.node]), n.text] for n in needs}
    return needs, texts, application, None


def _title(parts: Mapping[int, Sequence[str]]) -> str:
    """Name and protocols of a unit."""
    return " ".join((*parts.get(NAME, ())[:1], *parts.get(PROTOCOL, ()))) or _text(parts)


def _text(parts: Mapping[int, Sequence[str]]) -> str:
    """Name, description, interfaces and capabilities of a unit as one text."""
    return ". ".join(", ".join(parts[number]) for number in sorted(parts)) + "."


def request_triples(node: ox.NamedNode | None, need: Need, application: ox.NamedNode | None) -> Iterator[ox.Triple]:
    """A need in words as the request that the decision answers."""
    if node is None:
        return
    yield ox.Triple(node, RDF.type, DAPP.DecisionRequest)
    yield ox.Triple(node, DAPP.purpose, ox.Literal("recommend"))
    yield ox.Triple(node, DAPP.needText, ox.Literal(need.text))
    yield ox.Triple(node, RDFS.label, ox.Literal(need.text))
    if application is not None:
        yield ox.Triple(node, DAPP.onApplication, application)
