"""``callbridge serve``: the daemon."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.check import ConfigFile
from bridge.cli.command import Exit, failure
from bridge.cli.optional import require_server
from bridge.daemon import runfile
from bridge.model.errors import ConfigurationError

if TYPE_CHECKING:
    from bridge.daemon.config import Configuration
    from bridge.daemon.logs import Log


def serve(
    *,
    config: ConfigFile = None,
    example_config: Annotated[
        bool,
        typer.Option("--example-config", help="Print a configuration to begin with, and exit."),
    ] = False,
    print_unit: Annotated[
        bool,
        typer.Option("--print-unit", help="Print a systemd unit for this installation, and exit."),
    ] = False,
) -> None:
    """Run the daemon beside an Asterisk: HTTP API, events, audio, webhooks, metrics.

    Without a configuration it serves the running `callbridge asterisk up`. SIGTERM or Ctrl-C ends
    it in order, a second one at once. SIGHUP: the certificate is read again. Exit code: 0 it was
    asked to end, 1 it failed, or what it needs is in use, 2 the configuration is wrong, 3 another
    program took its application.
    """
    require_server()
    from bridge.daemon.config import example_config as example
    from bridge.daemon.config import load
    from bridge.daemon.logs import logging_to
    from bridge.daemon.unit import unit

    if example_config or print_unit:
        typer.echo(example() if example_config else unit(), nl=False)
        return
    configuration = load(config).configuration
    told = configuration.log
    try:
        with logging_to(format=told.format, level=told.level, redact=told.redact) as log:
            code = asyncio.run(_serve(configuration, log))
    except ConfigurationError as error:
        # The file is good: what is in the way may have gone when it is tried again.
        sys.stderr.write(failure(error))
        if (running := runfile.find()) is not None:
            sys.stderr.write(f"  a daemon of this user runs at {running.url} (pid {running.pid})\n")
        code = Exit.FAILED
    raise typer.Exit(code)


async def _serve(configuration: Configuration, log: Log) -> int:
    from bridge.daemon.serve import Daemon

    daemon = Daemon(configuration, log_dropped=lambda: log.dropped)
    with daemon.stop.by_signals(on_hangup=daemon.reload):
        return await daemon.run()
