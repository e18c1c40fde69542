"""The client of the name registry on the embedded chain: rights, expiry, grace, and what is not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from engine.ledger import naming
from engine.ledger.chain import Reverted
from engine.ledger.naming.names import GRACE

if TYPE_CHECKING:
    from tests.naming.conftest import Place

DAY = 86400


def test_name_resolves_before_and_after_a_unit_moved(place: Place) -> None:
    connected = place.connected
    naming.register(connected, place.alice, "moving.live", endpoints=["https://127.0.0.1:1/"], operator=place.bob)
    before = naming.resolve(connected, "moving.live", clock=place.clock)
    naming.move(connected, place.bob, "moving.live", ["https://127.0.0.2:2/", "https://127.0.0.3:2/"])
    after = naming.resolve(connected, "moving.live", clock=place.clock)
    assert before.endpoints == ("https://127.0.0.1:1/",)
    assert after.endpoints == ("https://127.0.0.2:2/", "https://127.0.0.3:2/")
    assert after.version == before.version + 1
    assert after.block > before.block
    assert [e.kind for e in naming.events(connected, "moving.live")] == [
        "NameRegistered", "OperatorChanged", "EndpointsChanged", "EndpointsChanged",
    ]  # fmt: skip


def test_move_sends_nothing_when_nothing_changed(place: Place) -> None:
    naming.register(place.connected, place.alice, "same.live", endpoints=["https://127.0.0.1/"])
    head = place.connected.chain.header().number
    assert naming.move(place.connected, place.alice, "same.live", ["https://127.0.0.1/", "https://127.0.0.1/"]) is None
    assert place.connected.chain.header().number == head


def test_operator_may_only_move_when_others_are_asked_for(place: Place) -> None:
    connected = place.connected
    naming.register(connected, place.alice, "rights.live", operator=place.bob, duration=30 * DAY)
    for attempt in (
        lambda: naming.renew(connected, place.bob, "rights.live", DAY),
        lambda: naming.transfer(connected, place.bob, "rights.live", place.bob),
        lambda: naming.set_operator(connected, place.bob, "rights.live", None),
    ):
        with pytest.raises(Reverted, match="NotAllowed") as caught:
            attempt()
        assert "owner" in caught.value.remedy
    naming.set_operator(connected, place.alice, "rights.live", None)
    with pytest.raises(Reverted, match="NotAllowed"):
        naming.move(connected, place.bob, "rights.live", ["https://127.0.0.1/"])
    naming.transfer(connected, place.alice, "rights.live", place.bob)
    assert naming.record(connected, "rights.live").owner == place.bob


def test_name_is_free_only_after_expiry_and_grace(place: Place) -> None:
    connected, clock = place.connected, place.clock
    naming.register(connected, place.alice, "short.live", endpoints=["https://127.0.0.1/"], duration=2 * DAY)
    with pytest.raises(Reverted, match="NameTaken") as caught:
        naming.register(connected, place.bob, "short.live")
    assert "expires 20" in caught.value.message
    assert caught.value.error == "NameTaken"
    clock.now += 2 * DAY
    # the chain made no block meanwhile, but the name has expired all the same
    with pytest.raises(InputError, match="expired"):
        naming.resolve(connected, "short.live", clock=clock)
    with pytest.raises(Reverted, match="NameTaken"):
        naming.register(connected, place.bob, "short.live")
    naming.renew(connected, place.alice, "short.live", DAY)
    assert naming.resolve(connected, "short.live", clock=clock).endpoints == ("https://127.0.0.1/",)
    clock.now += DAY + GRACE + 1
    assert naming.record(connected, "short.live", clock=clock).free
    naming.register(connected, place.bob, "short.live", duration=2 * DAY)
    found = naming.record(connected, "short.live", clock=clock)
    assert (found.owner, found.version, found.endpoints) == (place.bob, 2, ())
    assert "short.live" in naming.names(connected, owner=place.bob)


def test_unknown_name_comes_with_the_nearest_one(place: Place) -> None:
    naming.register(place.connected, place.alice, "festival.live")
    with pytest.raises(InputError, match=r"did you mean 'festival\.live'"):
        naming.resolve(place.connected, "festivle.live")


@pytest.mark.parametrize("duration", [0, 3599, 3650 * DAY + 1, 2**64])
def test_register_sends_nothing_when_duration_is_out_of_bounds(place: Place, duration: int) -> None:
    head = place.connected.chain.header().number
    with pytest.raises(InputError, match="no duration"):
        naming.register(place.connected, place.alice, "bounds.live", duration=duration)
    assert place.connected.chain.header().number == head
