"""A supervisor's seat: the channel of his own, rung by us or dialled by him with the access code.

Anything that is a channel in the application can be a seat, a browser's too (``Present``). It needs
frames in both directions, so that it can be spied on and whispered to, and an end that Asterisk
reports (ChannelDestroyed, or StasisEnd). DTMF is needed for keys alone: who has none gives commands
otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bridge.ari import AriConnection, events
from bridge.model.errors import BadArgumentError, ErrorCode, RequestFailedError, ServerError
from bridge.model.headers import Headers
from bridge.model.participants import Participant
from bridge.model.states import HangupCause
from bridge.runtime.causes import callee_failed, unanswered, unreachable
from bridge.runtime.executor import Executor
from bridge.runtime.ringing import GRACE_SECONDS, is_up
from bridge.session.inputs import CalleeFailed
from bridge.session.observer.inputs import Seated, SeatFailed

_log = logging.getLogger(__name__)

SeatFact: TypeAlias = Seated | SeatFailed


@dataclass(frozen=True, slots=True)
class Rung:
    """A phone to be rung for ``seconds``. number, name: who is calling, as it will show it.

    headers: SIP headers that a PJSIP endpoint gets to see.
    """

    endpoint: str
    seconds: int = 30
    number: str = ""
    name: str = ""
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Present:
    """A channel that is in the application already. It is the observer's from now on."""

    channel_id: str
    channel_name: str


@dataclass(frozen=True, slots=True)
class Sat:
    """A channel that was an observer's already, and is up; an earlier program had it."""

    channel_id: str
    channel_name: str


class Sitter(Protocol):
    """Whose seat it is: an ObserverEngine."""

    @property
    def name(self) -> Participant:
        """His name among the participants."""

    @property
    def executor(self) -> Executor:
        """Gets to know his channel as his leg."""

    def post(self, event: SeatFact, /) -> None:
        """Take a fact."""


class Seat:
    """Gets an observer's channel, once: a Chair of his engine.

    Of the attempt exactly one fact is posted, Seated or SeatFailed, and none after ``stop()``. The
    owner forwards what events tell of channels, and tells of the end of a channel that was seated.
    After SeatFailed the leg may still ring: who clears the observer away hangs it up
    (``Executor.tear_down``).
    """

    def __init__(self, ari: AriConnection, origin: Rung | Present | Sat) -> None:
        self._ari = ari
        self._origin = origin
        self._post: Callable[[SeatFact], None] | None = None
        """Takes the fact that ends the attempt; None when none is under way."""
        self._watch: asyncio.TimerHandle | None = None
        self.tie: Callable[[str, str], Awaitable[None]] | None = None
        """Called with the channel's id and name before it rings, or is answered: whoever sits on it
        must not be heard when nobody answers for him. May raise ServerError: it is not had then."""
        self.channel_id = ""
        self.channel_name = ""
        """Asterisk's name of the channel, such as ``PJSIP/1003-00000001``."""

    @property
    def endpoint(self) -> str:
        """Of his phone: ``PJSIP/1003``."""
        match self._origin:
            case Rung(endpoint=endpoint):
                return endpoint
            case Present(channel_name=name) | Sat(channel_name=name):
                return name.rpartition("-")[0]

    @property
    def ringing(self) -> bool:
        """His phone rings; should it end, ChannelDestroyed tells why, and StasisEnd does not."""
        return self._post is not None and isinstance(self._origin, Rung)

    async def take(self, sitter: Sitter) -> None:
        """Begin the attempt; returns when the phone rings or the channel was answered."""
        self._post = sitter.post
        match self._origin:
            case Rung():
                await self._ring(sitter, self._origin)
            case Present():
                await self._answer(sitter, self._origin)
            case Sat(channel_id, name):
                self.channel_id, self.channel_name = channel_id, name
                if await self._is_tied(name):
                    self._end(Seated())

    async def _ring(self, sitter: Sitter, phone: Rung) -> None:
        try:
            self.channel_id, self.channel_name = await sitter.executor.create_leg(
                sitter.name,
                phone.endpoint,
                number=phone.number,
                name=phone.name,
                headers=phone.headers,
            )
            if self._post is None or not await self._is_tied(phone.endpoint):
                return
            await self._ari.channels.dial(channel_id=self.channel_id, timeout=phone.seconds)
        except ServerError as error:
            made = isinstance(error, RequestFailedError) and self.channel_id
            if made and await is_up(self._ari, self.channel_id):
                self._end(Seated())
            else:
                self._end(_not_rung(phone.endpoint, error))
            return
        if self.ringing:
            loop = asyncio.get_running_loop()
            failure = unanswered(phone.endpoint, phone.seconds)
            self._watch = loop.call_later(
                phone.seconds + GRACE_SECONDS, self._end, _seat_failed(failure)
            )

    async def _answer(self, sitter: Sitter, channel: Present) -> None:
        self.channel_id, self.channel_name = channel.channel_id, channel.channel_name
        sitter.executor.add_leg(sitter.name, channel.channel_id)
        if not await self._is_tied(channel.channel_name):
            return
        try:
            await self._ari.channels.answer(channel_id=channel.channel_id)
        except RequestFailedError as error:
            message = f"{channel.channel_name} hung up before it was answered ({error.reason})"
            self._end(SeatFailed(ErrorCode.CALL_FAILED, message))
        except ServerError as error:
            message = f"{channel.channel_name} was not answered: {error}"
            self._end(SeatFailed(error.error_code, message))
        else:
            self._end(Seated())

    async def _is_tied(self, who: str) -> bool:
        if self.tie is not None:
            try:
                await self.tie(self.channel_id, self.channel_name)
            except ServerError as error:
                message = f"{who} is not let in: nothing would silence it later ({error})"
                self._end(SeatFailed(error.error_code, message))
                return False
        return True

    def stop(self) -> None:
        """Forget the attempt; nothing is told of it any more."""
        self._post = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def channel_up(self, channel_id: str) -> None:
        """A channel was answered (ChannelStateChange to Up)."""
        if self.ringing and channel_id == self.channel_id:
            self._end(Seated())

    def channel_gone(self, channel_id: str, cause: int, text: str = "") -> None:
        """A channel is gone (ChannelDestroyed, or missed). cause: Q.850; text: Asterisk's words."""
        if channel_id == self.channel_id:
            match self._origin:
                case Rung(endpoint=who) | Present(channel_name=who) | Sat(channel_name=who):
                    self._end(_seat_failed(callee_failed(who, cause, text)))

    def _end(self, fact: SeatFact) -> None:
        """End the attempt, unless an event was faster and has told what became of it."""
        post = self._post
        if post is not None:
            self.stop()
            post(fact)


def _not_rung(endpoint: str, error: ServerError) -> SeatFailed:
    if isinstance(error, RequestFailedError):
        return _seat_failed(unreachable(endpoint, error.reason))
    return SeatFailed(error.error_code, f"{endpoint} was not rung: {error}")


def _seat_failed(failure: CalleeFailed) -> SeatFailed:
    return SeatFailed(failure.code, failure.message, failure.cause)


# --- the access code ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody dialled the access code: ``Stasis(app,observe,EXTENSION)``."""

    channel_id: str
    channel_name: str
    """Asterisk's name of it, such as ``PJSIP/1003-00000001``."""
    endpoint: str
    """Who it is: the part of the name that the PBX gave when he signed in, ``PJSIP/1003``."""
    number: str
    """As his endpoint gave it: may be pretended, so that nothing is allowed on its strength."""
    extension: str
    """Whose call he asks for; empty: the newest."""


def read_access(event: events.StasisStart) -> Access | None:
    """Read an access code from a channel's first event; None when that is another channel."""
    if event.args[:1] != ("observe",):
        return None
    channel = event.channel
    return Access(
        channel_id=channel.id,
        channel_name=channel.name,
        endpoint=channel.name.rpartition("-")[0],
        number=channel.caller.number,
        extension=event.args[1] if len(event.args) > 1 else "",
    )


class AccessPolicy:
    """Who may observe by the access code; by default nobody.

    allowed: endpoints (``PJSIP/1003``, or ``1003`` for it), or a function that is asked every time,
    on the event loop: it must not block, and allows nobody when it raises. Raises BadArgumentError
    for a string, in which any part of it would be allowed.
    """

    def __init__(self, allowed: Collection[str] | Callable[[Access], bool] = ()) -> None:
        if isinstance(allowed, str):
            raise BadArgumentError(f"allowed is {allowed!r}: give a list, [{allowed!r}]")
        self._ask = allowed if callable(allowed) else None
        names = () if callable(allowed) else allowed
        self._endpoints = frozenset(n if "/" in n else f"PJSIP/{n}" for n in names)

    def allows(self, access: Access) -> bool:
        """Tell whether somebody may observe."""
        if self._ask is None:
            return access.endpoint in self._endpoints
        try:
            return self._ask(access) is True
        except Exception:  # noqa: BLE001 - a policy of the user may raise anything: nobody comes in
            _log.exception("whether %s may observe is not known: refused", access.endpoint)
            return False


async def turn_away(ari: AriConnection, access: Access, why: str) -> None:
    """Hang up on somebody who dialled the access code in vain, as declined; logged."""
    _log.warning("%s (%s) is not let in: %s", access.endpoint, access.channel_id, why)
    try:
        await ari.channels.hangup(
            channel_id=access.channel_id, reason_code=str(HangupCause.REJECTED.value)
        )
    except ServerError as error:
        if not (isinstance(error, RequestFailedError) and error.is_not_found):
            _log.warning("channel %s was refused and waits: %s", access.channel_id, error)
