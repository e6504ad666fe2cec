"""Something is said to one party, whom his music waits for if he is on hold.

Asterisk plays a sound of its own to the channel of somebody on hold: his music pauses, and goes on
by itself, even should the program die meanwhile. Measured: the sound begins 20 ms after it was
asked for, and the music is back within 40 ms of its end. PCM of ours is whispered to him, over
silence that Asterisk plays to him in place of the music. Whoever talks hears both as a whisper.

As long as Asterisk plays to a channel it does not move it between bridges: the executor ends it
first (Orders.hush). Two announcers in a holding bridge, its music being one, cannot be
(bridge_holding.c), so nothing is ever played into that bridge itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final, Protocol, TypeAlias

from bridge.media.pcm import AudioFormat
from bridge.model.errors import BadArgumentError, CallbridgeError, InvalidStateError
from bridge.model.participants import Participant
from bridge.runtime.engine import CallEngine
from bridge.runtime.orders import announcement_id
from bridge.runtime.playbacks import Playbacks, Sound
from bridge.runtime.prompter import Prompter
from bridge.runtime.tasks import first_of

_log = logging.getLogger(__name__)

Said: TypeAlias = bytes | str
"""PCM at the program's rate, or what Asterisk plays, such as ``sound:demo-thanks``."""

_SILENCE: Final = "sound:silence/{seconds}"
_LONGEST_SILENCE: Final = 10
"""Of Asterisk's sounds of silence (asterisk-core-sounds)."""
_LATE_SECONDS: Final = 1.0
"""How much longer than itself something takes to be said."""

_END_SECONDS: Final = 0.5


class Kit(Protocol):
    """What it is said with: the registry of transfers."""

    @property
    def playbacks(self) -> Playbacks:
        """Plays sounds."""

    def new_prompter(self, party: Participant, channel_id: str) -> Prompter:
        """Make a voice that one party alone hears."""


Spawn: TypeAlias = Callable[[Coroutine[None, None, None], str], Callable[[], None]]
"""Owns a task; returns what ends it."""


class Announcements:
    """What is said to the parties of one call, to each one thing after the other."""

    def __init__(self, call: CallEngine, kit: Kit, spawn: Spawn, audio: AudioFormat) -> None:
        self._call = call
        self._kit = kit
        self._spawn = spawn
        self._audio = audio
        self._turns: defaultdict[Participant, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._changed = asyncio.Event()
        self._repeating: dict[Participant, Callable[[], None]] = {}
        call.on_change.append(self._call_changed)

    async def say(self, party: Participant, said: Said) -> bool:
        """Say something to a party; return when it was said: True if all of it.

        False: he was brought back from hold, put on hold, or left, before it was over. Raises
        InvalidStateError for nobody who is there, BadArgumentError for a sound that Asterisk does
        not have, ServerError.
        """
        async with self._turns[party]:
            held = self._is_held(party)
            ended = asyncio.ensure_future(self._until(lambda: self._is_held(party) != held))
            saying = asyncio.ensure_future(self._say(party, said, held=held))
            await first_of(ended, saying)
            if saying.cancelled():
                return False
            saying.result()
            return True

    def repeat(self, party: Participant, said: Said, every_seconds: float) -> None:
        """Say something every so often to a party as long as he is on hold."""
        self._forget(party)
        name = f"announcements to the {party} of {self._call.incoming.call_id}"
        self._repeating[party] = self._spawn(self._repeat(party, said, every_seconds), name)

    # --- inside -----------------------------------------------------------------------------------

    def _is_held(self, party: Participant) -> bool | None:
        """Tell whether he is on hold, and is to stay; None: he is not there."""
        session = self._call.session
        if party not in session.parties:
            return None
        return party in session.standing.held

    def _call_changed(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for party in list(self._repeating):
            if not self._is_held(party):
                self._forget(party)

    def _forget(self, party: Participant) -> None:
        if (end := self._repeating.pop(party, None)) is not None:
            end()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    async def _repeat(self, party: Participant, said: Said, every_seconds: float) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await self.say(party, said)
            except CallbridgeError as error:
                _log.warning("call %s: %s", self._call.incoming.call_id, error.error_message)

    async def _say(self, party: Participant, said: Said, *, held: bool | None) -> None:
        channel_id = self._call.executor.channel_of(party)
        if held is None or channel_id is None:
            raise InvalidStateError(f"the {party} is not on the call: nothing is said to him")
        if isinstance(said, bytes):
            await self._whisper(party, channel_id, said, held=held)
        elif held:
            async with self._to_held(channel_id, said) as sound:
                await sound.wait()
            await _check(sound, said)
        else:
            async with self._prompter(party, channel_id) as prompter:
                async with self._kit.playbacks.playing(prompter.room, said) as sound:
                    await sound.wait()
                await _check(sound, said)

    async def _whisper(
        self, party: Participant, channel_id: str, pcm: bytes, *, held: bool
    ) -> None:
        async with contextlib.AsyncExitStack() as stack:
            prompter = await stack.enter_async_context(self._prompter(party, channel_id))
            if held:
                seconds = len(pcm) / self._audio.bytes_per_second + _LATE_SECONDS
                await stack.enter_async_context(self._to_held(channel_id, _silence(seconds)))
            await prompter.say(pcm)

    def _to_held(
        self, channel_id: str, media: str
    ) -> contextlib.AbstractAsyncContextManager[Sound]:
        return self._kit.playbacks.playing_to(channel_id, media, announcement_id(channel_id))

    @contextlib.asynccontextmanager
    async def _prompter(self, party: Participant, channel_id: str) -> AsyncIterator[Prompter]:
        prompter = self._kit.new_prompter(party, channel_id)
        try:
            await prompter.open()
            yield prompter
        finally:
            await asyncio.shield(prompter.aclose())


def _silence(seconds: float) -> str:
    whole, rest = divmod(math.ceil(seconds), _LONGEST_SILENCE)
    parts = [_LONGEST_SILENCE] * whole + [rest] * bool(rest)
    return ",".join(_SILENCE.format(seconds=part) for part in parts)


async def _check(sound: Sound, said: str) -> None:
    if sound.failed:
        # If he has just hung up, his end, which ends this wait, is on its way.
        await asyncio.sleep(_END_SECONDS)
        raise BadArgumentError(f"Asterisk could not play {said!r}: is there such a sound?")
