"""What Asterisk tells, as facts for the directory.

Which events tell what, in an application that is subscribed to everything (Asterisk 22.10.1):

====================  ============================================================================
talking               ChannelEnteredBridge, ChannelLeftBridge (main/bridge_channel.c): also for
                      members that are moved, swapped or merged, one event a channel
hold                  ChannelHold, ChannelUnhold (main/channel.c, ast_queue_hold): for the channel
                      of him who put the others on hold, as a re-INVITE with sendonly or inactive
                      does (res_pjsip_sdp_rtp.c). A list of channels does not show it, the
                      variable CHANNEL(onhold) of the one who hears music does
blind transfer        BridgeBlindTransfer, and what happens to the channels: the transferred one
                      leaves its bridge and goes on in the dialplan, the other one ends
attended transfer     BridgeAttendedTransfer, and the move, swap or merge itself
merge                 BridgeMerged, and ChannelLeftBridge, ChannelEnteredBridge a moved channel
parking               no event of its own (main/parking.c has no JSON for it): the parked channel
                      enters a holding bridge whose creator is ``Parking``
masquerade            no event of its own (main/stasis_channels.c): the ids are swapped with the
                      channels' insides (main/channel.c, channel_do_masquerade), so that an id
                      stays with its owner's phone; the other, renamed to ``<ZOMBIE>``, ends
Local optimisation    no event of its own (main/core_local.c has no JSON for it): the real channel
                      takes the place of the Local one, which ends
====================  ============================================================================

So membership alone is read, and what a transfer was called is not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bridge.ari import events, models
from bridge.ari.generated.events import AnyMessage
from bridge.directory import (
    BridgeFact,
    BridgeGone,
    ChannelFact,
    ChannelGone,
    ChannelSeen,
    Entered,
    Fact,
    Hold,
    Left,
)
from bridge.runtime.names import key_of
from bridge.topology.objects import CALL_BRIDGE

NEEDED: Final = (
    events.ApplicationReplaced,
    events.BridgeDestroyed,
    events.ChannelCallerId,
    events.ChannelCreated,
    events.ChannelDestroyed,
    events.ChannelEnteredBridge,
    events.ChannelHold,
    events.ChannelLeftBridge,
    events.ChannelStateChange,
    events.ChannelUnhold,
    events.RESTResponse,
)
"""The events that are asked for. Answers on the WebSocket pass through the same filter."""
_LEG: Final = "leg."


def is_party(channel_id: str) -> bool:
    """Whether a channel may be a party's, judged by its id: not one of an observer's."""
    key = key_of(channel_id)
    return key is None or key.startswith(_LEG)


def is_parties(bridge_id: str) -> bool:
    """Whether people may talk in a bridge, judged by its id: not one of an observer's."""
    key = key_of(bridge_id)
    return key is None or key == CALL_BRIDGE


def channel_fact(channel: models.Channel) -> ChannelFact:
    """Return what the directory needs of a channel."""
    return ChannelFact(
        id=channel.id,
        name=channel.name,
        up=channel.state == "Up",
        created=_seconds(channel.creationtime),
        number=channel.caller.number,
        owner=channel.caller.name,
        app=channel.dialplan.app_name,
    )


def bridge_fact(bridge: models.Bridge) -> BridgeFact:
    """Return what the directory needs of a bridge."""
    return BridgeFact(
        id=bridge.id,
        created=_seconds(bridge.creationtime),
        waiting=bridge.bridge_type == "holding",
        creator=bridge.creator,
    )


def fact_of(event: AnyMessage) -> Fact | None:
    """Return what an event tells about calls, None when it is nothing."""
    match event:
        case events.ChannelDestroyed(channel=channel):
            return ChannelGone(channel.id) if is_party(channel.id) else None
        case events.BridgeDestroyed(bridge=bridge):
            return BridgeGone(bridge.id) if is_parties(bridge.id) else None
        case events.ChannelEnteredBridge(bridge=bridge, channel=models.Channel() as channel):
            return _moved(bridge, channel)
        case (
            events.ChannelCreated(channel=channel)
            | events.ChannelStateChange(channel=channel)
            | events.ChannelCallerId(channel=channel)
            | events.ChannelLeftBridge(channel=channel)
            | events.ChannelHold(channel=channel)
            | events.ChannelUnhold(channel=channel)
        ) if is_party(channel.id):
            return _of_channel(event, channel_fact(channel))
        case _:
            return None


def _moved(bridge: models.Bridge, channel: models.Channel) -> Fact | None:
    if not is_party(channel.id):
        return None
    if not is_parties(bridge.id):
        return ChannelSeen(channel_fact(channel))
    return Entered(bridge_fact(bridge), channel_fact(channel))


def _of_channel(event: AnyMessage, channel: ChannelFact) -> Fact:
    match event:
        case events.ChannelLeftBridge(bridge=bridge):
            return Left(bridge.id, channel)
        case events.ChannelHold():
            return Hold(channel, on=True)
        case events.ChannelUnhold():
            return Hold(channel, on=False)
        case _:
            return ChannelSeen(channel)


def _seconds(timestamp: str) -> float:
    """Read ``2026-02-02T10:11:12.123+0000``: seconds since 1970."""
    return datetime.fromisoformat(timestamp).timestamp()
