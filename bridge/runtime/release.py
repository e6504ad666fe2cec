"""The parties' fates, tied in Asterisk itself: who is left alone is hung up without us.

Each leg gets a hangup handler that hangs up the other one, and the anchors of their bridge. It is
needed when no controller runs: one that runs does it by itself. Without one, what is left of a
call is an empty bridge, for the next controller to remove. It is a piece of dialplan,
``callbridge-release``; where the server does not have it, callers left alone are found by the next
controller. See docs/adr/0005.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from bridge.ari import AriConnection
from bridge.model.errors import ServerError

_log = logging.getLogger(__name__)

CONTEXT = "callbridge-release"


class Release:
    """Ties legs together, on servers whose dialplan has what it takes."""

    def __init__(self, ari: AriConnection) -> None:
        self._ari = ari
        self._possible: bool | None = None

    async def tie(
        self, one: tuple[str, str], other: tuple[str, str], anchors: Iterable[str]
    ) -> bool:
        """Let the end of either leg end the other. A leg: its channel's (id, name); anchors: names.

        What fails is logged: the call does not depend on it. False: it may be tried again.
        """
        try:
            if self._possible is None:
                self._possible = await self._ask(one[0])
            if self._possible:
                # The other leg's end comes by way of this one's, so one of them is enough.
                ends = [other[1], *anchors]
                await asyncio.gather(
                    *(self._push(one[0], name) for name in ends), self._push(other[0], one[1])
                )
        except ServerError as error:
            _log.warning("legs not tied together: %s", error)
            return False
        return True

    async def _ask(self, channel_id: str) -> bool:
        """Tell whether the server's dialplan has our context. Raises ServerError."""
        answer = await self._ari.channels.get_channel_var(
            channel_id=channel_id, variable=f"DIALPLAN_EXISTS({CONTEXT},s,1)"
        )
        if answer.value != "1":
            _log.warning(
                "the dialplan has no [%s]: should this program die, a party whose other party "
                "hangs up is left alone until it runs again",
                CONTEXT,
            )
        return answer.value == "1"

    async def _push(self, channel_id: str, other_name: str) -> None:
        await self._ari.channels.set_channel_var(
            channel_id=channel_id,
            variable="CHANNEL(hangup_handler_push)",
            value=f"{CONTEXT},s,1({other_name})",
        )
