"""Changes of mode, and when they are heard: of the agent, and of observers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from bridge.lab.bench.calls import RATE, SENT_DBFS
from bridge.lab.hearing import first_heard, tone
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall, Observer

TICK_S: Final = 0.020
_THRESHOLD: Final = SENT_DBFS - 20
_FRAMES: Final = 8
"""Whoever has not heard it within as many frames does not hear it."""
_WORDS_S: Final = 0.06

Who: TypeAlias = ActiveCall | Observer
Heard: TypeAlias = Mapping[Participant, float]
"""Who newly heard somebody, and how many ms after the command."""


class Ear(Protocol):
    """Frames of 20 ms with their arrivals, ``time.monotonic()``: such as a DirectParty."""

    @property
    def frames(self) -> Sequence[tuple[float, bytes]]:
        """What was heard so far."""

    async def wait_frames(self, count: int) -> None:
        """Wait until ``frames`` holds that many; TimeoutError."""

    def clear(self) -> None:
        """Forget what was heard."""


class StreamEar:
    """Hears what a stream gives, until it ends or ``close``."""

    def __init__(self, stream: AudioStream) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self._task = asyncio.create_task(self._listen(stream), name="ear of a stream")

    async def wait_frames(self, count: int) -> None:
        """See Ear."""
        await until(lambda: len(self.frames) >= count, f"{count} frames")

    def clear(self) -> None:
        """See Ear."""
        self.frames.clear()

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, stream: AudioStream) -> None:
        async for frame in stream:
            self.frames.append((time.monotonic(), frame))


@dataclass(frozen=True)
class Speaker:
    """Who changes his mode, and his voice in Hz. A person on a phone speaks all the time."""

    who: Who
    hz: float
    talks: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of mode and which parties hear the speaker by it who did not before."""

    name: str
    before: Callable[[Who], Awaitable[None]]
    command: Callable[[Who], Awaitable[None]]
    listeners: frozenset[Participant]
    former: frozenset[Participant] = frozenset()
    """Who heard him before, and does not any more."""
    observers: bool = False
    """The other observers hear him by it, too."""


TURNS: Final = (
    Turn(
        "spy → whisper to the caller",
        lambda who: who.spy(),
        lambda who: who.whisper(to="caller"),
        frozenset({CALLER}),
    ),
    Turn(
        "spy → whisper to the callee",
        lambda who: who.spy(),
        lambda who: who.whisper(),
        frozenset({CALLEE}),
    ),
    Turn(
        "spy → barge",
        lambda who: who.spy(),
        lambda who: who.barge(),
        frozenset({CALLER, CALLEE}),
        observers=True,
    ),
    Turn(
        "whisper to the caller → to the callee",
        lambda who: who.whisper(to="caller"),
        lambda who: who.whisper(),
        frozenset({CALLEE}),
        former=frozenset({CALLER}),
    ),
)


async def heard_after(
    speaker: Speaker, turn: Turn, ears: Mapping[Participant, Ear], pause_s: float
) -> Heard:
    """Take a turn, speak, and return who newly heard it.

    pause_s: up to TICK_S, so that the command comes at any time between two ticks of Asterisk.
    """
    await turn.before(speaker.who)
    # Everybody is quiet again.
    await asyncio.sleep(0.1 + pause_s)
    began = time.monotonic()
    await turn.command(speaker.who)
    if not speaker.talks:
        words = tone(speaker.hz, SENT_DBFS, _WORDS_S, RATE)
        await speaker.who.send_audio(words.astype("<i2").tobytes())
    await asyncio.gather(*(ear.wait_frames(len(ear.frames) + _FRAMES) for ear in ears.values()))
    arrivals = {
        name: first_heard(_since(ear.frames, began), RATE, speaker.hz, _THRESHOLD)
        for name, ear in ears.items()
    }
    return {name: (at - began) * 1000 for name, at in arrivals.items() if at is not None}


def _since(frames: Sequence[tuple[float, bytes]], began: float) -> list[tuple[float, bytes]]:
    later = []
    for at, frame in reversed(frames):
        if at < began:
            break
        later.append((at, frame))
    return later[::-1]
