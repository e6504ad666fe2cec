"""``/events/socket``: a snapshot, or what was missed, and then everything that happens."""

from __future__ import annotations

from aiohttp import web

from bridge.api.auth.principal import Principal
from bridge.api.broadcast import Watcher
from bridge.api.hub import EventHub, sees
from bridge.api.router import socket
from bridge.api.service import Service
from bridge.api.sockets.common import MOST_WATCHERS, CutOffError, Link, Manners, serve
from bridge.model.errors import ErrorCode
from bridge.protocol.frames import EVENTS_SOCKET, Resumed, Snapshot, Subscribe
from bridge.protocol.permissions import Permission
from bridge.protocol.views import CallView, EventView


@socket(EVENTS_SOCKET)
async def events_socket(service: Service, request: web.Request) -> web.StreamResponse:
    """Tell a watcher what happens, until he leaves, or reads too slowly."""
    return await serve(service, request, _watch, manners=Manners(most=MOST_WATCHERS))


async def _watch(link: Link) -> None:
    link.principal.require(Permission.SEE_CALLS)
    hub = link.service.hub
    watcher: Watcher | None = None
    try:
        while True:
            asked = await link.receive_one(Subscribe)
            if watcher is not None:
                link.service.rate_limits.check(link.principal, read=True)
                hub.broadcast.remove(watcher)
            watcher = _subscribe(link, hub, asked)
    finally:
        if watcher is not None:
            hub.broadcast.remove(watcher)


def _subscribe(link: Link, hub: EventHub, asked: Subscribe) -> Watcher:
    """Say what there is, and tell what follows. Nothing is missed, and nothing told twice."""
    after = asked.after
    resumes = after is not None and hub.can_resume(after)
    since = after.seq if after is not None and resumes else hub.seq
    calls = _calls(link.principal, hub, asked.call_id)
    if asked.call_id is not None and not calls and not _told_later(link, hub, asked, since):
        raise CutOffError(ErrorCode.CALL_NOT_FOUND, f"there is no call {asked.call_id}")
    if after is not None and resumes:
        link.send(Resumed(after=after))
    else:
        link.send(Snapshot(at=hub.position, calls=calls))
    return hub.broadcast.add(
        link.transport,
        wants=lambda event: _wants(link.principal, asked, event),
        after=since,
        cut_off=link.cut_off,
    )


def _calls(principal: Principal, hub: EventHub, call_id: str | None) -> tuple[CallView, ...]:
    return tuple(
        call
        for call in hub.calls()
        if call_id in {None, call.call_id} and principal.sees(call.tenant, call.queue)
    )


def _told_later(link: Link, hub: EventHub, asked: Subscribe, since: int) -> bool:
    """Tell whether there are events, of a call that is over, that the watcher has not seen."""
    return any(_wants(link.principal, asked, event) for event in hub.since(since))


def _wants(principal: Principal, asked: Subscribe, event: EventView) -> bool:
    if asked.call_id is not None and event.call_id != asked.call_id:
        return False
    if asked.types is not None and event.type not in asked.types:
        return False
    return sees(principal, event)
