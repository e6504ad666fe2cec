"""``callbridge top``: all live calls and what happens, live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cli.calls import HEADS, observers_of, row_of
from bridge.cli.command import command
from bridge.cli.connection import Api
from bridge.cli.observing import Mode, by_phone, dismissed, is_on
from bridge.cli.output import Out, plain
from bridge.cli.parameters import complete_phone
from bridge.cli.watching import Follower, line_of
from bridge.model.errors import BadArgumentError, CallbridgeError
from bridge.protocol import frames
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallView, EventView
from bridge.sdk.remote.mirror import Mirror

app = typer.Typer()

_REDRAWS: Final = 4
"""A second."""
_EVENTS_SHOWN: Final = 10
_FRAME_LINES: Final = 7
"""All but calls, events and what is said, with room for a chosen call of two lines."""
_MODES: Final[dict[str, Mode]] = {"s": "spy", "w": "whisper", "b": "barge"}
_LEAVE: Final = "x"
_QUIT: Final = "q"
_UP: Final = frozenset({"k", "\x1b[A", "\x1bOA"})
_DOWN: Final = frozenset({"j", "\x1b[B", "\x1bOB"})
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)
"""As terminals send them."""
_KEYS_WAITING: Final = 100
_WISHES_WAITING: Final = 3
_READ_BYTES: Final = 1024
_MAY_BE_CUT: Final = frozenset({"parties", "observers"})
"""Columns of the rows that are not chosen; the chosen one is shown whole."""


class Board:
    """What is shown: calls, the one that is chosen, and the newest events. Pure."""

    def __init__(self) -> None:
        self._mirror = Mirror()
        self._events: deque[EventView] = deque(maxlen=_EVENTS_SHOWN)
        self._chosen: str | None = None
        self.said = ""
        """What became of the last key."""
        self.lost = ""
        """Why nothing comes from the daemon; empty as long as something does."""

    @property
    def calls(self) -> list[CallView]:
        """The live calls, the eldest first."""
        return [call for call in self._mirror.calls if call.parties]

    @property
    def chosen(self) -> CallView | None:
        """The call that keys are for: at first the eldest.

        None when it is over: what was meant for it must not happen to another one.
        """
        return next((call for call in self.calls if call.call_id == self._chosen), None)

    def take(self, told: frames.Snapshot | EventView) -> None:
        """Take what came from the daemon."""
        if isinstance(told, frames.Snapshot):
            self._mirror.replace(told.calls)
        else:
            self._events.append(told)
            self._mirror.take(told)
        calls = self.calls
        if not calls:
            self._chosen = None
        elif self._chosen is None:
            self._chosen = calls[0].call_id

    def move(self, by: int) -> None:
        """Choose another call."""
        ids = [call.call_id for call in self.calls]
        if self._chosen in ids:
            self._chosen = ids[(ids.index(self._chosen) + by) % len(ids)]
        elif ids:
            self._chosen = ids[0 if by > 0 else -1]

    def drawn(self, legend: str, console: Console) -> RenderableType:
        """Return it as it is to be on a terminal of this size.

        What is said comes first, and whole: a terminal that is too small cuts off events.
        """
        calls, chosen = self.calls, self.chosen
        said = list(Text(plain(self.said), style="bold").wrap(console, console.width))
        room = max(1, console.height - _FRAME_LINES - len(said) - len(self._events))
        first = 0 if chosen is None else max(0, calls.index(chosen) - room + 1)
        # The newest first: at the end of a screen that is too small the oldest are cut off.
        told = [Text.from_markup(line_of(event)) for event in reversed(self._events)]
        return Group(
            self._head(calls, hidden=max(0, len(calls) - room)),
            Text(legend, style="dim"),
            *said,
            Text(""),
            _table(calls[first : first + room], chosen),
            Text(""),
            *told,
        )

    def _head(self, calls: list[CallView], *, hidden: int) -> Text:
        if self.lost:
            return Text(f"callbridge  as it was when the daemon was lost: {self.lost}", "bold red")
        watched = sum(bool(observers_of(call)) for call in calls)
        more = f", {hidden} more are not shown" if hidden else ""
        return Text(f"callbridge  {len(calls)} calls, {watched} observed{more}", "bold cyan")


def _table(calls: list[CallView], chosen: CallView | None) -> Table:
    """Return calls, one on a line; columns that have nothing are left out: 80 have to do."""
    rows = [row_of(call) for call in calls]
    used = [at for at in range(len(HEADS)) if at == 0 or any(row[at] for row in rows)]
    table = Table(box=None, expand=True, header_style="bold", pad_edge=False)
    for at in used:
        table.add_column(HEADS[at], no_wrap=HEADS[at] not in _MAY_BE_CUT)
    for call, row in zip(calls, rows, strict=True):
        here = call is chosen
        cells = (Text(plain(row[at]), no_wrap=not here, overflow="ellipsis") for at in used)
        table.add_row(*cells, style="reverse" if here else "")
    return table


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
    board = Board()

    def linked(why: str) -> None:
        board.lost = why

    follower = Follower(api, on_link=linked)
    await follower.open()
    try:
        with _keys() as keys, Live(console=out.console, screen=True, auto_refresh=False) as live:
            async with asyncio.TaskGroup() as tasks:
                wishes = Wishes(api, board, phone)
                carrying_out = tasks.create_task(wishes.run(), name="what keys ask for")
                await _show(board, follower, keys, wishes, live)
                carrying_out.cancel()
    finally:
        await follower.close()


async def _show(board: Board, follower: Follower, keys: Keys, wishes: Wishes, live: Live) -> None:
    """Draw what is there until q is pressed."""
    # Not "0 calls", before it is known how many there are.
    board.take(await follower.next())
    while True:
        while not follower.queue.empty():
            board.take(await follower.next())
        while keys.waiting:
            key = keys.waiting.popleft()
            if key == _QUIT:
                return
            if key in _UP | _DOWN:
                board.move(-1 if key in _UP else 1)
            elif key in _MODES or key == _LEAVE:
                wishes.take(key)
        live.update(board.drawn(wishes.legend, live.console), refresh=True)
        keys.came.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1 / _REDRAWS):
                await keys.came.wait()


class Wishes:
    """What keys ask for is done beside the drawing, one after the other; phone: whose they are."""

    def __init__(self, api: Api, board: Board, phone: str | None) -> None:
        self._api = api
        self._board = board
        self._phone = phone
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_WISHES_WAITING)
        """Keys, and the call that was chosen as they were pressed."""

    @property
    def legend(self) -> str:
        """What keys there are."""
        if self._phone is None:
            return "↑↓ choose  q quit"
        return "↑↓ choose  s spy  w whisper  b barge  x leave  q quit"

    def take(self, key: str) -> None:
        """Take a key. What becomes of it is shown."""
        chosen = self._board.chosen
        if self._phone is None:
            self._board.said = "whose phone? callbridge top --phone EXTENSION"
        elif chosen is None and key != _LEAVE:
            self._board.said = "no call is chosen: ↑ ↓"
        elif self._waiting.full():
            self._board.said = f"{key} was pressed too soon: what was asked for before goes on"
        else:
            self._waiting.put_nowait((key, "" if chosen is None else chosen.call_id))

    async def run(self) -> None:
        """Do what is asked for, until cancelled."""
        while True:
            key, call_id = await self._waiting.get()
            try:
                if key == _LEAVE:
                    self._board.said = await self._leave()
                else:
                    await self._observe(call_id, _MODES[key])
            except CallbridgeError as error:
                self._board.said = error.error_message

    async def _observe(self, call_id: str, mode: Mode) -> None:
        wish = f"{mode} {call_id} on {self._phone}"
        self._board.said = f"{wish} …"
        # As it is now: who observes already is not rung again.
        call = (await self._api.ask(ops.SHOW_CALL, call_id=call_id)).view
        await by_phone(self._api, call, asked.Observe(phone=self._phone, mode=mode))
        self._board.said = wish

    async def _leave(self) -> str:
        """Let whoever is on the phone leave, on whichever call; return what became of it."""
        left = []
        for call in await self._api.calls():
            for one in observers_of(call):
                if is_on(one, self._phone or ""):
                    await dismissed(self._api, call.call_id, one.name)
                    left.append(call.call_id)
        return (
            f"{self._phone} has left {', '.join(left)}"
            if left
            else (f"{self._phone} observes no call")
        )


class Keys:
    """Keys that were pressed and not dealt with; of too many the oldest give way."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque(maxlen=_KEYS_WAITING)
        self.came = asyncio.Event()

    def press(self, typed: str) -> None:
        """Take what came from the terminal, which may be several keys at once."""
        self.waiting.extend(_KEY.findall(typed))
        self.came.set()


@contextmanager
def _keys() -> Iterator[Keys]:
    """Return the keys as they are pressed; the terminal is as before then."""
    keys = Keys()
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    loop = asyncio.get_running_loop()

    def read() -> None:
        typed = ""
        # EIO: nobody has the terminal any more.
        with contextlib.suppress(OSError):
            typed = os.read(stdin, _READ_BYTES).decode(errors="replace")
        if not typed:
            loop.remove_reader(stdin)
            keys.waiting.clear()
        keys.press(typed or _QUIT)

    tty.setcbreak(stdin)
    loop.add_reader(stdin, read)
    try:
        yield keys
    finally:
        loop.remove_reader(stdin)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
