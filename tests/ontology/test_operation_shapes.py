"""The constraints that stop infeasible operation, at their edges: what is still allowed, and what is just too much."""

from __future__ import annotations

from collections.abc import Callable

import pyoxigraph as ox
import pytest

from reasoners.graph import memory_view
from reasoners.validate import Shapes, Validator
from reasoners.vocab import PREFIXES

HERE = f"https://w3id.org/dappops/g/0x{'0' * 38}e1/edges/"
# Two slots of 9 W each at mid load on a host in Lisbon with a TPM; a deployment on it that everything allows.
WORLD = """
:unit a dapp:FunctionalUnit ; rdfs:label "Unit"@en .
:app a dapp:QualityCriticalApplication ; rdfs:label "App"@en ; dapp:hasUnit :unit .
:provider a dapp:CentralisedProvider ; rdfs:label "Provider"@en .
:driver a dapp:Driver ; rdfs:label "Driver"@en ; dapp:reaches :provider .
:lisbon a dapp:Region ; rdfs:label "Lisbon"@en ; dapp:within dappi:Country-PT .
:type a dapp:ResourceType ; rdfs:label "Slot"@en ; dapp:memory 0.25 ; dapp:vcpus 1 ; dapp:hasPowerModel :power .
:power a dapp:PowerModel ; dapp:idlePower 4.0 ; dapp:peakPower 14.0 .
:offer a dapp:ServiceOffer ; dapp:offersType :type ; dapp:inRegion :lisbon ; dapp:hasCapacityLimit 2 .
:host a dapp:EmulatedHost ; dapp:operatedBy :provider ; dapp:obtainedThrough :offer ; dapp:supportsTrust dappi:Tpm2 .
:one a dapp:Deployment ; dapp:ofUnit :unit ; dapp:onResource :host ; dapp:desiredState dappi:Running ; dapp:generation 1 .
"""
TWO = ":two a dapp:Deployment ; dapp:ofUnit :unit ; dapp:onResource :host ; dapp:desiredState dappi:Running ."
THREE = TWO.replace(":two", ":three")
STOPPED = THREE.replace("Running", "Stopped")
OTHER_HOST = ":second a dapp:CloudNode ; dapp:operatedBy :provider ; dapp:obtainedThrough :offer . " + TWO
ALLOWED = ":rule a dapp:PlacementRequirement ; dapp:onSubject :app ; dapp:allowedPlace dappi:Country-{} ."
NEED = ":need a dapp:CapabilityRequirement ; dapp:onSubject :unit ; dapp:constrains dappi:"
TRUST = NEED + "TrustTechnology ; dapp:operator dappi:{} ; dapp:bound dappi:{} ."
MEMORY = NEED + "MemorySize ; dapp:operator dappi:AtLeast ; dapp:bound {} ."
MOVE = ":move a dapp:MigrateAction ; dapp:targets :one ; dapp:toResource :{} ; dapp:ofIncident :incident ; dapp:actionStatus dappi:{} . "
BLAME = """:incident a dapp:Incident ; dapp:hasHypothesis :guess . :guess a dapp:RootCauseHypothesis ; dapp:suspects :{} ; dapp:rank {} .
:spare a dapp:FogNode . :spareLine a dapp:NetworkLink ; dapp:source :spare ; dapp:sink :lisbon . """
ISLAND = """:lisbon dapp:within :island . :island a dapp:Place ; rdfs:label "Island"@en .
:land a dapp:Jurisdiction ; rdfs:label "Land"@en ; dapp:governs :island . """

CASES = {
    "one of two slots": ("", set()),
    "the last slot": (TWO, set()),
    "one too many": (TWO + THREE, {"HostLoadShape-capacity"}),
    "a stopped one does not count": (TWO + STOPPED, set()),
    "one too many over two hosts": (
        OTHER_HOST + THREE.replace(":host", ":second"), {"HostLoadShape-capacity"},
    ),
    "power at the cap": (":host dapp:powerCap 18.0 ." + TWO, set()),
    "power above the cap": (":host dapp:powerCap 17.9 ." + TWO, {"HostLoadShape-power"}),
    "inside": (ALLOWED.format("PT"), set()),
    "outside": (ALLOWED.format("ES"), {"DeploymentCoherenceShape-allowed"}),
    "outside, as a wish": (ALLOWED.format("ES").replace(" .", " ; dapp:strictness dappi:Soft ."), set()),
    "in a place governed from afar": (
        ISLAND + ":rule a dapp:PlacementRequirement ; dapp:onSubject :unit ; dapp:allowedPlace :land .", set(),
    ),
    "forbidden": (
        ALLOWED.format("PT") + ":rule dapp:forbiddenPlace :lisbon .", {"DeploymentCoherenceShape-forbidden"},
    ),
    "trust of the host": (TRUST.format("OneOf", "Tpm2"), set()),
    "trust of the type": (TRUST.format("OneOf", "IntelTdx") + ":type dapp:supportsTrust dappi:IntelTdx .", set()),
    "no such trust": (TRUST.format("OneOf", "IntelTdx"), {"DeploymentCoherenceShape-trust"}),
    "enough memory": (MEMORY.format("0.25"), set()),
    "too little memory": (MEMORY.format("0.26"), {"DeploymentCoherenceShape-memory"}),
    "to a sound host": (BLAME.format("host", 1) + MOVE.format("spare", "Proposed"), set()),
    "to the suspect": (BLAME.format("spare", 1) + MOVE.format("spare", "Proposed"), {"ControlActionCoherenceShape-suspect"}),
    "behind the suspected link": (
        BLAME.format("spareLine", 1) + MOVE.format("spare", "Committed"), {"ControlActionCoherenceShape-suspect"},
    ),
    "to the suspect, and refused": (BLAME.format("spare", 1) + MOVE.format("spare", "Refused"), set()),
    "to an unlikely suspect": (BLAME.format("spare", 2) + MOVE.format("spare", "Proposed"), set()),
    "to where it is": (MOVE.format("host", "Proposed"), {"ControlActionCoherenceShape-nowhere"}),
}  # fmt: skip
WATCHED = ("HostLoadShape-", "DeploymentCoherenceShape-", "ControlActionCoherenceShape-")
REFERENCES = ("-ofIncident", "-hasForecast", "-targets", "-toResource")


def parse(text: str) -> list[ox.Triple]:
    prefixes = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
    quads = ox.parse(f"{prefixes}@prefix : <{HERE}> .\n{text}", format=ox.RdfFormat.TURTLE)
    return [quad.triple for quad in quads]


@pytest.fixture(scope="module")
def judge(policy: list[ox.Triple], shape_triples: list[ox.Triple]) -> Callable[[str], set[str]]:
    """The constraints of operation that a world violates."""
    validator = Validator(Shapes.parse(shape_triples))
    places = [t for t in policy if "#Country-" not in str(t.subject) or "#Country-PT>" in str(t.subject)]

    def found(text: str) -> set[str]:
        results = validator.full(memory_view(places + parse(text)))
        names = {str(r.constraint or r.shape).strip("<>").rpartition("#")[2] for r in results}
        return {n for n in names if n.startswith(WATCHED) and not n.endswith(REFERENCES)}

    return found


@pytest.mark.parametrize("name", CASES)
def test_operation_is_judged_when_it_is_at_an_edge(name: str, judge: Callable[[str], set[str]]) -> None:
    more, expected = CASES[name]
    assert judge(WORLD + more) == expected


def test_deployment_is_at_fault_when_its_driver_is_gone(judge: Callable[[str], set[str]]) -> None:
    without = WORLD.replace("dapp:reaches :provider", "dapp:reaches :nobody")
    assert judge(without) == {"DeploymentCoherenceShape-driver"}
