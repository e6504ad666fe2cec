"""What Asterisk tells of a channel, told to whose channel it is."""

from __future__ import annotations

from typing import TypeAlias

from bridge.ari import events
from bridge.model.ids import CallId
from bridge.model.states import HangupCause
from bridge.runtime.engine import CallEngine
from bridge.runtime.supervision import Supervision

ChannelEvent: TypeAlias = (
    events.StasisEnd
    | events.ChannelHangupRequest
    | events.ChannelStateChange
    | events.ChannelDestroyed
)


def tell_engine(engine: CallEngine, event: ChannelEvent) -> None:
    """Tell a call of ours of a channel of its own."""
    channel = event.channel
    match event:
        case events.StasisEnd():
            engine.leg_ends.left(channel.id)
        case events.ChannelHangupRequest(cause=cause, soft=soft):
            engine.leg_ends.requested(channel.id, cause or 0, soft=bool(soft))
        case events.ChannelStateChange() if channel.state == "Up":
            engine.channel_up(channel.id)
        case events.ChannelDestroyed(cause=cause, cause_txt=text):
            engine.leg_ends.gone(channel.id, cause, text)
        case _:
            pass


def tell_supervision(supervision: Supervision, owner: CallId | None, event: ChannelEvent) -> None:
    """Tell the observers of a channel that is no call's. owner: what its id says."""
    channel = event.channel
    match event:
        case events.StasisEnd():
            supervision.channel_gone(channel.id, owner)
        case events.ChannelDestroyed(cause=cause):
            supervision.channel_gone(channel.id, owner, cause or HangupCause.NORMAL)
        case events.ChannelStateChange() if channel.state == "Up":
            supervision.channel_up(channel.id)
        case _:
            pass
