"""Several speakers into one stream. Pure: times are seconds of one clock, given as arguments.

Asterisk sends 20 ms of every line every 20 ms, so the speakers need no clock here: the first frame
of one goes with the first frame of the other. What disturbs that is a line that stops or is late,
and an event loop that was blocked, which finds the frames of many ticks at once.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from bridge.media.pcm import mix

if TYPE_CHECKING:
    from collections.abc import Iterable

WAIT: Final = 0.060
"""Seconds that a frame waits for those of the others before it goes without them."""

SETTLED: Final = 10
"""So many times in a row one speaker had a frame left when the others had none: he leads by that,
and each of his frames waits for longer than 20 ms."""

QUIET: Final = 184
"""Peak, of 32768: -45 dBFS. A frame below it carries no voice."""


@dataclass(slots=True, eq=False)
class _Track:
    """Frames of one speaker that wait, each with its arrival."""

    live: bool = False
    absent: bool = False
    """Nothing came from him for so long that nobody waits for him."""
    back: bool = False
    """His first frame after that came, and is not mixed yet."""
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    latest: float = -math.inf
    led: int = 0

    @property
    def quiet(self) -> bool:
        """His next frame carries no voice."""
        samples = np.frombuffer(self.queue[0][1], "<i2").astype(np.int32)
        return bool(np.abs(samples).max(initial=0) < QUIET)


class Mixer:
    """Frames of several speakers into one stream, as bytes of one size.

    A frame of the mix is complete when every live speaker has one. Whoever has none is waited for
    WAIT seconds from the arrival of the others' oldest frame, and then, if nothing came from him
    for as long, not again before his next frame. So after a silence he is where he was before it.

    A frame that carries a voice is in the mix once, in its order. Of a speaker who leads over the
    others (a line that lost frames, or was late with them) quiet frames are left out, and while
    the others are quiet his go without theirs, until he leads no longer. A lead that finds no quiet
    moment stays, and is less than WAIT: what waits for longer goes alone.
    """

    def __init__(self, speakers: Iterable[str] = ()) -> None:
        self._tracks = {speaker: _Track(live=True) for speaker in speakers}
        self.left_out = 0
        """Quiet frames that were left out."""

    @property
    def due_at(self) -> float | None:
        """When ``due`` will have something if nothing more comes; None for never."""
        return min((t.queue[0][0] + WAIT for t in self._tracks.values() if t.queue), default=None)

    def join(self, speaker: str) -> None:
        """The mix waits for this speaker's frames from his first one on."""
        track = self._tracks.setdefault(speaker, _Track(absent=True))
        track.live = True

    def leave(self, speaker: str) -> list[bytes]:
        """Wait for this speaker no longer; return the frames of the mix that this sets free."""
        if speaker in self._tracks:
            self._tracks[speaker].live = False
        return self.complete()

    def push(self, speaker: str, frame: bytes, now: float) -> None:
        """Take a frame that arrived at ``now``; ``complete`` returns what it completes.

        A speaker who never joined, or has left, is not waited for but heard.
        """
        track = self._tracks.setdefault(speaker, _Track())
        if track.absent:
            track.absent, track.back = False, True
        track.queue.append((now, frame))
        track.latest = now

    def complete(self) -> list[bytes]:
        """Return the frames of the mix for which nobody is missing, oldest first.

        To be called when all that can be read was pushed: a backlog of one speaker looks like the
        absence of the others.
        """
        mixed: list[bytes] = []
        self._line_up(mixed)
        while self._all_here():
            if not self._work_off(mixed):
                mixed.append(_take(self._tracks.values()))
        if mixed:
            for track in self._tracks.values():
                track.led = track.led + 1 if track.queue else 0
        for speaker in [key for key, track in self._tracks.items() if not track.queue]:
            if not self._tracks[speaker].live:
                del self._tracks[speaker]
        return mixed

    def due(self, now: float) -> list[bytes]:
        """Return what is complete, and what has waited for WAIT seconds, oldest first.

        now: a time up to which all that had arrived was pushed.
        """
        mixed = self.complete()
        while (at := self.due_at) is not None and at <= now:
            for track in self._tracks.values():
                track.absent |= track.live and not track.queue and track.latest + WAIT <= now
            mixed.append(_take(self._tracks.values()))
            mixed += self.complete()
        return mixed

    def _all_here(self) -> bool:
        """Whether there are frames, and of everybody who is waited for."""
        tracks = self._tracks.values()
        return any(track.queue for track in tracks) and all(
            track.queue for track in tracks if track.live and not track.absent
        )

    def _line_up(self, mixed: list[bytes]) -> None:
        """Let those who are back begin with the others' newest frames, not with their oldest."""
        back = [track for track in self._tracks.values() if track.back]
        others = [track for track in self._tracks.values() if not track.back]
        if not back:
            return
        most = max(len(track.queue) for track in back)
        while any(len(track.queue) > most for track in others):
            mixed.append(_take(others))
        for track in back:
            track.back = False

    def _work_off(self, mixed: list[bytes]) -> bool:
        """Shorten a lead by one frame that nobody misses; tell whether that was done."""
        tracks = self._tracks.values()
        leaders = [track for track in tracks if track.led >= SETTLED and len(track.queue) > 1]
        for leader in leaders:
            if leader.quiet:
                leader.queue.popleft()
                leader.led = 0
                self.left_out += 1
                return True
        if not leaders or not all(t.quiet for t in tracks if t.queue and t not in leaders):
            return False
        mixed.append(_take(leaders))
        for leader in leaders:
            leader.led = 0
        return True


def _take(tracks: Iterable[_Track]) -> bytes:
    """Mix the oldest frames of those who have one."""
    return mix([track.queue.popleft()[1] for track in tracks if track.queue])
