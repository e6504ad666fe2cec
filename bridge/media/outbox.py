"""What an observer says, in order, each byte tagged with who may hear it. Pure.

A mode change is a barrier in the stream of audio: what was sent before it plays out before it.
At a barrier the stream holds until it is released, and what stands behind it goes out only as far
as the release allows: when unsure, silent.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.media.pcm import FRAME_SECONDS, check_pcm
from bridge.model.errors import BufferFullError

if TYPE_CHECKING:
    from bridge.media.pcm import AudioFormat

Route: TypeAlias = frozenset[str]
"""Keys of the lines that a frame is written to."""

SILENT: Final[Route] = frozenset()
"""The route of an observer that only listens."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of 20 ms, padded with silence if its route had no more."""

    route: Route
    pcm: bytes
    padding: int = 0
    """Bytes of silence at the end that nobody sent."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A change of mode was reached; the stream holds until ``Outbox.release(token)``."""

    token: int


@dataclass(slots=True)
class Dropped:
    """Bytes that were sent and will not be heard, by reason. They only grow."""

    silent: int = 0
    """Sent while the observer had nobody to speak to (spy)."""
    cleared: int = 0
    """Dropped by ``clear()``; what Asterisk had already is counted as modelled, to a frame."""
    refused: int = 0
    """Sent for a mode that did not come to be."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.silent + self.cleared + self.refused


@dataclass(slots=True)
class _Run:
    """Audio of one route without a barrier within. Neighbouring runs differ in route."""

    route: Route
    pcm: bytearray


class Outbox:
    """A bounded queue of routed audio and barriers.

    seconds: how much audio it holds before ``send`` raises BufferFullError.
    tail_wait: seconds that less than a frame waits for more once nothing else is being played; a
    sender in real time whose chunks are no multiple of 20 ms is thus never padded in mid-speech.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        *,
        seconds: float = 120.0,
        tail_wait: float = 2 * FRAME_SECONDS,
    ) -> None:
        self._frame_bytes = audio_format.frame_bytes
        self._max_bytes = int(seconds * audio_format.rate) * 2
        self._seconds = seconds
        self._tail_wait = tail_wait
        self._items: deque[_Run | Barrier] = deque()
        self._size = 0
        self._held: int | None = None
        self._allowed: Route = SILENT
        self._barriers = 0
        self._tail_since: float | None = None
        self.dropped = Dropped()

    @property
    def size_bytes(self) -> int:
        """Bytes of audio that wait, padding not counted."""
        return self._size

    @property
    def waiting(self) -> bool:
        """A barrier waits behind audio, or holds the stream."""
        return self._barriers > 0 or self._held is not None

    @property
    def held(self) -> int | None:
        """The barrier that the stream holds at, if it does."""
        return self._held

    @property
    def allowed(self) -> Route:
        """Lines that the audio at the head may go to: what the last release allowed."""
        return self._allowed

    @property
    def head_route(self) -> Route | None:
        """The route of the audio that comes next; None before a barrier and when there is none."""
        head = self._items[0] if self._items and self._held is None else None
        return head.route if isinstance(head, _Run) else None

    def send(self, pcm: bytes | bytearray | memoryview, route: Route) -> int:
        """Append audio; return the bytes taken.

        Audio for nobody is dropped and counted, not an error. Raises BufferFullError, with
        nothing of the chunk taken, when it does not fit; BadArgumentError for half a sample.
        """
        check_pcm(pcm)
        chunk = bytes(pcm)
        if not route:
            self.dropped.silent += len(chunk)
            return 0
        if self._held is None and not self._barriers and not route <= self._allowed:
            self.dropped.refused += len(chunk)
            return 0
        if self._size + len(chunk) > self._max_bytes:
            raise BufferFullError(
                f"the send buffer holds {self._seconds:g} s of audio and {self._size} bytes of it "
                f"are taken: {len(chunk)} more do not fit; send later, or clear the buffer"
            )
        if not chunk:
            return 0
        last = self._items[-1] if self._items else None
        if isinstance(last, _Run) and last.route == route:
            last.pcm += chunk
        else:
            self._items.append(_Run(route, bytearray(chunk)))
        self._size += len(chunk)
        return len(chunk)

    def barrier(self, token: int) -> None:
        """Append a change of mode. ``token`` is the caller's, fresh for every change."""
        self._items.append(Barrier(token))
        self._barriers += 1

    def release(self, token: int, allowed: Route) -> int:
        """Go on behind the barrier that holds; return the bytes refused.

        Audio behind it, up to the next barrier, whose route is not within ``allowed`` is dropped
        and counted. Raises ValueError if the stream does not hold at ``token``.
        """
        if self._held is None or self._held != token:
            raise ValueError(f"the stream holds at {self._held}, not at {token}")
        self._held = None
        self._allowed = allowed
        self._tail_since = None
        refused = 0
        kept: list[_Run] = []
        while self._items and isinstance(run := self._items[0], _Run):
            self._items.popleft()
            if run.route <= allowed:
                kept.append(run)
            else:
                refused += len(run.pcm)
        # Two runs that the dropped one kept apart may have one route: join them, or the first
        # would be padded in mid-speech.
        for run in reversed(kept):
            after = self._items[0] if self._items else None
            if isinstance(after, _Run) and after.route == run.route:
                run.pcm += after.pcm
                self._items[0] = run
            else:
                self._items.appendleft(run)
        self._size -= refused
        self.dropped.refused += refused
        return refused

    def clear(self) -> int:
        """Drop all audio and keep the barriers in their order; return the bytes dropped."""
        dropped = self._size
        self._items = deque(item for item in self._items if isinstance(item, Barrier))
        self._size = 0
        self._tail_since = None
        self.dropped.cleared += dropped
        return dropped

    def ready_at(self, now: float, busy_until: float = 0.0) -> float | None:
        """When ``next`` will have something, if nothing more is sent; None for never.

        now, busy_until: seconds of one clock; busy_until is when what was taken so far will have
        been played.
        """
        if self._held is not None or not self._items:
            return None
        head = self._items[0]
        if isinstance(head, Barrier) or len(head.pcm) >= self._frame_bytes or len(self._items) > 1:
            return now
        if self._tail_since is None:
            self._tail_since = now
        return max(self._tail_since, busy_until) + self._tail_wait

    def next(self, now: float, busy_until: float = 0.0) -> Frame | Barrier | None:
        """Take the next frame or barrier, or None if there is none yet (see ``ready_at``).

        A frame has one route and exactly 20 ms. Less than that is padded at once before a barrier
        or another route, else when it has waited long enough.
        """
        ready = self.ready_at(now, busy_until)
        if ready is None or ready > now:
            return None
        head = self._items[0]
        if isinstance(head, Barrier):
            self._items.popleft()
            self._barriers -= 1
            self._held = head.token
            return head
        pcm = bytes(head.pcm[: self._frame_bytes])
        del head.pcm[: self._frame_bytes]
        if not head.pcm:
            self._items.popleft()
        self._size -= len(pcm)
        self._tail_since = None
        padding = self._frame_bytes - len(pcm)
        return Frame(head.route, pcm + bytes(padding), padding)
