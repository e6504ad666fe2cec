"""Ringing a party: his leg is made, rung, and watched until he answers or does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bridge.ari import AriConnection
from bridge.model.errors import ErrorCode, RequestFailedError, ServerError
from bridge.model.headers import Headers
from bridge.model.participants import CALLEE, Participant
from bridge.runtime.causes import callee_failed, unanswered, unreachable
from bridge.runtime.executor import Executor
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.ringing import GRACE_SECONDS, is_up
from bridge.session.inputs import (
    CalleeAnswered,
    CalleeFailed,
    Input,
    PartyAnswered,
    PartyFailed,
)

_LONGEST_SECONDS = 60
"""How long somebody may ring on of whom it is not known."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """How an earlier program came to a party. seconds: how long he is rung, 0 if not known."""

    endpoint: str
    channel_name: str
    seconds: int = 0
    rings: bool = False


class Dialling:
    """One party: at most one attempt at a time, and at most one fact about each.

    Facts go to ``post``: of the callee CalleeAnswered or CalleeFailed, of others PartyAnswered or
    PartyFailed.
    """

    def __init__(
        self,
        ari: AriConnection,
        executor: Executor,
        post: Callable[[Input], None],
        party: Participant = CALLEE,
    ) -> None:
        self._ari = ari
        self._executor = executor
        self._post = post
        self._party = party
        self._endpoint: str | None = None
        self._seconds = 0
        self._watch: asyncio.TimerHandle | None = None
        self.endpoint = ""
        """What was rung last, as Asterisk dials it."""
        self.channel_name = ""
        """Asterisk's name of the last channel that was made."""

    @property
    def ringing(self) -> bool:
        """An attempt is under way."""
        return self._endpoint is not None

    @property
    def seconds(self) -> int:
        """For how long is, or was, rung at most."""
        return self._seconds

    def take_up(self, dialled: Dialled) -> None:
        """Go on with an attempt of an earlier program's, or know how it ended."""
        self.endpoint, self.channel_name = dialled.endpoint, dialled.channel_name
        self._seconds = dialled.seconds
        if dialled.rings:
            self._endpoint = dialled.endpoint
            seconds = dialled.seconds or _LONGEST_SECONDS
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(seconds + GRACE_SECONDS, self._give_up)

    async def dial(
        self, incoming: IncomingCall, endpoint: str, seconds: int, headers: Headers = ()
    ) -> list[Input]:
        """Ring ``endpoint``; return the failure if that is not even possible."""
        self._endpoint = self.endpoint = endpoint
        self._seconds = seconds
        try:
            channel_id, self.channel_name = await self._executor.create_leg(
                self._party,
                endpoint,
                number=incoming.caller_number,
                name=incoming.caller_name,
                headers=headers,
            )
        except ServerError as error:
            await self._executor.sweep()
            return self._not_rung(endpoint, error)
        try:
            await self._ari.channels.dial(
                channel_id=channel_id, caller=incoming.channel_id, timeout=seconds
            )
        except ServerError as error:
            if isinstance(error, RequestFailedError) and await is_up(self._ari, channel_id):
                self.answered()
            return self._not_rung(endpoint, error)
        if self.ringing:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(seconds + GRACE_SECONDS, self._give_up)
        return []

    def answered(self) -> None:
        """He picked up; the attempt is over. Nothing if none is under way."""
        if self.ringing:
            self.stop()
            callee = self._party == CALLEE
            self._post(CalleeAnswered() if callee else PartyAnswered(self._party))

    def failed(self, cause: int, text: str = "") -> Input | None:
        """His channel is gone; return why, None when no attempt was under way."""
        if self._endpoint is None:
            return None
        failure = callee_failed(self._endpoint, cause, text)
        self.stop()
        return self._fact(failure)

    def stop(self) -> None:
        """Forget the attempt."""
        self._endpoint = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _not_rung(self, endpoint: str, error: ServerError) -> list[Input]:
        if not self.ringing:
            # An event was faster and has told what became of him.
            return []
        self.stop()
        if isinstance(error, RequestFailedError):
            return [self._fact(unreachable(endpoint, error.reason))]
        message = f"{endpoint} was not rung: {error}"
        return [self._fact(CalleeFailed(ErrorCode(error.error_code), message))]

    def _fact(self, failure: CalleeFailed) -> Input:
        if self._party == CALLEE:
            return failure
        return PartyFailed(self._party, failure.code, failure.message, failure.cause)

    def _give_up(self) -> None:
        if self._endpoint is not None:
            failure = unanswered(self._endpoint, self._seconds)
            self.stop()
            self._post(self._fact(failure))
