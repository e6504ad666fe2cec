"""What commands take, and how a shell completes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.cli.choosing import LATEST, chosen, shown_party
from bridge.cli.connection import Api, connected
from bridge.model.errors import CallbridgeError
from bridge.protocol import operations as ops
from bridge.protocol.views import CallView

_PATIENCE_SECONDS: Final = 1.5
"""A shell that waits longer for a completion seems dead."""

Choice = tuple[str, str]
"""A word, and what it means."""


def _asked(
    context: typer.Context, work: Callable[[Api], Coroutine[Any, Any, list[Choice]]]
) -> list[Choice]:
    """Return what a daemon knows; nothing when it cannot be asked: a shell shows no errors."""

    async def within() -> list[Choice]:
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            connected(context.params.get("url"), context.params.get("key")) as api,
        ):
            return await work(api)

    try:
        return asyncio.run(within())
    except (CallbridgeError, TimeoutError):
        return []


def _beginning(choices: list[Choice], incomplete: str) -> list[Choice]:
    return [choice for choice in choices if choice[0].startswith(incomplete)]


def complete_call(ctx: typer.Context, incomplete: str) -> list[Choice]:
    """Return ids of calls, and who is on them."""

    async def work(api: Api) -> list[Choice]:
        calls = await api.calls()
        return [*((call.call_id, _who(call)) for call in calls), (LATEST, "the newest")]

    return _beginning(_asked(ctx, work), incomplete)


def complete_party(ctx: typer.Context, incomplete: str) -> list[Choice]:
    """Return names of the parties of the call that was typed before."""

    async def work(api: Api) -> list[Choice]:
        call = chosen(await api.calls(), str(ctx.params.get("call") or LATEST))
        return [(party.name, party.endpoint) for party in call.parties]

    return _beginning(_asked(ctx, work), incomplete)


def complete_phone(ctx: typer.Context, incomplete: str) -> list[Choice]:
    """Return extensions of phones."""

    async def work(api: Api) -> list[Choice]:
        shown = await api.listed(ops.LIST_ENDPOINTS)
        return [(one.view.endpoint.partition("/")[2], one.view.state) for one in shown]

    return _beginning(_asked(ctx, work), incomplete)


def _who(call: CallView) -> str:
    return " - ".join(map(shown_party, call.parties))


CALL_HELP: Final = (
    "A call id or the beginning of one, somebody's extension or number on it, or `latest`."
)
Call = Annotated[str, typer.Argument(metavar="CALL", help=CALL_HELP, autocompletion=complete_call)]
AnyCall = Annotated[
    str | None,
    typer.Argument(metavar="CALL", help=CALL_HELP, autocompletion=complete_call),
]
Party = Annotated[
    str,
    typer.Argument(
        metavar="PARTY",
        help="By his name on the call, such as caller, or his extension.",
        autocompletion=complete_party,
    ),
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="TO",
        help="A number, or an endpoint such as PJSIP/1002.",
        autocompletion=complete_phone,
    ),
]
Parties = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        metavar="PARTY",
        help="Who hears it; may be given several times.",
        autocompletion=complete_party,
    ),
]
Ring = Annotated[int, typer.Option("--ring", metavar="SECONDS", help="How long it rings.")]
Limit = Annotated[
    int, typer.Option("--limit", "-n", metavar="COUNT", min=1, help="How many at most.")
]
_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
"""Of this machine's clock, as times are printed."""
Since = Annotated[
    datetime | None,
    typer.Option(formats=_MOMENTS, metavar="TIME", help="From then on, '2026-03-01 08:00'."),
]
Until = Annotated[
    datetime | None,
    typer.Option(formats=_MOMENTS, metavar="TIME", help="Before then; of a day: before it began."),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="A WAV file; - for raw PCM on standard output."
    ),
]
