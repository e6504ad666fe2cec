"""Comparing what stands in Asterisk with what we know, after a break or an earlier run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Protocol

from bridge.ari import AriConnection, events, models
from bridge.model.errors import CallbridgeError, CommandTimeoutError, RequestFailedError
from bridge.model.participants import CALLER, Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.incoming import IncomingCall
from bridge.runtime.names import CallId, Names
from bridge.runtime.originating import Originations
from bridge.runtime.remains import Remains, missed, sort_out
from bridge.runtime.resume import Resumption
from bridge.runtime.retry import Retry
from bridge.runtime.supervision import Supervision
from bridge.topology.objects import CALL_BRIDGE, Key

_log = logging.getLogger(__name__)


class Reconciliation:
    """Reconciles one at a time, and after a break until it was had.

    spawn: owns a task, by its name.
    """

    def __init__(
        self, owner: Owner, spawn: Callable[[Coroutine[None, None, None], str], object]
    ) -> None:
        self._owner = owner
        self._spawn = spawn
        self._again = Retry(self.soon)
        self._stopped = False
        self.lock = asyncio.Lock()
        """Held while it is under way."""

    async def now(self) -> None:
        """Reconcile. Raises ServerError."""
        async with self.lock:
            await reconcile(self._owner)

    def soon(self) -> None:
        """Reconcile in a task; what Asterisk refuses is asked for again while the link is up."""
        self._spawn(self._had(), "reconcile")

    def stop(self) -> None:
        """Try no more by itself; what is under way goes on."""
        self._stopped = True
        self._again.stop()

    async def _had(self) -> None:
        self._again.stop()
        try:
            await self.now()
        except CallbridgeError as error:
            _log.warning("not compared with what stands in Asterisk yet: %s", error)
            # When the link is down again, its next UP comes back here.
            if self._owner.ari.state.is_up and not self._stopped:
                self._again.later()
        else:
            # One that was waited for may have failed meanwhile.
            self._again.stop()
            self._again.succeeded()


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
