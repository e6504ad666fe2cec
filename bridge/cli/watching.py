"""``callbridge events``: what happens, as it happens or as it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
import typer

from bridge.cli.calls import call_id_of, call_of
from bridge.cli.choosing import shown_call
from bridge.cli.command import command
from bridge.cli.connection import Api
from bridge.cli.output import Out, clock, escape_line, moment
from bridge.cli.parameters import AnyCall, Limit
from bridge.model.errors import BadArgumentError, CallbridgeError, CallNotFoundError, ErrorCode
from bridge.protocol import frames
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import EventView
from bridge.sdk.events import LIVE_CALL_ENDED
from bridge.sdk.remote.wire import Wire

app = typer.Typer()

_BACKLOG: Final = 10_000
"""Events that wait to be printed; more are not kept: a reader so slow is told so, and ends."""


class Follower:
    """Events from now on, over breaks of the connection: what was missed is told first.

    Of one call that was over when the daemon was there again, CallNotFoundError is the end.
    on_link: told once why the connection broke, and then "" when it is there again.
    """

    def __init__(
        self,
        api: Api,
        call_id: str | None = None,
        types: list[str] | None = None,
        *,
        on_link: Callable[[str], None],
    ) -> None:
        self._asked = frames.Subscribe(call_id=call_id, types=types)
        self._after: frames.Position | None = None
        self._on_link = on_link
        self._lost = False
        self.queue: asyncio.Queue[frames.Snapshot | EventView | CallbridgeError] = asyncio.Queue(
            _BACKLOG
        )
        self._wire = Wire(
            api.http,
            frames.EVENTS_SOCKET,
            hello=self._hello,
            on_frame=self._take,
            on_down=self._down,
            on_end=self._put,
            final=(CallNotFoundError,),
        )

    async def open(self) -> None:
        """Begin; the snapshot is the first in the queue. Raises what the daemon refuses it with."""
        await self._wire.open()

    async def close(self) -> None:
        """End."""
        await self._wire.close()

    async def next(self) -> frames.Snapshot | EventView:
        """Return what comes next: after a break too long, a snapshot. Raises CallbridgeError."""
        found = await self.queue.get()
        if isinstance(found, CallbridgeError):
            raise found
        return found

    def _hello(self) -> frames.Subscribe:
        return msgspec.structs.replace(self._asked, after=self._after)

    def _down(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            self._on_link(why)

    def _take(self, frame: frames.ServerMessage) -> None:
        if self._lost:
            self._lost = False
            self._on_link("")
        match frame:
            case frames.Snapshot(at=at):
                self._after = at
                self._put(frame)
            case frames.Event(event=event):
                self._after = frames.Position(epoch=event.epoch, seq=event.seq)
                self._put(event)

    def _put(self, what: frames.Snapshot | EventView | CallbridgeError) -> None:
        if self.queue.full():
            # Nobody could make sense of events with a hole in them.
            while not self.queue.empty():
                self.queue.get_nowait()
            what = CallbridgeError(
                "events come faster than they are read", code=ErrorCode.SLOW_READER
            )
        self.queue.put_nowait(what)


@command(app)
async def events(
    api: Api,
    out: Out,
    call: AnyCall = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Those that come, until Ctrl-C.")
    ] = False,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Of these types alone.")
    ] = None,
    limit: Limit = 100,
) -> None:
    """List the last events that are kept, as they happened; or follow those that come."""
    types = event_type or []
    if follow:
        call_id = None if call is None else (await call_of(api, call)).call_id
        await _follow(api, out, call_id, types)
        return
    if len(types) > 1:
        raise BadArgumentError("one --type, or --follow: of what is kept, one type is listed")
    call_id = None if call is None else await call_id_of(api, call)
    kind = types[0] if types else None
    query = asked.EventListing(call_id=call_id, type=kind, newest_first=True)
    newest = await api.listed(ops.LIST_EVENTS, query, most=limit)
    out.rows(
        # Read like those that are followed: downwards.
        newest[::-1],
        ("at", "event", "call", "what"),
        lambda one: (moment(one.at), one.type, one.call_id or "", said_of(one)),
        "no events are kept",
    )


async def _follow(api: Api, out: Out, call_id: str | None, types: list[str]) -> None:
    """Print what comes; of one call, until it is over, whichever types are asked for."""

    def linked(why: str) -> None:
        out.note(f"the daemon is lost ({why}): it is tried again" if why else "the daemon is back")

    wanted = [*types, LIVE_CALL_ENDED] if types and call_id is not None else types
    follower = Follower(api, call_id, wanted or None, on_link=linked)
    await follower.open()
    try:
        while True:
            told = await follower.next()
            if isinstance(told, frames.Snapshot):
                out.note(f"{len(told.calls)} calls; events follow")
                continue
            if types and told.type not in types:
                pass
            elif out.as_json:
                out.line(msgspec.json.encode(told).decode())
            else:
                out.console.print(line_of(told))
            if call_id is not None and told.type == LIVE_CALL_ENDED:
                return
    except CallNotFoundError as error:
        # It has ended while the daemon was away.
        out.note(error.error_message)
    finally:
        await follower.close()


def line_of(event: EventView) -> str:
    """Return an event on one line, with markup."""
    call = escape_line(event.call_id or "")
    what = escape_line(said_of(event))
    return f"[dim]{clock(event.at)}[/] {event.type:<22} [cyan]{call}[/] {what}".rstrip()


def said_of(event: EventView) -> str:
    """Return what an event says besides its type and call."""
    data = " ".join(f"{name}={value}" for name, value in event.data.items())
    who = "" if event.call is None else shown_call(event.call).partition(" ")[2]
    return f"{who}  {data}".strip()
