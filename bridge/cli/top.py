"""``callbridge top``: all live calls and what happens, live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cli.calls import HEADS, observers_of, row_of
from bridge.cli.command import command
from bridge.cli.connection import Api
from bridge.cli.observing import Mode, by_phone
from bridge.cli.output import Out, escape
from bridge.cli.parameters import complete_phone
from bridge.cli.watching import Follower, line_of
from bridge.model.errors import BadArgumentError, CallbridgeError
from bridge.model.states import CallState
from bridge.protocol import frames
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallView, EventView

app = typer.Typer()

_REDRAWS: Final = 4
"""A second."""
_EVENTS_SHOWN: Final = 10
_FRAME_LINES: Final = 6
_MODES: Final[dict[str, Mode]] = {"s": "spy", "w": "whisper", "b": "barge"}
_UP: Final = frozenset({"k", "\x1b[A", "\x1bOA"})
_DOWN: Final = frozenset({"j", "\x1b[B", "\x1bOB"})


class Board:
    """What is shown: calls, the one that is chosen, and the newest events. Pure."""

    def __init__(self) -> None:
        self._calls: dict[str, CallView] = {}
        self._events: deque[EventView] = deque(maxlen=_EVENTS_SHOWN)
        self._chosen: str | None = None
        self.said = ""
        """What became of the last key."""

    @property
    def calls(self) -> list[CallView]:
        """The live calls, the eldest first."""
        return sorted(self._calls.values(), key=lambda call: (call.since, call.call_id))

    @property
    def chosen(self) -> CallView | None:
        """The call that keys are for: by default the first."""
        if self._chosen in self._calls:
            return self._calls[self._chosen]
        return next(iter(self.calls), None)

    def take(self, told: frames.Snapshot | EventView) -> None:
        """Take what came from the daemon."""
        if isinstance(told, frames.Snapshot):
            self._calls = {call.call_id: call for call in told.calls}
            return
        self._events.append(told)
        if told.call is not None:
            self._update(told.call)
        if told.type == "LIVE_CALL_ENDED" and told.call_id is not None:
            self._calls.pop(told.call_id, None)

    def _update(self, call: CallView) -> None:
        known = self._calls.get(call.call_id)
        if known is not None and known.revision > call.revision:
            return
        if call.state is CallState.DISCONNECTED or not call.parties:
            self._calls.pop(call.call_id, None)
        else:
            self._calls[call.call_id] = call

    def move(self, by: int) -> None:
        """Choose another call."""
        calls = self.calls
        if calls and self.chosen is not None:
            at = [call.call_id for call in calls].index(self.chosen.call_id)
            self._chosen = calls[(at + by) % len(calls)].call_id

    def drawn(self, keys: str, lines: int) -> RenderableType:
        """Return it as it is to be on a terminal of so many lines."""
        table = Table(*HEADS, box=None, expand=True, header_style="bold", pad_edge=False)
        calls, chosen = self.calls, self.chosen
        room = max(1, lines - _FRAME_LINES - len(self._events))
        for call in calls[:room]:
            here = chosen is not None and call.call_id == chosen.call_id
            style = "reverse" if here else ""
            table.add_row(*(escape(cell) for cell in row_of(call)), style=style)
        more = f", {len(calls) - room} more are not shown" if len(calls) > room else ""
        watched = sum(bool(observers_of(call)) for call in calls)
        head = Text(f"callbridge  {len(calls)} calls, {watched} observed{more}", style="bold cyan")
        told = [Text.from_markup(line_of(event)) for event in self._events]
        foot = Text(f"{keys}  {self.said}".rstrip(), style="dim")
        return Group(head, Text(""), table, Text(""), *told, Text(""), foot)


@command(app)
async def top(
    api: Api,
    out: Out,
    *,
    phone: Annotated[
        str | None,
        typer.Option(
            metavar="EXTENSION",
            help="Yours: the keys s, w and b let you spy, whisper and barge on it.",
            autocompletion=complete_phone,
        ),
    ] = None,
) -> None:
    """Show all calls live. Keys: ↑ ↓ choose, s w b observe by --phone, x leave, q ends it."""
    if out.as_json:
        raise BadArgumentError("top is for people: `callbridge events --follow --json`")
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise BadArgumentError("top needs a terminal: in a pipe, `callbridge calls`")
    follower = Follower(api, None, None)
    await follower.open()
    board = Board()
    try:
        with _keys() as pressed, Live(console=out.console, screen=True, auto_refresh=False) as live:
            await _run(api, board, follower, pressed, live, phone=phone)
    finally:
        await follower.close()


async def _run(
    api: Api,
    board: Board,
    follower: Follower,
    pressed: asyncio.Queue[str],
    live: Live,
    *,
    phone: str | None,
) -> None:
    """Go on until q is pressed. Commands run beside it, one at a time."""
    keys = "↑↓ choose  s spy  w whisper  b barge  x leave  q quit" if phone else "↑↓  q quit"
    commanding: asyncio.Task[None] | None = None
    try:
        while True:
            while not follower.queue.empty():
                board.take(await follower.next())
            while not pressed.empty():
                key = pressed.get_nowait()
                if key == "q":
                    return
                if key in _UP | _DOWN:
                    board.move(-1 if key in _UP else 1)
                elif phone is not None and (commanding is None or commanding.done()):
                    commanding = asyncio.create_task(_command(api, board, key, phone))
            live.update(board.drawn(keys, live.console.size.height), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / _REDRAWS):
                    pressed.put_nowait(await pressed.get())
    finally:
        if commanding is not None:
            commanding.cancel()
            await asyncio.gather(commanding, return_exceptions=True)


async def _command(api: Api, board: Board, key: str, phone: str) -> None:
    """Do what a key is for; what becomes of it is shown."""
    call = board.chosen
    if call is None or (key not in _MODES and key != "x"):
        return
    try:
        if key == "x":
            await _leave(api, board, phone)
            return
        board.said = f"{_MODES[key]} {call.call_id} on {phone} …"
        await by_phone(api, call, asked.Observe(phone=phone, mode=_MODES[key]))
        board.said = f"{_MODES[key]} {call.call_id} on {phone}"
    except CallbridgeError as error:
        board.said = error.error_message


async def _leave(api: Api, board: Board, phone: str) -> None:
    """Let whoever is on the phone leave, on whichever call."""
    for call in board.calls:
        for one in observers_of(call):
            if one.phone and phone in {one.phone, one.phone.partition("/")[2]}:
                query = asked.Leave(cut=True)
                await api.tell(
                    ops.DISMISS_OBSERVER, query=query, call_id=call.call_id, observer=one.name
                )
                board.said = f"{phone} has left {call.call_id}"


@contextmanager
def _keys() -> Iterator[asyncio.Queue[str]]:
    """Return the keys that are pressed, as they are pressed; the terminal is as before then."""
    pressed: asyncio.Queue[str] = asyncio.Queue(100)
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    loop = asyncio.get_running_loop()

    def read() -> None:
        typed = ""
        # EIO: nobody has the terminal any more.
        with contextlib.suppress(OSError):
            typed = os.read(stdin, 16).decode(errors="replace")
        if not typed:
            loop.remove_reader(stdin)
            while not pressed.empty():
                pressed.get_nowait()
        with contextlib.suppress(asyncio.QueueFull):
            pressed.put_nowait(typed or "q")

    tty.setcbreak(stdin)
    loop.add_reader(stdin, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(stdin)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
