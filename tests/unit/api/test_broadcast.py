"""Events to many: what fails with one is none of the others' business."""

from __future__ import annotations

import pytest

from bridge.api.hub import EventHub
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.protocol.frames import CLOSE_FAULT
from bridge.protocol.views import EventView
from tests.support.no_calls import NoCalls


class Pipe:
    """A transport whose other end reads at once."""

    def __init__(self) -> None:
        self.read = b""

    def write(self, data: bytes) -> None:
        self.read += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def no_fault(_event: EventView) -> bool:
    return True


def fault(_event: EventView) -> bool:
    raise RuntimeError


class Ends:
    """How a watcher was cut off."""

    def __init__(self) -> None:
        self.told: list[tuple[ErrorCode, int]] = []

    def __call__(self, code: ErrorCode, _why: str, close: int) -> None:
        self.told.append((code, close))


async def test_one_who_cannot_be_told_is_cut_off_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub, pipe, bad_end, good_end = EventHub(NoCalls()), Pipe(), Ends(), Ends()
    hub.broadcast.add(Pipe(), wants=fault, after=0, cut_off=bad_end)
    good = hub.broadcast.add(pipe, wants=no_fault, after=0, cut_off=good_end)
    hub.publish("FIRST")
    await until(lambda: bad_end.told, "who fails is cut off")
    hub.publish("SECOND")
    await until(lambda: b"SECOND" in pipe.read, "the other is told on")
    assert bad_end.told == [(ErrorCode.REQUEST_FAILED, CLOSE_FAULT)]
    assert good_end.told == []
    assert hub.broadcast.watchers == 1
    assert "cannot be told" in caplog.text
    hub.broadcast.remove(good)
