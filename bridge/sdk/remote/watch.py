"""The socket of events: everything that happens and that one may see."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from bridge.model.errors import CallbridgeError
from bridge.protocol import frames
from bridge.protocol.views import CallView, EventView
from bridge.sdk import events
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.mirror import Mirror
from bridge.sdk.remote.outage import Outage
from bridge.sdk.remote.wire import Wire

_BREAK_SECONDS: Final = 10.0
"""How long observers wait for the daemon."""


class Watcher(Protocol):
    """The client."""

    @property
    def is_program(self) -> bool:
        """Whether it hears of the server by its program's socket."""

    def watched(self, event: EventView) -> None:
        """Take an event."""

    def began(self, view: CallView) -> None:
        """A call is there that was not told of."""

    def gone(self, view: CallView) -> None:
        """A call is not there any more, whose end was not told."""

    def looked(self) -> None:
        """All calls are known as they are."""

    def watch_lost(self, reason: str) -> None:
        """Nothing was heard for too long."""

    def server_lost(self, reason: str) -> None:
        """Asterisk is lost."""

    def server_back(self) -> None:
        """It is there again."""

    def refused(self, error: CallbridgeError) -> None:
        """The daemon takes this client no longer."""


class WatchLine:
    """One client's way to all events."""

    def __init__(self, http: Http, owner: Watcher) -> None:
        self.mirror = Mirror()
        self._owner = owner
        self._at: frames.Position | None = None
        self._opening = asyncio.Lock()
        self._is_open = False
        self._outage = Outage(_BREAK_SECONDS, owner.watch_lost)
        self._wire = Wire(
            http,
            frames.EVENTS_SOCKET,
            hello=lambda: frames.Subscribe(after=self._at),
            on_frame=self._frame,
            on_down=self._outage.begin,
            on_end=owner.refused,
        )

    @property
    def is_open(self) -> bool:
        """Whether the PBX is watched."""
        return self._is_open

    async def open(self) -> None:
        """Watch from now on. Idempotent; raises what ``Wire.open`` raises."""
        async with self._opening:
            if not self._is_open:
                await self._wire.open()
                self._is_open = True

    async def close(self) -> None:
        """Watch no more. Idempotent."""
        self._outage.stop()
        self._is_open = False
        self._at = None
        self.mirror = Mirror()
        await self._wire.close()

    def _frame(self, frame: frames.ServerMessage) -> None:
        match frame:
            case frames.Snapshot(at=at, calls=calls):
                self._at = at
                self._snapshot(calls)
            case frames.Resumed():
                self._back()
            case frames.Event(event=event):
                self._at = frames.Position(epoch=event.epoch, seq=event.seq)
                self.mirror.take(event)
                if event.type == events.SERVER_LOST:
                    if not self._owner.is_program:
                        self._owner.server_lost(str(event.data.get("reason", "")))
                elif event.type == events.SERVER_BACK:
                    if not self._owner.is_program:
                        self._owner.server_back()
                else:
                    self._owner.watched(event)
            case _:
                pass

    def _snapshot(self, calls: tuple[CallView, ...]) -> None:
        self._back()
        new, gone = self.mirror.replace(calls)
        for view in gone:
            self._owner.gone(view)
        for view in new:
            self._owner.began(view)
        self._owner.looked()

    def _back(self) -> None:
        if self._outage.end() and not self._owner.is_program:
            self._owner.server_back()
