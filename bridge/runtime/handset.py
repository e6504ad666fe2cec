"""What somebody does at his phone besides talking: keys, the hold button, a transfer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from bridge.ari import events
from bridge.model.participants import Participant

_KEYS_KEPT: Final = 1000

HandsetEvent: TypeAlias = (
    events.ChannelDtmfReceived | events.ChannelHold | events.ChannelUnhold | events.ChannelTransfer
)

HandsetListener: TypeAlias = Callable[[Participant, HandsetEvent], None]
"""Told whose phone, and what. Must not block."""


def channel_of(event: HandsetEvent) -> str:
    """Return the id of the channel at whose phone it happened."""
    if isinstance(event, events.ChannelTransfer):
        return event.referred_by.source_channel.id
    return event.channel.id


class Keystrokes:
    """Tells the keys that were pressed from those that Asterisk tells of twice.

    A key whose end comes without a beginning, or too soon after another, is put off by Asterisk for
    some 50 ms, or for as long as the other sounds, and published again when it is read again
    (main/channel.c, __ast_read). But who presses a key anew has let go of it before it begins: so
    it is told of later than the same key before by more than its own length. The pause between, 40
    ms at least (ITU-T Q.24), is what the telling may be late.
    """

    def __init__(self) -> None:
        self._pressed: dict[tuple[str, str], datetime] = {}
        """When a key was last pressed at a channel, by Asterisk's clock."""

    def is_new(self, event: events.ChannelDtmfReceived) -> bool:
        """Tell whether a key was pressed that was not told of yet; an event without time is new."""
        try:
            at = datetime.fromisoformat(event.timestamp)
        except ValueError:
            return True
        key = event.channel.id, event.digit
        before = self._pressed.get(key)
        lasted = timedelta(milliseconds=event.duration_ms)
        if before is not None and timedelta() <= at - before < lasted:
            return False
        if len(self._pressed) >= _KEYS_KEPT:
            # The longest untouched: what is put in again goes to the end.
            del self._pressed[next(iter(self._pressed))]
        self._pressed.pop(key, None)
        self._pressed[key] = at
        return True
