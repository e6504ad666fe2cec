from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from bridge.daemon import housekeeping
from bridge.daemon.housekeeping import keep_removing, remove_old

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


async def test_a_folder_that_cannot_be_read_today_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    again = asyncio.Event()

    def look(folder: Path, _before: float) -> int:
        looks.append(folder)
        if len(looks) == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        again.set()
        return 0

    monkeypatch.setattr(housekeeping, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(housekeeping, "remove_old", look)
    keeping = asyncio.create_task(keep_removing(tmp_path, days=1))
    async with asyncio.timeout(5):
        await asyncio.wait(
            {keeping, asyncio.create_task(again.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
    assert again.is_set()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
