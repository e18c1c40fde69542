"""The rehearsal on its hosts: the plan uses what was meant to be used and survives what the story can break."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

import engine
from engine.describe import local_rule, read_files
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
HOSTS = ("stage-edge", "city-fog-1", "city-fog-2", "atlantic-1", "atlantic-2", "meseta-1", "meseta-2")
PROVIDERS = ("harbour-edge", "tagus-fog", "atlantic-cloud", "meseta-cloud")
FORGIVING = """# Title: Nobody is remembered
# Purpose: plan
# Heads: dapp:excludedFor
# Supersedes: dappr:plan-provider-record
CONSTRUCT { ?offer dapp:excludedFor ?application }
WHERE { ?application dapp:hasUnit ?unit . ?offer dapp:offeredBy ?provider . FILTER (false) }
"""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with the hosts and the rehearsal."""
    home = tmp_path_factory.mktemp("rehearsal") / "home"
    with engine.open(home) as opened:
        for name, graph in (("hosts.yaml", "hosts"), ("crowd-rehearsal.yaml", "rehearsal")):
            (read,) = read_files([EXAMPLES / name], graph=opened.graph_iri(graph))
            opened.commit(graph, read.triples, [], message=name)
    return home


@pytest.fixture(scope="module")
def kb(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.KnowledgeBase]:
    """The rehearsal with everything that the roles agreed on: whoever survives under that, survives without."""
    home = Path(shutil.copytree(described, tmp_path_factory.mktemp("agreed") / "home"))
    with engine.open(home) as opened:
        names = ("developer", "editor", "operator", "privacy-officer", "viewer", "resolution")
        paths = [EXAMPLES / "proposals" / f"{n}.yaml" for n in names]
        files = [{"name": p.name, "text": p.read_text()} for p in paths]
        application = opened.graph_iri("rehearsal") + "/crowd-rehearsal"
        agreed = opened.call("consider_proposals", application=application, proposals=files, commit=True)
        assert agreed["committed"]
        yield opened


def plan(kb: engine.KnowledgeBase) -> dict[str, Any]:
    found: dict[str, Any] = kb.call("plan", application=kb.graph_iri("rehearsal") + "/crowd-rehearsal", dry_run=True)
    return found


def thing(kb: engine.KnowledgeBase, name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{kb.graph_iri('hosts')}/{name}")


def incident(kb: engine.KnowledgeBase, provider: str, days: float = 1) -> list[ox.Triple]:
    node = ox.NamedNode(kb.graph_iri("operation") + "/incident/1")
    when = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        ox.Triple(node, RDF.type, DAPP.Incident),
        ox.Triple(node, DAPP.attributedTo, thing(kb, provider)),
        ox.Triple(node, DAPP.startedAt, ox.Literal(when, datatype=XSD.dateTime)),
        ox.Triple(node, DAPP.detectedAt, ox.Literal(when, datatype=XSD.dateTime)),
        ox.Triple(node, DAPP.involves, ox.NamedNode(kb.graph_iri("operation") + "/anomaly/1")),
    ]


def test_plan_spreads_over_every_provider_and_keeps_to_every_host(kb: engine.KnowledgeBase, described: Path) -> None:
    with engine.open(described) as before:
        good(plan(before))
    good(plan(kb))


def good(made: dict[str, Any]) -> None:
    assert made["status"] == "optimal"
    assert {p["provider"] for p in made["placements"]} == {
        "Harbour Edge",
        "Tagus Fog",
        "Atlantic Cloud",
        "Meseta Cloud",
    }
    assert len(made["hosts"]) >= 4
    assert sum(len(h["units"]) for h in made["hosts"]) == 12
    for host in made["hosts"]:
        for use in host["uses"]:
            assert use["bound"] is None or use["used"] <= use["bound"]
    assert all(p["seconds"] <= 20 for p in made["provisioning"])
    (relay,) = [p for p in made["placements"] if p["unit"]["label"] == "Venue relay"]
    assert relay["provider"] == "Harbour Edge"
    assert {u["reason"] for u in made["unchecked"]} <= {
        "it constrains no metric and names no place",
        "its metric names no dapp:valueProperty: only measurements in operation can tell",
    }
    assert made["notes"] == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_plan_avoids_any_provider_that_failed_lately(kb: engine.KnowledgeBase, provider: str) -> None:
    triples = incident(kb, provider)
    kb.commit("operation", triples, [], message="incident")
    try:
        made = plan(kb)
        assert made["status"] == "optimal"
        avoided = f"/{provider}"
        assert not any(p["offer"] in offers_of(kb, provider) for p in made["placements"]), avoided
        assert any(r["iri"].endswith("plan-provider-record") for r in made["rules"])
    finally:
        kb.commit("operation", [], triples, message="taken back")


def offers_of(kb: engine.KnowledgeBase, provider: str) -> set[str]:
    rows = kb.select(f"SELECT ?offer WHERE {{ ?offer dapp:offeredBy <{thing(kb, provider).value}> }} ORDER BY ?offer")
    return {r[0].value for r in rows}  # type: ignore[union-attr]


@pytest.mark.parametrize("host", HOSTS)
def test_plan_does_without_any_host_that_is_down(kb: engine.KnowledgeBase, host: str) -> None:
    down = [ox.Triple(thing(kb, host), DAPP.state, DAPPI.Failed)]
    kb.commit("operation", down, [], message="down")
    try:
        made = plan(kb)
        assert made["status"] == "optimal"
        assert host not in {h["host"]["iri"].rsplit("/", 1)[-1] for h in made["hosts"]}
    finally:
        kb.commit("operation", [], down, message="up")


def test_provider_returns_when_the_rule_that_reads_its_record_is_superseded(
    kb: engine.KnowledgeBase, tmp_path: Path
) -> None:
    triples = incident(kb, "atlantic-cloud")
    kb.commit("operation", triples, [], message="incident")
    before = plan(kb)
    (tmp_path / "forgiving.rq").write_text(FORGIVING)
    rule = local_rule(tmp_path / "forgiving.rq", kb.graph_iri("policy"))
    kb.commit("policy", rule, [], message="forgive")
    after = plan(kb)
    kb.commit("policy", [], rule, message="remember")
    again = plan(kb)
    kb.commit("operation", [], triples, message="taken back")
    mine = offers_of(kb, "atlantic-cloud")
    assert [any(p["offer"] in mine for p in m["placements"]) for m in (before, after, again)] == [False, True, False]


def test_incident_is_forgotten_after_the_window(kb: engine.KnowledgeBase) -> None:
    triples = incident(kb, "atlantic-cloud", days=31)
    kb.commit("operation", triples, [], message="incident")
    made = plan(kb)
    kb.commit("operation", [], triples, message="taken back")
    assert any(p["offer"] in offers_of(kb, "atlantic-cloud") for p in made["placements"])


def test_hosts_can_be_published_by_each_provider_under_a_key_of_its_own(tmp_path: Path) -> None:
    # subjects of each provider's part move to that provider's graph; links between parts are references only
    shutil.copy(EXAMPLES / "hosts.yaml", tmp_path / "hosts.yaml")
    (read,) = read_files([tmp_path / "hosts.yaml"], graph="https://w3id.org/dappops/g/0x" + "ab" * 20 + "/hosts")
    owner: dict[str, str] = {}
    for triple in read.triples:
        if triple.predicate in (DAPP.offeredBy, DAPP.operatedBy) and isinstance(triple.object, ox.NamedNode):
            assert owner.setdefault(str(triple.subject), triple.object.value) == triple.object.value
    assert {v.rsplit("/", 1)[-1] for v in owner.values()} == set(PROVIDERS)
    for triple in read.triples:
        if triple.predicate in (DAPP.obtainedThrough, DAPP.inRegion) and str(triple.subject) in owner:
            assert owner[str(triple.object)] == owner[str(triple.subject)]
