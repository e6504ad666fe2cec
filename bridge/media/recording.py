"""Files of a recording: WAV in numbered parts, a JSON beside them, and what is removed in time.

Everything here blocks, and is called in a thread of its own. One recording, ``<stem>``::

    <stem>.json                 what it is: call, numbers, parts, pauses, why it ended
    <stem>.wav                  left: the caller, right: whom he hears
    <stem>.part2.wav            and so on
    <stem>.coaching.wav         what he does not hear, mono, in the same parts

A WAV file's header is right after every write: whatever kills the program leaves it playable.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import struct
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bridge.model.errors import ConfigurationError

Samples = npt.NDArray[np.int16]

_log = logging.getLogger(__name__)

SHORTEST_MINUTES: Final = 0.005
"""A part has some samples in it: of parts that have none there would be no end."""
LONGEST_MINUTES: Final = 600.0
"""The sizes in a WAV header have 32 bits: 24 kHz, stereo, fills them in 12 hours."""

_RIFF_SIZE_AT: Final = 4
_HEADER_BYTES: Final = 44
"""Of a PCM file as libsndfile writes it: RIFF, fmt, data (wav.c)."""
_DATA_SIZE_AT: Final = 40
_FILE_MODE: Final = 0o640
"""For us, and for whoever may read the recordings of the folder's group."""
_OURS: Final = re.compile(
    r"(callbridge-\d{8}T\d{6}Z-[0-9a-f]{12}-[0-9a-f]{6})"
    r"(\.coaching)?(\.part\d+|\.[0-9a-f]{6})?\.(wav|json)"
)
_FRESH_SECONDS: Final = 60.0
_ABANDONED_SECONDS: Final = 86_400.0
"""A recording that did not end is spared for so long after its last write."""


def load_soundfile() -> ModuleType:
    """Return the library that writes WAV files. Raises ConfigurationError without it."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            f"recording needs soundfile: pip install 'callbridge[recording]' ({error})"
        ) from error
    module: ModuleType = soundfile
    return module


def timestamp(at: float) -> str:
    """Return seconds since 1970 as ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def new_stem(call_id: str, recording_id: str, at: float) -> str:
    """Return what the files of a recording in a folder are called. at: seconds since 1970."""
    begin = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"callbridge-{begin}-{call_id}-{recording_id}"


class WavFile:
    """One WAV file, PCM of 16 bit, that is whole after every ``write``.

    Raises OSError, FileExistsError among them: nothing is written over.
    """

    def __init__(self, path: Path, *, rate: int, channels: int) -> None:
        self.path = path
        self.frames = 0
        """Samples per channel."""
        self._channels = channels
        self._library = load_soundfile()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        try:
            self._file = self._library.SoundFile(
                self._fd, "w", rate, channels, "PCM_16", format="WAV", closefd=False
            )
        except RuntimeError as error:
            os.close(self._fd)
            raise OSError(f"{path}: {error}") from error

    def write(self, samples: Samples) -> None:
        """Append; ``samples`` have a column for each channel, or are of one dimension for mono."""
        wanted = self.frames + len(samples)
        try:
            self._file.write(samples)
        except (RuntimeError, AssertionError) as error:
            # Of a full disk libsndfile says no more than that less was written.
            raise OSError(f"{self.path}: {str(error) or 'the disk is full'}") from error
        size = wanted * self._channels * samples.itemsize
        if os.fstat(self._fd).st_size < _HEADER_BYTES + size:
            raise OSError(f"{self.path}: not all of it was written; the disk may be full")
        self.frames = wanted
        os.pwrite(self._fd, struct.pack("<I", _HEADER_BYTES - 8 + size), _RIFF_SIZE_AT)
        os.pwrite(self._fd, struct.pack("<I", size), _DATA_SIZE_AT)

    def close(self) -> None:
        """Finish. Idempotent."""
        if self._fd < 0:
            return
        try:
            self._file.close()
            os.fsync(self._fd)
        except RuntimeError as error:
            raise OSError(f"{self.path}: {error}") from error
        finally:
            os.close(self._fd)
            self._fd = -1


@dataclass(slots=True)
class Part:
    """One file of a recording, or two with coaching."""

    file: str
    """Its name in the folder."""
    coaching: str | None
    began_at: str
    offset_seconds: float
    """Where it begins, from the beginning of the recording."""
    seconds: float | None = None
    """None while it is being written, and after a program was killed."""


@dataclass(slots=True)
class Pause:
    """A while of which nothing is recorded, in seconds from the beginning of the recording."""

    from_seconds: float
    to_seconds: float | None = None


@dataclass(slots=True)
class Facts:
    """All that is known of a recording: the JSON beside it."""

    recording_id: str
    call_id: str
    caller_number: str
    callee_number: str
    began_at: float
    """Seconds since 1970."""
    rate: int
    """Hz."""
    coaching: bool = False
    cut_pauses: bool = False
    part_seconds: float = 3600.0
    keep_seconds: float | None = None
    keep_bytes: int | None = None
    in_folder: bool = True
    """It has a name of ours, in a folder with others."""
    announced: bool = False
    parts: list[Part] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    dropped_frames: int = 0
    ended_at: float | None = None
    end_cause: str | None = None

    @property
    def paused(self) -> bool:
        """It is paused now."""
        return bool(self.pauses) and self.pauses[-1].to_seconds is None

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON holds."""
        times = {"began": timestamp(self.began_at), "channels": ["caller", "heard by the caller"]}
        if self.ended_at is not None:
            times |= {"ended": timestamp(self.ended_at)}
        return {"format": 1, **times, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Facts:
        """Return what a JSON says. Raises OSError, and ValueError for one that is none of ours."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != 1:
            raise ValueError(f"{path} describes no recording of callbridge")
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        try:
            known["parts"] = [Part(**part) for part in data["parts"]]
            known["pauses"] = [Pause(**pause) for pause in data["pauses"]]
            return cls(**known)
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path} describes no recording of callbridge: {error}") from error


class RecordingFiles:
    """The files of one recording. Every method may raise OSError; ``close`` is to follow then.

    stem: path of the files, without what distinguishes them. clock: seconds since 1970.
    """

    def __init__(self, stem: Path, facts: Facts) -> None:
        self.stem = stem
        self.facts = facts
        self._main: WavFile | None = None
        self._coaching: WavFile | None = None

    @property
    def sidecar(self) -> Path:
        """The JSON."""
        return _named(self.stem, ".json")

    def begin(self) -> None:
        """Write the JSON: whether that can be is known then. Makes the folder.

        Raises FileExistsError when there is a recording of that name: nothing is written over.
        """
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.sidecar, _named(self.stem, ".wav")):
            if path.exists():
                raise FileExistsError(f"{path} is there already: choose another name")
        self.note()

    def discard(self) -> None:
        """Undo ``begin``."""
        self.sidecar.unlink(missing_ok=True)

    def note(self) -> None:
        """Write the JSON anew; whoever reads it finds the old or the new, whole."""
        # The program before this one may be writing its last, too.
        draft = _named(self.stem, f".{secrets.token_hex(3)}.json")
        text = json.dumps(self.facts.as_dict(), indent=2) + "\n"
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.sidecar)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def write(self, stereo: Samples, coaching: Samples, offset_seconds: float) -> None:
        """Append to the recording; a part that is full ends, and the next one begins.

        stereo: two columns. offset_seconds: where it begins, from the beginning of the recording.
        """
        rate, done = self.facts.rate, 0
        most = round(self.facts.part_seconds * rate)
        while done < len(stereo):
            if self._main is None:
                self._open(offset_seconds + done / rate)
            main = self._main
            if main is None:
                return
            count = min(len(stereo) - done, most - main.frames)
            main.write(stereo[done : done + count])
            if self._coaching is not None:
                self._coaching.write(coaching[done : done + count])
            done += count
            if main.frames >= most:
                self._end_part()
                self.note()
                self.sweep()

    def close(self) -> None:
        """End the part that is being written, and write the JSON."""
        try:
            self._end_part()
        finally:
            self.note()

    def take_up(self) -> None:
        """Go on with what another program began, which may have been killed in a part."""
        for part in self.facts.parts:
            if part.seconds is None:
                path = self.stem.with_name(part.file)
                try:
                    part.seconds = float(load_soundfile().info(str(path)).duration)
                except RuntimeError:
                    # It had been made, and nothing written yet.
                    part.seconds = 0.0
        self.facts.ended_at = self.facts.end_cause = None
        self.note()

    def sweep(self) -> None:
        """Remove recordings of this folder that are kept no longer; never one that goes on.

        What cannot be removed is logged, and tried again with the next part.
        """
        facts = self.facts
        if not facts.in_folder or (facts.keep_seconds is None and facts.keep_bytes is None):
            return
        folder, spare = self.stem.parent, self.stem.name
        try:
            sweep(folder, keep_seconds=facts.keep_seconds, keep_bytes=facts.keep_bytes, spare=spare)
        except OSError as error:
            # Another recording, or another program, may sweep the same folder just now.
            _log.warning("old recordings in %s stay for now: %s", folder, error)

    def _open(self, offset_seconds: float) -> None:
        number = len(self.facts.parts) + 1
        suffix = ".wav" if number == 1 else f".part{number}.wav"
        main = _named(self.stem, suffix)
        coaching = _named(self.stem, f".coaching{suffix}") if self.facts.coaching else None
        self._main = WavFile(main, rate=self.facts.rate, channels=2)
        if coaching is not None:
            self._coaching = WavFile(coaching, rate=self.facts.rate, channels=1)
        began_at = timestamp(self.facts.began_at + offset_seconds)
        name = None if coaching is None else coaching.name
        self.facts.parts.append(Part(main.name, name, began_at, round(offset_seconds, 3)))
        self.note()

    def _end_part(self) -> None:
        main, coaching = self._main, self._coaching
        self._main = self._coaching = None
        try:
            if main is not None:
                self.facts.parts[-1].seconds = round(main.frames / self.facts.rate, 3)
                main.close()
        finally:
            if coaching is not None:
                coaching.close()


def sweep(
    folder: Path, *, keep_seconds: float | None, keep_bytes: int | None, spare: str = ""
) -> list[Path]:
    """Remove old recordings of a folder, each with all its files; return what was removed.

    keep_seconds: older ones go. keep_bytes: the oldest go until the rest are no more than that.
    spare: the stem of one that stays. Only files with names of ours are touched, and no recording
    that somebody is writing.
    """
    groups: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if (match := _OURS.fullmatch(path.name)) is not None and path.is_file():
            groups.setdefault(match[1], []).append(path)
    now = time.time()
    removed: list[Path] = []
    sizes = {stem: sum(path.stat().st_size for path in paths) for stem, paths in groups.items()}
    total = sum(sizes.values())
    # The names begin with the time: the oldest first.
    for stem in sorted(groups):
        age = now - max(path.stat().st_mtime for path in groups[stem])
        too_old = keep_seconds is not None and age > keep_seconds
        too_much = keep_bytes is not None and total > keep_bytes
        if stem == spare or not (too_old or too_much) or _goes_on(folder / f"{stem}.json", age):
            continue
        for path in groups[stem]:
            path.unlink(missing_ok=True)
        removed += groups[stem]
        total -= sizes[stem]
    return removed


def _goes_on(sidecar: Path, age: float) -> bool:
    """Tell whether somebody may be writing a recording. age: seconds since its last write."""
    if age < _FRESH_SECONDS:
        return True
    try:
        ended = Facts.read(sidecar).ended_at is not None
    except (OSError, ValueError):
        ended = True
    return not ended and age < _ABANDONED_SECONDS


def _named(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
