"""One sample that fires and one that does not, for each shipped rule of this room and each OWL 2 RL check.

Rule: (data that fires, a triple it then writes, data on which it writes nothing). Check: (data that contradicts, data
that does not). Turtle, with the prefixes below. Three rules state axioms whatever the data: they have no silent sample.
"""

from __future__ import annotations

PREFIXES = """
@prefix : <http://ex.org/> .
@prefix dapp: <https://w3id.org/dappops#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""

RULES: dict[str, tuple[str, str, str]] = {
    "derive-type": (
        ":x a :C . :C rdfs:subClassOf :D . :D rdfs:subClassOf :E .",
        ":x a :E",
        ":x a :C . :C rdfs:subClassOf owl:Thing , [] .",
    ),
    "derive-property": (
        ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :r . :x :p 1 .",
        ":x :r 1",
        ":p rdfs:subPropertyOf :q . :x :q 1 .",
    ),
    "derive-offer-place": (
        ":o dapp:inRegion :frankfurt . :frankfurt dapp:within :germany . :germany dapp:within :europe .",
        ":o dapp:offerPlace :europe",
        ":n dapp:hosts :frankfurt . :frankfurt dapp:within :germany .",
    ),
    "derive-incident-provider": (
        ":i a dapp:Incident ; dapp:hasHypothesis :h . :host dapp:operatedBy :provider ."
        ":h dapp:confirmed true ; dapp:ofFaultKind <https://w3id.org/dappops/id#HostFailure> ; dapp:suspects :host .",
        ":i dapp:attributedTo :provider",
        ":i a dapp:Incident ; dapp:hasHypothesis :h . :d dapp:onResource :host . :host dapp:operatedBy :provider ."
        ":h dapp:confirmed true ; dapp:ofFaultKind <https://w3id.org/dappops/id#ProcessFailure> ; dapp:suspects :d .",
    ),
    "eq-sym": (":x owl:sameAs :y .", ":y owl:sameAs :x", ":x owl:differentFrom :y ."),
    "eq-trans": (":x owl:sameAs :y . :y owl:sameAs :z .", ":x owl:sameAs :z", ":x owl:sameAs :y . :z owl:sameAs :w ."),
    "eq-rep-s": (":x owl:sameAs :y . :x :p 1 .", ":y :p 1", ":x :p 1 ."),
    "eq-rep-p": (":p owl:sameAs :q . :x :p 1 .", ":x :q 1", ":x :p 1 ."),
    "eq-rep-o": (":y owl:sameAs :z . :x :p :y .", ":x :p :z", ":x :p :y ."),
    "prp-dom": (":p rdfs:domain :C . :x :p :y .", ":x a :C", ":p rdfs:domain :C . :x :q :y ."),
    "prp-rng": (":p rdfs:range :C . :x :p :y .", ":y a :C", ":p rdfs:range :C . :x :p 1 ."),
    "prp-fp": (
        ":p a owl:FunctionalProperty . :x :p :y , :z .",
        ":y owl:sameAs :z",
        ":p a owl:FunctionalProperty . :x :p :y .",
    ),
    "prp-ifp": (
        ":p a owl:InverseFunctionalProperty . :x :p :y . :z :p :y .",
        ":x owl:sameAs :z",
        ":p a owl:InverseFunctionalProperty . :x :p :y , :z .",
    ),
    "prp-symp": (":p a owl:SymmetricProperty . :x :p :y .", ":y :p :x", ":q a owl:SymmetricProperty . :x :p :y ."),
    "prp-trp": (
        ":p a owl:TransitiveProperty . :x :p :y . :y :p :z .",
        ":x :p :z",
        ":p a owl:TransitiveProperty . :x :p :y . :y :q :z .",
    ),
    "prp-spo1": (":p rdfs:subPropertyOf :q . :x :p :y .", ":x :q :y", ":p rdfs:subPropertyOf :q . :x :q :y ."),
    "prp-spo2": (
        ":p owl:propertyChainAxiom ( :q :r :s ) . :x :q :y . :y :r :z . :z :s :w .",
        ":x :p :w",
        ":p owl:propertyChainAxiom ( :q :r ) . :x :q :y . :z :r :w .",
    ),
    "prp-eqp1": (":p owl:equivalentProperty :q . :x :p :y .", ":x :q :y", ":p owl:equivalentProperty :q . :x :q :y ."),
    "prp-eqp2": (":p owl:equivalentProperty :q . :x :q :y .", ":x :p :y", ":p owl:equivalentProperty :q . :x :p :y ."),
    "prp-inv1": (":p owl:inverseOf :q . :x :p :y .", ":y :q :x", ":p owl:inverseOf :q . :x :q :y ."),
    "prp-inv2": (":p owl:inverseOf :q . :x :q :y .", ":y :p :x", ":p owl:inverseOf :q . :x :p :y ."),
    "prp-key": (
        ":C owl:hasKey ( :p :q ) . :x a :C ; :p 1 ; :q 2 . :y a :C ; :p 1 ; :q 2 .",
        ":x owl:sameAs :y",
        ":C owl:hasKey ( :p :q ) . :x a :C ; :p 1 ; :q 2 . :y a :C ; :p 1 ; :q 3 .",
    ),
    "prp-ap": ("", "rdfs:label a owl:AnnotationProperty", ""),
    "cls-thing": ("", "owl:Thing a owl:Class", ""),
    "cls-nothing1": ("", "owl:Nothing a owl:Class", ""),
    "cls-int1": (
        ":C owl:intersectionOf ( :A :B :D ) . :x a :A , :B , :D .",
        ":x a :C",
        ":C owl:intersectionOf ( :A :B :D ) . :x a :A , :B .",
    ),
    "cls-int2": (
        ":C owl:intersectionOf ( :A :B ) . :x a :C .",
        ":x a :B",
        ":C owl:intersectionOf ( :A :B ) . :x a :A .",
    ),
    "cls-uni": (":C owl:unionOf ( :A :B ) . :x a :B .", ":x a :C", ":C owl:unionOf ( :A :B ) . :x a :D ."),
    "cls-svf1": (
        ":C owl:someValuesFrom :D ; owl:onProperty :p . :x :p :y . :y a :D .",
        ":x a :C",
        ":C owl:someValuesFrom :D ; owl:onProperty :p . :x :p :y .",
    ),
    "cls-svf2": (
        ":C owl:someValuesFrom owl:Thing ; owl:onProperty :p . :x :p :y .",
        ":x a :C",
        ":C owl:someValuesFrom :D ; owl:onProperty :p . :x :p :y .",
    ),
    "cls-avf": (
        ":C owl:allValuesFrom :D ; owl:onProperty :p . :x a :C ; :p :y .",
        ":y a :D",
        ":C owl:allValuesFrom :D ; owl:onProperty :p . :x :p :y .",
    ),
    "cls-hv1": (
        ":C owl:hasValue :v ; owl:onProperty :p . :x a :C .",
        ":x :p :v",
        ":C owl:hasValue :v ; owl:onProperty :p . :x a :D .",
    ),
    "cls-hv2": (
        ":C owl:hasValue :v ; owl:onProperty :p . :x :p :v .",
        ":x a :C",
        ":C owl:hasValue :v ; owl:onProperty :p . :x :p :w .",
    ),
    "cls-maxc2": (
        ":C owl:maxCardinality 1 ; owl:onProperty :p . :x a :C ; :p :y , :z .",
        ":y owl:sameAs :z",
        ":C owl:maxCardinality 2 ; owl:onProperty :p . :x a :C ; :p :y , :z .",
    ),
    "cls-maxqc3": (
        ":C owl:maxQualifiedCardinality 1 ; owl:onClass :D ; owl:onProperty :p . :x a :C ; :p :y , :z . "
        ":y a :D . :z a :D .",
        ":y owl:sameAs :z",
        ":C owl:maxQualifiedCardinality 1 ; owl:onClass :D ; owl:onProperty :p . :x a :C ; :p :y , :z . :y a :D .",
    ),
    "cls-maxqc4": (
        ":C owl:maxQualifiedCardinality 1 ; owl:onClass owl:Thing ; owl:onProperty :p . :x a :C ; :p :y , :z .",
        ":y owl:sameAs :z",
        ":C owl:maxQualifiedCardinality 1 ; owl:onClass :D ; owl:onProperty :p . :x a :C ; :p :y , :z .",
    ),
    "cls-oo": (":C owl:oneOf ( :x :y ) .", ":y a :C", ":C owl:unionOf ( :x :y ) ."),
    "cax-sco": (":C rdfs:subClassOf :D . :x a :C .", ":x a :D", ":C rdfs:subClassOf :D . :x a :D ."),
    "cax-eqc1": (":C owl:equivalentClass :D . :x a :C .", ":x a :D", ":C owl:equivalentClass :D . :x a :D ."),
    "cax-eqc2": (":C owl:equivalentClass :D . :x a :D .", ":x a :C", ":C owl:equivalentClass :D . :x a :C ."),
    "scm-cls": (":C a owl:Class .", ":C rdfs:subClassOf owl:Thing", ":C a rdfs:Class ."),
    "scm-sco": (
        ":A rdfs:subClassOf :B . :B rdfs:subClassOf :C .",
        ":A rdfs:subClassOf :C",
        ":A rdfs:subClassOf :B . :C rdfs:subClassOf :D .",
    ),
    "scm-eqc1": (":A owl:equivalentClass :B .", ":B rdfs:subClassOf :A", ":A rdfs:subClassOf :B ."),
    "scm-eqc2": (
        ":A rdfs:subClassOf :B . :B rdfs:subClassOf :A .",
        ":A owl:equivalentClass :B",
        ":A rdfs:subClassOf :B . :B rdfs:subClassOf :C .",
    ),
    "scm-op": (":p a owl:ObjectProperty .", ":p rdfs:subPropertyOf :p", ":p a owl:DatatypeProperty ."),
    "scm-dp": (":p a owl:DatatypeProperty .", ":p owl:equivalentProperty :p", ":p a owl:ObjectProperty ."),
    "scm-spo": (
        ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :r .",
        ":p rdfs:subPropertyOf :r",
        ":p rdfs:subPropertyOf :q . :r rdfs:subPropertyOf :s .",
    ),
    "scm-eqp1": (":p owl:equivalentProperty :q .", ":q rdfs:subPropertyOf :p", ":p rdfs:subPropertyOf :q ."),
    "scm-eqp2": (
        ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :p .",
        ":p owl:equivalentProperty :q",
        ":p rdfs:subPropertyOf :q . :q rdfs:subPropertyOf :r .",
    ),
    "scm-dom1": (
        ":p rdfs:domain :C . :C rdfs:subClassOf :D .",
        ":p rdfs:domain :D",
        ":p rdfs:domain :D . :C rdfs:subClassOf :D .",
    ),
    "scm-dom2": (
        ":p rdfs:domain :C . :q rdfs:subPropertyOf :p .",
        ":q rdfs:domain :C",
        ":q rdfs:domain :C . :q rdfs:subPropertyOf :p .",
    ),
    "scm-rng1": (
        ":p rdfs:range :C . :C rdfs:subClassOf :D .",
        ":p rdfs:range :D",
        ":p rdfs:range :D . :C rdfs:subClassOf :D .",
    ),
    "scm-rng2": (
        ":p rdfs:range :C . :q rdfs:subPropertyOf :p .",
        ":q rdfs:range :C",
        ":q rdfs:range :C . :q rdfs:subPropertyOf :p .",
    ),
    "scm-hv": (
        ":C owl:hasValue :v ; owl:onProperty :p . :D owl:hasValue :v ; owl:onProperty :q . :p rdfs:subPropertyOf :q .",
        ":C rdfs:subClassOf :D",
        ":C owl:hasValue :v ; owl:onProperty :p . :D owl:hasValue :w ; owl:onProperty :q . :p rdfs:subPropertyOf :q .",
    ),
    "scm-svf1": (
        ":C owl:someValuesFrom :A ; owl:onProperty :p . :D owl:someValuesFrom :B ; owl:onProperty :p . "
        ":A rdfs:subClassOf :B .",
        ":C rdfs:subClassOf :D",
        ":C owl:someValuesFrom :A ; owl:onProperty :p . :D owl:someValuesFrom :B ; owl:onProperty :q . "
        ":A rdfs:subClassOf :B .",
    ),
    "scm-svf2": (
        ":C owl:someValuesFrom :A ; owl:onProperty :p . :D owl:someValuesFrom :A ; owl:onProperty :q . "
        ":p rdfs:subPropertyOf :q .",
        ":C rdfs:subClassOf :D",
        ":C owl:someValuesFrom :A ; owl:onProperty :p . :D owl:someValuesFrom :B ; owl:onProperty :q . "
        ":p rdfs:subPropertyOf :q .",
    ),
    "scm-avf1": (
        ":C owl:allValuesFrom :A ; owl:onProperty :p . :D owl:allValuesFrom :B ; owl:onProperty :p . "
        ":A rdfs:subClassOf :B .",
        ":C rdfs:subClassOf :D",
        ":C owl:allValuesFrom :A ; owl:onProperty :p . :D owl:allValuesFrom :B ; owl:onProperty :q . "
        ":A rdfs:subClassOf :B .",
    ),
    "scm-avf2": (
        ":C owl:allValuesFrom :A ; owl:onProperty :p . :D owl:allValuesFrom :A ; owl:onProperty :q . "
        ":p rdfs:subPropertyOf :q .",
        ":D rdfs:subClassOf :C",
        ":C owl:allValuesFrom :A ; owl:onProperty :p . :D owl:allValuesFrom :B ; owl:onProperty :q . "
        ":p rdfs:subPropertyOf :q .",
    ),
    "scm-int": (":C owl:intersectionOf ( :A :B ) .", ":C rdfs:subClassOf :B", ":C owl:unionOf ( :A :B ) ."),
    "scm-uni": (":C owl:unionOf ( :A :B ) .", ":B rdfs:subClassOf :C", ":C owl:intersectionOf ( :A :B ) ."),
}
ALWAYS = frozenset({"prp-ap", "cls-thing", "cls-nothing1"})

CHECKS: dict[str, tuple[str, str]] = {
    "eq-diff1": (":x owl:sameAs :y ; owl:differentFrom :y .", ":x owl:sameAs :y ; owl:differentFrom :z ."),
    "eq-diff2": (
        "[] a owl:AllDifferent ; owl:members ( :x :y ) . :x owl:sameAs :y .",
        "[] a owl:AllDifferent ; owl:members ( :x :y ) . :x owl:sameAs :z .",
    ),
    "eq-diff3": (
        "[] a owl:AllDifferent ; owl:distinctMembers ( :x :y ) . :x owl:sameAs :y .",
        "[] a owl:AllDifferent ; owl:distinctMembers ( :x :y ) . :x owl:sameAs :x .",
    ),
    "prp-irp": (":p a owl:IrreflexiveProperty . :x :p :x .", ":p a owl:IrreflexiveProperty . :x :p :y ."),
    "prp-asyp": (
        ":p a owl:AsymmetricProperty . :x :p :y . :y :p :x .",
        ":p a owl:AsymmetricProperty . :x :p :y . :y :q :x .",
    ),
    "prp-pdw": (
        ":p owl:propertyDisjointWith :q . :x :p :y ; :q :y .",
        ":p owl:propertyDisjointWith :q . :x :p :y ; :q :z .",
    ),
    "prp-adp": (
        "[] a owl:AllDisjointProperties ; owl:members ( :p :q :r ) . :x :p :y ; :r :y .",
        "[] a owl:AllDisjointProperties ; owl:members ( :p :q :r ) . :x :p :y ; :r :z .",
    ),
    "prp-npa1": (
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetIndividual :y . :x :p :y .",
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetIndividual :y . :x :p :z .",
    ),
    "prp-npa2": (
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetValue 1 . :x :p 1 .",
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetValue 1 . :x :p 2 .",
    ),
    "cls-nothing2": (":x a owl:Nothing .", ":x a owl:Thing ."),
    "cls-com": (":C owl:complementOf :D . :x a :C , :D .", ":C owl:complementOf :D . :x a :C . :y a :D ."),
    "cls-maxc1": (
        ":C owl:maxCardinality 0 ; owl:onProperty :p . :x a :C ; :p :y .",
        ":C owl:maxCardinality 0 ; owl:onProperty :p . :x a :C ; :q :y .",
    ),
    "cls-maxqc1": (
        ":C owl:maxQualifiedCardinality 0 ; owl:onProperty :p ; owl:onClass :D . :x a :C ; :p :y . :y a :D .",
        ":C owl:maxQualifiedCardinality 0 ; owl:onProperty :p ; owl:onClass :D . :x a :C ; :p :y .",
    ),
    "cls-maxqc2": (
        ":C owl:maxQualifiedCardinality 0 ; owl:onProperty :p ; owl:onClass owl:Thing . :x a :C ; :p :y .",
        ":C owl:maxQualifiedCardinality 1 ; owl:onProperty :p ; owl:onClass owl:Thing . :x a :C ; :p :y .",
    ),
    "cax-dw": (":C owl:disjointWith :D . :x a :C , :D .", ":C owl:disjointWith :D . :x a :C . :y a :D ."),
    "cax-adc": (
        "[] a owl:AllDisjointClasses ; owl:members ( :A :B :C ) . :x a :A , :C .",
        "[] a owl:AllDisjointClasses ; owl:members ( :A :B :C ) . :x a :A .",
    ),
}
