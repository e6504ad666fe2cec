"""Ringing somebody who is to be the caller of a new call: there is no call before he answers.

What rings when a program ends is nobody's, and is removed by the next one (``reconcile``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, Protocol

from bridge.ari import AriConnection, events
from bridge.model.errors import (
    CallbridgeError,
    InvalidStateError,
    ServerUnreachableError,
)
from bridge.model.ids import CallId
from bridge.model.participants import CALLER, Participant
from bridge.model.states import HangupCause
from bridge.runtime.agent import AgentMedia
from bridge.runtime.engine import CallEngine
from bridge.runtime.executor import Executor
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.refusals import error_of
from bridge.runtime.seat import Rung, Seat, SeatFact
from bridge.runtime.telling import ChannelEvent
from bridge.session.effects import Refuse
from bridge.session.inputs import Token
from bridge.session.observer.inputs import Seated, SeatFailed

_log = logging.getLogger(__name__)

NOTE: Final = "originated"
"""Under which ``engine.notes`` has what was rung, of a call that was originated."""

Taker = Callable[[CallEngine], None]
"""Gets a call, before anything happens to it. Must not block."""


class Host(Protocol):
    """Who has the link and the calls: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    def executor(self, object_id: CallId, programs: Mapping[Participant, AgentMedia]) -> Executor:
        """Make an executor for objects that are named by an id."""

    def take_rung(self, incoming: IncomingCall, on_call: Taker) -> CallEngine:
        """Begin a call with somebody whom we have rung, and who has answered."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Originations:
    """Those who are being rung, by the ids of the calls that they are to be the callers of."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ringing: dict[CallId, _Ringing] = {}
        self._closed = False

    @property
    def ids(self) -> frozenset[CallId]:
        """Under which ids there are channels of ours in Asterisk."""
        return frozenset(self._ringing)

    @property
    def legs(self) -> frozenset[str]:
        """Ids of the channels that are being rung."""
        return frozenset(one.seat.channel_id for one in self._ringing.values()) - {""}

    async def ring(self, call_id: CallId, phone: Rung, *, number: str, on_call: Taker) -> None:
        """Ring somebody; return when he has answered and ``on_call`` was given the call.

        number: his own. Cancelling the wait hangs him up. Raises ConnectFailedError,
        InvalidStateError when the program leaves, ServerError; he is hung up then.
        """
        if self._closed:
            raise InvalidStateError("the client is leaving: nobody is rung any more")
        ringing = _Ringing(self._host, call_id, phone, number, on_call)
        self._ringing[call_id] = ringing
        self._host.spawn(self._ring(ringing), f"originate {call_id}")
        try:
            await asyncio.wait([ringing.outcome])
        finally:
            # Nothing of him is left when who asked is told.
            ringing.give_up(InvalidStateError("nobody waits for him any more"))
            await ringing.over.wait()
        ringing.outcome.result()

    async def _ring(self, ringing: _Ringing) -> None:
        try:
            await ringing.run()
        finally:
            self._ringing.pop(ringing.call_id, None)
            ringing.over.set()

    async def close(self) -> None:
        """Hang up whoever rings; nobody is rung any more."""
        self._closed = True
        waiting = list(self._ringing.values())
        for ringing in waiting:
            ringing.give_up(InvalidStateError("the client leaves: it hung up whom it was ringing"))
        await asyncio.gather(*(ringing.over.wait() for ringing in waiting))

    # --- what Asterisk reports ------------------------------------------------------------------

    def tell(self, owner: CallId | None, event: ChannelEvent) -> bool:
        """Tell of a channel; return whether it is one that is being rung. owner: by its id."""
        ringing = None if owner is None else self._ringing.get(owner)
        if ringing is None:
            return False
        match event:
            case events.ChannelStateChange(channel=channel) if channel.state == "Up":
                ringing.seat.channel_up(channel.id)
            case events.ChannelDestroyed(channel=channel, cause=cause, cause_txt=text):
                ringing.seat.channel_gone(channel.id, cause, text)
            case _:
                # That he leaves the application does not tell why; the end of his channel does.
                pass
        return True

    def reconnected(self, legs: frozenset[str], states: Mapping[str, str]) -> None:
        """Events were lost.

        legs: ours before we asked; states: of all channels that Asterisk then had, by their ids.
        """
        for ringing in list(self._ringing.values()):
            leg = ringing.seat.channel_id
            if leg not in legs:
                continue
            if leg not in states:
                ringing.seat.channel_gone(leg, HangupCause.NORMAL)
            elif states[leg] == "Up":
                ringing.seat.channel_up(leg)

    def lose_all(self, reason: str) -> None:
        """Asterisk is gone."""
        for ringing in list(self._ringing.values()):
            ringing.give_up(ServerUnreachableError(f"Asterisk is gone: {reason}"))


class _Ringing:
    """One who is being rung: the sitter of his seat, until he has a call."""

    def __init__(
        self, host: Host, call_id: CallId, phone: Rung, number: str, on_call: Taker
    ) -> None:
        self.call_id = call_id
        self.executor = host.executor(call_id, {})
        self.seat = Seat(host.ari, phone)
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        """Nothing of the attempt is left."""
        self._host = host
        self._phone = phone
        self._number = number
        self._on_call = on_call
        self._taken = False

    @property
    def name(self) -> Participant:
        """What he will be."""
        return CALLER

    def post(self, fact: SeatFact, /) -> None:
        """Take what became of it."""
        if self.outcome.done():
            return
        match fact:
            case Seated():
                try:
                    self._take()
                except Exception as error:
                    # A fault of ours: whoever asked must not wait for ever.
                    self.outcome.set_exception(error)
                    raise
                self.outcome.set_result(None)
            case SeatFailed(code, message, cause):
                self._fail(error_of(Refuse(Token(0), code, message, cause)))

    def give_up(self, error: CallbridgeError) -> None:
        """Hang him up, unless it is known already what became of it."""
        self.seat.stop()
        if not self.outcome.done():
            self._fail(error)

    async def run(self) -> None:
        """Ring him, and see to it that he is not left alone."""
        try:
            if not self.outcome.done():
                await self.seat.take(self)
            await asyncio.wait([self.outcome])
        finally:
            if not self._taken:
                await self.executor.hang_up(CALLER, HangupCause.NORMAL)
                await self.executor.sweep()

    def _fail(self, error: CallbridgeError) -> None:
        self.outcome.set_exception(error)
        # Perhaps nobody wants to know.
        self.outcome.exception()
        _log.info("call %s: %s is not had: %s", self.call_id, self._phone.endpoint, error)

    def _take(self) -> None:
        """Make him the caller of a call, before anything else can happen to his channel."""
        incoming = IncomingCall(
            call_id=self.call_id,
            channel_id=self.seat.channel_id,
            channel_name=self.seat.channel_name,
            caller_number=self._number,
            caller_name="",
            callee_number="",
        )
        self._taken = True
        self.executor.give_leg(CALLER)
        engine = self._host.take_rung(incoming, self._on_call)
        engine.notes[NOTE] = self._phone.endpoint
