"""A message that the caller leaves when nobody takes his call: greeting, beep, and a WAV file.

A program on the SDK like any other, and the fallback of a transfer::

    async def mailbox(call: ActiveCall, transfer: Transfer) -> None:
        message = await leave_voicemail(call, "messages", greeting=Path("nobody-is-in.wav"))
        await call.disconnect()

    await call.transfer("1003", fallback=mailbox)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge.media.ears import AudioStream
from bridge.media.loudness import VoiceMeter, samples_of
from bridge.media.pcm import FRAME_SECONDS, AudioFormat
from bridge.media.recording import WavFile, load_soundfile
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CallerGoneError,
    CommandInProgressError,
    ConfigurationError,
    InvalidStateError,
)
from bridge.model.states import CallState
from bridge.runtime.tasks import end_all
from bridge.sdk.call import ActiveCall
from bridge.sdk.sounds import Sound
from bridge.session.digits import EndedBy

_log = logging.getLogger(__name__)

_CALLER: Final = "caller"
_BEEP_HZ: Final = 1000.0
_BEEP_SECONDS: Final = 0.4
_BEEP_PEAK: Final = 8000
_KEPT_FRAMES: Final = 20
"""0.4 s: so much silence is kept before the first word, and behind the last."""
_WRITE_SECONDS: Final = 0.5
_LATE_SECONDS: Final = 0.5
"""A line from which nothing comes for so long is silent."""
_A_LONG_TIME: Final = 3600.0


class VoicemailEnd(StrEnum):
    """What a message ended with."""

    KEY = "key"
    SILENCE = "silence"
    HUNG_UP = "hung_up"
    """The caller, or whoever else ended the call."""
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Voicemail:
    """A message."""

    path: Path | None
    """The WAV file, mono, at the client's rate; None when nothing was said: then there is none."""
    seconds: float
    """From the first word to the last, and 0.4 s on either side."""
    ended_by: VoicemailEnd


@dataclass(frozen=True, slots=True)
class _Limits:
    max_seconds: float
    silence_seconds: float


class _Message:
    """What is said, from the first word to the last with the pauses between, on its way to a file.

    The file is made with the first word. path: of it. rate: Hz.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self._path = path
        self._rate = rate
        self._meter = VoiceMeter()
        self._silent: deque[bytes] = deque()
        """Since the last word; before the first, no more than is to be kept."""
        self._unwritten: list[bytes] = []
        self._file: WavFile | None = None
        self.silent_seconds = 0.0
        """Since the last word, or the beginning."""
        self.spoken_seconds = 0.0

    async def take(self, frame: bytes) -> None:
        """Take 20 ms. Raises OSError."""
        if self._meter.is_voiced(samples_of(frame)):
            self._unwritten += [*self._silent, frame]
            self._silent.clear()
            self.silent_seconds = 0.0
            self.spoken_seconds += FRAME_SECONDS
        else:
            self.silent_seconds += FRAME_SECONDS
            self._silent.append(frame)
            if not self.spoken_seconds and len(self._silent) > _KEPT_FRAMES:
                self._silent.popleft()
        if len(self._unwritten) * FRAME_SECONDS >= _WRITE_SECONDS:
            await asyncio.to_thread(self._write)

    async def finish(self, *, keep: bool) -> tuple[Path | None, float]:
        """Close the file, or remove it; return where it is, and how long. Raises OSError."""
        self._unwritten += list(self._silent)[:_KEPT_FRAMES]
        return await asyncio.to_thread(self._finish, keep=keep)

    def _write(self) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = WavFile(self._path, rate=self._rate, channels=1)
        samples = np.frombuffer(b"".join(self._unwritten), "<i2").astype(np.int16, copy=False)
        self._unwritten.clear()
        self._file.write(samples)

    def _finish(self, *, keep: bool) -> tuple[Path | None, float]:
        try:
            if keep:
                self._write()
        finally:
            file, self._file = self._file, None
            if file is not None:
                file.close()
                if not keep:
                    self._path.unlink()
        return (self._path, file.frames / self._rate) if keep and file else (None, 0.0)


async def leave_voicemail(
    call: ActiveCall,
    folder: str | Path,
    *,
    greeting: Sound | None = None,
    beep: bool = True,
    max_seconds: float = 180.0,
    silence_seconds: float = 5.0,
    shortest_seconds: float = 0.5,
    finish_keys: str = "#",
) -> Voicemail:
    """Let the caller, who is alone with the agent, leave a message; return when he has.

    greeting: said first, as by ``call.announce``; one of ``finish_keys`` skips it. beep: says that
    the message begins. It ends with one of ``finish_keys``, after ``silence_seconds`` without a
    word, after ``max_seconds``, or when he hangs up. Of less than ``shortest_seconds`` of speech
    nothing is kept. The call goes on, unless he hung up; a call that is PENDING is answered.

    Raises InvalidStateError when he is not alone with the agent, BadArgumentError,
    ConfigurationError for a folder that cannot be written to, or without the extra
    ``callbridge[recording]``, and what ``call.announce`` raises.
    """
    for name, value in (("max_seconds", max_seconds), ("silence_seconds", silence_seconds)):
        if value <= 0:
            raise BadArgumentError(f"{name}={value:g}: more than 0")
    load_soundfile()
    if call.state is CallState.PENDING:
        await call.answer()
    if call.state is CallState.CONNECTED:
        raise InvalidStateError("the caller talks with somebody: he leaves no message now")
    message = _Message(Path(folder) / _name(call), call.sample_rate)
    limits = _Limits(max_seconds, silence_seconds)
    try:
        try:
            ended_by = await _led_through(call, message, limits, greeting, finish_keys, beep=beep)
        except (CallClosedError, CallerGoneError):
            ended_by = VoicemailEnd.HUNG_UP
        finally:
            keep = message.spoken_seconds >= shortest_seconds
            path, seconds = await message.finish(keep=keep)
    except OSError as error:
        raise ConfigurationError(f"no message can be kept in {folder}: {error}") from error
    return Voicemail(path, seconds, ended_by)


async def _led_through(
    call: ActiveCall,
    message: _Message,
    limits: _Limits,
    greeting: Sound | None,
    finish_keys: str,
    *,
    beep: bool,
) -> VoicemailEnd:
    if greeting is not None:
        async with _key(call, finish_keys) as key:
            await _unless(key, _said(call, greeting))
    if beep:
        await _said(call, _beep(call.sample_rate))
    stream = call.audio_stream(_CALLER)
    try:
        async with _key(call, finish_keys) as key:
            return await _recorded(stream, message, limits, key, call.sample_rate)
    finally:
        await stream.aclose()


async def _recorded(
    stream: AudioStream, message: _Message, limits: _Limits, key: asyncio.Task[bool], rate: int
) -> VoicemailEnd:
    seconds = 0.0
    async for frame in _frames(stream, AudioFormat(rate).frame_bytes):
        await message.take(frame)
        seconds += FRAME_SECONDS
        if key.done() and key.result():
            return VoicemailEnd.KEY
        if message.silent_seconds >= limits.silence_seconds:
            return VoicemailEnd.SILENCE
        if seconds >= limits.max_seconds:
            return VoicemailEnd.TOO_LONG
    return VoicemailEnd.HUNG_UP


async def _frames(stream: AudioStream, size: int) -> AsyncIterator[bytes]:
    """Yield what is heard; silence for a line from which nothing comes."""
    while True:
        try:
            async with asyncio.timeout(_LATE_SECONDS):
                frame = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            for _ in range(round(_LATE_SECONDS / FRAME_SECONDS)):
                yield bytes(size)
        else:
            yield frame


async def _said(call: ActiveCall, sound: Sound) -> None:
    """Say something to the caller. Raises CallClosedError when he has gone."""
    try:
        await call.announce(sound, _CALLER)
    except InvalidStateError:
        if call.state is not CallState.DISCONNECTED:
            raise
    if call.state is CallState.DISCONNECTED:
        raise CallClosedError("the caller hung up")


async def _unless(key: asyncio.Task[bool], work: Coroutine[Any, Any, None]) -> None:
    """Do something until it is done, or the key was pressed."""
    task = asyncio.create_task(work, name="greeting of a mailbox")
    try:
        await asyncio.wait({task, key}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() or not key.result():
            await task
    finally:
        await end_all(task)


@contextlib.asynccontextmanager
async def _key(call: ActiveCall, keys: str) -> AsyncIterator[asyncio.Task[bool]]:
    """Wait, beside the block, for one of some keys."""
    task = asyncio.create_task(_pressed(call, keys), name="keys of a mailbox")
    try:
        yield task
    finally:
        await end_all(task)


async def _pressed(call: ActiveCall, keys: str) -> bool:
    """Return True when one of the keys is pressed; False when that cannot be known any more."""
    try:
        while keys:
            digits = await call.collect_digits(
                max_digits=1, terminator=keys, timeout_seconds=_A_LONG_TIME
            )
            if digits.ended_by is EndedBy.TERMINATOR:
                return True
    except (CallClosedError, CommandInProgressError, BadArgumentError) as error:
        # The program itself collects digits, or the caller has gone, as his stream will say.
        _log.debug("call %s: no key ends the message: %s", call.call_id, error)
    return False


def _beep(rate: int) -> bytes:
    wave = np.sin(2 * np.pi * _BEEP_HZ * np.arange(round(_BEEP_SECONDS * rate)) / rate)
    return (wave * _BEEP_PEAK).astype("<i2").tobytes()


def _name(call: ActiveCall) -> str:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"voicemail-{at}-{call.call_id}-{secrets.token_hex(2)}.wav"
