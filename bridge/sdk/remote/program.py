"""The socket of a program: its lease, its incoming calls, and what befalls its calls."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any, Literal, Protocol
from urllib.parse import quote

import msgspec

from bridge.model.errors import CallbridgeError, ServerError
from bridge.model.states import EndReason
from bridge.protocol import frames
from bridge.protocol.views import CallView, EventView
from bridge.sdk import events
from bridge.sdk.remote.call import RemoteCall
from bridge.sdk.remote.http import Http
from bridge.sdk.remote.outage import Outage
from bridge.sdk.remote.wire import Wire

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """The client."""

    @property
    def wants_incoming(self) -> bool:
        """Whether somebody listens to INCOMING_CALL."""

    @property
    def own_calls(self) -> tuple[RemoteCall, ...]:
        """All calls of this program that go on, as far as is known here."""

    def own(self, call_id: str) -> RemoteCall | None:
        """Return one of them."""

    def incoming(self, view: CallView) -> None:
        """Take an incoming call."""

    def resumed(self, view: CallView) -> None:
        """Take a call that an earlier program had."""

    def told(self, event: EventView) -> None:
        """Take an event of a call."""

    def server_lost(self, reason: str) -> None:
        """Asterisk, or the daemon, is lost."""

    def server_back(self) -> None:
        """It is there again."""

    def refused(self, error: CallbridgeError) -> None:
        """The daemon takes this program no longer."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Own a task."""


class ProgramLine:
    """One program's way to its calls. The arguments are those of ``protocol.frames.Attach``."""

    def __init__(
        self,
        http: Http,
        owner: Owner,
        *,
        name: str,
        routes: tuple[frames.Route, ...],
        lease_seconds: float,
        when_gone: Literal["leave", "hang_up"],
        instance: str,
    ) -> None:
        self.name = name
        self.active = False
        """This process has the lease."""
        self.calls_known = False
        """The daemon has said which calls are its, since the socket broke last."""
        self._owner = owner
        self._routes = routes
        self._lease_seconds = lease_seconds
        self._when_gone = when_gone
        self._instance = instance
        self._client = secrets.token_hex(8)
        self._at: frames.Position | None = None
        """All up to here is known."""
        self._told: frames.Position | None = None
        """The newest event that was told."""
        self._opening = asyncio.Lock()
        self._is_open = False
        self._said: frames.Attach | None = None
        self._outage = Outage(lease_seconds, self._lost)
        self._wire = Wire(
            http,
            frames.PROGRAM_SOCKET.replace("{name}", quote(name, safe="")),
            hello=self._hello,
            on_frame=self._frame,
            on_down=self._down,
            on_end=owner.refused,
        )

    @property
    def is_open(self) -> bool:
        """Whether this client is a program."""
        return self._is_open

    async def open(self) -> None:
        """Be the program, or stand by. Idempotent; raises what ``Wire.open`` raises."""
        async with self._opening:
            if not self._is_open:
                await self._wire.open()
                self._is_open = True
            elif self._said != self._attach():
                try:
                    await self._wire.send(self._hello())
                except ServerError as error:
                    # It is said as soon as the socket is open again.
                    _log.debug("routes are told later: %s", error)

    async def hand_over(self) -> None:
        """Leave the lease and all calls to the next one. Raises ServerUnreachableError."""
        if self._is_open and self.active:
            await self._wire.send(frames.HandOver())

    async def close(self) -> None:
        """Be no program any more. Idempotent."""
        self._outage.stop()
        self._is_open = self.active = self.calls_known = False
        self._at = self._told = None
        await self._wire.close()

    def _attach(self) -> frames.Attach:
        return frames.Attach(
            routes=self._routes if self._owner.wants_incoming else (),
            lease_seconds=self._lease_seconds,
            when_gone=self._when_gone,
            instance=self._instance,
            client=self._client,
        )

    def _hello(self) -> frames.Attach:
        self._said = self._attach()
        return msgspec.structs.replace(self._said, after=self._at)

    def _frame(self, frame: frames.ServerMessage) -> None:
        match frame:
            case frames.Attached():
                self._attached(frame)
            case frames.Offer(call=call):
                self._owner.spawn(self._accept(call.call_id), f"accept {call.call_id}")
            case frames.Granted(call=call):
                self._owner.incoming(call)
            case frames.Changed(call=call):
                self._see(call)
            case frames.Withdrawn(call_id=call_id):
                _log.info("call %s is not for this program any more", call_id)
            case frames.Event(event=event):
                self._take(event)
            case _:
                pass

    def _see(self, view: CallView) -> None:
        if (known := self._owner.own(view.call_id)) is not None:
            known.see(view)

    def _take(self, event: EventView) -> None:
        """Take an event, once: who attaches again may be told what was on its way already."""
        told = self._told
        if told is not None and told.epoch == event.epoch and told.seq >= event.seq:
            return
        self._at = self._told = frames.Position(epoch=event.epoch, seq=event.seq)
        self._event(event)

    def _event(self, event: EventView) -> None:
        if event.type == events.SERVER_LOST:
            self._owner.server_lost(str(event.data.get("reason", "")))
        elif event.type == events.SERVER_BACK:
            self._owner.server_back()
        else:
            self._owner.told(event)

    def _attached(self, frame: frames.Attached) -> None:
        was_lost = self._outage.end()
        self.active, self.calls_known = frame.active, True
        if not frame.resumed:
            # Else what was missed follows: should the socket break before, it is still missed.
            self._at = frame.at or self._at
        if was_lost:
            self._owner.server_back()
        there = {view.call_id: view for view in frame.calls}
        for call in self._owner.own_calls:
            if not frame.active:
                call.lose(EndReason.HANDED_OVER, "another process has the call")
            elif (view := there.get(call.call_id)) is not None:
                call.see(view)
            elif frame.resumed:
                # Its end follows, unless it became somebody else's meanwhile.
                self._owner.spawn(call.settle(self.name), f"settle {call.call_id}")
            else:
                call.lose()
        for view in frame.calls:
            if self._owner.own(view.call_id) is None:
                self._owner.resumed(view)
        if not frame.active:
            _log.info("another process is the program %r: this one stands by", self.name)

    async def _accept(self, call_id: str) -> None:
        try:
            await self._wire.send(frames.Accept(call_id=call_id))
        except ServerError as error:
            _log.info("call %s is offered again: %s", call_id, error)

    def _down(self, why: str) -> None:
        self.calls_known = False
        self._outage.begin(why)

    def _lost(self, why: str) -> None:
        self.active = False
        for call in self._owner.own_calls:
            call.lose()
        self._owner.server_lost(why)
