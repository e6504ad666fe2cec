"""``callbridge demo``: real calls, measured."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bridge.cli.command import require_folder_of
from bridge.cli.optional import require_lab
from bridge.model.errors import BadArgumentError
from bridge.model.participants import PARTIES, Participant


def demo(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Leave the recordings and a timeline of the steps."),
    ] = None,
    codec: Annotated[
        str, typer.Option(help="Of the phones: L16/16000, L16/8000, G722, PCMU or PCMA.")
    ] = "L16/16000",
    silent: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTY", help="caller or callee: its phone sends no RTP at all."),
    ] = None,
) -> None:
    """Bring up Asterisk and phones, place calls, and measure who hears whom in every mode.

    First an AI on a call of its own, then an AI and a supervisor on a call that no program placed,
    then an AI that hands its caller on to a human.
    Always on an Asterisk of its own, whatever CALLBRIDGE_ARI_URL says: it needs phones' accounts.
    """
    require_lab()
    from bridge.lab.asterisk import Instance
    from bridge.lab.demo import DemoSettings, run_demo
    from bridge.lab.demo.report import show
    from bridge.lab.phones import Codec, require_pjsua2

    parties = frozenset(map(Participant, silent or ()))
    if not parties <= PARTIES:
        raise BadArgumentError(f"--silent {' '.join(sorted(parties))}: caller or callee")
    if codec not in set(Codec):
        raise BadArgumentError(f"--codec {codec}: one of {', '.join(Codec)}")
    require_folder_of(json_file, "--json")
    require_pjsua2()
    settings = DemoSettings(codec=Codec(codec), silent=parties, keep=keep)
    console, notes = Console(soft_wrap=True), Console(stderr=True)
    instance = Instance.start(f"demo-{os.getpid()}", tied=True)
    try:
        result = asyncio.run(
            run_demo(instance, settings, lambda text: notes.print(f"· {text}", style="dim"))
        )
    finally:
        instance.stop()
    show(result, console)
    if json_file is not None:
        json_file.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
    if keep is not None:
        console.print(f"Recordings and timeline: {keep}")
    if not result.ok:
        raise typer.Exit(1)
