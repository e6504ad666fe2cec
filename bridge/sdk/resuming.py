"""Calls and observers of an earlier program, on their way to whoever goes on with them."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bridge.model.states import CallState
from bridge.runtime import CallEngine, Controller
from bridge.runtime.doorstep import leave
from bridge.runtime.observer import ObserverEngine
from bridge.sdk import events
from bridge.sdk.call import ActiveCall
from bridge.sdk.handlers import Handlers
from bridge.sdk.observer import Observer
from bridge.sdk.observing import Onlookers

_log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 1.0
"""How long after ``connect()`` somebody may begin to listen to CALL_RESUMED."""


class Resuming:
    """Tells of them as soon as there is somebody to be told.

    Whom nobody takes in time, he has no program that speaks to him: the agent leaves his call.
    """

    def __init__(self, handlers: Handlers, onlookers: Onlookers) -> None:
        self._handlers = handlers
        self._onlookers = onlookers
        self._calls: list[tuple[ActiveCall, CallEngine]] = []
        self._observers: list[Observer] = []
        self._controller: Controller | None = None

    def call(self, call: ActiveCall, engine: CallEngine) -> None:
        """Take a call that is taken up just now."""
        self._calls.append((call, engine))
        self.listened(events.CALL_RESUMED)
        if self._controller is not None:
            # After a break of the link, which was too long for the calls.
            self._let_go_soon()

    def observer(self, engine: ObserverEngine, controller: Controller) -> None:
        """Take an observer who is there again."""
        self._observers.append(self._onlookers.of(engine, controller))
        self.listened(events.OBSERVER_RESUMED)

    def connected(self, controller: Controller) -> None:
        """All calls are there: let those go, after a while, that nobody takes."""
        self._controller = controller
        self.listened(events.OBSERVER_RESUMED)
        self._let_go_soon()

    def disconnected(self) -> None:
        """The client has left."""
        self._controller = None
        self._calls, self._observers = [], []

    def listened(self, event: str) -> None:
        """Somebody may listen to an event: hand over what waits for that."""
        if not self._handlers.has(event):
            return
        if event == events.CALL_RESUMED:
            calls, self._calls = self._calls, []
            for call, engine in calls:
                self._handlers.run(_Telling(self._handlers, call, engine))
        elif event == events.OBSERVER_RESUMED:
            observers, self._observers = self._observers, []
            for observer in observers:
                self._handlers.emit(event, observer)
            if self._controller is not None:
                self._controller.resumption.bring_back()

    def _let_go_soon(self) -> None:
        if self._calls:
            self._handlers.run(self._let_go_later)

    async def _let_go_later(self) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        calls, self._calls = self._calls, []
        for call, _ in calls:
            _log.warning("call %s: nobody listens to CALL_RESUMED", call.call_id)
        await asyncio.gather(*(leave(engine) for _, engine in calls))


class _Telling:
    """Tells of one call when what is wanted of it stands."""

    def __init__(self, handlers: Handlers, call: ActiveCall, engine: CallEngine) -> None:
        self._handlers = handlers
        self._call = call
        self._engine = engine

    async def __call__(self) -> None:
        await self._engine.restored.wait()
        if self._call.state is not CallState.DISCONNECTED:
            self._handlers.emit(events.CALL_RESUMED, self._call, on_failure=self._give_up)

    async def _give_up(self) -> None:
        """Nobody is left to handle it: leave nobody alone with an agent who says nothing."""
        if self._call.state is CallState.ANSWERED:
            _log.error("call %s: nobody is left to handle it", self._call.call_id)
            await leave(self._engine)
