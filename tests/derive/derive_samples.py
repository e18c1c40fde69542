"""One sample that fires and one that does not, for each shipped rule of this room.

(data that fires, a triple it then writes, data on which it writes nothing). Turtle, with the prefixes below.
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
}
