"""What the database has not got yet, on disk: a folder of segments, each a file of lines.

::

    SPOOL/
      lock                                held by the process that uses the folder
      id                                  names the spool to the database
      00001795187421000001.spool          segments by the serial of their first record; the last
                                          one stays, and tells the last serial
      00001795187421000001.damaged        what could not be read of a segment

All functions wait for the disk: they belong into a thread. They may be called from several.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bridge.model.errors import ConfigurationError
from bridge.store.framing import GIVING_WAY, Frame, Kind, pack, unpack

_log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 4 * 1024 * 1024
MAX_BYTES: Final = 512 * 1024 * 1024
_SUFFIX: Final = ".spool"
_ASIDE: Final = ".damaged"
_ASIDE_BYTES: Final = 16 * 1024 * 1024
"""How much of what could not be read is kept; of more, the rest is not."""
_ROOM: Final = 0.9
"""Of the bound, what is left filled when something had to give way."""


@dataclass(slots=True)
class _Segment:
    """One file. ``counts``: its records of each kind. ``last``: the greatest serial."""

    path: Path
    first: int
    last: int
    size: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)


@dataclass(slots=True)
class _Place:
    """Where the record after ``serial`` stands."""

    serial: int
    path: Path
    offset: int


class Spool:
    """Records on disk, in the order of their serials, until the database has them.

    What ``append`` has returned from survives the death of the process and of the machine.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, max_bytes: int) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._place: _Place | None = None
        self._active: BinaryIO | None = None
        self._claim: int | None = None
        self._read_upto = 0
        self._stored = 0
        self.id = ""
        self.damaged = 0
        """Lines that were found damaged, or another version's, and passed over."""
        self.dropped: Counter[Kind] = Counter()
        """Records that gave way, by kind."""

    @classmethod
    def open(
        cls, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, max_bytes: int = MAX_BYTES
    ) -> Spool:
        """Open a folder, and find what an earlier process left in it.

        Raises ConfigurationError if it cannot be used, or another process uses it.
        """
        spool = cls(folder, segment_bytes=segment_bytes, max_bytes=max_bytes)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            spool._take_lock()
            spool.id = spool._read_id()
            for draft in folder.glob("*.new"):
                # Of a process that was killed meanwhile.
                draft.unlink()
            for path in sorted(folder.glob(f"*{_SUFFIX}")):
                spool._look_at(path)
        except OSError as error:
            spool.close()
            raise ConfigurationError(
                f"the store's spool {folder} cannot be used: {error}; "
                "give a folder that this user may write to"
            ) from error
        except ConfigurationError:
            spool.close()
            raise
        return spool

    def close(self) -> None:
        """Leave the folder to others."""
        with self._lock:
            self._end_active()
            if self._claim is not None:
                os.close(self._claim)
                self._claim = None

    @property
    def last_serial(self) -> int:
        """The greatest serial that stands here, 0 for none."""
        return self._segments[-1].last if self._segments else 0

    @property
    def bytes(self) -> int:
        """Size of all segments."""
        return sum(segment.size for segment in self._segments)

    def append(self, frames: Sequence[Frame]) -> Counter[Kind]:
        """Add records, safe on disk when this returns; return what gave way for them, by kind.

        Raises OSError, such as for a full disk; then none of them was added.
        """
        data = b"".join(map(pack, frames))
        with self._lock:
            gave_way: Counter[Kind] = Counter()
            if self.bytes + len(data) > self._max_bytes:
                gave_way = self._make_room(len(data))
            segment, stream = self._writable(frames[0].serial)
            try:
                _write_all(stream, data)
                os.fsync(stream.fileno())
            except OSError:
                # A part may stand there: what comes next has to begin on a line of its own.
                with contextlib.suppress(OSError):
                    os.ftruncate(stream.fileno(), segment.size)
                self._end_active()
                raise
            segment.size += len(data)
            segment.last = frames[-1].serial
            for frame in frames:
                segment.counts[frame.kind] += 1
            return gave_way

    def read(self, after: int, *, frames: int, size: int) -> list[Frame]:
        """Return the records that follow the serial ``after``: at most so many, of so many bytes.

        The database has those up to it: segments that hold no others are removed. What is returned
        gives way to nothing. Raises OSError.
        """
        with self._lock:
            self._forget(after)
            found: list[Frame] = []
            left = size
            last = after
            for segment in self._segments:
                if segment.last <= after:
                    continue
                for frame, end in self._lines(segment, self._offset(segment, after)):
                    if frame.serial <= last:
                        continue
                    if found and (len(found) >= frames or left < len(frame.body)):
                        return found
                    found.append(frame)
                    left -= len(frame.body)
                    last = self._read_upto = frame.serial
                    self._place = _Place(frame.serial, segment.path, end)
            return found

    def count(self, after: int) -> int:
        """Return how many records follow a serial. May read a segment. Raises OSError."""
        with self._lock:
            return sum(
                segment.counts.total()
                if segment.first > after
                else sum(frame.serial > after for frame, _ in self._lines(segment, 0))
                for segment in self._segments
                if segment.last > after
            )

    def _take_lock(self) -> None:
        claim = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._claim = claim
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"the store's spool {self.folder} is in use by another process: end it, "
                "or give each its own folder"
            ) from error

    def _read_id(self) -> str:
        path = self.folder / "id"
        with contextlib.suppress(FileNotFoundError):
            known = path.read_text(encoding="ascii", errors="replace").strip()
            if known:
                return known
        fresh = secrets.token_hex(8)
        draft = path.with_suffix(".new")
        with draft.open("w", encoding="ascii") as stream:
            stream.write(f"{fresh}\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        self._sync_folder()
        return fresh

    def _look_at(self, path: Path) -> None:
        """Take a segment of an earlier process; what its death cut off ends the segment."""
        if not (path.stem.isascii() and path.stem.isdecimal()):
            self.damaged += 1
            _log.error("%s is no segment of the spool: it is left alone", path)
            return
        segment = _Segment(path, int(path.stem), 0)
        segment.size = path.stat().st_size
        whole = 0
        damaged: list[bytes] = []
        with path.open("rb") as stream:
            for line in stream:
                frame = unpack(line)
                if frame is not None:
                    segment.last = max(segment.last, frame.serial)
                    segment.counts[frame.kind] += 1
                elif line.endswith(b"\n"):
                    damaged.append(line)
                else:
                    _log.warning("the last record of %s was cut off: it is left out", path)
                    break
                whole += len(line)
        if whole < segment.size:
            os.truncate(path, whole)
            segment.size = whole
        if damaged:
            self.damaged += len(damaged)
            _keep_aside(path, damaged)
        if segment.last:
            self._segments.append(segment)
            self._segments.sort(key=lambda one: one.first)
        else:
            path.unlink()

    def _forget(self, upto: int) -> None:
        """Remove what the database has, but the last segment.

        It tells the next process where serials go on, even if the clock was set back meanwhile and
        the database is not there to be asked.
        """
        self._stored = upto
        while len(self._segments) > 1 and self._segments[0].last <= upto:
            self._segments[0].path.unlink(missing_ok=True)
            del self._segments[0]

    def _lines(self, segment: _Segment, offset: int) -> Iterator[tuple[Frame, int]]:
        """Yield the whole records of a segment from an offset on, each with where it ends."""
        with segment.path.open("rb") as stream:
            stream.seek(offset)
            while offset < segment.size:
                line = stream.readline()
                offset += len(line)
                frame = unpack(line)
                if frame is not None:
                    yield frame, offset
                elif not line:
                    return

    def _offset(self, segment: _Segment, after: int) -> int:
        place = self._place
        known = place is not None and place.path == segment.path and place.serial <= after
        return place.offset if place is not None and known else 0

    def _writable(self, serial: int) -> tuple[_Segment, BinaryIO]:
        """Return the segment that is written to: a new one when the last is full, or was left."""
        if self._active is not None and self._segments[-1].size >= self._segment_bytes:
            self._end_active()
        if self._active is None:
            path = self.folder / f"{serial:020d}{_SUFFIX}"
            stream = path.open("ab", buffering=0)
            try:
                path.chmod(0o600)
                self._sync_folder()
            except OSError:
                # Nothing stands in it, and nobody knows of it.
                stream.close()
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
            self._active = stream
            self._segments.append(_Segment(path, serial, serial - 1))
        return self._segments[-1], self._active

    def _end_active(self) -> None:
        if self._active is None:
            return
        self._active.close()
        self._active = None
        if self._segments and not self._segments[-1].size:
            self._segments.pop().path.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _make_room(self, needed: int) -> Counter[Kind]:
        """Give up the oldest records of the least worth until there is room."""
        self._end_active()
        gone: Counter[Kind] = Counter()
        for kinds in GIVING_WAY:
            for segment in list(self._segments):
                if self.bytes + needed <= self._max_bytes * _ROOM:
                    break
                if any(segment.counts[kind] for kind in kinds):
                    gone += self._thin_out(segment, kinds)
        self.dropped += gone
        if gone:
            told = ", ".join(f"{number} of {kind.name.lower()}" for kind, number in gone.items())
            _log.error("the store's spool is full: records gave way (%s)", told)
        return gone

    def _thin_out(self, segment: _Segment, kinds: frozenset[Kind]) -> Counter[Kind]:
        """Write a segment anew without some kinds; what is on its way to the database stays."""
        gone: Counter[Kind] = Counter()
        kept = _Segment(segment.path, segment.first, segment.last)
        draft = segment.path.with_suffix(".new")
        with draft.open("wb") as stream:
            for frame, _ in self._lines(segment, 0):
                if frame.serial <= self._stored:
                    continue
                if frame.serial > self._read_upto and frame.kind in kinds:
                    gone[frame.kind] += 1
                    continue
                kept.size += stream.write(pack(frame))
                kept.counts[frame.kind] += 1
            stream.flush()
            os.fsync(stream.fileno())
        self._place = None
        if kept.size:
            draft.replace(segment.path)
            self._segments[self._segments.index(segment)] = kept
        else:
            draft.unlink()
            segment.path.unlink()
            self._segments.remove(segment)
        self._sync_folder()
        return gone


def _keep_aside(segment: Path, lines: list[bytes]) -> None:
    """Keep lines of a segment that are no record here: another version may read them."""
    aside = segment.with_suffix(_ASIDE)
    _log.error(
        "%d lines of %s are damaged, or of another callbridge: see %s", len(lines), segment, aside
    )
    try:
        others = (path for path in segment.parent.glob(f"*{_ASIDE}") if path != aside)
        if sum(path.stat().st_size for path in others) < _ASIDE_BYTES:
            aside.touch(mode=0o600)
            aside.write_bytes(b"".join(lines))
    except OSError as error:
        # What stands beside them is worth more.
        _log.error("they are not kept there either: %s", error)


def _write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all of it: a disk that is nearly full takes a part, and fails at the next."""
    left = memoryview(data)
    while left:
        left = left[stream.write(left) :]
