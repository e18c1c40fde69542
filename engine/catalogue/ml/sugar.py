"""The five short forms of the language and what each stands for.

`requires`, `placement`, `deadline`/`deadlines` and `objectives` (as a map) save the writing of nodes that are always
built alike. Each makes items with ids that follow from where they stand (`ingest.memory.at-least`), so an edit
elsewhere does not rename them, user stories can refer to them, and the gate's reports lead back to the line. There are
no others: whatever else is to be said is said with the ontology's own terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.catalogue.ml import quantities
from engine.catalogue.ml.items import Item, Ref, Text, legal
from engine.catalogue.ml.parse import Mapping, Node, Scalar, Sequence
from engine.catalogue.ml.positions import Position
from engine.catalogue.ml.read import Reader
from engine.catalogue.ml.vocabulary import DECIMAL, Metric, Term
from reasoners.vocab import DAPP, DAPPI

OBJECTIVES = {"cost": "HourlyPrice", "energy": "PowerDraw", "carbon": "CarbonRate", "latency": "EndToEndLatency"}
CLASSES = {"soft": "SoftDeadline", "firm": "FirmDeadline", "hard": "HardDeadline"}
STRICTNESS = {"hard": "Hard", "soft": "Soft"}
SUFFIXES = {"AtLeast": "at-least", "AtMost": "at-most", "Equal": "equal", "OneOf": "one-of", "NoneOf": "none-of"}
_NODE_KEYS = frozenset({"id", "@id", "type", "@type", "constrains", "direction", "weight"})

Expand = Callable[[Reader, Item, Scalar, Node], None]


@dataclass(frozen=True, slots=True)
class Sugar:
    """One short form: the classes it may stand in, and what it does."""

    classes: tuple[str, ...]
    expand: Expand
    maps_only: bool = False

    def on(self, reader: Reader, item: Item) -> bool:
        """Whether it may stand in this item (an item of unknown class gets the benefit of the doubt)."""
        return not item.types or any(
            up in reader.vocabulary.parents.get(each, ()) for each in item.types for up in self.classes
        )

    def fits(self, reader: Reader, item: Item, value: Node) -> bool:
        """Whether this key with this value is the short form."""
        if self.maps_only and not (
            isinstance(value, Mapping) and not any(k.text in _NODE_KEYS for k, _ in value.entries)
        ):
            return False
        return self.on(reader, item)


class _Maker:
    """Builds one item that a short form stands for."""

    def __init__(self, reader: Reader, parent: Item, local: str, cls: str, where: Position) -> None:
        self.reader = reader
        local = legal(local)
        self.item = Item(reader.base + local, local, where, [DAPP(cls).value], where, within=parent)
        reader.register(self.item, True)

    def add(self, name: str, where: Position, *values: Text | Ref | Item) -> None:
        """Values of a property, named by its local name; none when they were bad, which was then reported."""
        self.item.add(_term(self.reader, name), where, list(values))

    def shipped(self, name: str, where: Position, thing: str) -> None:
        """A shipped individual as value."""
        self.add(name, where, Ref(where, thing, DAPPI(thing).value))

    def own(self, name: str, where: Position, item: Item) -> None:
        """An item of this file as value."""
        self.add(name, where, Ref(where, item.local, item.iri))


def _term(reader: Reader, name: str) -> Term:
    return reader.vocabulary.terms[reader.vocabulary.keys[DAPP(name).value]]


def _attach(reader: Reader, parent: Item, name: str, where: Position, child: Item) -> None:
    parent.add(_term(reader, name), where, [child])


def _map(reader: Reader, node: Node, what: str, example: str) -> Mapping | None:
    if isinstance(node, Mapping):
        return node
    reader.report.add("wrong-type", node.position, f"{what!r} is a map", f"write, for example, {example}")
    return None


def _one(reader: Reader, node: Node, what: str) -> Scalar | None:
    if isinstance(node, Scalar) and not node.null:
        return node
    reader.report.add("wrong-type", node.position, f"{what!r} wants one value", "write one value after the colon")
    return None


def _entries(reader: Reader, node: Mapping, keys: tuple[str, ...], where: str) -> dict[str, tuple[Scalar, Node]]:
    found: dict[str, tuple[Scalar, Node]] = {}
    for key, value in node.entries:
        if key.text in keys:
            found[key.text] = (key, value)
        else:
            near = reader.report.nearest(key.text, keys)
            reader.report.add(
                "unknown-key",
                key.position,
                f"{where} has no key {key.text!r}" + (f" (did you mean {near!r}?)" if near else ""),
                f"use {', '.join(keys)}",
            )
    return found


def _refs(reader: Reader, node: Node, term: Term) -> Iterator[Ref]:
    for each in node.items if isinstance(node, Sequence) else [node]:
        if isinstance(each, Scalar) and not each.null:
            yield reader.ref(each, term)
        elif isinstance(each, Mapping) and len(each.entries) == 1 and isinstance(inner := each.get("id"), Scalar):
            yield reader.ref(inner, term)
        else:
            reader.report.add(
                "wrong-type", each.position, f"{term.key!r} wants names", "write a name or a list of names"
            )


def _choice(reader: Reader, node: Node, key: str, choices: dict[str, str]) -> tuple[str, Position] | None:
    scalar = _one(reader, node, key)
    if scalar is None:
        return None
    named = choices.get(scalar.text) or (scalar.text if scalar.text in choices.values() else None)
    if named is None:
        near = reader.report.nearest(scalar.text, choices)
        reader.report.add(
            "unknown-value",
            scalar.position,
            f"{key!r} cannot be {scalar.text!r}" + (f" (did you mean {near!r}?)" if near else ""),
            f"write one of {', '.join(choices)}",
        )
        return None
    return named, scalar.position


# -- requires: {memory: ">= 8 GiB"} ------------------------------------------------------------------------------


def _requires(reader: Reader, parent: Item, key: Scalar, node: Node) -> None:
    mapping = _map(reader, node, "requires", 'requires: {vcpus: ">= 4", memory: ">= 8 GiB"}')
    if mapping is None:
        return
    ledger = DAPP.TransactionType.value in parent.types
    for name, value in mapping.entries:
        metric = reader.ledger_metric(name.text) if ledger else reader.metric(name.text)
        if metric is None:
            near = reader.report.nearest(name.text, reader.ledger_metric_names() if ledger else reader.metric_names())
            reader.report.add(
                "unknown-metric",
                name.position,
                f"'requires' knows no {name.text!r}" + (f" (did you mean {near!r}?)" if near else ""),
                "write what is measured of ledgers (transactionThroughput, finalityTime, coSignerCount …), or a metric"
                if ledger
                else "write a property of hosts that a metric measures (vcpus, memory, accelerator, trust …), or a metric",
            )
            continue
        values: list[Node] = value.items if isinstance(value, Sequence) else [value]
        held = reader.vocabulary.keys.get(metric.value_property or "")
        if ledger or held is None or reader.vocabulary.terms[held].numeric:
            for each in values:
                _compared(reader, parent, name, metric, each)
        else:
            _named(reader, parent, name, metric, values)


def _capability(
    reader: Reader, parent: Item, name: Scalar, metric: Metric, *, operator: str, bounds: list[Text | Ref | Item]
) -> None:
    kind = "LedgerRequirement" if DAPP.TransactionType.value in parent.types else "CapabilityRequirement"
    made = _Maker(reader, parent, f"{parent.local}.{name.text}.{SUFFIXES[operator]}", kind, name.position)
    made.own("onSubject", name.position, parent)
    made.add("constrains", name.position, Ref(name.position, metric.name, metric.iri))
    made.shipped("operator", name.position, operator)
    made.add("bound", bounds[0].position, *bounds)
    _attach(reader, parent, "hasRequirement", name.position, made.item)


def _compared(reader: Reader, parent: Item, name: Scalar, metric: Metric, node: Node) -> None:
    scalar = _one(reader, node, name.text)
    if scalar is None:
        return
    sign, rest = quantities.split_comparison(scalar.text)
    operator = quantities.OPERATORS.get(sign or ">=")
    if operator is None:
        reader.report.add(
            "unknown-operator",
            scalar.position,
            f"{name.text!r}: there is no comparison {sign!r} here"
            + (f" (did you mean '{sign}='?)" if sign in "<>" else ""),
            "write >=, <= or == before the number (no sign means at least)",
        )
        return
    value = reader.number(Scalar(scalar.position, rest, scalar.plain), metric.symbol, name.text)
    if value is not None:
        bound: list[Text | Ref | Item] = [Text(scalar.position, quantities.lexical(value), DECIMAL)]
        _capability(reader, parent, name, metric, operator=operator, bounds=bound)


def _named(reader: Reader, parent: Item, name: Scalar, metric: Metric, nodes: list[Node]) -> None:
    """Hosts known by words or things: a word is equal, a thing or list one of them, with `!=` none of them."""
    scalars = [scalar for node in nodes if (scalar := _one(reader, node, name.text)) is not None]
    if not scalars:
        return
    signs = {quantities.split_comparison(scalar.text)[0] for scalar in scalars}
    if not signs <= {"", "!="} or len(signs) > 1:
        reader.report.add(
            "unknown-operator",
            scalars[0].position,
            f"{name.text!r} names things and cannot be compared by size",
            "write one name or a list of names; '!=' before each of them excludes them",
        )
        return
    bounds: list[Text | Ref | Item] = []
    for scalar in scalars:
        word = quantities.split_comparison(scalar.text)[1]
        bounds += reader.bound(Scalar(scalar.position, word, scalar.plain), metric, name.text)
    if bounds:
        single = len(bounds) == 1 and isinstance(bounds[0], Text)
        operator = "NoneOf" if "!=" in signs else "Equal" if single else "OneOf"
        _capability(reader, parent, name, metric, operator=operator, bounds=bounds)


# -- placement: {allowed: [EuropeanUnion], forbidden: [HU]} --------------------------------------------------------


def _placement(reader: Reader, parent: Item, key: Scalar, node: Node) -> None:
    mapping = _map(reader, node, "placement", "placement: {allowed: [EuropeanUnion]}")
    if mapping is None:
        return
    found = _entries(reader, mapping, ("allowed", "forbidden", "strictness", "weight", "statedBy"), "'placement'")
    made = _Maker(reader, parent, f"{parent.local}.placement", "PlacementRequirement", key.position)
    made.own("onSubject", key.position, parent)
    for word, name in (("allowed", "allowedPlace"), ("forbidden", "forbiddenPlace")):
        if word in found:
            made.add(name, found[word][0].position, *_refs(reader, found[word][1], _term(reader, name)))
    if "allowed" not in found and "forbidden" not in found:
        reader.report.add(
            "missing-key",
            mapping.position,
            "'placement' names no place",
            "add 'allowed:' or 'forbidden:' with a list of places",
        )
    _common(reader, made, found)
    if "strictness" not in found:
        made.shipped("strictness", key.position, "Hard")
    _attach(reader, parent, "hasRequirement", key.position, made.item)


def _common(reader: Reader, made: _Maker, found: dict[str, tuple[Scalar, Node]]) -> None:
    if "statedBy" in found:
        made.add(
            "statedBy", found["statedBy"][0].position, *_refs(reader, found["statedBy"][1], _term(reader, "statedBy"))
        )
    if "strictness" in found and (chosen := _choice(reader, found["strictness"][1], "strictness", STRICTNESS)):
        made.shipped("strictness", chosen[1], chosen[0])
    if "weight" in found and (scalar := _one(reader, found["weight"][1], "weight")) is not None:
        made.add("weight", found["weight"][0].position, *reader.literal(scalar, _term(reader, "weight")))


# -- deadline: {from: ingest, to: viewer, within: 150 ms, class: firm} --------------------------------------------


def _deadlines(reader: Reader, parent: Item, key: Scalar, node: Node) -> None:
    for each in node.items if isinstance(node, Sequence) else [node]:
        _deadline(reader, parent, key, each)


def _deadline(reader: Reader, parent: Item, key: Scalar, node: Node) -> None:
    mapping = _map(reader, node, key.text, "deadline: {from: ingest, to: player, within: 150 ms, class: firm}")
    if mapping is None:
        return
    found = _entries(
        reader, mapping, ("from", "to", "within", "class", "strictness", "weight", "statedBy"), "'deadline'"
    )
    missing = [word for word in ("from", "to", "within") if word not in found]
    if missing and reader.complete:
        for word in missing:
            reader.report.add(
                "missing-key",
                mapping.position,
                f"the key {word!r} is missing in this deadline",
                f"add '{word}:' "
                + ("with the longest time, such as 150 ms" if word == "within" else "with the id of a unit"),
            )
    ends: dict[str, Scalar | None] = {
        word: _one(reader, found[word][1], word) for word in ("from", "to") if word in found
    }
    names = "-".join(scalar.text for scalar in ends.values() if scalar is not None)
    made = _Maker(
        reader,
        parent,
        f"{parent.local}.deadline.{names}" if names else f"{parent.local}.deadline",
        "Deadline",
        mapping.position,
    )
    made.own("onSubject", mapping.position, parent)
    made.shipped("constrains", mapping.position, "EndToEndLatency")
    made.shipped("operator", mapping.position, "AtMost")
    bound: list[Text | Ref | Item] = []
    if "within" in found and (scalar := _one(reader, found["within"][1], "within")) is not None:
        value = reader.number(scalar, "ms", "within")
        if value is not None:
            bound.append(Text(scalar.position, quantities.lexical(value), DECIMAL))
    made.add("bound", found["within"][0].position if "within" in found else mapping.position, *bound)
    path = _Maker(reader, made.item, f"{made.item.local}.path", "UnitPath", mapping.position)
    for word, name in (("from", "pathStart"), ("to", "pathEnd")):
        end = ends.get(word)
        where = found[word][0].position if word in found else mapping.position
        path.add(name, where, *([reader.ref(end, _term(reader, name))] if end is not None else []))
    made.add("onPath", mapping.position, path.item)
    kind = ("FirmDeadline", mapping.position)
    if "class" in found:
        kind = _choice(reader, found["class"][1], "class", CLASSES) or kind
    made.shipped("deadlineClass", kind[1], kind[0])
    _common(reader, made, found)
    if "strictness" not in found:
        made.shipped("strictness", kind[1], "Soft" if kind[0] == "SoftDeadline" else "Hard")
    _attach(reader, parent, "hasRequirement", key.position, made.item)


# -- objectives: {cost: 0.6, energy: 0.2, carbon: 0.2} -------------------------------------------------------------


def _objectives(reader: Reader, parent: Item, key: Scalar, node: Node) -> None:
    assert isinstance(node, Mapping)
    for name, value in node.entries:
        iri = DAPPI(OBJECTIVES[name.text]).value if name.text in OBJECTIVES else ""
        metric = reader.vocabulary.metrics.get(iri)
        if metric is None:
            near = reader.report.nearest(name.text, OBJECTIVES)
            reader.report.add(
                "unknown-metric",
                name.position,
                f"'objectives' knows no {name.text!r}" + (f" (did you mean {near!r}?)" if near else ""),
                f"write one of {', '.join(OBJECTIVES)}; for others write a list with constrains, direction, weight",
            )
            continue
        scalar = _one(reader, value, name.text)
        if scalar is None:
            continue
        made = _Maker(reader, parent, f"{parent.local}.objective.{name.text}", "Objective", name.position)
        made.add("constrains", name.position, Ref(name.position, metric.name, metric.iri))
        made.shipped("direction", name.position, "Minimise")
        made.add("weight", scalar.position, *reader.literal(scalar, _term(reader, "weight")))
        _attach(reader, parent, "hasObjective", key.position, made.item)


_APPLICATION = (DAPP.QualityCriticalApplication.value,)
_UNIT = (DAPP.ServiceUnit.value,)

SUGAR: dict[str, Sugar] = {
    "requires": Sugar((*_UNIT, DAPP.TransactionType.value), _requires),
    "placement": Sugar(_UNIT + _APPLICATION, _placement),
    "deadline": Sugar(_APPLICATION, _deadlines),
    "deadlines": Sugar(_APPLICATION, _deadlines),
    "objectives": Sugar(_APPLICATION, _objectives, maps_only=True),
}
