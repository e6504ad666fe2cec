"""What is the same for whoever is rung: a party, an observer, somebody who is to be a caller."""

from __future__ import annotations

from typing import Final

from bridge.ari import AriConnection
from bridge.model.errors import ServerError

GRACE_SECONDS: Final = 2.0
"""How much later than Asterisk's own timeout we give up by ourselves."""


async def is_up(ari: AriConnection, channel_id: str) -> bool:
    """Tell whether a channel is answered that could not be rung; False if it cannot be asked.

    Whoever is behind such a channel does not wait to be rung.
    """
    try:
        channel = await ari.channels.get(channel_id=channel_id)
    except ServerError:
        return False
    return channel.state == "Up"
