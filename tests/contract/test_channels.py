"""Channels, snoops and their events: the fake and the real server must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.ari import events
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.contract.conftest import refusal
from tests.support.ids import new_id
from tests.support.pbx import until_true

if TYPE_CHECKING:
    from tests.contract.conftest import Desk


async def snoop(desk: Desk, target: str, identity: str, **directions: str) -> str:
    channel = await desk.connection.request(
        "POST",
        f"channels/{target}/snoop/{identity}",
        query={"app": desk.connection.settings.application, "appArgs": "a,b", **directions},
    )
    assert isinstance(channel, dict)
    return str(channel["id"])


async def test_ids_are_ours(desk: Desk) -> None:
    party = await desk.party()
    found = await desk.connection.channels.list()
    assert [channel.id for channel in found] == [party]


async def test_media_channel_enters_stasis_when_its_socket_is_there(desk: Desk) -> None:
    waiting = await desk.waiting_channel()
    assert not desk.seen(events.StasisStart, waiting)
    party = await desk.party()
    start = next(e for e in desk.events if isinstance(e, events.StasisStart))
    assert start.channel.id == party
    assert start.channel.state == "Up"
    assert start.args == ()
    assert not desk.seen(events.StasisStart, waiting)


async def test_unknown_channel(desk: Desk) -> None:
    channels = desk.connection.channels
    assert await refusal(channels.get(channel_id="nobody")) == (404, "Channel not found")
    assert await refusal(channels.get(channel_id="no body/at%all")) == (404, "Channel not found")
    assert await refusal(channels.answer(channel_id="nobody")) == (404, "Channel not found")
    assert await refusal(channels.hangup(channel_id="nobody")) == (404, "Channel not found")
    assert await refusal(channels.mute(channel_id="nobody")) == (404, "Channel not found")


async def test_unknown_resource_and_method(desk: Desk) -> None:
    request = desk.connection.request
    assert await refusal(request("GET", "nowhere/at/all")) == (404, "Resource not found")
    assert await refusal(request("PUT", "channels")) == (405, "Invalid method")


async def test_error_names_method_resource_and_reason(desk: Desk) -> None:
    with pytest.raises(RequestFailedError) as caught:
        await desk.connection.channels.get(channel_id="nobody")
    error = caught.value
    assert (error.method, error.resource) == ("GET", "channels/nobody")
    assert error.error_message == "GET channels/nobody: 404 Channel not found"


async def test_hangup_ends_stasis_and_destroys(desk: Desk) -> None:
    party = await desk.party()
    await desk.connection.channels.hangup(channel_id=party)
    await desk.wait_for(events.ChannelDestroyed, party)
    ended = [type(e).__name__ for e in desk.events if party in e.channel_ids()]
    order = [n for n in ended if n in {"ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"}]
    assert order == ["ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"]
    destroyed = next(e for e in desk.events if isinstance(e, events.ChannelDestroyed))
    assert (destroyed.cause, destroyed.cause_txt) == (16, "Normal Clearing")


async def test_snoop_is_in_stasis_and_up(desk: Desk) -> None:
    party = await desk.party()
    identity = await snoop(desk, party, new_id("snoop"), spy="in", whisper="out")
    await desk.wait_for(events.StasisStart, identity)
    start = next(
        e for e in desk.events if isinstance(e, events.StasisStart) and e.channel.id == identity
    )
    assert start.args == ("a", "b")
    assert start.channel.state == "Up"
    assert start.channel.name.startswith(f"Snoop/{party}-")


async def test_a_deleted_snoop_is_listed_until_its_target_is_heard(desk: Desk) -> None:
    party = await desk.party()
    identity = await snoop(desk, party, new_id("snoop"), spy="in")
    await desk.wait_for(events.StasisStart, identity)
    channels = desk.connection.channels
    await channels.hangup(channel_id=identity)
    await desk.wait_for(events.StasisEnd, identity)
    # The party has sent no frame: the snoop takes no command any more, but it is still listed.
    for _ in range(3):
        assert await refusal(channels.hangup(channel_id=identity)) == (404, "Channel not found")
        assert await refusal(channels.mute(channel_id=identity)) == (404, "Channel not found")
        assert (await channels.get(channel_id=identity)).id == identity
        assert identity in [channel.id for channel in await channels.list()]
    for _ in range(5):
        await desk.sockets[-1].send_bytes(b"\0" * 640)
    await gone(desk, identity)
    await channels.hangup(channel_id=party)
    await desk.wait_for(events.ChannelDestroyed, party)
    assert not desk.seen(events.ChannelDestroyed, identity)


async def gone(desk: Desk, identity: str) -> None:
    """Return when the server does not know the channel any more: deleting is asynchronous."""

    async def unlisted() -> bool:
        return identity not in [c.id for c in await desk.connection.channels.list()]

    await until_true(unlisted, f"{identity} is gone")
    assert (await refusal(desk.connection.channels.get(channel_id=identity)))[0] == 404


async def test_snoop_refusals(desk: Desk) -> None:
    party = await desk.party()
    fresh = new_id("snoop")
    assert await refusal(snoop(desk, "nobody", fresh, spy="in")) == (
        404,
        "Provided channel was not found",
    )
    assert await refusal(snoop(desk, party, fresh)) == (
        400,
        "Direction must be specified for at least spy or whisper",
    )
    # A taken id is not tried: 22.10.1 answers 500 and leaks a channel that stops its shutdown.


async def test_snoop_ends_with_its_target(desk: Desk) -> None:
    party = await desk.party()
    identity = await snoop(desk, party, new_id("snoop"), whisper="out")
    await desk.wait_for(events.StasisStart, identity)
    await desk.connection.channels.hangup(channel_id=party)
    await desk.wait_for(events.StasisEnd, identity)
    await gone(desk, identity)


async def test_mute_and_unmute_are_idempotent(desk: Desk) -> None:
    party = await desk.party()
    channels = desk.connection.channels
    for direction in ("in", "out", "both"):
        assert (
            await desk.connection.request(
                "POST", f"channels/{party}/mute", query={"direction": direction}
            )
            is None
        )
    await channels.mute(channel_id=party, direction="out")
    await channels.unmute(channel_id=party, direction="out")
    await channels.unmute(channel_id=party, direction="out")
    wrong = desk.connection.request("POST", f"channels/{party}/mute", query={"direction": "x"})
    assert await refusal(wrong) == (400, "Invalid direction specified")


async def test_a_channel_outside_stasis_takes_no_command(desk: Desk) -> None:
    waiting = await desk.waiting_channel()
    channels = desk.connection.channels
    outside = (409, "Channel not in Stasis application")
    assert await refusal(channels.mute(channel_id=waiting)) == outside
    assert await refusal(channels.dial(channel_id=waiting)) == outside
    assert await refusal(channels.answer(channel_id=waiting)) == outside


async def test_variables(desk: Desk) -> None:
    party = await desk.party()
    channels = desk.connection.channels
    await channels.set_channel_var(channel_id=party, variable="COLOUR", value="blue & white")
    found = await channels.get_channel_var(channel_id=party, variable="COLOUR")
    assert found.value == "blue & white"
    none = channels.get_channel_var(channel_id=party, variable="NOT_THERE")
    assert await refusal(none) == (404, "Provided variable was not found")
    await until(
        lambda: any(
            isinstance(e, events.ChannelVarset)
            and (e.variable, e.value) == ("COLOUR", "blue & white")
            for e in desk.events
        ),
        "ChannelVarset of COLOUR",
    )


@pytest.mark.parametrize("endpoint", ["PJSIP/1003", "PJSIP/4711", "Nothing/1"])
async def test_an_endpoint_that_cannot_be_had(desk: Desk, endpoint: str) -> None:
    create = desk.connection.channels.create(
        endpoint=endpoint, app=desk.connection.settings.application, channel_id=new_id("out")
    )
    assert await refusal(create) == (500, "Allocation failed")
