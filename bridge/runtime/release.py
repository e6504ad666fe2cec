"""The parties' fates, tied in Asterisk itself: who is left alone is hung up without us.

Each leg gets a hangup handler. When a leg ends and fewer than two that are counted are left, it
hangs up the others and the anchors of their bridge. It is needed when no controller runs: one that
runs does it by itself, and says meanwhile whose end may not be the end for all (``Bond``). Without
a controller, what is left of a call is an empty bridge, for the next one to remove. It is a piece
of dialplan, ``callbridge-release``, and counts by func_groupcount; where the server does not have
them, callers left alone are found by the next controller. See docs/adr/0005.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bridge.ari import AriConnection
from bridge.model.errors import RequestFailedError, ServerError
from bridge.runtime.names import CallId

_log = logging.getLogger(__name__)

CONTEXT = "callbridge-release"
_EXTENSION = "leg"
GROUP = "callbridge"
"""Category of the group of a call's counted legs."""
OTHERS = "CALLBRIDGE_OTHERS"
"""Channel variable: Asterisk's names of what ends with the leg, joined by ``&``."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A party's channel, and what its end means."""

    channel_id: str
    name: str
    """Asterisk's name, such as ``PJSIP/1001-00000001``."""
    counted: bool
    armed: bool


class Release:
    """Ties legs together, on servers that have what it takes."""

    def __init__(self, ari: AriConnection) -> None:
        self._ari = ari
        self._possible: bool | None = None

    def ties(self, call: CallId) -> Ties:
        """Return the ties of one call; none are made yet."""
        return Ties(self, call)

    async def possible(self, channel_id: str) -> bool:
        """Tell whether the server has our context, asked by way of a channel, once.

        Raises ServerError.
        """
        if self._possible is None:
            there = (
                await self._read(channel_id, f"DIALPLAN_EXISTS({CONTEXT},{_EXTENSION},1)") == "1"
            )
            counts = there and await self._read(channel_id, f"GROUP_COUNT(none@{GROUP})") == "0"
            if not counts:
                _log.warning(
                    "%s: should this program die, a party whom the others leave is alone until it "
                    "runs again",
                    "func_groupcount is not loaded"
                    if there
                    else f"the dialplan has no {_EXTENSION} in [{CONTEXT}]",
                )
            self._possible = counts
        return self._possible

    async def write(self, channel_id: str, variable: str, value: str) -> None:
        """Set a variable of a channel. Raises ServerError."""
        await self._ari.channels.set_channel_var(
            channel_id=channel_id, variable=variable, value=value
        )

    async def _read(self, channel_id: str, variable: str) -> str:
        try:
            answer = await self._ari.channels.get_channel_var(
                channel_id=channel_id, variable=variable
            )
        except RequestFailedError as error:
            # How Asterisk says that it has no such function.
            _log.debug("%s: %s", variable, error)
            return ""
        return answer.value


class Ties:
    """What of it stands for one call."""

    def __init__(self, release: Release, call: CallId) -> None:
        self._release = release
        self._call = call
        self._stand: dict[str, tuple[bool, str]] = {}
        """Per channel that has the handler: whether it is counted, and what ends with it."""

    async def make(self, legs: Sequence[Leg], anchors: Collection[str]) -> bool:
        """Let the legs be tied as they say. anchors: Asterisk's names.

        What fails is logged: the call does not depend on it. False: it may be tried again.
        """
        if not legs:
            return True
        try:
            if await self._release.possible(legs[0].channel_id):
                await asyncio.gather(*(self._tie(leg, legs, anchors) for leg in legs))
        except ServerError as error:
            _log.warning("call %s: legs not tied together: %s", self._call, error)
            return False
        return True

    async def _tie(self, leg: Leg, legs: Sequence[Leg], anchors: Collection[str]) -> None:
        others = [other.name for other in legs if other is not leg]
        wanted = leg.counted, "&".join([*others, *anchors]) if leg.armed else ""
        stands = self._stand.get(leg.channel_id)
        if wanted == (stands or (False, "")):
            return
        counted, ends = wanted
        work = [self._release.write(leg.channel_id, OTHERS, ends)]
        if counted is not (stands or wanted)[0] or stands is None:
            group = self._call if counted else ""
            work.append(self._release.write(leg.channel_id, f"GROUP({GROUP})", group))
        if stands is None:
            handler = f"{CONTEXT},{_EXTENSION},1({self._call})"
            push = "CHANNEL(hangup_handler_push)"
            work.append(self._release.write(leg.channel_id, push, handler))
        await asyncio.gather(*work)
        self._stand[leg.channel_id] = wanted
