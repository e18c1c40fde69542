"""Changes that callers sign themselves: nothing is written before, and only what was signed is written after."""

from __future__ import annotations

from typing import Any

import pyoxigraph as ox
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from identity_world import World

from engine.graph.keys import Key
from engine.server.caller import Caller
from engine.server.identity.writes import author_for
from engine.server.problem import Problem
from engine.server.settings import Settings
from reasoners.vocab import RDFS

LABEL = str(RDFS.label)


def begun(world: World, key: Key, **said: Any) -> dict[str, Any]:
    answer = world.ask("POST", "/api/changes", said, token=world.token(key))
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def signed(change: dict[str, Any], key: Key) -> dict[str, str]:
    return {s["digest"]: "0x" + key.sign(bytes.fromhex(s["digest"][2:])).hex() for s in change["sign"]}


def finished(world: World, key: Key, change: dict[str, Any], signatures: Any) -> Any:
    return world.ask("POST", f"/api/changes/{change['id']}", {"signatures": signatures}, token=world.token(key))


def held(world: World, graph: str) -> set[str]:
    return {f"{q.subject} {q.predicate} {q.object}" for q in world.kb.quads(graph=graph)}


def test_new_graph_is_made_and_written_by_signatures_made_elsewhere(world: World) -> None:
    graph = world.graph(world.far, "first")
    before = world.kb.info()["head"]
    change = begun(world, world.far, graph="first", add=f'<{graph}/x> {LABEL} "one", "two" .', message="mine")
    assert [s["purpose"] for s in change["sign"]] == ["genesis", "commit"]
    assert (change["added"], change["removed"]) == (2, 0)
    assert world.kb.info()["head"] == before
    assert graph not in {g["iri"] for g in world.kb.info()["graphs"]}, "nothing is written before it is signed"
    answer = finished(world, world.far, change, signed(change, world.far))
    assert answer.status_code == 200, answer.text
    assert len(held(world, graph)) == 2
    assert world.kb.log(1)[0]["commits"][0]["author"] == world.far.address
    assert world.kb.call("verify")
    assert finished(world, world.far, change, signed(change, world.far)).status_code == 404, "a change counts once"


def test_typed_data_is_what_a_wallet_signs(world: World) -> None:
    graph = world.graph(world.far, "wallet")
    first = begun(world, world.far, graph="wallet", add=f'<{graph}/x> {LABEL} "one" .')
    assert finished(world, world.far, first, signed(first, world.far)).status_code == 200
    change = begun(world, world.far, graph="wallet", add=f'<{graph}/x> {LABEL} "two" .', expires=4_000_000_000)
    (wanted,) = change["sign"]
    message = encode_typed_data(full_message=wanted["typedData"])
    account = Account.from_key(world.far.private.secret)
    signature = account.sign_message(message).signature.hex()
    answer = finished(world, world.far, change, {wanted["digest"]: signature})
    assert answer.status_code == 200, answer.text
    assert world.kb.log(1)[0]["commits"][0]["expires"] == 4_000_000_000


def test_change_is_refused_when_the_graph_moved(world: World) -> None:
    graph = world.graph(world.far, "moves")
    one = begun(world, world.far, graph="moves", add=f'<{graph}/x> {LABEL} "one" .')
    two = begun(world, world.far, graph="moves", add=f'<{graph}/x> {LABEL} "two" .')
    assert finished(world, world.far, one, signed(one, world.far)).status_code == 200
    answer = finished(world, world.far, two, signed(two, world.far))
    assert answer.status_code == 409
    assert answer.get_json()["moved"][0]["graph"] == graph
    three = begun(world, world.far, graph="moves", add=f'<{graph}/x> {LABEL} "three" .')
    four = begun(world, world.far, graph="moves", remove=f'<{graph}/x> {LABEL} "one" .')
    assert finished(world, world.far, four, signed(four, world.far)).status_code == 200
    assert finished(world, world.far, three, signed(three, world.far)).status_code == 409
    assert held(world, graph) == set()


def test_signatures_of_others_or_none_write_nothing(world: World) -> None:
    graph = world.graph(world.far, "guarded")
    change = begun(world, world.far, graph="guarded", add=f'<{graph}/x> {LABEL} "one" .')
    right = signed(change, world.far)
    for wrong in ({}, signed(change, world.other), dict.fromkeys(right, "0x" + "00" * 65), dict.fromkeys(right, "zz")):
        assert finished(world, world.far, change, wrong).status_code in (400, 422), wrong
        assert held(world, graph) == set()
    assert graph not in {g["iri"] for g in world.kb.info()["graphs"]}
    assert finished(world, world.other, change, right).status_code == 404, "another's change is not there"
    assert world.ask("GET", f"/api/changes/{change['id']}", token=world.token(world.other)).status_code == 404
    assert (
        world.ask("GET", f"/api/changes/{change['id']}", token=world.token(world.far)).get_json()["sign"]
        == change["sign"]
    )
    assert (
        finished(world, world.far, change, [{"digest": d, "signature": s} for d, s in right.items()]).status_code == 200
    )


def test_change_the_gate_refuses_is_told_with_its_report_before_it_is_signed(world: World) -> None:
    graph = world.graph(world.far, "offers")
    before = world.kb.info()["graphs"], len(world.kb.quads())
    answer = world.ask(
        "POST", "/api/changes", {"graph": "offers", "add": f"<{graph}/o> a <https://w3id.org/dappops#ServiceOffer> ."},
        token=world.token(world.far),
    )  # fmt: skip
    assert answer.status_code == 422
    assert answer.get_json()["violations"] >= 1
    assert answer.get_json()["report"]
    assert (world.kb.info()["graphs"], len(world.kb.quads())) == before, "what was tried was taken back"


def test_another_graph_is_refused_whether_it_is_there_or_not(world: World) -> None:
    texts = []
    for name in ("first", "absent"):
        graph = world.graph(world.far, name)
        answer = world.ask(
            "POST",
            "/api/changes",
            {"graph": graph, "add": f'<{graph}/x> {LABEL} "x" .'},
            token=world.token(world.other),
        )
        assert answer.status_code == 403
        texts.append(answer.text.replace(graph, ""))
    assert texts[0] == texts[1]


def test_whole_content_replaces_what_was_there(world: World) -> None:
    graph = world.graph(world.far, "whole")
    one = begun(world, world.far, graph="whole", content=f'<{graph}/x> {LABEL} "one" ; <urn:p> [ <urn:q> 1 ] .')
    assert finished(world, world.far, one, signed(one, world.far)).status_code == 200
    assert len(held(world, graph)) == 3
    same = world.ask(
        "POST", "/api/changes", {"graph": "whole", "content": f'<{graph}/x> {LABEL} "one" ; <urn:p> [ <urn:q> 1 ] .'},
        token=world.token(world.far),
    )  # fmt: skip
    assert same.get_json()["sign"] == [], "what is there already is no change"
    two = begun(world, world.far, graph="whole", content=f'<{graph}/x> {LABEL} "two" .')
    assert finished(world, world.far, two, signed(two, world.far)).status_code == 200
    assert len(held(world, graph)) == 1


def test_private_graph_is_made_by_its_owner_elsewhere(world: World) -> None:
    graph = world.graph(world.far, "journal")
    change = begun(world, world.far, graph="journal", add=f'<{graph}/x> {LABEL} "secret" .', audience="private")
    salt = next(iter(change["sign"]))["digest"]
    assert salt == change["parents"][graph], "what is told of a new graph is its genesis, never the salt of its leaves"
    assert finished(world, world.far, change, signed(change, world.far)).status_code == 200
    assert {g["iri"]: g["audience"] for g in world.kb.info()["graphs"]}[graph] == "private"
    assert world.kb.call("verify")
    asked = world.ask(
        "PUT", "/api/permissions", {"graph": graph, "readers": [world.other.address]}, token=world.token(world.far)
    )
    assert asked.status_code == 202, "the owner has to sign who reads it"
    told = asked.get_json()
    assert finished(world, world.far, told, signed(told, world.far)).status_code == 200
    readers = world.ask("GET", f"/api/permissions?graph={graph}", token=world.token(world.far)).get_json()["readers"]
    assert readers == [world.other.address]
    assert [
        g["graph"] for g in world.ask("GET", "/api/permissions", token=world.token(world.other)).get_json()["graphs"]
    ] == [graph]


def test_number_of_changes_that_wait_is_bounded(world: World) -> None:
    graph, token = world.graph(world.other, "many"), world.token(world.other)
    made = []
    for number in range(40):
        answer = world.ask(
            "POST", "/api/changes", {"graph": "many", "add": f'<{graph}/x> {LABEL} "{number}" .'}, token=token
        )
        if answer.status_code != 201:
            break
        made.append(answer.get_json()["id"])
    assert answer.status_code == 429
    assert len(made) == 16
    for each in made:
        assert world.ask("DELETE", f"/api/changes/{each}", token=token).status_code == 204
    assert world.ask("DELETE", f"/api/changes/{made[0]}", token=token).status_code == 404


@pytest.mark.parametrize(
    "said",
    [
        {}, {"graph": "x"}, {"graph": 7, "add": ""}, {"graph": "x", "add": "no turtle"}, {"graph": "x", "add": "", "content": ""},
        {"graph": "x", "add": "", "surprise": 1}, {"graph": "x", "add": "", "format": "word"}, {"graph": "x", "add": "", "expires": 1},
        {"graph": "x", "add": "", "expires": "soon"}, {"graph": "X Y", "add": ""}, {"graph": "x", "add": "", "audience": "friends"},
        {"graph": "x", "add": "", "message": "m" * 3000}, {"graph": "policy", "add": "", "audience": "private"},
    ],
)  # fmt: skip
def test_bodies_that_say_no_change_are_refused(world: World, said: dict[str, Any]) -> None:
    answer = world.ask("POST", "/api/changes", said, token=world.token(world.far))
    assert answer.status_code in (400, 422), answer.text
    assert answer.get_json()["detail"]


def test_who_has_not_signed_in_begins_no_change(world: World) -> None:
    assert world.ask("POST", "/api/changes", {"graph": "x", "add": ""}).status_code == 401


# -- who signs at once -------------------------------------------------------------------------------------------------
def test_node_signs_only_for_whom_it_may() -> None:
    node, held, far = ("0x" + d * 40 for d in "abc")
    info = {"node": node, "keys": [node, held]}
    home, public = Settings(home="/x"), Settings(home="/x", public=True)
    assert author_for(Caller(), home, info) == node
    assert author_for(Caller(), Settings(home="/x", author=held), info) == held
    assert author_for(Caller(held), home, info) == held
    assert author_for(Caller(held), Settings(home="/x", public=True, author=held), info) == held
    for caller, settings, status in (
        (Caller(), public, 401), (Caller(), Settings(home="/x", public=True, author=held), 401), (Caller(far), home, 403),
        (Caller(held), public, 403), (Caller(far), public, 403),
    ):  # fmt: skip
        with pytest.raises(Problem) as refused:
            author_for(caller, settings, info)
        assert refused.value.status == status


def test_signed_graph_statements_are_queryable_triples(world: World) -> None:
    graph = world.graph(world.far, "first")
    assert all(isinstance(q, ox.Quad) for q in world.kb.quads(graph=graph))
