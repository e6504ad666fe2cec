"""A call on a real Asterisk, of the client that the API wraps, and those who hear it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, ToneMeter, level_dbfs, pcm_from_bytes, tone
from bridge.lab.waiting import until
from bridge.sdk import ActiveCall, Observer, events
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, Pbx

RATE = 16000
SILENCE = -75.0
"""dBFS: below it nobody is heard, not even faintly."""


def saying(who: str, seconds: float, start: float = 0.0) -> bytes:
    """Return a tone of somebody's, PCM at RATE."""
    made = tone(TONES[who], SENT_DBFS, seconds, RATE, round(start * RATE))
    return made.astype("<i2").tobytes()


def heard(party: DirectParty, who: str) -> float:
    """Return the highest level of somebody's tone in any 20 ms that a party has heard, in dBFS."""
    meter = ToneMeter(RATE, TONES[who], RATE // 50)
    return float(np.max(meter.track(party.pcm(), RATE // 500), initial=-120.0))


def seconds_of(party: DirectParty, who: str) -> float:
    """Return how long a party has heard somebody."""
    track = ToneMeter(RATE, TONES[who], RATE // 50).track(party.pcm(), RATE // 500)
    return sum(level > SENT_DBFS - 6 for level in track) / 500


def level(audio: bytes, who: str) -> float:
    """Return the level of somebody's tone in what a socket sent, in dBFS."""
    return level_dbfs(pcm_from_bytes(audio), RATE, TONES[who])


@dataclass
class Scene:
    """A call that is connected, and the API."""

    api: RunningApi
    call: ActiveCall
    caller: DirectParty
    callee: DirectParty

    def clear(self) -> None:
        """Let both forget what they have heard."""
        self.caller.clear()
        self.callee.clear()

    async def observe(self, name: str, by: str = "the-admin") -> Observer:
        """Place an observer as the API does."""
        observer = await self.api.client.observe(self.call, name)
        self.api.service.views.placed(observer, by)
        return observer

    async def spoken(self) -> None:
        """Wait until the agent has said all."""
        await until(lambda: not self.call.get_send_audio_buffer_size(), "all is played")


@asynccontextmanager
async def arrived(
    pbx: Pbx, folder: Path, *, silent: bool = False, **client: Any
) -> AsyncIterator[tuple[RunningApi, ActiveCall, DirectParty]]:
    """Let somebody call; the call is not answered. silent: he says nothing."""
    voice = None if silent else CALLER_TONE
    settings = {"route": lambda _call: CALLEE_ENDPOINT, "sample_rate": RATE, **client}
    async with running_api(pbx.instance, folder, client=settings) as api:
        calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        api.client.on(events.INCOMING_CALL, calls.put_nowait)
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=voice))
        async with asyncio.timeout(5):
            call = await calls.get()
        try:
            yield api, call, caller
        finally:
            await call.disconnect(cut=True)


@asynccontextmanager
async def connected(
    pbx: Pbx, folder: Path, *, silent: bool = False, **client: Any
) -> AsyncIterator[Scene]:
    """Place a call; both parties say their tones, or nothing (silent).

    Where it is measured that somebody is not heard nobody else speaks: the beginning of any tone
    has something of all others.
    """
    voice = None if silent else CALLEE_TONE
    async with arrived(pbx, folder, silent=silent, **client) as (api, call, caller):
        await call.answer()
        connecting = asyncio.create_task(call.connect())
        leg = await pbx.callee_leg(call)
        callee = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=voice))
        await connecting
        yield Scene(api, call, caller, callee)
