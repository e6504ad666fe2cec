"""The AI of the demonstration: says one tone without end, and keeps what it hears."""

from __future__ import annotations

import asyncio
from typing import Self

import numpy as np

from bridge.lab.demo.ears import FrameEar
from bridge.lab.demo.scene import Scene
from bridge.lab.hearing import Pcm, pcm_from_bytes, tone
from bridge.model.errors import CallClosedError
from bridge.model.participants import AGENT
from bridge.runtime.tasks import end_all
from bridge.sdk import ActiveCall, Observer

FRAME_SECONDS = 0.020
AHEAD_FRAMES = 3
"""With the one that plays, as much as is sent on to Asterisk at once: more would wait here."""


class ToneAgent:
    """Speaks and listens on one call.

    The tone is continuous in phase and sent in real time, three frames ahead, so that a late event
    loop is not taken for a fault of the line.
    """

    def __init__(self, call: ActiveCall | Observer, *, hz: float, dbfs: float, rate: int) -> None:
        self._call = call
        self._hz, self._dbfs, self._rate = hz, dbfs, rate
        self._samples = 0
        self._again = asyncio.Event()
        self._heard: list[tuple[float, bytes]] = []
        self._tasks = [
            asyncio.create_task(self._speak(), name="agent speaks"),
            asyncio.create_task(self._listen(), name="agent listens"),
        ]

    @classmethod
    def on(cls, scene: Scene, call: ActiveCall | Observer) -> Self:
        """Begin on a call of ``scene``, with an ear there."""
        agent = cls(call, hz=scene.tones[AGENT], dbfs=scene.sent_dbfs, rate=scene.rate)
        scene.embody(AGENT, FrameEar(lambda: agent.frames, scene.rate))
        return agent

    @property
    def frames(self) -> list[tuple[float, bytes]]:
        """What was heard: (arrival in seconds of the monotonic clock, 20 ms of PCM)."""
        return self._heard

    @property
    def heard(self) -> Pcm:
        """All that was heard, from the answer on."""
        frames = [pcm_from_bytes(frame) for _, frame in self._heard]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    def speak_now(self) -> None:
        """Send at once, as a program does that has just changed the mode in order to speak."""
        self._again.set()

    async def aclose(self) -> None:
        """Fall silent and deaf. Raises what has ended its voice or its ear before."""
        await end_all(*self._tasks)
        for task in self._tasks:
            if not task.cancelled():
                task.result()

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() - AHEAD_FRAMES * FRAME_SECONDS
        try:
            while True:
                while due <= loop.time():
                    await self._call.send_audio(self._next())
                    due += FRAME_SECONDS
                self._again.clear()
                try:
                    async with asyncio.timeout(due - loop.time()):
                        await self._again.wait()
                    due = loop.time() - AHEAD_FRAMES * FRAME_SECONDS
                except TimeoutError:
                    continue
        except CallClosedError:
            return

    def _next(self) -> bytes:
        pcm = tone(self._hz, self._dbfs, FRAME_SECONDS, self._rate, self._samples)
        self._samples += len(pcm)
        return pcm.astype("<i2").tobytes()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        async for frame in self._call.audio_stream(max_seconds=60):
            self._heard.append((loop.time(), frame))
