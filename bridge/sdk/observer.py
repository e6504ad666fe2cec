"""One who takes part in a live call beside its parties, as a program has him in hand."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from bridge.directory import LiveCall
from bridge.media.ears import AudioStream
from bridge.media.outbox import Dropped
from bridge.model.errors import BadArgumentError, CallClosedError, InvalidStateError
from bridge.model.modes import BARGE, SPY, AudioMode, whisper
from bridge.model.participants import AGENT, Participant
from bridge.runtime import Controller
from bridge.runtime.agent import AgentMedia
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.supervision import coached
from bridge.sdk.events import ObserverEvent, ObserverNews
from bridge.sdk.handlers import Handler, Handlers
from bridge.session.observer import Stage, inputs
from bridge.session.observer.effects import LeftReason, ObserverNotice, Tell

_H = TypeVar("_H", bound=Handler)

_BY = "program"

_EVENTS = {
    ObserverNotice.MODE_CHANGED: ObserverEvent.OBSERVER_MODE_CHANGED,
    ObserverNotice.LEFT: ObserverEvent.OBSERVER_LEFT,
}


class Observer:
    """An observer of one call, made by ``client.observe``: a program, or a person on a phone.

    He begins as a spy, hears the parties and whichever other observer barges, and follows the call
    wherever it is transferred. Commands wait until they are in effect, and raise an error of
    ``bridge.errors`` when they are not: then nobody hears him. Audio, of a program, is PCM, s16le,
    mono, at the client's sample rate.
    """

    def __init__(self, engine: ObserverEngine, controller: Controller, handlers: Handlers) -> None:
        self._engine = engine
        self._controller = controller
        self._handlers = Handlers(owner=handlers)
        self._call_id = self._controller.supervision.call_of(engine) or ""
        engine.listeners.append(self._told)

    def __repr__(self) -> str:
        return f"<Observer {self.name} of {self.call_id}: {self.mode}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.leave(cut=error is not None)

    # --- what he is -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """His name, of which there is one on a call."""
        return self._engine.name

    @property
    def phone(self) -> str:
        """The endpoint of his phone, such as ``PJSIP/1003``; empty for a program."""
        return self._engine.phone

    @property
    def call_id(self) -> str:
        """The call that he observes, or observed last."""
        self._call_id = self._controller.supervision.call_of(self._engine) or self._call_id
        return self._call_id

    @property
    def call(self) -> LiveCall | None:
        """The call as it is now; None when it is over."""
        return next(
            (c for c in self._controller.directory.calls if c.call_id == self.call_id), None
        )

    @property
    def mode(self) -> AudioMode:
        """The mode in effect."""
        return self._engine.state.mode.mode

    @property
    def whispers_to(self) -> frozenset[str]:
        """Who hears him in whisper mode; empty in the others."""
        return frozenset(self._engine.state.mode.targets)

    @property
    def parties(self) -> frozenset[str]:
        """The roles of those who take part in the call: ``caller``, ``callee``, ``party3``."""
        return frozenset(self._engine.state.parties)

    @property
    def left(self) -> LeftReason | None:
        """Why he takes part no longer; None while he does."""
        return self._engine.state.reason

    # --- commands -------------------------------------------------------------------------------

    async def spy(self, *, cut: bool = False) -> None:
        """Be heard by nobody. What a program sent before is heard first, unless ``cut``."""
        await self._controller.supervision.change_mode(self._engine, SPY, cut=cut, by=_BY)

    async def whisper(self, to: str | Collection[str] | None = None, *, cut: bool = False) -> None:
        """Be heard by ``to`` alone: roles, extensions, numbers or channels of parties.

        By default by the one by whose extension the call was chosen (``client.observe("1002")``),
        else by the callee. Raises BadArgumentError when one of them means nobody, or several.
        """
        to = self._engine.coaches if to is None else to
        names = [to] if isinstance(to, str) else list(to)
        if not names:
            raise BadArgumentError("whisper to nobody: name a party, such as 'callee'")
        mode = whisper(*(self._party(name) for name in names))
        await self._controller.supervision.change_mode(self._engine, mode, cut=cut, by=_BY)

    def coach(self, target: str) -> None:
        """Let ``whisper()`` mean by default whom an extension means, or else the callee."""
        if (call := self.call) is not None:
            self._engine.coaches = coached(call, target)

    async def barge(self, *, cut: bool = False) -> None:
        """Be heard by everybody on the call."""
        await self._controller.supervision.change_mode(self._engine, BARGE, cut=cut, by=_BY)

    async def take_over(self, replaced: str | None = None, *, keep: bool = True) -> None:
        """Speak in the place of the agent: of ``replaced``.

        By default of the one by whose extension the call was chosen, else of the callee, else of
        the AI.

        keep: who is replaced stays and listens; else he is let go. Only for calls that callbridge
        placed: CapabilityError for others.
        """
        coached = self._engine.coaches
        default = coached if coached in self.parties else AGENT
        who = default if replaced is None else Participant(replaced)
        if who != AGENT:
            who = self._party(who)
        await self._controller.supervision.take_over(self._engine, who, keep=keep, by=_BY)

    async def give_back(self) -> None:
        """Undo a takeover: who was replaced, and kept, speaks again."""
        await self._controller.supervision.give_back(self._engine, by=_BY)

    async def next(self) -> str:
        """Go to the next live call, as a spy, and return its id. A phone is not hung up.

        Raises CallNotFoundError when there is no other.
        """
        self._controller.supervision.move_on(self._engine, by=_BY)
        await self._settled()
        return self.call_id

    async def move_to(self, target: str) -> None:
        """Go to another call, as a spy. target: as in ``client.observe``."""
        call = self._controller.directory.find(target)
        self._controller.supervision.move(self._engine, call, by=_BY, target=target)
        await self._settled()

    async def leave(self, *, cut: bool = False) -> None:
        """Take part no longer, after the last word that was sent unless ``cut``. Idempotent."""
        await self._engine.command(lambda token: inputs.Leave(token, cut))

    async def wait_left(self) -> LeftReason:
        """Wait until he takes part no longer; return why."""
        await self._engine.ended.wait()
        return self.left or LeftReason.FAILED

    # --- audio of a program ---------------------------------------------------------------------

    async def send_audio(self, pcm: bytes | bytearray | memoryview) -> None:
        """Say ``pcm`` to whoever hears him now; see ``ActiveCall.send_audio``.

        Raises CallClosedError once he leaves.
        """
        program = self._program()
        stage = self._engine.state.stage
        if stage in {Stage.FINISHING, Stage.ENDING, Stage.GONE}:
            raise CallClosedError(f"{self.name} is not on the call any more")
        if stage is not Stage.PRESENT:
            raise InvalidStateError(f"{self.name} is not on the call yet: {stage}")
        program.voice.send(pcm)

    def clear_send_audio_buffer(self) -> None:
        """Fall silent within two frames (40 ms): what is queued is dropped and counted."""
        self._program().voice.clear()

    def get_send_audio_buffer_size(self) -> int:
        """Bytes that were sent and not yet played."""
        return self._program().voice.buffered_bytes

    @property
    def dropped_audio(self) -> Dropped:
        """Bytes that were sent and not heard, by reason."""
        return self._program().voice.dropped

    def audio_stream(self, speaker: str | None = None, *, max_seconds: float = 10.0) -> AudioStream:
        """Hear the call: frames of 20 ms, from now on; see ``ActiveCall.audio_stream``.

        speaker: a party or another observer alone; by default the mix of all whom he hears.
        """
        return self._program().ears.subscribe(speaker, max_seconds=max_seconds)

    # --- events ---------------------------------------------------------------------------------

    @overload
    def on(self, event: ObserverEvent | str) -> Callable[[_H], _H]: ...

    @overload
    def on(self, event: ObserverEvent | str, handler: _H) -> _H: ...

    def on(self, event: ObserverEvent | str, handler: Handler | None = None) -> Any:
        """Register a handler, as a decorator or directly. It takes the observer, or nothing."""
        if event not in set(ObserverEvent):
            known = ", ".join(ObserverEvent)
            raise BadArgumentError(f"an observer has no event {event!r}; he has {known}")

        def register(function: _H) -> _H:
            self._handlers.add(event, function)
            return function

        return register if handler is None else register(handler)

    # --- inside ---------------------------------------------------------------------------------

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        del engine
        if (event := _EVENTS.get(tell.notice)) is not None:
            self._handlers.emit(event, self)

    def _program(self) -> AgentMedia:
        if self._engine.program is None:
            raise InvalidStateError(f"{self.name} is on a phone: a program has no audio of his")
        return self._engine.program

    def _party(self, meant: str) -> Participant:
        if meant in self.parties:
            return Participant(meant)
        call = self.call
        found = call.meant_by(meant) if call is not None else ()
        if len(found) != 1:
            who = ", ".join(sorted(self.parties)) or "nobody"
            why = "is not on this call" if not found else f"may be {' or '.join(found)}"
            raise BadArgumentError(f"{meant!r} {why}; there is: {who}")
        return found[0]

    async def _settled(self) -> None:
        """Wait until what was posted before is done."""
        if self._engine.state.stage is Stage.PRESENT:
            await self._engine.command(lambda token: inputs.ChangeMode(token, SPY))


def news_of(engine: ObserverEngine, call_id: str | None) -> ObserverNews:
    """Return what is told of an observer now."""
    mode = engine.state.mode
    return ObserverNews(
        call_id, engine.name, mode.mode, frozenset(mode.targets), engine.state.reason
    )
