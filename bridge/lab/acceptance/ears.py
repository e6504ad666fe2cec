"""Ears that are listened to while a run goes on, and voices of those whom callbridge embodies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np

from bridge.lab.hearing import Pcm, pcm_from_bytes, tone
from bridge.lab.phones import Phone, Tone
from bridge.media.clips import load_wav
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BufferFullError, CallbridgeError, CallClosedError, MediaError
from bridge.runtime.tasks import end_all
from bridge.sdk import ActiveCall, Observer

RATE: Final = 16_000
"""Hz of phones and, unless a daemon has another one, of programs."""
FRAME_SECONDS: Final = 0.02
_HEADER_BYTES: Final = 44
"""Of the phones' WAV files."""
_KEPT_FRAMES: Final = 50 * 60 * 10
_AHEAD_FRAMES: Final = 4
_LATEST_SECONDS: Final = 2.0

Said: TypeAlias = Tone | Pcm | None
"""A tone, a sound over and over, or nothing."""


class Ear(Protocol):
    """One listener's. rate: Hz of what he hears."""

    rate: int

    async def hear(self, begin: float, end: float) -> Pcm:
        """Return what was heard between two moments of the monotonic clock.

        Waits until it is there. Who got no audio heard less, or nothing.
        """


class PhoneEar:
    """Hears what a phone plays: behind its codec and its jitter buffer."""

    def __init__(self, phone: Phone, path: Path) -> None:
        self.rate = RATE
        self._phone = phone
        self._path = path

    async def hear(self, begin: float, end: float) -> Pcm:
        """See Ear. Raises PhoneError."""
        latest = time.monotonic() + _LATEST_SECONDS
        position = await self._phone.record_position()
        while position.monotonic < end and time.monotonic() < max(latest, end):
            await asyncio.sleep(FRAME_SECONDS)
            position = await self._phone.record_position()
        start, stop = (round(max(0.0, position.at(moment)) * RATE) for moment in (begin, end))
        data = await asyncio.to_thread(_part, self._path, start, stop)
        return pcm_from_bytes(data)


class ProgramEar:
    """Hears a call as a program does: frames as they arrive. rate: Hz of them."""

    def __init__(self, call: ActiveCall | Observer, rate: int = RATE) -> None:
        self.rate = rate
        self._frames: deque[tuple[float, bytes]] = deque(maxlen=_KEPT_FRAMES)
        self._task = asyncio.create_task(self._listen(call), name="ear of a run")

    async def hear(self, begin: float, end: float) -> Pcm:
        """See Ear."""
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        # A frame is stamped when it has arrived: its sound is older than that.
        heard = [frame for at, frame in self._frames if begin + FRAME_SECONDS <= at < end]
        return pcm_from_bytes(b"".join(heard)) if heard else np.zeros(0, np.int16)

    async def aclose(self) -> None:
        """Hear no more."""
        await _end(self._task)

    async def _listen(self, call: ActiveCall | Observer) -> None:
        async for frame in call.audio_stream(max_seconds=60):
            self._frames.append((time.monotonic(), frame))


class Mouth:
    """Says something on a call without end, in real time, until it is told otherwise.

    A tone is continuous in phase. Sent some frames ahead, so that a late wake-up is not heard.
    rate: Hz of the call's audio, and of a sound that is said.
    """

    def __init__(self, call: ActiveCall | Observer, said: Said, rate: int = RATE) -> None:
        self._call = call
        self._rate = rate
        self._said = said
        self._sample = 0
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._speak(), name="voice of a run")

    def say(self, said: Said) -> None:
        """Say something else from now on."""
        self._said = said
        self.speak_now()

    def speak_now(self) -> None:
        """Send at once what is due: the way to the ears has just been opened."""
        self._changed.set()

    async def aclose(self) -> None:
        """Fall silent."""
        await _end(self._task)

    async def _speak(self) -> None:
        due = time.monotonic() - _AHEAD_FRAMES * FRAME_SECONDS
        try:
            while True:
                while due <= time.monotonic():
                    due += FRAME_SECONDS
                    if self._said is not None:
                        await self._send(self._said)
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await self._changed.wait()
                    due = time.monotonic() - _AHEAD_FRAMES * FRAME_SECONDS
        except CallClosedError:
            return

    async def _send(self, said: Tone | Pcm) -> None:
        samples = round(FRAME_SECONDS * self._rate)
        if isinstance(said, Tone):
            pcm = tone(said.hz, said.dbfs, FRAME_SECONDS, self._rate, self._sample)
        else:
            pcm = np.take(said, range(self._sample, self._sample + samples), mode="wrap")
        self._sample += samples
        # A far end that is slow is no reason to stop: what does not fit is not said.
        with contextlib.suppress(BufferFullError):
            await self._call.send_audio(pcm.astype("<i2").tobytes())


async def read_sound(path: Path, rate: int = RATE) -> Pcm:
    """Return a sound file at so many Hz. Raises MediaError."""
    try:
        pcm = pcm_from_bytes(await asyncio.to_thread(load_wav, path, AudioFormat(rate)))
    except (OSError, CallbridgeError) as error:
        raise MediaError(f"{path} cannot be played: {error}") from error
    if not len(pcm):
        raise MediaError(f"{path} cannot be played: there is no sound in it")
    return pcm


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end. Raises what it failed with."""
    await end_all(task)
    if not task.cancelled():
        task.result()


def _part(path: Path, start: int, stop: int) -> bytes:
    """Return samples of a phone's recording, which grows meanwhile."""
    with path.open("rb") as file:
        file.seek(_HEADER_BYTES + 2 * start)
        return file.read(2 * max(0, stop - start))
