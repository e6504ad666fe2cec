"""A voice of ours that speaks to one party alone, and hears him: for what nobody else is to hear.

It is an observer with a single line, laid by an executor of its own: no party, observer or gallery
of the call gets to know of it, and the call's own bridges are not touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from bridge.media.ears import AudioStream
from bridge.media.pcm import AudioFormat
from bridge.model.audibility import Observation
from bridge.model.errors import MediaError, ServerError
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.model.states import HangupCause
from bridge.runtime.agent import AgentMedia
from bridge.runtime.executor import Executor
from bridge.runtime.names import new_call_id
from bridge.runtime.tasks import first_of

PROMPTER: Final = Participant("prompter")


class Workshop(Protocol):
    """Makes what a prompter consists of: the controller."""

    def executor(self, object_id: CallId, programs: dict[Participant, AgentMedia]) -> Executor:
        """Make an executor for objects that are named by an id."""

    def new_program(self) -> AgentMedia:
        """Make the voice and ears of a program."""


class Prompter:
    """Speaks to the owner of one channel. ``aclose()`` has to follow, whatever happened.

    prompter_id: names its objects in Asterisk. channel_id: whose owner it speaks to, ``party``.
    on_closed: called with the id when none of them is left.
    """

    def __init__(
        self,
        workshop: Workshop,
        party: Participant,
        channel_id: str,
        *,
        on_closed: Callable[[CallId], object] = lambda _id: None,
    ) -> None:
        self.prompter_id = new_call_id()
        self._party = party
        self._channel_id = channel_id
        self._program = workshop.new_program()
        self._executor = workshop.executor(self.prompter_id, {PROMPTER: self._program})
        self._on_closed = on_closed
        self._lost = asyncio.Event()
        self._program.on_lost = lambda _party: self._lost.set()

    @property
    def format(self) -> AudioFormat:
        """Of what is said and heard."""
        return self._program.format

    @property
    def room(self) -> str:
        """The id of the bridge in which he hears what is played. Raises ServerError without one."""
        ids = map(self._executor.id_of, self._executor.stands.bridges)
        found = next((bridge_id for bridge_id in ids if bridge_id is not None), None)
        if found is None:
            raise ServerError(f"there is no line to {self._party}")
        return found

    async def open(self) -> None:
        """Lay the line. Raises ServerError."""
        self._executor.borrow_legs({self._party: self._channel_id})
        alone = frozenset({self._party})
        await self._executor.converge(Observation(PROMPTER, alone, hears=alone, heard_by=alone))
        if self._executor.channel_of(self._party) is None or not self._program.alive:
            raise ServerError(f"there is no line to {self._party}: he is gone, or it broke")
        await self._program.voice.change(alone, prepare=_nothing, settle=_nothing)

    def listen(self) -> AudioStream:
        """Hear the party alone, from now on: frames of 20 ms."""
        return self._program.ears.subscribe(self._party)

    async def say(self, pcm: bytes) -> None:
        """Say ``pcm`` (s16le, mono, the program's rate) and return when it was played.

        When the wait is cancelled, it is silent within two frames. Raises BufferFullError, and
        MediaError when the line breaks.
        """
        voice = self._program.voice
        voice.send(pcm)
        played = asyncio.ensure_future(voice.drain())
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await first_of(played, lost)
        finally:
            if not played.done() or played.cancelled():
                voice.clear()
        if self._lost.is_set():
            raise MediaError(f"the line to {self._party} broke while something was said to him")

    async def aclose(self) -> None:
        """Fall silent, and leave nothing behind."""
        await self._program.aclose()
        await self._executor.tear_down(HangupCause.NORMAL)
        self._on_closed(self.prompter_id)


async def _nothing() -> None:
    """No gate is opened or closed: the line has no other use."""
