"""How a program parks a call: the part of ``ActiveCall`` that does, and takes it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.model.errors import BadArgumentError
from bridge.model.participants import AGENT, Participant
from bridge.runtime import CallEngine, Controller
from bridge.runtime.parking import ParkingNotice, Place
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers

_EVENTS: Final = {
    ParkingNotice.RETRIEVED: CallEvent.CALL_RETRIEVED,
    ParkingNotice.TIMED_OUT: CallEvent.PARKING_TIMED_OUT,
}


class Parkable:
    """Parks a call. Mixed into ``ActiveCall``, which has all that is named here."""

    _engine: CallEngine
    _controller: Controller
    _handlers: Handlers
    _on_event: Callable[..., None]
    _place: Place

    @property
    def parked_in(self) -> str | None:
        """The slot in which somebody waits; None when nobody does."""
        parked = self._place.parked
        return None if parked is None else parked.slot

    @property
    def parked_until(self) -> float | None:
        """Until when he waits there, seconds since 1970; None when nobody does."""
        parked = self._place.parked
        return None if parked is None else parked.until

    async def park(
        self,
        slot: str | None = None,
        *,
        name: str = "caller",
        timeout_seconds: float = 120.0,
        by: str | None = None,
        music: str | None = None,
        stay: bool = False,
    ) -> str:
        """Let a party wait, with music, until a phone dials the slot; return the slot.

        slot: a number that the dialplan hands over (``Stasis(app,retrieve,NUMBER)``); by default
        the first of the client's that is free. The other parties are hung up; the agent is silent,
        and leaves when somebody has retrieved him, unless ``stay``. After ``timeout_seconds``
        ``by`` is rung, a party of now, by default the only other one; without one (``ai``), or when
        he is not had, the agent gets him back: PARKING_TIMED_OUT.

        Raises BadArgumentError for a slot that is taken or a party who is not there,
        InvalidStateError before ``answer()`` and when every slot is taken, CommandInProgressError
        while the call is parked or transferred, and ServerError if Asterisk failed: nothing has
        changed then.
        """
        if timeout_seconds <= 0:
            raise BadArgumentError("timeout_seconds has to be above 0")
        party = Participant(name)
        if music is not None:
            await self._engine.music.choose(music, party)
        call_id, what = self._engine.incoming.call_id, f"park {name}"
        try:
            with self._controller.audit.command(call_id, AGENT, what, by="program"):
                return await self._place.park(
                    party, slot, by=by, seconds=timeout_seconds, stays=stay
                )
        finally:
            self._engine.music.forget(party)

    async def unpark(self) -> None:
        """Take back who is parked: he and the agent talk again.

        Raises InvalidStateError when nobody is parked, CommandInProgressError when somebody is just
        retrieving him, and ServerError.
        """
        await self._place.take_back()

    def _watch_parking(self, listened: Callable[[str], bool]) -> None:
        """Tell of what becomes of it. listened: whether anybody else listens to an event."""
        event = CallEvent.PARKING_TIMED_OUT
        self._place.listeners.append(self._parking_event)
        self._place.takes_back = lambda: self._handlers.has(event) or listened(event)

    def _parking_event(self, notice: ParkingNotice, what: str) -> None:
        event = _EVENTS[notice]
        self._handlers.emit(event, self, what)
        self._on_event(event, self, what)
