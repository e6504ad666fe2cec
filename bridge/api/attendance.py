"""Observers whose client has gone: nobody has their audio open, and they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bridge.sdk import ActiveCall, Observer

ABSENT_SECONDS: Final = 30.0
"""How long an observer who is a program stays while no audio socket of his is open."""


class _Seat:
    """Of one observer: how many sockets of his are open, and what tells when none is for long."""

    def __init__(self) -> None:
        self.sockets = 0
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Forget since when nobody has been there."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Attendance:
    """Calls ``absent``, in the event loop, for who is expected and not attended for ``seconds``."""

    def __init__(
        self, absent: Callable[[Observer], None], *, seconds: float = ABSENT_SECONDS
    ) -> None:
        self.seconds = seconds
        self._absent = absent
        self._seats: dict[Observer, _Seat] = {}

    @property
    def expected(self) -> frozenset[Observer]:
        """Those who stay only as long as somebody attends to them."""
        return frozenset(self._seats)

    @property
    def attending(self) -> int:
        """How many sockets of theirs are open."""
        return sum(seat.sockets for seat in self._seats.values())

    def expect(self, observer: Observer) -> None:
        """Expect that somebody opens an observer's audio, from now on until he leaves."""
        self._begin(observer, self._seats.setdefault(observer, _Seat()))

    @contextmanager
    def attended(self, speaker: ActiveCall | Observer) -> Iterator[None]:
        """Somebody has the audio of a participant open during the block."""
        seat = None if isinstance(speaker, ActiveCall) else self._seats.get(speaker)
        if seat is None or isinstance(speaker, ActiveCall):
            yield
            return
        seat.sockets += 1
        seat.stop()
        try:
            yield
        finally:
            seat.sockets -= 1
            if self._seats.get(speaker) is seat:
                self._begin(speaker, seat)

    def forget_left(self) -> None:
        """Expect nobody any more who has left."""
        for observer in [one for one in self._seats if one.left is not None]:
            self._seats.pop(observer).stop()

    def close(self) -> None:
        """Expect nobody any more."""
        while self._seats:
            self._seats.popitem()[1].stop()

    def _begin(self, observer: Observer, seat: _Seat) -> None:
        seat.stop()
        if not seat.sockets:
            loop = asyncio.get_running_loop()
            seat.timer = loop.call_later(self.seconds, self._due, observer)

    def _due(self, observer: Observer) -> None:
        del self._seats[observer]
        if observer.left is None:
            self._absent(observer)
