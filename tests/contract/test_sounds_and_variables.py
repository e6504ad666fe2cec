"""What is played, held, pressed and set on a channel: fake and real must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.ari import events
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.contract.conftest import refusal
from tests.support.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.contract.conftest import Desk

OUTSIDE = (409, "Channel not in Stasis application")


def playbacks(desk: Desk) -> list[str]:
    return [line for line in desk.story() if line.startswith("Playback")]


async def play(desk: Desk, channel: str, *media: str) -> str:
    identity = new_id("playback")
    playback = await desk.connection.channels.play_with_id(
        channel_id=channel, playback_id=identity, media=list(media)
    )
    # Its state may be any by the time that the answer is written.
    assert playback.id == identity
    assert (playback.media_uri, playback.target_uri) == (media[0], f"channel:{channel}")
    return identity


async def test_a_sound_is_played(desk: Desk) -> None:
    anchor = await desk.anchor()
    identity = await play(desk, anchor, "sound:beep")
    await desk.wait_line("PlaybackFinished sound:beep done")
    assert playbacks(desk) == [
        "PlaybackStarted sound:beep playing",
        "PlaybackFinished sound:beep done",
    ]
    gone = desk.connection.playbacks.get(playback_id=identity)
    assert await refusal(gone) == (404, "Playback not found")


async def test_one_sound_after_the_other(desk: Desk) -> None:
    anchor = await desk.anchor()
    await play(desk, anchor, "sound:beep", "tone:1004")
    await play(desk, anchor, "sound:beep")
    await desk.wait_line("PlaybackStarted tone:1004 playing")
    await desk.connection.playbacks.stop(playback_id=playback_of(desk, "tone:1004"))
    await until(lambda: len(playbacks(desk)) == 6, "all is played")
    assert playbacks(desk) == [
        "PlaybackStarted sound:beep playing",
        "PlaybackContinuing sound:beep continuing",
        "PlaybackStarted tone:1004 playing",
        "PlaybackFinished tone:1004 done",
        "PlaybackStarted sound:beep playing",
        "PlaybackFinished sound:beep done",
    ]


def playback_of(desk: Desk, media: str) -> str:
    (found,) = (
        event.playback.id
        for event in desk.events
        if isinstance(event, events.PlaybackStarted) and event.playback.media_uri == media
    )
    return found


@pytest.mark.parametrize("tone", ["tone:1004", "tone:!880/50"])
async def test_a_tone_goes_on_until_it_is_stopped(desk: Desk, tone: str) -> None:
    anchor = await desk.anchor()
    identity = await play(desk, anchor, tone)
    await desk.wait_line(f"PlaybackStarted {tone} playing")
    assert (await desk.connection.playbacks.get(playback_id=identity)).state == "playing"
    # A sound that begins at the same time, to be heard to its end.
    await play(desk, await desk.anchor(), "sound:beep")
    await desk.wait_line("PlaybackFinished sound:beep done")
    assert f"PlaybackFinished {tone} done" not in desk.story()
    await desk.connection.playbacks.stop(playback_id=identity)
    await desk.wait_line(f"PlaybackFinished {tone} done")
    again = desk.connection.playbacks.stop(playback_id=identity)
    assert await refusal(again) == (404, "Playback not found")


async def test_a_sound_that_there_is_not(desk: Desk) -> None:
    anchor = await desk.anchor()
    await play(desk, anchor, "sound:no-such-sound")
    await desk.wait_line("PlaybackFinished sound:no-such-sound failed")


async def test_a_hangup_ends_what_plays(desk: Desk) -> None:
    anchor = await desk.anchor()
    await play(desk, anchor, "tone:1004")
    await desk.wait_line("PlaybackStarted tone:1004 playing")
    await desk.connection.channels.hangup(channel_id=anchor)
    await desk.wait_for(events.ChannelDestroyed, anchor)
    lines = desk.story()
    assert lines.index("PlaybackFinished tone:1004 failed") < lines.index("StasisEnd")


async def test_what_cannot_be_played(desk: Desk) -> None:
    channels = desk.connection.channels
    nobody = channels.play(channel_id="nobody", media=["sound:beep"])
    assert await refusal(nobody) == (404, "Channel not found")
    waiting = await desk.waiting_channel()
    assert await refusal(channels.play(channel_id=waiting, media=["sound:beep"])) == OUTSIDE


async def test_a_snoop_is_played_to(desk: Desk) -> None:
    party = await desk.party()
    snoop = new_id("snoop")
    await desk.connection.channels.snoop_channel_with_id(
        channel_id=party,
        snoop_id=snoop,
        app=desk.connection.settings.application,
        spy="in",
        whisper="out",
    )
    await desk.wait_for(events.StasisStart, snoop)
    await play(desk, snoop, "sound:beep")
    await desk.wait_line("PlaybackFinished sound:beep done")


@pytest.mark.parametrize("what", ["hold", "moh", "silence", "ring"])
async def test_what_a_channel_hears(desk: Desk, what: str) -> None:
    anchor, waiting = await desk.anchor(), await desk.waiting_channel()
    await desk.wait_for(events.Dial, waiting)
    # It may come after StasisStart.
    await desk.wait_line("Dial ANSWER", anchor)
    before = len(desk.story())
    for method in ("DELETE", "POST", "POST", "DELETE", "DELETE"):
        assert await desk.connection.request(method, f"channels/{anchor}/{what}") is None
        outside = desk.connection.request(method, f"channels/{waiting}/{what}")
        assert await refusal(outside) == OUTSIDE
    # To hold somebody by ARI is no event: only a phone's own hold is.
    assert desk.story()[before:] == []


async def test_digits_are_sent(desk: Desk) -> None:
    anchor, waiting = await desk.anchor(), await desk.waiting_channel()
    request = desk.connection.request
    assert await request("POST", f"channels/{anchor}/dtmf", query={"dtmf": "12#"}) is None
    none = request("POST", f"channels/{anchor}/dtmf")
    assert await refusal(none) == (400, "DTMF is required")
    outside = request("POST", f"channels/{waiting}/dtmf", query={"dtmf": "1"})
    assert await refusal(outside) == OUTSIDE


async def value(desk: Desk, channel: str, name: str) -> str | tuple[int, str]:
    try:
        found = await desk.connection.channels.get_channel_var(channel_id=channel, variable=name)
    except RequestFailedError as error:
        return error.status, error.reason
    return found.value


NO_VARIABLE = (404, "Provided variable was not found")
NO_FUNCTION = (500, "Unable to read provided function")


async def test_functions_are_read(desk: Desk) -> None:
    party = await desk.waiting_channel()
    name = (await desk.connection.channels.get(channel_id=party)).name
    expected = {
        "CHANNEL(name)": name,
        "CHANNEL(state)": "Down",
        "CHANNEL(uniqueid)": party,
        "CHANNEL(linkedid)": party,
        "CHANNEL(channeltype)": "WebSocket",
        "CHANNEL(language)": "en",
        "CHANNEL(context)": "default",
        "CHANNEL(exten)": "s",
        "CALLERID(num)": "",
        "CONNECTEDLINE(name)": "",
        "CHANNEL": name,
        "UNIQUEID": party,
        "EXTEN": "s",
        "DIALPLAN_EXISTS(callbridge-release,s,1)": "1",
        "DIALPLAN_EXISTS(not-there,s,1)": "0",
        "MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE": "640",
        "CHANNEL(nonsense)": NO_FUNCTION,
        "CHANNEL(hangup_handler_push)": NO_FUNCTION,
        "NO_FUNCTION(x)": NO_FUNCTION,
        "NO_VARIABLE": NO_VARIABLE,
    }
    found = {name: await value(desk, party, name) for name in expected}
    assert found == expected


async def test_functions_are_set(desk: Desk) -> None:
    anchor = await desk.anchor()
    channels = desk.connection.channels
    for name, given in {
        "CALLERID(num)": "555",
        "CALLERID(name)": "Ann",
        "CONNECTEDLINE(num,i)": "777",
        "CHANNEL(language)": "de",
        "CHANNEL(hangup_handler_push)": "callbridge-release,s,1(nobody)",
        "CHANNEL(nonsense)": "1",
        "NO_FUNCTION(x)": "1",
        "__INHERITED": "yes",
    }.items():
        await channels.set_channel_var(channel_id=anchor, variable=name, value=given)
    await until(
        lambda: any(
            isinstance(e, events.ChannelVarset) and e.variable == "__INHERITED" for e in desk.events
        ),
        "the last is told",
    )
    found = await channels.get(channel_id=anchor)
    assert (found.caller.number, found.caller.name) == ("555", "Ann")
    assert (found.connected.number, found.language) == ("777", "de")
    assert desk.story(anchor).count("ChannelCallerId") == 2
    assert desk.story(anchor).count("ChannelConnectedLine") == 1
    assert await value(desk, anchor, "INHERITED") == "yes"
    assert await value(desk, anchor, "__INHERITED") == NO_VARIABLE


async def test_a_variable_is_taken_away(desk: Desk) -> None:
    anchor = await desk.anchor()
    request = desk.connection.request
    path = f"channels/{anchor}/variable"
    await request("POST", path, query={"variable": "COLOUR", "value": ""})
    assert await value(desk, anchor, "COLOUR") == ""
    await request("POST", path, query={"variable": "COLOUR"})
    assert await value(desk, anchor, "COLOUR") == NO_VARIABLE


@pytest.mark.parametrize("plain", [False, True])
async def test_a_long_text_is_set_by_the_body(desk: Desk, *, plain: bool) -> None:
    """A line of HTTP would be too short for it (docs/adr/0014)."""
    anchor = await desk.anchor()
    text = '{"name":"Zoë ${EXTEN} \\"x\\"","notes":"' + "0123456789" * 2_000 + '"}'
    await desk.connection.request(
        "POST",
        f"channels/{anchor}/variable",
        query={"variable": "CALLBRIDGE_CALL"},
        body={"value": text},
        plain=plain,
    )
    answer = await desk.connection.channels.get_channel_var(
        channel_id=anchor, variable="CALLBRIDGE_CALL"
    )
    assert answer.value == text


async def test_variables_need_a_channel_in_stasis_and_a_name(desk: Desk) -> None:
    anchor, waiting = await desk.anchor(), await desk.waiting_channel()
    request = desk.connection.request
    outside = request("POST", f"channels/{waiting}/variable", query={"variable": "A", "value": "1"})
    assert await refusal(outside) == OUTSIDE
    nameless = (400, "Variable name is required")
    assert await refusal(request("POST", f"channels/{anchor}/variable")) == nameless
    assert await refusal(request("GET", f"channels/{anchor}/variable")) == nameless


async def test_a_hangup_handler_ends_another_channel(desk: Desk) -> None:
    one, other = await desk.anchor(), await desk.anchor()
    name = (await desk.connection.channels.get(channel_id=other)).name
    await desk.connection.channels.set_channel_var(
        channel_id=one,
        variable="CHANNEL(hangup_handler_push)",
        value=f"callbridge-release,s,1({name})",
    )
    await desk.connection.channels.hangup(channel_id=one)
    await desk.wait_for(events.ChannelDestroyed, other)
    assert "HangupRequest 32 True" in desk.story(other)


async def test_a_hangup_handler_ends_the_snoops_on_a_channel(desk: Desk) -> None:
    pulse, seat = await desk.anchor(), await desk.party()
    snoops = [new_id("snoop") for _ in range(2)]
    for snoop in snoops:
        await desk.connection.channels.snoop_channel_with_id(
            channel_id=seat,
            snoop_id=snoop,
            app=desk.connection.settings.application,
            whisper="out",
        )
        await desk.wait_for(events.StasisStart, snoop)
    await desk.connection.channels.set_channel_var(
        channel_id=pulse,
        variable="CHANNEL(hangup_handler_push)",
        value=f"callbridge-release,all,1(Snoop/{seat})",
    )
    await desk.connection.channels.hangup(channel_id=pulse)
    for snoop in snoops:
        await desk.wait_for(events.StasisEnd, snoop)
    assert (await desk.connection.channels.get(channel_id=seat)).state == "Up"
    assert not desk.seen(events.StasisEnd, seat)


async def test_the_last_but_one_of_a_group_ends_the_others(desk: Desk) -> None:
    legs = [await desk.anchor() for _ in range(3)]
    names = {leg: (await desk.connection.channels.get(channel_id=leg)).name for leg in legs}
    for leg in legs:
        for variable, given in {
            "CALLBRIDGE_OTHERS": "&".join(names[other] for other in legs if other != leg),
            "GROUP(callbridge)": "a-call",
            "CHANNEL(hangup_handler_push)": "callbridge-release,leg,1(a-call)",
        }.items():
            await desk.connection.channels.set_channel_var(
                channel_id=leg, variable=variable, value=given
            )
    assert await value(desk, legs[0], "GROUP(callbridge)") == "a-call"
    assert await value(desk, legs[0], "GROUP_COUNT(a-call@callbridge)") == "3"
    await desk.connection.channels.hangup(channel_id=legs[0])
    await desk.wait_for(events.ChannelDestroyed, legs[0])
    assert await value(desk, legs[1], "GROUP_COUNT(a-call@callbridge)") == "2"
    await desk.connection.channels.hangup(channel_id=legs[1])
    await desk.wait_for(events.ChannelDestroyed, legs[2])


async def test_groups(desk: Desk) -> None:
    anchor = await desk.anchor()
    channels = desk.connection.channels
    assert await value(desk, anchor, "GROUP(callbridge)") == NO_FUNCTION
    assert await value(desk, anchor, "GROUP_COUNT(one@callbridge)") == "0"
    for given, count in (("one", "1"), ("other", "0"), ("one", "1"), ("", "0")):
        await channels.set_channel_var(channel_id=anchor, variable="GROUP(callbridge)", value=given)
        assert await value(desk, anchor, "GROUP_COUNT(one@callbridge)") == count
    assert await value(desk, anchor, "GROUP(callbridge)") == NO_FUNCTION


async def test_a_time_limit(desk: Desk) -> None:
    lasting, passing = await desk.anchor(), await desk.anchor()
    channels = desk.connection.channels
    assert await value(desk, passing, "TIMEOUT(absolute)") == "0"
    for anchor, seconds in ((lasting, "1"), (lasting, "30"), (passing, "1")):
        await channels.set_channel_var(
            channel_id=anchor, variable="TIMEOUT(absolute)", value=seconds
        )
    left = await value(desk, lasting, "TIMEOUT(absolute)")
    assert isinstance(left, str)
    assert 25 < float(left) <= 30
    await desk.wait_for(events.ChannelDestroyed, passing)
    assert desk.story(passing)[-3:] == ["StasisEnd", "STASISSTATUS SUCCESS", "Destroyed 0"]
    assert not desk.seen(events.StasisEnd, lasting)


async def test_whether_a_channel_is_held(desk: Desk) -> None:
    anchor = await desk.anchor()
    held = [await value(desk, anchor, "CHANNEL(onhold)")]
    for method in ("POST", "DELETE"):
        await desk.connection.request(method, f"channels/{anchor}/hold")
        held.append(await value(desk, anchor, "CHANNEL(onhold)"))
    assert held == ["0", "1", "0"]


async def test_rtp_of_channels_that_have_none(desk: Desk) -> None:
    anchor, party = await desk.anchor(), await desk.party()
    statistics = desk.connection.channels.rtpstatistics
    assert await refusal(statistics(channel_id=anchor)) == (404, "RTP info not found")
    assert await refusal(statistics(channel_id=party)) == (403, "Unsupported channel type")
    assert await refusal(statistics(channel_id="nobody")) == (404, "Channel not found")


async def test_music_of_a_holding_bridge(desk: Desk) -> None:
    bridges = desk.connection.bridges
    bridge, anchor = await desk.bridge("holding"), await desk.anchor()

    def music(method: str, identity: str = bridge) -> Awaitable[object]:
        return desk.connection.request(method, f"bridges/{identity}/moh")

    assert await music("POST") is None
    await bridges.add_channel(bridge_id=bridge, channel=anchor)
    await desk.wait_for(events.ChannelEnteredBridge, anchor)
    assert await music("POST") is None
    assert await music("DELETE") is None
    assert await refusal(music("DELETE")) == (409, "Bridge isn't playing music")
    assert await refusal(music("POST", "none")) == (404, "Bridge not found")


async def test_a_bridge_is_played_to(desk: Desk) -> None:
    bridge = await desk.bridge()
    for _ in range(2):
        party = await desk.party()
        await desk.connection.bridges.add_channel(bridge_id=bridge, channel=party)
    identity = new_id("playback")
    playback = await desk.connection.bridges.play_with_id(
        bridge_id=bridge, playback_id=identity, media=["sound:beep"]
    )
    assert (playback.id, playback.target_uri) == (identity, f"bridge:{bridge}")
    await desk.wait_line("PlaybackFinished sound:beep done")
