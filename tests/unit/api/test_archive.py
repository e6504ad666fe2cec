"""Recordings by their ids: what is looked at, and what is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from bridge.api import archive as module
from bridge.api.archive import Archive
from bridge.media.recording import Facts
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Recording


class Going:
    """As much of a recording as is shown; counts how often it is looked at."""

    looks = 0
    seconds, began_at = 1.0, 1.0
    files: tuple[Path, ...] = ()
    coaching_files: tuple[Path, ...] = ()
    failure, ended_by = "", None
    path = Path("callbridge.json")

    def __init__(self, number: int) -> None:
        self.call_id = f"{number:012x}"
        self.recording_id = f"{self.call_id}-{number:06x}"
        self.ended = False

    @property
    def state(self) -> RecordingState:
        Going.looks += 1
        return RecordingState.ENDED if self.ended else RecordingState.RECORDING


def following(count: int) -> tuple[Archive, list[Going]]:
    archive, going = Archive(Path("nowhere")), [Going(number) for number in range(count)]
    for one in going:
        archive.follow(cast(Recording, one), "default", "")
    return archive, going


def test_who_looks_at_a_call_looks_at_its_recordings_alone() -> None:
    archive, going = following(50)
    Going.looks = 0
    for one in going:
        (shown,) = archive.of_call(one.call_id)
        assert shown.recording_id == one.recording_id
        archive.follow(cast(Recording, one), "acme", "")
        assert archive.live(one.recording_id) is cast(Recording, one)
    assert Going.looks <= 10 * len(going)


async def test_what_has_ended_goes_on_no_longer() -> None:
    archive, (first, second) = following(2)
    first.ended = True
    assert archive.of_call(first.call_id) == ()
    assert archive.live(first.recording_id) is None
    assert await archive.find(first.recording_id) is None
    (entry,) = await archive.entries()
    assert entry.view.recording_id == second.recording_id
    archive.follow(cast(Recording, first), "default", "")
    assert archive.of_call(first.call_id) == ()


def described(folder: Path, number: int) -> str:
    """Write the description of a recording that is complete; return its id."""
    call_id, own = f"{number:012x}", f"{number:06x}"
    facts = Facts(own, call_id, "1001", "1002", float(number), 16000, end_cause="stopped")
    (folder / call_id).mkdir()
    path = folder / call_id / f"callbridge-{number}.json"
    path.write_text(json.dumps(facts.as_dict()), encoding="utf-8")
    return f"{call_id}-{own}"


async def test_a_description_that_was_removed_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT", 1)
    archive, first = Archive(tmp_path), described(tmp_path, 1)
    assert [one.view.recording_id for one in await archive.entries()] == [first]
    (tmp_path / f"{1:012x}" / "callbridge-1.json").unlink()
    second = described(tmp_path, 2)
    for _ in range(2):
        assert [one.view.recording_id for one in await archive.entries()] == [second]

    def fail(_path: Path) -> Facts:
        raise AssertionError

    monkeypatch.setattr(Facts, "read", fail)
    assert [one.view.recording_id for one in await archive.entries()] == [second]
