"""What must hold between the items of a file, told before anything is committed and with the place of each slip.

Driven by what the shapes say of a class (required keys, how many values, ranges, enumerations, classes of references)
plus the two questions shapes answer only as a whole: a unit has one kind, and no unit waits for itself. Shapes with
paths or SPARQL stay with the gate; its reports are led back to the file by `Document.position_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import pyoxigraph as ox

from engine.catalogue.ml.items import Item, Property, Ref, Text, class_name
from engine.catalogue.ml.positions import Reporter
from engine.catalogue.ml.vocabulary import BORROWED, Facets, Vocabulary
from reasoners.vocab import DAPP, RDF

_EVERYWHERE = frozenset(node.value for node in BORROWED.values())


def check(items: Iterable[Item], vocabulary: Vocabulary, report: Reporter, *, complete: bool) -> None:
    """Report what is wrong between and in `items`; absence counts only when the file was read completely."""
    known = {item.iri: item for item in items}
    for item in known.values():
        profile = vocabulary.properties(item.types) if item.types else None
        _kinds(item, vocabulary, report)
        for prop in item.properties:
            _property(item, prop, profile, vocabulary=vocabulary, report=report, known=known)
        if profile is not None and complete:
            _required(item, profile, vocabulary, report)
    _cycles(known, report)


def _kinds(item: Item, vocabulary: Vocabulary, report: Reporter) -> None:
    kinds = [each for each in item.types if DAPP.ServiceUnit.value in vocabulary.parents.get(each, ())]
    narrow = [each for each in kinds if each != DAPP.ServiceUnit.value]
    where = item.types_position or item.position
    if len(narrow) > 1:
        report.add(
            "several-kinds",
            where,
            f"unit {item.local!r} is of {len(narrow)} kinds: {', '.join(map(class_name, narrow))}",
            "keep one type: a part with two aspects is made of two units",
        )
    elif kinds and not narrow:
        choices = sorted(class_name(each) for each in vocabulary.children[DAPP.ServiceUnit.value])
        report.add(
            "unknown-class",
            where,
            f"unit {item.local!r} does not say of which kind it is",
            f"write one of {', '.join(choices)}",
        )


def _property(
    item: Item,
    prop: Property,
    profile: dict[str, Facets] | None,
    *,
    vocabulary: Vocabulary,
    report: Reporter,
    known: dict[str, Item],
) -> None:
    iri, key = prop.term.iri, prop.term.key
    if profile is None:
        return
    facets = profile.get(iri)
    if facets is None:
        if iri in vocabulary.shaped and iri not in _EVERYWHERE:
            fitting = [vocabulary.keys[each] for each in profile if each in vocabulary.keys]
            near = report.nearest(key, fitting)
            holders = sorted(class_name(cls) for cls, has in vocabulary.profiles.items() if iri in has)
            report.add(
                "misplaced-key",
                prop.position,
                f"a {class_name(item.types[0])} has no {key!r}" + (f" (did you mean {near!r}?)" if near else ""),
                f"it belongs to {' or '.join(holders[:4])}: move it there, or remove it",
            )
        return
    if facets.max_count is not None and len(_distinct(prop)) > facets.max_count:
        extra = prop.values[facets.max_count]
        report.add(
            "too-many-values",
            extra.position,
            f"{item.local!r} has {len(prop.values)} values of {key!r}; at most {facets.max_count} may stand here",
            "keep the one that holds" if facets.max_count == 1 else f"keep {facets.max_count}",
        )
    for value in prop.values:
        if isinstance(value, Text):
            _literal(value, key, facets, report)
        elif value.iri:
            _reference(value, key, facets, vocabulary=vocabulary, report=report, known=known)


def _distinct(prop: Property) -> set[str]:
    return {
        f"{v.lexical}^{v.datatype}@{v.language}" if isinstance(v, Text) else v.iri or str(id(v)) for v in prop.values
    }


def _literal(value: Text, key: str, facets: Facets, report: Reporter) -> None:
    try:
        number = Decimal(value.lexical) if facets.least or facets.most else None
    except InvalidOperation:
        number = None
    if number is not None:
        for bound, low in ((facets.least, True), (facets.most, False)):
            if bound is None:
                continue
            limit, strict = bound
            outside = (number < limit if low else number > limit) or (strict and number == limit)
            if outside:
                relation = ("more than" if strict else "at least") if low else ("less than" if strict else "at most")
                report.add(
                    "number-range",
                    value.position,
                    f"{key!r} must be {relation} {limit}, not {value.lexical}",
                    f"write a number that is {relation} {limit}",
                )
    if facets.allowed is not None:
        choices = [each.value for each in facets.allowed if isinstance(each, ox.Literal)]
        if choices and value.lexical not in choices:
            near = report.nearest(value.lexical, choices)
            report.add(
                "unknown-value",
                value.position,
                f"{key!r} cannot be {value.lexical!r}" + (f" (did you mean {near!r}?)" if near else ""),
                f"write one of {', '.join(choices)}",
            )
    if facets.pattern is not None and not _matches(facets.pattern, value.lexical):
        report.add(
            "wrong-form",
            value.position,
            f"{key!r} does not have the form that is wanted: {value.lexical!r}",
            f"write it so that it matches {facets.pattern}",
        )


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text[:10_000]) is not None
    except re.error:  # an XPath construct Python lacks: the gate will tell
        return True


def _reference(
    value: Ref | Item, key: str, facets: Facets, *, vocabulary: Vocabulary, report: Reporter, known: dict[str, Item]
) -> None:
    text = value.text if isinstance(value, Ref) else value.local
    if facets.allowed is not None:
        choices = {each.value for each in facets.allowed if isinstance(each, ox.NamedNode)}
        if choices and value.iri not in choices:
            names = sorted(vocabulary.local(each) for each in choices)
            report.add(
                "unknown-value", value.position, f"{key!r} cannot be {text!r} here", f"write {' or '.join(names)}"
            )
            return
    if not facets.classes or isinstance(value, Item):  # what stands in another item was judged when it was read
        return
    if value.iri in known:
        types = known[value.iri].types
        if not types:
            return
        kinds: Iterable[str] = {up for each in types for up in vocabulary.parents.get(each, {each})}
        if not any(each in vocabulary.parents for each in types):
            return
    elif value.iri in vocabulary.kinds:
        kinds = vocabulary.kinds[value.iri]
    elif value.iri in vocabulary.parents:
        kinds = vocabulary.parents[value.iri]
    else:
        return
    if not facets.classes & set(kinds):
        wanted = " or ".join(sorted(class_name(each) for each in facets.classes))
        is_a = class_name(known[value.iri].types[0]) if value.iri in known else "something else"
        report.add(
            "wrong-class",
            value.position,
            f"{key!r} wants a {wanted}, and {text!r} is {_article(is_a)}",
            f"refer to a {wanted}",
        )


def _article(name: str) -> str:
    return name if name == "something else" else f"a {name}"


def _required(item: Item, profile: dict[str, Facets], vocabulary: Vocabulary, report: Reporter) -> None:
    for iri, facets in sorted(profile.items()):
        if facets.min_count < 1 or iri == RDF.type.value:
            continue
        written = next((each for each in item.properties if each.term.iri == iri), None)
        key = vocabulary.keys.get(iri, iri)
        if written is None:
            report.add(
                "missing-key",
                item.position,
                f"{_what(item)} has no {key!r}",
                f"add '{key}:'" + (f" with {facets.min_count} values" if facets.min_count > 1 else ""),
            )
        elif 0 < len(written.values) < facets.min_count:
            report.add(
                "too-few-values",
                written.position,
                f"{key!r} of {_what(item)} needs {facets.min_count} values",
                f"write a list of {facets.min_count}",
            )


def _what(item: Item) -> str:
    return f"{class_name(item.types[0])} {item.local!r}" if item.types else repr(item.local)


def _cycles(known: dict[str, Item], report: Reporter) -> None:
    """One report for each reference that closes a cycle of `dependsOn` (depth-first, without recursion)."""
    calls = {
        iri: [value for value in item.values(DAPP.dependsOn) if not isinstance(value, Text) and value.iri in known]
        for iri, item in known.items()
    }
    done: set[str] = set()
    for start, first in calls.items():
        if start in done:
            continue
        path: list[str] = [start]
        on_path = {start}
        waiting = [iter(first)]
        while waiting:
            value = next(waiting[-1], None)
            if value is None:
                waiting.pop()
                left = path.pop()
                on_path.discard(left)
                done.add(left)
            elif value.iri in on_path:
                names = [known[iri].local for iri in path[path.index(value.iri) :]]
                report.add(
                    "cyclic-dependency",
                    value.position,
                    f"units wait for each other: {' -> '.join([*names, names[0]])}",
                    "remove one 'dependsOn' of this cycle",
                )
            elif value.iri not in done:
                path.append(value.iri)
                on_path.add(value.iri)
                waiting.append(iter(calls[value.iri]))
