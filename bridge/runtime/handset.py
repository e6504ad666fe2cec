"""What somebody does at his phone besides talking: keys, the hold button, a transfer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bridge.ari import events
from bridge.model.participants import Participant

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
