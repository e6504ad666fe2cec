"""Speech by a command: text in, WAV out, brought to the rate of the calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Sequence
from typing import Final

from bridge.media.clips import MOST_SECONDS, pcm_of_wav
from bridge.media.pcm import AudioFormat
from bridge.model.errors import (
    BadArgumentError,
    BufferFullError,
    ConfigurationError,
    RateLimitedError,
)
from bridge.sdk import Observer

_log = logging.getLogger(__name__)

VOICE: Final = "{voice}"
"""In a command, what the voice that is asked for takes the place of."""
ESPEAK: Final = ("espeak-ng", "--stdin", "--stdout", "-v", VOICE)
DEFAULT_VOICE: Final = "en"
TIMEOUT_SECONDS: Final = 20.0
AT_ONCE: Final = 2
"""Commands that run at a time; who asks for more waits."""
WAITING: Final = 16
"""Who may wait for that; who comes then is to try again."""
_MOST_BYTES: Final = int(MOST_SECONDS * 48_000 * 2 * 2)
_MOST_WORDS: Final = 500
"""Letters of what a command says of its failure."""
_PIECE_SECONDS: Final = 0.5
_ROOM_SECONDS: Final = 0.1
_SOON: Final = 2.0
_END_SECONDS: Final = 2.0


def installed_command() -> Sequence[str] | None:
    """Return what speaks where nothing is configured: espeak-ng; None where that is not there."""
    return None if shutil.which(ESPEAK[0]) is None else ESPEAK


class Speech:
    """Speaks texts.

    command: gets the text on its standard input, in UTF-8, and writes WAV to its standard output;
    ``{voice}`` in it stands for the voice. voice: when none is asked for. It is run without a
    shell. Raises ConfigurationError for a command that is not there.
    """

    def __init__(
        self,
        command: Sequence[str],
        sample_rate: int,
        *,
        voice: str = DEFAULT_VOICE,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if not command or shutil.which(command[0]) is None:
            name = command[0] if command else ""
            raise ConfigurationError(f"the command for speech, {name!r}, is not there: install it")
        self._command = tuple(command)
        self._format = AudioFormat(sample_rate)
        self._voice = voice
        self._timeout = timeout_seconds
        self._free = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def spoken(self, text: str, *, voice: str = "") -> bytes:
        """Return a text as PCM, s16le, mono, at the rate of the calls.

        Raises ConfigurationError when the command cannot be run, fails, takes too long, or writes
        no WAV, RateLimitedError when too many wait already.
        """
        command = [part.replace(VOICE, voice or self._voice) for part in self._command]
        if self._asked >= AT_ONCE + WAITING:
            raise RateLimitedError(
                f"{self._asked} texts are to be spoken already: try again", retry_after=_SOON
            )
        self._asked += 1
        try:
            async with self._free:
                wav = await self._run(command, text)
        finally:
            self._asked -= 1
        try:
            return await asyncio.to_thread(pcm_of_wav, wav, self._format)
        except BadArgumentError as error:
            raise ConfigurationError(f"{command[0]} has spoken in no way known: {error}") from error

    async def play(self, pcm: bytes, observer: Observer) -> None:
        """Let an observer say PCM; return when it is on its way. Raises CallClosedError."""
        piece = int(_PIECE_SECONDS * self._format.rate) * 2
        for start in range(0, len(pcm), piece):
            while True:
                try:
                    await observer.send_audio(pcm[start : start + piece])
                except BufferFullError:
                    await asyncio.sleep(_ROOM_SECONDS)
                else:
                    break

    async def _run(self, command: Sequence[str], text: str) -> bytes:
        """Run the command to its end, in bounds of time and size."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(f"{command[0]} cannot be run: {error}") from error
        try:
            async with asyncio.timeout(self._timeout):
                wav, words = await _talk(process, text.encode())
                status = await process.wait()
        except TimeoutError:
            raise ConfigurationError(
                f"{command[0]} has not spoken within {self._timeout:g} s: say less at a time"
            ) from None
        finally:
            await _ended(process)
        if status:
            raise ConfigurationError(f"{command[0]} failed ({status}): {words or 'without a word'}")
        return wav


async def _talk(process: asyncio.subprocess.Process, text: bytes) -> tuple[bytes, str]:
    """Give a process its input, and return what it writes."""
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        msg = "a process of speech has pipes"
        raise TypeError(msg)

    async def give() -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # It may end without having read all; its status says whether that is a failure.
            stdin.write(text)
            await stdin.drain()
            stdin.close()

    _, wav, words = await asyncio.gather(give(), _read(stdout, _MOST_BYTES), _read(stderr, 1 << 16))
    if len(wav) >= _MOST_BYTES:
        raise ConfigurationError(f"more than {MOST_SECONDS:g} s were spoken: say less at a time")
    return wav, words.decode(errors="replace").strip()[:_MOST_WORDS]


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    """Read to the end; keep what there is room for."""
    kept = bytearray()
    while part := await stream.read(1 << 16):
        kept += part[: most - len(kept)]
    return bytes(kept)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """See to it that a process is no more, and whatever it has started."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        async with asyncio.timeout(_END_SECONDS):
            # What it wrote last has to be read: before that its end is not noticed.
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    await _read(stream, 0)
            await process.wait()
    except TimeoutError:
        _log.warning("the command for speech (process %d) does not end", process.pid)
