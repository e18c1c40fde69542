"""References to their IRIs, once every id of the file is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from engine.catalogue.ml.items import BLANK, ID_FORM, Ref, class_name
from engine.catalogue.ml.literals import hint
from engine.catalogue.ml.vocabulary import Term
from reasoners.vocab import DAPP, DAPPI

if TYPE_CHECKING:
    from engine.catalogue.ml.read import Reader


def resolve(reader: Reader) -> None:
    """Give every reference its IRI; what names nothing is reported."""
    local = {item.local: iri for iri, item in reader.items.items() if item.local not in reader.doubled}
    for ref, term in reader.refs:
        own = local.get(ref.text) or (reader.base + ref.text if ref.text in reader.known else None)
        shipped = term.names.get(ref.text)
        found = shipped or own or reader.vocabulary.things.get(ref.text) or _classes(reader, ref, term).get(ref.text)
        if found is None:
            found = reader.absolute(ref.text)
            if found is not None and not _exists(reader, found):
                found = None
        if found is None and ref.text.startswith(BLANK) and ID_FORM.fullmatch(ref.text[2:]):
            found = ref.text
        if found is not None:
            ref.iri = found
        elif reader.complete and not reader.report.full:
            _unknown_reference(reader, ref, term, local)


def _classes(reader: Reader, ref: Ref, term: Term) -> dict[str, str]:
    """The classes that may stand here for all their members (`accelerator: Gpu`), by name."""
    if not ref.kind:
        return {}
    fitting = {sub for up in term.classes for sub in reader.vocabulary.kinds_of(up)}
    return {class_name(iri): iri for iri in sorted(fitting or reader.vocabulary.parents)}


def _exists(reader: Reader, iri: str) -> bool:
    """Whether an IRI of ours names something; those of others cannot be known here."""
    if iri.startswith(reader.base):
        return iri in reader.items or iri[len(reader.base) :] in reader.known
    if iri.startswith(DAPPI.iri):
        return iri in reader.vocabulary.kinds
    if iri.startswith(DAPP.iri):
        return iri in reader.vocabulary.parents or iri in reader.vocabulary.keys
    return True


def _unknown_reference(reader: Reader, ref: Ref, term: Term, local: Iterable[str]) -> None:
    kinds = {class_name(each) for each in term.classes}
    rule, what = "unknown-reference", "item"
    if "Metric" in kinds:
        rule, what = "unknown-metric", "metric"
    elif "ComparisonOperator" in kinds:
        rule, what = "unknown-operator", "operator"
    elif kinds & {"Place", "Jurisdiction", "Region"} and term.names:
        rule, what = "unknown-place", "place or country"
    elif term.names or ref.kind:
        rule, what = "unknown-value", " or ".join(sorted(kinds)) or "value"
    fitting = _candidates(reader, term)
    choices = [*term.names, *fitting, *_classes(reader, ref, term)]
    near = reader.vocabulary.labels.get(ref.text.lower(), "")
    if near not in term.names:
        near = reader.report.nearest(ref.text, choices) or reader.report.nearest(ref.text, local)
    if 0 < len(choices) <= 12:
        remedy = f"write one of {', '.join(sorted(choices))}"
    elif rule == "unknown-place":
        remedy = "write a place such as EuropeanUnion, a country code such as DE, or the id of a place in this file"
    elif rule == "unknown-metric":
        remedy = "write the name of a metric such as ResponseTime, HourlyPrice or Availability"
    else:
        remedy = "write the id of an item in this file, a shipped name, or a full IRI"
    reader.report.add(rule, ref.position, f"{term.key!r}: there is no {what} {ref.text!r}{hint(near)}", remedy)


def _candidates(reader: Reader, term: Term) -> list[str]:
    """Local ids that could have been meant (found once a property: a file can hold many bad references)."""
    found = reader.candidates.get(term.iri)
    if found is None:
        found = reader.candidates[term.iri] = [
            item.local
            for item in reader.items.values()
            if item.local not in reader.doubled
            and (_fits(reader, item.types, term.classes) if item.types else not term.names)
        ]
    return found


def _fits(reader: Reader, types: Collection[str], classes: tuple[str, ...]) -> bool:
    return not classes or any(up in reader.vocabulary.parents.get(each, ()) for each in types for up in classes)
