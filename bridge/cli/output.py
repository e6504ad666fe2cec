"""What commands print: tables for people, the API's own JSON for programs.

Data goes to standard output, all else to standard error. Without a terminal there are neither
colours nor frames, and lines are as long as they have to be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape as as_no_markup
from rich.table import Table

from bridge.cli.connection import Shown

_WIDE: Final = 10_000
_MINUTE: Final = 60
_HOUR: Final = 3600

_BREAKS: Final = frozenset(map(ord, "\n\t\u2028\u2029"))
_TURNS: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They let what follows be shown from right to left, on to the end of the line."""
_CONTROL: Final = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), *_TURNS} - _BREAKS, "\N{REPLACEMENT CHARACTER}"
)
_ONE_LINE: Final = _CONTROL | dict.fromkeys(_BREAKS, " ")

Row = Callable[[Any], Sequence[str]]


def escape(text: str) -> str:
    """Return a text of anybody's, such as a caller's name, as what a terminal shows as it is.

    Neither rich's markup nor a control character is in it: those could move the cursor, name the
    window, or type for whoever looks.
    """
    return as_no_markup(text.translate(_CONTROL))


def plain(text: str) -> str:
    """Return it on one line, without control characters; rich's markup may be in it."""
    return text.translate(_ONE_LINE)


def escape_line(text: str) -> str:
    """Return it as ``escape`` does, on one line: nobody's note begins a row, or an event."""
    return as_no_markup(plain(text))


class Out:
    """Standard output and standard error of one command."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        terminal = sys.stdout.isatty()
        self.console = Console(
            soft_wrap=True, highlight=False, width=None if terminal else _WIDE, emoji=False
        )
        self._notes = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    def note(self, text: str) -> None:
        """Tell something that is no data."""
        self._notes.print(escape(text), style="dim")

    def hint(self, text: str) -> None:
        """Tell somebody at a terminal what he can do now."""
        if self._notes.is_terminal:
            self.note(text)

    def line(self, text: str) -> None:
        """Print one line of data as it is; it is there at once."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def raw(self, value: msgspec.Raw) -> None:
        """Print JSON, on one line."""
        self.line(bytes(value).decode())

    def rows(
        self, shown: Sequence[Shown], heads: Sequence[str], row: Row, nothing: str = "nothing"
    ) -> None:
        """Print a list."""
        if self.as_json:
            for one in shown:
                self.raw(one.raw)
            return
        if not shown:
            self.note(nothing)
            return
        self.show(self.table(heads, (row(one.view) for one in shown)))

    def show(self, table: Table) -> None:
        """Print a table; in a pipe no line ends with what fills up its last column."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().removesuffix("\n").split("\n"):
            self.line(line.rstrip())

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        """Return a table."""
        terminal = self.console.is_terminal
        table = Table(
            *heads,
            box=box.SIMPLE_HEAD if terminal else None,
            pad_edge=False,
            header_style="bold" if terminal else "",
        )
        if terminal and table.columns:
            table.columns[0].style = "cyan"
        for row in rows:
            table.add_row(*map(escape_line, row))
        return table

    def one(self, shown: Shown, words: Callable[[Any], str]) -> None:
        """Print one thing: in words, or as JSON."""
        if self.as_json:
            self.raw(shown.raw)
        else:
            self.console.print(escape(words(shown.view)))

    def facts(self, shown: Shown, facts: Callable[[Any], Iterable[tuple[str, str]]]) -> None:
        """Print one thing: name and value on each line, or as JSON."""
        if self.as_json:
            self.raw(shown.raw)
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in facts(shown.view):
            if value:
                table.add_row(f"[dim]{escape(name)}[/]", escape(value))
        self.show(table)

    def done(self, text: str, **values: object) -> None:
        """Say that something was done that answers nothing; as JSON: the values."""
        if self.as_json:
            self.line(msgspec.json.encode(values).decode())
        else:
            self.console.print(escape(text))


def lasting(since: float | None, until: float | None = None) -> str:
    """Return for how long something goes on: 3:05, 1:00:07."""
    if since is None:
        return ""
    seconds = max(0, int((time.time() if until is None else until) - since))
    hours, minutes = divmod(seconds // _MINUTE, _MINUTE)
    if seconds >= _HOUR:
        return f"{hours}:{minutes:02}:{seconds % _MINUTE:02}"
    return f"{minutes}:{seconds % _MINUTE:02}"


def moment(at: float | None) -> str:
    """Return a time of this machine's clock, with the day."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def clock(at: float) -> str:
    """Return a time of day, with milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"
