"""Voice against a model of chan_websocket's queue, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bridge.media.outbox import SILENT
from bridge.media.pcm import AudioFormat
from bridge.media.voice import Voice
from bridge.model.errors import BufferFullError, CallClosedError, RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .conftest import FarQueue, Virtual, VirtualLoop

FORMAT = AudioFormat(8000)
FRAME = FORMAT.frame_bytes
CALLER, CALLEE = frozenset({"caller"}), frozenset({"callee"})
BOTH = CALLER | CALLEE


async def nothing() -> None:
    pass


def speech(frames: float, first: int = 1) -> bytes:
    """Samples that count up, so that each is known again and none is silence."""
    count = int(frames * FORMAT.frame_samples)
    return (np.arange(first, first + count) % 32000 + 1).astype("<i2").tobytes()


def joined(frames: list[bytes]) -> bytes:
    return b"".join(frames)


class Scene:
    """A voice with two lines; leaves no timer behind."""

    def __init__(self, loop: VirtualLoop, far_queue: type[FarQueue], **phases: float) -> None:
        self.loop = loop
        self.voice = Voice(FORMAT)
        self.caller = far_queue(loop, phase=phases.get("caller", 0.013))
        self.callee = far_queue(loop, phase=phases.get("callee", 0.006))
        self.voice.add_line("caller", self.caller)
        self.voice.add_line("callee", self.callee)

    async def speak_to(self, route: frozenset[str]) -> None:
        await self.voice.change(route, prepare=nothing, settle=nothing)

    async def close(self) -> None:
        await self.voice.drain()
        await self.voice.aclose()
        self.caller.stop()
        self.callee.stop()


@pytest.mark.parametrize("phase", [0.0, 0.001, 0.010, 0.0199])
def test_a_burst_is_played_whole_without_a_gap(
    virtual: Virtual, far_queue: type[FarQueue], phase: float
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue, caller=phase)
        await scene.speak_to(CALLER)
        began = loop.time()
        audio = speech(250)
        scene.voice.send(audio)
        assert scene.caller.sent[0][0] == began
        assert scene.voice.buffered_bytes == len(audio)
        await scene.close()
        assert loop.time() - began == pytest.approx(5.0, abs=0.1)
        assert joined(scene.caller.frames) == audio
        assert scene.caller.gaps == 0
        assert 13 <= scene.caller.deepest <= 14
        assert scene.callee.sent == []
        assert scene.voice.counts.padded == 0
        assert scene.voice.buffered_bytes == 0

    virtual(scenario)


@pytest.mark.parametrize("chunk_ms", [5, 10, 20, 33, 37, 50, 60, 115])
def test_speech_in_real_time_in_chunks_of_any_size_has_a_gap_at_most_at_its_beginning(
    virtual: Virtual, far_queue: type[FarQueue], chunk_ms: int
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        size = FORMAT.rate * chunk_ms // 1000 * 2
        audio = speech(200)
        began = loop.time()
        for number, start in enumerate(range(0, len(audio), size)):
            await asyncio.sleep(began + number * chunk_ms / 1000 - loop.time())
            scene.voice.send(audio[start : start + size])
        await scene.close()
        heard = joined(scene.caller.frames)
        assert heard[: len(audio)] == audio
        assert set(heard[len(audio) :]) <= {0}
        played = [pcm for _, pcm in scene.caller.played]
        first = next(index for index, pcm in enumerate(played) if pcm is not None)
        last = max(index for index, pcm in enumerate(played) if pcm is not None)
        assert None not in played[first + 1 + chunk_ms // 10 : last]
        assert scene.caller.gaps <= 1 + chunk_ms // 20

    virtual(scenario)


@pytest.mark.parametrize(("late_ms", "most"), [(0.1, 2), (0.4, 3), (1.0, 5)])
def test_a_sender_whose_clock_is_slow_is_interrupted_seldom(
    virtual: Virtual, far_queue: type[FarQueue], late_ms: float, most: int
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(BOTH)
        audio = speech(500)
        for start in range(0, len(audio), FRAME):
            scene.voice.send(audio[start : start + FRAME])
            await asyncio.sleep(0.020 + late_ms / 1000)
        await scene.close()
        for line in (scene.caller, scene.callee):
            assert joined(line.frames) == audio
            played = [pcm is not None for _, pcm in line.played]
            edges = sum(one and not other for one, other in pairwise(played))
            assert edges - 1 <= most
        assert scene.voice.counts.refilled <= most

    virtual(scenario)


def test_a_late_sender_who_pauses_is_heard_at_once_again(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        for _ in range(60):
            scene.voice.send(speech(1))
            await asyncio.sleep(0.021)
        assert scene.voice.counts.refilled >= 1
        await asyncio.sleep(0.5)
        again = loop.time()
        scene.voice.send(speech(1, first=9000))
        assert scene.caller.sent[-1] == (again, speech(1, first=9000))
        # Nor is the first word of another mode, however soon it comes.
        await asyncio.sleep(0.030)
        await scene.speak_to(BOTH)
        again = loop.time()
        scene.voice.send(speech(1, first=9500))
        assert scene.caller.sent[-1] == (again, speech(1, first=9500))
        await scene.close()

    virtual(scenario)


@pytest.mark.parametrize("stall_ms", [40, 100, 200])
@pytest.mark.parametrize("phase", [0.0, 0.007, 0.0199])
def test_a_loop_that_stalls_makes_no_gap_in_what_was_sent_ahead(
    virtual: Virtual, far_queue: type[FarQueue], stall_ms: int, phase: float
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue, caller=phase)
        await scene.speak_to(CALLER)
        audio = speech(1000)
        scene.voice.send(audio)
        for number in range(24):
            # The times at which marks come back are hit too.
            await asyncio.sleep(0.780 - stall_ms / 1000 + number % 5 * 0.013)
            loop.stall(stall_ms / 1000)
        await scene.close()
        assert joined(scene.caller.frames) == audio
        assert scene.caller.gaps == 0
        assert scene.caller.deepest <= 15
        assert scene.voice.counts.resynced == 0

    virtual(scenario)


@pytest.mark.parametrize("stall_ms", [190, 215])
def test_a_mark_that_a_late_loop_reads_late_stops_nothing(
    virtual: Virtual, far_queue: type[FarQueue], stall_ms: int
) -> None:
    """Every mark is played at the beginning of a stall and read after it."""

    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        audio = speech(800)
        scene.voice.send(audio)
        stalls = 0
        while scene.voice.buffered_bytes > 2 * FORMAT.bytes_per_second:
            await scene.caller.marked()
            await asyncio.sleep(0.235)
            loop.stall(stall_ms / 1000)
            stalls += 1
            # What the stall kept back is sent at once.
            await asyncio.sleep(0.001)
            assert 12 <= scene.caller.waiting <= 14
        asked = scene.caller.asked
        await scene.close()
        assert asked == stalls >= 8
        assert scene.voice.counts.resynced == 0
        assert joined(scene.caller.frames) == audio
        assert scene.caller.gaps == 0

    virtual(scenario)


def test_a_sender_in_real_time_waits_behind_no_more_than_before(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        audio = speech(300)
        size = 5 * FRAME
        began = loop.time()
        for number, start in enumerate(range(0, len(audio), size)):
            await asyncio.sleep(began + number * 0.1 - loop.time())
            scene.voice.send(audio[start : start + size])
        await scene.close()
        assert scene.caller.deepest <= 5
        assert joined(scene.caller.frames) == audio

    virtual(scenario)


def test_the_whole_end_of_what_was_sent_ahead_is_safe_from_a_stall(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        for number in range(12):
            before = len(scene.caller.played)
            scene.voice.send(speech(50, first=1 + number * 100))
            await asyncio.sleep(0.6 + number * 0.02)
            loop.stall(0.200)
            await scene.voice.drain()
            heard = [pcm for _, pcm in scene.caller.played[before:]]
            first = heard.index(speech(1, first=1 + number * 100))
            assert joined([pcm or b"" for pcm in heard[first : first + 50]]) == speech(
                50, first=1 + number * 100
            )
        await scene.close()

    virtual(scenario)


def test_what_is_said_behind_a_change_is_not_heard_long_before_the_end_of_what_was_said_before(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(100))
        opened: list[float] = []
        closed: list[float] = []

        async def prepare() -> None:
            opened.append(loop.time())

        async def settle() -> None:
            closed.append(loop.time())

        change = asyncio.create_task(scene.voice.change(CALLER, prepare=prepare, settle=settle))
        await asyncio.sleep(0)
        scene.voice.send(speech(100, first=9000))
        await change
        last = max(at for at, pcm in scene.callee.played if pcm is not None)
        assert scene.caller.sent[0][0] == opened[0]
        assert last - 0.080 <= opened[0] <= last
        assert closed[0] == pytest.approx(last + 0.020, abs=1e-6)
        await scene.close()
        assert joined(scene.callee.frames) == speech(100)
        assert joined(scene.caller.frames) == speech(100, first=9000)

    virtual(scenario)


@pytest.mark.parametrize("rate", [1 - 200e-6, 1 + 200e-6])
def test_clocks_that_drift_apart_neither_starve_nor_flood_the_line(
    virtual: Virtual, far_queue: type[FarQueue], rate: float
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        voice = Voice(FORMAT, seconds=1200)
        line = far_queue(loop, rate=rate)
        voice.add_line("caller", line)
        await voice.change(CALLER, prepare=nothing, settle=nothing)
        audio = speech(50 * 900)
        voice.send(audio)
        await voice.drain()
        await voice.aclose()
        line.stop()
        assert line.gaps == 0
        assert line.deepest <= 14
        assert joined(line.frames) == audio

    virtual(scenario)


def test_a_server_that_pauses_leaves_no_backlog_behind(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        audio = speech(500)
        scene.voice.send(audio)
        await asyncio.sleep(2.0)
        scene.caller.pause(1.0)
        await asyncio.sleep(4.0)
        scene.caller.deepest = 0
        await scene.close()
        assert joined(scene.caller.frames) == audio
        assert scene.caller.deepest <= 14
        assert scene.voice.counts.resynced == 1
        assert scene.caller.asked >= 1

    virtual(scenario)


def test_clearing_cuts_within_two_frames(virtual: Virtual, far_queue: type[FarQueue]) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(BOTH)
        scene.voice.send(speech(250))
        await asyncio.sleep(1.0)
        before = scene.voice.buffered_bytes
        cut = loop.time()
        assert scene.voice.clear() == before
        assert scene.voice.dropped.cleared == before
        assert scene.voice.buffered_bytes == 0
        await asyncio.sleep(0.5)
        for line in (scene.caller, scene.callee):
            assert max(at for at, pcm in line.played if pcm is not None) <= cut + 0.04
            assert line.flushes == 1
        # What comes after is heard, at once and from its beginning.
        again = loop.time()
        scene.voice.send(speech(2, first=9000))
        assert scene.caller.sent[-1][0] == again
        await scene.close()
        assert joined(scene.caller.frames[-2:]) == speech(2, first=9000)

    virtual(scenario)


def test_audio_is_heard_in_the_mode_it_was_sent_in(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(250))
        began = loop.time()
        gates: list[tuple[str, float, int]] = []

        async def settle() -> None:
            gates.append(("closed", loop.time(), len(scene.callee.frames)))

        await scene.voice.change(SILENT, prepare=nothing, settle=settle)
        assert scene.voice.send(speech(10)) == 0
        await scene.close()
        assert joined(scene.callee.frames) == speech(250)
        assert scene.callee.gaps == 0
        assert scene.caller.sent == []
        [(_, at, heard)] = gates
        assert heard == 250
        assert at - began == pytest.approx(5.02, abs=0.05)
        assert scene.voice.dropped.silent == len(speech(10))

    virtual(scenario)


def test_audio_sent_while_a_change_waits_goes_where_the_change_says(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(20.5))
        change = asyncio.create_task(scene.speak_to(CALLER))
        await asyncio.sleep(0)
        assert scene.voice.route == CALLER
        scene.voice.send(speech(10, first=5000))
        await change
        await scene.close()
        assert joined(scene.callee.frames) == speech(20.5) + bytes(FRAME // 2)
        assert joined(scene.caller.frames) == speech(10, first=5000)

    virtual(scenario)


def test_an_idle_change_takes_no_time_but_that_of_its_gates(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(3))
        await asyncio.sleep(2.0)
        marks = scene.callee.marks

        async def gate() -> None:
            await asyncio.sleep(0.004)

        began = loop.time()
        await scene.voice.change(CALLER, prepare=gate, settle=gate)
        assert loop.time() - began == pytest.approx(0.008, abs=1e-6)
        assert scene.callee.marks == marks
        scene.voice.send(speech(1))
        assert scene.caller.sent[0][0] == loop.time()
        await scene.close()

    virtual(scenario)


def test_nothing_is_sent_to_a_new_line_before_its_gate_is_open(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        opened: list[float] = []

        async def prepare() -> None:
            await asyncio.sleep(0.3)
            opened.append(loop.time())

        change = asyncio.create_task(scene.voice.change(BOTH, prepare=prepare, settle=nothing))
        await asyncio.sleep(0)
        scene.voice.send(speech(5))
        await change
        await scene.close()
        for line in (scene.caller, scene.callee):
            assert line.sent[0][0] == opened[0]
            assert joined(line.frames) == speech(5)

    virtual(scenario)


def test_a_gate_that_does_not_open_leaves_the_observer_silent(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)

        async def prepare() -> None:
            await asyncio.sleep(0.1)
            raise RequestFailedError(status=500, method="DELETE", resource="mute", reason="no")

        settled: list[str] = []

        async def settle() -> None:
            settled.append("closed")

        change = asyncio.create_task(scene.voice.change(CALLER, prepare=prepare, settle=settle))
        await asyncio.sleep(0.05)
        scene.voice.send(speech(5))
        with pytest.raises(RequestFailedError):
            await change
        assert scene.voice.route == SILENT
        assert scene.voice.send(speech(2)) == 0
        await scene.voice.drain()
        assert scene.caller.sent == []
        assert scene.callee.sent == []
        assert settled == []
        assert scene.voice.dropped.refused == len(speech(5))
        assert scene.voice.dropped.silent == len(speech(2))
        # It is no end: the next change works.
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(2))
        await scene.close()
        assert joined(scene.callee.frames) == speech(2)

    virtual(scenario)


@pytest.mark.parametrize("when", [0.05, 0.3])
def test_a_change_that_is_cancelled_leaves_the_observer_silent_and_the_stream_flowing(
    virtual: Virtual, far_queue: type[FarQueue], when: float
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(10))

        async def prepare() -> None:
            await asyncio.sleep(9)

        change = asyncio.create_task(scene.voice.change(BOTH, prepare=prepare, settle=nothing))
        await asyncio.sleep(when)
        scene.voice.send(speech(10))
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert scene.voice.route == SILENT
        await scene.speak_to(CALLER)
        scene.voice.send(speech(4))
        await scene.close()
        assert joined(scene.callee.frames) == speech(10)
        assert joined(scene.caller.frames) == speech(4)

    virtual(scenario)


def test_changes_happen_one_after_another(virtual: Virtual, far_queue: type[FarQueue]) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        log: list[str] = []

        def step(name: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                log.append(f"{name} begins")
                await asyncio.sleep(0.05)
                log.append(f"{name} ends")

            return run

        async with asyncio.TaskGroup() as group:
            for name, route in (("one", CALLER), ("two", BOTH), ("three", CALLEE)):
                group.create_task(
                    scene.voice.change(
                        route, prepare=step(f"{name} opens"), settle=step(f"{name} closes")
                    )
                )
                await asyncio.sleep(0)
                scene.voice.send(speech(3))
        # The gates that one change closes must not be those that the next has opened already.
        assert log == [
            f"{name} {action} {edge}"
            for name in ("one", "two", "three")
            for action in ("opens", "closes")
            for edge in ("begins", "ends")
        ]
        await scene.close()
        assert joined(scene.caller.frames) == speech(3) * 2
        assert joined(scene.callee.frames) == speech(3) * 2

    virtual(scenario)


def test_a_cutting_change_does_not_wait_for_what_was_queued(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(250))
        await asyncio.sleep(0.5)
        cut = loop.time()
        await scene.voice.change(CALLER, prepare=nothing, settle=nothing, cut=True)
        assert loop.time() - cut < 0.001
        scene.voice.send(speech(5))
        await scene.close()
        assert max(at for at, pcm in scene.callee.played if pcm is not None) <= cut + 0.04
        assert joined(scene.caller.frames) == speech(5)

    virtual(scenario)


def test_a_line_that_never_plays_is_flushed_before_its_gate_is_closed(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.callee.deaf_to_marks = True
        scene.voice.send(speech(5))
        await scene.speak_to(SILENT)
        assert scene.callee.flushes == 1
        assert scene.voice.counts.unplayed == 1
        await scene.close()

    virtual(scenario)


def test_a_line_that_goes_takes_only_its_own_audio_along(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(BOTH)
        audio = speech(100)
        scene.voice.send(audio)
        await asyncio.sleep(1.0)
        scene.voice.remove_line("callee")
        await scene.close()
        assert joined(scene.caller.frames) == audio
        assert scene.caller.gaps == 0
        assert scene.voice.counts.lost["callee"] == 100 - len(scene.callee.sent)

    virtual(scenario)


def test_what_is_said_to_lines_that_are_gone_passes_in_its_own_time(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.remove_line("callee")
        scene.callee.closed = True
        began = loop.time()
        scene.voice.send(speech(50))
        await scene.voice.drain()
        assert loop.time() - began == pytest.approx(0.92, abs=0.02)
        assert scene.voice.counts.lost == {"callee": 50}
        await scene.close()

    virtual(scenario)


def test_a_choked_line_is_flushed_and_goes_on_when_it_can(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(BOTH)
        audio = speech(100)
        scene.voice.send(audio)
        await asyncio.sleep(0.5)
        scene.caller.xoff = True
        await asyncio.sleep(0.5)
        scene.caller.xoff = False
        await scene.close()
        assert scene.caller.flushes == 1
        assert joined(scene.callee.frames) == audio
        assert scene.callee.gaps == 0
        assert 20 <= scene.voice.counts.lost["caller"] <= 30

    virtual(scenario)


def test_a_line_that_joins_a_running_route_gets_a_cushion_of_its_own(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLER)
        scene.voice.send(speech(50))
        joining = asyncio.create_task(scene.speak_to(BOTH))
        await asyncio.sleep(0)
        scene.voice.send(speech(100, first=9000))
        await joining
        for _ in range(5):
            await asyncio.sleep(0.2)
            loop.stall(0.040)
        await scene.close()
        assert joined(scene.caller.frames) == speech(50) + speech(100, first=9000)
        assert joined(scene.callee.frames) == speech(100, first=9000)
        assert scene.caller.gaps == scene.callee.gaps == 0
        # At the change 80 ms were left of what was said before; then the newcomer gets its 240.
        assert scene.caller.deepest <= 18

    virtual(scenario)


def test_a_line_that_stays_while_others_join_in_turn_does_not_grow_deep(
    virtual: Virtual, far_queue: type[FarQueue]
) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        consult = far_queue(loop)
        scene.voice.add_line("consult", consult)
        changes = []
        for number in range(20):
            other = ("callee", "consult")[number % 2]
            changes.append(asyncio.create_task(scene.speak_to(frozenset({"caller", other}))))
            await asyncio.sleep(0)
            scene.voice.send(speech(15, first=1 + number * 1500))
        await asyncio.gather(*changes)
        await scene.close()
        consult.stop()
        assert len(scene.caller.frames) == 300
        assert scene.caller.gaps == 0
        assert scene.caller.deepest <= 22

    virtual(scenario)


def test_a_full_buffer_refuses_and_plays_on(virtual: Virtual, far_queue: type[FarQueue]) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        voice = Voice(FORMAT, seconds=1.0)
        line = far_queue(loop)
        voice.add_line("caller", line)
        await voice.change(CALLER, prepare=nothing, settle=nothing)
        voice.send(speech(50))
        voice.send(speech(13, first=9000))
        with pytest.raises(BufferFullError):
            voice.send(speech(1))
        await voice.drain()
        await voice.aclose()
        line.stop()
        assert joined(line.frames) == speech(50) + speech(13, first=9000)

    virtual(scenario)


def test_closing_ends_everything(virtual: Virtual, far_queue: type[FarQueue]) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        scene = Scene(loop, far_queue)
        await scene.speak_to(CALLEE)
        scene.voice.send(speech(250))
        change = asyncio.create_task(scene.speak_to(CALLER))
        drain = asyncio.create_task(scene.voice.drain())
        await asyncio.sleep(0.1)
        await scene.voice.aclose()
        closed = loop.time()
        with pytest.raises(CallClosedError):
            await change
        await drain
        with pytest.raises(CallClosedError):
            scene.voice.send(speech(1))
        with pytest.raises(CallClosedError):
            await scene.speak_to(CALLER)
        await asyncio.sleep(0.2)
        assert max(at for at, pcm in scene.callee.played if pcm is not None) <= closed + 0.04
        assert scene.caller.sent == []
        scene.caller.stop()
        scene.callee.stop()

    virtual(scenario)
