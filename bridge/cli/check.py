"""``callbridge check``: what the daemon needs, tested, and what to change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.optional import require_server
from bridge.cli.output import Out, escape

if TYPE_CHECKING:
    from rich.console import Console

    from bridge.daemon.check import Finding, Report
    from bridge.daemon.config import Configuration

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration; else CALLBRIDGE_CONFIG, ./callbridge.toml, "
        "/etc/callbridge/callbridge.toml.",
    ),
]
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def check(
    *,
    config: ConfigFile = None,
    extension: Annotated[
        str | None,
        typer.Option(
            metavar="EXTENSION@CONTEXT",
            help="Test that the dialplan hands this over to callbridge.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Test Asterisk, audio, dialplan, store and all else that the daemon needs.

    No live call is touched, and no program is offered one. Exit code: 0 all is well, 1 with
    warnings, 2 when something does not work.
    """
    require_server()
    from bridge.daemon.config import load

    report = asyncio.run(_run(load(config).configuration, extension, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    raise typer.Exit(report.exit_code)


async def _run(configuration: Configuration, extension: str | None, *, quiet: bool) -> Report:
    from bridge.daemon.check import Report, run_checks

    console = Out().console
    findings: list[Finding] = []
    async for finding in run_checks(configuration, extension=extension):
        findings.append(finding)
        if not quiet:
            _print(console, finding)
    return Report.of(findings)


def _print(console: Console, finding: Finding) -> None:
    style = _STYLES[finding.verdict]
    console.print(
        f"[{style}]{finding.verdict:<4}[/] {escape(finding.part)}: {escape(finding.said)}"
    )
    if finding.change:
        console.print(f"     -> {escape(finding.change)}")
