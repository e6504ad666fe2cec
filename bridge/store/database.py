"""A small notebook for programs: what they know of a call, kept in callbridge's store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from bridge.protocol.views import ContextView, EventView
from bridge.store.store import Store

CALL_ANALYTICS: Final = "CALL_ANALYTICS"
"""Type of the events that ``log_call_analytics`` writes."""


class CallDatabase:
    """Keeps contexts and analytics of calls, for a program that is its own daemon.

    ::

        async with await CallDatabase.open("sqlite:///calls.db") as db:
            await db.save_call_context(call_id=call.call_id, caller=call.caller_number, summary=…)

    A program of a daemon saves contexts by its API instead. Saving never waits for the database,
    and never raises: see ``Store.write``.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self._clock = clock
        self._epoch = secrets.token_hex(8)
        self._seq = 0

    @classmethod
    async def open(cls, url: str, *, spool: Path | None = None) -> Self:
        """Open a database by its URL; see ``Store.open``.

        spool: by default ``callbridge-spool`` in the working folder. Raises ConfigurationError.
        """
        return cls(await Store.open(url, spool=spool or Path("callbridge-spool")))

    async def close(self) -> None:
        """Write what there is, and end."""
        await self.store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def save_call_context(self, *, call_id: str, **values: object) -> None:
        """Save what the next one should know of a call; replaces what was saved."""
        self.store.write(ContextView(call_id=call_id, saved_at=self._clock(), values=values))

    async def call_context(self, call_id: str) -> dict[str, Any] | None:
        """Return what was saved of a call, None for nothing. Raises StoreError."""
        found = await self.store.context(call_id)
        return None if found is None else found.values

    async def log_call_analytics(self, *, call_id: str, **values: object) -> None:
        """Add a line to what is known of a call: an event of the type CALL_ANALYTICS."""
        self._seq += 1
        self.store.write(
            EventView(
                seq=self._seq,
                epoch=self._epoch,
                at=self._clock(),
                type=CALL_ANALYTICS,
                call_id=call_id,
                data=values,
            )
        )
