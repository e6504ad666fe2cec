"""Where the calls of a program arrive, and are handed to whoever waits for their callers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.demo.settings import RATE
from bridge.model.errors import LabError
from bridge.sdk import ActiveCall, Client, events

_DEADLINE_S: Final = 5.0


class Desk:
    """Takes all incoming calls and hands each to whoever waits for its caller."""

    def __init__(self) -> None:
        self._arrivals: defaultdict[str, asyncio.Queue[ActiveCall]] = defaultdict(asyncio.Queue)

    def take(self, call: ActiveCall) -> None:
        """Put a call down for whoever waits for its caller."""
        self._arrivals[call.caller_number].put_nowait(call)

    async def next_call(self, caller_number: str) -> ActiveCall:
        """Wait for a call from this number. Raises LabError when none comes."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await self._arrivals[caller_number].get()
        except TimeoutError as error:
            message = f"no call of {caller_number} came to the program within {_DEADLINE_S:g} s"
            raise LabError(message) from error


async def open_desk(
    stack: AsyncExitStack, info: InstanceInfo, route: Callable[[ActiveCall], str] | None = None
) -> Desk:
    """Run a program that takes all calls, until the stack unwinds. route: see Client."""
    desk = Desk()
    ari = info.ari
    client = Client(ari.url, ari.username, ari.password, sample_rate=RATE, route=route)
    client.on(events.INCOMING_CALL, desk.take)
    await stack.enter_async_context(client)
    return desk
