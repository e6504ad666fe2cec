"""Ringing the callee: his leg is made, rung, and watched until he answers or does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.ari import AriConnection
from bridge.model.errors import ErrorCode, RequestFailedError, ServerError
from bridge.model.participants import CALLEE
from bridge.runtime.causes import callee_failed, unanswered, unreachable
from bridge.runtime.executor import Executor
from bridge.runtime.incoming import IncomingCall
from bridge.session.inputs import CalleeAnswered, CalleeFailed, Input

_GRACE_SECONDS = 2.0
"""How much later than Asterisk's own timeout we give up by ourselves."""


class Dialling:
    """At most one attempt at a time, and at most one fact about each. Facts go to ``post``."""

    def __init__(
        self, ari: AriConnection, executor: Executor, post: Callable[[Input], None]
    ) -> None:
        self._ari = ari
        self._executor = executor
        self._post = post
        self._endpoint: str | None = None
        self._seconds = 0
        self._watch: asyncio.TimerHandle | None = None
        self.callee_name = ""
        """Asterisk's name of the last channel that was made."""

    @property
    def ringing(self) -> bool:
        """An attempt is under way."""
        return self._endpoint is not None

    async def dial(self, incoming: IncomingCall, endpoint: str, seconds: int) -> list[Input]:
        """Ring ``endpoint``; return CalleeFailed if that is not even possible."""
        self._endpoint, self._seconds = endpoint, seconds
        try:
            channel_id, self.callee_name = await self._executor.create_leg(
                CALLEE, endpoint, number=incoming.caller_number, name=incoming.caller_name
            )
        except ServerError as error:
            await self._executor.sweep()
            return self._not_rung(endpoint, error)
        try:
            await self._ari.channels.dial(
                channel_id=channel_id, caller=incoming.channel_id, timeout=seconds
            )
        except ServerError as error:
            if isinstance(error, RequestFailedError) and await self._is_up(channel_id):
                # Whoever is behind such a channel did not wait to be rung.
                self.answered()
            return self._not_rung(endpoint, error)
        if self.ringing:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(seconds + _GRACE_SECONDS, self._give_up)
        return []

    def answered(self) -> None:
        """The callee picked up; the attempt is over. Nothing if none is under way."""
        if self.ringing:
            self.stop()
            self._post(CalleeAnswered())

    def failed(self, cause: int, text: str = "") -> CalleeFailed | None:
        """The callee's channel is gone; return why, None when no attempt was under way."""
        if self._endpoint is None:
            return None
        failure = callee_failed(self._endpoint, cause, text)
        self.stop()
        return failure

    def stop(self) -> None:
        """Forget the attempt."""
        self._endpoint = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _is_up(self, channel_id: str) -> bool:
        try:
            channel = await self._ari.channels.get(channel_id=channel_id)
        except ServerError:
            return False
        return channel.state == "Up"

    def _not_rung(self, endpoint: str, error: ServerError) -> list[Input]:
        if not self.ringing:
            # An event was faster and has told what became of the callee.
            return []
        self.stop()
        if isinstance(error, RequestFailedError):
            return [unreachable(endpoint, error.reason)]
        message = f"{endpoint} was not rung: {error}"
        return [CalleeFailed(ErrorCode(error.error_code), message)]

    def _give_up(self) -> None:
        if self._endpoint is not None:
            failure = unanswered(self._endpoint, self._seconds)
            self.stop()
            self._post(failure)
