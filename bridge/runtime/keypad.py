"""Keys that parties press: told one by one, and collected."""

from __future__ import annotations

from collections.abc import Callable

from bridge.ari import events
from bridge.model.errors import CallClosedError
from bridge.model.participants import Participant
from bridge.runtime.collecting import Keys
from bridge.runtime.engine import CallEngine
from bridge.runtime.handset import HandsetEvent
from bridge.session.digits import Digits, Wanted
from bridge.session.effects import Announce, Notice

KeyListener = Callable[[Participant, str], None]
"""Told who pressed which key. Must not block."""


class Keypad:
    """The keys of one call's parties. Digits are in no log above DEBUG."""

    def __init__(self, engine: CallEngine) -> None:
        self._engine = engine
        self._keys = Keys()
        self.listeners: list[KeyListener] = []
        engine.handset_listeners.append(self._pressed)
        engine.listeners.append(self._told)

    @property
    def awaited(self) -> frozenset[str]:
        """Whose digits are being collected."""
        return self._keys.awaited

    async def collect(self, party: Participant, wanted: Wanted) -> Digits:
        """Collect digits that a party presses from now on.

        Raises CallClosedError when the call ends, or he leaves it, first; CommandInProgressError
        while digits of his are being collected already.
        """
        if not self._engine.session.agent_present:
            raise CallClosedError("the call is over")
        return await self._keys.collect(party, wanted)

    def _pressed(self, party: Participant, event: HandsetEvent) -> None:
        if not isinstance(event, events.ChannelDtmfReceived):
            return
        for listener in list(self.listeners):
            listener(party, event.digit)
        self._keys.pressed(party, event.digit)

    def _told(self, announce: Announce) -> None:
        if announce.notice is Notice.TERMINATED:
            self._keys.close(str(announce.reason))
        elif announce.notice is Notice.PARTY_LEFT and announce.party is not None:
            self._keys.gone(announce.party)
