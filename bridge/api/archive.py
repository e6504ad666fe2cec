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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bridge.api.shown import recording_of
from bridge.media.recording import Facts
from bridge.model.errors import ConfigurationError
from bridge.protocol.views import RecordingView
from bridge.runtime.recorder import RecordingState
from bridge.sdk.recording import Recording

_log = logging.getLogger(__name__)

_CALL_ID: Final = re.compile(r"[0-9a-f]{12}")
_ID: Final = re.compile(r"(?P<call>[0-9a-f]{12})-(?P<own>[0-9a-f]{6})")
_SCOPE: Final = "scope.json"
_KEPT: Final = 10_000
"""Descriptions of complete recordings that are kept in memory."""
_FOLDER_MODE: Final = 0o700
_OVER: Final = frozenset({RecordingState.ENDED, RecordingState.FAILED})


class _Scope(msgspec.Struct, frozen=True):
    tenant: str = ""
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording. tenant, queue: whose the call is; empty: nobody's who sees but some tenants."""

    view: RecordingView
    began_at: float
    tenant: str
    queue: str
    folder: Path

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
        self._complete: dict[Path, Facts] = {}

    # --- those that go on -----------------------------------------------------------------------

    def follow(self, recording: Recording, tenant: str, queue: str) -> None:
        """Know of a recording that goes on, and whose call it is of."""
        if recording.state in _OVER:
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
        for recording_id in [i for i, one in here.items() if one.recording.state in _OVER]:
            del here[recording_id]
        if not here:
            self._live.pop(call_id, None)
        return here

    def _all_going_on(self) -> dict[str, _Live]:
        return {i: one for call in list(self._live) for i, one in self._going_on(call).items()}

    async def open(self, call_id: str, tenant: str, queue: str) -> Path:
        """Make the folder of a call, and note whose it is. Raises ConfigurationError."""
        if not _CALL_ID.fullmatch(call_id):
            msg = f"{call_id!r} is no id of a call"
            raise ValueError(msg)
        folder = self.folder / call_id
        try:
            await asyncio.to_thread(_make, folder, _Scope(tenant, queue))
        except OSError as error:
            raise ConfigurationError(
                f"{folder} cannot be made: {error}; let callbridge write to the folder of "
                "recordings, or configure another"
            ) from error
        return folder

    async def discard(self, call_id: str) -> None:
        """Remove the folder of a call if there is no recording in it."""
        await asyncio.to_thread(_remove, self.folder / call_id)

    # --- all of them ----------------------------------------------------------------------------

    async def find(self, recording_id: str) -> Entry | None:
        """Return a recording, None when there is none."""
        match = _ID.fullmatch(recording_id)
        if match is None:
            return None
        call_id = match["call"]
        if (live := self._going_on(call_id).get(recording_id)) is not None:
            return live.entry(call_id)
        return (await asyncio.to_thread(self._all, call_id)).get(recording_id)

    async def entries(self, call_id: str | None = None) -> tuple[Entry, ...]:
        """Return all recordings, or those of a call, in no order."""
        live = self._all_going_on() if call_id is None else dict(self._going_on(call_id))
        by_id = await asyncio.to_thread(self._all, call_id)
        by_id.update({i: one.entry(_call_of(i)) for i, one in live.items()})
        return tuple(by_id.values())

    def _all(self, call_id: str | None) -> dict[str, Entry]:
        """Read what lies in the folder of a call, or in all of them; by id. Blocks."""
        if call_id is not None:
            entries = self._read(call_id) if _CALL_ID.fullmatch(call_id) else ()
            return {one.view.recording_id: one for one in entries}
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError as error:
            _log.debug("no recordings are listed: %s", error)
            return {}
        calls = filter(_CALL_ID.fullmatch, names)
        found = {one.view.recording_id: one for call in calls for one in self._read(call)}
        there = {one.folder / one.view.description for one in found.values()}
        for gone in [path for path in list(self._complete) if path not in there]:
            self._complete.pop(gone, None)
        return found

    def _read(self, call_id: str) -> Iterator[Entry]:
        """Read what lies in the folder of a call. Blocks."""
        folder = self.folder / call_id
        scope = _scope(folder)
        for path in folder.glob("callbridge-*.json"):
            if (facts := self._facts(path)) is not None and facts.call_id == call_id:
                yield Entry(_view(facts, path), facts.began_at, scope.tenant, scope.queue, folder)

    def _facts(self, path: Path) -> Facts | None:
        if (known := self._complete.get(path)) is not None and path.is_file():
            return known
        try:
            facts = Facts.read(path)
        except (OSError, ValueError) as error:
            _log.warning("%s is left out: %s", path, error)
            return None
        if facts.end_cause is not None and len(self._complete) < _KEPT:
            self._complete[path] = facts
        return facts


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


def _make(folder: Path, scope: _Scope) -> None:
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


def _scope(folder: Path) -> _Scope:
    try:
        return msgspec.json.decode((folder / _SCOPE).read_bytes(), type=_Scope)
    except (OSError, msgspec.MsgspecError) as error:
        _log.debug("whose the recordings in %s are is not known: %s", folder, error)
        return _Scope()
