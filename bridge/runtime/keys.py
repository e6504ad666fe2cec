"""The keys of a supervisor's phone: digits become actions, one after the other.

A key arrives as ChannelDtmfReceived on the seat's channel, the same for RFC 4733 (when the key is
let go) and for SIP INFO; no sound of it is in what the parties hear, nor anything else the
supervisor says while it is down. A phone that sends keys as sound alone (in-band) cannot be helped:
there is no event, unless the endpoint's ``dtmf_mode`` has Asterisk listen for it, and whoever the
supervisor speaks to hears the tone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bridge.model.errors import CallbridgeError
from bridge.model.keys import KeyAction, KeyMap

_log = logging.getLogger(__name__)

_COUNTED = frozenset({KeyAction.NEXT})
"""Actions that, asked for twice, are to be done twice."""


class Keys:
    """What one supervisor asks for by keys: one action under way, and at most one that waits.

    While an action is under way the last key wins, except over LEAVE; a key that asks for what is
    under way already takes back what waits, and is nothing of its own. ``run()`` is the owner's
    task. act: carries one action out; a CallbridgeError from it goes to ``on_refused``, which must
    not block.
    """

    def __init__(
        self,
        keymap: KeyMap,
        act: Callable[[KeyAction], Awaitable[None]],
        *,
        on_refused: Callable[[KeyAction, CallbridgeError], None],
        owner: str,
    ) -> None:
        self._keymap = keymap
        self._act = act
        self._on_refused = on_refused
        self._owner = owner
        self._under_way: KeyAction | None = None
        self._waiting: KeyAction | None = None
        self._pressed = asyncio.Event()

    def press(self, digit: str) -> KeyAction | None:
        """Take a key; return what it asks for, None when nothing. Never blocks."""
        action = self._keymap[digit]
        if action is None or KeyAction.LEAVE in (self._under_way, self._waiting):
            return action
        is_repeat = action is self._under_way and action not in _COUNTED
        self._waiting = None if is_repeat else action
        self._pressed.set()
        return action

    async def run(self) -> None:
        """Carry out what is asked for, until cancelled. Raises what is no CallbridgeError."""
        while True:
            await self._pressed.wait()
            self._pressed.clear()
            self._under_way, self._waiting = self._waiting, None
            if self._under_way is not None:
                await self._carry_out(self._under_way)
            self._under_way = None

    async def _carry_out(self, action: KeyAction) -> None:
        try:
            await self._act(action)
        except CallbridgeError as error:
            _log.warning("%s: key for %s: %s", self._owner, action, error)
            self._on_refused(action, error)
