"""Tasks that somebody owns: none is lost, and none goes on when he is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

_log = logging.getLogger(__name__)


async def end_all(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and wait for their ends; what they raise is nobody's any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(*tasks: asyncio.Future[Any]) -> None:
    """Wait until one is done, or who waits is cancelled; the others are cancelled then.

    All have ended when it returns.
    """
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_all(*tasks)


async def until_done(task: asyncio.Future[Any]) -> None:
    """Wait until a task is done that others may cancel: what became of it, it tells itself.

    When who waits is cancelled, it is too, and has ended.
    """
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await end_all(task)
        raise


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
        await end_all(*self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s", task.get_name(), error, exc_info=error)
