"""Who asked for what over the API, and how it ended: one record for every command.

Beside it stands, where a command reached a call, what the call says of it.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Final

import msgspec

from bridge.api.auth.principal import Principal
from bridge.api.service import Service
from bridge.model.errors import CallbridgeError
from bridge.protocol.operations import Operation
from bridge.protocol.permissions import EVERY_TENANT
from bridge.protocol.views import AuditView

DONE: Final = "done"

_log = logging.getLogger("callbridge.audit")


def note(
    service: Service,
    principal: Principal,
    operation: Operation,
    call_id: str | None,
    result: str = DONE,
    *,
    what: str = "",
) -> None:
    """Record how a command ended: ``done``, or why not. It is the tenant's whose call it is.

    what: by default the operation's name.
    """
    record = AuditView(
        at=time.time(),
        call_id=call_id,
        who="api",
        what=what or operation.operation_id,
        by=principal.name,
        result=result,
        tenant=_tenant(service, principal, call_id),
    )
    _log.info("%s", json.dumps(msgspec.to_builtins(record)))
    service.store.write(record)


def _tenant(service: Service, principal: Principal, call_id: str | None) -> str:
    try:
        view = service.views.call(call_id) if call_id else None
    except CallbridgeError:
        # Asterisk is not there: what was tried is recorded all the same.
        view = None
    # A call of somebody else is none of his tenant's business: what he tried is his own.
    if view is not None and principal.sees(view.tenant, view.queue):
        return view.tenant
    return "" if principal.tenant == EVERY_TENANT else principal.tenant
