"""``callbridge run``: acceptance runs of a PBX."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bridge.cli.command import Exit, carried_out, require_folder_of
from bridge.cli.optional import require_lab
from bridge.cli.output import escape
from bridge.model.errors import BadArgumentError, CallbridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.lab.acceptance import Run, RunReport, Site
    from bridge.lab.asterisk import Instance


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="YAML files, or names of the lab's scenarios."),
    ] = None,
    *,
    steps: Annotated[
        bool, typer.Option("--steps", help="Print what a step can be, and the lab's scenarios.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read them, tell what is wrong, and do nothing.")
    ] = False,
    instance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="An Asterisk of the lab that runs already; by default one of its own.",
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Leave what the phones heard there.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one object a run, on one line.")
    ] = False,
) -> None:
    """Make acceptance runs: phones call, and what each hears is measured.

    Exit code 0: all is as it must be; 1: something is not; 2: a file is wrong.
    """
    require_lab()
    from bridge.lab.acceptance import as_junit

    if steps:
        _print_steps()
        return
    if not files:
        raise BadArgumentError("which FILE? or --steps, for what can be in one")
    require_folder_of(junit, "--junit")
    runs = _loaded(files)
    if check:
        for one in runs:
            typer.echo(f"{one.path}: {one.name}: {len(one.steps)} steps")
        return
    reports = carried_out(lambda: _made(runs, instance, keep, as_json=as_json))
    if junit is not None:
        junit.write_text(as_junit(reports), encoding="utf-8")
    if any(report.verdict != "passed" for report in reports):
        raise typer.Exit(Exit.FAILED)


def _loaded(files: Sequence[Path]) -> list[Run]:
    """Read all files; end with every mistake of all of them."""
    from bridge.lab.acceptance import load, scenarios

    runs, wrong, known = [], [], scenarios()
    for file in files:
        try:
            runs.append(load(file if file.exists() else known.get(str(file), file)))
        except CallbridgeError as error:
            wrong.append(error.error_message)
    if wrong:
        sys.stderr.write("\n".join(wrong) + "\n")
        raise typer.Exit(Exit.USAGE)
    return runs


def _print_steps() -> None:
    """Print the reference of runs."""
    from bridge.lab.acceptance import reference, scenarios

    typer.echo(reference())
    typer.echo("The lab's scenarios, by name or to be copied:\n")
    for name, path in scenarios().items():
        typer.echo(f"  {name:<18} {path}")


async def _made(
    runs: Sequence[Run], instance: str | None, keep: Path | None, *, as_json: bool
) -> list[RunReport]:
    """Make the runs, one after the other; those of the lab on one Asterisk."""
    from bridge.lab import acceptance
    from bridge.lab.phones import require_pjsua2

    require_pjsua2()
    console = Console(soft_wrap=True, emoji=False)
    lab: Instance | None = None
    reports = []
    try:
        for one, folder in zip(runs, _folders(runs, keep), strict=True):
            site: Site
            if one.server is not None:
                site = acceptance.OwnSite(one.server)
            else:
                if lab is None:
                    lab = await asyncio.to_thread(_lab, instance)
                site = acceptance.LabSite(lab.info)
            if as_json:
                report = await acceptance.perform(one, site, keep=folder)
                typer.echo(acceptance.as_json(report))
            else:
                console.print(f"[bold]{escape(one.name)}[/] [dim]{escape(site.name)}[/]")
                report = await acceptance.perform(
                    one, site, keep=folder, tell=lambda step: acceptance.show_step(step, console)
                )
                acceptance.show_end(report, console)
            reports.append(report)
    finally:
        if lab is not None and instance is None:
            await asyncio.to_thread(lab.stop)
    return reports


def _folders(runs: Sequence[Run], keep: Path | None) -> list[Path | None]:
    """Return where what is heard in each run is left: in no other's place."""
    if keep is None:
        return [None] * len(runs)
    names = [one.path.stem if one.path else one.name for one in runs]
    return [
        keep / (name if names.count(name) == 1 else f"{name}-{names[: at + 1].count(name)}")
        for at, name in enumerate(names)
    ]


def _lab(name: str | None) -> Instance:
    """Return an instance that runs, or one of this process's own."""
    from bridge.lab.asterisk import Instance
    from bridge.lab.asterisk.progress import on_terminal

    if name is None:
        with on_terminal() as progress:
            return Instance.start(f"run-{os.getpid()}", progress=progress, tied=True)
    found = Instance.find(name)
    if found is None:
        sys.stderr.write(f"no instance {name} runs: callbridge asterisk up --name {name}\n")
        raise typer.Exit(Exit.NOT_FOUND)
    return found
