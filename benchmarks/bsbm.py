"""Data and queries of the Berlin SPARQL Benchmark's e-commerce world, generated here: no file of the benchmark is used.

The schema (products with types, features and numeric and textual properties; producers; vendors with offers; reviewers with
reviews) and the "explore" queries follow Bizer and Schultz, https://doi.org/10.4018/jswis.2009040101, version 3: what
each asks is theirs, texts and data are generated, so figures compare systems measured here, not with published ones.
About 350 triples a product at every scale.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

VOCABULARY = "http://www4.wiwiss.fu-berlin.de/bizer/bsbm/v01/vocabulary/"
DATA = "http://www4.wiwiss.fu-berlin.de/bizer/bsbm/v01/instances/"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
DC = "http://purl.org/dc/elements/1.1/"
FOAF = "http://xmlns.com/foaf/0.1/"
REV = "http://purl.org/stuff/rev#"
COUNTRIES = ("US", "GB", "DE", "FR", "JP", "CN", "RU", "KR", "ES", "AT")
WORDS = (  # noqa: SIM905
    "amber basin cedar delta ember fjord grove harbor island juniper kernel lantern meadow nectar orchard prairie quartz "
    "ridge summit timber umber valley willow yonder zephyr anchor beacon copper drift echo falcon garnet hollow ivory"
).split()
PREFIXES = f"""PREFIX bsbm: <{VOCABULARY}>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX dc: <{DC}>
PREFIX foaf: <{FOAF}>
PREFIX rev: <{REV}>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""
MIX = (1, 2, 2, 3, 2, 2, 4, 2, 2, 5, 7, 7, 5, 7, 7, 8, 9, 9, 8, 9, 9, 10, 10, 11, 12)  # order of one "explore" mix


@dataclass
class World:
    """The generated shop, and what queries may ask about. Same products and seed: same triples."""

    products: int
    seed: int = 42
    types: list[str] = field(default_factory=list)  # leaves of the type tree
    features: dict[str, list[str]] = field(default_factory=dict)  # of each leaf type
    offers: int = 0
    reviews: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._date = datetime.date(2008, 6, 20)
        self._lines: list[str] = []

    # -- triples ----------------------------------------------------------------------------------------------------
    def triples(self) -> Iterator[str]:
        """N-Triples lines of the whole world."""
        for part in (self._types, self._producers_and_products, self._vendors_and_offers, self._people_and_reviews):
            part()
            yield from self._lines
            self._lines = []

    def _say(self, subject: str, predicate: str, obj: str) -> None:
        self._lines.append(f"<{subject}> <{predicate}> {obj} .\n")

    def _text(self, low: int, high: int) -> str:
        return '"' + " ".join(self._chance.choices(WORDS, k=self._chance.randint(low, high))) + '"'

    def _day(self, spread: int) -> str:
        day = self._date - datetime.timedelta(days=self._chance.randrange(spread))
        return f'"{day.isoformat()}"^^<http://www.w3.org/2001/XMLSchema#date>'

    def _types(self) -> None:
        """A tree of types, four wide; features belong to leaves."""
        depth = 2 + (self.products > 500) + (self.products > 10_000)
        level = [f"{DATA}ProductType1"]
        number = 1
        for _ in range(depth):
            below = []
            for parent in level:
                for _ in range(4):
                    number += 1
                    child = f"{DATA}ProductType{number}"
                    self._say(child, SUBCLASS, f"<{parent}>")
                    below.append(child)
            level = below
        for n in range(1, number + 1):
            iri = f"{DATA}ProductType{n}"
            self._say(iri, TYPE, f"<{VOCABULARY}ProductType>")
            self._say(iri, LABEL, self._text(1, 3))
            self._say(iri, COMMENT, self._text(20, 40))
        self.types = level
        count = 0
        for leaf in level:
            self.features[leaf] = []
            for _ in range(35):
                count += 1
                iri = f"{DATA}ProductFeature{count}"
                self.features[leaf].append(iri)
                self._say(iri, TYPE, f"<{VOCABULARY}ProductFeature>")
                self._say(iri, LABEL, self._text(1, 3))
                self._say(iri, COMMENT, self._text(10, 30))

    def product(self, number: int) -> str:
        """IRI of a product, 1 and up."""
        return f"{DATA}dataFromProducer{1 + (number - 1) // 40}/Product{number}"

    def _producers_and_products(self) -> None:
        chance = self._chance
        for number in range(1, self.products + 1):
            producer = f"{DATA}dataFromProducer{1 + (number - 1) // 40}/Producer{1 + (number - 1) // 40}"
            if (number - 1) % 40 == 0:
                self._say(producer, TYPE, f"<{VOCABULARY}Producer>")
                self._say(producer, LABEL, self._text(1, 3))
                self._say(producer, COMMENT, self._text(20, 40))
                self._say(producer, f"{FOAF}homepage", f"<http://www.producer{number}.com/>")
                self._say(
                    producer,
                    f"{VOCABULARY}country",
                    f"<http://downlode.org/rdf/iso-3166/countries#{chance.choice(COUNTRIES)}>",
                )
            iri = self.product(number)
            leaf = self.types[number % len(self.types)]
            self._say(iri, TYPE, f"<{VOCABULARY}Product>")
            self._say(iri, TYPE, f"<{leaf}>")
            self._say(iri, LABEL, self._text(1, 3))
            self._say(iri, COMMENT, self._text(50, 150))
            self._say(iri, f"{VOCABULARY}producer", f"<{producer}>")
            for feature in chance.sample(self.features[leaf], chance.randint(9, 25)):
                self._say(iri, f"{VOCABULARY}productFeature", f"<{feature}>")
            for n in range(1, 7):
                if n <= 3 or chance.random() < 0.5:
                    value = min(2000, max(1, int(chance.gauss(1000, 333))))
                    self._say(
                        iri,
                        f"{VOCABULARY}productPropertyNumeric{n}",
                        f'"{value}"^^<http://www.w3.org/2001/XMLSchema#integer>',
                    )
                    self._say(iri, f"{VOCABULARY}productPropertyTextual{n}", self._text(3, 15))
            self._say(iri, f"{DC}publisher", f"<{producer}>")
            self._say(iri, f"{DC}date", self._day(3000))

    def _vendors_and_offers(self) -> None:
        chance = self._chance
        wanted = self.products * 20
        vendors = max(1, wanted // 2000)
        for number in range(1, vendors + 1):
            iri = f"{DATA}dataFromVendor{number}/Vendor{number}"
            self._say(iri, TYPE, f"<{VOCABULARY}Vendor>")
            self._say(iri, LABEL, self._text(1, 3))
            self._say(iri, COMMENT, self._text(20, 40))
            self._say(iri, f"{FOAF}homepage", f"<http://www.vendor{number}.com/>")
            self._say(
                iri,
                f"{VOCABULARY}country",
                f"<http://downlode.org/rdf/iso-3166/countries#{COUNTRIES[(number - 1) % len(COUNTRIES)]}>",
            )
        for number in range(1, wanted + 1):
            vendor = 1 + number % vendors
            iri = f"{DATA}dataFromVendor{vendor}/Offer{number}"
            start = self._date - datetime.timedelta(days=chance.randrange(90))
            end = start + datetime.timedelta(days=chance.randint(7, 90))
            date = "http://www.w3.org/2001/XMLSchema#date"
            self._say(iri, TYPE, f"<{VOCABULARY}Offer>")
            self._say(iri, f"{VOCABULARY}product", f"<{self.product(1 + chance.randrange(self.products))}>")
            self._say(iri, f"{VOCABULARY}vendor", f"<{DATA}dataFromVendor{vendor}/Vendor{vendor}>")
            self._say(iri, f"{VOCABULARY}price", f'"{chance.uniform(5, 10000):.2f}"^^<{VOCABULARY}USD>')
            self._say(iri, f"{VOCABULARY}validFrom", f'"{start}"^^<{date}>')
            self._say(iri, f"{VOCABULARY}validTo", f'"{end}"^^<{date}>')
            self._say(
                iri,
                f"{VOCABULARY}deliveryDays",
                f'"{chance.randint(1, 7)}"^^<http://www.w3.org/2001/XMLSchema#integer>',
            )
            self._say(iri, f"{VOCABULARY}offerWebpage", f"<http://www.vendor{vendor}.com/Offer{number}/>")
            self._say(iri, f"{DC}publisher", f"<{DATA}dataFromVendor{vendor}/Vendor{vendor}>")
            self._say(iri, f"{DC}date", f'"{start}"^^<{date}>')
        self.offers = wanted

    def offer(self, number: int) -> str:
        """IRI of an offer, 1 and up."""
        vendors = max(1, self.offers // 2000)
        return f"{DATA}dataFromVendor{1 + number % vendors}/Offer{number}"

    def review(self, number: int) -> str:
        """IRI of a review, 1 and up."""
        return f"{DATA}dataFromRatingSite1/Review{number}"

    def _people_and_reviews(self) -> None:
        chance = self._chance
        self.reviews = self.products * 10
        people = max(1, self.reviews // 20)
        for number in range(1, people + 1):
            iri = f"{DATA}dataFromRatingSite1/Reviewer{number}"
            self._say(iri, TYPE, f"<{FOAF}Person>")
            self._say(iri, f"{FOAF}name", self._text(2, 2))
            self._say(iri, f"{FOAF}mbox_sha1sum", f'"{chance.getrandbits(160):040x}"')
            self._say(
                iri, f"{VOCABULARY}country", f"<http://downlode.org/rdf/iso-3166/countries#{chance.choice(COUNTRIES)}>"
            )
            self._say(iri, f"{DC}publisher", f"<{DATA}dataFromRatingSite1/RatingSite1>")
        for number in range(1, self.reviews + 1):
            iri = self.review(number)
            self._say(iri, TYPE, f"<{REV}Review>")
            self._say(iri, f"{VOCABULARY}reviewFor", f"<{self.product(1 + chance.randrange(self.products))}>")
            self._say(iri, f"{REV}reviewer", f"<{DATA}dataFromRatingSite1/Reviewer{1 + chance.randrange(people)}>")
            self._say(iri, f"{VOCABULARY}reviewDate", self._day(365))
            self._say(iri, f"{DC}title", self._text(4, 15))
            language = chance.choice(("en", "en", "de", "fr", "ja", "zh"))
            self._say(iri, f"{REV}text", self._text(50, 200) + f"@{language}")
            for n in range(1, 5):
                if chance.random() < 0.7:
                    self._say(
                        iri,
                        f"{VOCABULARY}rating{n}",
                        f'"{chance.randint(1, 10)}"^^<http://www.w3.org/2001/XMLSchema#integer>',
                    )
            self._say(iri, f"{DC}publisher", f"<{DATA}dataFromRatingSite1/RatingSite1>")
            self._say(iri, f"{DC}date", self._day(365))

    # -- queries ----------------------------------------------------------------------------------------------------
    def mix(self, chance: random.Random) -> list[tuple[int, str]]:
        """One mix: (number of the query, its text) in order, with parameters drawn."""
        return [(number, self.query(number, chance)) for number in MIX]

    def query(self, number: int, chance: random.Random) -> str:
        """The text of a query of the mix."""
        leaf = chance.choice(self.types)
        one, two, three = chance.sample(self.features[leaf], 3)
        values = {
            "type": leaf, "f1": one, "f2": two, "f3": three, "product": self.product(1 + chance.randrange(self.products)),
            "review": self.review(1 + chance.randrange(self.reviews)), "offer": self.offer(1 + chance.randrange(self.offers)),
            "x": str(chance.randint(100, 500)), "y": str(chance.randint(200, 700)), "now": "2008-06-20", "country": "US",
        }  # fmt: skip
        text = QUERIES[number]
        for name, value in values.items():
            text = text.replace(f"%{name}%", value)
        return PREFIXES + text

    def lookup(self, chance: random.Random, rows: int = 5) -> str:
        """Five rows (of any size of data) about one product by its IRI."""
        product = self.product(1 + chance.randrange(self.products))
        return f"SELECT ?p ?o WHERE {{ <{product}> ?p ?o }} LIMIT {rows}"


QUERIES = {
    1: """SELECT DISTINCT ?product ?label WHERE {
  ?product rdfs:label ?label ; a <%type%> ; bsbm:productFeature <%f1%> , <%f2%> ; bsbm:productPropertyNumeric1 ?value1 .
  FILTER (?value1 > %x%)
} ORDER BY ?label LIMIT 10""",
    2: """SELECT ?label ?comment ?producer ?productFeature ?propertyTextual1 ?propertyTextual2 ?propertyTextual3
  ?propertyNumeric1 ?propertyNumeric2 ?propertyTextual4 ?propertyTextual5 ?propertyNumeric4 WHERE {
  <%product%> rdfs:label ?label ; rdfs:comment ?comment ; bsbm:producer ?p ; dc:publisher ?p ; bsbm:productFeature ?f ;
    bsbm:productPropertyTextual1 ?propertyTextual1 ; bsbm:productPropertyTextual2 ?propertyTextual2 ;
    bsbm:productPropertyTextual3 ?propertyTextual3 ; bsbm:productPropertyNumeric1 ?propertyNumeric1 ;
    bsbm:productPropertyNumeric2 ?propertyNumeric2 .
  ?p rdfs:label ?producer . ?f rdfs:label ?productFeature .
  OPTIONAL { <%product%> bsbm:productPropertyTextual4 ?propertyTextual4 }
  OPTIONAL { <%product%> bsbm:productPropertyTextual5 ?propertyTextual5 }
  OPTIONAL { <%product%> bsbm:productPropertyNumeric4 ?propertyNumeric4 }
}""",
    3: """SELECT ?product ?label WHERE {
  ?product rdfs:label ?label ; a <%type%> ; bsbm:productFeature <%f1%> ; bsbm:productPropertyNumeric1 ?p1 ;
    bsbm:productPropertyNumeric3 ?p3 .
  FILTER (?p1 > %x%) FILTER (?p3 < %y%)
  OPTIONAL { ?product bsbm:productFeature <%f2%> ; rdfs:label ?testVar }
  FILTER (!bound(?testVar))
} ORDER BY ?label LIMIT 10""",
    4: """SELECT DISTINCT ?product ?label ?propertyTextual WHERE {
  { ?product rdfs:label ?label ; a <%type%> ; bsbm:productFeature <%f1%> , <%f2%> ;
      bsbm:productPropertyTextual1 ?propertyTextual ; bsbm:productPropertyNumeric1 ?p1 . FILTER (?p1 > %x%) }
  UNION
  { ?product rdfs:label ?label ; a <%type%> ; bsbm:productFeature <%f1%> , <%f3%> ;
      bsbm:productPropertyTextual1 ?propertyTextual ; bsbm:productPropertyNumeric2 ?p2 . FILTER (?p2 > %y%) }
} ORDER BY ?label OFFSET 5 LIMIT 10""",
    5: """SELECT DISTINCT ?product ?productLabel WHERE {
  ?product rdfs:label ?productLabel . FILTER (<%product%> != ?product)
  <%product%> bsbm:productFeature ?prodFeature . ?product bsbm:productFeature ?prodFeature .
  <%product%> bsbm:productPropertyNumeric1 ?origProperty1 . ?product bsbm:productPropertyNumeric1 ?simProperty1 .
  FILTER (?simProperty1 < (?origProperty1 + 120) && ?simProperty1 > (?origProperty1 - 120))
  <%product%> bsbm:productPropertyNumeric2 ?origProperty2 . ?product bsbm:productPropertyNumeric2 ?simProperty2 .
  FILTER (?simProperty2 < (?origProperty2 + 170) && ?simProperty2 > (?origProperty2 - 170))
} ORDER BY ?productLabel LIMIT 5""",
    7: """SELECT ?productLabel ?offer ?price ?vendor ?vendorTitle ?review ?revTitle ?reviewer ?revName ?rating1 ?rating2 WHERE {
  <%product%> rdfs:label ?productLabel .
  OPTIONAL {
    ?offer bsbm:product <%product%> ; bsbm:price ?price ; bsbm:vendor ?vendor .
    ?vendor rdfs:label ?vendorTitle ; bsbm:country <http://downlode.org/rdf/iso-3166/countries#%country%> .
    ?offer bsbm:validTo ?date . FILTER (?date > "%now%"^^xsd:date)
  }
  OPTIONAL {
    ?review bsbm:reviewFor <%product%> ; rev:reviewer ?reviewer . ?reviewer foaf:name ?revName . ?review dc:title ?revTitle .
    OPTIONAL { ?review bsbm:rating1 ?rating1 }
    OPTIONAL { ?review bsbm:rating2 ?rating2 }
  }
}""",
    8: """SELECT ?title ?text ?reviewDate ?reviewer ?reviewerName ?rating1 ?rating2 ?rating3 ?rating4 WHERE {
  ?review bsbm:reviewFor <%product%> ; dc:title ?title ; rev:text ?text . FILTER langMatches(lang(?text), "EN")
  ?review bsbm:reviewDate ?reviewDate ; rev:reviewer ?reviewer . ?reviewer foaf:name ?reviewerName .
  OPTIONAL { ?review bsbm:rating1 ?rating1 } OPTIONAL { ?review bsbm:rating2 ?rating2 }
  OPTIONAL { ?review bsbm:rating3 ?rating3 } OPTIONAL { ?review bsbm:rating4 ?rating4 }
} ORDER BY DESC(?reviewDate) LIMIT 20""",
    9: "DESCRIBE ?x WHERE { <%review%> rev:reviewer ?x }",
    10: """SELECT DISTINCT ?offer ?price WHERE {
  ?offer bsbm:product <%product%> ; bsbm:vendor ?vendor ; dc:publisher ?vendor .
  ?vendor bsbm:country <http://downlode.org/rdf/iso-3166/countries#%country%> .
  ?offer bsbm:deliveryDays ?deliveryDays . FILTER (?deliveryDays <= 3)
  ?offer bsbm:price ?price ; bsbm:validTo ?date . FILTER (?date > "%now%"^^xsd:date)
} ORDER BY xsd:double(str(?price)) LIMIT 10""",
    11: """SELECT ?property ?hasValue ?isValueOf WHERE {
  { <%offer%> ?property ?hasValue } UNION { ?isValueOf ?property <%offer%> }
}""",
    12: """CONSTRUCT {
  <%offer%> bsbm:productlabel ?productlabel ; bsbm:vendor ?vendorname ; bsbm:vendorhomepage ?vendorhomepage ;
    bsbm:offerURL ?offerURL ; bsbm:price ?price ; bsbm:deliveryDays ?deliveryDays ; bsbm:validuntil ?validTo .
} WHERE {
  <%offer%> bsbm:product ?product ; bsbm:vendor ?vendor ; bsbm:offerWebpage ?offerURL ; bsbm:price ?price ;
    bsbm:deliveryDays ?deliveryDays ; bsbm:validTo ?validTo .
  ?product rdfs:label ?productlabel . ?vendor rdfs:label ?vendorname ; foaf:homepage ?vendorhomepage .
}""",
}


def as_path(route: str, query: str) -> str:
    """The request target of a query by GET."""
    return f"{route}?query={quote(query, safe='')}"
