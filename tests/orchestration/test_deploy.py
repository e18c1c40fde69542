"""From a plan to deployments: who goes where, what a new plan changes, and what is said when something cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from deploy_ground import FOLDER, copied, ok, run
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.errors import InputError
from engine.kb import KnowledgeBase
from engine.orchestration.deployments import (
    Deployed,
    HostRow,
    Placement,
    arrange,
    assign,
    deploy,
    migrate,
    restart,
    tail,
    undeploy,
)
from reasoners.vocab import DAPP, DAPPI


@pytest.fixture
def kb(deploy_template: Path, tmp_path: Path) -> Iterator[KnowledgeBase]:
    with engine.open(copied(deploy_template, tmp_path / "home")) as opened:
        yield opened


def application(kb: KnowledgeBase) -> str:
    return str(kb.call("applications")[0])


def made(kb: KnowledgeBase, **options: object) -> dict[str, dict[str, object]]:
    answer = deploy(kb, application(kb), programs=FOLDER, **options)  # type: ignore[arg-type]
    assert not answer["problems"]
    return {d["unit"]: d for d in answer["deployments"]}


# -- pure ------------------------------------------------------------------------------------------------------------
def host(name: str, *offers: str, slots: int = 2, reached: bool = True) -> HostRow:
    return HostRow(name, "p", offers, slots, reached, None, None)


units = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)
fleets = st.lists(
    st.builds(
        lambda n, o, s: host(f"h{n}", o, slots=s), st.integers(0, 4), st.sampled_from(["x", "y"]), st.integers(1, 3)
    ),
    unique_by=lambda h: h.iri, max_size=5,
)  # fmt: skip


@given(units, fleets, st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["h0", "h1", "h2"])), st.data())
def test_no_host_gets_more_than_its_slots_and_nobody_a_wrong_offer(
    names: list[str], fleet: list[HostRow], current: dict[str, str], data: st.DataObject
) -> None:
    placements = [Placement(n, data.draw(st.sampled_from(["x", "y"])), "p") for n in names]
    chosen, problems = assign(placements, fleet, current, {})
    by = {h.iri: h for h in fleet}
    for iri, row in by.items():
        assert list(chosen.values()).count(iri) <= row.slots
    for placement in placements:
        if placement.unit in chosen:
            assert placement.offer in by[chosen[placement.unit]].offers
    assert {p.unit for p in problems} | set(chosen) == set(names)
    again, _ = assign(placements, fleet, chosen, {})
    assert again == chosen, "who is placed stays"
    for placement in placements:  # nobody is refused while a fitting slot is free
        if placement.unit not in chosen:
            fitting = [h for h in fleet if placement.offer in h.offers]
            assert all(list(chosen.values()).count(h.iri) >= h.slots for h in fitting)


def test_units_are_spread_over_the_hosts_of_an_offer() -> None:
    placements = [Placement(n, "x", "p") for n in "abcd"]
    chosen, _ = assign(placements, [host("h1", "x"), host("h2", "x")], {}, {})
    assert sorted(chosen.values()) == ["h1", "h1", "h2", "h2"]
    avoided, _ = assign(placements[:2], [host("h1", "x"), host("h2", "x")], {"a": "h1"}, {}, frozenset({"h1"}))
    assert set(avoided.values()) == {"h2"}


def test_placement_is_told_as_not_available_when_no_driver_reaches_its_provider() -> None:
    _, problems = assign([Placement("a", "x", "https://p/beyond")], [host("h1", "y")], {}, {})
    assert "no driver reaches beyond from here" in problems[0].reason
    _, problems = assign([Placement("a", "x", "https://p/beyond")], [host("h1", "x", reached=False)], {}, {})
    assert "no driver reaches beyond from here" in problems[0].reason
    _, problems = assign([Placement("a", "x", "p")], [host("h1", "x", slots=0)], {}, {})
    assert "full" in problems[0].reason


def test_only_what_changed_gets_a_new_generation() -> None:
    def old(unit: str, on: str, state: str = "Running", digest: str = "d") -> Deployed:
        return Deployed(f"g/deployment/{unit}", unit, "app", on, 3, "Running", "plan-1", "p", "e", digest, state)

    current = [
        old("a", "h1"),
        old("b", "h1"),
        old("c", "h1", "Failed"),
        old("d", "h1", digest="other"),
        old("e", "h1"),
        old("f", "h1"),
    ]
    packages = dict.fromkeys("abcdn", ("p", "e", "d"))
    chosen = {"a": "h1", "b": "h2", "c": "h1", "d": "h1", "n": "h2"}
    found = arrange("g", "app", "plan-2", chosen, packages, current, frozenset({*chosen, "f"}))
    assert dict(found.changes) == {
        "a": "kept", "b": "moved", "c": "restarted", "d": "updated", "e": "stopped", "n": "new",
    }  # fmt: skip
    assert {d.unit: d.generation for d in found.deployments} == {"a": 3, "b": 4, "c": 4, "d": 4, "e": 3, "n": 1}
    assert "f" not in found.changes, "planned and not assignable: it stays as it is"


# -- in the graph ----------------------------------------------------------------------------------------------------
def test_deploy_states_what_should_run_and_why(kb: KnowledgeBase) -> None:
    found = made(kb)
    assert {d["change"] for d in found.values()} == {"new"}
    assert {str(d["host"])[:4] for d in found.values()} == {"near"}, "the cheapest offer"
    assert len({d["host"] for d in found.values()}) == 2, "spread"
    node = ox.NamedNode(str(found["web"]["deployment"]))
    said = {q.predicate: q.object for q in kb.quads(node, graph=kb.graph_iri("operation"))}
    assert said[DAPP.desiredState] == DAPPI.Running
    assert said[DAPP.generation] == ox.Literal(1)
    assert "/decisions/plan-" in said[DAPP.realisesPlan].value  # type: ignore[union-attr]
    digest = kb.quads(said[DAPP.usesPackage], DAPP.digest)[0].object
    assert str(digest.value).startswith("sha256:")  # type: ignore[union-attr]


def test_deploy_again_changes_nothing(kb: KnowledgeBase) -> None:
    made(kb)
    before = kb.info()["head"]
    assert {d["change"] for d in made(kb).values()} == {"kept"}
    assert kb.info()["head"] == before


def test_deploy_writes_nothing_when_it_is_a_dry_run(kb: KnowledgeBase) -> None:
    before = kb.info()["head"]
    assert made(kb, dry_run=True)["web"]["change"] == "new"
    assert kb.info()["head"] == before


def test_undeployed_deployment_is_started_in_a_new_generation_when_deployed_again(kb: KnowledgeBase) -> None:
    made(kb)
    assert len(undeploy(kb)["deployments"]) == 3
    assert undeploy(kb)["deployments"] == []
    assert {(d["change"], d["generation"]) for d in made(kb).values()} == {("restarted", 2)}


def test_restart_and_migrate_raise_the_generation(kb: KnowledgeBase) -> None:
    web = str(made(kb)["web"]["deployment"])
    assert restart(kb, web)["deployments"][0]["generation"] == 2
    far = next(
        h for h in kb.select("SELECT ?h WHERE { ?h a dapp:EmulatedHost } ORDER BY ?h") if str(h[0]).endswith("far-1>")
    )
    moved = migrate(kb, web, far[0].value)["deployments"][0]  # type: ignore[union-attr]
    assert (moved["generation"], moved["host"], moved["change"]) == (3, "far-1", "moved")
    assert "migrate web from near" in kb.log(1)[0]["message"]


def test_mistakes_are_told_with_what_was_meant(kb: KnowledgeBase) -> None:
    with pytest.raises(InputError, match="no such application"):
        deploy(kb, "https://example.org/nothing")
    web = str(made(kb)["web"]["deployment"])
    with pytest.raises(InputError, match="web"):
        restart(kb, web.replace("web", "wed"))
    with pytest.raises(InputError, match="no driver reaches a host"):
        migrate(kb, web, "https://example.org/nowhere")


def test_missing_program_is_told_and_the_others_are_deployed(kb: KnowledgeBase, tmp_path: Path) -> None:
    answer = deploy(kb, application(kb), programs=tmp_path)
    assert len(answer["problems"]) == 3
    assert "there is no program" in answer["problems"][0]["reason"]
    assert answer["deployments"] == []


def test_changed_program_is_deployed_as_an_update(kb: KnowledgeBase, tmp_path: Path) -> None:
    made(kb)
    (tmp_path / "unit_program.py").write_text((FOLDER / "unit_program.py").read_text() + "# changed\n")
    answer = deploy(kb, application(kb), programs=tmp_path)
    assert {(d["change"], d["generation"]) for d in answer["deployments"]} == {("updated", 2)}
    package = kb.quads(None, DAPP.usesPackage)[0].object
    assert len(kb.quads(package, DAPP.digest)) == 1, "the old digest is taken back"


def test_program_that_is_not_what_its_maker_published_is_not_deployed(kb: KnowledgeBase) -> None:
    package = next(q.subject for q in kb.quads(None, DAPP.entryPoint) if tail(q.subject.value) == "web-program")
    kb.commit("shop", [ox.Triple(package, DAPP.digest, ox.Literal("sha256:" + "0" * 64))], message="published")
    answer = deploy(kb, application(kb), programs=FOLDER)
    assert [p["unit"] for p in answer["problems"]] == ["web"]
    assert "not the one its package names" in answer["problems"][0]["reason"]


def test_new_plan_moves_only_what_changed(kb: KnowledgeBase, tmp_path: Path) -> None:
    first = made(kb)
    home = Path(str(kb.home))
    text = (home.parent / "rule.rq").as_posix()
    Path(text).write_text(
        "# Title: Web must be far\n# Question: Which offers must web not take?\n# Purpose: plan\n"
        "# Heads: dapp:excludedFor\n# Inputs: application\n# Returns: offer\n# Source: a test\n"
        "PREFIX dapp: <https://w3id.org/dappops#>\n"
        "CONSTRUCT { ?offer dapp:excludedFor ?unit } WHERE {\n"
        "  ?unit a dapp:ServiceUnit . FILTER (STRENDS(STR(?unit), '/web'))\n"
        "  ?offer dapp:offeredBy ?provider . FILTER (STRENDS(STR(?provider), '/near'))\n}\n"
    )
    ok(home, "commit", Path(text))
    ok(home, "plan", "shop")
    second = made(kb)
    assert second["web"]["change"] == "moved"
    assert str(second["web"]["host"]).startswith("far")
    assert {second[u]["change"] for u in ("basket", "stock")} == {"kept"}
    assert {u: second[u]["host"] for u in ("basket", "stock")} == {u: first[u]["host"] for u in ("basket", "stock")}


def test_plan_for_an_unreached_provider_is_told_by_the_command(deploy_template: Path, tmp_path: Path) -> None:
    home = copied(deploy_template, tmp_path / "home")
    with engine.open(home) as kb:
        graph = kb.graph_iri("hosts")
        gone = [q.triple for q in kb.quads(None, DAPP.reaches, ox.NamedNode(f"{graph}/near"), graph)]
        kb.commit("hosts", [], gone, message="the driver does not reach near any more")
    code, answer, _ = run(home, "deploy", "shop", "--dry-run", "--programs", FOLDER)
    assert code == 1
    assert len(answer["problems"]) == 3
    assert "no driver reaches near from here" in answer["problems"][0]["reason"]
