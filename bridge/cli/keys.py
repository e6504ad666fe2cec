"""Commands about API keys."""

from __future__ import annotations

import re
import time
from typing import Annotated, Final

import typer

from bridge.cli.command import command
from bridge.cli.connection import Api
from bridge.cli.optional import require_server
from bridge.cli.output import Out, moment
from bridge.model.errors import BadArgumentError
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.permissions import EVERY_TENANT, Role
from bridge.protocol.views import KeyView, NewKeyView

app = typer.Typer(
    name="keys", help="API keys: who may do what by the daemon.", no_args_is_help=True
)

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH: Final = re.compile(r"(\d+)([smhdw])")


@command(app)
async def create(
    api: Api,
    out: Out,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who has it; the audit says it.")],
    *,
    role: Annotated[Role, typer.Option(help="What he is.")],
    tenant: Annotated[
        str | None, typer.Option(help="Whose calls he sees; * for all. By default one's own.")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option(help="Only this queue; may be given several times.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Such as 12h, 30d; by default never.")
    ] = None,
) -> None:
    """Make a key. It is printed this once; only a digest of it is kept."""
    lasts = None if expires is None else _seconds(expires)
    if tenant is None:
        tenant = (await api.ask(ops.SHOW_ME)).view.tenant
    body = asked.CreateKey(
        name=name, role=role.value, tenant=tenant, queues=queue or [], expires_in_seconds=lasts
    )
    shown = await api.ask(ops.CREATE_KEY, body=body)
    view: NewKeyView = shown.view
    if out.as_json:
        out.raw(shown.raw)
        return
    out.line(view.secret)
    reach = "all tenants" if view.tenant == EVERY_TENANT else f"tenant {view.tenant}"
    until = f", until {moment(view.expires_at)}" if view.expires_at is not None else ""
    out.note(f"{view.role} of {reach}{until}; key {view.key_id}. It is not shown again.")


@command(app, "list")
async def listed(api: Api, out: Out) -> None:
    """List the keys, without their secrets."""
    out.rows(
        await api.listed(ops.LIST_KEYS),
        ("key", "name", "role", "tenant", "queues", "made", "state"),
        _row,
        "no keys beside those of the configuration",
    )


@command(app)
async def revoke(
    api: Api, out: Out, key_id: Annotated[str, typer.Argument(metavar="ID", help="See list.")]
) -> None:
    """Revoke a key: from now on it is good for nothing."""
    await api.tell(ops.REVOKE_KEY, key_id=key_id)
    out.done(f"key {key_id} is revoked", key_id=key_id)


@app.command()
def generate() -> None:
    """Print a new key for the configuration (auth.bootstrap_key). Asks no daemon."""
    require_server()
    from bridge.api.auth.keys import new_key

    _, text = new_key("bootstrap", Role.ADMIN, EVERY_TENANT, now=time.time())
    typer.echo(text)


def _row(key: KeyView) -> tuple[str, ...]:
    return (
        key.key_id,
        key.name,
        key.role,
        key.tenant,
        ", ".join(key.queues),
        moment(key.created_at),
        _state(key),
    )


def _state(key: KeyView) -> str:
    if key.revoked:
        return "revoked"
    if key.expires_at is None:
        return "good"
    return "expired" if key.expires_at <= time.time() else f"until {moment(key.expires_at)}"


def _seconds(text: str) -> float:
    found = _LENGTH.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise BadArgumentError(f"{text!r} is no length of time: write 12h, 30d or 52w")
    return float(int(found[1]) * _SECONDS[found[2]])
