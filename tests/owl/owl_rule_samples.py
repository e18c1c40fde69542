"""For each rule of tables 4 to 9: premises from which it concludes, its conclusion, and premises from which it does not.

A conclusion `false` is a contradiction by that rule. In a sample that does not fire the same conclusion must not follow.
"""

# ruff: noqa: E501

from __future__ import annotations

from typing import NamedTuple

FALSE = "false"


class Sample(NamedTuple):
    rule: str
    fires: str
    conclusion: str
    silent: str


def _restriction(kind: str, rest: str) -> str:
    return f":R owl:{kind} ; owl:onProperty :p {rest}. "


_TWO, _ZERO, _ONE = (f'"{n}"^^xsd:nonNegativeInteger' for n in (2, 0, 1))
_LIST3 = ":d owl:members ( :a :b :c ) . "

SAMPLES: tuple[Sample, ...] = tuple(Sample(*row) for row in (
    # table 4
    ("eq-ref", ":a :p :b .", ":a owl:sameAs :a . :p owl:sameAs :p . :b owl:sameAs :b .", ""),
    ("eq-sym", ":a owl:sameAs :b .", ":b owl:sameAs :a .", ":a :p :b ."),
    ("eq-trans", ":a owl:sameAs :b . :b owl:sameAs :c .", ":a owl:sameAs :c .", ":a owl:sameAs :b . :c owl:sameAs :d ."),
    ("eq-rep-s", ":a owl:sameAs :b . :a :p :c .", ":b :p :c .", ":a owl:sameAs :d . :a :p :c ."),
    ("eq-rep-p", ":p owl:sameAs :q . :a :p :c .", ":a :q :c .", ":p owl:sameAs :r . :a :p :c ."),
    ("eq-rep-o", ":a owl:sameAs :b . :c :p :a .", ":c :p :b .", ":a owl:sameAs :d . :c :p :a ."),
    ("eq-diff1", ":a owl:sameAs :b ; owl:differentFrom :b .", FALSE, ":a owl:sameAs :b ; owl:differentFrom :c ."),
    ("eq-diff2", _LIST3 + ":d a owl:AllDifferent . :a owl:sameAs :c .", FALSE, _LIST3 + ":d a owl:AllDifferent . :a owl:sameAs :d ."),
    ("eq-diff3", ":d a owl:AllDifferent ; owl:distinctMembers ( :a :b :c ) . :b owl:sameAs :c .", FALSE,
     ":d a owl:AllDifferent ; owl:distinctMembers ( :a :b :c ) . :b owl:differentFrom :c ."),
    # table 5
    ("prp-ap", "", "rdfs:comment a owl:AnnotationProperty . owl:versionInfo a owl:AnnotationProperty .", ""),
    ("prp-dom", ":p rdfs:domain :C . :a :p :b .", ":a a :C .", ":p rdfs:domain :C . :b :q :a ."),
    ("prp-rng", ":p rdfs:range :C . :a :p :b .", ":b a :C .", ":p rdfs:range :C . :b :p :a ."),
    ("prp-fp", ":p a owl:FunctionalProperty . :a :p :b, :c .", ":b owl:sameAs :c .", ":p a owl:FunctionalProperty . :a :p :b . :d :p :c ."),
    ("prp-ifp", ":p a owl:InverseFunctionalProperty . :a :p :c . :b :p :c .", ":a owl:sameAs :b .",
     ":p a owl:InverseFunctionalProperty . :a :p :c . :b :p :d ."),
    ("prp-irp", ":p a owl:IrreflexiveProperty . :a :p :a .", FALSE, ":p a owl:IrreflexiveProperty . :a :p :b . :b :p :a ."),
    ("prp-symp", ":p a owl:SymmetricProperty . :a :p :b .", ":b :p :a .", ":p a owl:AsymmetricProperty . :a :p :b ."),
    ("prp-asyp", ":p a owl:AsymmetricProperty . :a :p :b . :b :p :a .", FALSE, ":p a owl:AsymmetricProperty . :a :p :b . :b :p :c ."),
    ("prp-trp", ":p a owl:TransitiveProperty . :a :p :b . :b :p :c .", ":a :p :c .", ":p a owl:TransitiveProperty . :a :p :b . :c :p :b ."),
    ("prp-spo1", ":p rdfs:subPropertyOf :q . :a :p :b .", ":a :q :b .", ":q rdfs:subPropertyOf :p . :a :p :b ."),
    ("prp-spo2", ":q owl:propertyChainAxiom ( :p1 :p2 :p3 :p4 ) . :a :p1 :b . :b :p2 :c . :c :p3 :d . :d :p4 :e .", ":a :q :e .",
     ":q owl:propertyChainAxiom ( :p1 :p2 :p3 :p4 ) . :a :p1 :b . :b :p3 :c . :c :p2 :d . :d :p4 :e ."),
    ("prp-eqp1", ":p owl:equivalentProperty :q . :a :p :b .", ":a :q :b .", ":p owl:equivalentProperty :r . :a :p :b ."),
    ("prp-eqp2", ":q owl:equivalentProperty :p . :a :p :b .", ":a :q :b .", ":r owl:equivalentProperty :p . :a :p :b ."),
    ("prp-pdw", ":p owl:propertyDisjointWith :q . :a :p :b ; :q :b .", FALSE, ":p owl:propertyDisjointWith :q . :a :p :b ; :q :c ."),
    ("prp-adp", ":d a owl:AllDisjointProperties ; owl:members ( :p :q :r ) . :a :p :b ; :r :b .", FALSE,
     ":d a owl:AllDisjointProperties ; owl:members ( :p :q ) . :a :p :b ; :r :b ."),
    ("prp-inv1", ":p owl:inverseOf :q . :a :p :b .", ":b :q :a .", ":p owl:inverseOf :r . :a :p :b ."),
    ("prp-inv2", ":q owl:inverseOf :p . :a :p :b .", ":b :q :a .", ":r owl:inverseOf :p . :a :p :b ."),
    ("prp-key", ":C owl:hasKey ( :p :q ) . :a a :C ; :p 1 ; :q :x . :b a :C ; :p 1 ; :q :x .", ":a owl:sameAs :b .",
     ":C owl:hasKey ( :p :q ) . :a a :C ; :p 1 ; :q :x . :b a :C ; :p 1 ; :q :y ."),
    ("prp-npa1", ":n owl:sourceIndividual :a ; owl:assertionProperty :p ; owl:targetIndividual :b . :a :p :b .", FALSE,
     ":n owl:sourceIndividual :a ; owl:assertionProperty :p ; owl:targetIndividual :b . :b :p :a ."),
    ("prp-npa2", ":n owl:sourceIndividual :a ; owl:assertionProperty :p ; owl:targetValue 1 . :a :p 1 .", FALSE,
     ":n owl:sourceIndividual :a ; owl:assertionProperty :p ; owl:targetValue 1 . :a :p 2 ."),
    # table 6
    ("cls-thing", "", "owl:Thing a owl:Class .", ""),
    ("cls-nothing1", "", "owl:Nothing a owl:Class .", ""),
    ("cls-nothing2", ":a a owl:Nothing .", FALSE, ":a a owl:Thing ."),
    ("cls-int1", ":I owl:intersectionOf ( :C :D :E ) . :a a :C, :D, :E .", ":a a :I .", ":I owl:intersectionOf ( :C :D :E ) . :a a :C, :E ."),
    ("cls-int2", ":I owl:intersectionOf ( :C :D ) . :a a :I .", ":a a :C, :D .", ":I owl:unionOf ( :C :D ) . :a a :I ."),
    ("cls-uni", ":U owl:unionOf ( :C :D ) . :a a :D .", ":a a :U .", ":U owl:unionOf ( :C :D ) . :a a :E ."),
    ("cls-com", ":C owl:complementOf :D . :a a :C, :D .", FALSE, ":C owl:complementOf :D . :a a :C . :b a :D ."),
    ("cls-svf1", _restriction("someValuesFrom :C", "") + ":a :p :b . :b a :C .", ":a a :R .", _restriction("someValuesFrom :C", "") + ":a :p :b . :b a :D ."),
    ("cls-svf2", _restriction("someValuesFrom owl:Thing", "") + ":a :p :b .", ":a a :R .", _restriction("someValuesFrom :C", "") + ":a :p :b ."),
    ("cls-avf", _restriction("allValuesFrom :C", "") + ":a a :R ; :p :b .", ":b a :C .", _restriction("allValuesFrom :C", "") + ":a :p :b ."),
    ("cls-hv1", _restriction("hasValue :b", "") + ":a a :R .", ":a :p :b .", _restriction("hasValue :b", "") + ":a a :C ."),
    ("cls-hv2", _restriction("hasValue 1", "") + ":a :p 1 .", ":a a :R .", _restriction("hasValue 1", "") + ":a :p 2 ."),
    ("cls-maxc1", _restriction(f"maxCardinality {_ZERO}", "") + ":a a :R ; :p :b .", FALSE, _restriction(f"maxCardinality {_ZERO}", "") + ":a a :R ; :q :b ."),
    ("cls-maxc2", _restriction(f"maxCardinality {_ONE}", "") + ":a a :R ; :p :b, :c .", ":b owl:sameAs :c .",
     _restriction(f"maxCardinality {_TWO}", "") + ":a a :R ; :p :b, :c ."),
    ("cls-maxqc1", _restriction(f"maxQualifiedCardinality {_ZERO}", "; owl:onClass :C ") + ":a a :R ; :p :b . :b a :C .", FALSE,
     _restriction(f"maxQualifiedCardinality {_ZERO}", "; owl:onClass :C ") + ":a a :R ; :p :b . :b a :D ."),
    ("cls-maxqc2", _restriction(f"maxQualifiedCardinality {_ZERO}", "; owl:onClass owl:Thing ") + ":a a :R ; :p :b .", FALSE,
     _restriction(f"maxQualifiedCardinality {_ZERO}", "; owl:onClass :C ") + ":a a :R ; :p :b ."),
    ("cls-maxqc3", _restriction(f"maxQualifiedCardinality {_ONE}", "; owl:onClass :C ") + ":a a :R ; :p :b, :c . :b a :C . :c a :C .", ":b owl:sameAs :c .",
     _restriction(f"maxQualifiedCardinality {_ONE}", "; owl:onClass :C ") + ":a a :R ; :p :b, :c . :b a :C . :c a :D ."),
    ("cls-maxqc4", _restriction(f"maxQualifiedCardinality {_ONE}", "; owl:onClass owl:Thing ") + ":a a :R ; :p :b, :c .", ":b owl:sameAs :c .",
     _restriction(f"maxQualifiedCardinality {_ONE}", "; owl:onClass :C ") + ":a a :R ; :p :b, :c ."),
    ("cls-oo", ":C owl:oneOf ( :a :b ) .", ":a a :C . :b a :C .", ":C owl:unionOf ( :a :b ) ."),
    # table 7
    ("cax-sco", ":C rdfs:subClassOf :D . :a a :C .", ":a a :D .", ":D rdfs:subClassOf :C . :a a :C ."),
    ("cax-eqc1", ":C owl:equivalentClass :D . :a a :C .", ":a a :D .", ":C owl:equivalentClass :E . :a a :C ."),
    ("cax-eqc2", ":D owl:equivalentClass :C . :a a :C .", ":a a :D .", ":E owl:equivalentClass :C . :a a :C ."),
    ("cax-dw", ":C owl:disjointWith :D . :a a :C, :D .", FALSE, ":C owl:disjointWith :D . :a a :C . :b a :D ."),
    ("cax-adc", ":d a owl:AllDisjointClasses ; owl:members ( :C :D :E ) . :a a :C, :E .", FALSE,
     ":d a owl:AllDisjointClasses ; owl:members ( :C :D ) . :a a :C, :E ."),
    # table 8
    ("dt-type1", "", "xsd:byte a rdfs:Datatype . xsd:dateTimeStamp a rdfs:Datatype . rdf:PlainLiteral a rdfs:Datatype .", ""),
    ("dt-type2", ':a :p "7"^^xsd:byte .', ":a :p [ a xsd:integer ] .", ':a :p "7" .'),
    ("dt-eq", ':a :p "7"^^xsd:byte .', ':a :p "7.0"^^xsd:decimal .', ':a :p "7"^^xsd:double .'),
    ("dt-diff", ":a :p 1 ; :q 2 .", "_:x owl:differentFrom _:y . :a :p _:x ; :q _:y .", ':a :p 1 ; :q "1.0"^^xsd:decimal .'),
    ("dt-not-type", ':p rdfs:range xsd:byte . :a :p "300"^^xsd:int .', FALSE, ':p rdfs:range xsd:byte . :a :p "100"^^xsd:int .'),
    # table 9
    ("scm-cls", ":C a owl:Class .", ":C rdfs:subClassOf :C, owl:Thing ; owl:equivalentClass :C . owl:Nothing rdfs:subClassOf :C .", ":C a rdfs:Class ."),
    ("scm-sco", ":C rdfs:subClassOf :D . :D rdfs:subClassOf :E .", ":C rdfs:subClassOf :E .", ":C rdfs:subClassOf :D . :E rdfs:subClassOf :D ."),
    ("scm-eqc1", ":C owl:equivalentClass :D .", ":C rdfs:subClassOf :D . :D rdfs:subClassOf :C .", ":C owl:disjointWith :D ."),
    ("scm-eqc2", ":C rdfs:subClassOf :D . :D rdfs:subClassOf :C .", ":C owl:equivalentClass :D .", ":C rdfs:subClassOf :D ."),
    ("scm-op", ":p a owl:ObjectProperty .", ":p rdfs:subPropertyOf :p ; owl:equivalentProperty :p .", ":p a rdf:Property ."),
    ("scm-dp", ":p a owl:DatatypeProperty .", ":p rdfs:subPropertyOf :p ; owl:equivalentProperty :p .", ":p a owl:AnnotationProperty ."),
    ("scm-spo", ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :r .", ":p rdfs:subPropertyOf :r .", ":p rdfs:subPropertyOf :q . :r rdfs:subPropertyOf :q ."),
    ("scm-eqp1", ":p owl:equivalentProperty :q .", ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :p .", ":p owl:inverseOf :q ."),
    ("scm-eqp2", ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :p .", ":p owl:equivalentProperty :q .", ":p rdfs:subPropertyOf :q ."),
    ("scm-dom1", ":p rdfs:domain :C . :C rdfs:subClassOf :D .", ":p rdfs:domain :D .", ":p rdfs:domain :C . :D rdfs:subClassOf :C ."),
    ("scm-dom2", ":q rdfs:domain :C . :p rdfs:subPropertyOf :q .", ":p rdfs:domain :C .", ":q rdfs:domain :C . :q rdfs:subPropertyOf :p ."),
    ("scm-rng1", ":p rdfs:range :C . :C rdfs:subClassOf :D .", ":p rdfs:range :D .", ":p rdfs:range :C . :D rdfs:subClassOf :C ."),
    ("scm-rng2", ":q rdfs:range :C . :p rdfs:subPropertyOf :q .", ":p rdfs:range :C .", ":q rdfs:range :C . :q rdfs:subPropertyOf :p ."),
    ("scm-hv", ":C owl:hasValue :a ; owl:onProperty :p . :D owl:hasValue :a ; owl:onProperty :q . :p rdfs:subPropertyOf :q .", ":C rdfs:subClassOf :D .",
     ":C owl:hasValue :a ; owl:onProperty :p . :D owl:hasValue :b ; owl:onProperty :q . :p rdfs:subPropertyOf :q ."),
    ("scm-svf1", ":C owl:someValuesFrom :X ; owl:onProperty :p . :D owl:someValuesFrom :Y ; owl:onProperty :p . :X rdfs:subClassOf :Y .", ":C rdfs:subClassOf :D .",
     ":C owl:someValuesFrom :X ; owl:onProperty :p . :D owl:someValuesFrom :Y ; owl:onProperty :q . :X rdfs:subClassOf :Y ."),
    ("scm-svf2", ":C owl:someValuesFrom :X ; owl:onProperty :p . :D owl:someValuesFrom :X ; owl:onProperty :q . :p rdfs:subPropertyOf :q .", ":C rdfs:subClassOf :D .",
     ":C owl:someValuesFrom :X ; owl:onProperty :p . :D owl:someValuesFrom :X ; owl:onProperty :q . :q rdfs:subPropertyOf :p ."),
    ("scm-avf1", ":C owl:allValuesFrom :X ; owl:onProperty :p . :D owl:allValuesFrom :Y ; owl:onProperty :p . :X rdfs:subClassOf :Y .", ":C rdfs:subClassOf :D .",
     ":C owl:allValuesFrom :X ; owl:onProperty :p . :D owl:allValuesFrom :Y ; owl:onProperty :p . :Y rdfs:subClassOf :X ."),
    ("scm-avf2", ":C owl:allValuesFrom :X ; owl:onProperty :p . :D owl:allValuesFrom :X ; owl:onProperty :q . :p rdfs:subPropertyOf :q .", ":D rdfs:subClassOf :C .",
     ":C owl:allValuesFrom :X ; owl:onProperty :p . :D owl:allValuesFrom :X ; owl:onProperty :q . :q rdfs:subPropertyOf :p ."),
    ("scm-int", ":I owl:intersectionOf ( :C :D ) .", ":I rdfs:subClassOf :C, :D .", ":I owl:oneOf ( :C :D ) ."),
    ("scm-uni", ":U owl:unionOf ( :C :D ) .", ":C rdfs:subClassOf :U . :D rdfs:subClassOf :U .", ":U owl:oneOf ( :C :D ) ."),
))  # fmt: skip
