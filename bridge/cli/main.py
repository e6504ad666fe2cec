"""The command ``callbridge``."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

from bridge.cli import asterisk, calls, keys, notes, observing, pbx, top, watching
from bridge.cli.check import check
from bridge.cli.command import Exit, exit_code, failure, file_failure
from bridge.cli.demo import demo
from bridge.cli.run import run
from bridge.cli.serve import serve
from bridge.model.errors import CallbridgeError

_FOR_PEOPLE: Final = sys.stdout.isatty() and sys.stderr.isatty()
_PLAIN_COLUMNS: Final = 100
"""In a pipe: enough for the longest line of a list of commands."""

app = typer.Typer(
    name="callbridge",
    help="Call control for Asterisk: listen, whisper, barge in and take over.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not permitted, 5 unreachable, "
    "130 Ctrl-C.",
    pretty_exceptions_enable=False,
    # Help and mistakes have frames on a terminal alone.
    rich_markup_mode="rich" if _FOR_PEOPLE else None,
    context_settings={} if _FOR_PEOPLE else {"terminal_width": _PLAIN_COLUMNS},
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


def _flowing(function: Callable[..., object]) -> str:
    """Return what a function says of itself, a paragraph a line: a terminal breaks it as it is."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(one.replace("\n", " ") for one in paragraphs)


for _panel, _groups in _PANELS.items():
    for _command in (one for group in _groups for one in group.registered_commands):
        _command.rich_help_panel = _panel
        app.registered_commands.append(_command)
for _panel, _function in ((_LAB, run), (_LAB, demo), (_DAEMON, serve), (_DAEMON, check)):
    app.command(rich_help_panel=_panel, help=_flowing(_function))(_function)
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
