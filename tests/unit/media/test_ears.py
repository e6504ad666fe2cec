from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from bridge.media.ears import MAX_WAIT, Ears, Mixer
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

FORMAT = AudioFormat(8000)


def frame(value: int) -> bytes:
    return np.full(FORMAT.frame_samples, value, "<i2").tobytes()


def value(pcm: bytes) -> int:
    samples = np.frombuffer(pcm, "<i2")
    assert len(samples) == FORMAT.frame_samples
    assert (samples == samples[0]).all()
    return int(samples[0])


def test_the_mix_waits_for_every_live_speaker() -> None:
    mixer = Mixer(["caller", "callee"])
    assert mixer.push("caller", frame(1)) == []
    assert [value(mixed) for mixed in mixer.push("callee", frame(10))] == [11]


def test_a_speaker_without_frames_counts_as_silent_after_three() -> None:
    mixer = Mixer(["caller", "callee"])
    for number in range(MAX_WAIT):
        assert mixer.push("caller", frame(number)) == []
    assert [value(mixed) for mixed in mixer.push("caller", frame(9))] == [0]
    # He is back: the two are heard together again, nothing of the other is skipped.
    assert [value(mixed) for mixed in mixer.push("callee", frame(100))] == [101]


def test_a_leaver_is_heard_to_the_end_and_not_waited_for() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("callee", frame(5))
    mixer.push("callee", frame(6))
    assert mixer.leave("callee") == []
    assert [value(mixed) for mixed in mixer.push("caller", frame(100))] == [105]
    assert [value(mixed) for mixed in mixer.leave("caller")] == [6]
    assert mixer.push("caller", frame(1)) == [frame(1)]


def test_leaving_sets_free_what_waited_for_the_leaver() -> None:
    mixer = Mixer(["caller", "callee"])
    mixer.push("caller", frame(1))
    mixer.push("caller", frame(2))
    assert [value(mixed) for mixed in mixer.leave("callee")] == [1, 2]


def test_a_joiner_is_waited_for() -> None:
    mixer = Mixer(["caller"])
    assert mixer.push("caller", frame(1)) == [frame(1)]
    mixer.join("callee")
    assert mixer.push("caller", frame(2)) == []
    assert [value(mixed) for mixed in mixer.push("callee", frame(10))] == [12]


async def test_each_speaker_apart_and_the_mix() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    ears.join("callee")
    caller, callee, mixed = ears.subscribe("caller"), ears.subscribe("callee"), ears.subscribe()
    ears.push("caller", frame(1))
    ears.push("callee", frame(10))
    ears.push("nobody", frame(100))
    assert ears.speakers == {"caller", "callee"}
    await ears.aclose()
    assert [value(pcm) async for pcm in caller] == [1]
    assert [value(pcm) async for pcm in callee] == [10]
    assert [value(pcm) async for pcm in mixed] == [11]


async def test_audio_of_any_size_is_cut_into_frames() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    stream = ears.subscribe("caller")
    audio = np.arange(FORMAT.frame_samples * 3, dtype="<i2").tobytes()
    for start in range(0, len(audio), 254):
        ears.push("caller", audio[start : start + 254])
    await ears.aclose()
    frames = [pcm async for pcm in stream]
    assert {len(pcm) for pcm in frames} == {FORMAT.frame_bytes}
    assert b"".join(frames) == audio


async def test_a_slow_reader_loses_the_oldest_and_they_are_counted() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    slow, fast = ears.subscribe("caller", max_seconds=0.1), ears.subscribe("caller")
    for number in range(8):
        ears.push("caller", frame(number))
    await ears.aclose()
    assert slow.dropped_frames == 3
    assert fast.dropped_frames == 0
    assert [value(pcm) async for pcm in slow] == [3, 4, 5, 6, 7]
    assert [value(pcm) async for pcm in fast] == list(range(8))


async def test_a_reader_waits_for_audio_and_ends_with_the_speaker() -> None:
    ears = Ears(FORMAT)
    stream = ears.subscribe("callee")
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    ears.join("callee")
    ears.push("callee", frame(7))
    assert value(await reader) == 7
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    assert not reader.done()
    ears.leave("callee")
    with pytest.raises(StopAsyncIteration):
        await reader
    assert ears.subscriptions == 0


async def test_the_mix_goes_on_when_a_speaker_ends() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    ears.join("callee")
    stream = ears.subscribe()
    ears.push("callee", frame(1))
    ears.leave("callee")
    ears.push("caller", frame(20))
    ears.push("caller", frame(30))
    assert value(await anext(stream)) == 21
    assert value(await anext(stream)) == 30
    assert not stream.ended


async def test_a_loop_that_breaks_off_leaves_no_subscription() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    ears.push("caller", frame(0))

    async def first() -> bytes:
        async for pcm in ears.subscribe():
            return pcm
        raise AssertionError

    reader = asyncio.create_task(first())
    await asyncio.sleep(0)
    assert ears.subscriptions == 1
    ears.push("caller", frame(3))
    assert value(await reader) == 3
    del reader
    gc.collect()
    assert ears.subscriptions == 0


async def test_a_closed_stream_and_closed_ears_give_nothing() -> None:
    ears = Ears(FORMAT)
    ears.join("caller")
    stream = ears.subscribe()
    ears.push("caller", frame(1))
    await stream.aclose()
    ears.push("caller", frame(2))
    assert [pcm async for pcm in stream] == []
    await ears.aclose()
    assert [pcm async for pcm in ears.subscribe()] == []
    assert ears.speakers == set()


async def test_a_buffer_below_a_frame_is_refused() -> None:
    with pytest.raises(BadArgumentError):
        Ears(FORMAT).subscribe(max_seconds=0.01)
