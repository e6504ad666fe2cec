"""The parties' fates, tied in Asterisk itself: who is left alone is hung up without us.

Each leg gets a hangup handler. When a leg ends and fewer than two that are counted are left, it
hangs up the others and the anchors of their bridge. It is needed when no controller runs: one that
runs does it by itself, and says meanwhile whose end may not be the end for all (``Bond``). That it
runs is seen by the agent's lines, which end with it. Without a controller, what is left of a call
is an empty bridge, for the next one to remove. It is a piece of dialplan, ``callbridge-release``,
and counts by func_groupcount; where the server does not have them, callers left alone are found by
the next controller. See docs/adr/0005.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bridge.ari import AriConnection
from bridge.model.errors import RequestFailedError, ServerError
from bridge.runtime.names import CallId

_log = logging.getLogger(__name__)

CONTEXT = "callbridge-release"
_EXTENSION = "leg"
GROUP = "callbridge"
"""Category of the group of a call's counted legs."""
LINES = "callbridge-agent"
"""Category of the group of the agent's lines."""
OTHERS = "CALLBRIDGE_OTHERS"
"""Channel variable: Asterisk's names of what ends with the leg, joined by ``&``."""
SPARED = "CALLBRIDGE_SPARED"
"""Channel variable: 1 when nothing ends with the leg as long as the agent has lines, else 0."""

_IN_GROUP = f"GROUP({GROUP})"
_IN_LINES = f"GROUP({LINES})"


@dataclass(frozen=True, slots=True)
class Leg:
    """A party's channel, and what its end means."""

    channel_id: str
    name: str
    """Asterisk's name, such as ``PJSIP/1001-00000001``."""
    counted: bool
    armed: bool
    spared: bool


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


async def untied(ari: AriConnection, legs: Collection[str], moving: str) -> None:
    """Take one leg of a call out of its ties: nobody's end is its own, and its end nobody's.

    legs: ids of all legs of the call that it leaves. Raises ServerError.
    """
    try:
        stood = (await ari.channels.get_channel_var(channel_id=moving, variable=OTHERS)).value
    except RequestFailedError as error:
        if not error.is_not_found:
            raise
        # It was never tied.
        return
    _log.debug("%s is tied no more to %s", moving, stood)
    own = (_IN_GROUP, "CHANNEL(hangup_handler_pop)")
    loose = [(moving, variable) for variable in own] + [(leg, OTHERS) for leg in {moving, *legs}]
    await asyncio.gather(
        *(
            ari.channels.set_channel_var(channel_id=leg, variable=variable, value="")
            for leg, variable in loose
        )
    )


class Ties:
    """What of it stands for one call."""

    def __init__(self, release: Release, call: CallId) -> None:
        self._release = release
        self._call = call
        self._stand: dict[str, dict[str, str]] = {}
        """What was set, per channel that was tied."""

    async def make(
        self, legs: Sequence[Leg], anchors: Collection[str], lines: Collection[str]
    ) -> bool:
        """Let the legs be tied as they say. anchors: Asterisk's names; lines: ids of the agent's.

        What fails is logged: the call does not depend on it. False: it may be tried again.
        """
        if not legs:
            return True
        try:
            if await self._release.possible(legs[0].channel_id):
                spared = any(leg.spared for leg in legs)
                await asyncio.gather(
                    *(self._tie(leg, legs, anchors) for leg in legs),
                    *(self._set(line, {_IN_LINES: self._call}) for line in lines if spared),
                )
        except ServerError as error:
            _log.warning("call %s: legs not tied together: %s", self._call, error)
            return False
        return True

    async def _tie(self, leg: Leg, legs: Sequence[Leg], anchors: Collection[str]) -> None:
        others = [other.name for other in legs if other is not leg]
        ends = "&".join([*others, *anchors]) if leg.armed or leg.spared else ""
        stood = self._stand.get(leg.channel_id, {})
        if not (ends or leg.counted or stood):
            return
        wanted = {
            OTHERS: ends,
            SPARED: str(int(leg.spared)),
            _IN_GROUP: self._call if leg.counted else "",
            "CHANNEL(hangup_handler_push)": f"{CONTEXT},{_EXTENSION},1({self._call})",
        }
        await self._set(leg.channel_id, wanted)

    async def _set(self, channel_id: str, wanted: Mapping[str, str]) -> None:
        stood = self._stand.get(channel_id, {})
        changes = {name: value for name, value in wanted.items() if stood.get(name) != value}
        await asyncio.gather(*(self._release.write(channel_id, *item) for item in changes.items()))
        self._stand[channel_id] = {**stood, **changes}
