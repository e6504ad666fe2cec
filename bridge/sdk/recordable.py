"""How a program records a call: the part of ``ActiveCall`` for it, and what outlives a program."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.media.pcm import AudioFormat
from bridge.model.errors import CallbridgeError, ConfigurationError, ServerError
from bridge.model.participants import Participant
from bridge.runtime import CallEngine, Controller
from bridge.runtime.memory import Remembered
from bridge.runtime.recorder import go_on, noted, record
from bridge.runtime.resume import Resumer
from bridge.sdk.events import CallEvent
from bridge.sdk.handlers import Handlers
from bridge.sdk.recording import Pauses, Recording, RecordingOptions
from bridge.sdk.sounds import Sound, loaded

if TYPE_CHECKING:
    from bridge.runtime.announcing import Announcements

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
_STANDS_SECONDS: Final = 10.0


class Recordable:
    """Records a call. Mixed into ``ActiveCall``, which has all that is named here."""

    _engine: CallEngine
    _controller: Controller
    _announcements: Announcements
    _handlers: Handlers
    _on_event: Callable[..., None]
    _recordings: tuple[Recording, ...] = ()

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those that go on, also of an earlier program that did not end them."""
        return tuple(one for one in self._recordings if not one.state.is_over)

    async def record(
        self,
        path: str | Path,
        *,
        coaching: bool = False,
        announce: Sound | None = None,
        pauses: Pauses = "silence",
        max_minutes: float = 60.0,
        keep_days: float | None = None,
        max_bytes: int | None = None,
    ) -> Recording:
        """Record the call from now on: WAV, stereo; left the caller, right whom he hears.

        path: a folder, or a new file that ends with ``.wav``. coaching: write what is whispered,
        which is never in the recording, to a mono file beside it. announce: said to every party
        first, as by ``announce()``. pauses: what ``recording.pause()`` leaves, ``silence`` or
        ``cut``. max_minutes: of one file; then the next begins. keep_days, max_bytes: older
        recordings of the folder are removed. It goes on until the caller has left, also after
        ``close()``. While he is on hold nothing is recorded: neither music nor the others.

        Raises InvalidStateError before ``answer()``, CallClosedError, BadArgumentError,
        ConfigurationError for a place that cannot be written to, or without the extra
        ``callbridge[recording]``, and ServerError.
        """
        options = RecordingOptions(coaching, announce, pauses, max_minutes, keep_days, max_bytes)
        rate = self._controller.settings.sample_rate
        announcement = None
        if announce is not None:
            said = await loaded(announce, AudioFormat(rate))
            announcement = partial(self._tell_all, said)
        call_id = self._engine.incoming.call_id
        try:
            recorder = await record(
                self._controller, call_id, options.plan(path), rate=rate, announce=announcement
            )
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be recorded to: {error}") from error
        return self.follow_recording(Recording(recorder))

    def follow_recording(self, recording: Recording) -> Recording:
        """Tell of a recording of this call; return it."""
        self._recordings = (*self.recordings, recording)
        recording.listeners.append(self._recording_event)
        return recording

    def _recording_event(self, event: CallEvent, recording: Recording) -> None:
        self._handlers.emit(event, self, recording)
        self._on_event(event, self, recording)

    async def _tell_all(self, said: bytes | str) -> None:
        await asyncio.gather(*(self._tell(party, said) for party in self._engine.session.parties))

    async def _tell(self, party: Participant, said: bytes | str) -> None:
        """Say to a party, held or not, that he is recorded. Raises ServerError if it failed."""
        for _ in range(_ATTEMPTS):
            if await self._announcements.say(party, said):
                return
            if party not in self._engine.session.parties:
                return
        raise ServerError(f"the {party} was put on hold and back: he was not told of the recording")


def recording_resumer(
    controller: Controller, handlers: Handlers, call_of: Callable[[str], Recordable | None]
) -> Resumer:
    """Return what goes on with the recordings of calls that are taken up.

    handlers: told of a recording whose call no agent is on. call_of: returns a call by its id.
    """

    def resume(engine: CallEngine, memory: Remembered) -> bool:
        del memory
        for path in noted(engine):
            work = _go_on(controller, engine, Path(path), follow)
            controller.spawn(work, f"recording of {engine.incoming.call_id}")
        return False

    def follow(call_id: str, recording: Recording) -> None:
        if (call := call_of(call_id)) is not None:
            call.follow_recording(recording)
        else:
            recording.listeners.append(lambda event, it: handlers.emit(event, None, it))

    return resume


async def _go_on(
    controller: Controller,
    engine: CallEngine,
    path: Path,
    follow: Callable[[str, Recording], None],
) -> None:
    """Go on with one recording when what is wanted of its call stands."""
    call_id = engine.incoming.call_id
    try:
        async with asyncio.timeout(_STANDS_SECONDS):
            await engine.restored.wait()
        recorder = await go_on(controller, call_id, path)
    except (CallbridgeError, OSError, ValueError) as error:
        _log.error("call %s is not recorded any more: %s: %s", call_id, path, error)
    else:
        follow(call_id, Recording(recorder))
