"""Recordings: make them, and hear them later."""

from __future__ import annotations

from typing import Any, Final

from bridge.api.archive import Entry
from bridge.api.decoding import one_of
from bridge.api.router import Asked, File, NoBody, NoQuery, handles
from bridge.api.scope import check_his, own_call
from bridge.api.shown import recording_of
from bridge.model.errors import CallClosedError, InvalidStateError, NotFoundError
from bridge.protocol import operations
from bridge.protocol.requests import ChangeRecording, RecordingListing, StartRecording
from bridge.protocol.views import Page, RecordingView
from bridge.sdk.recording import Recording

_JSON: Final = ".json"


@handles(operations.LIST_RECORDINGS)
async def list_recordings(asked: Asked[NoBody, RecordingListing]) -> Page[RecordingView]:
    """List the recordings, the newest first."""
    page = await asked.service.views.archive.page(asked.query, asked.principal.sees)
    return Page(items=tuple(one.view for one in page.items), next=page.next)


@handles(operations.START_RECORDING)
async def start_recording(asked: Asked[StartRecording, NoQuery]) -> RecordingView:
    """Record a call into a folder of its own."""
    call, view = own_call(asked)
    body, archive = asked.body, asked.service.views.archive
    announcement = one_of(announce=body.announce, announce_audio=body.announce_audio)
    async with archive.opened(view.call_id, view.tenant, view.queue) as folder:
        recording = await call.record(
            folder,
            coaching=body.coaching,
            announce=announcement,
            pauses=body.pauses,
            max_minutes=body.max_minutes,
        )
    archive.follow(recording, view.tenant, view.queue)
    return recording_of(recording, view.call_id)


@handles(operations.SHOW_RECORDING)
async def show_recording(asked: Asked[NoBody, NoQuery]) -> RecordingView:
    """Show a recording."""
    return (await _entry(asked)).view


@handles(operations.CHANGE_RECORDING)
async def change_recording(asked: Asked[ChangeRecording, NoQuery]) -> RecordingView:
    """Pause a recording, or go on with it."""
    entry = await _entry(asked)
    recording = _his(asked, entry)
    if recording is None:
        raise InvalidStateError(f"recording {entry.view.recording_id} is over")
    try:
        await (recording.pause() if asked.body.paused else recording.resume())
    except CallClosedError as error:
        raise InvalidStateError(str(error)) from error
    return recording_of(recording, entry.view.call_id)


@handles(operations.STOP_RECORDING)
async def stop_recording(asked: Asked[NoBody, NoQuery]) -> RecordingView:
    """End a recording; answer when its files are whole."""
    entry = await _entry(asked)
    recording = _his(asked, entry)
    if recording is None:
        return entry.view
    await recording.stop()
    return recording_of(recording, entry.view.call_id)


@handles(operations.FETCH_RECORDING)
async def fetch_recording(asked: Asked[NoBody, NoQuery]) -> File:
    """Fetch a file of a recording: a WAV file, or the JSON that describes it."""
    entry = await _entry(asked)
    path = entry.file(asked.path["name"])
    if path is None:
        known = (*entry.view.files, *entry.view.coaching_files, entry.view.description)
        raise NotFoundError(
            f"recording {entry.view.recording_id} has no such file; there is: {', '.join(known)}"
        )
    kind = "application/json" if path.suffix == _JSON else "audio/wav"
    return File(path, kind)


async def _entry(asked: Asked[Any, Any]) -> Entry:
    """Return the recording of the path. Raises NotFoundError for somebody else's, too."""
    recording_id = asked.path["recording_id"]
    entry = await asked.service.views.archive.find(recording_id)
    if entry is None or not asked.principal.sees(entry.tenant, entry.queue):
        raise NotFoundError(f"there is no recording {recording_id!r}")
    return entry


def _his(asked: Asked[Any, Any], entry: Entry) -> Recording | None:
    """Return a recording that goes on, None when it is over. Raises ForbiddenError."""
    view = asked.service.views.call(entry.view.call_id)
    if view is not None:
        check_his(asked.service, asked.principal, view)
    return asked.service.views.archive.live(entry.view.recording_id)
