"""Recordings by their ids: those that go on, and those in the folder, also after a restart.

Each call has a folder of its own, named after its id; beside its recordings lies ``scope.json``,
which says whose the call was. An id is a call's id and one of the recording's own, both made here
and checked: nothing that a client sends becomes part of a path.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import msgspec

from bridge.api.archive_index import ArchiveIndex, InCall, Key, Scope
from bridge.api.paging import opened_as, paged
from bridge.api.shown import recording_of
from bridge.media.recording import Facts
from bridge.model.errors import ConfigurationError
from bridge.protocol.requests import RecordingListing
from bridge.protocol.views import Page, RecordingView
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Recording

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_CALL_ID: Final = re.compile(r"[0-9a-f]{12}")
_ID: Final = re.compile(r"(?P<call>[0-9a-f]{12})-(?P<own>[0-9a-f]{6})")
_SCOPE: Final = "scope.json"
_FOLDER_MODE: Final = 0o700
_SURE_NS: Final = 2_000_000_000
"""How old a change of a folder has to be until another one cannot have the same time."""
_ROUNDS: Final = 3
"""How often the index is looked into again that was not true."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording. tenant, queue: whose the call is; empty: nobody's who sees but some tenants."""

    view: RecordingView
    began_at: float
    tenant: str
    queue: str
    folder: Path

    @property
    def key(self) -> Key:
        """Its place in lists."""
        return self.began_at, self.view.recording_id

    def file(self, name: str) -> Path | None:
        """Return one of its files, the description included; None for any other name."""
        view = self.view
        known = {*view.files, *view.coaching_files, view.description} - {""}
        path = self.folder / name if name in known else None
        return path if path is not None and path.is_file() else None


@dataclass(frozen=True, slots=True)
class _Live:
    recording: Recording
    tenant: str
    queue: str

    def entry(self, call_id: str) -> Entry:
        one = self.recording
        view = recording_of(one, call_id)
        return Entry(view, one.began_at, self.tenant, self.queue, one.path.parent)


class Archive:
    """The recordings of one daemon. folder: where they go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._live: dict[str, dict[str, _Live]] = {}
        """By call, and then by their ids: whoever looks at one call does not look at all."""
        self._index = ArchiveIndex()
        self._listed_at: int | None = None
        """When the folder had last changed as its calls were listed, in ns."""
        self._changed: set[str] = set()
        """Calls in whose folders there may be something else than the index knows."""
        self._index_lock = asyncio.Lock()
        """Whoever has it has the index, and looks into it in a thread."""
        self._makers: Counter[str] = Counter()
        """How many make a recording in the folder of a call, just now."""
        self._folders_lock = asyncio.Lock()

    # --- those that go on -----------------------------------------------------------------------

    def follow(self, recording: Recording, tenant: str, queue: str) -> None:
        """Know of a recording that goes on, and whose call it is of."""
        if recording.state.is_over:
            return
        recording_id = recording.recording_id
        call_id = _call_of(recording_id)
        if recording_id not in self._live.get(call_id, {}):
            # Nobody may ever ask again for those that have ended meanwhile.
            self._all_going_on()
        self._live.setdefault(call_id, {})[recording_id] = _Live(recording, tenant, queue)

    def live(self, recording_id: str) -> Recording | None:
        """Return a recording that goes on; None for any other."""
        live = self._going_on(_call_of(recording_id)).get(recording_id)
        return None if live is None else live.recording

    def of_call(self, call_id: str) -> tuple[RecordingView, ...]:
        """Return those of a call that go on."""
        live = self._going_on(call_id).values()
        return tuple(recording_of(one.recording, call_id) for one in live)

    def _going_on(self, call_id: str) -> dict[str, _Live]:
        """Return those of a call that go on, and forget those that do not."""
        here = self._live.get(call_id, {})
        for recording_id in [i for i, one in here.items() if one.recording.state.is_over]:
            del here[recording_id]
            self._changed.add(call_id)
        if not here:
            self._live.pop(call_id, None)
        return here

    def _all_going_on(self) -> dict[str, _Live]:
        return {i: one for call in list(self._live) for i, one in self._going_on(call).items()}

    @asynccontextmanager
    async def opened(self, call_id: str, tenant: str, queue: str) -> AsyncIterator[Path]:
        """Make the folder of a call for a recording that the block makes, and note whose it is.

        When the block raises it is removed, if there is no recording in it and nobody else is about
        to make one. Raises ConfigurationError.
        """
        if not _CALL_ID.fullmatch(call_id):
            msg = f"{call_id!r} is no id of a call"
            raise ValueError(msg)
        folder = self.folder / call_id
        self._makers[call_id] += 1
        try:
            await self._make(folder, Scope(tenant, queue))
            yield folder
        except BaseException:
            self._no_maker(call_id)
            async with self._folders_lock:
                if call_id not in self._makers:
                    await _to_its_end(_remove, folder)
            raise
        else:
            self._no_maker(call_id)
        finally:
            self._changed.add(call_id)

    async def _make(self, folder: Path, scope: Scope) -> None:
        try:
            async with self._folders_lock:
                await _to_its_end(_make, folder, scope)
        except OSError as error:
            raise ConfigurationError(
                f"{folder} cannot be made: {error}; let callbridge write to the folder of "
                "recordings, or configure another"
            ) from error

    def _no_maker(self, call_id: str) -> None:
        self._makers[call_id] -= 1
        if not self._makers[call_id]:
            del self._makers[call_id]

    # --- all of them ----------------------------------------------------------------------------

    async def find(self, recording_id: str) -> Entry | None:
        """Return a recording, None when there is none."""
        match = _ID.fullmatch(recording_id)
        if match is None:
            return None
        call_id = match["call"]
        if (live := self._going_on(call_id).get(recording_id)) is not None:
            return live.entry(call_id)
        entry = (await asyncio.to_thread(self._in_call, call_id)).get(recording_id)
        return None if entry is None or self._is_being_made(entry) else entry

    async def page(
        self, listing: RecordingListing, sees: Callable[[str, str], bool]
    ) -> Page[Entry]:
        """Return a part of the list of all recordings, or of a call's, the newest first.

        sees: tells of a tenant and a queue whether one sees their recordings. As much is read as
        is shown, and what has come or gone since the last time; the first time all of it.
        """
        before = None if listing.cursor is None else opened_as(listing.cursor, tuple[float, str])
        call_id = listing.call_id
        if call_id is None:
            async with self._index_lock:
                live = self._all_going_on()
                changed = frozenset(self._changed)
                most = listing.limit + 1 + self._makers.total()
                self._changed.clear()
                try:
                    lying = await _to_its_end(self._newest, changed, most, before, sees, live)
                except BaseException:
                    # Whatever kept it from being looked at: the next one looks.
                    self._changed |= changed
                    raise
            # One that has begun meanwhile lies there as if nobody went on with it.
            live |= self._all_going_on()
        else:
            live = dict(self._going_on(call_id))
            lying = list((await asyncio.to_thread(self._in_call, call_id)).values())
            live |= self._going_on(call_id)
        entries = [
            one
            for one in lying
            if one.view.recording_id not in live and not self._is_being_made(one)
        ]
        entries += [one.entry(_call_of(recording_id)) for recording_id, one in live.items()]
        seen = (one for one in entries if sees(one.tenant, one.queue))
        return paged(seen, listing, lambda one: one.key, newest_first=True)

    def _is_being_made(self, entry: Entry) -> bool:
        """Tell whether it may be about to begin: what describes it is there before."""
        return entry.view.ended_by is None and entry.view.call_id in self._makers

    # --- what lies in the folder: all of it blocks ----------------------------------------------

    def _newest(
        self,
        changed: Collection[str],
        most: int,
        before: Key | None,
        sees: Callable[[str, str], bool],
        without: Collection[str],
    ) -> list[Entry]:
        """Return the newest that lie there, in their order.

        changed: calls to look at anew. before: those that come after it alone.
        """
        self._take_stock(changed)
        found: list[Entry] = []
        for _ in range(_ROUNDS):
            stale: set[str] = set()
            found = list(islice(self._lying(before, sees, without, stale), most))
            if not stale:
                break
            self._look_into(stale)
        return found

    def _lying(
        self,
        before: Key | None,
        sees: Callable[[str, str], bool],
        without: Collection[str],
        stale: set[str],
    ) -> Iterator[Entry]:
        """Return what lies there, in order. stale: gets calls of which the index is not true."""
        read: dict[str, dict[str, Entry]] = {}
        for key in self._index.newest_first(sees, before):
            recording_id = key[1]
            if recording_id in without:
                continue
            call_id = _call_of(recording_id)
            if call_id not in read:
                read[call_id] = self._in_call(call_id)
            entry = read[call_id].get(recording_id)
            if entry is None or entry.key != key or not sees(entry.tenant, entry.queue):
                stale.add(call_id)
            else:
                yield entry

    def _take_stock(self, changed: Collection[str]) -> None:
        """Let the index know what has come and gone."""
        try:
            changed_at = self.folder.stat().st_mtime_ns
            if changed_at != self._listed_at:
                names = (path.name for path in self.folder.iterdir())
                calls = frozenset(filter(_CALL_ID.fullmatch, names))
                for gone in self._index.calls - calls:
                    self._index.forget(gone)
                self._look_into(calls - self._index.calls)
                sure = time.time_ns() - changed_at > _SURE_NS
                self._listed_at = changed_at if sure else None
        except OSError as error:
            _log.debug("no recordings are listed: %s", error)
            self._index, self._listed_at = ArchiveIndex(), None
        self._look_into([call_id for call_id in changed if call_id in self._index])

    def _look_into(self, calls: Iterable[str]) -> None:
        found: dict[str, InCall] = {}
        for call_id in calls:
            entries = self._in_call(call_id).values()
            keys = tuple(one.key for one in entries)
            found[call_id] = InCall(_scope(self.folder / call_id), keys)
        self._index.put(found)

    def _in_call(self, call_id: str) -> dict[str, Entry]:
        """Return what lies in the folder of a call, by id."""
        if not _CALL_ID.fullmatch(call_id):
            return {}
        return {one.view.recording_id: one for one in self._read(call_id)}

    def _read(self, call_id: str) -> Iterator[Entry]:
        folder = self.folder / call_id
        scope = _scope(folder)
        for path in folder.glob("callbridge-*.json"):
            try:
                facts = Facts.read(path)
            except (OSError, ValueError) as error:
                _log.warning("%s is left out: %s", path, error)
                continue
            if facts.call_id == call_id:
                yield Entry(_view(facts, path), facts.began_at, scope.tenant, scope.queue, folder)


_FAILURES: Final = {
    None: "callbridge ended in the middle of it",
    "failed": "it could not go on, as on a full disk: the daemon's log says why",
}
"""By why a recording ended: what is told of those that are not whole."""


def _view(facts: Facts, path: Path) -> RecordingView:
    """Return a recording that nobody makes any more."""
    failure = _FAILURES.get(facts.end_cause, "")
    return RecordingView(
        recording_id=f"{facts.call_id}-{facts.recording_id}",
        call_id=facts.call_id,
        state=str(RecordingState.FAILED if failure else RecordingState.ENDED),
        seconds=round(sum(part.seconds or 0.0 for part in facts.parts), 3),
        files=tuple(part.file for part in facts.parts),
        coaching_files=tuple(part.coaching for part in facts.parts if part.coaching),
        failure=failure,
        ended_by=facts.end_cause,
        description=path.name,
        began_at=facts.began_at,
    )


def _call_of(recording_id: str) -> str:
    return recording_id.partition("-")[0]


def _make(folder: Path, scope: Scope) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    draft = folder / f".{secrets.token_hex(6)}"
    draft.write_bytes(msgspec.json.encode(scope))
    draft.replace(folder / _SCOPE)


def _remove(folder: Path) -> None:
    try:
        if [path.name for path in folder.iterdir()] == [_SCOPE]:
            (folder / _SCOPE).unlink()
            folder.rmdir()
    except OSError as error:
        _log.debug("%s stays: %s", folder, error)


def _scope(folder: Path) -> Scope:
    try:
        return msgspec.json.decode((folder / _SCOPE).read_bytes(), type=Scope)
    except (OSError, msgspec.MsgspecError) as error:
        _log.debug("whose the recordings in %s are is not known: %s", folder, error)
        return Scope()


async def _to_its_end(work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Do what blocks in a thread; should we be cancelled, it is over first: it has a lock."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **more))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # However often we are.
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise
