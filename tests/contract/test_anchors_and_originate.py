"""Channels that the server makes and dials: RTP, originate, create and dial, Local pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.ari import events
from bridge.lab.waiting import until
from tests.contract.conftest import refusal
from tests.contract.stories import untangled
from tests.support.ids import new_id

if TYPE_CHECKING:
    from tests.contract.conftest import Desk

MEDIA = "WebSocket/INCOMING/c(slin16)"
ANSWERED = ["Up", "Dial ANSWER", "STASISSTATUS", "StasisStart"]
HUNG_UP = ["HangupRequest 32 True", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 16"]


async def originated(desk: Desk, **arguments: str | int) -> str:
    """Ask for a call to a media channel; its id."""
    identity = new_id("out")
    query: dict[str, str | int] = {"endpoint": MEDIA, "channelId": identity, **arguments}
    answer = await desk.connection.request("POST", "channels", query=query)
    assert isinstance(answer, dict)
    assert answer["id"] == identity
    assert answer["state"] == "Down"
    return identity


async def test_media_over_rtp_is_there_at_once(desk: Desk) -> None:
    anchor = await desk.anchor()
    found = await desk.connection.channels.get(channel_id=anchor)
    assert found.name.startswith("UnicastRTP/127.0.0.1:9-0x")
    assert (found.state, found.dialplan.app_name) == ("Up", "Stasis")
    await desk.connection.channels.hangup(channel_id=anchor)
    await desk.tells(["Dial", *ANSWERED, *HUNG_UP], anchor)


async def test_media_over_rtp_that_is_refused(desk: Desk) -> None:
    application = desk.connection.settings.application
    external_media = desk.connection.channels.external_media
    assert await refusal(
        external_media(app=application, external_host="here", format="slin16")
    ) == (400, "external_host must be <host>:<port> for all transports other than websocket")
    assert await refusal(external_media(app=application, external_host="", format="slin16")) == (
        400,
        "external_host is required for all but websocket server connections",
    )
    nobodys = external_media(app=application, external_host="127.0.0.1:9", format="nosuch")
    assert (await refusal(nobodys))[0] == 500


async def test_two_anchors_and_a_party_in_a_bridge(desk: Desk) -> None:
    members = [await desk.anchor(), await desk.anchor(), await desk.party()]
    bridge = await desk.bridge()
    await desk.connection.bridges.add_channel(bridge_id=bridge, channel=members)
    for member in members:
        await desk.wait_for(events.ChannelEnteredBridge, member)
    found = await desk.connection.bridges.get(bridge_id=bridge)
    assert set(found.channels) == set(members)


async def test_originate_to_an_application(desk: Desk) -> None:
    application = desk.connection.settings.application
    identity = await originated(desk, app=application, appArgs="x,y", callerId="Bob <123>")
    await desk.wait_for(events.Dial, identity)
    assert not desk.seen(events.StasisStart, identity)
    await desk.connect(identity)
    await desk.wait_for(events.StasisStart, identity)
    found = await desk.connection.channels.get(channel_id=identity)
    assert (found.caller.name, found.caller.number) == ("Bob", "123")
    assert (found.connected.name, found.connected.number) == ("Bob", "123")
    await desk.tells(["Dial", *ANSWERED[:-1], "StasisStart x y"], identity)


async def test_originate_to_the_dialplan(desk: Desk) -> None:
    application = desk.connection.settings.application
    context = f"stasis-{application}"
    identity = await originated(desk, context=context, extension="1002", priority=1)
    await desk.connect(identity)
    await desk.wait_for(events.StasisStart, identity)
    found = await desk.connection.channels.get(channel_id=identity)
    assert (found.dialplan.context, found.dialplan.exten) == (context, "1002")
    await desk.connection.channels.hangup(channel_id=identity)
    await desk.wait_for(events.StasisEnd, identity)
    await until(lambda: len(desk.story(identity)) >= 3, "all is told")
    # It is not the application's own: neither its dialling nor its end is told.
    assert desk.story(identity) == ["StasisStart", "HangupRequest 32 True", "StasisEnd"]


async def test_originate_to_nowhere(desk: Desk, watch: Desk) -> None:
    identity = await originated(desk, context="nowhere", extension="1", priority=1)
    await desk.connect(identity)
    await watch.wait_line("Destroyed 0", identity)
    assert desk.story(identity) == []


async def test_originate_that_nobody_answers(desk: Desk) -> None:
    identity = await originated(desk, app=desk.connection.settings.application, timeout=1)
    await desk.wait_for(events.ChannelDestroyed, identity)
    assert desk.story(identity) == ["Dial", "Destroyed 19"]


async def test_originate_that_is_given_up(desk: Desk) -> None:
    identity = await originated(desk, app=desk.connection.settings.application)
    await desk.wait_for(events.Dial, identity)
    await desk.connection.channels.hangup(channel_id=identity)
    await desk.wait_for(events.ChannelDestroyed, identity)
    await desk.tells(["Dial", "HangupRequest 32 True", "Dial NOANSWER", "Destroyed 16"], identity)


async def test_originate_that_is_refused(desk: Desk) -> None:
    application = desk.connection.settings.application

    async def asked(**query: str) -> tuple[int, str]:
        return await refusal(desk.connection.request("POST", "channels", query=query))

    assert await asked(endpoint="PJSIP/1003", app=application) == (500, "Allocation failed")
    assert await asked(endpoint="Nothing/1", app=application) == (500, "Allocation failed")
    assert await asked(endpoint="nothing", app=application) == (400, "Invalid endpoint specified")
    missing = (400, "Application or extension must be specified")
    assert await asked(endpoint=MEDIA) == missing


async def test_the_far_side_of_an_originated_channel_leaves(desk: Desk) -> None:
    identity = await originated(desk, app=desk.connection.settings.application)
    await desk.connect(identity)
    await desk.wait_for(events.StasisStart, identity)
    await desk.sockets.pop().close()
    await desk.wait_for(events.ChannelDestroyed, identity)
    end = ["HangupRequest 16 None", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 0"]
    await desk.tells(["Dial", *ANSWERED, *end], identity)


async def created(desk: Desk, endpoint: str = MEDIA, other: str | None = None) -> str:
    identity = new_id("out")
    await desk.connection.channels.create(
        endpoint=endpoint,
        app=desk.connection.settings.application,
        channel_id=identity,
        other_channel_id=other,
    )
    await desk.wait_for(events.StasisStart, identity)
    return identity


CREATED = ["ChannelDialplan Stasis", "STASISSTATUS", "StasisStart"]


async def test_a_created_media_channel_answers_when_it_is_connected_to(desk: Desk) -> None:
    identity = await created(desk)
    await desk.connection.channels.dial(channel_id=identity, timeout=5)
    await desk.wait_for(events.Dial, identity)
    await desk.connect(identity)
    await desk.wait_line("Dial ANSWER", identity)
    again = desk.connection.channels.dial(channel_id=identity, timeout=5)
    assert await refusal(again) == (409, "Channel is not in the 'Down' state")
    await desk.sockets.pop().close()
    await desk.wait_for(events.ChannelDestroyed, identity)
    end = ["HangupRequest 16 None", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 16"]
    answered = ["Dial", "Up", "Dial ANSWER"]
    await desk.tells([*CREATED, *answered, *end], identity)


async def test_a_created_media_channel_that_was_there_before_it_was_dialled(desk: Desk) -> None:
    identity = await created(desk)
    await desk.connect(identity)
    await desk.wait_line("Up", identity)
    late = desk.connection.channels.dial(channel_id=identity, timeout=5)
    assert await refusal(late) == (409, "Channel is not in the 'Down' state")
    assert untangled(desk.story(identity)) == untangled([*CREATED, "Up"])


async def test_a_created_media_channel_that_nobody_connects_to(desk: Desk) -> None:
    identity = await created(desk)
    await desk.connection.channels.dial(channel_id=identity, timeout=1)
    await desk.wait_for(events.ChannelDestroyed, identity)
    end = ["HangupRequest 32 True", "StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 19"]
    await desk.tells([*CREATED, "Dial", *end], identity)


async def test_a_local_pair(desk: Desk) -> None:
    application = desk.connection.settings.application
    other = new_id("other")
    endpoint = f"Local/1002@stasis-{application}"
    identity = await created(desk, endpoint, other)
    found = {channel.id: channel for channel in await desk.connection.channels.list()}
    assert (found[identity].state, found[other].state) == ("Down", "Ring")
    assert found[identity].name.endswith(";1")
    assert found[other].name.endswith(";2")
    await desk.connection.channels.dial(channel_id=identity, timeout=5)
    await desk.wait_for(events.StasisStart, other)
    await desk.connection.channels.answer(channel_id=other)
    await desk.wait_line("Dial ANSWER", identity)
    assert (await desk.connection.channels.get(channel_id=identity)).state == "Up"
    await desk.connection.channels.hangup(channel_id=identity)
    await desk.wait_for(events.StasisEnd, other)
    await desk.wait_for(events.ChannelDestroyed, identity)
    await desk.tells([*CREATED, "Dial", "Up", "Dial ANSWER", *HUNG_UP], identity)
    assert [*desk.story(other)][:2] == ["StasisStart", "Up"]


@pytest.mark.parametrize(
    ("query", "cause"),
    [({}, 16), ({"reason": "busy"}, 17), ({"reason_code": "34"}, 34), ({"reason": "failure"}, 38)],
)
async def test_reasons_of_a_hangup(desk: Desk, query: dict[str, str], cause: int) -> None:
    anchor = await desk.anchor()
    await desk.connection.request("DELETE", f"channels/{anchor}", query=query)
    await desk.wait_line(f"Destroyed {cause}", anchor)


async def test_a_reason_that_there_is_not(desk: Desk) -> None:
    anchor = await desk.anchor()
    wrong = desk.connection.request("DELETE", f"channels/{anchor}", query={"reason": "mood"})
    assert await refusal(wrong) == (400, "Invalid reason for hangup reason provided")


async def test_whoever_leaves_stasis_goes_on_in_the_dialplan(desk: Desk) -> None:
    anchor = await desk.anchor()
    await desk.connection.request(
        "POST",
        f"channels/{anchor}/continue",
        query={"context": f"stasis-{desk.connection.settings.application}", "extension": "again"},
    )
    await until(lambda: desk.story(anchor).count("StasisStart") == 2, "it is back")
    assert desk.story(anchor).index("StasisEnd") > desk.story(anchor).index("StasisStart")
    await desk.connection.request("POST", f"channels/{anchor}/continue")
    await desk.wait_for(events.ChannelDestroyed, anchor)
    assert desk.story(anchor).count("StasisEnd") == 2
    assert "HangupRequest 32 True" not in desk.story(anchor)


async def test_an_application_that_is_not_there(desk: Desk, watch: Desk) -> None:
    identity = new_id("lost")
    await desk.connection.channels.external_media(
        app="nobody", channel_id=identity, external_host="127.0.0.1:9", format="slin16"
    )
    await watch.wait_line("Destroyed 0", identity)
    assert "STASISSTATUS FAILED" in watch.story(identity)
    assert desk.story(identity) == []
