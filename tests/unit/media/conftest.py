"""Virtual time: an event loop whose clock jumps to the next timer, and a media socket in it."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from bridge.media.socket import QueueStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits and nothing will ever happen")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """``stall(seconds)`` blocks everything in it, as a busy program does."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stall(self, seconds: float) -> None:
        self._virtual.now += seconds


class FarQueue:
    """chan_websocket's queue: one frame every 20 ms of its own clock, marks with the next tick.

    rate: its clock's speed against ours. ``played`` has every tick, None for one without a frame.
    """

    def __init__(self, loop: VirtualLoop, *, phase: float = 0.013, rate: float = 1.0) -> None:
        self._loop = loop
        self._queue: deque[bytes | asyncio.Future[float | None]] = deque()
        self._start = loop.time() + phase
        self._tick = 0.020 / rate
        self._ticks = 0
        self.played: list[tuple[float, bytes | None]] = []
        self.sent: list[tuple[float, bytes]] = []
        self.deepest = 0
        self.flushes = 0
        self.marks = 0
        self.asked = 0
        self._marked = asyncio.Event()
        self.closed = False
        self.xoff = False
        self.deaf_to_marks = False
        self._handle = loop.call_at(self._start, self._play)

    @property
    def frames(self) -> list[bytes]:
        return [pcm for _, pcm in self.played if pcm is not None]

    @property
    def gaps(self) -> int:
        """Ticks without a frame between the first frame and the last."""
        heard = [index for index, (_, pcm) in enumerate(self.played) if pcm is not None]
        return heard[-1] - heard[0] + 1 - len(heard) if heard else 0

    @property
    def waiting(self) -> int:
        """Frames in the queue."""
        self._catch_up()
        return sum(isinstance(item, bytes) for item in self._queue)

    def send_frame(self, pcm: bytes) -> bool:
        self._catch_up()
        if self.closed or self.xoff:
            return False
        self._queue.append(pcm)
        self.sent.append((self._loop.time(), pcm))
        self.deepest = max(self.deepest, self.waiting)
        return True

    def mark(self) -> asyncio.Future[float | None]:
        self._catch_up()
        self.marks += 1
        self._marked.set()
        future: asyncio.Future[float | None] = self._loop.create_future()
        if not self.deaf_to_marks:
            self._queue.append(future)
        return future

    async def marked(self) -> None:
        """Wait for the next mark."""
        self._marked.clear()
        await self._marked.wait()

    def ask(self) -> asyncio.Future[QueueStatus]:
        length = self.waiting
        self.asked += 1
        future: asyncio.Future[QueueStatus] = self._loop.create_future()
        future.set_result(QueueStatus(queue_length=length, queue_full=False, paused=False))
        return future

    def flush(self) -> None:
        self._catch_up()
        self.flushes += 1
        for item in self._queue:
            if not isinstance(item, bytes):
                item.set_result(None)
        self._queue.clear()

    def pause(self, seconds: float) -> None:
        """Play nothing for a while, as a server under load does."""
        self._start += seconds

    def stop(self) -> None:
        self._handle.cancel()

    def _play(self) -> None:
        self._catch_up()
        self._handle = self._loop.call_at(self._start + self._ticks * self._tick, self._play)

    def _catch_up(self) -> None:
        """Do the ticks that were due: a stalled loop of ours does not stall the far side."""
        while (at := self._start + self._ticks * self._tick) <= self._loop.time():
            self._ticks += 1
            while self._queue and not isinstance(self._queue[0], bytes):
                mark = self._queue.popleft()
                assert not isinstance(mark, bytes)
                if not mark.done():
                    # Told at that tick, but not heard of before our loop runs again.
                    mark.set_result(self._loop.time())
            head = self._queue.popleft() if self._queue else None
            assert head is None or isinstance(head, bytes)
            self.played.append((at, head))


class Virtual(Protocol):
    def __call__(self, scenario: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T: ...


@pytest.fixture
def virtual() -> Virtual:
    """Run a scenario in virtual time; a task or a timer that it leaves behind fails the test."""

    def run(scenario: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)

            async def guarded() -> T:
                result = await scenario(loop)
                assert asyncio.all_tasks() == {asyncio.current_task()}
                return result

            return runner.run(guarded())

    return run


@pytest.fixture
def far_queue() -> type[FarQueue]:
    return FarQueue
