"""The calls of a program by URL: those that come, or come back, and what befalls them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from typing import Final

from bridge.model.errors import CallbridgeError
from bridge.model.ids import CallId
from bridge.model.states import CallState
from bridge.protocol.views import CallView, EventView
from bridge.runtime.parking import ParkedCall
from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.events import CallEvent
from bridge.sdk.remote.call import RemoteCall
from bridge.sdk.remote.lookout import Lookout
from bridge.sdk.resuming import GRACE_SECONDS

_log = logging.getLogger(__name__)

PLACED_SECONDS: Final = 1.0
"""How much earlier the socket may tell of a call that is originated here than the answer does."""
_PAST: Final = 200
"""Calls that are over whose transfers and recordings may still be told of."""
_EARLY: Final = 100
"""Events that are kept of calls that are not known: of one that is originated just now they may be
here before the answer is."""


def early_events() -> deque[EventView]:
    """Return what keeps events of calls that are not known yet."""
    return deque(maxlen=_EARLY)


class Reception(Lookout):
    """Hands calls to whoever listens. A part of RemoteClient."""

    _unresumed: list[RemoteCall]
    _past: OrderedDict[str, RemoteCall]
    _early: deque[EventView]
    _placing: int
    """How many calls this client originates just now."""

    @property
    def parked(self) -> tuple[ParkedCall, ...]:
        """Who is parked, by slot, of the calls of this program."""
        self._online()
        parked = map(_parked, self._calls.values())
        return tuple(sorted(filter(None, parked), key=lambda one: one.slot))

    def incoming(self, view: CallView) -> None:
        """Take a call that is this program's now: it came, or was originated for it."""
        if view.originated:
            self.spawn(self._originated(view), f"call {view.call_id}")
        else:
            call = self.take(view)
            self.spawn(self._hand_on(call), f"call {call.call_id}")

    async def _originated(self, view: CallView) -> None:
        """Hand on a call that was originated, unless it was here: ``originate()`` returns that."""
        if self._placing:
            await asyncio.sleep(PLACED_SECONDS)
        if view.call_id in self._calls or view.call_id in self._past:
            return
        call = self.take(view)
        if call.state is not CallState.DISCONNECTED:
            await self._hand_on(call)

    def resumed(self, view: CallView) -> None:
        """Take a call that this program had before."""
        call = self.take(view)
        if self._handlers.has(events.CALL_RESUMED):
            self._tell_resumed(call)
            return
        self._unresumed.append(call)
        self.spawn(self._let_go(call), f"call {call.call_id}")

    def take(self, view: CallView) -> RemoteCall:
        """Return what the program has in hand of a call."""
        if (known := self._calls.get(view.call_id)) is not None:
            call = _remote(known)
            call.see(view)
            return call
        call = RemoteCall(view, self._as_host())
        self._calls[call.call_id] = call
        early = [event for event in self._early if event.call_id == call.call_id]
        for event in early:
            self._early.remove(event)
            if event.call is None or event.call.revision >= view.revision:
                call.told(event)
        return call

    def own(self, call_id: str) -> RemoteCall | None:
        """Return a call of this program that goes on."""
        call = self._calls.get(call_id)
        return None if call is None else _remote(call)

    @property
    def wants_incoming(self) -> bool:
        """Whether somebody listens to INCOMING_CALL."""
        return self._handlers.has(events.INCOMING_CALL)

    @property
    def own_calls(self) -> tuple[RemoteCall, ...]:
        """All of them."""
        return tuple(map(_remote, self._calls.values()))

    def told(self, event: EventView) -> None:
        """Take an event of a call that this program has, or had."""
        call_id = event.call_id or ""
        call = self.own(call_id) or self._past.get(call_id)
        if call is not None:
            call.told(event)
        else:
            self._early.append(event)

    def call_event(self, event: CallEvent, call: ActiveCall, *details: object) -> None:
        """Tell an event of a call to those who listen here."""
        if event is events.CALL_TERMINATED:
            self._calls.pop(call.call_id, None)
            if isinstance(call, RemoteCall):
                self._past[call.call_id] = call
                while len(self._past) > _PAST:
                    self._past.popitem(last=False)
                if call in self._unresumed:
                    self._unresumed.remove(call)
        self._call_event(event, call, *details)

    # --- who listens ----------------------------------------------------------------------------

    def _received(self, event: str) -> None:
        """Hand on the calls that have waited until somebody listens to an event."""
        if event == events.INCOMING_CALL:
            self._hand_over_unheard()
        elif event == events.CALL_RESUMED:
            resumed, self._unresumed = self._unresumed, []
            for one in resumed:
                self._tell_resumed(one)

    async def _hand_on(self, call: RemoteCall) -> None:
        await self._begin_music(call)
        if self._handlers.has(events.INCOMING_CALL):
            self._hand_over(call)
        elif call.state is not CallState.DISCONNECTED:
            _log.warning("call %s waits: nobody listens to INCOMING_CALL yet", call.call_id)
            self._unheard.append(call)

    async def _begin_music(self, call: RemoteCall) -> None:
        music = self._music_for(call)
        if not music:
            return
        try:
            await call.set_music(music)
        except CallbridgeError as error:
            _log.warning("call %s: its music is the daemon's: %s", call.call_id, error)

    def _tell_resumed(self, call: RemoteCall) -> None:
        async def give_up() -> None:
            if call.state is CallState.ANSWERED:
                _log.error("call %s: nobody is left to handle it", call.call_id)
                await call.close(cut=True)

        self._handlers.emit(events.CALL_RESUMED, call, on_failure=give_up)

    async def _let_go(self, call: RemoteCall) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        if call not in self._unresumed:
            return
        _log.warning("call %s: nobody listens to CALL_RESUMED", call.call_id)
        self._unresumed.remove(call)
        try:
            await call.close(cut=True)
        except CallbridgeError as error:
            _log.warning("call %s: not left in order: %s", call.call_id, error)


def _remote(call: ActiveCall) -> RemoteCall:
    if not isinstance(call, RemoteCall):
        msg = f"{call!r} is no call at a daemon"
        raise TypeError(msg)
    return call


def _parked(call: ActiveCall) -> ParkedCall | None:
    view = _remote(call).view
    if view.parked_in is None:
        return None
    party = next((one.name for one in view.parties if one.parked), "caller")
    left = 0.0 if view.parked_until is None else max(0.0, view.parked_until - time.time())
    return ParkedCall(
        slot=view.parked_in,
        call_id=CallId(view.call_id),
        party=party,
        caller_number=view.caller_number,
        caller_name=view.caller_name,
        seconds_left=left,
    )
