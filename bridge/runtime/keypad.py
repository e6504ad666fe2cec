"""Keys that parties press: told one by one, and collected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bridge.ari import events
from bridge.model.errors import CallClosedError, CommandInProgressError
from bridge.model.participants import Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.session.digits import Collection, Digits, Wanted
from bridge.session.effects import Announce, Notice

KeyListener = Callable[[Participant, str], None]
"""Told who pressed which key. Must not block."""


class _Collecting:
    """Digits of one party that somebody waits for."""

    def __init__(self, wanted: Wanted) -> None:
        self._now = asyncio.get_running_loop().time
        self._collection = Collection.begin(wanted, self._now())
        self._changed = asyncio.Event()
        self._closed: CallClosedError | None = None

    def press(self, key: str) -> None:
        self._collection = self._collection.press(key, self._now())
        self._changed.set()

    def close(self, error: CallClosedError) -> None:
        self._closed = error
        self._changed.set()

    async def wait(self) -> Digits:
        while self._collection.result is None:
            if self._closed is not None:
                raise self._closed
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._collection.deadline):
                    await self._changed.wait()
            self._collection = self._collection.at(self._now())
        return self._collection.result


class Keypad:
    """The keys of one call's parties. Digits are in no log above DEBUG."""

    def __init__(self, engine: CallEngine) -> None:
        self._engine = engine
        self._collecting: dict[Participant, _Collecting] = {}
        self.listeners: list[KeyListener] = []
        engine.handset_listeners.append(self._pressed)
        engine.listeners.append(self._told)

    async def collect(self, party: Participant, wanted: Wanted) -> Digits:
        """Collect digits that a party presses from now on.

        Raises CallClosedError when the call ends, or he leaves it, first; CommandInProgressError
        while digits of his are being collected already.
        """
        if party in self._collecting:
            raise CommandInProgressError(f"digits of the {party} are being collected already")
        if not self._engine.session.agent_present:
            raise CallClosedError("the call is over")
        collecting = self._collecting[party] = _Collecting(wanted)
        try:
            return await collecting.wait()
        finally:
            del self._collecting[party]

    def _pressed(self, party: Participant, event: HandsetEvent) -> None:
        if not isinstance(event, events.ChannelDtmfReceived):
            return
        for listener in list(self.listeners):
            listener(party, event.digit)
        if (collecting := self._collecting.get(party)) is not None:
            collecting.press(event.digit)

    def _told(self, announce: Announce) -> None:
        if announce.notice is Notice.TERMINATED:
            for collecting in self._collecting.values():
                collecting.close(CallClosedError(f"the call is over: {announce.reason}"))
        elif announce.notice is Notice.PARTY_LEFT and announce.party in self._collecting:
            error = CallClosedError(f"the {announce.party} has left the call")
            self._collecting[announce.party].close(error)
