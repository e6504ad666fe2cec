"""Why an Asterisk died: its end in words, and the lines of its logs that matter."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.lab.asterisk.record import Exit

MESSAGES = "messages.log"
CONSOLE = "console.log"
"""What Asterisk wrote to its standard output and error: the dynamic loader, assertions, libc."""
_SERIOUS = re.compile(r"\b(WARNING|ERROR)\[")
_PORT_TAKEN = re.compile(r"Address already in use|Unable to bind|could not be started")
_LINES = 12


def set_aside(log: Path) -> None:
    """Put the logs of an earlier life aside, so that its errors are not taken for this one's."""
    for name in (MESSAGES, CONSOLE):
        if (log / name).exists():
            (log / name).rename(log / f"{name}.before")


def describe_end(end: Exit | None) -> str:
    """Return the end of a process in words; None is an end that nobody saw."""
    if end is None:
        return "is gone, and nobody saw how (killed together with its keeper, or a reboot)"
    when = f"after {end.seconds:.1f} s"
    if end.code < 0:
        return f"died of {signal.Signals(-end.code).name} {when}"
    return f"ended by itself with exit code {end.code} {when}"


def lines_that_matter(log: Path) -> list[str]:
    """Return the last warnings and errors, and the last words on the console."""
    serious = [line for line in _lines(log / MESSAGES) if _SERIOUS.search(line)]
    return [*serious[-_LINES:], *_lines(log / CONSOLE)[-_LINES:]]


def port_was_taken(log: Path) -> bool:
    """Tell whether Asterisk could not bind one of its ports."""
    return any(_PORT_TAKEN.search(line) for line in lines_that_matter(log))


def describe(what: str, log: Path, kept: Path | None) -> str:
    """Return the whole report: what happened, the lines, where the logs are."""
    lines = lines_that_matter(kept or log)
    told = "\n".join(f"  {line}" for line in lines) or "  (its logs hold no warning or error)"
    return f"{what}. The lines of the log that matter:\n{told}\nThe whole log: {kept or log}"


def tail(log: Path, lines: int) -> str:
    """Return the last ``lines`` lines of Asterisk's log."""
    return "\n".join(_lines(log / MESSAGES)[-lines:])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
