"""What the tests of this folder say, and how they look at what was heard."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import Pcm, pcm_from_bytes, tone
from bridge.lab.hearing.lost import missing
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from tests.support.pbx import (
    CALLEE_TONE,
    CALLER_TONE,
    SENT_DBFS,
    DirectCall,
    Pbx,
    Program,
)

RATE = 16000
FRAME = 640
"""Bytes of 20 ms."""

SILENCE_AFTER_FRAMES = 10
"""What Asterisk was given is heard within this many frames."""


@functools.cache
def words(hz: float, seconds: float, rate: int = RATE) -> bytes:
    """Make a tone in which no sample is zero, so that silence beside it can be told from it."""
    pcm = tone(hz, SENT_DBFS, seconds, rate)
    pcm[pcm == 0] = 1
    return pcm.astype("<i2").tobytes()


def without_silence(pcm: Pcm) -> bytes:
    """Return what was heard but for samples of zero; see ``words``."""
    spoken: Pcm = pcm[np.flatnonzero(pcm)]
    return spoken.astype("<i2").tobytes()


def sounding(pcm: Pcm) -> Pcm:
    """Return what was heard from the first sound to the last."""
    heard = np.flatnonzero(pcm)
    return pcm[heard[0] : heard[-1] + 1] if len(heard) else pcm[:0]


def loud_frames(frames: Sequence[tuple[float, bytes]]) -> int:
    """Count frames that are not silent."""
    return sum(bool(pcm_from_bytes(frame).any()) for _, frame in frames)


async def all_heard(*parties: DirectParty) -> None:
    """Wait until everything that was played must have been heard."""
    seen = [len(party.frames) for party in parties]
    for party, count in zip(parties, seen, strict=True):
        await party.wait_frames(count + SILENCE_AFTER_FRAMES)


async def quiet_call(pbx: Pbx, **arguments: Any) -> tuple[DirectCall, DirectParty, DirectParty]:
    """Connect two parties who say nothing, so that whatever they hear is the agent."""
    return await connected(await pbx.direct_call(caller=None, callee=None, **arguments))


async def talking_call(pbx: Pbx, **arguments: Any) -> tuple[DirectCall, DirectParty, DirectParty]:
    """Connect two parties of whom each says its tone without end."""
    return await connected(await pbx.direct_call(**arguments))


async def another_call(pbx: Pbx, program: Program) -> tuple[DirectCall, DirectParty, DirectParty]:
    """Connect two talking parties on a call of a program whose route is CALLEE_ENDPOINT."""
    ari = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    return await connected(DirectCall(pbx, call, caller, callee_tone=CALLEE_TONE))


async def connected(direct: DirectCall) -> tuple[DirectCall, DirectParty, DirectParty]:
    """Answer the caller and connect the callee; forget what was heard up to then."""
    await direct.call.answer()
    callee = await direct.connect()
    await all_heard(direct.caller, callee)
    direct.caller.clear()
    callee.clear()
    return direct, direct.caller, callee


def nothing_lost(pcm: Pcm, rate: int, hz: float) -> bool:
    """Tell whether the agent missed no frame of a tone; it may once begin to run 20 ms late.

    See bridge.lab.hearing.lost: that is silence which was put in, and takes nothing away.
    """
    frames = missing(pcm, rate, hz)
    return frames.lost == 0 and frames.held_up <= 1


class Reader:
    """Keeps all that a stream gives."""

    def __init__(self, stream: AudioStream) -> None:
        self.stream = stream
        self.frames: list[bytes] = []
        self.task = asyncio.create_task(self._read(), name="reader")

    @property
    def pcm(self) -> Pcm:
        """All that was read."""
        return pcm_from_bytes(b"".join(self.frames))

    async def wait_frames(self, count: int, within_s: float = 5.0) -> None:
        """Wait until so many frames were read."""
        await until(lambda: len(self.frames) >= count, f"{count} frames", within_s=within_s)

    async def wait_ended(self) -> None:
        """Wait until the stream has ended. Raises TimeoutError."""
        async with asyncio.timeout(5):
            await self.task

    async def _read(self) -> None:
        async for frame in self.stream:
            self.frames.append(frame)


@asynccontextmanager
async def reading(*streams: AudioStream) -> AsyncIterator[list[Reader]]:
    """Read streams to their ends, or to the end of the block."""
    readers = [Reader(stream) for stream in streams]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.task.cancel()
        await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
