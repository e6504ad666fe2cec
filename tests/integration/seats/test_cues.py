"""Short tones: the supervisor hears them, at once and not loud; nobody else does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import first_heard, pcm_from_bytes
from bridge.lab.waiting import until
from bridge.model.participants import PARTIES
from bridge.runtime.cues import Cue, Cues
from bridge.runtime.seat import Present
from tests.integration.seats.office import Office, Supervisor, frames_pass, loudest

pytestmark = pytest.mark.asterisk

RATE = 16000
PEAK = 32768 * 10 ** (-20 / 20)


@asynccontextmanager
async def playing(office: Office) -> AsyncIterator[Cues]:
    cues = Cues(office.ari, owner="supervisor")
    task = asyncio.create_task(cues.run())
    try:
        yield cues
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seated(office: Office, supervisor: Supervisor) -> tuple[DirectParty, str]:
    """Have the supervisor barge into a silent call; return his ear and his cue snoop."""
    await office.connect()
    ear = await office.party("1003")
    await supervisor.sit(Present(ear.channel_id, "WebSocket/supervisor"))
    await supervisor.observe(heard_by=PARTIES)
    await frames_pass(ear, *office.call.values(), count=10)
    return ear, await supervisor.cue_channel()


def tones(cue: Cue) -> list[tuple[int, int]]:
    return [(int(hz), int(ms)) for hz, _, ms in (p[1:].partition("/") for p in cue.split("|"))]


def sounding_s(ear: DirectParty) -> float:
    """Return the time from the first to the last frame with a sound."""
    loud = [k for k, (_, frame) in enumerate(ear.frames) if np.any(abs(pcm_from_bytes(frame)) > 99)]
    return (loud[-1] - loud[0] + 1) * 0.02 if loud else 0.0


@pytest.mark.quiet
@pytest.mark.parametrize("cue", list(Cue))
async def test_the_supervisor_alone_hears_it(
    office: Office, supervisor: Supervisor, cue: Cue
) -> None:
    ear, channel = await seated(office, supervisor)
    others = tuple(office.call.values())
    for each in (ear, *others):
        each.clear()
    async with playing(office) as cues:
        cues.play(channel, cue)
        await cues.played()
    await frames_pass(ear, *others, count=10)
    assert 0.08 <= sounding_s(ear) <= 0.26
    assert sounding_s(ear) == pytest.approx(cue.seconds, abs=0.021)
    assert PEAK * 0.5 < loudest(ear) < PEAK
    heard_at = [first_heard(list(ear.frames), RATE, hz, -30) for hz, _ in tones(cue) if hz]
    assert None not in heard_at
    assert [loudest(other) for other in others] == [0, 0]


@pytest.mark.alone
async def test_it_is_heard_soon(office: Office, supervisor: Supervisor) -> None:
    ear, channel = await seated(office, supervisor)
    delays = []
    async with playing(office) as cues:
        for _ in range(10):
            ear.clear()
            asked = time.monotonic()
            cues.play(channel, Cue.BARGE)
            await cues.played()
            heard_at = first_heard(list(ear.frames), RATE, 880, -30)
            assert heard_at is not None
            delays.append(heard_at - asked)
    assert sorted(delays)[5] < 0.06


async def test_the_newest_wins(office: Office, supervisor: Supervisor) -> None:
    ear, channel = await seated(office, supervisor)
    ear.clear()
    async with playing(office) as cues:
        cues.play(channel, Cue.REFUSED)
        await until(lambda: first_heard(list(ear.frames), RATE, 220, -30), "the first is heard")
        cues.play(channel, Cue.WHISPER)
        cues.play(channel, Cue.BARGE)
        await cues.played()
    await frames_pass(ear, count=10)
    frames = list(ear.frames)
    newest_at = first_heard(frames, RATE, 880, -30)
    assert newest_at is not None
    assert first_heard(frames, RATE, 660, -40) is None
    late = [frame for frame in frames if frame[0] > newest_at + 0.02]
    assert first_heard(late, RATE, 220, -40) is None


async def test_one_that_cannot_be_played_is_logged(
    office: Office, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    ear, channel = await seated(office, supervisor)
    async with playing(office) as cues:
        with caplog.at_level(logging.WARNING, "bridge.runtime.cues"):
            cues.play("no-such-channel", Cue.SPY)
            await cues.played()
        (record,) = caplog.records
        assert "cue SPY is not heard" in record.getMessage()
        ear.clear()
        cues.play(channel, Cue.SPY)
        await cues.played()
    await until(lambda: first_heard(list(ear.frames), RATE, 440, -30), "it is heard")


async def test_a_seat_that_goes_while_one_is_played(
    office: Office, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    ear, channel = await seated(office, supervisor)
    async with playing(office) as cues:
        cues.play(channel, Cue.REFUSED)
        await until(lambda: first_heard(list(ear.frames), RATE, 220, -30), "it is heard")
        await ear.hangup()
        await cues.played()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
