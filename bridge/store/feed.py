"""What the event hub tells, into the store: events, and the records of calls made of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Final

from bridge.model.errors import ServerError
from bridge.protocol.views import EventView
from bridge.sdk import events
from bridge.store.cdr import CallRecorder, end_of_lost
from bridge.store.store import Store

_log = logging.getLogger(__name__)

_AGAIN_S: Final = 30.0


class Feed:
    """A listener of the event hub."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._recorder = CallRecorder()

    def take(self, event: EventView) -> None:
        """Store an event and what it changes of its call's record. Never waits, never raises.

        What is in the audit is not stored as an event too: who may see events may not see it.
        """
        if event.type != events.AUDIT:
            self._store.write(event)
        record = self._recorder.take(event)
        if record is not None:
            self._store.write(record)

    async def end_lost(self, live: Collection[str]) -> int:
        """End the records of calls that ended while this daemon was away; return how many.

        live: ids of all live calls, once Asterisk has told them. When a call really ended is not
        known: it is the time of the look. Raises StoreError.
        """
        lost = [
            one
            for one in await self._store.unfinished()
            # One that has begun since then is told of, and so will be its end.
            if one.call_id not in live and not self._recorder.knows(one.call_id)
        ]
        for one in lost:
            self._store.write(end_of_lost(one, self._clock()))
        return len(lost)

    async def end_lost_calls(
        self, connected: asyncio.Event, live: Callable[[], Collection[str]]
    ) -> None:
        """Do so once, when Asterisk and the database are there.

        live: gives the ids of all live calls; may raise ServerError.
        """
        await connected.wait()
        while True:
            try:
                ended = await self.end_lost(live())
            except ServerError as error:
                _log.info("calls of before are looked for later: %s", error)
                await asyncio.sleep(_AGAIN_S)
            else:
                if ended:
                    _log.info("%d calls of before ended while nobody looked", ended)
                return
