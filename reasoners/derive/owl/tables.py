"""The rules of OWL 2 RL as text, table by table, named as in the specification.

A rule is `name: axioms | data => conclusions`. Axioms are the patterns that terminology states, data those that
individuals do; the bar guides what reads the rules (which terms can take part in a contradiction), not what they mean.
`a` is `rdf:type`; a conclusion `false` is a contradiction; `owl:sameAs` in a conclusion merges two classes of equal
terms. `?x != ?y` holds when the two are not the same number. A line that begins with spaces goes on with the one above.

Equality (table 4) is not a rule here but the way facts are stored: over one representative of each class of equal terms,
of each value of literals. Likewise dt-type2, dt-eq, dt-diff and dt-not-type of table 8 (`engine`).

Lists: `:cell` leads from a list that an axiom uses to each of its cells. The three rules whose length is that of a list
(cls-int1, prp-spo2, prp-key) are made for each such axiom by `lists`.

Source: https://www.w3.org/TR/owl2-profiles/#Reasoning_in_OWL_2_RL_and_RDF_Graphs_using_Rules
"""

from __future__ import annotations

ZERO = '"0"^^xsd:nonNegativeInteger'
ONE = '"1"^^xsd:nonNegativeInteger'

EQUALITY = """
eq-diff1: | ?x owl:differentFrom ?x => false
eq-diff2: ?d a owl:AllDifferent, ?d owl:members ?l, ?l :cell ?i, ?i rdf:first ?z, ?l :cell ?j, ?j rdf:first ?z,
  ?i != ?j | => false
eq-diff3: ?d a owl:AllDifferent, ?d owl:distinctMembers ?l, ?l :cell ?i, ?i rdf:first ?z, ?l :cell ?j,
  ?j rdf:first ?z, ?i != ?j | => false
"""

PROPERTIES = """
prp-dom: ?p rdfs:domain ?c | ?x ?p ?y => ?x a ?c
prp-rng: ?p rdfs:range ?c | ?x ?p ?y => ?y a ?c
prp-fp: ?p a owl:FunctionalProperty | ?x ?p ?y1, ?x ?p ?y2, ?y1 != ?y2 => ?y1 owl:sameAs ?y2
prp-ifp: ?p a owl:InverseFunctionalProperty | ?x1 ?p ?y, ?x2 ?p ?y, ?x1 != ?x2 => ?x1 owl:sameAs ?x2
prp-irp: ?p a owl:IrreflexiveProperty | ?x ?p ?x => false
prp-symp: ?p a owl:SymmetricProperty | ?x ?p ?y => ?y ?p ?x
prp-asyp: ?p a owl:AsymmetricProperty | ?x ?p ?y, ?y ?p ?x => false
prp-trp: ?p a owl:TransitiveProperty | ?x ?p ?y, ?y ?p ?z => ?x ?p ?z
prp-spo1: ?p1 rdfs:subPropertyOf ?p2, ?p1 != ?p2 | ?x ?p1 ?y => ?x ?p2 ?y
prp-eqp1: ?p1 owl:equivalentProperty ?p2, ?p1 != ?p2 | ?x ?p1 ?y => ?x ?p2 ?y
prp-eqp2: ?p1 owl:equivalentProperty ?p2, ?p1 != ?p2 | ?x ?p2 ?y => ?x ?p1 ?y
prp-pdw: ?p1 owl:propertyDisjointWith ?p2 | ?x ?p1 ?y, ?x ?p2 ?y => false
prp-adp: ?d a owl:AllDisjointProperties, ?d owl:members ?l, ?l :cell ?i, ?i rdf:first ?p1, ?l :cell ?j,
  ?j rdf:first ?p2, ?i != ?j | ?x ?p1 ?y, ?x ?p2 ?y => false
prp-inv1: ?p1 owl:inverseOf ?p2 | ?x ?p1 ?y => ?y ?p2 ?x
prp-inv2: ?p1 owl:inverseOf ?p2 | ?x ?p2 ?y => ?y ?p1 ?x
prp-npa1: ?n owl:sourceIndividual ?x, ?n owl:assertionProperty ?p, ?n owl:targetIndividual ?y | ?x ?p ?y => false
prp-npa2: ?n owl:sourceIndividual ?x, ?n owl:assertionProperty ?p, ?n owl:targetValue ?y | ?x ?p ?y => false
"""

CLASSES = f"""
cls-nothing2: | ?x a owl:Nothing => false
cls-int2: ?c owl:intersectionOf ?l, ?l :cell ?i, ?i rdf:first ?d | ?x a ?c => ?x a ?d
cls-uni: ?c owl:unionOf ?l, ?l :cell ?i, ?i rdf:first ?d | ?x a ?d => ?x a ?c
cls-com: ?c owl:complementOf ?d | ?x a ?c, ?x a ?d => false
cls-svf1: ?c owl:someValuesFrom ?d, ?c owl:onProperty ?p | ?x ?p ?y, ?y a ?d => ?x a ?c
cls-svf2: ?c owl:someValuesFrom owl:Thing, ?c owl:onProperty ?p | ?x ?p ?y => ?x a ?c
cls-avf: ?c owl:allValuesFrom ?d, ?c owl:onProperty ?p | ?x a ?c, ?x ?p ?y => ?y a ?d
cls-hv1: ?c owl:hasValue ?y, ?c owl:onProperty ?p | ?x a ?c => ?x ?p ?y
cls-hv2: ?c owl:hasValue ?y, ?c owl:onProperty ?p | ?x ?p ?y => ?x a ?c
cls-maxc1: ?c owl:maxCardinality {ZERO}, ?c owl:onProperty ?p | ?x a ?c, ?x ?p ?y => false
cls-maxc2: ?c owl:maxCardinality {ONE}, ?c owl:onProperty ?p | ?x a ?c, ?x ?p ?y1, ?x ?p ?y2, ?y1 != ?y2
  => ?y1 owl:sameAs ?y2
cls-maxqc1: ?c owl:maxQualifiedCardinality {ZERO}, ?c owl:onProperty ?p, ?c owl:onClass ?d | ?x a ?c, ?x ?p ?y,
  ?y a ?d => false
cls-maxqc2: ?c owl:maxQualifiedCardinality {ZERO}, ?c owl:onProperty ?p, ?c owl:onClass owl:Thing | ?x a ?c,
  ?x ?p ?y => false
cls-maxqc3: ?c owl:maxQualifiedCardinality {ONE}, ?c owl:onProperty ?p, ?c owl:onClass ?d | ?x a ?c, ?x ?p ?y1,
  ?y1 a ?d, ?x ?p ?y2, ?y2 a ?d, ?y1 != ?y2 => ?y1 owl:sameAs ?y2
cls-maxqc4: ?c owl:maxQualifiedCardinality {ONE}, ?c owl:onProperty ?p, ?c owl:onClass owl:Thing | ?x a ?c,
  ?x ?p ?y1, ?x ?p ?y2, ?y1 != ?y2 => ?y1 owl:sameAs ?y2
cls-oo: ?c owl:oneOf ?l, ?l :cell ?i, ?i rdf:first ?y | => ?y a ?c
"""

CLASS_AXIOMS = """
cax-sco: ?c1 rdfs:subClassOf ?c2, ?c1 != ?c2 | ?x a ?c1 => ?x a ?c2
cax-eqc1: ?c1 owl:equivalentClass ?c2, ?c1 != ?c2 | ?x a ?c1 => ?x a ?c2
cax-eqc2: ?c1 owl:equivalentClass ?c2, ?c1 != ?c2 | ?x a ?c2 => ?x a ?c1
cax-dw: ?c1 owl:disjointWith ?c2 | ?x a ?c1, ?x a ?c2 => false
cax-adc: ?d a owl:AllDisjointClasses, ?d owl:members ?l, ?l :cell ?i, ?i rdf:first ?c1, ?l :cell ?j,
  ?j rdf:first ?c2, ?i != ?j | ?x a ?c1, ?x a ?c2 => false
"""

SCHEMA = """
scm-cls: ?c a owl:Class | => ?c rdfs:subClassOf ?c, ?c owl:equivalentClass ?c, ?c rdfs:subClassOf owl:Thing,
  owl:Nothing rdfs:subClassOf ?c
scm-sco: ?c1 rdfs:subClassOf ?c2, ?c2 rdfs:subClassOf ?c3 | => ?c1 rdfs:subClassOf ?c3
scm-eqc1: ?c1 owl:equivalentClass ?c2 | => ?c1 rdfs:subClassOf ?c2, ?c2 rdfs:subClassOf ?c1
scm-eqc2: ?c1 rdfs:subClassOf ?c2, ?c2 rdfs:subClassOf ?c1 | => ?c1 owl:equivalentClass ?c2
scm-op: ?p a owl:ObjectProperty | => ?p rdfs:subPropertyOf ?p, ?p owl:equivalentProperty ?p
scm-dp: ?p a owl:DatatypeProperty | => ?p rdfs:subPropertyOf ?p, ?p owl:equivalentProperty ?p
scm-spo: ?p1 rdfs:subPropertyOf ?p2, ?p2 rdfs:subPropertyOf ?p3 | => ?p1 rdfs:subPropertyOf ?p3
scm-eqp1: ?p1 owl:equivalentProperty ?p2 | => ?p1 rdfs:subPropertyOf ?p2, ?p2 rdfs:subPropertyOf ?p1
scm-eqp2: ?p1 rdfs:subPropertyOf ?p2, ?p2 rdfs:subPropertyOf ?p1 | => ?p1 owl:equivalentProperty ?p2
scm-dom1: ?p rdfs:domain ?c1, ?c1 rdfs:subClassOf ?c2 | => ?p rdfs:domain ?c2
scm-dom2: ?p2 rdfs:domain ?c, ?p1 rdfs:subPropertyOf ?p2 | => ?p1 rdfs:domain ?c
scm-rng1: ?p rdfs:range ?c1, ?c1 rdfs:subClassOf ?c2 | => ?p rdfs:range ?c2
scm-rng2: ?p2 rdfs:range ?c, ?p1 rdfs:subPropertyOf ?p2 | => ?p1 rdfs:range ?c
scm-hv: ?c1 owl:hasValue ?i, ?c1 owl:onProperty ?p1, ?c2 owl:hasValue ?i, ?c2 owl:onProperty ?p2,
  ?p1 rdfs:subPropertyOf ?p2 | => ?c1 rdfs:subClassOf ?c2
scm-svf1: ?c1 owl:someValuesFrom ?d1, ?c1 owl:onProperty ?p, ?c2 owl:someValuesFrom ?d2, ?c2 owl:onProperty ?p,
  ?d1 rdfs:subClassOf ?d2 | => ?c1 rdfs:subClassOf ?c2
scm-svf2: ?c1 owl:someValuesFrom ?d, ?c1 owl:onProperty ?p1, ?c2 owl:someValuesFrom ?d, ?c2 owl:onProperty ?p2,
  ?p1 rdfs:subPropertyOf ?p2 | => ?c1 rdfs:subClassOf ?c2
scm-avf1: ?c1 owl:allValuesFrom ?d1, ?c1 owl:onProperty ?p, ?c2 owl:allValuesFrom ?d2, ?c2 owl:onProperty ?p,
  ?d1 rdfs:subClassOf ?d2 | => ?c1 rdfs:subClassOf ?c2
scm-avf2: ?c1 owl:allValuesFrom ?d, ?c1 owl:onProperty ?p1, ?c2 owl:allValuesFrom ?d, ?c2 owl:onProperty ?p2,
  ?p1 rdfs:subPropertyOf ?p2 | => ?c2 rdfs:subClassOf ?c1
scm-int: ?c owl:intersectionOf ?l, ?l :cell ?i, ?i rdf:first ?d | => ?c rdfs:subClassOf ?d
scm-uni: ?c owl:unionOf ?l, ?l :cell ?i, ?i rdf:first ?d | => ?d rdfs:subClassOf ?c
"""

# Each list that an axiom uses, and its cells. These facts are ours: nobody is shown them.
LISTS = (
    "\n".join(
        f"{':head'}: ?c {predicate} ?l | => ?l :cell ?l"
        for predicate in ("owl:intersectionOf", "owl:unionOf", "owl:oneOf", "owl:members", "owl:distinctMembers")
    )
    + "\n:tail: ?l :cell ?i, ?i rdf:rest ?j | => ?l :cell ?j\n"
)

AXIOMATIC: tuple[tuple[str, str, str, str], ...] = (
    ("cls-thing", "owl:Thing", "a", "owl:Class"),
    ("cls-nothing1", "owl:Nothing", "a", "owl:Class"),
    *(
        ("prp-ap", name, "a", "owl:AnnotationProperty")
        for name in (
            "rdfs:label", "rdfs:comment", "rdfs:seeAlso", "rdfs:isDefinedBy", "owl:deprecated", "owl:versionInfo",
            "owl:priorVersion", "owl:backwardCompatibleWith", "owl:incompatibleWith",
        )
    ),
)  # fmt: skip

PROBLEMS: dict[str, str] = {
    "eq-diff1": "two things are said to be the same and to be different",
    "eq-diff2": "two members of an owl:AllDifferent are the same",
    "eq-diff3": "two members of an owl:AllDifferent are the same",
    "prp-irp": "an irreflexive property leads from a thing to itself",
    "prp-asyp": "an asymmetric property holds both ways",
    "prp-pdw": "two disjoint properties hold between the same things",
    "prp-adp": "two disjoint properties hold between the same things",
    "prp-npa1": "a relation holds that a negative assertion denies",
    "prp-npa2": "a value holds that a negative assertion denies",
    "cls-nothing2": "a thing is in owl:Nothing",
    "cls-com": "a thing is in a class and in its complement",
    "cls-maxc1": "a property holds where its greatest number is 0",
    "cls-maxqc1": "a property holds, with a member of the class counted, where its greatest number is 0",
    "cls-maxqc2": "a property holds where its greatest number is 0",
    "cax-dw": "a thing is in two disjoint classes",
    "cax-adc": "a thing is in two disjoint classes",
    "dt-not-type": "a literal is not of the datatype that it must have",
    "dt-diff": "two literals with different values would have to be the same",
}

RULES = "\n".join((EQUALITY, PROPERTIES, CLASSES, CLASS_AXIOMS, SCHEMA, LISTS))
