"""When a direct party can pick up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.ari import AriConnection, models
from bridge.model.errors import LabError

_DIALLED_S = 0.05
_DEADLINE_S = 10.0


async def rung_channel(observer: AriConnection, wanted: Callable[[str], bool]) -> str:
    """Wait for a channel whose id is wanted, and until it is dialled; return its id.

    Raises LabError when there is none in time.
    """
    return await rung(observer, lambda channel: wanted(channel.id))


async def rung(observer: AriConnection, wanted: Callable[[models.Channel], bool]) -> str:
    """Wait for a channel that is wanted, and until it is dialled; return its id.

    A channel of chan_websocket stands for some milliseconds before it is dialled, and looks no
    different then; but who answers it too soon cannot be dialled any more. Raises LabError when
    there is none in time.
    """
    try:
        async with asyncio.timeout(_DEADLINE_S):
            while True:
                for channel in await observer.channels.list():
                    if wanted(channel):
                        await asyncio.sleep(_DIALLED_S)
                        return channel.id
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise LabError(f"who is to pick up was not rung within {_DEADLINE_S:g} s") from error
