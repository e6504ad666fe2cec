"""What is said to somebody on hold: his music waits for it, and nobody else hears it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.lab.ears import DirectParty
from bridge.lab.hearing import tone
from bridge.lab.hearing.level import ToneMeter
from bridge.model.errors import BadArgumentError, InvalidStateError
from tests.audio.machine import remeasured
from tests.integration.hold.music import GAP_MS, both, frames, hears, hears_speech, longest_gap_ms
from tests.support.conference import HZ, RATE, Conference
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

SOUND = "sound:demo-thanks"
"""Speech of 5.5 s, among Asterisk's core sounds."""
WORD = "brief"
"""What our own announcements say: a tone of its own."""


def said(seconds: float) -> bytes:
    return tone(HZ[WORD], SENT_DBFS, seconds, RATE).astype("<i2").tobytes()


async def on_hold(pbx: Pbx) -> tuple[Conference, DirectParty, DirectParty]:
    """Have a caller on hold, while the callee waits for him in silence."""
    direct = await pbx.direct_call(caller=None, callee=None)
    conference = await Conference.of(direct)
    await conference.call.hold("caller")
    caller, callee = conference.people["caller"], conference.people["callee"]
    await hears(caller, {"default"})
    await hears(callee, set())
    return conference, caller, callee


@remeasured
@pytest.mark.parametrize("form", ["PCM", "WAV"])
async def test_words_of_ours_in_place_of_the_music(pbx: Pbx, tmp_path: Path, form: str) -> None:
    conference, caller, callee = await on_hold(pbx)
    sound: bytes | Path = said(3.0)
    if form == "WAV":
        sound = tmp_path / "word.wav"
        soundfile.write(sound, tone(HZ[WORD], SENT_DBFS, 3.0, 44100), 44100, subtype="PCM_16")
    caller.clear()
    callee.clear()
    begin = time.monotonic()
    saying = asyncio.create_task(conference.call.announce(sound))
    await frames(caller, 0.8)
    await both(hears(caller, {WORD}), hears(callee, set()))
    assert await saying
    end = time.monotonic()
    await both(hears(caller, {"default"}), hears(callee, set()))
    assert longest_gap_ms(caller, begin, time.monotonic()) <= 2 * GAP_MS
    assert end - begin < 4.0


@remeasured
async def test_a_sound_of_asterisk_in_place_of_the_music(pbx: Pbx) -> None:
    conference, caller, callee = await on_hold(pbx)
    begin = time.monotonic()
    saying = asyncio.create_task(conference.call.announce(SOUND))
    await frames(caller, 0.3)
    await both(hears_speech(caller, set()), hears(callee, set()))
    assert await saying
    assert 5.0 < time.monotonic() - begin < 7.0
    await both(hears(caller, {"default"}), hears(callee, set()))


@remeasured
@pytest.mark.parametrize("sound", [SOUND, said(5.0)], ids=["sound", "PCM"])
async def test_who_is_brought_back_hears_no_more_of_it(pbx: Pbx, sound: str | bytes) -> None:
    conference, caller, callee = await on_hold(pbx)
    saying = asyncio.create_task(conference.call.announce(sound))
    await frames(caller, 1.0)
    begin = time.monotonic()
    await conference.call.unhold("caller")
    took = time.monotonic() - begin
    assert not await saying
    await both(hears(caller, set()), hears(callee, set()))
    await conference.call.hold("caller")
    await hears(caller, {"default"})
    assert took < 0.2


@remeasured
async def test_again_and_again_as_long_as_he_is_on_hold(pbx: Pbx) -> None:
    conference, caller, _ = await on_hold(pbx)
    await conference.call.hold("caller", announce=said(0.5), announce_every_seconds=0.6)
    caller.clear()
    await frames(caller, 4.0)
    await conference.call.unhold("caller")
    await hears(caller, set())
    words = _times(caller)
    assert words >= 2
    await frames(caller, 1.5)
    await hears(caller, set())


@remeasured
@pytest.mark.parametrize("sound", [SOUND, said(3.0)], ids=["sound", "PCM"])
async def test_one_of_two_who_talk_hears_it_and_both_talk_on(pbx: Pbx, sound: str | bytes) -> None:
    conference = await Conference.of(await pbx.direct_call())
    caller, callee = conference.people["caller"], conference.people["callee"]
    saying = asyncio.create_task(conference.call.announce(sound, to="callee"))
    await frames(callee, 0.5)
    hearing = (
        hears(callee, {"caller", WORD})
        if isinstance(sound, bytes)
        else hears_speech(callee, {"caller"})
    )
    await both(hearing, hears(caller, {"callee"}))
    assert await saying
    await both(hears(callee, {"caller"}), hears(caller, {"callee"}))


async def test_what_cannot_be_said(pbx: Pbx) -> None:
    conference, caller, _ = await on_hold(pbx)
    call = conference.call
    with pytest.raises(BadArgumentError, match="is there such a sound"):
        await call.announce("sound:no-such-sound")
    with pytest.raises(BadArgumentError, match="is no sound"):
        await call.announce("demo-thanks")
    with pytest.raises(InvalidStateError, match="nobody is not on the call"):
        await call.announce(SOUND, to="nobody")
    await hears(caller, {"default"})
    saying = asyncio.create_task(call.announce(SOUND))
    await frames(caller, 0.5)
    await caller.hangup()
    assert not await saying


def _times(party: DirectParty) -> int:
    """Return how often our word was begun."""
    meter = ToneMeter(RATE, HZ[WORD], 320)
    there = np.array([d > -40 for d in meter.track(party.pcm(), 320)])
    return int(np.count_nonzero(there[1:] & ~there[:-1]))
