"""A party without a jitter buffer: what it waits for, and an Asterisk that does not answer it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bridge.lab.asterisk import AriInfo
from bridge.lab.ears import FRAME_BYTES, DirectParty
from bridge.lab.fake_ari import run_hurried
from bridge.model.errors import MediaError

ARI = AriInfo("http://127.0.0.1:1/ari", "u", "p")


async def frames(count: int) -> AsyncIterator[aiohttp.WSMessage]:
    for _ in range(count):
        yield aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, bytes(FRAME_BYTES), None)
        await asyncio.sleep(0)


@pytest.fixture
async def party() -> AsyncIterator[DirectParty]:
    made = DirectParty(ARI, "channel", None)
    yield made
    await made.hangup()


async def hear(party: DirectParty, count: int) -> None:
    await party._listen(frames(count))  # type: ignore[arg-type]  # messages are all that is asked


async def test_time_goes_on_when_the_oldest_frames_are_forgotten(party: DirectParty) -> None:
    party.frames = deque(maxlen=10)
    await hear(party, 10)
    waiting = asyncio.create_task(party.wait_seconds(0.2))
    await asyncio.sleep(0)
    await hear(party, 9)
    assert not waiting.done()
    await hear(party, 1)
    await waiting


def test_a_long_wait_is_given_its_time() -> None:
    async def in_vain() -> None:
        party = DirectParty(ARI, "channel", None)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            await party.wait_seconds(60)
        assert loop.time() - began >= 60
        await party._release()

    run_hurried(in_vain())


async def test_an_asterisk_that_hands_no_audio_over_in_time_is_told(
    party: DirectParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def variable(*_: object) -> dict[str, str]:
        return {"value": "media"}

    async def late(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(party, "_request", variable)
    monkeypatch.setattr(party._http, "ws_connect", late)
    with pytest.raises(MediaError, match="does not hand over the audio of channel channel"):
        await party._open()
    party._ended.set()


@pytest.mark.parametrize("dials", [True, False])
async def test_a_caller_who_gets_no_audio_is_hung_up(
    monkeypatch: pytest.MonkeyPatch, *, dials: bool
) -> None:
    asked: list[str] = []
    parties: list[DirectParty] = []

    async def request(party: DirectParty, method: str, *_: object, **__: object) -> dict[str, str]:
        asked.append(method)
        parties.append(party)
        return {"value": "media"}

    async def refused(*_: object, **__: object) -> None:
        raise aiohttp.ClientConnectionError("no media")

    monkeypatch.setattr(DirectParty, "_request", request)
    monkeypatch.setattr(aiohttp.ClientSession, "ws_connect", refused)
    begin = (DirectParty.call if dials else DirectParty.answer)(ARI, "1002", tone=None)
    with pytest.raises(MediaError, match="no media"):
        await begin
    assert asked == (["POST", "GET", "DELETE"] if dials else ["GET", "GET"])
    assert parties[0].closed
    assert parties[0]._http.closed


async def test_nothing_stays_open_when_the_ear_has_failed() -> None:
    async def fails() -> None:
        raise ValueError("what is this?")

    party = DirectParty(ARI, "channel", None)
    party._tasks = [asyncio.create_task(fails())]
    with pytest.raises(ValueError, match="what is this"):
        await party._release()
    assert party._http.closed
