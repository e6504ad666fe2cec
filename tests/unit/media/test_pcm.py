from __future__ import annotations

import numpy as np
import pytest

from bridge.media.pcm import AudioFormat, check_pcm, mix
from bridge.model.errors import BadArgumentError


@pytest.mark.parametrize(
    ("rate", "name", "size"), [(8000, "slin", 320), (16000, "slin16", 640), (24000, "slin24", 960)]
)
def test_a_format_knows_its_name_in_asterisk_and_its_frame(rate: int, name: str, size: int) -> None:
    audio_format = AudioFormat(rate)
    assert audio_format.asterisk_name == name
    assert audio_format.frame_bytes == size
    assert audio_format.bytes_per_second == rate * 2
    assert audio_format.seconds(size) == pytest.approx(0.02)


@pytest.mark.parametrize("rate", [0, 11025, 44100, 48000, -8000])
def test_another_rate_is_refused_with_the_rates_that_are_not(rate: int) -> None:
    with pytest.raises(BadArgumentError, match="8000, 16000, 24000"):
        AudioFormat(rate)


def test_half_a_sample_is_refused() -> None:
    check_pcm(b"")
    check_pcm(b"ab")
    check_pcm(memoryview(b"abcd"))
    with pytest.raises(BadArgumentError, match="3 bytes"):
        check_pcm(b"abc")


def test_text_is_no_audio() -> None:
    with pytest.raises(BadArgumentError, match="not str"):
        check_pcm("ab")  # type: ignore[arg-type]  # what an untyped program may do


def test_mixing_adds_and_saturates() -> None:
    one = np.array([1, 30000, -30000, 32767], "<i2").tobytes()
    two = np.array([2, 10000, -10000, -32768], "<i2").tobytes()
    assert np.frombuffer(mix([one, two]), "<i2").tolist() == [3, 32767, -32768, -1]
    three = np.array([0, -20000, 20000, 1], "<i2").tobytes()
    # Saturation comes after the sum, not between two of its terms.
    assert np.frombuffer(mix([one, two, three]), "<i2").tolist() == [3, 20000, -20000, 0]


def test_mixing_nothing_and_one() -> None:
    assert mix([]) == b""
    assert mix([b"ab"]) == b"ab"
