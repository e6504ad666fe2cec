"""The command ``callbridge``."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from bridge.cli import asterisk
from bridge.cli.check import check
from bridge.cli.demo import demo
from bridge.model.errors import CallbridgeError

app = typer.Typer(
    name="callbridge",
    help="Call control for Asterisk: listen, whisper, barge in and take over.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(asterisk.app, name="asterisk")
app.command()(demo)
app.command()(check)


def _print_version(*, value: bool) -> None:
    if value:
        typer.echo(f"callbridge {importlib.metadata.version('callbridge')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Call control for Asterisk: listen, whisper, barge in and take over."""


def main() -> None:
    """Run the command line; errors that are to be expected end in one message, not a traceback."""
    try:
        app()
    except CallbridgeError as error:
        sys.stderr.write(f"callbridge: {error.error_message} [{error.error_code}]\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
