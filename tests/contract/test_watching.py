"""What an application hears that watches everything and owns nothing: fake and real must agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.ari import AriConnection, events
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.contract.conftest import fresh_name, refusal, watcher
from tests.contract.stories import story, untangled
from tests.support.ids import new_id
from tests.support.pbx import until_true

if TYPE_CHECKING:
    from tests.contract.conftest import Desk

OUTGOING = ["ChannelCreated", "ChannelDialplan AppDial2", "Dial"]
UP = ["Up", "Dial ANSWER", "STASISSTATUS"]
HUNG_UP = ["HangupRequest 32 True", "STASISSTATUS SUCCESS", "Destroyed 16"]


async def snoop(desk: Desk, target: str) -> str:
    identity = new_id("snoop")
    await desk.connection.channels.snoop_channel_with_id(
        channel_id=target,
        snoop_id=identity,
        app=desk.connection.settings.application,
        spy="in",
        whisper="out",
    )
    await desk.wait_for(events.StasisStart, identity)
    return identity


async def test_the_life_of_another_applications_channel(desk: Desk, watch: Desk) -> None:
    anchor = await desk.anchor()
    await desk.connection.channels.hangup(channel_id=anchor)
    await watch.wait_for(events.ChannelDestroyed, anchor)
    # Neither StasisStart nor StasisEnd: these are for the application that it is in.
    assert untangled(watch.story(anchor)) == untangled([*OUTGOING, *UP, *HUNG_UP])


async def test_the_life_of_a_bridge(desk: Desk, watch: Desk) -> None:
    party = await desk.party()
    bridge, other = await desk.bridge(), await desk.bridge("holding")
    bridges = desk.connection.bridges
    await bridges.add_channel(bridge_id=bridge, channel=party)
    await desk.wait_for(events.ChannelEnteredBridge, party)
    await bridges.add_channel(bridge_id=other, channel=party)
    await watch.wait_line("ChannelEnteredBridge", other)
    await bridges.destroy(bridge_id=other)
    await bridges.destroy(bridge_id=bridge)
    for destroyed in (other, bridge):
        await watch.wait_for(events.BridgeDestroyed, destroyed)
    life = ["BridgeCreated", "ChannelEnteredBridge", "ChannelLeftBridge", "BridgeDestroyed"]
    assert watch.story(bridge) == life
    assert watch.story(other) == life
    assert [line for line in desk.story(bridge) if line.startswith("Bridge")] == []


async def test_the_life_of_a_snoop(desk: Desk, watch: Desk) -> None:
    party = await desk.party()
    identity = await snoop(desk, party)
    await desk.connection.channels.hangup(channel_id=identity)
    await watch.wait_line("STASISSTATUS SUCCESS", identity)
    begin = ["ChannelCreated", "ChannelDialplan Stasis", "STASISSTATUS"]
    assert watch.story(identity) == [*begin, *HUNG_UP[:-1]]
    # Its end comes when its target is heard, and is not told to its own application.
    for _ in range(5):
        await desk.sockets[-1].send_bytes(b"\0" * 640)
    await watch.wait_for(events.ChannelDestroyed, identity)
    assert watch.story(identity) == [*begin, *HUNG_UP]
    await desk.wait_for(events.StasisEnd, identity)
    assert desk.story(identity) == ["StasisStart", "HangupRequest 32 True", "StasisEnd"]


async def test_a_target_goes_after_its_snoops(desk: Desk, watch: Desk) -> None:
    party = await desk.party()
    one = await snoop(desk, party)
    other = await snoop(desk, one)
    bridge = await desk.bridge()
    await desk.connection.bridges.add_channel(bridge_id=bridge, channel=one)
    await desk.wait_for(events.ChannelEnteredBridge, one)
    await desk.connection.channels.hangup(channel_id=party)
    for channel in (party, one, other):
        await watch.wait_for(events.ChannelDestroyed, channel)

    def told() -> list[str]:
        return [
            identity
            for event in desk.events
            if isinstance(event, events.StasisEnd | events.ChannelDestroyed)
            for identity in event.channel_ids()
        ]

    # Whoever watches may be told before the owner is.
    await until(lambda: len(told()) == 4, "all ends are told")
    ends = told()
    assert ends in ([party, one, party, other], [party, one, other, party])
    # Nobody asked for their end: they went with their target.
    assert "HangupRequest 32 True" not in watch.story(one)
    assert "ChannelLeftBridge" in desk.story(one)


async def test_an_event_filter(desk: Desk, watch: Desk) -> None:
    applications = watch.connection.applications
    name = watch.connection.settings.application
    wanted = [{"type": "ChannelCreated"}, {"type": "ChannelDestroyed"}, {"type": "RESTResponse"}]
    found = await applications.filter(application_name=name, filter={"allowed": wanted})
    assert sorted(str(e) for e in found.events_allowed) == sorted(str(e) for e in wanted)
    anchor = await desk.anchor()
    await desk.connection.channels.hangup(channel_id=anchor)
    await watch.wait_for(events.ChannelDestroyed, anchor)
    assert watch.story(anchor) == ["ChannelCreated", "Destroyed 16"]
    found = await applications.filter(
        application_name=name, filter={"disallowed": [{"type": "ChannelCreated"}]}
    )
    assert len(found.events_allowed) == 3
    assert found.events_disallowed == ({"type": "ChannelCreated"},)
    anchor = await desk.anchor()
    await desk.connection.channels.hangup(channel_id=anchor)
    await watch.wait_for(events.ChannelDestroyed, anchor)
    assert watch.story(anchor) == ["Destroyed 16"]
    found = await applications.filter(application_name=name, filter={})
    assert (found.events_allowed, found.events_disallowed) == ((), ())


async def test_a_filter_is_for_answers_too(desk: Desk, watch: Desk) -> None:
    name = watch.connection.settings.application
    # By plain REST: the answer on the WebSocket would not come.
    assert watch.connection._socket is not None
    watch.connection._socket.carries_rest = False
    await watch.connection.applications.filter(
        application_name=name, filter={"allowed": [{"type": "ChannelCreated"}]}
    )
    assert await watch.connection._socket.probe(0.2) is False
    await watch.connection.applications.filter(application_name=name, filter={})
    assert await watch.connection._socket.probe(2.0) is True
    assert desk.story() == []


async def test_filters_that_are_wrong(watch: Desk) -> None:
    request = watch.connection.request
    path = f"applications/{watch.connection.settings.application}/eventFilter"
    wrong = (400, "Invalid format definition")
    assert await refusal(request("PUT", path, body={"allowed": "all"})) == wrong
    assert await refusal(request("PUT", path, body={"allowed": [{"kind": "x"}]})) == wrong
    nobody = request("PUT", "applications/nobody/eventFilter", body={"allowed": []})
    assert await refusal(nobody) == (404, "Application not found")


async def test_what_applications_are_subscribed_to(desk: Desk, watch: Desk) -> None:
    anchor, bridge = await desk.anchor(), await desk.bridge()
    applications = desk.connection.applications
    own, other = desk.connection.settings.application, watch.connection.settings.application
    found = {a.name: a for a in await applications.list()}
    assert set(found) >= {own, other}
    assert found[own].channel_ids == (anchor,)
    assert found[own].bridge_ids == ()
    assert found[other].channel_ids == ("__AST_CHANNEL_ALL_TOPIC",)
    assert found[other].bridge_ids == ("__AST_BRIDGE_ALL_TOPIC",)
    assert found[other].endpoint_ids == found[other].device_names == ()
    for source in (f"bridge:{bridge}", "endpoint:PJSIP/1001"):
        await applications.subscribe(application_name=own, event_source=source)
    assert (await applications.get(application_name=own)).bridge_ids == (bridge,)
    assert (await applications.get(application_name=own)).endpoint_ids == ("PJSIP/1001",)
    for source in (f"bridge:{bridge}", "endpoint:PJSIP/1001"):
        await applications.unsubscribe(application_name=own, event_source=source)
    assert (await applications.get(application_name=own)).bridge_ids == ()


async def test_subscriptions_that_are_refused(desk: Desk) -> None:
    applications = desk.connection.applications
    own = desk.connection.settings.application

    async def refused(source: str, name: str = own) -> tuple[int, str]:
        return await refusal(applications.subscribe(application_name=name, event_source=source))

    absent = (422, "Event source does not exist")
    assert await refused("channel:nobody") == absent
    assert await refused("bridge:none") == absent
    assert await refused("endpoint:PJSIP/4711") == absent
    assert await refused("nonsense:x") == (400, "Invalid event source URI scheme")
    assert await refused("bridge:none", "nobody") == (404, "Application not found")
    not_there = applications.unsubscribe(application_name=own, event_source="bridge:none")
    assert await refusal(not_there) == (422, "Event source was not subscribed to")


async def test_a_watcher_that_leaves_is_forgotten(desk: Desk) -> None:
    third = await watcher(desk.connection.settings)
    name = third.connection.settings.application
    await third.connection.applications.filter(
        application_name=name,
        filter={"allowed": [{"type": "ChannelCreated"}, {"type": "RESTResponse"}]},
    )
    await third.connection.close()
    await forgotten(desk, name)
    again = AriConnection(third.connection.settings, on_event=lambda _: None)
    await again.open()
    # What it wanted to hear of is forgotten too: it has to say so again.
    found = await again.applications.get(application_name=name)
    assert (found.channel_ids, found.events_allowed) == ((), ())
    await again.close()


async def test_subscribing_to_all_at_once(desk: Desk) -> None:
    settings = replace(desk.connection.settings, application=fresh_name(), subscribe_all=True)
    told: list[events.AnyMessage] = []
    connection = AriConnection(settings, on_event=told.append)
    await connection.open()
    found = await connection.applications.get(application_name=settings.application)
    assert found.channel_ids == ("__AST_CHANNEL_ALL_TOPIC",)
    assert found.bridge_ids == ("__AST_BRIDGE_ALL_TOPIC",)
    assert found.endpoint_ids == ("__AST_ENDPOINT_ALL_TOPIC",)
    assert found.device_names == ("__AST_DEVICE_STATE_ALL_TOPIC",)
    anchor = await desk.anchor()
    await until(
        lambda: untangled(story(told, anchor)) == untangled([*OUTGOING, *UP]), "all is told"
    )
    await connection.close()


async def forgotten(desk: Desk, name: str) -> None:
    async def unknown() -> bool:
        try:
            await desk.connection.applications.get(application_name=name)
        except RequestFailedError as error:
            if error.reason != "Application not found":
                raise
            return True
        return False

    await until_true(unknown, f"{name} is forgotten")
