"""One observer: a mailbox, the state machine behind it, and what it says done in Asterisk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.ari import AriConnection
from bridge.model.errors import (
    CallClosedError,
    CommandTimeoutError,
    ServerError,
    ServerUnreachableError,
)
from bridge.model.ids import CallId
from bridge.model.keys import KeyLimits
from bridge.model.participants import CALLEE, Participant
from bridge.model.states import HangupCause
from bridge.runtime.agent import AgentMedia
from bridge.runtime.executor import Executor
from bridge.runtime.pending import NOBODY, Pending, raise_refusal
from bridge.runtime.refusals import error_of
from bridge.runtime.retry import Retry
from bridge.runtime.speaking import Speaking
from bridge.runtime.tasks import until_done
from bridge.session import effects
from bridge.session.inputs import (
    AudienceFailed,
    AudienceStands,
    EventsMissed,
    LineLost,
    ServerLost,
    Token,
    TornDown,
)
from bridge.session.observer import Observer, Stage, inputs, step
from bridge.session.observer.effects import (
    Arrange,
    ClearAway,
    LeftReason,
    ObserverEffect,
    ObserverNotice,
    Seat,
    Tell,
)
from bridge.session.observer.inputs import ObserverCommand, ObserverInput, Person
from bridge.topology.objects import Key, cue_key

_log = logging.getLogger(__name__)

_MEND_SECONDS = 0.2
"""How long the end of a snoop waits for that of its leg, which is told a moment later."""
_LINE_SECONDS = 0.05
_HASTE_SECONDS = 1.0

_URGENT = (inputs.SeatGone, inputs.CallOver, ServerLost, inputs.Leave)
"""What nobody waits with until something slow is done."""


class Chair(Protocol):
    """How a person's channel is come by, and let go of. Facts go to the engine's ``post``."""

    async def take(self, engine: ObserverEngine) -> None:
        """Begin; Seated or SeatFailed follows, after ``engine.executor`` knows the channel."""

    def stop(self) -> None:
        """Forget it, should it still be under way."""


@dataclass(slots=True)
class _Letter:
    event: ObserverInput
    done: asyncio.Future[None] | None = None


class ObserverEngine:
    """The only writer of one observer.

    observer_id: names his objects in Asterisk. program: his voice and ears, when he is one.
    listener: told what happens to him, in order; must not block.
    """

    def __init__(
        self,
        observer_id: CallId,
        name: Participant,
        ari: AriConnection,
        executor: Executor,
        *,
        program: AgentMedia | None = None,
        chair: Chair | None = None,
        hears_coaching: bool = False,
    ) -> None:
        self.observer_id = observer_id
        self.name = name
        self.executor = executor
        executor.may_open = self._may_open
        self._newest: dict[Participant, Person] = {}
        """Who takes part in the call, before the machine was told."""
        self.program = program
        self.hears_coaching = hears_coaching
        self.coaches = CALLEE
        """Whom he whispers to when nobody else is named: the agent he supervises."""
        self.phone = ""
        """The endpoint of his phone; empty for a program."""
        self.limits: KeyLimits | None = None
        """What his keys may not do; None: they may do all that they are for."""
        self.internal = False
        """He is part of something else that callbridge does, such as a recording."""
        self.state = Observer(name, seated=program is None)
        self.listeners: list[Callable[[ObserverEngine, Tell], None]] = []
        self.moves_ahead = 0
        """As long as there are any, his state speaks of a call that he was on before."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when he may be heard otherwise than before."""
        self._ari = ari
        self._chair = chair
        # Not bounded: control is never dropped, and its sources are people and one server.
        self._mailbox: asyncio.Queue[_Letter] = asyncio.Queue()
        self._pending = Pending()
        self._speaking: Speaking | None = None
        self._arranging: asyncio.Task[None] | None = None
        self._mending = Retry(lambda: self.post(EventsMissed()))
        self._failed: list[str] = []
        """What went wrong with what followed from the letter that is open."""
        self._told = False
        self.ends_by = LeftReason.FAILED
        """Why he is gone when the owner ends ``run()``."""
        self.ended = asyncio.Event()
        if program is not None:
            program.on_lost = self.line_lost
            self._speaking = Speaking(
                program.voice, post=self.post, processed=self._processed, name=name
            )

    @property
    def seat_channel(self) -> str | None:
        """The id of his own channel, when he has one."""
        return self.executor.channel_of(self.name)

    def post(self, event: ObserverInput) -> None:
        """Tell the observer that something happened."""
        match event:
            case inputs.Moved():
                self.moves_ahead += 1
                self._newest = {}
            case inputs.PeopleChanged(people):
                self._newest = {person.role: person for person in people}
            case _:
                pass
        if isinstance(event, _URGENT) and self._arranging is not None:
            self._arranging.cancel()
        self._mailbox.put_nowait(_Letter(event))

    async def command(self, make: Callable[[Token], ObserverCommand]) -> None:
        """Give a command and wait until it is done.

        Raises the error that the machine refuses it with. Cancelling the wait does not take the
        command back.
        """
        if self.state.stage is Stage.GONE:
            raise_refusal(step(self.state, make(NOBODY))[1])
            return
        token, done = self._pending.begin()
        self.post(make(token))
        await done

    # --- what Asterisk reports ------------------------------------------------------------------

    def channel_gone(self, channel_id: str) -> None:
        """A channel of his is gone."""
        is_seat = self.executor.party_of(channel_id) == self.name
        stood = self.executor.channel_gone(channel_id)
        if is_seat:
            self.post(inputs.SeatGone())
        elif stood:
            loop = asyncio.get_running_loop()
            loop.call_later(_MEND_SECONDS, self.post, EventsMissed())

    def line_lost(self, far: Participant) -> None:
        """A media socket of his broke."""
        self.executor.line_lost(self.name, far)
        asyncio.get_running_loop().call_later(_LINE_SECONDS, self.post, LineLost(far))

    def reconnected(self, *, gone: frozenset[str]) -> None:
        """Events were lost. gone: the ids of channels that ended meanwhile."""
        seat = self.seat_channel
        if seat is not None and seat in gone:
            self.channel_gone(seat)
        self.executor.doubt()
        self.post(EventsMissed())

    # --- the mailbox ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Live to the end."""
        try:
            while self.state.stage is not Stage.GONE:
                letter = await self._mailbox.get()
                await self._open(letter)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HASTE_SECONDS):
                    await self._clear_away()
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not leave an observer behind
            _log.exception("observer %s: cannot be kept", self.name)
            await self._clear_away()
        finally:
            await self._leave_nothing()

    async def _open(self, letter: _Letter) -> None:
        self._failed.clear()
        await self._take(letter.event)
        if letter.done is None or letter.done.done():
            return
        if self._failed:
            letter.done.set_exception(ServerError(self._failed[0]))
        else:
            letter.done.set_result(None)

    async def _take(self, event: ObserverInput) -> None:
        """Bring one thing that happened to the machine, and do what follows, to its end."""
        before = self.state
        self.state, out = step(self.state, event)
        _log.debug("observer %s: %s, %s", self.name, event, self.state.stage)
        if self.state.stage is not before.stage:
            _log.info("observer %s: %s", self.name, self.state.stage)
        if isinstance(event, inputs.Moved):
            self.moves_ahead -= 1
            self.on_change()
        elif (self.state.stage, self.state.modes) != (before.stage, before.modes):
            self.on_change()
        for effect in out:
            fact = await self._perform(effect)
            if fact is not None:
                await self._take(fact)

    async def _perform(self, effect: ObserverEffect) -> ObserverInput | None:  # noqa: C901, PLR0912 - a match over a closed union
        match effect:
            case Seat():
                if self._chair is not None:
                    await self._chair.take(self)
            case Arrange():
                return await self._arrange(effect)
            case ClearAway():
                await self._clear_away()
                return TornDown()
            case Tell():
                self._tell(effect)
            case effects.SetRoute(route):
                if self._speaking is not None:
                    await self._speaking.set_route(frozenset(route))
            case effects.TurnVoice():
                if self._speaking is not None:
                    await self._speaking.turn(effect)
                    self._pending.placed(effect.token)
            case effects.FinishVoice(cut):
                if self._speaking is not None:
                    await self._speaking.finish(cut=cut)
                    for token in self.state.leaving:
                        self._pending.placed(token)
            case effects.Succeed(token):
                self._pending.settle(token)
            case effects.Refuse(token):
                self._pending.settle(token, error_of(effect))
        return None

    async def _arrange(self, effect: Arrange) -> ObserverInput | None:
        if effect.mending and not self._ari.state.is_up:
            # Events are needed to make anything; when they come again, EventsMissed does too.
            return None
        self.executor.borrow_legs(dict(effect.identities))
        task = asyncio.ensure_future(self.executor.converge(effect.wanted))
        self._arranging = task
        try:
            await until_done(task)
        finally:
            self._arranging = None
        if task.cancelled():
            # Something urgent has come, and is next.
            self.executor.doubt()
            self._failed.append("it was given up: the observer goes")
            return None
        error = task.exception()
        if error is None:
            if self.executor.untidy:
                self._mending.later()
            else:
                self._mending.succeeded()
            return AudienceStands()
        if not isinstance(error, ServerError):
            raise error
        self._mending.later()
        self._failed.append(str(error))
        unreachable = isinstance(error, ServerUnreachableError | CommandTimeoutError)
        if effect.mending and unreachable and not self.state.heard_by:
            return None
        return AudienceFailed(str(error))

    def _may_open(self, end: Key) -> bool:
        """Tell whether a party whom a gate is about still is in the conversation."""
        if end == cue_key(self.name):
            return True
        _, one, other = end.split(".")
        person = self._newest.get(Participant(other if one == self.name else one))
        if person is None or person.held:
            return False
        return not person.apart or any(person.role in mode.targets for mode in self.state.modes)

    async def _clear_away(self) -> None:
        if self._chair is not None:
            self._chair.stop()
        if self._speaking is not None:
            await self._speaking.aclose()
        if self.program is not None:
            await self.program.aclose()
        await self.executor.tear_down(HangupCause.NORMAL)

    def _tell(self, tell: Tell) -> None:
        self._told = self._told or tell.notice is ObserverNotice.LEFT
        for listener in list(self.listeners):
            listener(self, tell)

    async def _processed(self, event: ObserverInput) -> None:
        """Post an input and wait until it was carried out. Raises ServerError if it failed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mailbox.put_nowait(_Letter(event, done))
        await done

    async def _leave_nothing(self) -> None:
        self._mending.stop()
        if self._speaking is not None:
            await self._speaking.aclose()
        if self.program is not None:
            await self.program.aclose()
        reason = self.state.reason or self.ends_by
        self.state = replace(self.state, stage=Stage.GONE, reason=reason)
        if not self._told:
            self._tell(Tell(ObserverNotice.LEFT, reason=reason))
        while not self._mailbox.empty():
            self._answer_late(self._mailbox.get_nowait())
        self._pending.refuse_all(CallClosedError(f"{self.name} left: {reason}"))
        self.ended.set()

    def _answer_late(self, letter: _Letter) -> None:
        """Nothing is done any more; but whoever asks is to be answered."""
        if letter.done is not None:
            letter.done.cancel()
        self._pending.answer(step(self.state, letter.event)[1])
