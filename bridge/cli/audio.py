"""Where what is heard goes, and where what is said comes from. PCM: s16le, mono."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import queue
import sys
import threading
import wave
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final, Protocol, Self

from bridge.media.clips import load_wav
from bridge.media.pcm import AudioFormat
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    ConfigurationError,
    ErrorCode,
)

_SECOND_FRAMES: Final = 50
_BUFFERED_FRAMES: Final = 50
"""What speakers or a microphone are behind by at most: 1 s; then the oldest is dropped."""
_PIPE_FRAMES: Final = 500
"""What who reads a pipe is behind by at most: 10 s; then the oldest is dropped."""
_LAST_SECONDS: Final = 2.0
"""How long he has at the end for what he is behind by."""
_FRAME_SECONDS: Final = 0.02


class Sink(Protocol):
    """Takes frames of 20 ms; a context manager that ends in order whatever happens."""

    def take(self, frame: bytes) -> None:
        """Take one frame; does not block for long."""

    async def settle(self) -> int:
        """Take no more, wait a moment until all is where it goes; return how many were lost."""
        ...

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""


class WavSink:
    """A WAV file whose header is right at every moment, also when this process is killed.

    Raises BadArgumentError for a file that cannot be written, CallbridgeError when it cannot go on.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self._path = path
        self._frames: list[bytes] = []
        try:
            # Without a buffer: what is written is there, the header included.
            self._raw = path.open("wb", buffering=0)
        except OSError as error:
            raise BadArgumentError(f"{path} cannot be written: {error.strerror}") from error
        self._file = wave.open(self._raw, "wb")  # noqa: SIM115 - closed by __exit__
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate)
        try:
            self._file.writeframes(b"")
        except OSError as error:
            # The disk is full, from the first byte on.
            self._close()
            raise BadArgumentError(f"{path} cannot be written: {error.strerror}") from error

    def take(self, frame: bytes) -> None:
        """See Sink. It is on disk a second later."""
        self._frames.append(frame)
        if len(self._frames) >= _SECOND_FRAMES:
            self._write()

    async def settle(self) -> int:
        """See Sink."""
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._write()
        finally:
            self._close()

    def _close(self) -> None:
        # The file is closed whatever happens; what could not be written has been told.
        with contextlib.suppress(OSError):
            self._file.close()
        self._raw.close()

    def _write(self) -> None:
        frames = b"".join(self._frames)
        self._frames.clear()
        if not frames:
            return
        try:
            # Also brings the lengths in the header up to date.
            self._file.writeframes(frames)
        except OSError as error:
            raise CallbridgeError(
                f"{self._path}: {error.strerror or error}; what was heard before is there",
                code=ErrorCode.MEDIA_FAILED,
            ) from error


class PipeSink:
    """Raw PCM on standard output, which a thread writes: a reader who stops holds up nobody.

    He loses the oldest audio beyond 10 s, and what he has not read 2 s after the end.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_PIPE_FRAMES)
        self._taken = self._written = 0
        self._failure: OSError | None = None
        self._over = asyncio.Event()
        # Nobody can end a write that nobody reads: it ends with the process.
        self._writer = threading.Thread(target=self._write, name="standard output", daemon=True)

    def take(self, frame: bytes) -> None:
        """See Sink. Raises BrokenPipeError when nobody reads any more."""
        if self._failure is not None:
            raise self._failure
        self._taken += 1
        self._put(frame)

    async def settle(self) -> int:
        """See Sink."""
        self._put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._over.wait()
        return self._taken - self._written

    def __enter__(self) -> Self:
        sys.stdout.flush()
        self._output = sys.stdout.fileno()
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._failure is not None:
            raise self._failure

    def _put(self, frame: bytes | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(frame)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._waiting.get_nowait()
            else:
                return

    def _write(self) -> None:
        try:
            while (frame := self._waiting.get()) is not None:
                rest = memoryview(frame)
                while rest:
                    rest = rest[os.write(self._output, rest) :]
                self._written += 1
        except OSError as error:
            self._failure = error
        finally:
            # The program may not have waited for it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)


class SpeakerSink:
    """This machine's speakers. Raises ConfigurationError when there are none."""

    def __init__(self, rate: int) -> None:
        self._frames: deque[bytes] = deque(maxlen=_BUFFERED_FRAMES)
        self._stream = _stream("RawOutputStream", rate, self._play)

    def take(self, frame: bytes) -> None:
        """See Sink."""
        self._frames.append(frame)

    async def settle(self) -> int:
        """See Sink."""
        return 0

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def _play(self, block: memoryview, frames: int, *_: object) -> None:
        with contextlib.suppress(IndexError):
            block[:] = self._frames.popleft()
            return
        block[:] = bytes(2 * frames)


class Microphone:
    """This machine's microphone: ``frames`` of 20 ms. Raises ConfigurationError without one."""

    def __init__(self, rate: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._frames: deque[bytes] = deque(maxlen=_BUFFERED_FRAMES)
        self._came = asyncio.Event()
        self._stream = _stream("RawInputStream", rate, self._hear)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Hear, without end."""
        self._stream.start()
        try:
            while True:
                while self._frames:
                    yield self._frames.popleft()
                self._came.clear()
                await self._came.wait()
        finally:
            self._stream.close()

    def _hear(self, block: memoryview, *_: object) -> None:
        self._frames.append(bytes(block))
        self._loop.call_soon_threadsafe(self._came.set)


async def file_frames(path: Path, rate: int) -> AsyncGenerator[bytes, None]:
    """Return a WAV file in frames of 20 ms. Raises BadArgumentError."""
    pcm = await asyncio.to_thread(load_wav, path, AudioFormat(rate))
    size = 2 * round(rate * _FRAME_SECONDS)
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def sink_for(path: Path | None, rate: int) -> Sink:
    """Return a file, standard output (``-``), or speakers. Raises what these raise."""
    if path is None:
        return SpeakerSink(rate)
    return PipeSink() if str(path) == "-" else WavSink(path, rate)


def require_audio(*, sounds: str) -> ModuleType:
    """Return the library of speakers and microphones. Raises ConfigurationError with a way out."""
    way_out = f"give {sounds} instead"
    try:
        library = importlib.import_module("sounddevice")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"speakers and microphone need sounddevice: pip install 'callbridge[speakers]'; or "
            f"{way_out}"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"sounddevice does not find PortAudio: apt install libportaudio2; or {way_out}"
        ) from error
    kind = "output" if sounds.startswith("--output") else "input"
    try:
        library.check_output_settings() if kind == "output" else library.check_input_settings()
    except (library.PortAudioError, ValueError) as error:
        raise ConfigurationError(f"this machine has no {kind} for sound; {way_out}") from error
    return library


class _Stream(Protocol):
    """Of sounddevice, which has no types. Its thread calls back with each block."""

    def start(self) -> None: ...

    def close(self) -> None: ...


def _stream(name: str, rate: int, callback: Callable[..., None]) -> _Stream:
    sounds = "--output FILE" if name == "RawOutputStream" else "--file FILE"
    library = require_audio(sounds=sounds)
    block = round(rate * _FRAME_SECONDS)
    try:
        stream: _Stream = getattr(library, name)(
            samplerate=rate, blocksize=block, channels=1, dtype="int16", callback=callback
        )
    except library.PortAudioError as error:
        raise ConfigurationError(f"the sound device refuses {rate} Hz: {error}") from error
    return stream
