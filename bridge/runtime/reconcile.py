"""Comparing what stands in Asterisk with what we know, after a break or an earlier run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Protocol

from bridge.ari import AriConnection, events, models
from bridge.model.errors import CommandTimeoutError, RequestFailedError
from bridge.model.participants import CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.names import CallId, Names
from bridge.runtime.originating import Originations
from bridge.runtime.remains import Remains, missed, sort_out
from bridge.runtime.resume import Resumption
from bridge.runtime.supervision import Supervision
from bridge.topology.objects import CALL_BRIDGE, Key

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who has the calls: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def names(self) -> Names:
        """Reads the ids of our objects."""

    @property
    def known(self) -> frozenset[CallId]:
        """Under which ids objects in Asterisk are in use."""

    @property
    def supervision(self) -> Supervision:
        """The observers."""

    @property
    def originations(self) -> Originations:
        """Those who are being rung to be callers."""

    @property
    def resumption(self) -> Resumption:
        """Takes up what is remembered."""

    @property
    def engines(self) -> tuple[CallEngine, ...]:
        """The calls that are known."""

    def take_missed(self, event: events.StasisStart) -> None:
        """Begin a call whose arrival was missed."""

    def adopt(
        self,
        incoming: IncomingCall,
        legs: Mapping[Participant, str],
        bridges: Mapping[Key, tuple[str, frozenset[str]]],
        anchors: Mapping[Key, str],
    ) -> None:
        """Look after parties who are talking.

        legs, anchors: ids of channels. bridges: ids, and those of their members.
        """


async def reconcile(owner: Owner) -> None:
    """Bring calls up to date, take over what still talks, remove what nobody uses.

    Raises ServerError when Asterisk cannot be asked.
    """
    ari, names = owner.ari, owner.names
    # What comes to be after the list was made is not in it, and is not missing for that.
    legs = {engine: engine.legs for engine in owner.engines}
    seats = owner.supervision.seats
    rung = owner.originations.legs
    channels = await ari.channels.list()
    bridges = await ari.bridges.list()
    states = {channel.id: channel.state for channel in channels}
    for engine, before in legs.items():
        engine.reconnected(before, states)
    owner.supervision.reconnected(seats, states)
    owner.originations.reconnected(rung, states)
    ours = frozenset[str]().union(*legs.values(), *(engine.legs for engine in owner.engines))
    # A leg that was brought into a call is named after the one that it came from.
    strangers = [channel for channel in channels if channel.id not in ours]
    remains = sort_out(strangers, bridges, names, owner.known)
    inside = {member for bridge in bridges for member in bridge.channels}
    belongs = frozenset(inside | {engine.incoming.channel_id for engine in legs})
    by_id = {channel.id: channel for channel in channels}
    # First everybody is under control again, the phones of observers before the calls that they are
    # on; then what is left over is removed.
    kept = frozenset[str]()
    for seats_only in (True, False):
        taken = await asyncio.gather(
            *(
                _taken_up(owner, call_id, found, by_id)
                for call_id, found in remains.items()
                if (found.seat is not None) is seats_only
            )
        )
        kept = kept.union(*taken)
    await asyncio.gather(
        *(_remove(ari, call_id, found, kept) for call_id, found in remains.items())
    )
    for channel in missed(channels, ari.settings.application, names, belongs | kept):
        _log.info("channel %s came while no events did", channel.id)
        owner.take_missed(_arrival(channel, ari.settings.application))


async def _taken_up(
    owner: Owner, call_id: CallId, found: Remains, by_id: Mapping[str, models.Channel]
) -> frozenset[str]:
    """Keep what is remembered, or else parties who talk, with their bridges; return all ids."""
    kept = await owner.resumption.take_up(call_id, found, by_id)
    if kept is not None:
        return kept
    legs = found.talking
    if not legs or CALL_BRIDGE not in found.rooms or legs[CALLER] not in by_id:
        return frozenset()
    owner.adopt(_incoming(by_id[legs[CALLER]], call_id), legs, found.rooms, found.anchors)
    rooms = (room for room, _ in found.rooms.values())
    return frozenset({*legs.values(), *found.anchors.values(), *rooms})


async def _remove(
    ari: AriConnection, call_id: CallId, found: Remains, kept: frozenset[str]
) -> None:
    """Remove what belongs to a call and is not kept: channels first."""
    channels = {*found.channels, *found.people} - kept
    bridges = set(found.bridges) - kept
    for object_id in sorted(channels | bridges):
        _log.info("call %s: removing %s, left over", call_id, object_id)
    # What is left over may be stuck: the requests of our calls must not wait behind its removal.
    beside = ari.beside
    await asyncio.gather(*(_removed(beside.channels.hangup(channel_id=i)) for i in channels))
    await asyncio.gather(*(_removed(beside.bridges.destroy(bridge_id=i)) for i in bridges))


async def _removed(removal: Awaitable[None]) -> None:
    """Await a removal. What Asterisk does not remove must not keep us from our calls."""
    try:
        await removal
    except RequestFailedError as error:
        if not error.is_not_found:
            _log.warning("not removed: %s", error)
    except CommandTimeoutError as error:
        _log.warning("not removed, it may be stuck in Asterisk: %s", error)


def _incoming(caller: models.Channel, call_id: CallId) -> IncomingCall:
    return IncomingCall(
        call_id=call_id,
        channel_id=caller.id,
        channel_name=caller.name,
        caller_number=caller.caller.number,
        caller_name=caller.caller.name,
        callee_number=caller.dialplan.exten,
    )


def _arrival(channel: models.Channel, application: str) -> events.StasisStart:
    """Return the event that was missed, as far as the channel tells it."""
    return events.StasisStart(
        application=application,
        timestamp=channel.creationtime,
        args=tuple(channel.dialplan.app_data.split(",")[1:]),
        channel=channel,
    )
