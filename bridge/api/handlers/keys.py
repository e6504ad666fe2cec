"""Keys: made, shown without their secrets, revoked; and who asks."""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec

from bridge.api import auditing
from bridge.api.auth.keys import new_key
from bridge.api.auth.principal import Principal, may_be_called
from bridge.api.router import Asked, NoBody, NoQuery, handles
from bridge.model.errors import BadArgumentError, ForbiddenError, NotFoundError
from bridge.protocol import operations
from bridge.protocol.permissions import EVERY_TENANT, PERMISSIONS, Role
from bridge.protocol.requests import CreateKey, Listing
from bridge.protocol.views import KeyView, MeView, NewKeyView, Page
from bridge.store.records import Scope, StoredKey

_ID: Final = re.compile("[0-9a-f]{16}")


@handles(operations.LIST_KEYS)
async def list_keys(asked: Asked[NoBody, Listing]) -> Page[KeyView]:
    """List the keys of one's tenant, revoked and expired ones too."""
    principal = asked.principal
    page = await asked.service.store.keys(asked.query, _scope_of(principal))
    return Page(
        items=tuple(key for key in page.items if principal.covers(key.tenant, key.queues)),
        next=page.next,
    )


@handles(operations.CREATE_KEY)
async def create_key(asked: Asked[CreateKey, NoQuery]) -> NewKeyView:
    """Make a key that may do no more, and see no more, than who makes it."""
    body = asked.body
    _check_name(body.name)
    now = time.time()
    lasts = body.expires_in_seconds
    key, text = new_key(
        body.name,
        Role(body.role),
        body.tenant,
        queues=frozenset(body.queues),
        now=now,
        expires_at=None if lasts is None else now + lasts,
    )
    _check_reach(asked.principal, key)
    await asked.service.store.add_key(key)
    what = f"key {key.key_id}: {key.role} of {key.tenant}, named {key.name}"
    auditing.note(asked.service, asked.principal, asked.operation, None, what=what)
    return NewKeyView(**msgspec.structs.asdict(key.view()), secret=text)


@handles(operations.REVOKE_KEY)
async def revoke_key(asked: Asked[NoBody, NoQuery]) -> None:
    """Revoke a key: it is good for nothing from now on, and its sockets are closed."""
    service, principal, key_id = asked.service, asked.principal, asked.path["key_id"]
    key = await service.store.find_key(key_id) if _ID.fullmatch(key_id) else None
    if key is None or not principal.covers(key.tenant, key.queues):
        raise NotFoundError("there is no such key: GET /keys lists them")
    if not await service.store.revoke_key(key_id):
        raise NotFoundError("there is no such key: GET /keys lists them")
    service.authenticator.forget(key_id)
    auditing.note(service, principal, asked.operation, None, what=f"key {key_id} revoked")


@handles(operations.SHOW_ME)
async def show_me(asked: Asked[NoBody, NoQuery]) -> MeView:
    """Show who asks, and what he may do."""
    principal = asked.principal
    return MeView(
        name=principal.name,
        role=principal.role.value,
        tenant=principal.tenant,
        queues=tuple(sorted(principal.queues)),
        permissions=tuple(sorted(one.value for one in PERMISSIONS[principal.role])),
    )


def _scope_of(principal: Principal) -> Scope:
    return Scope(None if principal.tenant == EVERY_TENANT else principal.tenant)


def _check_name(name: str) -> None:
    if not may_be_called(name):
        raise BadArgumentError(
            f"{name!r} cannot be a key's name, by which the audit says who did what: "
            "name who is to have it, such as 'nightly test'"
        )


def _check_reach(principal: Principal, key: StoredKey) -> None:
    if not principal.covers(key.tenant, key.queues):
        queues = f", queues {', '.join(sorted(principal.queues))}" if principal.queues else ""
        raise ForbiddenError(
            f"a key may see no more than who makes it: tenant {principal.tenant}{queues}"
        )
