"""Taking up what an earlier program left: calls and who observes, as they are remembered."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Final, Protocol

from bridge.ari import AriConnection, models
from bridge.directory import Directory
from bridge.model.errors import CallbridgeError, RequestFailedError, ServerError
from bridge.model.ids import CallId
from bridge.model.modes import BARGE
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.admission import Admission
from bridge.runtime.dialling import Dialled
from bridge.runtime.engine import CallEngine
from bridge.runtime.memory import (
    Remembered,
    RememberedObserver,
    RememberedSeat,
    recall_call,
    recall_seat,
)
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.parking import Parking
from bridge.runtime.remains import Remains
from bridge.runtime.seat import Sat
from bridge.runtime.transfers import Transfers
from bridge.runtime.unkept import keep_no_more
from bridge.session import inputs
from bridge.session.observer import inputs as observing
from bridge.session.outline import Outline, resumed
from bridge.session.state import Phase, Session
from bridge.topology.objects import Key

_log = logging.getLogger(__name__)

_UP: Final = "Up"
_CONNECTING: Final = frozenset({Phase.RINGING, Phase.JOINING})
_LEAVING: Final = frozenset({Phase.FINISHING, Phase.LEAVING})

Resumer = Callable[[CallEngine, Remembered], bool]
"""Goes on with what is noted at a call that was taken up; tells whether it looks after it: a call
that is kept has to have somebody who does. Called before anything happens to the call. Must not
block."""


class Host(Protocol):
    """Who has the calls and the observers: the controller."""

    @property
    def ari(self) -> AriConnection:
        """The connection."""

    @property
    def admission(self) -> Admission:
        """Lets observers in."""

    @property
    def resumes(self) -> bool:
        """Somebody gets the calls that are taken up."""

    async def watch(self) -> Directory:
        """Return all live calls of the PBX."""

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call of our own that is going on."""

    def take_up(self, memory: Remembered, session: Session) -> CallEngine:
        """Make the engine of a call of an earlier program."""

    def observer_resumed(self, engine: ObserverEngine) -> None:
        """Tell of an observer who is there again."""

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it."""


class Resumption:
    """Makes calls, seats and observers of what is found and remembered.

    What it does not want of what was found is for the finder to remove.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.resumers: list[Resumer] = []
        self.ids: set[CallId] = set()
        """Of observers whose objects stand, and who are about to be there again."""
        self._absent: list[tuple[CallId, RememberedObserver]] = []
        """Observers who were programs, and the calls that they were on."""
        self._seated: defaultdict[CallId, set[Participant]] = defaultdict(set)
        """Who is about to observe calls again by phone."""

    async def take_up(
        self, call_id: CallId, found: Remains, channels: Mapping[str, models.Channel]
    ) -> frozenset[str] | None:
        """Go on with a call, or with somebody's seat; return the ids of what it needs.

        The seats of a call come before it. channels: all of Asterisk's. None: nothing is remembered
        of it. Raises ServerError.
        """
        if (seat := found.seat) is not None:
            return await self._take_seat(call_id, seat, found, channels)
        memory = await recall_call(self._host.ari, call_id, found.people & channels.keys())
        return None if memory is None else self._take_call(memory, found, channels)

    # --- calls ----------------------------------------------------------------------------------

    def _take_call(
        self, memory: Remembered, found: Remains, channels: Mapping[str, models.Channel]
    ) -> frozenset[str]:
        legs = _legs(memory, found, channels)
        coming = legs.keys() & _coming(memory.outline)
        present = _present(memory, legs, channels)
        session = resumed(
            memory.outline,
            present,
            frozenset(coming),
            agent=self._host.resumes,
            seated=frozenset(self._seated.pop(memory.call_id, ())),
        )
        if session is None:
            return frozenset()
        joining = {adding.party for adding in session.adding}
        if session.phase is Phase.RINGING:
            joining.add(CALLEE)
        taken = {party: leg for party, leg in legs.items() if party in session.parties | joining}
        engine = self._host.take_up(memory, session)
        engine.executor.adopt(taken, found.rooms, found.anchors, _names(found, channels))
        for party, leg in taken.items():
            if party == CALLER:
                continue
            known = memory.legs.get(party)
            name = channels[leg].name
            endpoint = known.endpoint if known is not None else ""
            seconds = known.ring_seconds if known is not None else 0
            dialled = endpoint or name.rpartition("-")[0]
            engine.adopt_dialling(party, Dialled(dialled, name, seconds, rings=party in joining))
            if party in joining and channels[leg].state == _UP:
                engine.channel_up(leg)
        _log.info("call %s: taken up, %s: %s", memory.call_id, session.phase, sorted(taken))
        self._go_on(engine, memory)
        rooms = (room for room, _ in found.rooms.values())
        return frozenset({*taken.values(), *found.anchors.values(), *rooms})

    def _go_on(self, engine: CallEngine, memory: Remembered) -> None:
        """See to it that what is noted at a call, and what was under way, comes to its end."""
        cared_for = [self._cares(resumer, engine, memory) for resumer in self.resumers]
        if memory.outline.standing.kept and not any(cared_for):
            self._host.spawn(self._keep_no_more(engine), f"call {memory.call_id} is kept no more")
        if memory.outline.phase in _LEAVING and engine.session.agent_present:
            self._host.spawn(self._leave(engine), f"leave {memory.call_id}")
        self._absent += [(memory.call_id, observer) for observer in memory.observers]

    @staticmethod
    def _cares(resumer: Resumer, engine: CallEngine, memory: Remembered) -> bool:
        try:
            return resumer(engine, memory)
        except Exception:  # noqa: BLE001 - what is noted at one call must not cost us the others
            _log.exception("call %s: what is noted is not understood", memory.call_id)
            return False

    async def _keep_no_more(self, engine: CallEngine) -> None:
        """Put those together who are there: nobody looks after them any more."""
        _log.warning("call %s: nobody knows what it was kept for", engine.incoming.call_id)
        await keep_no_more(engine, leaving=engine.session.standing.apart)

    async def _leave(self, engine: CallEngine) -> None:
        """Do what the agent was about to do."""
        if engine.session.end_for_all:
            await self._commanded(engine, lambda token: inputs.Disconnect(token, cut=True))
        else:
            await self._commanded(engine, lambda token: inputs.Close(token, cut=True))

    @staticmethod
    async def _commanded(
        engine: CallEngine, make: Callable[[inputs.Token], inputs.Command]
    ) -> None:
        try:
            await engine.command(make)
        except CallbridgeError as error:
            _log.warning("call %s: not brought to an end: %s", engine.incoming.call_id, error)

    # --- observers ------------------------------------------------------------------------------

    async def _take_seat(
        self,
        observer_id: CallId,
        seat: str,
        found: Remains,
        channels: Mapping[str, models.Channel],
    ) -> frozenset[str] | None:
        channel = channels.get(seat)
        if channel is None or channel.state != _UP:
            return None
        memory = await recall_seat(self._host.ari, seat)
        if memory is None:
            return None
        self.ids.add(observer_id)
        self._seated[memory.call_id].add(memory.observer.name)
        work = self._seat_again(observer_id, memory, channel, found, channels)
        self._host.spawn(work, f"seat of {memory.observer.name}")
        bridges = (bridge for bridge, _ in found.rooms.values())
        return frozenset({seat, *found.anchors.values(), *bridges})

    def bring_back(self) -> None:
        """Let those observe again who were programs; each is told of when he hears his call."""
        absent, self._absent = self._absent, []
        for call_id, observer in absent:
            work = self._observe_again(call_id, observer)
            self._host.spawn(work, f"observer {observer.name} again")

    async def _observe_again(self, call_id: CallId, was: RememberedObserver) -> None:
        if self._host.engine(call_id) is None:
            return
        try:
            engine = await self._host.admission.observe(
                call_id, was.name, hears_coaching=was.hears_coaching
            )
        except CallbridgeError as error:
            _log.warning("%s does not observe call %s again: %s", was.name, call_id, error)
            return
        engine.coaches = was.coaches
        self._host.observer_resumed(engine)

    async def _seat_again(
        self,
        observer_id: CallId,
        memory: RememberedSeat,
        channel: models.Channel,
        found: Remains,
        channels: Mapping[str, models.Channel],
    ) -> None:
        """Let somebody on a phone observe the call again that he was on, or else hang him up."""
        try:
            directory = await self._host.watch()
            there = (directory.call_of(party) for party in memory.channels)
            call = directory.get(memory.call_id)
            if call is None or not (call.own or {*call.channels.values()} & {*memory.channels}):
                # One of the PBX may have gone on with others: he goes on with those whom he heard.
                call = next(filter(None, there), None)
            if call is None:
                _log.info("%s: the call that he observed is over", memory.observer.name)
                await self._end(channel, found)
                return
            engine = self._host.admission.seat_again(
                call, memory.observer, Sat(channel.id, channel.name), observer_id
            )
            engine.executor.adopt(
                {engine.name: channel.id},
                found.rooms,
                found.anchors,
                _names(found, channels),
            )
            await engine.command(observing.Join)
        except CallbridgeError as error:
            _log.warning("%s does not observe any more: %s", memory.observer.name, error)
            await self._end(channel, found)
            if (own := self._taken_over(memory)) is not None:
                own.post(inputs.TakerGone(memory.observer.name))
        else:
            if (own := self._taken_over(memory)) is not None:
                await self._stand_in_again(engine, own)
            self._host.observer_resumed(engine)
        finally:
            self.ids.discard(observer_id)

    def _taken_over(self, memory: RememberedSeat) -> CallEngine | None:
        """Return the call in which he stands in for somebody who was let go."""
        call = self._host.engine(memory.call_id)
        is_his = call is not None and call.session.taken_over_by == memory.observer.name
        return call if is_his else None

    async def _stand_in_again(self, engine: ObserverEngine, call: CallEngine) -> None:
        """Let him be heard as before: nobody else is there for the others."""
        try:
            await engine.command(lambda token: observing.ChangeMode(token, BARGE))
        except CallbridgeError as error:
            _log.warning("%s is not heard again: %s", engine.name, error)
            call.post(inputs.TakerGone(engine.name))

    async def _end(self, phone: models.Channel, found: Remains) -> None:
        """Hang up a phone whose owner has nothing to observe, and remove what is around it."""
        ari = self._host.ari
        try:
            for channel in (phone.id, *found.anchors.values()):
                with suppress(RequestFailedError):
                    await ari.channels.hangup(channel_id=channel)
            for bridge, _ in found.rooms.values():
                with suppress(RequestFailedError):
                    await ari.bridges.destroy(bridge_id=bridge)
        except ServerError as error:
            _log.warning("channel %s waits for nothing: %s", phone.id, error)


def transfer_resumer(transfers: Transfers) -> Resumer:
    """Return what goes on with transfers."""

    def resume(engine: CallEngine, memory: Remembered) -> bool:
        del memory
        coming = frozenset(adding.party for adding in engine.session.adding)
        return transfers.resume(engine, coming) is not None

    return resume


def parking_resumer(parking: Parking) -> Resumer:
    """Return what knows that a call is parked: its place has read that by itself."""

    def resume(engine: CallEngine, memory: Remembered) -> bool:
        del memory
        return parking.place(engine.incoming.call_id).parked is not None

    return resume


def _legs(
    memory: Remembered, found: Remains, channels: Mapping[str, models.Channel]
) -> dict[Participant, str]:
    """Return the channels of the parties of a call, as far as they are there."""
    legs = {
        Participant(key.removeprefix("leg.")): channel_id
        for channel_id, key in found.channels.items()
        if key.startswith("leg.")
    }
    known = {party: leg.channel_id for party, leg in memory.legs.items()}
    return legs | {party: leg for party, leg in known.items() if leg in channels}


def _present(
    memory: Remembered,
    legs: Mapping[Participant, str],
    channels: Mapping[str, models.Channel],
) -> frozenset[Participant]:
    """Return who is in the call: those who are known to have been, and are there.

    Who came after it was remembered last may have been apart, or not accepted yet: he is let go.
    """
    there = (party for party, leg in legs.items() if channels[leg].state == _UP)
    return memory.outline.parties.intersection(there) - _coming(memory.outline)


def _coming(was: Outline) -> frozenset[Participant]:
    """Return who was not in the call yet."""
    coming = {adding.party for adding in was.adding}
    return frozenset(coming | ({CALLEE} if was.phase in _CONNECTING else set()))


def _names(found: Remains, channels: Mapping[str, models.Channel]) -> Mapping[Key, str]:
    """Return Asterisk's names of the anchors."""
    return {key: channels[i].name for key, i in found.anchors.items() if i in channels}
