"""The command ``callbridge``."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, Final

import typer

from bridge.cli import asterisk, calls, keys, notes, observing, pbx, top, watching
from bridge.cli.check import check
from bridge.cli.command import Exit, exit_code, failure, file_failure
from bridge.cli.demo import demo
from bridge.cli.run import run
from bridge.cli.serve import serve
from bridge.model.errors import CallbridgeError

app = typer.Typer(
    name="callbridge",
    help="Call control for Asterisk: listen, whisper, barge in and take over.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not permitted, 5 unreachable, "
    "130 Ctrl-C.",
    pretty_exceptions_enable=False,
)
_DAEMON: Final = "The PBX and the daemon"
_PANELS: Final = {
    "Calls": (calls.app,),
    "Listening and coaching": (observing.app,),
    "Watching": (watching.app, top.app),
    "What is kept": (notes.app,),
    _DAEMON: (pbx.app,),
}
_LAB: Final = "Testing"

for _panel, _groups in _PANELS.items():
    for _command in (one for group in _groups for one in group.registered_commands):
        _command.rich_help_panel = _panel
        app.registered_commands.append(_command)
app.command(rich_help_panel=_LAB)(run)
app.command(rich_help_panel=_LAB)(demo)
app.command(rich_help_panel=_DAEMON)(serve)
app.command(rich_help_panel=_DAEMON)(check)
app.add_typer(asterisk.app, name="asterisk", rich_help_panel=_LAB)
app.add_typer(pbx.webhooks, name="webhooks", rich_help_panel=_DAEMON)
app.add_typer(keys.app, name="keys", rich_help_panel=_DAEMON)


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
        sys.stderr.write(failure(error))
        sys.exit(exit_code(error))
    except OSError as error:
        sys.stderr.write(file_failure(error))
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    main()
