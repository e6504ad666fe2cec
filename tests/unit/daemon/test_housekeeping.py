from __future__ import annotations

import os
from pathlib import Path

from bridge.daemon.housekeeping import remove_old

OLD, NEW, NOW = 1000.0, 3000.0, 2000.0


def recording(folder: Path, name: str, *times: float) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    for index, at in enumerate(times):
        file = place / f"{index}.wav"
        file.touch()
        os.utime(file, (at, at))
    os.utime(place, (OLD, OLD))
    return place


def test_only_whole_calls_that_are_old_are_removed(tmp_path: Path) -> None:
    old = recording(tmp_path, "0123456789ab", OLD, OLD)
    going_on = recording(tmp_path, "0123456789ac", OLD, NEW)
    elsewhere = recording(tmp_path / "other", "0123456789ad", OLD)
    strange = recording(tmp_path, "lost+found", OLD)
    link = tmp_path / "0123456789ae"
    link.symlink_to(elsewhere)
    assert remove_old(tmp_path, NOW) == 1
    assert not old.exists()
    assert all(one.exists() for one in (going_on, elsewhere, strange, link))


def test_a_folder_that_is_not_there_has_nothing_old(tmp_path: Path) -> None:
    assert remove_old(tmp_path / "none", NOW) == 0
