"""Whose a call is: noted at the call itself, and shown."""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from bridge.api.programs.leases import Shown, WhenGone
from bridge.api.programs.routes import text_of
from bridge.protocol.views import ProgramView

_log = logging.getLogger(__name__)


class Noted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is noted at a call."""

    name: str
    tenant: str
    queues: tuple[str, ...] = ()
    lease_seconds: float = 10.0
    when_gone: WhenGone = "leave"
    by: str = ""
    key_id: str = ""


def read(label: str) -> Noted | None:
    """Return what is noted; None for nothing, or what is not understood."""
    if not label:
        return None
    try:
        return msgspec.json.decode(label, type=Noted)
    except msgspec.MsgspecError as error:
        _log.warning("whose a call was is not understood: %s", error)
        return None


def shown_as(one: Shown) -> ProgramView:
    """Return a program as it is shown."""
    until = None
    if one.lease_until is not None:
        until = time.time() + one.lease_until - asyncio.get_running_loop().time()
    return ProgramView(
        name=one.program.name,
        connected=one.connected,
        standby=one.standby,
        lease_until=until,
        routes=tuple(map(text_of, one.terms.routes)),
        calls=len(one.calls),
        tenant=one.program.tenant,
        queues=tuple(sorted(one.program.queues)),
    )
