"""Integration: what phones say is what phones hear, and nothing when nothing is said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from bridge.lab.hearing import TONES, Pcm, gaps, levels, tone
from bridge.lab.phones import (
    CallState,
    Codec,
    Silence,
    Softphone,
    Tone,
    WavFile,
)
from tests.audio.machine import remeasured, whole

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import StartPhone

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

CALLEE = "91002"
CALLER_TONE, CALLEE_TONE = Tone(TONES["caller"]), Tone(TONES["callee"])


async def _recorded(phone: Softphone, seconds: float) -> float:
    """Wait until the recording has grown by ``seconds``; where in it that began."""
    begin = (await phone.record_position()).seconds

    async def enough() -> bool:
        return (await phone.record_position()).seconds >= begin + seconds

    await eventually(enough, seconds + 5)
    return begin


def _read(path: Path, begin: float, seconds: float) -> Pcm:
    pcm, rate = soundfile.read(path, dtype="int16")
    piece: Pcm = pcm[round(begin * rate) : round((begin + seconds) * rate)]
    assert len(piece) == round(seconds * rate)
    return piece


async def _packets(phone: Softphone, more: int) -> None:
    """Wait until that many more packets have arrived."""
    before = (await phone.stats()).rx_packets

    async def enough() -> bool:
        return (await phone.stats()).rx_packets >= before + more

    await eventually(enough)


async def _settled(phone: Softphone) -> None:
    """Wait until audio flows: half a second of packets has arrived."""
    await phone.wait_state(CallState.CONFIRMED)
    await _packets(phone, 25)


@pytest.mark.quiet
@pytest.mark.parametrize("codec", list(Codec))
@remeasured
async def test_two_phones_hear_each_other_and_not_themselves(
    phone: StartPhone, tmp_path: Path, codec: Codec
) -> None:
    ears = {"caller": tmp_path / "caller.wav", "callee": tmp_path / "callee.wav"}
    caller = await phone(0, source=CALLER_TONE, codec=codec, record=ears["caller"])
    callee = await phone(1, source=CALLEE_TONE, codec=codec, record=ears["callee"])
    await caller.call(CALLEE)
    await asyncio.gather(_settled(caller), _settled(callee))
    begins = await asyncio.gather(_recorded(caller, 1.2), _recorded(callee, 1.2))
    stats = await caller.stats()
    await asyncio.gather(caller.stop(), callee.stop())

    absent = -15 - (40 if codec in {Codec.PCMU, Codec.PCMA} else 60)
    for me, other, begin in (("caller", "callee", begins[0]), ("callee", "caller", begins[1])):
        heard = _read(ears[me], begin, 1.2)
        # First: a frame that is missing makes this voice fainter, and all others faintly heard.
        missing = gaps(heard, 16000, TONES[other])
        whole(missing == [], missing)
        measured = levels(heard, 16000, TONES)
        assert measured.pop(other) == pytest.approx(-15, abs=0.5)
        assert max(measured.values()) < absent
    assert stats.codec == codec.value.split("/")[0]
    assert stats.clock_rate_hz == (
        8000 if codec in {Codec.PCMU, Codec.PCMA, Codec.L16_8000} else 16000
    )
    assert (stats.rx_lost, stats.jitter_buffer_discarded) == (0, 0)


async def test_a_muted_phone_sends_no_packet(phone: StartPhone) -> None:
    caller = await phone(0, source=CALLER_TONE, silence_suppression=True)
    callee = await phone(1, source=CALLEE_TONE)
    await caller.call(CALLEE)
    await asyncio.gather(_settled(caller), _settled(callee))
    await caller.mute(on=True)
    before = await caller.stats()
    await _packets(caller, 30)
    assert (await caller.stats()).tx_packets <= before.tx_packets + 1
    await caller.mute(on=False)
    await _packets(callee, 25)


@pytest.mark.quiet
async def test_a_silent_phone_never_sends_a_packet(phone: StartPhone, tmp_path: Path) -> None:
    caller = await phone(
        0, source=Silence(), silence_suppression=True, record=tmp_path / "caller.wav"
    )
    callee = await phone(1, source=CALLEE_TONE)
    await caller.call(CALLEE)
    await _settled(caller)
    begin = await _recorded(caller, 0.5)
    assert (await caller.stats()).tx_packets == 0
    assert (await callee.stats()).rx_packets == 0
    assert (await callee.stats()).jitter_buffer_ms == 0
    assert (await caller.stats()).jitter_buffer_ms <= 60
    await caller.stop()
    heard = _read(tmp_path / "caller.wav", begin, 0.5)
    assert levels(heard, 16000, TONES)["callee"] == pytest.approx(-15, abs=0.5)


async def test_a_muted_phone_without_suppression_sends_silence(
    phone: StartPhone, tmp_path: Path
) -> None:
    caller = await phone(0, source=CALLER_TONE, codec=Codec.L16_16000)
    callee = await phone(1, codec=Codec.L16_16000, record=tmp_path / "callee.wav")
    await caller.call(CALLEE)
    await _settled(callee)
    await caller.mute(on=True)
    before = (await callee.stats()).rx_packets
    await _recorded(callee, 0.3)
    begin = await _recorded(callee, 0.5)
    assert (await callee.stats()).rx_packets > before + 20
    await callee.stop()
    assert not _read(tmp_path / "callee.wav", begin, 0.5).any()


@pytest.mark.quiet
async def test_a_phone_changes_what_it_says(phone: StartPhone, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "say.wav", tone(TONES["agent"], -20, 1.0, 8000), 8000, "PCM_16")
    caller = await phone(0, source=CALLER_TONE, codec=Codec.L16_16000)
    callee = await phone(1, codec=Codec.L16_16000, record=tmp_path / "callee.wav")
    await caller.call(CALLEE)
    await _settled(callee)
    await caller.play(WavFile(tmp_path / "say.wav"))
    await _recorded(callee, 0.3)
    begin = await _recorded(callee, 0.5)
    await callee.stop()
    measured = levels(_read(tmp_path / "callee.wav", begin, 0.5), 16000, TONES)
    assert measured["agent"] == pytest.approx(-20, abs=0.5)
    assert measured["caller"] < -75


@pytest.mark.quiet
async def test_hold_silences_and_unhold_brings_back(phone: StartPhone, tmp_path: Path) -> None:
    caller = await phone(0, source=CALLER_TONE, codec=Codec.L16_16000)
    callee = await phone(1, codec=Codec.L16_16000, record=tmp_path / "callee.wav")
    await caller.call(CALLEE)
    await _settled(callee)
    await caller.hold()
    await _recorded(callee, 0.4)
    held = await _recorded(callee, 0.5)
    await caller.unhold()
    await _recorded(callee, 0.6)
    back = await _recorded(callee, 0.5)
    await callee.stop()
    during = levels(_read(tmp_path / "callee.wav", held, 0.5), 16000, TONES)
    after = levels(_read(tmp_path / "callee.wav", back, 0.5), 16000, TONES)
    assert during["caller"] < after["caller"] - 20
    assert after["caller"] == pytest.approx(-15, abs=0.5)


@pytest.mark.quiet
async def test_a_moment_is_found_in_the_recording(phone: StartPhone, tmp_path: Path) -> None:
    idle = await phone(0, record=tmp_path / "idle.wav")
    first = await idle.record_position()
    await _recorded(idle, 1.0)
    second = await idle.record_position()
    assert second.at(time.monotonic()) >= second.seconds
    assert abs(first.at(second.monotonic) - second.seconds) < 0.02
    await idle.stop()
    pcm, rate = soundfile.read(tmp_path / "idle.wav", dtype="int16")
    assert rate == 16000
    assert len(pcm) / rate >= second.seconds
    assert not np.any(pcm)


async def test_a_recording_survives_the_death_of_its_phone(
    phone: StartPhone, tmp_path: Path
) -> None:
    idle = await phone(0, record=tmp_path / "idle.wav")
    await _recorded(idle, 1.2)
    await idle.kill()
    pcm, _ = soundfile.read(tmp_path / "idle.wav", dtype="int16")
    assert len(pcm) >= 16000
