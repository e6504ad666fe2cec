"""What a client by URL sees of the PBX, and who observes for it."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from bridge.directory import LiveCall
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    ConfigurationError,
    InvalidStateError,
    NotFoundError,
)
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits
from bridge.model.modes import AudioMode
from bridge.model.participants import participant
from bridge.protocol import operations, requests
from bridge.protocol.views import (
    AudibilityView,
    CallView,
    CapabilitiesView,
    ChannelView,
    EndpointView,
    EventView,
    ObserverView,
    Page,
)
from bridge.runtime.audibility import AudibilityReport
from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.client import Client
from bridge.sdk.events import ObserverEvent, ObserverNews, WatchEvent
from bridge.sdk.exchange import Channel, Endpoint
from bridge.sdk.observer import Observer
from bridge.sdk.remote.audit import RemoteAudit
from bridge.sdk.remote.host import Host
from bridge.sdk.remote.http import USUAL_SECONDS, Http
from bridge.sdk.remote.observer import RemoteObserver
from bridge.sdk.remote.shown import live_call_of, report_of
from bridge.sdk.remote.watch import WatchLine
from bridge.session.observer.effects import LeftReason

_log = logging.getLogger(__name__)
T = TypeVar("T")

_OF_OBSERVERS: Final = frozenset(ObserverEvent) | {
    WatchEvent.OBSERVER_JOINED,
    WatchEvent.OBSERVER_MOVED,
}


class Lookout(Client):
    """Looks at the PBX, and observes calls. A part of RemoteClient."""

    _http: Http
    _watch: WatchLine
    _audit: RemoteAudit
    _observers: list[RemoteObserver]

    def _online(self) -> CapabilitiesView:
        raise NotImplementedError

    def _as_host(self) -> Host:
        raise NotImplementedError

    def view_of(self, call_id: str) -> CallView | None:
        """Return a live call as it was told last."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Own a task until ``disconnect()``."""
        raise NotImplementedError

    # --- observers ------------------------------------------------------------------------------

    async def live_calls(self) -> tuple[LiveCall, ...]:
        """Return all live calls of the PBX that one may see, the eldest first."""
        self._online()
        await self._watch.open()
        views = await self._pages(operations.LIST_CALLS, Page[CallView], requests.CallListing)
        return tuple(live_call_of(view) for view in views)

    @property
    def known_calls(self) -> tuple[LiveCall, ...]:
        """The same, as far as the PBX is watched, without asking. Raises InvalidStateError."""
        self._require_watch()
        return tuple(map(live_call_of, self._watch.mirror.calls))

    def live_call(self, call_id: str) -> LiveCall | None:
        """Return a live call as it is known, None when it is none. Raises as ``known_calls``."""
        self._require_watch()
        view = self._watch.mirror.get(call_id)
        return None if view is None else live_call_of(view)

    def observers(self, target: str | LiveCall | ActiveCall) -> tuple[Observer, ...]:
        """Return who observes a call, whoever placed them, by name. target: a call, or its id.

        Of a call that this program does not have it is known as ``known_calls`` are, and raises
        InvalidStateError as they do.
        """
        self._online()
        view = self.view_of(target if isinstance(target, str) else target.call_id)
        is_over = isinstance(target, ActiveCall) and target.end_reason is not None
        if view is None and not is_over:
            self._require_watch()
        shown = () if view is None else view.observers
        return tuple(self._observer(one) for one in shown)

    async def observe(
        self,
        target: str | LiveCall | ActiveCall,
        name: str | None = None,
        *,
        phone: str | None = None,
        ring_time_seconds: int = 30,
        hear_coaching: bool = False,
    ) -> Observer:
        """Join any live call of the PBX as a spy: this program or, by ``phone``, a person."""
        self._online()
        try:
            who = None if name is None else participant(name)
        except ValueError as error:
            raise BadArgumentError(str(error)) from None
        await self._watch.open()
        body = requests.Observe(
            name=who,
            phone=phone,
            ring_time_seconds=ring_time_seconds,
            hear_coaching=hear_coaching,
        )
        view = await self._http.ask(
            operations.OBSERVE,
            ObserverView,
            body=body,
            seconds=USUAL_SECONDS + ring_time_seconds,
            call_id=target if isinstance(target, str) else target.call_id,
        )
        observer = self._observer(view)
        observer.attend()
        return observer

    async def observe_limited(
        self,
        target: str | LiveCall | ActiveCall,
        limits: KeyLimits | None,
        name: str | None = None,
        *,
        phone: str | None = None,
        ring_time_seconds: int = 30,
        hear_coaching: bool = False,
    ) -> Observer:
        """Not by URL: raises ConfigurationError."""
        del target, limits, name, phone, ring_time_seconds, hear_coaching
        raise ConfigurationError("by URL the key says what an observer may do: observe() it is")

    async def audibility(self, target: str | LiveCall | ActiveCall) -> AudibilityReport:
        """Return who is to hear whom on a live call, and who does by what Asterisk has."""
        self._online()
        selector = target if isinstance(target, str) else target.call_id
        return report_of(
            await self._http.ask(operations.SHOW_AUDIBILITY, AudibilityView, call_id=selector)
        )

    # --- the PBX --------------------------------------------------------------------------------

    async def hang_up(self, target: str | LiveCall | ActiveCall, *, cut: bool = False) -> None:
        """Hang up everybody on a live call, whoever placed it."""
        self._online()
        selector = target if isinstance(target, str) else target.call_id
        if (own := self._calls.get(selector)) is not None:
            await own.disconnect(cut=cut)
            return
        query = requests.Leave(cut=cut)
        await self._http.tell(operations.HANG_UP, query=query, call_id=selector)

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the phones and trunks that Asterisk knows, by name."""
        self._online()
        views = await self._pages(operations.LIST_ENDPOINTS, Page[EndpointView], requests.Listing)
        return tuple(Endpoint(one.endpoint, one.state, one.channels) for one in views)

    async def endpoint(self, name: str) -> Endpoint | None:
        """Return one of them, such as ``PJSIP/1002``; None when there is none."""
        technology, _, resource = name.partition("/")
        if not technology or not resource:
            raise BadArgumentError(f"{name!r} is no endpoint: one like PJSIP/1002 is")
        try:
            one = await self._http.ask(
                operations.SHOW_ENDPOINT, EndpointView, technology=technology, resource=resource
            )
        except NotFoundError:
            return None
        return Endpoint(one.endpoint, one.state, one.channels)

    async def channels(self) -> tuple[Channel, ...]:
        """Return all channels of Asterisk, the eldest first."""
        self._online()
        views = await self._pages(operations.LIST_CHANNELS, Page[ChannelView], requests.Listing)
        return tuple(
            Channel(
                channel_id=one.channel_id,
                name=one.name,
                state=one.state,
                number=one.number,
                display_name=one.display_name,
                created=one.created,
                call_id=one.call_id,
            )
            for one in views
        )

    # --- what the daemon tells ------------------------------------------------------------------

    def watched(self, event: EventView) -> None:
        """Take an event of whatever call."""
        self._tell_taps(event)
        match event.type:
            case events.OBSERVER_LEFT | events.OBSERVER_MODE_CHANGED | WatchEvent.OBSERVER_MOVED:
                self._told_of_observer(event)
            case events.LIVE_CALL_BEGAN | events.LIVE_CALL_ENDED if event.call is not None:
                self._handlers.emit(event.type, live_call_of(event.call))
            case events.AUDIT:
                self._handlers.emit(events.AUDIT, self._audit.take(event))
            case events.AUDIBILITY_DIFFERS if event.call_id is not None:
                self._handlers.emit(events.AUDIBILITY_DIFFERS, _differing(event))
            case events.OBSERVER_DIALLED_IN | events.OBSERVER_RESUMED:
                self.spawn(self._tell_of_observer(event), event.type)
            case _:
                pass

    def began(self, view: CallView) -> None:
        """A call is there that was not told of."""
        self._handlers.emit(events.LIVE_CALL_BEGAN, live_call_of(view))

    def gone(self, view: CallView) -> None:
        """A call is not there any more, whose end was not told."""
        self._handlers.emit(events.LIVE_CALL_ENDED, live_call_of(view))

    def looked(self) -> None:
        """All calls are known as they are: so are the observers of this client."""
        for observer in self._observers:
            view = self._watch.mirror.get(observer.call_id)
            now = (
                next((o for o in view.observers if o.name == observer.name), None) if view else None
            )
            if now is not None:
                observer.see(now)
            else:
                observer.finish(LeftReason.CALL_ENDED if view is None else LeftReason.SERVER_LOST)

    # --- inside ---------------------------------------------------------------------------------

    def _tell_taps(self, event: EventView) -> None:
        """Tell who is told of everything what no handler is told of."""
        if event.type in _OF_OBSERVERS:
            self._handlers.tell_taps(event.type, _news(event))
        elif event.type == WatchEvent.LIVE_CALL_CHANGED and event.call is not None:
            self._handlers.tell_taps(event.type, live_call_of(event.call))

    def _require_watch(self) -> None:
        self._online()
        if not self._watch.is_open:
            raise InvalidStateError("the PBX is not watched yet: await live_calls() or observe()")

    def _observer(self, view: ObserverView) -> RemoteObserver:
        self._observers = [one for one in self._observers if one.left is None]
        for known in self._observers:
            if (known.call_id, known.name) == (view.call_id, view.name):
                known.see(view)
                return known
        observer = RemoteObserver(view, self._as_host())
        self._observers.append(observer)
        return observer

    def _told_of_observer(self, event: EventView) -> None:
        named = [o for o in self._observers if o.name == event.data.get("observer")]
        meant = [o for o in named if o.call_id == event.call_id]
        if not meant and event.type == WatchEvent.OBSERVER_MOVED:
            # It names where he goes: one of this name who is elsewhere.
            meant = named[:1] if len(named) == 1 else []
        for observer in meant:
            observer.told(event)

    async def _tell_of_observer(self, event: EventView) -> None:
        try:
            view = await self._http.ask(
                operations.SHOW_OBSERVER,
                ObserverView,
                call_id=event.call_id or "",
                observer=str(event.data.get("observer", "")),
            )
        except CallbridgeError as error:
            _log.info("an observer has gone already: %s", error)
            return
        self._handlers.emit(event.type, self._observer(view))

    async def _pages(
        self, operation: operations.Operation, kind: type[Page[T]], query: type[requests.Listing]
    ) -> list[T]:
        found: list[T] = []
        cursor: str | None = None
        while True:
            page = await self._http.ask(operation, kind, query=query(limit=500, cursor=cursor))
            found += page.items
            if page.next is None:
                return found
            cursor = page.next


def _news(event: EventView) -> ObserverNews:
    said = event.data
    reason = said.get("reason")
    return ObserverNews(
        call_id=event.call_id,
        name=str(said.get("observer", "")),
        mode=AudioMode(said.get("mode", AudioMode.SPY)),
        whispers_to=frozenset(said.get("whispers_to", ())),
        left=None if reason is None else LeftReason(reason),
    )


def _differing(event: EventView) -> AudibilityReport:
    def pairs(name: str) -> frozenset[tuple[Any, Any]]:
        return frozenset((listener, speaker) for listener, speaker in event.data.get(name, ()))

    unwanted, missing, doubled = pairs("unwanted"), pairs("missing"), pairs("doubled")
    return AudibilityReport(
        call_id=CallId(event.call_id or ""),
        participants=tuple(sorted({who for cell in unwanted | missing | doubled for who in cell})),
        wanted=missing,
        standing=unwanted | doubled,
        unwanted=unwanted,
        missing=missing,
        doubled=doubled,
    )
