"""How a command is run: it asks a daemon, and its failures end in one line and an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, TypeAlias, TypeVar, get_type_hints

import typer

from bridge.cli.connection import Api, connected
from bridge.cli.output import Out
from bridge.model.errors import BadArgumentError, CallbridgeError, ErrorCode

R = TypeVar("R")


Function: TypeAlias = Callable[Concatenate[Api, Out, ...], Coroutine[Any, Any, None]]
"""What a command does; its further parameters are those of the command."""


class Exit(IntEnum):
    """What commands end with."""

    DONE = 0
    FAILED = 1
    """The command could not be carried out."""
    USAGE = 2
    NOT_FOUND = 3
    """No such call, party, observer, recording, ..."""
    NOT_PERMITTED = 4
    UNREACHABLE = 5
    """No daemon, or it does not answer, or has no Asterisk."""
    INTERRUPTED = 130
    TERMINATED = 143
    PIPE_CLOSED = 141


_EXITS: Final[dict[ErrorCode, Exit]] = {
    ErrorCode.BAD_ARGUMENT: Exit.USAGE,
    ErrorCode.BAD_CONFIGURATION: Exit.USAGE,
    ErrorCode.NOT_FOUND: Exit.NOT_FOUND,
    ErrorCode.CALL_NOT_FOUND: Exit.NOT_FOUND,
    ErrorCode.UNAUTHENTICATED: Exit.NOT_PERMITTED,
    ErrorCode.FORBIDDEN: Exit.NOT_PERMITTED,
    ErrorCode.DIAL_DENIED: Exit.NOT_PERMITTED,
    ErrorCode.TRANSFER_DENIED: Exit.NOT_PERMITTED,
    ErrorCode.SERVER_UNREACHABLE: Exit.UNREACHABLE,
    ErrorCode.DRAINING: Exit.UNREACHABLE,
}
_HINTS: Final[dict[ErrorCode, str]] = {
    ErrorCode.UNAUTHENTICATED: "give a key by --key or CALLBRIDGE_KEY; "
    "an administrator makes one with `callbridge keys create`",
}

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Of callbridge serve; else CALLBRIDGE_URL."),
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="API key; else CALLBRIDGE_KEY.")
]
Json = Annotated[bool, typer.Option("--json", help="For programs: the API's JSON, one a line.")]


class TerminatedError(BaseException):
    """SIGTERM: like Ctrl-C, what is under way is ended in order."""


def exit_code(error: CallbridgeError) -> Exit:
    """Return what a command that fails so ends with."""
    return _EXITS.get(error.error_code, Exit.FAILED)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Function], Callable[..., None]]:
    """Make a coroutine function a command: it is given an Api and an Out, and what was typed.

    The command has the options --url, --key and --json besides its own.
    """

    def register(function: Function) -> Callable[..., None]:
        @functools.wraps(function)
        def run(
            *,
            url: str | None = None,
            key: str | None = None,
            as_json: bool = False,
            **typed: object,
        ) -> None:
            async def work() -> None:
                async with connected(url, key) as api:
                    await function(api, Out(as_json=as_json), **typed)

            carried_out(work)

        _sign(run, function)
        app.command(name)(run)
        return run

    return register


def carried_out(work: Callable[[], Awaitable[R]]) -> R:
    """Run it; end the process with the right exit code if it fails or is interrupted."""
    try:
        return asyncio.run(_until_terminated(work))
    except CallbridgeError as error:
        sys.stderr.write(failure(error))
        code = exit_code(error)
    except BaseExceptionGroup as group:
        known, rest = group.split(CallbridgeError)
        if rest is not None or known is None:
            raise
        first = _first(known)
        sys.stderr.write(failure(first))
        code = exit_code(first)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except TerminatedError:
        code = Exit.TERMINATED
    except BrokenPipeError:
        # Nobody reads any more: the interpreter's own flush at exit must not complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.PIPE_CLOSED
    except OSError as error:
        sys.stderr.write(file_failure(error))
        code = Exit.FAILED
    raise typer.Exit(code)


def failure(error: CallbridgeError) -> str:
    """Return what is said of an error, with what to do."""
    hint = _HINTS.get(error.error_code, "")
    return f"callbridge: {error.error_message} [{error.error_code}]\n" + (
        f"  {hint}\n" if hint else ""
    )


def file_failure(error: OSError) -> str:
    """Return what is said of a file or a folder of the command line.

    What the network does is a CallbridgeError.
    """
    about = f"{error.filename}: " if error.filename else ""
    return f"callbridge: {about}{error.strerror or error}\n"


def require_folder_of(file: Path | None, option: str) -> None:
    """See to it that a file can be made, before what is to be in it takes minutes.

    Raises BadArgumentError.
    """
    if file is not None and not file.absolute().parent.is_dir():
        raise BadArgumentError(f"{option} {file}: there is no folder {file.parent}")


async def _until_terminated(work: Callable[[], Awaitable[R]]) -> R:
    task = asyncio.current_task()
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        if task is not None:
            task.cancel()

    # Only the main thread can have signal handlers; elsewhere whoever runs it sees to it.
    with contextlib.suppress(RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await work()
    except asyncio.CancelledError:
        if terminated:
            raise TerminatedError from None
        raise


def _first(group: BaseExceptionGroup[CallbridgeError]) -> CallbridgeError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _sign(run: Callable[..., None], function: Callable[..., Any]) -> None:
    """Give the command the parameters of the function, without the first two, and the common ones.

    Typer looks at the signature and, for types, at the annotations.
    """
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[2:]
    common = (("url", Url, None), ("key", Key, None), ("as_json", Json, False))
    parameters = [
        *(one.replace(annotation=hints[one.name], kind=_NAMED) for one in own),
        *(
            inspect.Parameter(name, _NAMED, default=default, annotation=kind)
            for name, kind, default in common
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]  # or the wrapped one's signature is looked at


_NAMED: Final = inspect.Parameter.KEYWORD_ONLY
