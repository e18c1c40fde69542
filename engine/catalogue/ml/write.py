"""Triples back to the language: canonical YAML without sugar, the same for the same triples.

The result is plain YAML-LD: read with YAML's failsafe schema and the language's context, any JSON-LD processor makes
the same triples of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyoxigraph as ox
import yaml

from engine.catalogue.ml.items import Item, Json, Ref, from_triples, to_json
from engine.catalogue.ml.read import VERSION
from engine.catalogue.ml.vocabulary import BOOLEAN, DECIMAL, INTEGERS, Vocabulary, shipped
from reasoners.errors import InputError
from reasoners.graph import View
from reasoners.vocab import DAPP

WIDTH = 110
_PLAIN = re.compile(r"-?\d+(\.\d+)?|true|false")
_FIRST = ("id", "type", "name", "description")
_ORDER = (
    "hasRole",
    "hasUserStory",
    "hasUnit",
    "hasDataFlow",
    "hasRequirement",
    "hasObjective",
    "hasOperationModel",
    "hasEngineeringChoice",
    "hasViewpointSpecification",
    "hasCorrespondence",
)


def dump(
    triples: Iterable[ox.Triple] | View,
    application: ox.NamedNode | str | None,
    *,
    graph: str,
    vocabulary: Vocabulary | None = None,
) -> str:
    """The description of `application` (None: only a catalogue) and of all else that is said under `graph`.

    Subjects of other authorities cannot be written into this file: InputError names the first.
    """
    words = vocabulary or shipped()
    base = f"{graph}/"
    found = triples.triples() if isinstance(triples, View) else triples
    items = from_triples(found, words, base)
    root = None
    if application is not None:
        iri = application if isinstance(application, str) else application.value
        root = items.get(iri)
        if root is None:
            raise InputError(
                f"nothing is said about {iri}",
                place=graph,
                rule="dappops-ml",
                remedy="give the IRI of an application in these triples",
            )
    nested: set[str] = set()
    if root is not None:
        _nest(root, items, nested, words)
    document: dict[str, Json] = {"dappops": VERSION}
    if root is not None:
        document["application"] = _ordered(to_json(root, base, words), words)
    rest: list[Json] = []
    for iri, item in items.items():
        if iri not in nested:
            _nest(item, items, nested, words)
            rest.append(_ordered(to_json(item, base, words), words))
    if rest:
        document["catalogue"] = rest
    return yaml.dump(
        _marked(document, words),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=False,
    )


def _nest(root: Item, items: dict[str, Item], nested: set[str], vocabulary: Vocabulary) -> None:
    """Put each item where it is listed as a part (`hasX`), each once."""
    nested.add(root.iri)
    waiting = [root]
    while waiting:
        item = waiting.pop(0)
        for prop in item.properties:
            if not _is_part(prop.term.iri):
                continue
            for index, value in enumerate(prop.values):
                if isinstance(value, Ref) and value.iri in items and value.iri not in nested and items[value.iri].types:
                    nested.add(value.iri)
                    prop.values[index] = items[value.iri]
                    waiting.append(items[value.iri])


def _is_part(iri: str) -> bool:
    name = iri.removeprefix(DAPP.iri)
    return re.match(r"has[A-Z]", name) is not None or name in {"providesInterface", "onPath", "precisionThroughput"}


def _ordered(node: dict[str, Json], words: Vocabulary) -> dict[str, Json]:
    """Who it is first, then plain values, then parts in the order a reader wants them; parts always as a list."""
    order = [words.keys[DAPP(name).value] for name in _ORDER if DAPP(name).value in words.keys]

    def rank(key: str) -> tuple[int, int, str]:
        if key in _FIRST:
            return 0, _FIRST.index(key), ""
        if key in order:
            return 2, order.index(key), ""
        return 1, 0, key

    result: dict[str, Json] = {}
    for key in sorted(node, key=rank):
        value = node[key]
        if isinstance(value, list):
            result[key] = [_ordered(each, words) if isinstance(each, dict) else each for each in value]
        elif isinstance(value, dict):
            inner = _ordered(value, words)
            result[key] = [inner] if key in order and key.endswith("s") else inner
        else:
            result[key] = value
    return result


class _Plain(str):
    """A number or truth value: written without quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_plain(dumper: yaml.SafeDumper, data: _Plain) -> yaml.Node:
    tag = (
        "tag:yaml.org,2002:bool"
        if data in {"true", "false"}
        else "tag:yaml.org,2002:float"
        if "." in data
        else "tag:yaml.org,2002:int"
    )
    return dumper.represent_scalar(tag, str(data))


_Dumper.add_representer(_Plain, _represent_plain)


def _marked(value: Json, vocabulary: Vocabulary, key: str = "dappops") -> object:
    if isinstance(value, dict):
        return {name: _marked(each, vocabulary, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_marked(each, vocabulary, key) for each in value]
    term = vocabulary.terms.get(key)
    bare = key in {"dappops", "bound"} or (
        term is not None and (term.datatype in {DECIMAL, BOOLEAN} or term.datatype in INTEGERS)
    )
    return _Plain(value) if bare and _PLAIN.fullmatch(value) else value


__all__ = ["dump"]
