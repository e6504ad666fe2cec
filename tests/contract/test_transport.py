"""The two transports, the sign-in and the media socket: fake and real must agree."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bridge.ari import AriConnection, AriSettings, LinkStatus, events
from bridge.lab.waiting import until
from bridge.model.errors import AuthenticationError, MediaError, RequestFailedError
from tests.support.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.ari import LinkState
    from tests.contract.conftest import Desk

FRAME = b"\x01\x00" * 320


async def both_ways(desk: Desk, method: str, resource: str) -> list[object]:
    """Ask on the WebSocket, then by plain REST."""
    answers: list[object] = []
    socket = desk.connection._socket
    assert socket is not None
    assert socket.carries_rest
    for over_websocket in (True, False):
        socket.carries_rest = over_websocket
        try:
            answers.append(await desk.connection.request(method, resource))
        except RequestFailedError as error:
            answers.append((error.status, error.reason))
    socket.carries_rest = True
    return answers


async def test_both_transports_give_equal_answers(desk: Desk) -> None:
    party = await desk.party()
    bridge = await desk.connection.bridges.create_with_id(bridge_id=new_id("b"), type="mixing")
    for method, resource in [
        ("GET", f"channels/{party}"),
        ("GET", "channels"),
        ("GET", f"bridges/{bridge.id}"),
        ("GET", "asterisk/info"),
        ("GET", "asterisk/modules/chan_websocket.so"),
        ("GET", "channels/no%20body%2Fhere"),
        ("GET", "nowhere"),
        ("PUT", "channels"),
        ("POST", "channels"),
        ("POST", f"channels/{party}/answer"),
    ]:
        over_websocket, plain = await both_ways(desk, method, resource)
        assert over_websocket == plain, resource


async def test_many_requests_at_once_find_their_answers(desk: Desk) -> None:
    names = [new_id("b") for _ in range(100)]
    bridges = desk.connection.bridges
    made = await asyncio.gather(
        *(bridges.create_with_id(bridge_id=n, type="mixing", name=n) for n in names)
    )
    assert [bridge.name for bridge in made] == names
    found = await asyncio.gather(*(bridges.get(bridge_id=n) for n in names))
    assert [bridge.id for bridge in found] == names


@pytest.mark.parametrize(
    ("kilobytes", "letter", "status"), [(50, "x", 404), (70, "x", 413), (25, '"', 413)]
)
async def test_how_large_a_body_may_be(
    desk: Desk, kilobytes: int, letter: str, status: int
) -> None:
    # The WebSocket takes more than plain REST; what is too much for either is refused, and
    # costs no connection. On the WebSocket a quotation mark is four bytes, as the body is quoted.
    variables = {f"V{n}": letter * 1000 for n in range(kilobytes)}
    with pytest.raises(RequestFailedError) as caught:
        await desk.connection.channels.set_channel_vars(channel_id="nobody", variables=variables)
    assert caught.value.status == status
    assert [state.status for state in desk.states] == [LinkStatus.UP]
    assert (await desk.connection.asterisk.ping()).ping == "pong"


async def test_capabilities(desk: Desk) -> None:
    found = desk.connection.capabilities
    assert found.version_info >= (20, 16)
    assert found.rest_over_websocket
    assert found.websocket_media
    assert found.snoop
    assert found.softmix
    assert found.sample_rates == (8000, 16000, 24000)
    assert found.whisper_to_silent_leg is None


async def test_wrong_password(settings: AriSettings) -> None:
    wrong = AriConnection(replace(settings, password="wrong"), on_event=lambda _: None)
    with pytest.raises(AuthenticationError):
        await wrong.open()
    assert wrong.state.status is LinkStatus.CLOSED


async def test_the_newest_socket_takes_the_application(desk: Desk) -> None:
    states: list[LinkState] = []
    second = AriConnection(
        desk.connection.settings, on_event=lambda _: None, on_state=states.append
    )
    await second.open()
    try:
        await until(
            lambda: desk.connection.state.status is LinkStatus.REPLACED, "the first one is replaced"
        )
        # It is without events, but not without a voice, and it does not take the name back.
        assert await desk.connection.channels.list() == ()
        assert [s.status for s in desk.states] == [LinkStatus.UP, LinkStatus.REPLACED]
        assert [s.status for s in states] == [LinkStatus.UP]
    finally:
        await second.close()


async def media(desk: Desk) -> tuple[str, aiohttp.ClientWebSocketResponse]:
    identity = await desk.waiting_channel()
    found = await desk.connection.channels.get_channel_var(
        channel_id=identity, variable="MEDIA_WEBSOCKET_CONNECTION_ID"
    )
    ws = await desk.connection.open_media_socket(found.value)
    desk.sockets.append(ws)
    return identity, ws


async def next_text(ws: aiohttp.ClientWebSocketResponse) -> str:
    async with asyncio.timeout(5):
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                return str(message.data)
    raise AssertionError("the media socket closed")


async def send(ws: aiohttp.ClientWebSocketResponse, items: Iterable[bytes | str]) -> None:
    for item in items:
        if isinstance(item, bytes):
            await ws.send_bytes(item)
        else:
            await ws.send_str(item)


async def test_media_start_says_what_to_send(desk: Desk) -> None:
    identity, ws = await media(desk)
    word, *pairs = (await next_text(ws)).split()
    told = dict(pair.split(":", 1) for pair in pairs)
    assert word == "MEDIA_START"
    assert told["channel_id"] == identity
    assert (told["format"], told["optimal_frame_size"], told["ptime"]) == ("slin16", "640", "20")


@pytest.mark.quiet
async def test_a_mark_is_reported_when_what_was_before_it_is_played(desk: Desk) -> None:
    identity, ws = await media(desk)
    await next_text(ws)
    await desk.wait_for(events.StasisStart, identity)
    begin = time.monotonic()
    await send(ws, [FRAME * 10, "MARK_MEDIA first", FRAME * 10, "MARK_MEDIA second"])
    assert await next_text(ws) == "MEDIA_MARK_PROCESSED first"
    first = time.monotonic() - begin
    assert await next_text(ws) == "MEDIA_MARK_PROCESSED second"
    second = time.monotonic() - begin
    assert 0.15 < first < 0.35
    assert 0.15 < second - first < 0.25


async def test_a_flush_takes_the_marks_along(desk: Desk) -> None:
    identity, ws = await media(desk)
    await next_text(ws)
    await desk.wait_for(events.StasisStart, identity)
    await send(ws, [FRAME * 100, "MARK_MEDIA lost", "FLUSH_MEDIA", "MARK_MEDIA kept"])
    assert await next_text(ws) == "MEDIA_MARK_PROCESSED kept"


async def test_status_tells_the_depth_of_the_queue(desk: Desk) -> None:
    identity, ws = await media(desk)
    await next_text(ws)
    await desk.wait_for(events.StasisStart, identity)
    await send(ws, ["PAUSE_MEDIA", FRAME * 7, "GET_STATUS"])
    told = dict(pair.split(":", 1) for pair in (await next_text(ws)).split()[1:])
    assert told["queue_length"] == "7"
    assert (told["xon_level"], told["xoff_level"]) == ("800", "900")
    assert (told["queue_full"], told["media_paused"]) == ("false", "true")


async def test_what_is_no_whole_frame_is_lost(desk: Desk) -> None:
    identity, ws = await media(desk)
    await next_text(ws)
    await desk.wait_for(events.StasisStart, identity)
    await send(ws, ["PAUSE_MEDIA", FRAME + FRAME[:100], FRAME[:100], "GET_STATUS"])
    told = dict(pair.split(":", 1) for pair in (await next_text(ws)).split()[1:])
    assert told["queue_length"] == "1"


async def test_xoff_and_xon(desk: Desk) -> None:
    identity, ws = await media(desk)
    await next_text(ws)
    await desk.wait_for(events.StasisStart, identity)
    await send(ws, ["PAUSE_MEDIA", *[FRAME * 50] * 18])
    assert await next_text(ws) == "MEDIA_XOFF"
    await send(ws, ["FLUSH_MEDIA", "CONTINUE_MEDIA"])
    assert await next_text(ws) == "MEDIA_XON"


async def test_closing_the_media_socket_hangs_up(desk: Desk) -> None:
    identity, ws = await media(desk)
    await desk.wait_for(events.StasisStart, identity)
    await ws.close()
    await desk.wait_for(events.ChannelDestroyed, identity)
    assert desk.seen(events.StasisEnd, identity)


async def test_a_hangup_closes_the_media_socket(desk: Desk) -> None:
    identity, ws = await media(desk)
    await desk.wait_for(events.StasisStart, identity)
    await desk.connection.channels.hangup(channel_id=identity)
    async with asyncio.timeout(5):
        async for _message in ws:
            pass
    assert ws.closed


async def test_media_sockets_that_are_refused(desk: Desk) -> None:
    identity, _ws = await media(desk)
    found = await desk.connection.channels.get_channel_var(
        channel_id=identity, variable="MEDIA_WEBSOCKET_CONNECTION_ID"
    )
    with pytest.raises(MediaError, match="409"):
        await desk.connection.open_media_socket(found.value)
    with pytest.raises(MediaError, match="404"):
        await desk.connection.open_media_socket("none")
