"""What an audio socket adds to audio: on its way to the parties, and from them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import RATE, SENT_DBFS, Placed, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.service import open_service_of
from bridge.lab.bench.turns import TICK_S, StreamEar
from bridge.lab.hearing import TONES, first_heard, tone
from bridge.lab.waiting import until
from bridge.protocol.frames import AUDIO_SOCKET
from bridge.protocol.operations import BASE

ROUNDS: Final = 100
_WORDS: Final = tone(TONES["agent"], SENT_DBFS, 0.06, RATE).astype("<i2").tobytes()
_THRESHOLD: Final = SENT_DBFS - 20
_FRAMES: Final = 8
LISTENS_S: Final = 5.0
_SAME_S: Final = 0.5

Say = Callable[[bytes], Awaitable[None]]


class Far:
    """An audio socket of the agent of a call, and when its frames came."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self.frames: list[tuple[float, bytes]] = []
        self._task = asyncio.create_task(self._listen(), name="far end")

    async def say(self, pcm: bytes) -> None:
        """Send audio."""
        await self._ws.send_bytes(pcm)

    async def close(self) -> None:
        """Leave."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        async for message in self._ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.frames.append((time.monotonic(), message.data))


async def measure(info: InstanceInfo) -> Chapter:
    """Speak by turns in process and over a socket, and compare what comes on both ways."""
    async with open_exchange(info, with_client=True) as exchange:
        placed = await exchange.place()
        try:
            async with open_service_of(exchange.client) as (url, key):
                figures = await _measure(placed, url, key)
        finally:
            await exchange.end(placed)
    return Chapter(
        "Audio over a socket, and in process",
        "Both ends of the socket are in one process, which Asterisk sends to every 20 ms.",
        tuple(figures),
    )


async def _measure(placed: Placed, url: str, key: str) -> list[Figure]:
    address = url + BASE + AUDIO_SOCKET.format(call_id=placed.call.call_id)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.ws_connect(address, params={"as": "ai"}) as ws,
    ):
        far, near = Far(ws), StreamEar(placed.call.audio_stream())
        try:
            await until(lambda: far.frames and near.frames, "audio comes")
            spoken = await _spoken(
                placed, {"in process": placed.call.send_audio, "socket": far.say}
            )
            near.clear()
            far.frames.clear()
            await asyncio.sleep(LISTENS_S)
            heard = _later(near.frames, far.frames)
        finally:
            await far.close()
            await near.close()
    added = [
        socket - own for own, socket in zip(spoken["in process"], spoken["socket"], strict=True)
    ]
    return [
        *(Figure.of(f"to a party's ear, {name}", "ms", values) for name, values in spoken.items()),
        Figure.of("to a party's ear, what the socket adds, by pairs", "ms", added),
        Figure.of("from the parties, what the socket adds", "ms", heard),
    ]


async def _spoken(placed: Placed, ways: dict[str, Say]) -> dict[str, list[float]]:
    """Return how many ms it took until the caller heard it, by way; those at a place are a pair."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    dice = random.Random(1)
    for _ in range(ROUNDS):
        pause_s = dice.uniform(0, TICK_S)
        pair: dict[str, float] = {}
        for name, say in ways.items():
            await asyncio.sleep(0.1 + pause_s)
            placed.caller.clear()
            began = time.monotonic()
            await say(_WORDS)
            await placed.caller.wait_frames(_FRAMES)
            at = first_heard(list(placed.caller.frames), RATE, TONES["agent"], _THRESHOLD)
            if at is not None:
                pair[name] = (at - began) * 1000
        if len(pair) == len(ways):
            for name, milliseconds in pair.items():
                taken[name].append(milliseconds)
    return taken


def _later(near: list[tuple[float, bytes]], far: list[tuple[float, bytes]]) -> list[float]:
    """Return by how many ms the same frames came later at the far end.

    What tones make up comes again every second: of the same frames the nearest before is meant.
    """
    later = []
    for at, frame in far:
        same = [then for then, other in near if other == frame and 0 <= at - then < _SAME_S]
        if same:
            later.append((at - max(same)) * 1000)
    return later
