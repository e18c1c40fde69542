"""One chain and one knowledge base for each module: an application with consent, readings and shares."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyoxigraph as ox
import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

import engine
from engine.graph.keys import Key, KeyRing
from engine.kb import KnowledgeBase
from engine.ledger import home
from engine.ledger.chain import Message, Wei, lower
from engine.ledger.home import Connected

APPLICATION = """
@prefix dapp: <https://w3id.org/dappops#> .
@prefix dappi: <https://w3id.org/dappops/id#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix : <{main}/> .
:box a dapp:QualityCriticalApplication ; rdfs:label "Cold box" ; dapp:hasUnit :sensor, :audit ;
  dapp:hasRequirement :fair, :consent, :warm, :cold, :quick ;
  dapp:hasDataFlow :told, :noted ;
  dapp:hasOperationModel :model ; dapp:hasRole :carrier, :clinic, :office .
:sensor a dapp:InfrastructureUnit ; rdfs:label "Sensor" ; dapp:dependsOn :audit .
:audit a dapp:TrustUnit ; rdfs:label "Audit" ; dapp:hasRequirement :audited .
:audited a dapp:CapabilityRequirement ; dapp:onSubject :audit ; dapp:constrains dappi:TrustTechnology ;
  dapp:operator dappi:OneOf ; dapp:bound dappi:Tpm2 .
:told a dapp:DataFlow ; dapp:from :sensor ; dapp:to :audit ; dapp:rate 2.0 ; dapp:volume 0.0002 ; dapp:dataCategory dappi:PersonalData .
:noted a dapp:DataFlow ; dapp:from :audit ; dapp:to :sensor ; dapp:rate 0.001 ; dapp:volume 0.0002 ; dapp:dataCategory dappi:PublicData .
:fair a dapp:EthicalRequirement ; rdfs:label "Fair and open"@en ; dapp:keepsPrinciple dappi:Fairness, dappi:Transparency .
:consent a dapp:PrivacyRequirement ; rdfs:label "Consent"@en ; dapp:legalBasis "consent, Article 6(1)(a)" ;
  dapp:retentionPeriod 30.0 ; dapp:protectsCategory dappi:PersonalData .
:warm a dapp:QualityRequirement ; rdfs:label "Not too warm"@en ;
  dapp:constrains dappi:Temperature ; dapp:operator dappi:AtMost ; dapp:bound 8.0 .
:cold a dapp:QualityRequirement ; rdfs:label "Not too cold"@en ;
  dapp:constrains dappi:Temperature ; dapp:operator dappi:AtLeast ; dapp:bound 2.5 .
:quick a dapp:QualityRequirement ; rdfs:label "Quick"@en ; dapp:constrains dappi:FrameRate ; dapp:operator dappi:AtLeast ; dapp:bound 8.0 .
:model a dapp:OperationModel ; dapp:decentralisation "federated" ; dapp:incentiveModel "who carries is paid" .
:carrier a dapp:StakeholderRole ; rdfs:label "Carrier" ; dapp:holdsViewpoint dappi:EnterpriseViewpoint ; dapp:playedBy :alpine .
:clinic a dapp:StakeholderRole ; rdfs:label "Clinic" ; dapp:holdsViewpoint dappi:EnterpriseViewpoint ; dapp:playedBy :hospital .
:office a dapp:StakeholderRole ; rdfs:label "Office" ; dapp:holdsViewpoint dappi:EnterpriseViewpoint ; dapp:playedBy :authority .
:alpine a dapp:Participant ; rdfs:label "Alpine" ; dapp:account "{alpine}" .
:hospital a dapp:Participant ; rdfs:label "Hospital" ; dapp:account "{hospital}" .
:authority a dapp:Participant ; rdfs:label "Authority" ; dapp:account "{authority}" .
"""


@dataclass
class Clock:
    """Unix seconds that only the test moves."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """A knowledge base with its chain. The node holds the keys of two of the three members."""

    kb: KnowledgeBase
    connected: Connected
    members: tuple[str, ...]
    outside: Key
    application: str
    clock: Clock

    @property
    def keys(self) -> KeyRing:
        assert self.kb.home is not None
        return KeyRing(self.kb.home / "keys")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for each module."""
    folder = tmp_path_factory.mktemp("application")
    with engine.open(folder / "home") as kb:
        assert kb.home is not None
        keys, main = KeyRing(kb.home / "keys"), kb.graph_iri("main")
        hospital, outside = keys.create().address, KeyRing(folder / "elsewhere").create()
        text = APPLICATION.format(main=main, alpine=kb.author, hospital=hospital, authority=outside.address)
        kb.commit(main, triples(text), message="a cold box")
        clock = Clock(float(int(time.time())))
        with home.ensure(kb.home, keys, kb.author, clock=clock) as connected:
            connected.chain.send(Message(lower(kb.author), lower(hospital), value=Wei(10**18)))
            yield Place(kb, connected, (kb.author, hospital, outside.address), outside, f"{main}/box", clock)


def triples(text: str) -> list[ox.Triple]:
    """Turtle as triples."""
    return [quad.triple for quad in ox.parse(text, format=ox.RdfFormat.TURTLE)]
