"""Waiting for channels to enter the application, registered before they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.model.errors import CommandTimeoutError, ServerUnreachableError


class Arrival:
    """One expected channel."""

    def __init__(self, channel_id: str) -> None:
        self.channel_id = channel_id
        self._known = asyncio.Event()
        self._lost: str | None = None

    def enter(self) -> None:
        """Note that the channel is in the application."""
        self._known.set()

    def lose(self, reason: str) -> None:
        """Note that nothing will be heard of the channel."""
        self._lost = reason
        self._known.set()

    async def wait(self, seconds: float) -> None:
        """Return when the channel is in.

        Raises CommandTimeoutError after ``seconds``, ServerUnreachableError when no event comes.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._known.wait()
        except TimeoutError:
            message = f"channel {self.channel_id} did not enter the application in {seconds:g} s"
            raise CommandTimeoutError(message) from None
        if self._lost is not None:
            raise ServerUnreachableError(
                f"whether channel {self.channel_id} entered the application is not known: "
                f"{self._lost}"
            )


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

    def lose_all(self, reason: str) -> None:
        """No events come any more: let nobody wait for one."""
        for arrival in self._expected.values():
            arrival.lose(reason)

    def enter(self, channel_id: str) -> bool:
        """Note that a channel entered; tell whether it was expected."""
        arrival = self._expected.get(channel_id)
        if arrival is None:
            return False
        arrival.enter()
        return True
