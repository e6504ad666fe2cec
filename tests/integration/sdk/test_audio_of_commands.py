"""Audio around commands: who hears what is sent right after one, whole and from its first frame."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from bridge import CallState
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import Pcm, ToneMeter, tone
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from bridge.model.errors import ConnectFailedError
from tests.audio.machine import anew
from tests.audio.machine import whole as is_whole
from tests.support.pbx import Pbx, state_of

pytestmark = pytest.mark.asterisk

RATE = 16000
FIRST, MIDDLE, LAST = 1559.0, 2197.0, 2873.0
SENT = -15.0


def chirp() -> bytes:
    """Say 20 ms, 260 ms and 20 ms of three tones, so that a lost end shows."""
    parts: list[Pcm] = []
    for hz, seconds in ((FIRST, 0.02), (MIDDLE, 0.26), (LAST, 0.02)):
        parts.append(tone(hz, SENT, seconds, RATE))
    return np.concatenate(parts).astype("<i2").tobytes()


CHIRP = chirp()


def loudest(party: DirectParty, hz: float) -> float:
    """Return the highest level of a tone in any 20 ms."""
    return max(ToneMeter(RATE, hz, RATE // 50).track(party.pcm(), RATE // 500), default=-120.0)


def middle_seconds(party: DirectParty) -> float:
    track = ToneMeter(RATE, MIDDLE, RATE // 50).track(party.pcm(), RATE // 500)
    return sum(level > SENT - 6 for level in track) / 500


async def whole(*parties: DirectParty) -> None:
    """Wait until a chirp was heard to its last frame, and check that nothing of it is missing."""
    for party in parties:
        with contextlib.suppress(TimeoutError):
            await until(lambda p=party: loudest(p, LAST) > SENT - 4, "its last frame")  # type: ignore[misc] # mypy does not type a default of a lambda
        is_whole(loudest(party, LAST) > SENT - 4, "its last frame is missing")
        is_whole(loudest(party, FIRST) > SENT - 4, "its first frame is missing")
        is_whole(0.24 < middle_seconds(party) < 0.28, middle_seconds(party))


@pytest.mark.quiet
@anew
async def test_right_after_answer(pbx: Pbx) -> None:
    direct = await pbx.direct_call(caller=None, callee=None)
    await direct.call.answer()
    await direct.call.send_audio(CHIRP)
    await whole(direct.caller)
    await direct.call.disconnect()


@pytest.mark.quiet
@pytest.mark.parametrize("answered", ["PENDING", "ANSWERED"])
@anew
async def test_right_after_connect(pbx: Pbx, answered: str) -> None:
    direct = await pbx.direct_call(caller=None, callee=None)
    if answered == "ANSWERED":
        await direct.call.answer()
    connecting = asyncio.create_task(direct.call.connect())
    leg = await pbx.callee_leg(direct.call)
    callee = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=None))
    await connecting
    await direct.call.send_audio(CHIRP)
    await whole(direct.caller, callee)
    await direct.call.disconnect()


@pytest.mark.quiet
@pytest.mark.parametrize("target", ["caller", "callee"])
@anew
async def test_right_after_a_mode(pbx: Pbx, target: str) -> None:
    direct = await pbx.direct_call(caller=None, callee=None)
    callee = await direct.connect()
    # Before that he heard his phone ring back.
    direct.caller.clear()
    await direct.call.spy()
    await direct.call.whisper(to=target)
    await direct.call.send_audio(CHIRP)
    hears, deaf = (callee, direct.caller) if target == "callee" else (direct.caller, callee)
    await whole(hears)
    await direct.call.barge()
    await until(lambda: direct.call.get_send_audio_buffer_size() == 0, "all is played")
    assert max(loudest(deaf, hz) for hz in (FIRST, MIDDLE, LAST)) < -75
    await direct.call.disconnect()


@pytest.mark.quiet
@anew
async def test_while_the_callee_rings_and_after(pbx: Pbx) -> None:
    direct = await pbx.direct_call(caller=None, callee=None)
    await direct.call.answer()
    connecting = asyncio.create_task(direct.call.connect())
    leg = await pbx.callee_leg(direct.call)
    direct.caller.clear()
    await direct.call.send_audio(CHIRP)
    callee = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=None))
    await connecting
    await whole(direct.caller)
    # What was sent for the caller alone stays his, though the callee is there by now.
    assert max(loudest(callee, hz) for hz in (FIRST, MIDDLE, LAST)) < -75
    await direct.call.disconnect()


def has_ended(stream: AudioStream) -> bool:
    return stream.ended


async def test_a_stream_of_the_callee_outlives_a_callee_who_was_not_had(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    await direct.call.answer()
    stream: AudioStream = direct.call.audio_stream("callee")
    with pytest.raises(ConnectFailedError):
        await direct.call.connect("1009")
    assert not has_ended(stream)
    await direct.connect()
    async with asyncio.timeout(5):
        await anext(stream)
    await direct.call.close()
    assert has_ended(stream)
    assert state_of(direct.call) is CallState.DISCONNECTED
