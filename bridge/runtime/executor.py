"""Makes Asterisk's objects of one call such as they are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from bridge.ari import AriConnection, models
from bridge.model.audibility import Audience
from bridge.model.errors import MediaError, RequestFailedError, ServerError, ServerUnreachableError
from bridge.model.participants import Participant
from bridge.runtime.agent import AgentMedia
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.names import CallId, Names
from bridge.topology.diff import (
    AddMember,
    CloseGate,
    Command,
    CreateAnchor,
    CreateBridge,
    CreateMedia,
    CreateSnoop,
    DestroyBridge,
    OpenGate,
    RemoveChannel,
    RemoveMember,
    Stage,
    apply,
    diff,
    without_channel,
)
from bridge.topology.objects import CALL_BRIDGE, Key, Topology, leg_key
from bridge.topology.planner import plan

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_ARRIVAL_SECONDS = 3.0
_NOT_FOUND = 404

BRIDGE_TYPE = "mixing"

ANCHOR_HOST = "127.0.0.1:9"
"""The discard port of Asterisk's own machine: an anchor's RTP goes nowhere. So an anchor needs
no program that runs, and the parties' mix stays as it is when ours does not."""

ANCHOR_FORMAT = "slin16"


class Executor:
    """Knows what stands for one call, and changes it by commands in safe stages.

    Not to be used by two tasks at once: the call's mailbox is its only user.
    """

    def __init__(
        self,
        ari: AriConnection,
        arrivals: Arrivals,
        names: Names,
        call: CallId,
        *,
        application: str,
        agent: AgentMedia | None,
    ) -> None:
        self._ari = ari
        self._arrivals = arrivals
        self._names = names
        self._call = call
        self._application = application
        self._agent = agent
        self._stands = Topology()
        self._ids: dict[Key, str] = {}
        self._keys: dict[str, Key] = {}
        self._doubtful = False

    @property
    def stands(self) -> Topology:
        """What stands in Asterisk, as far as we know."""
        return self._stands

    @property
    def channel_ids(self) -> frozenset[str]:
        """Ids of all channels of the call, legs included."""
        return frozenset(self._ids[key] for key in self._stands.channels)

    def channel_of(self, party: Participant) -> str | None:
        """Return the id of a party's channel, None when it is gone."""
        key = leg_key(party)
        return self._ids.get(key) if key in self._stands.legs else None

    def party_of(self, channel_id: str) -> Participant | None:
        """Return whose leg a channel is."""
        key = self._keys.get(channel_id)
        return self._stands.legs.get(key) if key else None

    def add_leg(self, party: Participant, channel_id: str) -> None:
        """Note that a party's channel is there."""
        self._bind(leg_key(party), channel_id)
        legs = {**self._stands.legs, leg_key(party): party}
        self._stands = replace(self._stands, legs=legs)

    def adopt(self, party: Participant, channel_id: str, bridge_id: str) -> None:
        """Note a second leg, and the bridge in which all legs are talking."""
        self.add_leg(party, channel_id)
        self._bind(CALL_BRIDGE, bridge_id)
        self._stands = replace(
            self._stands,
            bridges={**self._stands.bridges, CALL_BRIDGE: frozenset(self._stands.legs)},
        )

    def channel_gone(self, channel_id: str) -> bool:
        """Note that a channel is not there any more; tell whether it still stood for us."""
        key = self._keys.get(channel_id)
        if key is None or key not in self._stands.channels or self._ids[key] != channel_id:
            return False
        self._stands = without_channel(self._stands, key)
        return True

    def doubt(self) -> None:
        """What we know may be wrong: look again before the next change."""
        self._doubtful = True

    def line_lost(self, party: Participant) -> None:
        """Note that the agent's media channel to a party broke: the next plan makes a new one."""
        lost = [key for key in self._stands.media if key.endswith(f".{party}")]
        for key in lost:
            self._stands = without_channel(self._stands, key)

    async def create_leg(
        self, party: Participant, endpoint: str, *, number: str, name: str
    ) -> tuple[str, str]:
        """Make a leg to ``endpoint`` that does not ring yet; return its channel's id and name.

        number, name: who is calling, as the endpoint will show it. Raises ServerError.
        """
        channel_id = self._fresh(leg_key(party))
        shown = {"CONNECTEDLINE(num,i)": number, "CONNECTEDLINE(name,i)": name}
        with self._arrivals.expect(channel_id) as arrival:
            channel = await self._ari.channels.create(
                endpoint=endpoint,
                app=self._application,
                channel_id=channel_id,
                variables={key: value for key, value in shown.items() if value},
            )
            await self._or_hang_up(channel_id, arrival.wait(_ARRIVAL_SECONDS))
        self.add_leg(party, channel_id)
        return channel_id, channel.name

    async def converge(self, audience: Audience) -> None:
        """Make ``audience`` hold. After a failure look again, plan again, a few times.

        A party whose leg is gone is left out. Raises ServerError when it cannot be had; what
        stands then is known, and safe: see topology.diff.
        """
        if self._doubtful:
            await self.observe()
        for attempt in range(1, _ATTEMPTS + 1):
            wanted = replace(plan(_present(audience, self._stands)), legs=self._stands.legs)
            failures = await self._run(diff(self._stands, wanted))
            if not failures:
                return
            _log.warning("call %s: attempt %d: %s", self._call, attempt, failures[0])
            if attempt == _ATTEMPTS or isinstance(failures[0], ServerUnreachableError):
                raise failures[0]
            await self.observe()

    async def observe(self) -> None:
        """Learn from Asterisk what stands. A gate whose state is not known counts as open."""
        channels = {channel.id for channel in await self._ari.channels.list()}
        bridges = {bridge.id: bridge for bridge in await self._ari.bridges.list()}
        gone = [key for key in self._stands.channels if self._ids[key] not in channels]
        for key in gone:
            self._stands = without_channel(self._stands, key)
        self._stands = replace(
            self._stands,
            bridges={
                key: self._members(bridges[self._ids[key]])
                for key in self._stands.bridges
                if self._ids[key] in bridges
            },
            snoops={k: replace(s, gate_open=True) for k, s in self._stands.snoops.items()},
        )
        self._doubtful = False

    async def tear_down(self, cause: int | None) -> None:
        """Hang up all legs with ``cause`` and remove every object; without one, leave the legs.

        Failures are logged, no more: what cannot be removed now is found and removed when the
        server is there again.
        """
        ours = [*self._stands.snoops, *self._stands.media]
        ours += self._stands.anchors if cause is not None else ()
        hang_ups = [self._hang_up(self._ids[key]) for key in ours]
        if cause is not None:
            hang_ups += [self._hang_up(self._ids[key], cause) for key in self._stands.legs]
        await self._settle(hang_ups)
        bridges = [key for key in self._stands.bridges if cause is not None or key != CALL_BRIDGE]
        await self._settle([self._destroy(self._ids[key]) for key in bridges])
        self._stands = Topology()

    async def hang_up(self, party: Participant, cause: int) -> None:
        """Hang up one leg; it counts as gone at once."""
        channel_id = self.channel_of(party)
        if channel_id is not None:
            self.channel_gone(channel_id)
            await self._settle([self._hang_up(channel_id, cause)])

    def _bind(self, key: Key, object_id: str) -> None:
        self._ids[key] = object_id
        self._keys[object_id] = key

    def _fresh(self, key: Key) -> str:
        object_id = self._names.fresh(self._call, key)
        self._bind(key, object_id)
        return object_id

    def _members(self, bridge: models.Bridge) -> frozenset[Key]:
        keys = (self._keys.get(channel) for channel in bridge.channels)
        return frozenset(key for key in keys if key in self._stands.channels)

    async def _run(self, stages: Sequence[Stage]) -> list[ServerError]:
        """Carry out stages until one of them has failures; return these."""
        for stage in stages:
            outcomes = await asyncio.gather(*map(self._attempt, stage))
            failures = [outcome for outcome in outcomes if outcome is not None]
            if failures:
                return failures
        return []

    async def _attempt(self, command: Command) -> ServerError | None:
        try:
            await self._do(command)
        except ServerError as error:
            return error
        if _still_there(command, self._stands):
            self._stands = apply(self._stands, command)
        return None

    async def _do(self, command: Command) -> None:
        ids = self._ids
        match command:
            case CreateBridge(bridge):
                bridge_id = self._fresh(bridge)
                await self._ari.bridges.create_with_id(bridge_id=bridge_id, type=BRIDGE_TYPE)
            case DestroyBridge(bridge):
                await self._destroy(ids[bridge])
            case CreateSnoop():
                await self._create_snoop(command)
            case CreateMedia(media, _):
                await self._create_media(media)
            case CreateAnchor(anchor):
                await self._create_anchor(anchor)
            case RemoveChannel(channel):
                await self._remove(channel)
            case AddMember(bridge, channel):
                await self._ari.bridges.add_channel(bridge_id=ids[bridge], channel=ids[channel])
            case RemoveMember(bridge, channel):
                await self._ari.bridges.remove_channel(bridge_id=ids[bridge], channel=ids[channel])
            case OpenGate(snoop) | CloseGate(snoop):
                await self._gate(ids[snoop], is_open=isinstance(command, OpenGate))

    async def _gate(self, snoop_id: str, *, is_open: bool) -> None:
        turn = self._ari.channels.unmute if is_open else self._ari.channels.mute
        await turn(channel_id=snoop_id, direction="out")

    async def _create_snoop(self, command: CreateSnoop) -> None:
        snoop_id = self._fresh(command.snoop)
        with self._arrivals.expect(snoop_id) as arrival:
            await self._ari.channels.snoop_channel_with_id(
                channel_id=self._ids[command.target],
                snoop_id=snoop_id,
                app=self._application,
                spy=command.spy.value,
                whisper=command.whisper.value,
            )
            await self._or_hang_up(snoop_id, arrival.wait(_ARRIVAL_SECONDS))

    async def _create_media(self, media: Key) -> None:
        if self._agent is None:
            raise MediaError("there is no agent on this call to have a line")
        media_id = self._fresh(media)
        with self._arrivals.expect(media_id) as arrival:
            channel = await self._ari.channels.external_media(
                channel_id=media_id,
                app=self._application,
                external_host="INCOMING",
                transport="websocket",
                encapsulation="none",
                connection_type="server",
                format=self._agent.format.asterisk_name,
            )
            connection_id = (channel.channelvars or {}).get("MEDIA_WEBSOCKET_CONNECTION_ID")
            if not connection_id:
                raise MediaError("Asterisk gave no MEDIA_WEBSOCKET_CONNECTION_ID: 22.6 has it")
            await self._or_hang_up(media_id, self._agent.open(_party(media), connection_id))
            await self._or_hang_up(media_id, arrival.wait(_ARRIVAL_SECONDS))

    async def _create_anchor(self, anchor: Key) -> None:
        anchor_id = self._fresh(anchor)
        with self._arrivals.expect(anchor_id) as arrival:
            await self._ari.channels.external_media(
                channel_id=anchor_id,
                app=self._application,
                external_host=ANCHOR_HOST,
                format=ANCHOR_FORMAT,
            )
            await self._or_hang_up(anchor_id, arrival.wait(_ARRIVAL_SECONDS))

    async def _or_hang_up(self, channel_id: str, ready: Awaitable[None]) -> None:
        """Await ``ready``; when it fails, leave no half-made channel behind."""
        try:
            await ready
        except ServerError:
            await self._settle([self._hang_up(channel_id)])
            raise

    async def _remove(self, channel: Key) -> None:
        if self._agent is not None and channel in self._stands.media:
            await self._agent.close(_party(channel))
        await self._hang_up(self._ids[channel])

    async def _hang_up(self, channel_id: str, cause: int | None = None) -> None:
        try:
            await self._ari.channels.hangup(
                channel_id=channel_id, reason_code=None if cause is None else str(cause)
            )
        except RequestFailedError as error:
            if error.status != _NOT_FOUND:
                raise

    async def _destroy(self, bridge_id: str) -> None:
        try:
            await self._ari.bridges.destroy(bridge_id=bridge_id)
        except RequestFailedError as error:
            if error.status != _NOT_FOUND:
                raise

    async def _settle(self, removals: Sequence[Awaitable[None]]) -> None:
        """Await all; log what failed."""
        for outcome in await asyncio.gather(*removals, return_exceptions=True):
            if isinstance(outcome, ServerError):
                _log.warning("call %s: not removed: %s", self._call, outcome)
            elif isinstance(outcome, BaseException):
                raise outcome


def _present(audience: Audience, stands: Topology) -> Audience:
    """Return the audience without parties whose legs are gone."""
    parties = audience.parties & frozenset(stands.legs.values())
    heard_by = tuple((who, listeners & parties) for who, listeners in audience.heard_by)
    return Audience(parties, heard_by)


def _party(media: Key) -> Participant:
    return Participant(media.rpartition(".")[2])


def _still_there(command: Command, stands: Topology) -> bool:
    """Tell whether what a command was about has not ended while it was carried out."""
    match command:
        case AddMember(bridge, channel) | RemoveMember(bridge, channel):
            return bridge in stands.bridges and channel in stands.channels
        case OpenGate(snoop) | CloseGate(snoop):
            return snoop in stands.snoops
        case CreateSnoop(_, target, _, _):
            return target in stands.legs
        case _:
            return True
