"""What a phone says and keeps of what it hears: samples, without pjsua2."""

from __future__ import annotations

import threading
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from bridge.lab.hearing import Pcm, tone
from bridge.lab.phones.settings import Silence, Source, Tone, WavFile

FRAME_MS = 20
# As long as a talker's pause between two words: shorter ones are sent.
_QUIET_FRAMES = 10
_FRAMES_PER_WRITE = 1000 // FRAME_MS


@dataclass(slots=True)
class _Said:
    """A source, the samples of its file, and how far they have been said."""

    source: Source
    clip: Pcm | None
    at: int = 0


class Voice:
    """A source as frames of 20 ms.

    ``next()`` gives one frame of little-endian PCM. ``quiet`` is true while there is nothing to
    send: muted, no source, or digital silence in it for 200 ms.
    """

    def __init__(self, source: Source, rate: int) -> None:
        self._rate = rate
        self.samples = rate * FRAME_MS // 1000
        self._nothing = bytes(2 * self.samples)
        self._clock = 0
        self._muted = False
        self._silent_frames = 0
        self.play(source)

    def play(self, source: Source) -> None:
        """Change the source from the next frame on; a tone takes up the phase that it would have.

        Raises OSError or soundfile.LibsndfileError for a file that cannot be read.
        """
        clip = load(source.path, self._rate) if isinstance(source, WavFile) else None
        self._said = _Said(source, clip)
        self._silent_frames = 0

    def mute(self, *, on: bool) -> None:
        """Say nothing from the next frame on; the source's time goes on."""
        self._muted = on

    @property
    def quiet(self) -> bool:
        """Whether a phone with silence suppression would send nothing now."""
        nothing = self._muted or isinstance(self._said.source, Silence)
        return nothing or self._silent_frames >= _QUIET_FRAMES

    def next(self) -> bytes:
        """The next 20 ms."""
        pcm = self._frame()
        self._clock += self.samples
        if pcm is None:
            return self._nothing
        self._silent_frames = 0 if pcm.any() else self._silent_frames + 1
        return self._nothing if self._muted else pcm.astype("<i2").tobytes()

    def _frame(self) -> Pcm | None:
        # Looked at once: another thread may change it meanwhile.
        said = self._said
        source, clip, at = said.source, said.clip, said.at
        if isinstance(source, Tone):
            return tone(source.hz, source.dbfs, FRAME_MS / 1000, self._rate, self._clock)
        if not isinstance(source, WavFile) or clip is None:
            return None
        said.at = at + self.samples
        if source.loop:
            return np.take(clip, np.arange(at, said.at), mode="wrap")
        piece = clip[at : said.at]
        frame = np.zeros(self.samples, np.int16)
        frame[: len(piece)] = piece
        return frame


def load(path: Path, rate: int) -> Pcm:
    """Return a sound file as mono samples at ``rate`` (Hz).

    Raises OSError or soundfile.LibsndfileError for a file that cannot be read.
    """
    data, file_rate = soundfile.read(path, dtype="float64", always_2d=True)
    mono = data.mean(axis=1)
    if file_rate != rate and len(mono):
        # Band-limited: the spectrum is cut or padded, which no short filter does as well.
        length = round(len(mono) * rate / file_rate)
        mono = np.fft.irfft(np.fft.rfft(mono), length) * (length / len(mono))
    pcm: Pcm = np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)
    return pcm if len(pcm) else np.zeros(1, np.int16)


class Recorder:
    """A WAV file (16-bit mono) that grows with every frame and is readable at any time.

    What is on disk may be one second short until ``flush()`` or ``close()``. Frames are written by
    the sound clock's thread, and all else is done by the main one: that is who is told when nothing
    can be written any more, as on a full disk. The recording ends there.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self._rate = rate
        # The recorder outlives this scope and is closed by close().
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - closed by close()
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate)
        self._lock = threading.Lock()
        self._pending: list[bytes] = []
        self._failure: OSError | None = None
        self._samples = 0
        self._mark = (0.0, time.monotonic())

    def write(self, frame: bytes) -> None:
        """Append one frame of little-endian PCM."""
        with self._lock:
            if self._failure is not None:
                return
            self._pending.append(frame)
            self._samples += len(frame) // 2
            self._mark = (self._samples / self._rate, time.monotonic())
            if len(self._pending) >= _FRAMES_PER_WRITE:
                try:
                    self._flush()
                except OSError as error:
                    self._failure = error

    def flush(self) -> tuple[float, float]:
        """Bring the file up to date.

        Returns seconds recorded, and the ``time.monotonic()`` at which the last of them came.
        Raises OSError if it could not be written, now or before.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._flush()
            return self._mark

    def close(self) -> None:
        """Write the rest. Raises OSError as flush() does; it is closed all the same."""
        with self._lock:
            try:
                if self._failure is not None:
                    raise self._failure
                self._flush()
            finally:
                self._file.close()

    def _flush(self) -> None:
        # writeframes also brings the lengths in the header up to date.
        self._file.writeframes(b"".join(self._pending))
        self._pending.clear()
