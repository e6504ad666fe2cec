"""How long work is reported to whoever waits for it."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from types import TracebackType


class Progress(Protocol):
    """Told of every step by name, and how far the step has come."""

    def step(self, text: str) -> None:
        """Begin a step; the one before it has ended."""

    def update(self, fraction: float) -> None:
        """Report how much of the step is done, 0 to 1."""


class Silent:
    """Reports to nobody."""

    def step(self, text: str) -> None:
        """Ignore the step."""

    def update(self, fraction: float) -> None:
        """Ignore the fraction."""


class Lines(AbstractContextManager["Lines"]):
    """Plain lines, for a log: one at the begin of a step and one for every quarter of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._quarter = 0

    def step(self, text: str) -> None:
        """Write the name of the step."""
        self._quarter = 0
        self._write(text)

    def update(self, fraction: float) -> None:
        """Write a line when another quarter is done."""
        quarter = min(int(fraction * 4), 3)
        if quarter > self._quarter:
            self._quarter = quarter
            self._write(f"  {quarter * 25} %")

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def __exit__(self, *exc: object) -> None:
        """Do nothing: every line stands for itself."""


class Bar(AbstractContextManager["Bar"]):
    """A moving bar, for a terminal; gone when the work is done."""

    def __init__(self, console: Console) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._rich.add_task("", total=None, visible=False)

    def step(self, text: str) -> None:
        """Show the name of the step, its length not known yet."""
        self._rich.reset(self._task, description=text, total=None, visible=True)

    def update(self, fraction: float) -> None:
        """Move the bar."""
        self._rich.update(self._task, total=1.0, completed=fraction)

    def __enter__(self) -> Self:
        """Draw."""
        self._rich.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wipe the bar away."""
        self._rich.stop()


def on_terminal(stream: TextIO | None = None) -> Bar | Lines:
    """Return a bar if ``stream`` (standard error unless told) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    return Bar(Console(file=stream)) if stream.isatty() else Lines(stream)
