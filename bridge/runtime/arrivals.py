"""Waiting for channels to enter the application, registered before they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.model.errors import CommandTimeoutError


class Arrival:
    """One expected channel."""

    def __init__(self, channel_id: str) -> None:
        self._channel_id = channel_id
        self._entered = asyncio.Event()

    def enter(self) -> None:
        """Note that the channel is in the application."""
        self._entered.set()

    async def wait(self, seconds: float) -> None:
        """Return when the channel is in. Raises CommandTimeoutError after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._entered.wait()
        except TimeoutError:
            message = f"channel {self._channel_id} did not enter the application in {seconds:g} s"
            raise CommandTimeoutError(message) from None


class Arrivals:
    """The channels that are expected, by id."""

    def __init__(self) -> None:
        self._expected: dict[str, Arrival] = {}

    @contextmanager
    def expect(self, channel_id: str) -> Iterator[Arrival]:
        """Expect a channel while the block runs."""
        arrival = self._expected[channel_id] = Arrival(channel_id)
        try:
            yield arrival
        finally:
            del self._expected[channel_id]

    def enter(self, channel_id: str) -> bool:
        """Note that a channel entered; tell whether it was expected."""
        arrival = self._expected.get(channel_id)
        if arrival is None:
            return False
        arrival.enter()
        return True
