from __future__ import annotations

import pytest

from bridge.media.outbox import SILENT, Barrier, Frame, Outbox
from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError, BufferFullError

CALLER, CALLEE = frozenset({"caller"}), frozenset({"callee"})
BOTH = CALLER | CALLEE
FRAME = 320


def open_box(route: frozenset[str] = BOTH, seconds: float = 10.0) -> Outbox:
    box = Outbox(AudioFormat(8000), seconds=seconds)
    box.barrier(0)
    assert box.next(0.0) == Barrier(0)
    box.release(0, route)
    return box


def test_frames_come_out_whole_and_in_order() -> None:
    box = open_box()
    box.send(b"ab" * 100, BOTH)
    box.send(b"cd" * 220, BOTH)
    assert box.size_bytes == 640
    assert box.next(0.0) == Frame(BOTH, b"ab" * 100 + b"cd" * 60)
    assert box.next(0.0) == Frame(BOTH, b"cd" * 160)
    assert box.next(0.0) is None
    assert box.size_bytes == 0


def test_what_is_said_to_nobody_is_dropped_and_counted() -> None:
    box = open_box()
    assert box.send(bytes(500), SILENT) == 0
    assert box.size_bytes == 0
    assert box.dropped.silent == box.dropped.total == 500


def test_a_new_outbox_is_silent_until_a_barrier_allows() -> None:
    box = Outbox(AudioFormat(8000))
    assert box.send(bytes(FRAME), BOTH) == 0
    assert box.dropped.refused == FRAME
    assert box.next(0.0) is None


def test_a_full_buffer_takes_nothing_of_a_chunk() -> None:
    box = open_box(seconds=0.1)
    box.send(bytes(1600), BOTH)
    with pytest.raises(BufferFullError, match="0\\.1 s"):
        box.send(bytes(2), BOTH)
    assert box.size_bytes == 1600
    assert box.dropped.total == 0
    box.next(0.0)
    assert box.send(bytes(FRAME), BOTH) == FRAME


def test_half_a_sample_is_refused() -> None:
    box = open_box()
    with pytest.raises(BadArgumentError):
        box.send(b"abc", BOTH)
    assert box.size_bytes == 0


def test_a_tail_waits_until_nothing_plays_any_more_and_is_then_padded() -> None:
    box = open_box()
    box.send(b"ab" * 10, BOTH)
    assert box.ready_at(5.0, busy_until=5.02) == pytest.approx(5.06)
    assert box.next(5.059, busy_until=5.02) is None
    frame = box.next(5.061, busy_until=5.02)
    assert frame == Frame(BOTH, b"ab" * 10 + bytes(FRAME - 20), padding=FRAME - 20)


def test_a_tail_that_is_filled_up_in_time_is_not_padded() -> None:
    box = open_box()
    box.send(b"ab" * 10, BOTH)
    assert box.next(5.0) is None
    box.send(b"cd" * 150, BOTH)
    assert box.next(5.01) == Frame(BOTH, b"ab" * 10 + b"cd" * 150)


def test_a_tail_before_a_barrier_is_padded_at_once_and_the_stream_holds() -> None:
    box = open_box()
    box.send(b"ab", BOTH)
    box.barrier(7)
    box.send(bytes(FRAME), CALLER)
    frame = box.next(1.0)
    assert isinstance(frame, Frame)
    assert frame.padding == FRAME - 2
    assert box.next(1.0) == Barrier(7)
    assert box.held == 7
    assert box.next(99.0) is None
    assert box.ready_at(99.0) is None
    box.release(7, CALLER)
    assert box.next(99.0) == Frame(CALLER, bytes(FRAME))


def test_what_a_release_does_not_allow_is_refused_up_to_the_next_barrier() -> None:
    box = open_box()
    box.barrier(1)
    box.send(bytes(FRAME), CALLER)
    box.barrier(2)
    box.send(b"ab" * 160, CALLEE)
    assert box.next(0.0) == Barrier(1)
    assert box.release(1, SILENT) == FRAME
    assert box.dropped.refused == FRAME
    assert box.next(0.0) == Barrier(2)
    assert box.release(2, CALLEE) == 0
    assert box.next(0.0) == Frame(CALLEE, b"ab" * 160)


def test_what_is_sent_after_a_refusing_release_is_refused_too() -> None:
    box = open_box()
    box.barrier(1)
    assert box.next(0.0) == Barrier(1)
    box.release(1, CALLEE)
    assert box.send(bytes(FRAME), BOTH) == 0
    assert box.send(bytes(FRAME), CALLEE) == FRAME
    assert box.dropped.refused == FRAME


def test_clearing_drops_audio_and_keeps_barriers() -> None:
    box = open_box()
    box.send(bytes(100), BOTH)
    box.barrier(1)
    box.send(bytes(200), CALLER)
    box.barrier(2)
    assert box.clear() == 300
    assert box.size_bytes == 0
    assert box.dropped.cleared == 300
    assert box.next(0.0) == Barrier(1)
    box.release(1, SILENT)
    assert box.next(0.0) == Barrier(2)


def test_clearing_does_not_release_a_stream_that_holds() -> None:
    box = open_box()
    box.barrier(1)
    assert box.next(0.0) == Barrier(1)
    box.send(bytes(FRAME), CALLER)
    assert box.clear() == FRAME
    box.send(bytes(FRAME), CALLER)
    assert box.next(9.0) is None
    box.release(1, CALLER)
    assert box.next(9.0) == Frame(CALLER, bytes(FRAME))


def test_releasing_what_does_not_hold_is_an_error() -> None:
    box = open_box()
    with pytest.raises(ValueError, match="holds at None"):
        box.release(3, BOTH)
    assert box.allowed == BOTH


def test_runs_of_one_route_join_when_what_was_between_is_refused() -> None:
    box = open_box()
    box.barrier(1)
    box.send(b"ab" * 80, CALLEE)
    box.send(bytes(4), BOTH)
    box.send(b"cd" * 80, CALLEE)
    assert box.next(0.0) == Barrier(1)
    assert box.release(1, CALLEE) == 4
    assert box.next(0.0) == Frame(CALLEE, b"ab" * 80 + b"cd" * 80)
