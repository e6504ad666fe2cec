"""A recording that a daemon writes, into its own folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bridge.model.errors import CallClosedError, ConfigurationError, InvalidStateError
from bridge.protocol import operations
from bridge.protocol.requests import ChangeRecording
from bridge.protocol.views import RecordingView
from bridge.runtime.recorder import RecordingState
from bridge.sdk.events import CallEvent
from bridge.sdk.recording import EVENTS, Recording, Saved
from bridge.sdk.remote.host import Host

_STOP_SECONDS: Final = 60.0


class RemoteRecording(Recording):
    """A recording of a call at a daemon. ``path`` and ``files`` are names in its folder."""

    def __init__(
        self, view: RecordingView, host: Host, listener: Callable[[CallEvent, Recording], None]
    ) -> None:
        self._view = view
        self._host = host
        self.folder = Path()
        """Where ``fetch`` puts files by default."""
        self._over = asyncio.Event()
        self.listeners = [listener]
        self.see(view)

    @property
    def recording_id(self) -> str:
        """Names it at the daemon."""
        return self._view.recording_id

    @property
    def state(self) -> RecordingState:
        """RECORDING, PAUSED, ENDED or FAILED."""
        return RecordingState(self._view.state)

    @property
    def began_at(self) -> float:
        """Seconds since 1970."""
        return self._view.began_at

    @property
    def failure(self) -> str:
        """Why it failed; empty otherwise."""
        return self._view.failure

    @property
    def path(self) -> Path:
        """The name of the JSON that describes it."""
        return Path(self._view.description or f"{self.recording_id}.json")

    @property
    def files(self) -> tuple[Path, ...]:
        """The names of the WAV files, one for each part."""
        return tuple(map(Path, self._view.files))

    @property
    def coaching_files(self) -> tuple[Path, ...]:
        """The names of the WAV files with the whispers."""
        return tuple(map(Path, self._view.coaching_files))

    @property
    def seconds(self) -> float:
        """How much of the call was recorded when the daemon told of it last."""
        return self._view.seconds

    @property
    def ended_by(self) -> str | None:
        """Why it ended: ``stopped``, ``caller_left``, ``call_ended``, …; None while it goes on."""
        return self._view.ended_by

    async def pause(self) -> None:
        """Let nothing of anybody into the files from now on."""
        await self._change(paused=True)

    async def resume(self) -> None:
        """End a pause, 0.25 s from now."""
        await self._change(paused=False)

    async def stop(self) -> None:
        """End the recording; return when the files are whole. Idempotent."""
        if self._over.is_set():
            return
        self.see(
            await self._host.http.ask(
                operations.STOP_RECORDING,
                RecordingView,
                recording_id=self.recording_id,
                seconds=_STOP_SECONDS,
            )
        )

    async def wait_ended(self) -> RecordingState:
        """Wait until nothing more is written; return ENDED or FAILED."""
        await self._over.wait()
        return self.state

    async def fetch(self, name: str | Path | None = None, to: str | Path | None = None) -> Saved:
        """Fetch the files of it, or one by its name, from the daemon; see ``Recording.fetch``."""
        names = (*self.files, *self.coaching_files) if name is None else (Path(name),)
        folder = self.folder if to is None else Path(to)
        return tuple([await self._fetched(one.name, folder) for one in names])

    async def _fetched(self, name: str, folder: Path) -> Path:
        target = folder / name
        partly = target.with_name(f"{name}.part")
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            try:
                with await asyncio.to_thread(partly.open, "wb") as file:
                    await self._fetch(name, file)
                return partly.replace(target)
            finally:
                partly.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written to: {error}") from error

    async def _fetch(self, name: str, file: BinaryIO) -> None:
        async def write(chunk: bytes) -> None:
            await asyncio.to_thread(file.write, chunk)

        await self._host.http.fetch(
            operations.FETCH_RECORDING, write, recording_id=self.recording_id, name=name
        )

    async def _change(self, *, paused: bool) -> None:
        try:
            view = await self._host.http.ask(
                operations.CHANGE_RECORDING,
                RecordingView,
                recording_id=self.recording_id,
                body=ChangeRecording(paused=paused),
            )
        except InvalidStateError as error:
            raise CallClosedError(str(error)) from None
        self.see(view)

    def see(self, view: RecordingView) -> CallEvent | None:
        """Take a newer view; return what is to be told of it, once, to the call and its client."""
        event = EVENTS.get(RecordingState(view.state))
        if event is None and self._over.is_set():
            # It was on its way when the end was told.
            return None
        self._view = view
        if event is None or self._over.is_set():
            return None
        self._over.set()
        for listener in list(self.listeners):
            listener(event, self)
        return event

    def lose(self, why: str) -> None:
        """Nothing more will be known of it."""
        if not self._over.is_set():
            state = RecordingState.FAILED
            self.see(msgspec.structs.replace(self._view, state=state, failure=why))
