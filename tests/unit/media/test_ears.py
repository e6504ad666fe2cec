from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bridge.media.ears import Ears
from bridge.media.mixer import WAIT
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError

if TYPE_CHECKING:
    from .conftest import Virtual, VirtualLoop

FORMAT = AudioFormat(8000)


def frame(value: int) -> bytes:
    return np.full(FORMAT.frame_samples, value, "<i2").tobytes()


def value(pcm: bytes) -> int:
    samples = np.frombuffer(pcm, "<i2")
    assert len(samples) == FORMAT.frame_samples
    assert (samples == samples[0]).all()
    return int(samples[0])


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


class Wire:
    """A line's socket, read as MediaSocket reads it: a task takes whatever has arrived."""

    def __init__(self, loop: VirtualLoop, ears: Ears, speaker: str) -> None:
        self._loop = loop
        self._ears = ears
        self._speaker = speaker
        self._near, self._far = socket.socketpair()
        self._near.settimeout(0)
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        loop.add_reader(self._near, lambda: self._received.put_nowait(self._near.recv(1 << 20)))
        self._task = asyncio.create_task(self._read())
        ears.join(speaker)

    def tick(self, value: int) -> None:
        """Asterisk sends a frame."""
        self._far.sendall(frame(value))

    async def _read(self) -> None:
        while True:
            received = await self._received.get()
            for start in range(0, len(received), FORMAT.frame_bytes):
                self._ears.push(self._speaker, received[start : start + FORMAT.frame_bytes])

    async def close(self) -> None:
        self._loop.remove_reader(self._near)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._near.close()
        self._far.close()


@pytest.mark.parametrize("stall_ticks", [3, 5, 10, 30])
@pytest.mark.parametrize("split", [False, True])
def test_a_loop_that_stalls_shifts_no_voice_in_the_mix(
    virtual: Virtual,
    stall_ticks: int,
    split: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """split: the loop stalls between the caller's frame of a tick and the callee's."""

    async def scenario(loop: VirtualLoop) -> None:
        ears = Ears(FORMAT)
        caller, callee = Wire(loop, ears, "caller"), Wire(loop, ears, "callee")
        mixed = ears.subscribe(max_seconds=20)
        number = 0
        for _ in range(10):
            for _ in range(20):
                number += 1
                caller.tick(number)
                await asyncio.sleep(0.005)
                callee.tick(number)
                await asyncio.sleep(0.015)
            if split:
                number += 1
                caller.tick(number)
                await asyncio.sleep(0.005)
                callee.tick(number)
            for _ in range(stall_ticks):
                number += 1
                for wire in (caller, callee):
                    wire.tick(number)
            loop.stall(0.020 * stall_ticks)
            await asyncio.sleep(0.015)
        await caller.close()
        await callee.close()
        await ears.aclose()
        assert [value(pcm) async for pcm in mixed] == [2 * one for one in range(1, number + 1)]

    virtual(scenario)


def test_a_speaker_who_stops_is_waited_for_no_longer_than_said(virtual: Virtual) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        ears = Ears(FORMAT)
        ears.join("caller")
        ears.join("callee")
        mixed = ears.subscribe()
        ears.push("callee", frame(100))
        ears.push("caller", frame(1))
        assert value(await anext(mixed)) == 101
        for number, wait in ((2, WAIT), (3, 0.0), (4, 0.0)):
            began = loop.time()
            ears.push("caller", frame(number))
            assert value(await anext(mixed)) == number
            assert loop.time() - began == pytest.approx(wait, abs=0.001)
        ears.push("callee", frame(100))
        ears.push("caller", frame(5))
        assert value(await anext(mixed)) == 105
        await ears.aclose()

    virtual(scenario)


def test_a_speaker_s_own_stream_does_not_wait_for_the_others(virtual: Virtual) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        ears = Ears(FORMAT)
        ears.join("caller")
        ears.join("callee")
        caller, mixed = ears.subscribe("caller"), ears.subscribe()
        began = loop.time()
        ears.push("caller", frame(1))
        assert caller.buffered_frames == 1
        assert mixed.buffered_frames == 0
        assert value(await anext(caller)) == 1
        assert loop.time() == began
        await ears.aclose()

    virtual(scenario)
