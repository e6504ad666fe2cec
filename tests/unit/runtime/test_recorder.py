"""A recording that breaks by a fault of ours does not look as if it went on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bridge.media.recording import Facts, RecordingFiles
from bridge.model.ids import CallId
from bridge.runtime import recorder as recorder_module
from bridge.runtime.audit import Audit, acting
from bridge.runtime.recorder import Recorder, RecordingState, Studio
from bridge.runtime.tasks import Tasks
from bridge.session.observer.effects import LeftReason

CALL = CallId("0123456789ab")
Samples = np.typing.NDArray[np.int16]


class Room:
    """One call, of which nothing is heard."""

    def __init__(self) -> None:
        self.audit = Audit()
        self.tasks = Tasks()
        self.ended = asyncio.Event()
        self.admission = self.supervision = self

    def spawn(self, work: Any, name: str) -> Callable[[], None]:
        return self.tasks.spawn(work, name)

    async def observe(self, *_target: object, **_how: object) -> Any:
        leave = self.ended.set
        return SimpleNamespace(
            program=None, listeners=[], ended=self.ended, post=lambda _event: leave()
        )

    def call_of(self, _ears: object) -> CallId:
        return CALL

    def engine(self, _call_id: CallId) -> None:
        return None


class Broken(RecordingFiles):
    """Files that fail as no disk does."""

    def write(self, stereo: Samples, coaching: Samples, offset_seconds: float) -> None:
        del stereo, coaching, offset_seconds
        raise ValueError("no such thing")


async def test_whoever_listens_is_told_that_it_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("_TICK_SECONDS", "_LATE_SECONDS"):
        monkeypatch.setattr(recorder_module, name, 0.001)
    monkeypatch.setattr(recorder_module, "SETTLE_SECONDS", 0.0)
    room, told = Room(), list[RecordingState]()
    recorder = Recorder(
        cast("Studio", room), Broken(tmp_path / "r", Facts("ab", CALL, "1", "2", 0.0, 8000))
    )
    recorder.listeners.append(lambda recorder: told.append(recorder.state))
    await recorder.start()
    await asyncio.wait_for(recorder.ended.wait(), 5)
    assert told == [RecordingState.FAILED]
    assert "the log says why" in recorder.failure
    assert "no such thing" in caplog.text
    assert Facts.read(recorder.files.sidecar).end_cause == "failed"
    assert room.audit.records[-1].result == recorder.failure
    await room.tasks.end()


@pytest.mark.parametrize("by", ["dave", "callbridge"])
async def test_the_audit_says_who_has_ended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(recorder_module, "_LATE_SECONDS", 0.001)
    room = Room()
    files = RecordingFiles(tmp_path / "r", Facts("ab", CALL, "1", "2", 0.0, 8000))
    recorder = Recorder(cast("Studio", room), files)
    with acting("carol"):
        await recorder.start()
    if by == "dave":
        with acting(by):
            await recorder.stop()
    else:
        recorder._ears_left(LeftReason.CALL_ENDED)
        await recorder.ended.wait()
    assert [record.by for record in room.audit.records] == ["carol", by]
    await room.tasks.end()
