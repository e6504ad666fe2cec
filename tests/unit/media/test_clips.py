from __future__ import annotations

import struct
import wave
from pathlib import Path

import pytest

from bridge.lab.hearing import level_dbfs, pcm_from_bytes, tone
from bridge.media.clips import load_wav, pcm_of_wav
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

HZ = 973.0
SENT_DBFS = -15.0


def wav(path: Path, data: bytes, *, rate: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("wanted", [8000, 16000, 24000])
def test_a_tone_keeps_pitch_level_and_length(tmp_path: Path, rate: int, wanted: int) -> None:
    data = tone(HZ, SENT_DBFS, 1.0, rate).astype("<i2").tobytes()
    pcm = pcm_from_bytes(load_wav(wav(tmp_path / "a.wav", data, rate=rate), AudioFormat(wanted)))
    assert len(pcm) == wanted
    assert level_dbfs(pcm, wanted, HZ) == pytest.approx(SENT_DBFS, abs=0.2)


def test_channels_are_mixed(tmp_path: Path) -> None:
    mono = tone(HZ, SENT_DBFS, 1.0, 8000)
    data = mono.repeat(2).astype("<i2").tobytes()
    path = wav(tmp_path / "a.wav", data, rate=8000, channels=2)
    assert load_wav(path, AudioFormat(8000)) == mono.astype("<i2").tobytes()


def test_a_file_of_32_bit(tmp_path: Path) -> None:
    mono = tone(HZ, SENT_DBFS, 0.5, 8000)
    data = (mono.astype("<i4") << 16).tobytes()
    path = wav(tmp_path / "a.wav", data, rate=8000, width=4)
    assert load_wav(path, AudioFormat(8000)) == mono.astype("<i2").tobytes()


def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadArgumentError, match=r"missing\.wav cannot be read: No such file"):
        load_wav(tmp_path / "missing.wav", AudioFormat(8000))
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(BadArgumentError, match="16-bit PCM"):
        load_wav(tmp_path / "text.wav", AudioFormat(8000))
    with pytest.raises(BadArgumentError, match="longer than"):
        load_wav(wav(tmp_path / "long.wav", bytes(301 * 1000 * 2), rate=1000), AudioFormat(8000))


@pytest.mark.parametrize("comment", [b"", b"metadata!", b"ISFT odd"])
def test_what_a_pipe_brings_counts_whole_whatever_is_said_before_it(
    tmp_path: Path, comment: bytes
) -> None:
    data = tone(HZ, SENT_DBFS, 0.1, 8000).astype("<i2").tobytes()
    head, _, body = wav(tmp_path / "a.wav", data, rate=8000).read_bytes().partition(b"data")
    said = struct.pack("<4sI", b"LIST", len(comment)) + comment + bytes(len(comment) % 2)
    piped = head + said + b"data" + struct.pack("<I", 0xFFFFFFFF) + body[4:]
    assert pcm_of_wav(piped, AudioFormat(8000)) == data
