"""Commands about what is kept: notes, history, audit, recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.cli.calls import call_id_of, call_of
from bridge.cli.command import command
from bridge.cli.connection import Api, Shown
from bridge.cli.output import Out, lasting, moment
from bridge.cli.parameters import AnyCall, Call, Limit, Since, Until
from bridge.model.errors import BadArgumentError, NotFoundError
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallRecordView, RecordingView

app = typer.Typer()

_OVER: Final = frozenset({"ended", "failed"})


@command(app)
async def note(
    api: Api,
    out: Out,
    call: Call,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The note.")],
) -> None:
    """Write a note about a call, which may be over."""
    body = asked.WriteNote(text=text)
    call_id = await call_id_of(api, call)
    out.one(await api.ask(ops.WRITE_NOTE, body=body, call_id=call_id), lambda v: v.note_id)


@command(app)
async def notes(api: Api, out: Out, call: Call) -> None:
    """List the notes of a call, which may be over."""
    call_id = await call_id_of(api, call)
    out.rows(
        await api.listed(ops.LIST_NOTES, call_id=call_id),
        ("at", "by", "note"),
        lambda one: (moment(one.at), one.by, one.text),
        "no notes",
    )


@command(app)
async def history(
    api: Api,
    out: Out,
    *,
    number: Annotated[str | None, typer.Option(help="With somebody of this number.")] = None,
    queue: Annotated[str | None, typer.Option(help="Of this queue.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant.")] = None,
    reason: Annotated[str | None, typer.Option(help="That ended so, caller_hung_up.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """List call detail records, the newest first."""
    query = asked.HistoryListing(
        number=number,
        queue=queue,
        tenant=tenant,
        end_reason=reason,
        since=None if since is None else since.timestamp(),
        until=None if until is None else until.timestamp(),
    )
    out.rows(
        await api.listed(ops.LIST_HISTORY, query, most=limit),
        ("call", "began", "talked", "from", "to", "direction", "ended"),
        _record,
        "no calls yet",
    )


def _record(one: CallRecordView) -> tuple[str, ...]:
    talked = lasting(0, one.talk_seconds) if one.talk_seconds else ""
    return (
        one.call_id,
        moment(one.began_at),
        talked,
        one.caller_number,
        one.callee_number,
        one.direction,
        one.end_reason or ("" if one.ended_at else "goes on"),
    )


@command(app)
async def audit(
    api: Api,
    out: Out,
    call: AnyCall = None,
    *,
    by: Annotated[str | None, typer.Option(help="What somebody did: the name of a key.")] = None,
    limit: Limit = 50,
) -> None:
    """List who did what, the newest first."""
    call_id = None if call is None else await call_id_of(api, call)
    query = asked.AuditListing(call_id=call_id, by=by)
    out.rows(
        await api.listed(ops.LIST_AUDIT, query, most=limit),
        ("at", "call", "by", "who", "what", "result"),
        lambda one: (moment(one.at), one.call_id or "", one.by, one.who, one.what, one.result),
    )


@command(app)
async def record(
    api: Api,
    out: Out,
    call: Call,
    *,
    coaching: Annotated[bool, typer.Option("--coaching", help="Whispers, too, apart.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End it.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Let nothing in meanwhile.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on.")] = False,
) -> None:
    """Record a call from now on; or pause, resume, or stop that."""
    if stop + pause + resume > 1:
        raise BadArgumentError("one of --stop, --pause and --resume")
    meant = await call_of(api, call)
    if not (stop or pause or resume):
        body = asked.StartRecording(coaching=coaching)
        shown = await api.ask(ops.START_RECORDING, body=body, call_id=meant.call_id)
        out.one(shown, _recording)
        return
    query = asked.RecordingListing(call_id=meant.call_id)
    going_on = [
        one.view
        for one in await api.listed(ops.LIST_RECORDINGS, query)
        if one.view.state.lower() not in _OVER
    ]
    if not going_on:
        raise NotFoundError(f"call {meant.call_id} is not recorded")
    for one in going_on:
        out.one(await _changed(api, one.recording_id, stop=stop, pause=pause), _recording)


async def _changed(api: Api, recording_id: str, *, stop: bool, pause: bool) -> Shown:
    if stop:
        return await api.ask(ops.STOP_RECORDING, recording_id=recording_id)
    body = asked.ChangeRecording(paused=pause)
    return await api.ask(ops.CHANGE_RECORDING, body=body, recording_id=recording_id)


def _recording(view: RecordingView) -> str:
    return f"{view.recording_id} {view.state.lower()} {view.seconds:.1f} s"


@command(app)
async def recordings(
    api: Api,
    out: Out,
    call: AnyCall = None,
    *,
    fetch: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the files of those listed there.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List recordings, the newest first; or fetch their files."""
    call_id = None if call is None else await call_id_of(api, call)
    query = asked.RecordingListing(call_id=call_id)
    shown = await api.listed(ops.LIST_RECORDINGS, query, most=limit)
    if fetch is None:
        out.rows(
            shown,
            ("recording", "call", "state", "length", "files"),
            lambda one: (
                one.recording_id,
                one.call_id,
                one.state.lower(),
                lasting(0, one.seconds),
                ", ".join((*one.files, *one.coaching_files)),
            ),
            "no recordings",
        )
        return
    fetch.mkdir(parents=True, exist_ok=True)
    for one in shown:
        # The description last: it tells of the audio that is there.
        names = (*one.view.files, *one.view.coaching_files, one.view.description)
        for name in filter(None, names):
            path = await _fetched(api, one.view.recording_id, name, fetch)
            out.done(str(path), recording_id=one.view.recording_id, file=str(path))


async def _fetched(api: Api, recording_id: str, name: str, folder: Path) -> Path:
    # A name is the server's: nothing of it may lead out of the folder.
    path = folder / Path(name).name
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:

            async def write(chunk: bytes) -> None:
                file.write(chunk)

            await api.http.fetch(ops.FETCH_RECORDING, write, recording_id=recording_id, name=name)
        part.replace(path)
    finally:
        # A half of a recording is not to be taken for one.
        part.unlink(missing_ok=True)
    return path
