"""A small world with one of everything that the page shows, and the application over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import engine
from engine.kb import KnowledgeBase

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

PREFIXES = """@prefix dapp: <https://w3id.org/dappops#> .
@prefix dappi: <https://w3id.org/dappops/id#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix unit: <http://qudt.org/vocab/unit/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
EVIL = "<script>alert('x')</script>"
WORLD = """
:shop a dapp:QualityCriticalApplication ; rdfs:label "Small shop"@en, "Lojinha"@pt ; dapp:hasUnit :web, :ledger ;
  dapp:hasRequirement :inEurope, :live .
:web a dapp:FunctionalUnit ; rdfs:label "Web <b>front</b>"@en ; dapp:dependsOn :ledger ;
  dapp:implementedBy :webProgram .
:ledger a dapp:TrustUnit ; rdfs:label "Ledger"@en .
:webProgram a dapp:OciImagePackage ; dapp:packages :web ; dapp:startsIn dappi:ContainerIsolation .
:owner a dapp:StakeholderRole ; rdfs:label "Shop owner"@en .
:inEurope a dapp:PlacementRequirement ; dapp:allowedPlace dappi:EuropeanUnion ; dapp:statedBy :owner .
:live a dapp:QualityRequirement ; rdfs:label "Quick"@en ; dapp:constrains dappi:ResponseTime ;
  dapp:operator dappi:AtMost ; dapp:bound 200.0 ; dapp:strictness dappi:Soft .

:cloud a dapp:CentralisedProvider ; rdfs:label "Example Cloud"@en .
:driver a dapp:Driver ; rdfs:label "Driver"@en ; dapp:reaches :cloud .
:north a dapp:Region ; rdfs:label "North"@en ; dapp:within dappi:Country-SE .
:small a dapp:ResourceType ; rdfs:label "small"@en ; dapp:hasPowerModel :power .
:power a dapp:PowerModel ; dapp:idlePower 4.0 ; dapp:peakPower 14.0 .
:slots a dapp:ServiceOffer ; dapp:offersType :small ; dapp:offeredBy :cloud ; dapp:inRegion :north ;
  dapp:hasPrice :price ; dapp:hasCapacityLimit 2 .
:price a dapp:PriceSpecification ; dapp:amount 0.02 ; dapp:currency "EUR" ; dapp:perUnit unit:HR .
:host a dapp:EmulatedHost ; rdfs:label "First host"@en ; dapp:operatedBy :cloud ; dapp:obtainedThrough :slots ;
  dapp:inRegion :north ; dapp:powerCap 30.0 ; dapp:state dappi:Running .

:plan a dapp:Decision ; dapp:purpose "plan" ; dapp:onApplication :shop ; dapp:answers :asked ;
  dapp:atTime "2026-01-01T10:00:00Z"^^xsd:dateTime ;
  dapp:usedState :head ; dapp:chose :placedWeb, :placedLedger ; dapp:solver "HiGHS" ; dapp:solverVersion "1.10" ;
  dapp:seed 0 .
:asked a dapp:DecisionRequest ; dapp:purpose "plan" ; dapp:onApplication :shop .
:head a dapp:GraphHead ; dapp:ofGraph <urn:x> ; dapp:sequence 1 ;
  dapp:headHash "00000000000000000000000000000000000000000000000000000000000000ff" .
:placedWeb a dapp:Placement ; dapp:placesUnit :web ; dapp:onOffer :slots ; dapp:inDecision :plan .
:placedLedger a dapp:Placement ; dapp:placesUnit :ledger ; dapp:onOffer :slots ; dapp:inDecision :plan .
:webRuns a dapp:Deployment ; dapp:ofUnit :web ; dapp:onResource :host ; dapp:realisesPlan :plan ;
  dapp:desiredState dappi:Running ;
  dapp:generation 2 ; dapp:state dappi:Failed ; dapp:since "2026-01-01T10:05:00Z"^^xsd:dateTime ;
  dapp:endpoint "10.0.0.1:8001" .
:ledgerRuns a dapp:Deployment ; dapp:ofUnit :ledger ; dapp:onResource :host ; dapp:desiredState dappi:Running ;
  dapp:generation 1 ; dapp:state dappi:Running .
:ended a dapp:OperationEvent ; dapp:eventKind "process-ended" ; dapp:eventAbout :webRuns ;
  dapp:atTime "2026-01-01T10:05:00Z"^^xsd:dateTime ; dapp:message "<script>alert('x')</script>" .

:silent a dapp:Anomaly ; dapp:ofFeature :webRuns ; dapp:ofMetric dappi:Reachability ; dapp:severity -9.0 ;
  dapp:startedAt "2026-01-01T10:05:00Z"^^xsd:dateTime .
:outage a dapp:Incident ; rdfs:label "Shop is silent"@en ; dapp:involves :silent ;
  dapp:startedAt "2026-01-01T10:05:00Z"^^xsd:dateTime ; dapp:hasHypothesis :hostDown, :webDown .
:hostDown a dapp:RootCauseHypothesis ; dapp:suspects :host ; dapp:ofFaultKind dappi:HostFailure ; dapp:rank 2 ;
  dapp:confidence 0.2 .
:webDown a dapp:RootCauseHypothesis ; dapp:suspects :webRuns ; dapp:ofFaultKind dappi:ProcessFailure ;
  dapp:rank 1 ; dapp:confidence 0.7 .
:again a dapp:RestartAction ; rdfs:label "Restart the web"@en ; dapp:ofIncident :outage ; dapp:targets :webRuns ;
  dapp:actionStatus dappi:CarriedOut ; dapp:hasForecast :helps .
:helps a dapp:Forecast ; dapp:probability 0.9 ; dapp:expectedRecoveryTime 4.0 .
:helped a dapp:Outcome ; dapp:forAction :again ; dapp:scores :helps ; dapp:recovered true ;
  dapp:recoveryTime 6.2 ; dapp:brierScore 0.01 .

:blur a dapp:Function ; rdfs:label "Blur"@en ; dapp:hasVariant :blurArray .
:blurArray a dapp:FunctionVariant ; rdfs:label "Blur in NumPy"@en ; dapp:variantOf :blur ;
  dapp:programmingModel "NumPy" .
:cpu a dapp:AcceleratorDevice ; rdfs:label "Processor"@en ; dapp:onNode :host ; dapp:model :cpuModel .
:cpuModel a dapp:AcceleratorModel ; rdfs:label "Example CPU"@en ; dapp:programmingModel "NumPy" .
:avx a dapp:AcceleratorDevice ; rdfs:label "AVX2 of it"@en ; dapp:onNode :host ; dapp:model dappi:Avx2 .
:measured a dapp:ExecutionProfile ; dapp:ofVariant :blurArray ; dapp:onDevice :cpu ;
  dapp:inBox dappi:ProcessIsolation ; dapp:inputSize 19200 ;
  dapp:executionTime 0.26 ; dapp:sampleCount 9 .
"""


def fill(kb: KnowledgeBase) -> str:
    """Commit the world to graph `world`; the graph's IRI."""
    graph = kb.graph_iri("world")
    with kb.change(graph="world", message="the world") as change:
        change.parse(f"{PREFIXES}@prefix : <{graph}/> .\n{WORLD}")
    return graph


def open_world(home: Any = ":memory:") -> tuple[KnowledgeBase, str]:
    """A knowledge base with the world in it, and its graph."""
    kb = engine.open(home)
    return kb, fill(kb)


@dataclass
class Site:
    """The application and what it shows."""

    kb: KnowledgeBase
    graph: str
    app: Any

    def get(self, path: str, accept: str = "*/*", **headers: str) -> TestResponse:
        sent = {"Accept": accept, **{name.replace("_", "-"): value for name, value in headers.items()}}
        found: TestResponse = self.app.test_client().get(path, headers=sent)
        return found

    def post(self, path: str, data: Any, kind: str, accept: str = "*/*") -> TestResponse:
        client = self.app.test_client()
        found: TestResponse = client.post(path, data=data, content_type=kind, headers={"Accept": accept})
        return found
