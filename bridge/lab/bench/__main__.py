"""``python -m bridge.lab.bench``: measure, print, and write down."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bridge.lab.asterisk import Instance
from bridge.lab.bench import load, observing, switching, transport
from bridge.lab.bench.figures import Chapter


def main(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")
    ] = None,
) -> None:
    """Measure switching, transport and load on an Asterisk of its own; about a minute."""
    console = Console()
    instance = Instance.start(f"bench-{os.getpid()}", tied=True)
    try:
        chapters = asyncio.run(_measure(instance, console))
        version = instance.info.version
    finally:
        instance.stop()
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    if json_file is not None:
        content = {
            "asterisk": version,
            "machine": machine,
            "chapters": [chapter.as_json() for chapter in chapters],
        }
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


async def _measure(instance: Instance, console: Console) -> list[Chapter]:
    console.print(f"Asterisk {instance.info.version}, {os.cpu_count()} cores")
    chapters = []
    for measuring in (
        switching.measure(instance.info),
        observing.measure(instance.info),
        transport.measure(instance.info),
        load.measure(instance),
    ):
        chapter = await measuring
        console.print(table(chapter))
        chapters.append(chapter)
    return chapters


def table(chapter: Chapter) -> Table:
    """Return a chapter as a table for people."""
    shown = Table(title=f"\n{chapter.title}", caption=chapter.note, box=None, title_justify="left")
    shown.add_column("")
    for heading in ("median", "spread", "max", "n"):
        shown.add_column(heading, justify="right")
    for figure in chapter.figures:
        shown.add_row(*figure.cells())
    return shown


if __name__ == "__main__":
    typer.run(main)
