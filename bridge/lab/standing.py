"""What stands in Asterisk, and what is left there that should not be."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bridge.ari import AriConnection
from bridge.lab.waiting import POLL_S

CHANNEL: Final = "channel "
"""How the name of a channel begins; all others are bridges."""

_CLEARED_WITHIN_S: Final = 3.0


async def standing(look: AriConnection) -> frozenset[str]:
    """Return the names of all channels and bridges."""
    channels, bridges = await asyncio.gather(look.channels.list(), look.bridges.list())
    names = {f"{CHANNEL}{channel.name}" for channel in channels}
    return frozenset(names | {f"bridge {bridge.id}" for bridge in bridges})


async def left_since(
    look: AriConnection, before: frozenset[str], spared: tuple[str, ...] = ()
) -> frozenset[str]:
    """Wait until nothing stands but what did ``before``; return what does nevertheless.

    spared: how names begin that may stay.
    """
    end = time.monotonic() + _CLEARED_WITHIN_S
    while True:
        new = await standing(look) - before
        left = frozenset(name for name in new if not name.startswith(spared))
        if not left or time.monotonic() > end:
            return left
        await asyncio.sleep(POLL_S)
