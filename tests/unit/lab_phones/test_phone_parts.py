"""Unit: the parts of a phone that need neither SIP nor pjsua2."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from bridge.lab.hearing import pcm_from_bytes, tone
from bridge.lab.phones import (
    CallInfo,
    CallState,
    Direction,
    PhoneSettings,
    RecordPosition,
    Silence,
    Softphone,
    Tone,
    WavFile,
    start_phone,
    wire,
)
from bridge.lab.phones.worker.sound import Recorder, Voice
from bridge.model.errors import BadArgumentError, ErrorCode, PhoneError

RATE = 16000


def _say(voice: Voice, frames: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return pcm_from_bytes(b"".join(voice.next() for _ in range(frames)))


def test_a_tone_is_one_unbroken_sinusoid() -> None:
    assert np.array_equal(_say(Voice(Tone(559.0), RATE), 50), tone(559.0, -15.0, 1.0, RATE))


def test_a_tone_keeps_its_phase_through_mute_and_back() -> None:
    voice = Voice(Tone(559.0), RATE)
    voice.mute(on=True)
    assert not _say(voice, 10).any()
    voice.mute(on=False)
    assert np.array_equal(_say(voice, 10), tone(559.0, -15.0, 0.2, RATE, 3200))


def test_a_muted_or_silent_voice_is_quiet_at_once() -> None:
    voice = Voice(Tone(559.0), RATE)
    speaking = voice.quiet
    voice.mute(on=True)
    assert (speaking, voice.quiet) == (False, True)
    assert Voice(Silence(), RATE).quiet


@pytest.mark.parametrize("file_rate", [8000, 16000, 44100])
def test_a_file_is_said_over_and_over_at_the_phones_rate(tmp_path: Path, file_rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(500.0, -15.0, 0.2, file_rate), file_rate, "PCM_16")
    said = _say(Voice(WavFile(tmp_path / "a.wav"), RATE), 20)
    assert np.abs(said - tone(500.0, -15.0, 0.4, RATE).astype(int)).max() <= 2


def test_a_file_said_once_ends_in_silence_and_is_then_quiet(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(500.0, -15.0, 0.05, RATE), RATE, "PCM_16")
    voice = Voice(WavFile(tmp_path / "a.wav", loop=False), RATE)
    assert np.flatnonzero(_say(voice, 10)).max() < 800
    pausing = voice.quiet
    _say(voice, 5)
    assert (pausing, voice.quiet) == (False, True)


def test_a_file_that_is_missing_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    voice = Voice(Tone(559.0), RATE)
    with pytest.raises(soundfile.LibsndfileError):
        voice.play(WavFile(tmp_path / "none.wav"))
    assert _say(voice, 1).any()


def test_a_recording_is_readable_while_it_grows(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.wav", RATE)
    sound = tone(559.0, -15.0, 1.5, RATE)
    for start in range(0, len(sound), 320):
        recorder.write(sound[start : start + 320].tobytes())
    growing, _ = soundfile.read(tmp_path / "r.wav", dtype="int16")
    assert np.array_equal(growing, sound[:RATE])
    assert recorder.flush()[0] == pytest.approx(1.5)
    growing, _ = soundfile.read(tmp_path / "r.wav", dtype="int16")
    assert np.array_equal(growing, sound)
    recorder.close()
    whole, rate = soundfile.read(tmp_path / "r.wav", dtype="int16")
    assert (rate, np.array_equal(whole, sound)) == (RATE, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_recording_on_a_full_disk_is_told_to_who_asks_and_stops_no_clock() -> None:
    recorder = Recorder(Path("/dev/full"), RATE)
    for _ in range(120):
        recorder.write(bytes(640))
    for ask in (recorder.flush, recorder.flush, recorder.close):
        with pytest.raises(OSError, match="No space left"):
            ask()


def test_a_moment_is_mapped_to_its_place() -> None:
    position = RecordPosition(path=Path("r.wav"), seconds=2.0, monotonic=100.0)
    assert position.at(100.5) == 2.5


def test_commands_survive_the_wire() -> None:
    settings = PhoneSettings(
        number="1001", password="secret", source=WavFile(Path("a.wav")), record=Path("r.wav")
    )
    for command in (
        wire.Start(1, settings),
        wire.Play(2, Tone(559.0, -20.0)),
        wire.Mute(3, on=True),
        wire.Hangup(4, 486),
    ):
        line = wire.encode(command)
        assert line.endswith(b"\n")
        assert wire.decode_command(line) == command


def test_results_survive_the_wire() -> None:
    position = RecordPosition(path=Path("r.wav"), seconds=2.0, monotonic=100.0)
    reply = wire.decode_message(wire.encode(wire.Reply(7, result=position)))
    assert isinstance(reply, wire.Reply)
    assert wire.result_as(RecordPosition, reply.result) == position


def test_nonsense_on_the_wire_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.decode_command(b'{"type": "fly", "seq": 1}')


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(PhoneSettings(number="1001", password="secret"))


@pytest.mark.parametrize(
    "wrong", [{"sample_rate_hz": 11025}, {"answer_after_ms": -1}, {"source": Tone(9000.0)}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadArgumentError):
        PhoneSettings(number="1001", password="p", **wrong)  # type: ignore[arg-type]  # on purpose


def test_a_tone_above_full_scale_is_refused() -> None:
    with pytest.raises(BadArgumentError, match="above full scale"):
        Tone(559.0, 3.0)


async def test_a_tone_that_the_phone_cannot_carry_is_not_sent_to_it() -> None:
    phone = Softphone(PhoneSettings(number="1001", password="p"))
    with pytest.raises(BadArgumentError, match=r"9000\.0 Hz cannot be carried at 16000 Hz"):
        await phone.play(Tone(9000.0))


async def test_a_phone_that_has_forgotten_its_first_calls_still_sees_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phone = Softphone(PhoneSettings(number="1001", password="p"))

    def tell(number: int) -> None:
        state = CallState.CALLING
        call = CallInfo(
            call_id=number, direction=Direction.OUT, remote="", state=state, reached=(state,)
        )
        phone._take(wire.CallChanged(call))

    async def dialled(_command: object) -> None:
        tell(2001)

    for number in range(1, 2001):
        tell(number)
    monkeypatch.setattr(phone, "_ask", dialled)
    await phone.call("1002")
    assert phone.calls[-1].call_id == 2001
    assert len(phone.calls) == 1000


async def test_without_pjsua2_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    with pytest.raises(PhoneError, match=r"Python 3\.13.*Use Python 3\.11 or 3\.12") as raised:
        await start_phone(PhoneSettings(number="1001", password="p"))
    assert raised.value.error_code is ErrorCode.PHONE_FAILED


async def test_pjsua2_stays_out_of_the_program_that_uses_a_phone() -> None:
    check = "import sys, bridge.lab.phones; sys.exit('pjsua2' in sys.modules)"
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", check)
    assert await program.wait() == 0
