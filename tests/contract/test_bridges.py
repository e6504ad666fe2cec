"""Bridges and their events: the fake and the real server must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.ari import events
from tests.contract.conftest import refusal
from tests.support.ids import new_id

if TYPE_CHECKING:
    from tests.contract.conftest import Desk


async def bridge(desk: Desk, kind: str = "mixing") -> str:
    made = await desk.connection.bridges.create_with_id(
        bridge_id=new_id("bridge"), type=kind, name="a name"
    )
    return made.id


@pytest.mark.parametrize(
    ("kind", "bridge_type", "technology"),
    [
        ("mixing", "mixing", "simple_bridge"),
        ("mixing,video_sfu", "mixing", "softmix"),
        ("holding", "holding", "holding_bridge"),
    ],
)
async def test_kinds(desk: Desk, kind: str, bridge_type: str, technology: str) -> None:
    identity = await bridge(desk, kind)
    found = await desk.connection.bridges.get(bridge_id=identity)
    assert (found.bridge_type, found.technology, found.name) == (bridge_type, technology, "a name")
    assert found.channels == ()


async def test_duplicate_id(desk: Desk) -> None:
    identity = await bridge(desk)
    again = desk.connection.bridges.create_with_id(bridge_id=identity, type="mixing")
    assert await refusal(again) == (409, f"Bridge with id '{identity}' already exists")


async def test_unknown_bridge(desk: Desk) -> None:
    bridges = desk.connection.bridges
    unknown = (404, "Bridge not found")
    assert await refusal(bridges.get(bridge_id="none")) == unknown
    assert await refusal(bridges.destroy(bridge_id="none")) == unknown
    assert await refusal(bridges.add_channel(bridge_id="none", channel="x")) == unknown
    assert await refusal(bridges.remove_channel(bridge_id="none", channel="x")) == unknown


async def test_enter_move_and_leave(desk: Desk) -> None:
    party = await desk.party()
    first, second = await bridge(desk), await bridge(desk)
    bridges = desk.connection.bridges
    await bridges.add_channel(bridge_id=first, channel=party)
    await desk.wait_for(events.ChannelEnteredBridge, first)
    assert (await bridges.get(bridge_id=first)).channels == (party,)
    await bridges.add_channel(bridge_id=second, channel=party)
    await desk.wait_for(events.ChannelEnteredBridge, second)
    assert desk.seen(events.ChannelLeftBridge, first)
    assert (await bridges.get(bridge_id=first)).channels == ()
    wrong = bridges.remove_channel(bridge_id=first, channel=party)
    assert await refusal(wrong) == (422, "Channel not in this bridge")
    await bridges.remove_channel(bridge_id=second, channel=party)
    await desk.wait_for(events.ChannelLeftBridge, second)
    assert (await bridges.get(bridge_id=second)).channels == ()


async def test_two_channels_at_once(desk: Desk) -> None:
    one, two = await desk.party(), await desk.party()
    identity = await bridge(desk)
    await desk.connection.bridges.add_channel(bridge_id=identity, channel=[one, two])
    await desk.wait_for(events.ChannelEnteredBridge, one)
    await desk.wait_for(events.ChannelEnteredBridge, two)
    found = await desk.connection.bridges.get(bridge_id=identity)
    assert set(found.channels) == {one, two}


async def test_who_cannot_be_added(desk: Desk) -> None:
    identity = await bridge(desk)
    waiting = await desk.waiting_channel()
    bridges = desk.connection.bridges
    nobody = bridges.add_channel(bridge_id=identity, channel="nobody")
    assert await refusal(nobody) == (400, "Channel not found")
    outside = bridges.add_channel(bridge_id=identity, channel=waiting)
    assert await refusal(outside) == (422, "Channel not in Stasis application")


async def test_destroy_is_told_to_who_asked(desk: Desk) -> None:
    party = await desk.party()
    asked, unasked = await bridge(desk), await bridge(desk)
    application = desk.connection.settings.application
    await desk.connection.applications.subscribe(
        application_name=application, event_source=f"bridge:{asked}"
    )
    for identity in (unasked, asked):
        await desk.connection.bridges.add_channel(bridge_id=identity, channel=party)
        await desk.wait_for(events.ChannelEnteredBridge, identity)
        await desk.connection.bridges.destroy(bridge_id=identity)
    await desk.wait_for(events.BridgeDestroyed, asked)
    # A channel that leaves by command takes the subscription that it brought along.
    assert not desk.seen(events.BridgeDestroyed, unasked)


async def test_destroy_is_told_after_a_hangup_within(desk: Desk) -> None:
    party = await desk.party()
    identity = await bridge(desk)
    await desk.connection.bridges.add_channel(bridge_id=identity, channel=party)
    await desk.connection.channels.hangup(channel_id=party)
    await desk.wait_for(events.ChannelDestroyed, party)
    await desk.connection.bridges.destroy(bridge_id=identity)
    await desk.wait_for(events.BridgeDestroyed, identity)


async def test_destroy_lets_the_channels_stay(desk: Desk) -> None:
    party = await desk.party()
    identity = await bridge(desk)
    await desk.connection.bridges.add_channel(bridge_id=identity, channel=party)
    await desk.wait_for(events.ChannelEnteredBridge, identity)
    await desk.connection.bridges.destroy(bridge_id=identity)
    await desk.wait_for(events.ChannelLeftBridge, identity)
    assert (await desk.connection.channels.get(channel_id=party)).state == "Up"
    assert not desk.seen(events.StasisEnd, party)
    again = desk.connection.bridges.destroy(bridge_id=identity)
    assert await refusal(again) == (404, "Bridge not found")


async def test_hangup_leaves_the_bridge_first(desk: Desk) -> None:
    party = await desk.party()
    identity = await bridge(desk)
    await desk.connection.bridges.add_channel(bridge_id=identity, channel=party)
    await desk.wait_for(events.ChannelEnteredBridge, identity)
    await desk.connection.channels.hangup(channel_id=party)
    await desk.wait_for(events.ChannelDestroyed, party)
    about = [type(e).__name__ for e in desk.events if party in e.channel_ids()]
    kept = [n for n in about if n in {"ChannelLeftBridge", "StasisEnd", "ChannelDestroyed"}]
    assert kept == ["ChannelLeftBridge", "StasisEnd", "ChannelDestroyed"]
    assert (await desk.connection.bridges.get(bridge_id=identity)).channels == ()
