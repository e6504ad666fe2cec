"""Property: the count of lost frames is exact, whatever else is heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.lab.hearing import MAX_SPLICE_FRAMES, TONES, Pcm, gaps, levels, tone

SECONDS = 1.2
voices = st.lists(st.sampled_from(sorted(TONES)), min_size=1, max_size=4, unique=True)
rates = st.sampled_from([8000, 16000])
level = st.floats(-30.0, -15.0)
starts = st.integers(0, 10**7)
moment = st.floats(0.1, 0.9)
count = st.integers(0, MAX_SPLICE_FRAMES)


def _mix(speakers: list[str], rate: int, dbfs: float, start: int) -> Pcm:
    total = sum(
        tone(TONES[name], dbfs, SECONDS, rate, start * (n + 1)).astype(np.int32)
        for n, name in enumerate(speakers)
    )
    mix: Pcm = np.clip(total, -32768, 32767).astype(np.int16)
    return mix


def _through_g711(pcm: Pcm) -> Pcm:
    """What mu-law leaves of the samples (its quantisation, as ITU-T G.711 defines it)."""
    magnitude = np.minimum(np.abs(pcm.astype(np.int64)) // 4, 8158) + 33
    step = 2.0 ** (np.floor(np.log2(magnitude)) - 4)
    value = (np.floor(magnitude / step) + 0.5) * step - 33
    left: Pcm = np.clip(np.sign(pcm) * value * 4, -32768, 32767).astype(np.int16)
    return left


@given(speakers=voices, rate=rates, dbfs=level, start=starts, g711=st.booleans())
def test_unbroken_audio_has_no_gap(
    *,
    speakers: list[str],
    rate: int,
    dbfs: float,
    start: int,
    g711: bool,
) -> None:
    heard = _mix(speakers, rate, dbfs, start)
    heard = _through_g711(heard) if g711 else heard
    assert [gaps(heard, rate, TONES[name]) for name in speakers] == [[]] * len(speakers)


@settings(max_examples=200)
@given(
    speakers=voices,
    rate=rates,
    dbfs=level,
    start=starts,
    at=moment,
    lost=count,
    how=st.sampled_from(["cut", "silence", "delay"]),
    codec=st.sampled_from(["linear", "g711"]),
)
def test_every_lost_frame_is_counted_once(
    *,
    speakers: list[str],
    rate: int,
    dbfs: float,
    start: int,
    at: float,
    lost: int,
    how: str,
    codec: str,
) -> None:
    sent = _mix(speakers, rate, dbfs, start)
    where, length = int(at * rate), lost * rate // 50
    nothing = np.zeros(length, np.int16)
    heard = {
        "cut": np.concatenate((sent[:where], sent[where + length :])),
        "silence": np.concatenate((sent[:where], nothing, sent[where + length :])),
        "delay": np.concatenate((sent[:where], nothing, sent[where:])),
    }[how]
    heard = _through_g711(heard) if codec == "g711" else heard
    assert {name: len(gaps(heard, rate, TONES[name])) for name in speakers} == dict.fromkeys(
        speakers, lost
    )


@settings(max_examples=200)
@given(
    speakers=voices,
    other=st.sampled_from(sorted(TONES)),
    rate=rates,
    dbfs=level,
    start=starts,
    at=moment,
    comes=st.sampled_from(["comes", "goes"]),
)
def test_another_voice_that_comes_or_goes_is_no_gap(
    *, speakers: list[str], other: str, rate: int, dbfs: float, start: int, at: float, comes: str
) -> None:
    steady = [name for name in speakers if name != other]
    change = _mix([other], rate, dbfs, start)
    where = int(at * rate)
    change[slice(0, where) if comes == "comes" else slice(where, None)] = 0
    heard = change + _mix(steady, rate, dbfs, start) if steady else change
    assert [gaps(heard, rate, TONES[name]) for name in steady] == [[]] * len(steady)


@given(speakers=voices, rate=rates, dbfs=level, start=starts)
def test_levels_are_what_was_sent_and_nothing_else(
    *, speakers: list[str], rate: int, dbfs: float, start: int
) -> None:
    measured = levels(_mix(speakers, rate, dbfs, start), rate, TONES)
    for name in TONES:
        if name in speakers:
            assert measured[name] == pytest.approx(dbfs, abs=0.05)
        else:
            assert measured[name] < dbfs - 70
