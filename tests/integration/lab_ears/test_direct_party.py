"""Integration: parties without a jitter buffer, seen by an ARI application as by the dialplan."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from bridge.lab.asterisk import Instance
from bridge.lab.ears import CALLEE_ENDPOINT, RATE, DirectParty
from bridge.lab.hearing import TONES, first_heard, gaps, levels
from bridge.lab.phones import Tone
from bridge.model.errors import MediaError, ServerUnreachableError

pytestmark = pytest.mark.asterisk

CALLER, CALLEE = Tone(TONES["caller"]), Tone(TONES["callee"])
HALF_SECOND = 25


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Instance]:
    instance = Instance.start(name=f"ears-{os.getpid()}", tied=True)
    yield instance
    instance.stop()


class App:
    """The smallest ARI application: it keeps events and sends requests."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self._base = http, base
        self.started: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=100)

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            event = json.loads(message.data)
            if event["type"] == "StasisStart":
                self.started.put_nowait(event)

    async def do(self, method: str, resource: str, **query: str) -> Any:
        async with self._http.request(method, f"{self._base}/{resource}", params=query) as answer:
            body = await answer.text()
            assert answer.status < 400, (resource, answer.status, body)
            return json.loads(body) if body else None

    async def next_start(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.started.get(), 5)

    async def gone(self) -> bool:
        return not await self.do("GET", "channels")


@pytest.fixture
async def app(asterisk: Instance) -> AsyncIterator[App]:
    ari = asterisk.info.ari
    token = base64.b64encode(f"{ari.username}:{ari.password}".encode()).decode()
    async with aiohttp.ClientSession(headers={"Authorization": f"Basic {token}"}) as http:
        app = App(http, ari.url)
        async with http.ws_connect(f"{ari.url}/events?app=callbridge") as socket:
            listening = asyncio.create_task(app.listen(socket))
            yield app
            for bridge in await app.do("GET", "bridges"):
                await app.do("DELETE", f"bridges/{bridge['id']}")
            async with asyncio.timeout(5):
                while not await app.gone():  # noqa: ASYNC110 - Asterisk's own pace
                    await asyncio.sleep(0.02)
            await socket.close()
            await listening


async def _connected(app: App, asterisk: Instance) -> tuple[DirectParty, DirectParty]:
    """Caller and callee in one bridge, as a controller would connect them."""
    ari = asterisk.info.ari
    caller = await DirectParty.call(ari, "1002", tone=CALLER)
    await app.next_start()
    callee_id, bridge = (f"{name}-{secrets.token_hex(8)}" for name in ("callee", "bridge"))
    await app.do("POST", f"bridges/{bridge}", type="mixing")
    await app.do("POST", f"bridges/{bridge}/addChannel", channel=caller.channel_id)
    await app.do(
        "POST", "channels/create", endpoint=CALLEE_ENDPOINT, app="callbridge", channelId=callee_id
    )
    await app.next_start()
    await app.do("POST", f"bridges/{bridge}/addChannel", channel=callee_id)
    await app.do("POST", f"channels/{callee_id}/dial")
    callee = await DirectParty.answer(ari, callee_id, tone=CALLEE)
    return caller, callee


async def test_a_caller_enters_the_application_as_a_phone_does(
    app: App, asterisk: Instance
) -> None:
    caller = await DirectParty.call(asterisk.info.ari, "1002", tone=CALLER, caller_number="1001")
    start = await app.next_start()
    assert start["args"] == ["incoming", "1002"]
    assert start["channel"]["id"] == caller.channel_id
    assert start["channel"]["caller"]["number"] == "1001"
    assert start["channel"]["dialplan"]["exten"] == "1002"
    await caller.hangup()
    await caller.hangup()
    assert caller.closed


@pytest.mark.quiet
async def test_two_parties_hear_each_other_without_a_gap(app: App, asterisk: Instance) -> None:
    caller, callee = await _connected(app, asterisk)
    async with contextlib.AsyncExitStack() as parties:
        for party in (caller, callee):
            parties.push_async_callback(party.hangup)
        await asyncio.gather(caller.wait_frames(HALF_SECOND), callee.wait_frames(HALF_SECOND))
        for party in (caller, callee):
            party.clear()
        await asyncio.gather(caller.wait_frames(100), callee.wait_frames(100))
        for party, other in ((caller, "callee"), (callee, "caller")):
            heard = party.pcm()
            measured = levels(heard, RATE, TONES)
            assert measured.pop(other) == pytest.approx(-15, abs=0.1)
            assert max(measured.values()) < -90
            assert gaps(heard, RATE, TONES[other]) == []
            assert not party.overrun


@pytest.mark.quiet
async def test_the_first_frame_of_a_voice_is_found(app: App, asterisk: Instance) -> None:
    caller, callee = await _connected(app, asterisk)
    async with contextlib.AsyncExitStack() as parties:
        for party in (caller, callee):
            parties.push_async_callback(party.hangup)
        callee.voice = None
        await callee.wait_frames(HALF_SECOND)
        caller.clear()
        spoken = time.monotonic()
        callee.voice = CALLEE
        await caller.wait_frames(HALF_SECOND)
        heard = first_heard(tuple(caller.frames), RATE, CALLEE.hz, -40)
        assert heard is not None
        assert 0 < heard - spoken < 0.3


async def test_a_party_that_is_hung_up_is_closed(app: App, asterisk: Instance) -> None:
    caller = await DirectParty.call(asterisk.info.ari, "1002", tone=None)
    await app.next_start()
    await app.do("DELETE", f"channels/{caller.channel_id}")
    await caller.wait_closed()
    assert caller.closed
    await caller.hangup()


async def test_what_is_not_there_cannot_be_answered(app: App, asterisk: Instance) -> None:
    with pytest.raises(MediaError, match="404"):
        await DirectParty.answer(asterisk.info.ari, "no-such-channel", tone=None)
    caller = await DirectParty.call(asterisk.info.ari, "1002", tone=None)
    await app.next_start()
    with pytest.raises(MediaError, match="answered or hung up already"):
        await DirectParty.answer(asterisk.info.ari, caller.channel_id, tone=None)
    await caller.hangup()


async def test_a_server_that_is_not_there_is_named() -> None:
    class Nowhere:
        url, username, password = "http://127.0.0.1:9/ari", "u", "p"

    with pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.1:9"):
        await DirectParty.call(Nowhere(), "1002", tone=None)
