"""What a state machine wants of a program's voice, done beside its mailbox."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

from bridge.media.voice import Voice
from bridge.model.errors import CallbridgeError
from bridge.runtime.tasks import end_all
from bridge.session.effects import TurnVoice
from bridge.session.inputs import VoiceFailed, VoiceFinished, VoiceReached, VoiceSettled

_log = logging.getLogger(__name__)

VoiceFact = VoiceReached | VoiceSettled | VoiceFailed | VoiceFinished


class Speaking:
    """Carries mode changes through the stream of a voice.

    post: takes a fact. processed: takes a fact, and returns when all that follows from it was
    done; raises ServerError if that failed.
    """

    def __init__(
        self,
        voice: Voice,
        *,
        post: Callable[[VoiceFact], None],
        processed: Callable[[VoiceFact], Awaitable[None]],
        name: str,
    ) -> None:
        self._voice = voice
        self._post = post
        self._processed = processed
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    async def set_route(self, route: frozenset[str]) -> None:
        """Route what is sent from now on; to nobody means: drop what was not yet played, too."""
        await self._begin(
            self._voice.change(route, prepare=_nothing, settle=_nothing, cut=not route)
        )

    async def turn(self, turn: TurnVoice) -> None:
        """Begin a mode change; what is sent after this returned is for the new mode."""
        await self._begin(self._turn(turn))

    async def finish(self, *, cut: bool) -> None:
        """Begin to play, or to cut, what was sent."""
        await self._begin(self._finish(cut=cut))

    async def aclose(self) -> None:
        """Give up what is under way."""
        await end_all(*self._tasks)

    async def _turn(self, turn: TurnVoice) -> None:
        try:
            await self._voice.change(
                frozenset(turn.parties),
                prepare=lambda: self._processed(VoiceReached(turn.token)),
                settle=lambda: self._processed(VoiceSettled(turn.token)),
                cut=turn.cut,
            )
        except CallbridgeError as error:
            self._post(VoiceFailed(turn.token, str(error)))

    async def _finish(self, *, cut: bool) -> None:
        if cut:
            self._voice.clear()
        await self._voice.drain()
        self._post(VoiceFinished())

    async def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Start a task; its first step is done on return."""
        task = asyncio.create_task(work, name=f"voice of {self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.sleep(0)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s", task.get_name(), error, exc_info=error)


async def _nothing() -> None:
    """Open or close no gate."""
