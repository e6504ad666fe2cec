"""Calls that are or were, and who may know of them."""

from __future__ import annotations

from bridge.api.auth.principal import Principal
from bridge.api.service import Service
from bridge.model.errors import CallNotFoundError
from bridge.protocol.permissions import EVERY_TENANT
from bridge.store.records import Scope


def scope_of(principal: Principal) -> Scope:
    """Return what somebody may see in the store."""
    return Scope(
        None if principal.tenant == EVERY_TENANT else principal.tenant, frozenset(principal.queues)
    )


async def check_known(service: Service, principal: Principal, call_id: str) -> None:
    """Raise CallNotFoundError unless a call is live, or was, and is somebody's business.

    Raises StoreError when it is not live and the store cannot be asked.
    """
    found = service.views.call(call_id) or await service.store.call_record(call_id)
    if found is None or not principal.sees(found.tenant, found.queue):
        raise CallNotFoundError(
            f"there is no call {call_id}, neither live nor in the history: "
            "GET /calls and GET /history list them"
        )
