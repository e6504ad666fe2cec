"""Tasks that somebody owns: none is lost, and none goes on when he is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context

_log = logging.getLogger(__name__)


class Tasks:
    """What an owner has under way. What fails is logged: nobody waits for it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> Callable[[], None]:
        """Own a task; return what ends it.

        It begins with a context of its own: it goes on when who asked for it has long gone.
        """
        task = asyncio.get_running_loop().create_task(work, name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)

        def end() -> None:
            task.cancel()

        return end

    async def wait(self, seconds: float) -> None:
        """Wait until all are done, but no longer than that."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def end(self) -> None:
        """Cancel all, and wait for their ends."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s", task.get_name(), error, exc_info=error)
