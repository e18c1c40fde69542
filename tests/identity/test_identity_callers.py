"""From headers to callers: cheap while nothing changed, exact when it did."""

from __future__ import annotations

import asyncio
from typing import Any

import pyoxigraph as ox
from identity_world import World

import engine
from engine.server.identity.callers import Callers, caller_of
from engine.server.settings import Settings
from reasoners.vocab import DAPP, RDFS


class Counted:
    """The knowledge base, and how often it was asked."""

    def __init__(self, world: World) -> None:
        self.world, self.asked = world, 0

    def __call__(self, method: str, **params: Any) -> Any:
        self.asked += 1
        return self.world.kb.call(method, **params)


def test_audience_is_asked_for_once_and_again_when_a_right_may_have_changed(world: World) -> None:
    call = Counted(world)
    callers = Callers(Settings(home=str(world.home)), call)
    headers = {"authorization": f"Bearer {world.token(world.far)}"}
    graph, kb, owner = world.graph(world.held, "shared"), world.kb, world.held.address
    for _ in range(5):
        assert callers.of(headers, "127.0.0.1").audience == "public"
    assert call.asked == 1
    kb.commit(
        world.graph(world.held, "open"), [ox.Triple(ox.NamedNode("urn:x"), RDFS.label, ox.Literal("x"))], author=owner
    )
    assert callers.of(headers, "127.0.0.1").audience == "public"
    assert call.asked == 1, "public commits change nobody's rights"
    kb.call("make_graph", graph=graph, author=owner, audience="private")
    listed = ox.Triple(
        ox.NamedNode(graph), DAPP.readableBy, ox.NamedNode(f"{kb.info()['base']}/g/{world.far.address}/anything")
    )
    kb.commit(graph, [listed], author=owner)
    key = callers.of(headers, "127.0.0.1").audience
    assert key == kb.call("audience", reader=owner)["key"] != "public"
    asked = call.asked
    assert callers.of(headers, "127.0.0.1").audience == key
    assert call.asked == asked
    with engine.open(world.home) as client:  # another process's connection would do the same
        client.commit(graph, [], [listed], author=owner)
    assert callers.of(headers, "127.0.0.1").audience == "public"


def test_anonymous_caller_costs_no_question(world: World) -> None:
    call = Counted(world)
    callers = Callers(Settings(home=str(world.home), proxy="10.0.0.9"), call)
    assert callers.of({"host": "localhost"}, "192.0.2.1").name == "192.0.2.1"
    assert callers.of({"x-forwarded-for": "198.51.100.1, 203.0.113.7"}, "10.0.0.9").name == "203.0.113.7"
    assert callers.of({"x-forwarded-for": "203.0.113.7"}, "10.0.0.8").name == "10.0.0.8", (
        "only the stated proxy is believed"
    )
    assert call.asked == 0


def test_caller_is_resolved_beside_an_event_loop_and_from_wsgi(world: World) -> None:
    callers = Callers(Settings(home=str(world.home)), world.kb.call)
    token = world.token(world.other)
    headers = {"Authorization": f"Bearer {token}"}
    found = asyncio.run(callers.resolve(headers, "127.0.0.1"))
    assert found.address == world.other.address
    assert asyncio.run(callers.resolve({}, "127.0.0.1")).address == ""
    environ = {"HTTP_AUTHORIZATION": f"Bearer {token}", "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET"}
    assert caller_of(environ, callers) == found
    assert found.token
    assert found.token not in token
