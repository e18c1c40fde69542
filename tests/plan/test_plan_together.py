"""Proposals of several roles on the rehearsal: tried in memory, told by role, file and line, kept as a decision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.cli import main
from engine.describe import DescriptionError, read_files
from engine.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "examples/crowd-rehearsal.yaml"
HOSTS = ROOT / "examples/hosts.yaml"
PROPOSALS = ROOT / "examples/proposals"
ROLES = ("developer", "editor", "operator", "privacy-officer", "viewer")
AT_ODDS = {"faces-stay", "provable-change", "fast-change"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with the hosts and the rehearsal."""
    home = tmp_path_factory.mktemp("together") / "home"
    with engine.open(home) as kb:
        for path, graph in ((HOSTS, "hosts"), (BASE, "rehearsal")):
            (read,) = read_files([path], graph=kb.graph_iri(graph))
            kb.commit(graph, read.triples, [], message=path.name)
    return home


@pytest.fixture(scope="module")
def kb(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.KnowledgeBase]:
    """A knowledge base for tests that commit findings only."""
    home = shutil.copytree(template, tmp_path_factory.mktemp("together") / "copy")
    with engine.open(Path(home)) as opened:
        yield opened


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Iterator[engine.KnowledgeBase]:
    """A knowledge base for one test that changes the application."""
    with engine.open(Path(shutil.copytree(template, tmp_path / "home"))) as opened:
        yield opened


def files(*names: str) -> list[dict[str, str]]:
    return [{"name": f"proposals/{n}.yaml", "text": (PROPOSALS / f"{n}.yaml").read_text()} for n in names]


def written(name: str, *items: str) -> dict[str, str]:
    """A proposal of some items, each a YAML flow map."""
    return {"name": name, "text": "dappops: 1\ncatalogue:\n" + "".join(f"  - {i}\n" for i in items)}


def bound(ident: str, role: str, subject: str, metric: str, operator: str, value: str) -> str:
    return (
        f"{{id: {ident}, type: CapabilityRequirement, name: {ident}, onSubject: {subject}, constrains: {metric},"
        f" operator: {operator}, bound: {value}, strictness: Hard, statedBy: {role}}}"
    )


def ask(kb: engine.KnowledgeBase, *proposals: dict[str, str], **more: Any) -> dict[str, Any]:
    application = kb.graph_iri("rehearsal") + "/crowd-rehearsal"
    found: dict[str, Any] = kb.call("consider_proposals", application=application, proposals=list(proposals), **more)
    return found


def ids(members: list[dict[str, Any]]) -> set[str]:
    return {m["requirement"]["iri"].rsplit("/", 1)[-1] for m in members}


def test_planted_conflict_is_told_by_role_file_and_line(kb: engine.KnowledgeBase) -> None:
    before = len(list(kb.quads(graph=kb.graph_iri("rehearsal"))))
    found = ask(kb, *files(*ROLES))
    (conflict,) = found["conflicts"]
    assert not found["possible"]
    assert ids(conflict["members"]) == AT_ODDS
    assert conflict["roles"] == ["developer", "editor", "privacy-officer"]
    for member in conflict["members"]:
        line = (PROPOSALS / Path(member["file"]).name).read_text().splitlines()[member["line"] - 1]
        assert member["requirement"]["iri"].endswith(line.split("id: ")[1])
        assert member["place"] == f"{member['file']}:{member['line']}"
        assert f"{member['role']} ({member['place']}) wants Transcoder" in conflict["text"]
    assert ids(found["innocent"]) == {"consent-stays", "recommender-memory", "consents-first", "short-way"}
    assert all(w["possible"] and len(w["placements"]) == 1 for w in conflict["ways"])
    assert [w["nearest"] for w in conflict["ways"] if w["without"]["role"] == "developer"] == [["0.4 GHz"]]
    assert len(list(kb.quads(graph=kb.graph_iri("rehearsal")))) == before


def test_each_two_of_the_planted_conflict_can_be_met(kb: engine.KnowledgeBase) -> None:
    three = ("developer", "editor", "privacy-officer")
    for left_out in three:
        found = ask(kb, *files(*(n for n in three if n != left_out)), record=False)
        assert found["possible"]
        assert found["conflicts"] == []
        assert found["decision"] is None


def test_finding_is_kept_as_a_decision_that_tells_roles_and_places(kb: engine.KnowledgeBase) -> None:
    found = ask(kb, *files(*ROLES))
    rows = kb.select(
        f"""SELECT ?member ?role ?at WHERE {{
          <{found["decision"]}> dapp:purpose "program" ; dapp:hasConflict ?set .
          ?set dapp:member ?member ; dapp:relaxation ?way .
          ?member dapp:sourceLocation ?at ; dapp:statedBy ?role
        }} ORDER BY ?member"""
    )
    told = {(r[0].value.rsplit("/", 1)[-1], r[1].value.rsplit("/", 1)[-1], r[2].value) for r in rows}
    assert told == {
        ("faces-stay", "privacy-officer", "proposals/privacy-officer.yaml:5"),
        ("fast-change", "developer", "proposals/developer.yaml:5"),
        ("provable-change", "editor", "proposals/editor.yaml:5"),
    }
    reasons = kb.call("why", decision=found["decision"])
    assert [c["members"][0]["label"] for u in reasons["units"] for c in u["conflicts"]] == [
        "Pictures with faces stay near"
    ]


def test_resolution_is_committed_with_a_message_that_says_what_it_resolves(own: engine.KnowledgeBase) -> None:
    conflict = ask(own, *files(*ROLES))
    nothing = ask(own, *files(*ROLES), commit=True, record=False)
    assert nothing["committed"] is None
    done = ask(own, *files(*ROLES, "resolution"), commit=True)
    assert done["possible"]
    message = next(t["message"] for t in own.call("log") if t["sequence"] == done["committed"]["sequence"])
    assert "agree" in message
    assert conflict["decision"].rsplit("/", 1)[-1] in message
    assert own.call("findings") == []
    made = own.call("plan", application=done["application"]["iri"], dry_run=True)
    (transcoder,) = [p for p in made["placements"] if p["unit"]["label"] == "Transcoder"]
    assert transcoder["provider"] in ("Atlantic Cloud", "Meseta Cloud")
    again = ask(own, *files("resolution"), commit=True, message="once more", record=False)
    assert again["committed"]["added"] == 0


def test_three_ways_apart_are_two_conflicts_when_units_differ(kb: engine.KnowledgeBase) -> None:
    more = written("more.yaml", bound("huge", "editor", "media-store", "MemorySize", "AtLeast", "64"))
    found = ask(kb, *files(*ROLES), more, record=False)
    assert {frozenset(ids(c["members"])) for c in found["conflicts"]} == {frozenset(AT_ODDS), frozenset({"huge"})}


@pytest.mark.parametrize("roles", [("editor", "developer"), ("developer", "developer")])
def test_contradicting_bounds_are_at_odds_whoever_states_them(kb: engine.KnowledgeBase, roles: tuple[str, str]) -> None:
    found = ask(
        kb,
        written("one.yaml", bound("fast", roles[0], "composer", "ClockFrequency", "AtLeast", "0.5")),
        written("two.yaml", bound("slow", roles[1], "composer", "ClockFrequency", "AtMost", "0.45")),
        record=False,
    )
    (conflict,) = found["conflicts"]
    assert ids(conflict["members"]) == {"fast", "slow"}
    assert conflict["roles"] == sorted(set(roles))
    assert {m["file"] for m in conflict["members"]} == {"one.yaml", "two.yaml"}


def test_room_is_the_reason_when_demands_ask_for_too_many_slots(kb: engine.KnowledgeBase) -> None:
    names = "ingest transcoder composer media-store event-knowledge stream-monitor consent-registry story-recommender"
    places = [
        f"{{id: home-{u}, type: PlacementRequirement, name: home {u}, onSubject: {u}, allowedPlace: PT, strictness: Hard,"
        " statedBy: organiser}"
        for u in names.split()
    ]
    found = ask(kb, written("home.yaml", *places), record=False)
    # five slots in the city and three within the stage's power cap; the player gateway is bound to the country already
    (conflict,) = found["conflicts"]
    assert conflict["units"] == []
    assert ids(conflict["members"]) == {f"home-{u}" for u in names.split()} | {"player-gateway.placement"}
    assert conflict["roles"] == ["organiser"]
    assert ask(kb, written("home.yaml", *places[:-1]), record=False)["possible"]


def test_demand_of_the_application_itself_is_named_when_a_proposal_breaks_on_it(kb: engine.KnowledgeBase) -> None:
    abroad = (
        "{id: abroad, type: PlacementRequirement, name: Players abroad, onSubject: player-gateway, allowedPlace: ES,"
        " strictness: Hard, statedBy: viewer}"
    )
    found = ask(kb, written("abroad.yaml", abroad), base={"name": "base.yaml", "text": BASE.read_text()}, record=False)
    (conflict,) = found["conflicts"]
    assert ids(conflict["members"]) == {"abroad", "player-gateway.placement"}
    (committed,) = [m for m in conflict["members"] if not m["proposed"]]
    assert (committed["file"], committed["role"]) == ("base.yaml", "organiser")
    assert "placement" in BASE.read_text().splitlines()[committed["line"] - 1]


def test_later_proposal_replaces_what_an_earlier_one_says(kb: engine.KnowledgeBase) -> None:
    hard = bound("clock", "developer", "composer", "ClockFrequency", "AtLeast", "9")
    soft = bound("clock", "developer", "composer", "ClockFrequency", "AtLeast", "0.5")
    found = ask(kb, written("hard.yaml", hard), written("soft.yaml", soft), record=False)
    assert found["possible"]
    assert [len(f["demands"]) for f in found["files"]] == [0, 1]


def test_mistakes_of_all_files_are_told_at_once(kb: engine.KnowledgeBase) -> None:
    with pytest.raises(DescriptionError) as caught:
        ask(
            kb,
            written("unit.yaml", "{id: transcoder, type: FunctionalUnit, name: Mine}"),
            written(
                "nobody.yaml",
                bound("x", "editor", "composer", "VcpuCount", "AtLeast", "1").replace(", statedBy: editor", ""),
            ),
            written("typo.yaml", bound("y", "editor", "composr", "VcpuCount", "AtLeast", "1")),
        )
    told = {(m.file, m.line, m.rule) for m in caught.value.mistakes}
    assert told == {("unit.yaml", 3, "proposal"), ("nobody.yaml", 3, "proposal"), ("typo.yaml", 3, "unknown-reference")}


def test_shape_violations_are_told_with_their_line(kb: engine.KnowledgeBase) -> None:
    both = (
        "{id: both, type: PlacementRequirement, name: Both, onSubject: composer, allowedPlace: PT, forbiddenPlace: PT,"
        " strictness: Hard, statedBy: editor}"
    )
    with pytest.raises(DescriptionError) as caught:
        ask(kb, written("both.yaml", both))
    assert [(m.file, m.line) for m in caught.value.mistakes] == [("both.yaml", 3)]


def test_proposals_need_an_application_that_is_described(kb: engine.KnowledgeBase) -> None:
    with pytest.raises(InputError, match="no such application"):
        kb.call("consider_proposals", application="https://example.org/none", proposals=files("editor"))
    with pytest.raises(InputError, match="no proposals"):
        ask(kb)


def command(capsys: pytest.CaptureFixture[str], home: Path, *args: str) -> tuple[int | str | None, str]:
    with pytest.raises(SystemExit) as left:
        main(["--home", str(home), *args])
    return left.value.code, capsys.readouterr().out


def test_command_tells_conflict_and_agreement_by_exit_code(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path(shutil.copytree(template, tmp_path / "home"))
    paths = [str(PROPOSALS / f"{n}.yaml") for n in ROLES]
    code, out = command(capsys, home, "check", "--together", str(BASE), *paths)
    assert code == 1
    assert f"{PROPOSALS}/editor.yaml:5: editor wants Transcoder" in out
    assert "gives way" in out
    last = str(PROPOSALS / "resolution.yaml")
    code, out = command(capsys, home, "--json", "check", "--together", str(BASE), *paths, last)
    assert (code, json.loads(out)["possible"]) == (0, True)
    assert command(capsys, home, "check", "--together", str(BASE))[0] == 2
