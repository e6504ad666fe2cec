"""``python -m bridge.lab.bench``: measure, print, and write down."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bridge.lab.asterisk import Instance
from bridge.lab.bench import (
    company,
    handover,
    load,
    observing,
    remote,
    restart,
    sockets,
    switching,
    transport,
    watchers,
    watching,
)
from bridge.lab.bench.figures import Chapter
from bridge.lab.bench.music import write_music
from bridge.lab.bench.usage import Usage, busy_s

CHAPTERS: Mapping[str, Callable[[Instance], Awaitable[Chapter]]] = {
    "switching": lambda instance: switching.measure(instance.info),
    "observing": lambda instance: observing.measure(instance.info),
    "transport": lambda instance: transport.measure(instance.info),
    "load": load.measure,
    "watching": watching.measure,
    "sockets": lambda instance: sockets.measure(instance.info),
    "remote": lambda instance: remote.measure(instance.info),
    "watchers": lambda _instance: watchers.measure(),
    "company": company.measure,
    "handover": lambda instance: handover.measure(instance.info),
    "restart": restart.measure,
}


def main(
    chapters: Annotated[
        list[str] | None,
        typer.Argument(metavar=f"[{'|'.join(CHAPTERS)}]...", help="What to measure: all."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")
    ] = None,
) -> None:
    """Measure switching, load, handovers and more on an Asterisk of its own; about six minutes."""
    wanted = chapters or list(CHAPTERS)
    if unknown := [name for name in wanted if name not in CHAPTERS]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(CHAPTERS)}")
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(f"--json {json_file}: there is no folder {json_file.parent}")
    console = Console()
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-") as folder:
        music = write_music(Path(folder))
        instance = Instance.start(f"bench-{os.getpid()}", tied=True, music=music)
    version = instance.info.version
    measured: list[Chapter] = []
    try:
        try:
            asyncio.run(_measure(instance, wanted, console, measured))
        finally:
            instance.stop()
    finally:
        # Also when a chapter has failed: those before it took minutes.
        if json_file is not None:
            _write(json_file, version, measured)


def _write(file: Path, version: str, measured: Sequence[Chapter]) -> None:
    content = {
        "asterisk": version,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "chapters": [chapter.as_json() for chapter in measured],
    }
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


async def _measure(
    instance: Instance, wanted: list[str], console: Console, measured: list[Chapter]
) -> None:
    """Measure chapter by chapter, and put each down as it is done."""
    console.print(f"Asterisk {instance.info.version}, {os.cpu_count()} cores")
    for name in wanted:
        began, cpu_s = time.monotonic(), _others_s(instance)
        chapter = await CHAPTERS[name](instance)
        others = (_others_s(instance) - cpu_s) / (time.monotonic() - began) * 100
        measured.append(replace(chapter, others_percent=round(others, 1)))
        console.print(table(measured[-1]))


def _others_s(instance: Instance) -> float:
    """Return CPU seconds that the machine has spent on what has nothing to do with the bench."""
    own = os.times()
    children = own.children_user + own.children_system
    return busy_s() - own.user - own.system - children - Usage.of(instance.pid).cpu_s


def table(chapter: Chapter) -> Table:
    """Return a chapter as a table for people."""
    caption = f"{chapter.note} All else took {chapter.others_percent:.0f} % of a core meanwhile."
    shown = Table(title=f"\n{chapter.title}", caption=caption, box=None, title_justify="left")
    shown.add_column("")
    for heading in ("median", "spread", "max", "n"):
        shown.add_column(heading, justify="right")
    for figure in chapter.figures:
        shown.add_row(*figure.cells())
    return shown


if __name__ == "__main__":
    typer.run(main)
