"""The words of DAppOps-ML, read from the ontology: which key names which property, and what may stand under it.

Nothing here lists the ontology again: property kinds and units come from the modules, value types, cardinalities and
enumerations from the shapes, names of shipped things from the individuals. A term or a thing added there is at once a
word of the language. Only friendlier spellings (`units` for `hasUnit`) are kept here. The JSON-LD context and the JSON
Schema are written from this in `context` and `schema`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

import pyoxigraph as ox

from engine.catalogue.ml.quantities import symbol_of
from engine.resources import data_root, files
from reasoners.vocab import DAPP, DAPPI, DCTERMS, GEO, OWL, PREFIXES, PROV, RDF, RDFS, SH, UNIT, XSD

QUDT_HAS_UNIT = "http://qudt.org/schema/qudt/hasUnit"
DEFINITION = "http://www.w3.org/2004/02/skos/core#definition"
QUDT_UNIT = "http://qudt.org/schema/qudt/Unit"
STRING, DECIMAL, INTEGER = XSD.string.value, XSD.decimal.value, XSD.integer.value
BOOLEAN, DATETIME, ANY_URI, DATE = XSD.boolean.value, XSD.dateTime.value, XSD.anyURI.value, XSD.date.value
LANG_STRING = RDF.langString.value
INTEGERS = frozenset(XSD(name).value for name in ("integer", "nonNegativeInteger", "positiveInteger", "long", "int"))
LANGUAGE = "en"

# Friendlier spellings. A property `hasX` is also found under `x` when no other property is called so.
ALIASES: dict[str, str] = {
    "units": "hasUnit", "specifications": "hasViewpointSpecification", "requirements": "hasRequirement",
    "objectives": "hasObjective", "operationModel": "hasOperationModel", "userStories": "hasUserStory",
    "dataFlows": "hasDataFlow", "roles": "hasRole", "choices": "hasEngineeringChoice",
    "correspondences": "hasCorrespondence", "ends": "correspondenceEnd", "rule": "correspondenceRule",
    "interfaces": "providesInterface", "category": "dataCategory", "viewpoint": "ofViewpoint",
    "viewpoints": "holdsViewpoint", "pattern": "chosePattern", "patterns": "chosePattern",
    "consequences": "hasConsequence", "addresses": "addressesCharacteristic", "improves": "addressesCharacteristic",
    "jurisdiction": "legalJurisdiction", "price": "hasPrice", "region": "inRegion", "capacityLimit": "hasCapacityLimit",
    "energyMix": "hasEnergyMix", "powerModel": "hasPowerModel", "devices": "hasDevice",
    "resourceType": "hasResourceType",
    "principle": "keepsPrinciple", "protects": "protectsCategory", "trust": "supportsTrust",
    "functions": "usesFunction", "isolation": "requiresIsolation", "parameters": "hasParameter", "variants": "hasVariant",
    "transactionTypes": "hasTransactionType",
}  # fmt: skip
BORROWED: dict[str, ox.NamedNode] = {
    "name": RDFS.label, "description": DCTERMS.description, "comment": RDFS.comment, "seeAlso": RDFS.seeAlso,
    "lat": GEO.lat, "long": GEO.long, "derivedFrom": PROV.wasDerivedFrom, "creator": DCTERMS.creator,
}  # fmt: skip
_TEXTS = frozenset({RDFS.label.value, DCTERMS.description.value, RDFS.comment.value})
_REFERENCES = frozenset({RDFS.seeAlso.value, PROV.wasDerivedFrom.value, DCTERMS.creator.value})


@dataclass(slots=True)
class Facets:
    """What the shapes of one class say about one property."""

    min_count: int = 0
    max_count: int | None = None
    datatypes: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    allowed: tuple[ox.NamedNode | ox.BlankNode | ox.Literal, ...] | None = None
    least: tuple[Decimal, bool] | None = None  # bound, exclusive
    most: tuple[Decimal, bool] | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One key: the property it names and what may stand under it."""

    key: str
    iri: str
    reference: bool
    datatype: str = STRING  # of literal values
    symbol: str | None = None  # unit of measure of the numbers; '' for a pure number
    classes: tuple[str, ...] = ()  # classes of referenced things
    names: Mapping[str, str] = field(default_factory=dict)  # short name -> IRI of the shipped things that fit
    foreign: bool = False  # a property of another vocabulary, of which nothing is known here

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return self.datatype == DECIMAL or self.datatype in INTEGERS


@dataclass(frozen=True, slots=True)
class Metric:
    """A shipped metric: the unit its bounds are in and the property that holds a thing's, or a ledger's, value of it."""

    iri: str
    name: str
    symbol: str | None
    value_property: str | None
    ledger_property: str | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All words. Build one with `of`, or take the shipped one with `shipped`."""

    terms: Mapping[str, Term]  # key -> term; several keys may name one property
    keys: Mapping[str, str]  # property IRI -> the key preferred when writing
    classes: Mapping[str, str]  # short name -> class IRI
    parents: Mapping[str, frozenset[str]]  # class -> itself and all classes above it
    children: Mapping[str, frozenset[str]]  # class -> all classes below it, without itself
    things: Mapping[str, str]  # short name -> IRI of every shipped individual
    kinds: Mapping[str, frozenset[str]]  # individual IRI -> its classes and all above
    metrics: Mapping[str, Metric]  # IRI -> metric
    profiles: Mapping[str, Mapping[str, Facets]]  # class -> property -> what shapes of exactly this class say
    headings: frozenset[str]  # classes of which a shape demands exactly one kind below
    shaped: frozenset[str]  # properties that some shape mentions
    labels: Mapping[str, str]  # English label of a shipped individual, lower case -> its short name
    definitions: Mapping[str, str]  # IRI -> what the ontology says it means

    @classmethod
    def of(cls, triples: Iterable[ox.Triple]) -> Vocabulary:
        """The words that these modules, individuals and shapes define."""
        return _Builder(triples).build()

    def kinds_of(self, iri: str) -> set[str]:
        """The classes that a thing wanted as `iri` can be of: those below, and itself unless it is only a heading."""
        return set(self.children.get(iri, ())) | ({iri} - self.headings)

    def facets(self, types: Iterable[str], prop: str) -> Facets | None:
        """What the shapes of these classes and of those above them say about `prop`; None when nothing."""
        found = [
            facets
            for above in {up for each in types for up in self.parents.get(each, {each})}
            if (facets := self.profiles.get(above, {}).get(prop))
        ]
        return _merged(found) if found else None

    def properties(self, types: Iterable[str]) -> dict[str, Facets] | None:
        """Every property the shapes know for these classes; None when one of the classes has no shape at all."""
        result: dict[str, list[Facets]] = defaultdict(list)
        for each in types:
            above = self.parents.get(each, frozenset({each}))
            if not any(up in self.profiles for up in above):
                return None
            for up in above:
                for prop, facets in self.profiles.get(up, {}).items():
                    result[prop].append(facets)
        return {prop: _merged(found) for prop, found in result.items()}

    def local(self, iri: str) -> str:
        """Short name of a `dapp:` or `dappi:` IRI (countries by their code), a CURIE, or the IRI itself."""
        for base in (DAPP.iri, f"{DAPPI.iri}Country-", DAPPI.iri):
            if iri.startswith(base):
                return iri[len(base) :]
        for prefix, base in PREFIXES.items():
            if iri.startswith(base):
                return f"{prefix}:{iri[len(base) :]}"
        return iri


def ontology_triples() -> list[ox.Triple]:
    """The shipped modules, axioms, individuals and shapes (not the examples and alignments)."""
    root = data_root() / "ontology"
    triples: list[ox.Triple] = []
    for path in files("ontology", "*.ttl"):
        if path.relative_to(root).parts[0] not in {"examples", "alignments"} and not path.name.startswith("catalog"):
            triples += (quad.triple for quad in ox.parse(path=path, format=ox.RdfFormat.TURTLE))
    return triples


@lru_cache(maxsize=1)
def shipped() -> Vocabulary:
    """The words of the shipped ontology (read once)."""
    return Vocabulary.of(ontology_triples())


def _merged(found: list[Facets]) -> Facets:
    if len(found) == 1:
        return found[0]
    result = Facets()
    for each in found:
        result.min_count = max(result.min_count, each.min_count)
        if each.max_count is not None:
            result.max_count = each.max_count if result.max_count is None else min(result.max_count, each.max_count)
        result.datatypes |= each.datatypes
        result.classes |= each.classes
        result.allowed = each.allowed if result.allowed is None else result.allowed
        result.least, result.most = each.least or result.least, each.most or result.most
        result.pattern = each.pattern or result.pattern
    return result


class _Builder:
    """Indexes the ontology once, then answers the questions a Vocabulary is made of."""

    def __init__(self, triples: Iterable[ox.Triple]) -> None:
        self.out: dict[str, dict[str, list[ox.NamedNode | ox.BlankNode | ox.Literal]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.instances: dict[str, list[str]] = defaultdict(list)
        for triple in triples:
            subject, value = str(triple.subject), triple.object
            if isinstance(triple.subject, ox.NamedNode):
                subject = triple.subject.value
            if isinstance(value, ox.Triple):
                continue
            self.out[subject][triple.predicate.value].append(value)
            if triple.predicate == RDF.type and isinstance(value, ox.NamedNode):
                self.instances[value.value].append(subject)

    def values(self, subject: str, predicate: ox.NamedNode | str) -> list[ox.NamedNode | ox.BlankNode | ox.Literal]:
        iri = predicate if isinstance(predicate, str) else predicate.value
        return self.out[subject][iri] if subject in self.out and iri in self.out[subject] else []

    def iris(self, subject: str, predicate: ox.NamedNode | str) -> list[str]:
        return [value.value for value in self.values(subject, predicate) if isinstance(value, ox.NamedNode)]

    def build(self) -> Vocabulary:
        classes = {
            iri.removeprefix(DAPP.iri): iri
            for iri in sorted(self.instances[OWL.Class.value])
            if iri.startswith(DAPP.iri)
        }
        parents = {iri: self._above(iri) for iri in classes.values()}
        children: dict[str, set[str]] = defaultdict(set)
        for iri, above in parents.items():
            for up in above - {iri}:
                children[up].add(iri)
        kinds: dict[str, frozenset[str]] = {}
        things: dict[str, str] = {}
        for subject in sorted(self.out):
            if not subject.startswith(DAPPI.iri):
                continue
            types = {iri for iri in self.iris(subject, RDF.type) if iri in parents}
            kinds[subject] = frozenset().union(*(parents[iri] for iri in types)) if types else frozenset()
            things[subject.removeprefix(DAPPI.iri).removeprefix("Country-")] = subject
        profiles = self._profiles()
        metrics = {iri: self._metric(iri) for iri, kind in kinds.items() if DAPP.Metric.value in kind}
        terms = self._terms(children, kinds, profiles)
        keys: dict[str, str] = {}
        for key, term in terms.items():
            if key in ALIASES or key in BORROWED or term.iri not in keys:
                keys.setdefault(term.iri, key)
        return Vocabulary(
            terms=terms,
            keys=keys,
            classes=classes,
            parents=parents,
            children={iri: frozenset(below) for iri, below in children.items()},
            things=things,
            kinds=kinds,
            metrics=metrics,
            profiles=profiles,
            headings=self._headings(),
            shaped=frozenset(prop for profile in profiles.values() for prop in profile),
            labels={
                label.value.lower(): name for name, iri in things.items() for label in self.values(iri, RDFS.label)
            },
            definitions={
                iri: self.out[iri][DEFINITION][0].value for iri in list(self.out) if self.values(iri, DEFINITION)
            },
        )

    def _above(self, iri: str) -> frozenset[str]:
        seen, waiting = {iri}, [iri]
        while waiting:
            for up in self.iris(waiting.pop(), RDFS.subClassOf):
                if up not in seen:
                    seen.add(up)
                    waiting.append(up)
        return frozenset(seen)

    def _metric(self, iri: str) -> Metric:
        units = self.iris(iri, DAPP.unit)
        held = self.iris(iri, DAPP.valueProperty)
        symbol = symbol_of(units[0]) if units else None
        ledger = self.iris(iri, DAPP.ledgerProperty)
        return Metric(
            iri, iri.removeprefix(DAPPI.iri), symbol, held[0] if held else None, ledger[0] if ledger else None
        )

    def _terms(
        self,
        children: Mapping[str, set[str]],
        kinds: Mapping[str, frozenset[str]],
        profiles: Mapping[str, Mapping[str, Facets]],
    ) -> dict[str, Term]:
        said: dict[str, list[Facets]] = defaultdict(list)
        for profile in profiles.values():
            for prop, facets in profile.items():
                said[prop].append(facets)
        objects = set(self.instances[OWL.ObjectProperty.value])
        declared = (
            objects
            | set(self.instances[OWL.DatatypeProperty.value])
            | set(self.instances[OWL.AnnotationProperty.value])
        )
        names = {iri.removeprefix(DAPP.iri): iri for iri in sorted(declared) if iri.startswith(DAPP.iri)}
        spelled = {key: name for key, name in ALIASES.items() if name in names and key not in names}
        for name in names:
            short = name[3:4].lower() + name[4:] if name.startswith("has") and name[3:4].isupper() else ""
            if short and short not in names and short not in spelled and short not in BORROWED:
                spelled[short] = name
        result: dict[str, Term] = {}
        for key, iri in [
            *((key, node.value) for key, node in BORROWED.items()),
            *((key, names[name]) for key, name in spelled.items()),
            *names.items(),
        ]:
            known = said.get(iri, [])
            datatypes = {datatype for facets in known for datatype in facets.datatypes}
            found = sorted({each for facets in known for each in facets.classes})
            wanted = tuple(found)
            fits = set(wanted) | {below for each in wanted for below in children.get(each, ())}
            reference = iri in objects or iri in _REFERENCES
            units = self.iris(iri, QUDT_HAS_UNIT)
            result[key] = Term(
                key,
                iri,
                reference,
                self._datatype(iri, datatypes, units),
                symbol_of(units[0]) if units else None,
                wanted if reference else (),
                self._names(iri, fits, kinds) if reference else {},
            )
        return result

    def _names(self, prop: str, fits: set[str], kinds: Mapping[str, frozenset[str]]) -> dict[str, str]:
        if prop in {DAPP.unit.value, DAPP.perUnit.value}:
            return {iri.rsplit("/", 1)[-1].rsplit("#", 1)[-1]: iri for iri in sorted(self.instances[QUDT_UNIT])}
        return {
            thing.removeprefix(DAPPI.iri).removeprefix("Country-"): thing
            for thing, kind in kinds.items()
            if kind & fits
        }

    @staticmethod
    def _datatype(iri: str, datatypes: set[str], units: list[str]) -> str:
        if iri in {GEO.lat.value, GEO.long.value, DAPP.bound.value}:
            return DECIMAL  # a bound is a number unless its metric says otherwise
        if iri in _TEXTS:
            return LANG_STRING
        if len(datatypes) == 1:
            return next(iter(datatypes))
        if DECIMAL in datatypes or (not datatypes and units):
            return INTEGER if units and units[0] == UNIT.NUM.value else DECIMAL
        return LANG_STRING if datatypes == {LANG_STRING, STRING} else STRING

    def _headings(self) -> frozenset[str]:
        found: set[str] = set()
        for shape in list(self.out):
            for target in self.iris(shape, SH.targetClass):
                for choice in self.values(shape, SH.xone):
                    if any(self.iris(_name(member), SH("class")) for member in self._list(choice)):
                        found.add(target)
        return frozenset(found)

    def _profiles(self) -> dict[str, dict[str, Facets]]:
        result: dict[str, dict[str, Facets]] = defaultdict(dict)
        for shape in list(self.out):
            for target in self.iris(shape, SH.targetClass):
                self._collect(shape, result[target], set())
        return dict(result)

    def _collect(self, shape: str, into: dict[str, Facets], seen: set[str]) -> None:
        if shape in seen or any(
            str(v.value) == "true" for v in self.values(shape, SH.deactivated) if isinstance(v, ox.Literal)
        ):
            return
        seen.add(shape)
        for inner in self.values(shape, SH.node):
            self._collect(_name(inner), into, seen)
        for node in self.values(shape, SH.property):
            inner_shape = _name(node)
            paths = self.iris(inner_shape, SH.path)
            if paths:
                self._facets(inner_shape, into.setdefault(paths[0], Facets()))

    def _facets(self, shape: str, facets: Facets) -> None:
        severity = self.iris(shape, SH.severity)
        violation = not severity or severity[0] == SH.Violation.value
        for value in self.values(shape, SH.minCount):
            if violation:
                facets.min_count = max(facets.min_count, int(value.value))
        for value in self.values(shape, SH.maxCount):
            if violation:
                count = int(value.value)
                facets.max_count = count if facets.max_count is None else min(count, facets.max_count)
        facets.datatypes.update(self.iris(shape, SH.datatype))
        facets.classes.update(self.iris(shape, SH("class")))
        for value in self.values(shape, SH("or")):
            for member in self._list(value):
                facets.datatypes.update(self.iris(_name(member), SH.datatype))
                facets.classes.update(self.iris(_name(member), SH("class")))
        for value in self.values(shape, SH("in")):
            facets.allowed = tuple(self._list(value))
        for predicate, low, strict in (
            (SH.minInclusive, True, False), (SH.minExclusive, True, True),
            (SH.maxInclusive, False, False), (SH.maxExclusive, False, True),
        ):  # fmt: skip
            for value in self.values(shape, predicate):
                if isinstance(value, ox.Literal) and violation:
                    if low:
                        facets.least = (Decimal(value.value), strict)
                    else:
                        facets.most = (Decimal(value.value), strict)
        for value in self.values(shape, SH.pattern):
            facets.pattern = value.value

    def _list(self, head: ox.NamedNode | ox.BlankNode | ox.Literal) -> list[ox.NamedNode | ox.BlankNode | ox.Literal]:
        result: list[ox.NamedNode | ox.BlankNode | ox.Literal] = []
        node = _name(head)
        while node != RDF.nil.value and self.values(node, RDF.first) and len(result) < 10_000:
            result.append(self.values(node, RDF.first)[0])
            rest = self.values(node, RDF.rest)
            node = _name(rest[0]) if rest else RDF.nil.value
        return result


def _name(node: ox.NamedNode | ox.BlankNode | ox.Literal) -> str:
    return node.value if isinstance(node, ox.NamedNode) else str(node)
