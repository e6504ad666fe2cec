"""Makes Asterisk's objects of one call such as they are wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType

from bridge.ari import AriConnection, models
from bridge.model.audibility import Wanted
from bridge.model.errors import (
    CommandTimeoutError,
    ServerError,
    ServerUnreachableError,
)
from bridge.model.headers import Headers
from bridge.model.participants import Participant
from bridge.runtime.agent import AgentMedia
from bridge.runtime.arrivals import Arrival, Arrivals
from bridge.runtime.names import CallId, Names
from bridge.runtime.orders import Orders
from bridge.topology.diff import (
    AddMember,
    CloseGate,
    Command,
    CreateAnchor,
    CreateBridge,
    CreateMedia,
    CreateSnoop,
    OpenGate,
    RemoveMember,
    Stage,
    UnmuteLeg,
    apply,
    diff,
    still_applies,
    without_channel,
)
from bridge.topology.objects import (
    CALL_BRIDGE,
    HOLD_PREFIX,
    PULSE_PREFIX,
    Key,
    Topology,
    is_room,
    leg_key,
    media_key,
)
from bridge.topology.planner import plan

_log = logging.getLogger(__name__)

_PJSIP = "PJSIP/"
_ATTEMPTS = 3
_AGAIN_SECONDS = 0.05
"""Asterisk still lists what is just being hung up, such as the snoops of a leg that is going."""
_REMOVAL_ATTEMPTS = 3
_REMOVAL_PAUSE_SECONDS = 0.2

_UNKNOWN_OUTCOME = (ServerUnreachableError, CommandTimeoutError)


class Executor:
    """Knows what stands for a call, an observer or a gallery; changes it in safe stages.

    call: the id under which its objects are named. programs: who has media channels, by name; the
    owner of the mapping may change it. lets_stand: tells whether nothing is to be torn down, as it
    is left to another program.

    Its coroutines are not to be used by two tasks at once: the call's hands are their only user.
    What events tell (``channel_gone``, ``line_lost``) is noted at any time, in mid-change too.
    ``on_leg_gone(channel_id)``, to be set by the owner, is called when a look at Asterisk shows
    that a leg is gone whose end no event has told yet.
    """

    def __init__(
        self,
        ari: AriConnection,
        arrivals: Arrivals,
        names: Names,
        call: CallId,
        *,
        application: str,
        programs: Mapping[Participant, AgentMedia],
        lets_stand: Callable[[], bool] = lambda: False,
    ) -> None:
        self._lets_stand = lets_stand
        self._ari = ari
        self._arrivals = arrivals
        self._names = names
        self._call = call
        self._application = application
        self._ids: dict[Key, str] = {}
        self.music_of: Callable[[Participant], str] = lambda _party: ""
        """Which class of music somebody on hold hears; empty: Asterisk's default."""
        self._orders = Orders(
            ari,
            arrivals,
            application,
            programs,
            ids=self._ids,
            fresh=self._fresh,
            music_of=self._music_of,
        )
        self._stands = Topology()
        self._keys: dict[str, Key] = {}
        self._doubtful = False
        self._unsure: frozenset[Key] = frozenset()
        """Ends of lines, and legs, that may be shut though ``_stands`` says otherwise."""
        self._strays: set[str] = set()
        """Ids of objects that may exist and that nothing of ours uses: to be removed."""
        self._given: set[str] = set()
        """Ids of legs of our making that are another call's."""
        self._borrowed: set[Participant] = set()
        """Those whose legs belong to somebody else's call."""
        self.may_open: Callable[[Key], bool] = lambda _end: True
        """Whether somebody may still hear through an end; asked at the last moment."""
        self._parties: dict[str, Participant] = {}
        """Whose leg a channel is, until its end is told."""
        self.on_leg_gone: Callable[[str], None] = lambda _channel_id: None
        self.on_leg: Callable[[str], None] = lambda _channel_id: None
        """Called with the id of every leg that is known from now on."""
        self.farewells: dict[str, Callable[[], Awaitable[None]]] = {}
        """By ids of legs: what is done before we hang one up. Must not raise."""

    @property
    def stands(self) -> Topology:
        """What stands in Asterisk, as far as we know."""
        return self._stands

    @property
    def untidy(self) -> bool:
        """Whether something that nothing of ours uses is not removed yet."""
        return bool(self._strays)

    @property
    def anchor_names(self) -> tuple[str, ...]:
        """Asterisk's names of the anchors that were made here and stand."""
        names = self._orders.anchor_names
        return tuple(names[key] for key in sorted(self._stands.anchors) if key in names)

    def channel_of(self, party: Participant) -> str | None:
        """Return the id of a party's channel, None when it is gone."""
        key = leg_key(party)
        return self._ids.get(key) if key in self._stands.legs else None

    def id_of(self, key: Key) -> str | None:
        """Return the id of an object that stands, None when it does not."""
        return self._ids[key] if key in {*self._stands.channels, *self._stands.bridges} else None

    def lines_of(self, program: Participant) -> tuple[str, ...]:
        """Return the ids of a program's media channels."""
        media = self._stands.media.items()
        return tuple(self._ids[key] for key, channel in media if channel.owner == program)

    def party_of(self, channel_id: str) -> Participant | None:
        """Return whose leg a channel is; None when it is nobody's, or its end was told."""
        return self._parties.get(channel_id)

    def expect(self, channel_id: str) -> AbstractContextManager[Arrival]:
        """Expect a channel in the application that was not made here."""
        return self._arrivals.expect(channel_id)

    def add_leg(self, party: Participant, channel_id: str) -> None:
        """Note that a party's channel is there."""
        self._bind(leg_key(party), channel_id)
        self._parties[channel_id] = party
        self.on_leg(channel_id)
        legs = {**self._stands.legs, leg_key(party): party}
        self._stands = replace(self._stands, legs=legs)

    def rename_leg(self, party: Participant, name: Participant) -> None:
        """Note that somebody's leg is that of ``name`` from now on."""
        key = leg_key(party)
        if key in self._stands.legs:
            self._stands = without_channel(self._stands, key)
            self.add_leg(name, self._ids[key])

    def stray_leg(self, party: Participant) -> None:
        """Note that nobody wants a leg any more; it is hung up with the next ``sweep``."""
        key = leg_key(party)
        if key in self._stands.legs:
            self._stands = without_channel(self._stands, key)
            self._parties.pop(self._ids[key], None)
            self._strays.add(self._ids[key])

    def adopt(
        self,
        legs: Mapping[Participant, str],
        bridges: Mapping[Key, tuple[str, frozenset[str]]],
        anchors: Mapping[Key, str],
        anchor_names: Mapping[Key, str] = MappingProxyType({}),
    ) -> None:
        """Note what an earlier program left: ids of legs and of anchors, bridges and who is inside.

        bridges: by their keys, the id and the ids of the members. anchor_names: Asterisk's. Any leg
        in a bridge may be muted.
        """
        self._orders.anchor_names.update(anchor_names)
        for party, channel_id in legs.items():
            self.add_leg(party, channel_id)
        for key, anchor_id in anchors.items():
            self._bind(key, anchor_id)
        for key, (bridge_id, _) in bridges.items():
            self._bind(key, bridge_id)
        inside = {
            bridge: frozenset(self._keys[i] for i in members if i in self._keys)
            for bridge, (_, members) in bridges.items()
        }
        self._stands = replace(self._stands, bridges=inside, anchors=frozenset(anchors))
        # Who only rings cannot be muted, nor unmuted.
        there = frozenset[Key]().union(*inside.values())
        self._unsure |= frozenset(self._stands.legs) & there

    def borrow_legs(self, legs: Mapping[Participant, str]) -> None:
        """Note which channels (ids) people have now whose legs are not ours to hang up.

        What was laid to a channel that somebody had before is a stray from now on.
        """
        for person in list(self._borrowed):
            if legs.get(person) != self._ids[leg_key(person)]:
                self._borrowed.discard(person)
                self._drop_leg(person)
        for person, channel_id in legs.items():
            if leg_key(person) not in self._stands.legs:
                self._borrowed.add(person)
                self.add_leg(person, channel_id)

    def give_leg(self, party: Participant) -> None:
        """Let another call have a party's leg: it is neither hung up nor moved by us any more."""
        if (channel_id := self.channel_of(party)) is not None:
            self._given.add(channel_id)
            self._drop_leg(party)

    def _drop_leg(self, person: Participant) -> None:
        leg = leg_key(person)
        ends = {k for k in self._stands.snoops if k.startswith(f"snoop.{person}.")}
        ends |= {k for k, snoop in self._stands.snoops.items() if snoop.target == leg}
        ends |= {k for k in self._stands.media if k.endswith(f".{person}")}
        for end in ends:
            self._strays.add(self._ids[end])
            self._stands = without_channel(self._stands, end)
        self._parties.pop(self._ids[leg], None)
        self._stands = without_channel(self._stands, leg)

    def channel_gone(self, channel_id: str) -> bool:
        """Note that a channel is not there any more; tell whether it still stood for us."""
        self._parties.pop(channel_id, None)
        key = self._keys.get(channel_id)
        if key is None or key not in self._stands.channels or self._ids[key] != channel_id:
            return False
        self._stands = without_channel(self._stands, key)
        return True

    def doubt(self) -> None:
        """What we know may be wrong: look again before the next change."""
        self._doubtful = True

    def line_lost(self, program: Participant, far: Participant) -> None:
        """Note that a program's media channel to somebody broke: the next plan makes a new one."""
        key = media_key(program, far)
        if key in self._stands.media:
            self._strays.add(self._ids[key])
            self._stands = without_channel(self._stands, key)

    async def create_leg(
        self, party: Participant, endpoint: str, *, number: str, name: str, headers: Headers = ()
    ) -> tuple[str, str]:
        """Make a leg to ``endpoint`` that does not ring yet; return its channel's id and name.

        number, name: who is calling, as the endpoint will show it. headers: SIP headers that go
        with the INVITE, should it be a PJSIP endpoint. Raises ServerError.
        """
        channel_id = self._fresh(leg_key(party))
        shown = {"CONNECTEDLINE(num,i)": number, "CONNECTEDLINE(name,i)": name}
        if endpoint.startswith(_PJSIP):
            shown |= {f"PJSIP_HEADER(add,{header})": value for header, value in headers}
        with self._arrivals.expect(channel_id) as arrival:
            channel = await self._ari.channels.create(
                endpoint=endpoint,
                app=self._application,
                channel_id=channel_id,
                variables={key: value for key, value in shown.items() if value},
            )
            await self._orders.enter(arrival)
        self.add_leg(party, channel_id)
        self._strays.discard(channel_id)
        return channel_id, channel.name

    async def converge(self, wanted: Wanted) -> None:
        """Make what is wanted hold. After a failure look again, plan again, a few times.

        Who has no leg any more is left out: see ``channel_of``. Raises ServerError when it
        cannot be had; what stands then is safe (see topology.diff), and looked at before the next
        change. A server that does not answer is not asked again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            if self._doubtful:
                await self.observe()
            await self.sweep()
            present = wanted.among(frozenset(self._stands.legs.values()))
            failures = await self._run(self._stages(replace(plan(present), legs=self._stands.legs)))
            if not failures:
                return
            self.doubt()
            _log.warning("call %s: attempt %d: %s", self._call, attempt, failures[0])
            unknown = [f for f in failures if isinstance(f, _UNKNOWN_OUTCOME)]
            if unknown or attempt == _ATTEMPTS:
                raise (unknown or failures)[0]
            await asyncio.sleep(_AGAIN_SECONDS * attempt)

    async def observe(self) -> None:
        """Learn from Asterisk what stands. A gate whose state is not known counts as open."""
        self._doubtful = False
        # Whose leg comes while we ask is not in the list, and not missing for that.
        known = self._stands.channels
        try:
            channels = {channel.id for channel in await self._ari.channels.list()}
            bridges = {bridge.id: bridge for bridge in await self._ari.bridges.list()}
        except ServerError:
            self.doubt()
            raise
        there = known & self._stands.channels
        gone = [key for key in there if self._ids[key] not in channels]
        for key in gone:
            self._stands = without_channel(self._stands, key)
            if self._ids[key] in self._parties:
                self.on_leg_gone(self._ids[key])
        self._stands = replace(
            self._stands,
            bridges={
                key: self._members(bridges[self._ids[key]])
                for key in self._stands.bridges
                if self._ids[key] in bridges
            },
            snoops={k: replace(s, gate_open=True) for k, s in self._stands.snoops.items()},
            media={k: replace(m, gate_open=True) for k, m in self._stands.media.items()},
            muted=frozenset(),
        )
        self._unsure = self._orders.shut_once
        standing = {self._ids[key] for key in (*self._stands.channels, *self._stands.bridges)}
        ours = {i for i in (*channels, *bridges) if self._is_ours(i)}
        self._strays |= ours - standing

    async def sweep(self) -> None:
        """Remove what nothing of ours uses. What fails is logged, and tried again next time."""
        strays = list(self._strays)
        outcomes = await asyncio.gather(*map(self._remove_stray, strays), return_exceptions=True)
        for stray, outcome in zip(strays, outcomes, strict=True):
            if outcome is None:
                self._strays.discard(stray)
            elif isinstance(outcome, ServerError):
                _log.warning("call %s: %s is not removed yet: %s", self._call, stray, outcome)
            else:
                raise outcome

    async def tear_down(self, cause: int | None) -> None:
        """Hang up all legs with ``cause`` and remove every object.

        Without a cause the legs, and the bridges that they are in, are left as they are.

        What cannot be removed is logged; it is found and removed by the next reconciliation.
        """
        if self._lets_stand():
            return
        stands, self._stands = self._stands, Topology()
        channels = [*stands.snoops, *stands.media]
        bridges = [key for key in stands.bridges if not is_room(key)]
        legs: list[str] = []
        if cause is not None:
            channels += stands.anchors
            bridges = list(stands.bridges)
            ours = (key for key, person in stands.legs.items() if person not in self._borrowed)
            legs = [self._ids[key] for key in ours]
        ends = {self._ids[key] for key in channels}
        try:
            await asyncio.gather(*(self._release(leg, cause) for leg in legs))
            self._strays |= ends
            await self.sweep()
        except asyncio.CancelledError:
            # Whoever goes on with it in haste finds all of it.
            self._strays |= {*ends, *legs}
            raise
        finally:
            self._strays |= {self._ids[key] for key in bridges}
        for attempt in range(_REMOVAL_ATTEMPTS):
            await self.sweep()
            if not self._strays or not self._ari.state.is_up:
                return
            await asyncio.sleep(_REMOVAL_PAUSE_SECONDS * attempt)

    async def hang_up(self, party: Participant, cause: int) -> None:
        """Hang up one leg; once it was bidden farewell it counts as gone."""
        channel_id = self.channel_of(party)
        if channel_id is not None:
            await self._bid_farewell(channel_id)
            self.channel_gone(channel_id)
            await self._release(channel_id, cause)

    async def _release(self, leg_id: str, cause: int | None) -> None:
        """Hang up a leg; one that does not go is a stray."""
        await self._bid_farewell(leg_id)
        try:
            await self._orders.hang_up(leg_id, cause)
        except ServerError as error:
            _log.warning("call %s: leg %s is not released yet: %s", self._call, leg_id, error)
            self._strays.add(leg_id)

    async def _bid_farewell(self, leg_id: str) -> None:
        if (farewell := self.farewells.pop(leg_id, None)) is not None:
            await farewell()

    async def _remove_stray(self, object_id: str) -> None:
        name = self._names.read(object_id)
        if name is not None and name.key.startswith("bridge."):
            await self._orders.destroy(object_id)
        else:
            await self._orders.hang_up(object_id)

    def _is_ours(self, object_id: str) -> bool:
        """Tell whether an object is to be there by a plan or not at all. A pulse has its owner."""
        name = self._names.read(object_id)
        if name is None or name.key.startswith(PULSE_PREFIX) or object_id in self._given:
            return False
        return name.call == self._call

    def _bind(self, key: Key, object_id: str) -> None:
        self._ids[key] = object_id
        self._keys[object_id] = key

    def _fresh(self, key: Key) -> str:
        """Return an id for an object to be made; it is a stray until it is known to stand."""
        object_id = self._names.fresh(self._call, key)
        self._bind(key, object_id)
        self._strays.add(object_id)
        return object_id

    def _stages(self, wanted: Topology) -> Sequence[Stage]:
        """Return what leads to ``wanted``; what may be shut is opened though known open."""
        stages = diff(self._stands, wanted)
        gates = self._unsure & self._stands.open_gates & wanted.open_gates
        legs = self._unsure & frozenset(self._stands.legs) - wanted.muted
        again: Stage = (*map(OpenGate, sorted(gates)), *map(UnmuteLeg, sorted(legs)))
        return (*stages, again) if again else stages

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

    async def _is_timely(self, command: Command) -> bool:
        """Tell, when it is its turn, whether a command does not let hear who is to no more."""
        match command:
            case OpenGate(end):
                await self._orders.hooked(end)
                return self.may_open(end)
            case AddMember(_, end) if (media := self._stands.media.get(end)) and media.gate_open:
                return self.may_open(end)
            case _:
                return True

    def _music_of(self, party: Participant) -> str:
        return self.music_of(party)

    def _is_held(self, channel: Key) -> bool:
        return (self._stands.bridge_of(channel) or "").startswith(HOLD_PREFIX)

    async def _attempt(self, command: Command) -> ServerError | None:
        if not await self._is_timely(command):
            return None
        try:
            if isinstance(command, AddMember | RemoveMember) and self._is_held(command.channel):
                await self._orders.hush(command.channel)
            await self._orders.carry_out(command)
        except ServerError as error:
            return error
        if still_applies(command, self._stands):
            self._stands = apply(self._stands, command)
        match command:
            case AddMember(bridge, leg) if bridge == CALL_BRIDGE and leg in self._stands.legs:
                # With the first leg they are three, and softmix begins.
                self._orders.mix_begins()
            case CreateBridge(key) | CreateSnoop(key) | CreateMedia(key) | CreateAnchor(key):
                self._strays.discard(self._ids[key])
            case OpenGate(key) | CloseGate(key) | UnmuteLeg(key):
                self._unsure -= {key}
            case _:
                pass
        return None
