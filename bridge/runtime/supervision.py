"""All observers of one controller: on which calls they are, whom they meet there, what they did."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from bridge.ari import AriConnection
from bridge.directory import CallEnded, Change, Directory, LiveCall
from bridge.model.context import CALL_ID
from bridge.model.errors import (
    BadArgumentError,
    CallNotFoundError,
    InvalidStateError,
)
from bridge.model.ids import CallId
from bridge.model.modes import BARGE, SPY, AudioMode, ObserverMode
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant
from bridge.runtime.agent import AgentMedia
from bridge.runtime.audit import Audit
from bridge.runtime.desk import Desk
from bridge.runtime.engine import CallEngine
from bridge.runtime.executor import Executor
from bridge.runtime.flow import Flow
from bridge.runtime.gallery import GalleryEngine, Member
from bridge.runtime.names import new_call_id
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.people import people_of
from bridge.runtime.remembering import Remembering
from bridge.runtime.takeovers import Takeovers
from bridge.runtime.whereabouts import Place, Whereabouts
from bridge.session.inputs import ServerLost, Token
from bridge.session.observer import Stage, inputs
from bridge.session.observer.effects import LeftReason, ObserverNotice, Tell
from bridge.session.observer.inputs import Person

_log = logging.getLogger(__name__)

_ROLE = re.compile(r"party\d+")
"""What further parties are called: see LiveParty.role."""
_ON_CALL = frozenset({Stage.JOINING, Stage.PRESENT, Stage.FINISHING})


class Host(Protocol):
    """Who has the link and the calls of our own: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def directory(self) -> Directory:
        """All live calls. Raises InvalidStateError when they are not watched."""

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call of our own that is going on."""

    def executor(self, object_id: CallId, programs: dict[Participant, AgentMedia]) -> Executor:
        """Make an executor for objects that are named by an id."""

    def new_program(self) -> AgentMedia:
        """Make the voice and ears of a program."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


@dataclass(slots=True)
class _Room:
    """The gallery of one call, and what ends it."""

    engine: GalleryEngine
    end: Callable[[], None]


def coached(call: LiveCall, target: str) -> Participant:
    """Return who is supervised: the one whose extension the call was chosen by, else the callee.

    A number that calls in chooses nobody.
    """
    agents = call.at(target)
    return agents[0] if len(agents) == 1 else CALLEE


def _is_own(place: Place, channel_id: str) -> bool:
    """Tell whether a channel is an observer's own, and its end was not told."""
    return place.engine.executor.party_of(channel_id) == place.engine.name


class Supervision:
    """Observers and galleries, and everything that is asked of an observer.

    An observer follows his call: whoever comes and goes, however it is transferred, and into
    another call that it becomes part of.
    """

    def __init__(self, host: Host, audit: Audit) -> None:
        self._host = host
        self.audit = audit
        self._places = Whereabouts()
        self._rooms: dict[CallId, _Room] = {}
        self._takeovers = Takeovers(self.call_of, host.engine)
        self._flow = Flow(host.ari, self._observed)
        self._flow_runs = False
        self.listeners: list[Callable[[ObserverEngine, Tell], None]] = []
        """Told of every observer; must not block."""
        self.remembering: Remembering | None = None
        """Told of who observes; to be set by the owner."""

    # --- who is there ---------------------------------------------------------------------------

    @property
    def ids(self) -> frozenset[CallId]:
        """Under which ids there are objects of ours in Asterisk."""
        rooms = (room.engine.gallery_id for room in self._rooms.values())
        return self._places.ids | frozenset(rooms)

    def observers_of(self, call_id: CallId) -> tuple[ObserverEngine, ...]:
        """Return who observes a call, by name."""
        here = (place.engine for place in self._places.on(call_id))
        there = [engine for engine in here if engine.state.stage is not Stage.GONE]
        return tuple(sorted(there, key=lambda engine: engine.name))

    def names_of(self, call_id: CallId) -> frozenset[Participant]:
        """Return what those who observe a call are called."""
        return frozenset(engine.name for engine in self.observers_of(call_id))

    def observer(self, observer_id: CallId) -> ObserverEngine | None:
        """Return an observer by the id of his objects."""
        place = self._places.get(observer_id)
        return place.engine if place else None

    def call_of(self, engine: ObserverEngine) -> CallId | None:
        """Return the call that an observer is on."""
        place = self._places.get(engine.observer_id)
        return place.call_id if place else None

    def gallery(self, call_id: CallId) -> GalleryEngine | None:
        """Return a call's gallery, None while it has none."""
        room = self._rooms.get(call_id)
        return room.engine if room else None

    def free_name(self) -> Participant:
        """Return a name that no observer has, on whichever call."""
        taken = {place.engine.name for place in self._places}
        names = (Participant(f"observer{number}") for number in count(1))
        return next(name for name in names if name not in taken)

    # --- coming, going, moving ------------------------------------------------------------------

    def admit(
        self,
        call: LiveCall,
        name: Participant,
        *,
        desk: Desk | None = None,
        hears_coaching: bool = False,
        observer_id: CallId | None = None,
    ) -> ObserverEngine:
        """Make an observer of a call; he joins it by the command Join.

        desk: of a person on a phone; None for a program. observer_id: of objects that there are
        already. Raises BadArgumentError when somebody on
        the call has the name, or may get it.
        """
        self._require_name(call, name)
        observer_id = observer_id or new_call_id()
        program = self._host.new_program() if desk is None else None
        engine = ObserverEngine(
            observer_id,
            name,
            self._host.ari,
            self._host.executor(observer_id, {} if program is None else {name: program}),
            program=program,
            chair=None if desk is None else desk.seat,
            hears_coaching=hears_coaching,
        )
        place = Place(engine, call.call_id, desk)
        self._places.add(place)
        engine.executor.on_leg = lambda channel_id: self._has_leg(place, channel_id)
        engine.on_change = lambda: self._look(engine)
        engine.listeners.append(self._told)
        engine.post(inputs.PeopleChanged(self._people(call)))
        end_desk = None
        if desk is not None:
            engine.phone = desk.seat.endpoint
            desk.attach(engine)
            if self.remembering is not None:
                self.remembering.begin_seat(engine)
            end_desk = self._host.spawn(desk.run(), f"desk of {name}")
        self._host.spawn(self._live(place, end_desk), f"observer {name}")
        self._count_audio(call)
        return engine

    def move(self, engine: ObserverEngine, call: LiveCall, *, by: str, target: str = "") -> None:
        """Take an observer to another call, where he is a spy at first.

        target: by which the call was chosen; see ``coached``. Raises InvalidStateError when he is
        on none, BadArgumentError for a name that is taken.
        """
        place = self._places.get(engine.observer_id)
        if place is None:
            raise InvalidStateError(f"{engine.name} observes no call any more")
        self._require_name(call, engine.name, of=engine)
        self._takeovers.gone(engine, place.call_id)
        before = place.call_id
        self._places.move(place, call.call_id)
        engine.coaches = coached(call, target)
        engine.post(inputs.Moved())
        engine.post(inputs.PeopleChanged(self._people(call)))
        self.audit.note(call.call_id, engine.name, f"moved here from call {before}", by=by)
        self._look_at(before)
        self._look(engine)
        self._count_audio(call)

    def move_on(self, engine: ObserverEngine, *, by: str) -> None:
        """Take an observer to the next live call. Raises CallNotFoundError, and what move does."""
        reaches = None if engine.limits is None else engine.limits.reaches
        found = self._host.directory.after(self.call_of(engine), reaches)
        if found is None:
            raise CallNotFoundError("there is no other live call")
        self.move(engine, found, by=by)

    # --- modes ----------------------------------------------------------------------------------

    async def change_mode(
        self, engine: ObserverEngine, mode: ObserverMode, *, cut: bool = False, by: str
    ) -> None:
        """Let an observer take part otherwise. Raises what the machine refuses it with."""
        with self._audited(engine, str(mode), by):
            if (call := self.live_call_of(engine)) is not None:
                # Whether the server needs it may have been measured since he joined.
                self._count_audio(call)
                self._flow.require(call, mode)
            if mode.mode is not AudioMode.BARGE and self._takeovers.has(engine):
                await self._takeovers.end(engine)
            await engine.command(lambda token: inputs.ChangeMode(token, mode, cut))

    async def take_over(
        self, engine: ObserverEngine, replaced: Participant, *, keep: bool, by: str
    ) -> None:
        """Let an observer speak in the place of the agent, human or AI; see Takeovers.begin."""
        what = f"take over from {replaced}{'' if keep else ', who is let go'}"
        with self._audited(engine, what, by):
            await self._takeovers.begin(engine, replaced, keep=keep)

    async def give_back(self, engine: ObserverEngine, *, by: str) -> None:
        """Let whoever was replaced speak again; the observer is a spy then."""
        with self._audited(engine, "give back", by):
            await self._takeovers.end(engine)
            await engine.command(lambda token: inputs.ChangeMode(token, SPY))

    def note_refused(self, engine: ObserverEngine, what: str, *, by: str, why: str) -> None:
        """Write down what an observer asked for and may not do."""
        self.audit.note(self.call_of(engine), engine.name, what, by=by, result=why)

    # --- what happens ---------------------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """A call of the directory has changed: observers follow it."""
        here = self._places.on(change.call.call_id)
        if not isinstance(change, CallEnded):
            people = self._people(change.call)
            for place in here:
                place.engine.post(inputs.PeopleChanged(people))
                self._remember(place.engine.observer_id)
            return
        into = self._became(change.call)
        for place in here:
            engine = place.engine
            if into is None or engine.name in self._names(into, but=engine):
                engine.post(inputs.CallOver())
            else:
                self._places.move(place, into.call_id)
                followed = change.call.channels.get(engine.coaches, "")
                engine.coaches = next(iter(into.meant_by(followed)), CALLEE)
                place.engine.post(inputs.PeopleChanged(self._people(into)))
        for place in here:
            self._remember(place.engine.observer_id)
        self._look_at(change.call.call_id)
        if into is not None:
            self._look_at(into.call_id)
            self._count_audio(into)

    def call_changed(self, call_id: CallId) -> None:
        """Something about a call of our own has changed: who is held, or how its agent speaks."""
        call = self._host.directory.get(call_id)
        if call is not None:
            for engine in self.observers_of(call_id):
                engine.post(inputs.PeopleChanged(self._people(call)))
        self._look_at(call_id)

    @property
    def seats(self) -> frozenset[str]:
        """Ids of the channels that are observers' own."""
        seats = (place.engine.seat_channel for place in self._places)
        return frozenset(seat for seat in seats if seat is not None)

    def is_seat(self, channel_id: str) -> bool:
        """Tell whether a channel is an observer's own."""
        return self._seated(channel_id) is not None

    def channel_up(self, channel_id: str) -> None:
        """A channel was answered: perhaps a phone that was rung."""
        if (place := self._seated(channel_id)) is not None and place.desk is not None:
            place.desk.seat.channel_up(channel_id)

    def channel_gone(self, channel_id: str, object_id: CallId | None, cause: int = 0) -> None:
        """A channel is gone. object_id: what its id says. cause: Q.850; 0 when it is not told yet.

        Of a phone that rings the cause is waited for: it says why nobody picked up.
        """
        if (place := self._seated(channel_id)) is not None:
            seat = place.desk.seat if place.desk is not None else None
            if seat is None or not seat.ringing:
                place.engine.channel_gone(channel_id)
            elif cause:
                seat.channel_gone(channel_id, cause)
        elif object_id is not None and (engine := self.observer(object_id)) is not None:
            engine.channel_gone(channel_id)
        else:
            for room in self._rooms.values():
                if room.engine.gallery_id == object_id:
                    room.engine.channel_gone(channel_id)

    def key_pressed(self, channel_id: str, digit: str) -> None:
        """A key was pressed on a channel: perhaps a supervisor's."""
        if (place := self._seated(channel_id)) is not None and place.desk is not None:
            place.desk.press(digit)

    def reconnected(self, seats: frozenset[str], states: Mapping[str, str]) -> None:
        """Events were lost.

        seats: ours before we asked; states: of all channels that Asterisk then had, by their ids.
        """
        for place in self._places:
            seat = place.engine.seat_channel
            if place.desk is not None and seat is not None and states.get(seat) == "Up":
                place.desk.seat.channel_up(seat)
            place.engine.reconnected(gone=seats - states.keys())
        for room in self._rooms.values():
            room.engine.reconnected()

    def lose_all(self) -> None:
        """Asterisk is gone."""
        for place in self._places:
            place.engine.post(ServerLost())

    async def close(self) -> None:
        """Let all observers leave."""
        for place in self._places:
            place.engine.post(inputs.Leave(Token(0), cut=True))
        for place in self._places:
            await place.engine.ended.wait()

    def hand_over(self) -> None:
        """All observers are left to another program, which the owner sees to."""
        for place in self._places:
            place.engine.ends_by = LeftReason.HANDED_OVER

    # --- inside ---------------------------------------------------------------------------------

    def _names(self, call: LiveCall, *, but: ObserverEngine | None = None) -> frozenset[str]:
        """Return what those on a call are called, and those who are just being added."""
        there = {engine.name for engine in self.observers_of(call.call_id) if engine is not but}
        own = self._host.engine(call.call_id)
        if own is not None:
            there |= own.session.parties | {adding.party for adding in own.session.adding}
        return frozenset(there | set(call.channels))

    def _require_name(
        self, call: LiveCall, name: Participant, *, of: ObserverEngine | None = None
    ) -> None:
        if name in self._names(call, but=of):
            raise BadArgumentError(f"somebody on call {call.call_id} is called {name!r} already")
        if name in {AGENT, CALLER, CALLEE} or _ROLE.fullmatch(name):
            raise BadArgumentError(f"{name!r} is what a party is called: choose another name")

    async def _live(self, place: Place, end_desk: Callable[[], None] | None) -> None:
        engine = place.engine
        CALL_ID.set(place.call_id)
        try:
            await engine.run()
        finally:
            if end_desk is not None:
                end_desk()
            if self.remembering is not None:
                self.remembering.end(engine.observer_id)
            self._places.remove(place)
            self._look_at(place.call_id)

    def _count_audio(self, call: LiveCall) -> None:
        """See to it that one learns who would not hear an observer of a call."""
        if self._flow.needed and not call.own and not self._flow_runs:
            self._flow_runs = True
            self._host.spawn(self._watch_flow(), "flow of audio")

    async def _watch_flow(self) -> None:
        try:
            await self._flow.run()
        finally:
            self._flow_runs = False

    def _observed(self) -> list[LiveCall]:
        calls = (self._host.directory.get(place.call_id) for place in self._places)
        return [call for call in calls if call is not None]

    def live_call_of(self, engine: ObserverEngine) -> LiveCall | None:
        """Return the call that an observer is on, as it is now."""
        call_id = self.call_of(engine)
        return self._host.directory.get(call_id) if call_id is not None else None

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        call_id = self.call_of(engine)
        if tell.notice is ObserverNotice.JOINED:
            self.audit.note(call_id, engine.name, "joined", by="callbridge")
        elif tell.notice is ObserverNotice.LEFT:
            self.audit.note(call_id, engine.name, f"left: {tell.reason}", by="callbridge")
            if call_id is not None:
                self._takeovers.gone(engine, call_id)
        elif tell.mode is not None:
            if tell.mode != BARGE:
                self._takeovers.fell_silent(engine)
            if tell.message:
                what = str(tell.mode)
                self.audit.note(call_id, engine.name, what, by="callbridge", result=tell.message)
        for listener in self.listeners:
            listener(engine, tell)

    def _seated(self, channel_id: str) -> Place | None:
        """Return whose own channel this is."""
        place = self._places.sitting(channel_id)
        return place if place is not None and _is_own(place, channel_id) else None

    def _has_leg(self, place: Place, channel_id: str) -> None:
        """A channel is known to an observer: his own, or that of somebody on the call."""
        if _is_own(place, channel_id):
            self._places.sit(place, channel_id)

    def _people(self, call: LiveCall) -> tuple[Person, ...]:
        return people_of(call, self._host.engine(call.call_id))

    def _became(self, call: LiveCall) -> LiveCall | None:
        """Return the call that an ended one has become part of."""
        directory = self._host.directory
        found = (directory.call_of(channel) for channel in call.channels.values())
        return next((other for other in found if other is not None), None)

    def _remember(self, object_id: CallId) -> None:
        if self.remembering is not None:
            self.remembering.changed(object_id)

    def _look(self, engine: ObserverEngine) -> None:
        self._remember(engine.observer_id)
        if (call_id := self.call_of(engine)) is not None:
            self._look_at(call_id)

    def _look_at(self, call_id: CallId) -> None:
        """Let a call's gallery be as its observers need it, and remember these."""
        self._remember(call_id)
        room = self._rooms.get(call_id)
        if self.observers_of(call_id):
            if room is None:
                room = self._rooms[call_id] = self._open_room(call_id)
            room.engine.look()
        elif room is not None:
            del self._rooms[call_id]
            room.end()

    def _open_room(self, call_id: CallId) -> _Room:
        gallery_id = new_call_id()
        programs: dict[Participant, AgentMedia] = {}
        executor = self._host.executor(gallery_id, programs)
        engine = GalleryEngine(gallery_id, executor, programs, lambda: self._members(call_id))
        return _Room(engine, self._host.spawn(engine.run(), f"gallery {call_id}"))

    def _members(self, call_id: CallId) -> Iterator[Member]:
        for engine in self.observers_of(call_id):
            if engine.state.stage in _ON_CALL and not engine.moves_ahead:
                yield Member(
                    engine.name,
                    engine.state.modes,
                    channel_id=engine.seat_channel,
                    program=engine.program,
                    hears_coaching=engine.hears_coaching,
                )
        call = self._host.engine(call_id)
        if call is not None and call.agent is not None and call.session.agent_present:
            changing = tuple(turning.mode for turning in call.session.turnings)
            yield Member(AGENT, (call.session.mode, *changing), program=call.agent)

    def _audited(self, engine: ObserverEngine, what: str, by: str) -> AbstractContextManager[None]:
        return self.audit.command(self.call_of(engine), engine.name, what, by=by)
