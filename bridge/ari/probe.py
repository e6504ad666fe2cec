"""Questions put to a server when it is connected to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bridge.ari.capabilities import Capabilities, from_modules, from_version
from bridge.ari.faults import FORBIDDEN, not_ari
from bridge.ari.generated.models import AsteriskInfo, Module
from bridge.model.errors import RequestFailedError

log = logging.getLogger(__name__)

Get = Callable[[str], Awaitable[object]]
"""GET a resource by plain REST: its decoded JSON. Raises ServerError."""


@dataclass(frozen=True)
class ServerInfo:
    """Which Asterisk it is, and which run of it; empty where it does not tell."""

    version: str = ""
    startup_time: str = ""


async def probe_info(get: Get, root: str) -> ServerInfo:
    """Ask who is there: this proves address and credentials too.

    A user without the right to ask (403) gets an empty answer, not an error. Raises ServerError.
    """
    try:
        value = await get("asterisk/info")
        info = msgspec.convert(value, AsteriskInfo)
    except RequestFailedError as error:
        if error.is_not_found:
            raise not_ari(root) from error
        if error.status != FORBIDDEN:
            raise
        log.warning("Asterisk does not tell its version: %s", error)
        return ServerInfo()
    except msgspec.ValidationError as error:
        raise not_ari(root) from error
    return ServerInfo(
        version=info.system.version if info.system else "",
        startup_time=info.status.startup_time if info.status else "",
    )


async def probe_capabilities(get: Get, info: ServerInfo) -> Capabilities:
    """Judge what the server can do, by its modules or, when they are not shown, its version."""
    try:
        modules = msgspec.convert(await get("asterisk/modules"), tuple[Module, ...])
    except (RequestFailedError, msgspec.ValidationError) as error:
        log.warning("Asterisk does not list its modules, going by its version: %s", error)
        return from_version(info.version)
    return from_modules(info.version, (m.name for m in modules if m.status == "Running"))
