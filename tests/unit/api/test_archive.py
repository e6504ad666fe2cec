"""Recordings by their ids: what is looked at, and what is forgotten."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from bridge.api.archive import Archive
from bridge.api.paging import cursor
from bridge.media.recording import Facts
from bridge.model.errors import BadArgumentError, InvalidStateError
from bridge.protocol.requests import RecordingListing
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Recording

Sees: TypeAlias = Callable[[str, str], bool]


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
    (entry,) = (await archive.page(RecordingListing(), every)).items
    assert entry.view.recording_id == second.recording_id
    archive.follow(cast(Recording, first), "default", "")
    assert archive.of_call(first.call_id) == ()


def every(_tenant: str, _queue: str) -> bool:
    return True


def described(
    folder: Path,
    number: int,
    *,
    call: int | None = None,
    at: float | None = None,
    tenant: str = "",
    end_cause: str | None = "stopped",
) -> str:
    """Write the description of a recording, by default of a complete one; return its id.

    call: of which call, by default of one of its own. tenant: whose it is; empty: that is not
    written.
    """
    call_id, own = f"{number if call is None else call:012x}", f"{number:06x}"
    began_at = float(number) if at is None else at
    facts = Facts(own, call_id, "1001", "1002", began_at, 16000, end_cause=end_cause)
    (folder / call_id).mkdir(exist_ok=True)
    path = folder / call_id / f"callbridge-{number}.json"
    path.write_text(json.dumps(facts.as_dict()), encoding="utf-8")
    if tenant:
        scope = folder / call_id / "scope.json"
        scope.write_text(json.dumps({"tenant": tenant}), encoding="utf-8")
    return f"{call_id}-{own}"


async def listed(archive: Archive, sees: Sees = every, *, limit: int = 2) -> list[str]:
    """Return the ids of all recordings that one sees, read in parts."""
    ids: list[str] = []
    cursor = None
    while True:
        page = await archive.page(RecordingListing(limit=limit, cursor=cursor), sees)
        ids += [one.view.recording_id for one in page.items]
        if page.next is None:
            return ids
        assert len(page.items) == limit
        cursor = page.next


class Reads:
    """Counts the descriptions that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = Facts.read

        def counted(path: Path) -> Facts:
            self.count += 1
            return read(path)

        monkeypatch.setattr(Facts, "read", counted)


async def test_no_more_is_read_than_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [described(tmp_path, number, tenant="ab"[number % 2]) for number in range(1, 301)]
    archive = Archive(tmp_path)
    assert await listed(archive, limit=40) == ids[::-1]
    os.utime(tmp_path, (1.0, 1.0))
    await archive.page(RecordingListing(limit=1), every)
    reads = Reads(monkeypatch)
    page = await archive.page(RecordingListing(limit=5), every)
    assert [one.view.recording_id for one in page.items] == ids[:-6:-1]
    assert reads.count == 6, "and the one behind them, which tells that there is more"
    page = await archive.page(RecordingListing(limit=5, cursor=page.next), every)
    assert [one.view.recording_id for one in page.items] == ids[-6:-11:-1]
    assert reads.count == 12
    only_a = [one for number, one in enumerate(ids, 1) if number % 2 == 0]
    assert await listed(archive, lambda tenant, _queue: tenant == "a", limit=500) == only_a[::-1]
    assert reads.count == 12 + len(only_a), "of others' none"


async def test_what_has_come_and_gone_is_seen(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "recordings")
    assert await listed(archive) == []
    folder = archive.folder
    folder.mkdir()
    ids = [described(folder, number) for number in range(1, 6)]
    assert await listed(archive) == ids[::-1]
    (folder / f"{5:012x}" / "callbridge-5.json").unlink()
    shutil.rmtree(folder / f"{2:012x}")
    assert await listed(archive) == [ids[3], ids[2], ids[0]]
    ids[1] = described(folder, 2)
    assert await listed(archive) == [ids[3], ids[2], ids[1], ids[0]]
    shutil.rmtree(folder)
    assert await listed(archive) == []


async def test_whose_a_recording_is_may_turn_out_later(tmp_path: Path) -> None:
    archive, number = Archive(tmp_path), 7
    ids = [described(tmp_path, one) for one in (number, 8, 9)]

    def sees_acme(tenant: str, _queue: str) -> bool:
        return tenant == "acme"

    assert (await listed(archive), await listed(archive, sees_acme)) == (ids[::-1], [])
    async with archive.opened(f"{number:012x}", "acme", ""):
        pass
    assert await listed(archive, sees_acme) == ids[:1]
    assert await listed(archive, lambda tenant, _queue: tenant != "acme", limit=1) == ids[:0:-1]


async def test_one_that_has_ended_is_where_it_began(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    going = Going(3)
    ids = [described(tmp_path, one) for one in (1, 2, 3)]
    going.began_at = 1.5
    archive.follow(cast(Recording, going), "", "")
    assert await listed(archive) == [ids[1], ids[2], ids[0]]
    described(tmp_path, 3, at=1.5)
    going.ended = True
    assert await listed(archive) == [ids[1], ids[2], ids[0]]


async def test_one_that_is_about_to_begin_is_not_taken_for_one_that_was_broken_off(
    tmp_path: Path,
) -> None:
    archive = Archive(tmp_path)
    others = [described(tmp_path, number) for number in (1, 2, 3)]
    async with archive.opened(f"{4:012x}", "", ""):
        begins = described(tmp_path, 4, end_cause=None)
        assert await listed(archive) == others[::-1]
        assert await archive.find(begins) is None
    assert await listed(archive) == [begins, *others[::-1]]
    entry = await archive.find(begins)
    assert entry is not None
    assert entry.view.state == "failed"


async def test_a_cursor_of_another_list_is_refused(tmp_path: Path) -> None:
    for call_id in (None, "0" * 12):
        listing = RecordingListing(cursor=cursor(("name", 1.0)), call_id=call_id)
        with pytest.raises(BadArgumentError):
            await Archive(tmp_path).page(listing, every)


async def test_what_was_made_in_vain_takes_nothing_of_another_recording(tmp_path: Path) -> None:
    archive, call_id = Archive(tmp_path), f"{4:012x}"

    async def in_vain() -> None:
        async with archive.opened(call_id, "acme", ""):
            raise InvalidStateError("not answered yet")

    async with archive.opened(call_id, "acme", "") as folder:
        with pytest.raises(InvalidStateError):
            await in_vain()
        recording_id = described(tmp_path, 4)
    entry = await archive.find(recording_id)
    assert entry is not None
    assert (entry.tenant, entry.folder) == ("acme", folder)
    with pytest.raises(InvalidStateError):
        await in_vain()
    assert await archive.find(recording_id) == entry, "a recording is kept by itself, too"
    (folder / "callbridge-4.json").unlink()
    outcomes = await asyncio.gather(*(in_vain() for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [InvalidStateError] * 5
    assert not folder.exists()


async def test_what_could_not_be_looked_at_is_looked_at_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = described(tmp_path, 1, call=1)
    archive = Archive(tmp_path)
    assert await listed(archive) == [first]
    async with archive.opened(first.partition("-")[0], "", ""):
        second = described(tmp_path, 2, call=1)

    def fails(_path: Path) -> Facts:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(Facts, "read", fails)
        with pytest.raises(MemoryError):
            await listed(archive)
    assert await listed(archive) == [second, first]


async def test_whoever_gives_up_however_often_lets_nobody_in_before_his_look_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described(tmp_path, 1)
    archive = Archive(tmp_path)
    read, looks, over = Facts.read, threading.Event(), threading.Event()

    def slowly(path: Path) -> Facts:
        looks.set()
        assert over.wait(10)
        return read(path)

    monkeypatch.setattr(Facts, "read", slowly)
    looking = asyncio.create_task(listed(archive))
    try:
        assert await asyncio.to_thread(looks.wait, 10)
        for _ in range(3):
            looking.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({looking}, timeout=0.05)
        assert not looking.done()
    finally:
        over.set()
    with pytest.raises(asyncio.CancelledError):
        await looking
