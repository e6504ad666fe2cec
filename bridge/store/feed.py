"""What the event hub tells, into the store: events, and the records of calls made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from bridge.protocol.views import EventView
from bridge.sdk import events
from bridge.store.cdr import CallRecorder, end_of_lost
from bridge.store.store import Store


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
        lost = [one for one in await self._store.unfinished() if one.call_id not in live]
        for one in lost:
            self._store.write(end_of_lost(one, self._clock()))
        return len(lost)
