"""Digits that parties press, for who waits for them: in process and by URL."""

from __future__ import annotations

import asyncio
import contextlib

from bridge.model.errors import CallClosedError, CommandInProgressError
from bridge.session.digits import Collection, Digits, Wanted


class _Collecting:
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


class Keys:
    """Collects the digits of one call's parties. They are in no log."""

    def __init__(self) -> None:
        self._collecting: dict[str, _Collecting] = {}

    @property
    def awaited(self) -> frozenset[str]:
        """Whose digits are being collected."""
        return frozenset(self._collecting)

    async def collect(self, party: str, wanted: Wanted) -> Digits:
        """Collect digits that a party presses from now on.

        Raises CallClosedError when the call ends, or he leaves it, first; CommandInProgressError
        while digits of his are being collected already.
        """
        if party in self._collecting:
            raise CommandInProgressError(f"digits of the {party} are being collected already")
        collecting = self._collecting[party] = _Collecting(wanted)
        try:
            return await collecting.wait()
        finally:
            del self._collecting[party]

    def pressed(self, party: str, key: str) -> None:
        """Take one key."""
        if (collecting := self._collecting.get(party)) is not None:
            collecting.press(key)

    def gone(self, party: str) -> None:
        """He has left the call."""
        if (collecting := self._collecting.get(party)) is not None:
            collecting.close(CallClosedError(f"the {party} has left the call"))

    def close(self, reason: str) -> None:
        """The call is over."""
        for collecting in self._collecting.values():
            collecting.close(CallClosedError(f"the call is over: {reason}"))
