"""Commands about the PBX and the daemon itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from bridge.cli.command import Exit, command
from bridge.cli.connection import Api
from bridge.cli.optional import require_server
from bridge.cli.output import Out, lasting, moment
from bridge.cli.parameters import Limit
from bridge.model.errors import BadArgumentError
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import DeliveryView, HealthView, MeView

app = typer.Typer()
_SECRET_VARIABLE: Final = "CALLBRIDGE_WEBHOOK_SECRET"  # noqa: S105 - a name
webhooks = typer.Typer(
    name="webhooks", help="Where events are sent, and what became of them.", no_args_is_help=True
)


@command(app)
async def endpoints(api: Api, out: Out) -> None:
    """List phones and trunks."""
    out.rows(
        await api.listed(ops.LIST_ENDPOINTS),
        ("endpoint", "state", "channels"),
        lambda one: (one.endpoint, one.state, ", ".join(one.channels)),
    )


@command(app)
async def channels(api: Api, out: Out) -> None:
    """List Asterisk's channels."""
    out.rows(
        await api.listed(ops.LIST_CHANNELS),
        ("channel", "state", "number", "lasts", "call", "id"),
        lambda one: (
            one.name,
            one.state,
            one.number,
            lasting(one.created),
            one.call_id or "",
            one.channel_id,
        ),
        "no channels",
    )


@command(app)
async def programs(api: Api, out: Out) -> None:
    """List who takes incoming calls."""
    out.rows(
        await api.listed(ops.LIST_PROGRAMS),
        ("program", "tenant", "queues", "connected", "standby", "calls", "routes"),
        lambda one: (
            one.name,
            one.tenant,
            ", ".join(one.queues) or "all",
            "yes" if one.connected else "no",
            str(one.standby),
            str(one.calls),
            "; ".join(one.routes),
        ),
        "no programs",
    )


@command(app)
async def health(api: Api, out: Out) -> None:
    """Show how the daemon does; exit code 1 when it takes no calls."""
    shown = await api.ask(ops.SHOW_HEALTH)
    out.facts(shown, _health)
    if not shown.view.ready:
        raise typer.Exit(Exit.FAILED)


def _health(view: HealthView) -> Iterable[tuple[str, str]]:
    yield "ready", "yes" if view.ready else "no"
    yield "draining", "yes" if view.draining else ""
    yield "callbridge", view.version
    yield "asterisk", view.asterisk or "cannot be reached"
    yield "calls", str(view.calls)
    yield from view.parts.items()


@command(app)
async def me(api: Api, out: Out) -> None:
    """Show who is asking: of which role, and what that may do."""
    out.facts(await api.ask(ops.SHOW_ME), _me)


def _me(view: MeView) -> Iterable[tuple[str, str]]:
    yield "name", view.name
    yield "role", view.role
    yield "tenant", view.tenant
    yield "queues", ", ".join(view.queues) or "all"
    yield "may", ", ".join(view.permissions)


@app.command()
def openapi(*, indent: Annotated[int | None, typer.Option(help="Of the JSON.")] = 2) -> None:
    """Print the description of the HTTP API (OpenAPI 3.1); needs no daemon."""
    require_server()
    from bridge.api.openapi import openapi_document

    typer.echo(json.dumps(openapi_document(), indent=indent, ensure_ascii=False))


@command(webhooks, "list")
async def list_webhooks(api: Api, out: Out) -> None:
    """List the webhooks."""
    out.rows(
        await api.listed(ops.LIST_WEBHOOKS),
        ("webhook", "url", "events", "tenant", "pending", "dead"),
        lambda one: (
            one.webhook_id,
            one.url,
            ", ".join(one.events) or "all",
            one.tenant,
            str(one.pending),
            str(one.dead),
        ),
        "no webhooks",
    )


def _secret(context: typer.Context, given: str) -> str:
    """Return what signs; who types at a terminal is asked for it, in a script nobody is."""
    if given or context.resilient_parsing:
        return given
    if not sys.stdin.isatty():
        raise BadArgumentError(f"which secret signs what is sent? Set {_SECRET_VARIABLE}")
    return str(typer.prompt("Secret", hide_input=True, err=True))


@command(webhooks, "add")
async def add_webhook(
    api: Api,
    out: Out,
    address: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent.")],
    *,
    secret: Annotated[
        str,
        typer.Option(
            callback=_secret,
            envvar=_SECRET_VARIABLE,
            help="Signs them; by default it is asked for.",
            show_default=False,
        ),
    ] = "",
    event: Annotated[list[str] | None, typer.Option(help="Which; by default all.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose.")] = None,
) -> None:
    """Send events to an address."""
    body = asked.CreateWebhook(url=address, secret=secret, events=event or [], tenant=tenant)
    out.one(await api.ask(ops.CREATE_WEBHOOK, body=body), lambda view: view.webhook_id)


@command(webhooks, "remove")
async def remove_webhook(
    api: Api, out: Out, webhook: Annotated[str, typer.Argument(metavar="WEBHOOK")]
) -> None:
    """Send nothing there any more."""
    await api.tell(ops.DELETE_WEBHOOK, webhook_id=webhook)
    out.done(f"{webhook} is removed", webhook_id=webhook)


@command(webhooks)
async def deliveries(
    api: Api,
    out: Out,
    webhook: Annotated[str, typer.Argument(metavar="WEBHOOK")],
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Those that were given up.")] = False,
    limit: Limit = 50,
) -> None:
    """List what was sent, the newest first."""
    query = asked.DeliveryListing(state="dead" if dead else None)
    out.rows(
        await api.listed(ops.LIST_DELIVERIES, query, most=limit, webhook_id=webhook),
        ("delivery", "state", "event", "call", "tries", "created", "error"),
        _delivery,
    )


def _delivery(one: DeliveryView) -> tuple[str, ...]:
    status = "" if one.last_status is None else str(one.last_status)
    return (
        one.delivery_id,
        one.state,
        one.event_type,
        one.call_id or "",
        str(one.attempts),
        moment(one.created_at),
        f"{status} {one.last_error}".strip(),
    )


@command(webhooks)
async def replay(
    api: Api,
    out: Out,
    webhook: Annotated[str, typer.Argument(metavar="WEBHOOK")],
    delivery: Annotated[
        list[str] | None, typer.Argument(metavar="DELIVERY", help="By default all dead ones.")
    ] = None,
) -> None:
    """Send deliveries again."""
    body = asked.Replay(delivery_ids=delivery or None)
    shown = await api.ask(ops.REPLAY_DELIVERIES, body=body, webhook_id=webhook)
    out.one(shown, lambda view: f"{view.pending} are on their way")
