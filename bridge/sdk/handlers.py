"""Handlers of events: registered by decorator, run in tasks that somebody owns."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable

from bridge.model.errors import CallClosedError, CallerGoneError
from bridge.runtime.listeners import tell

_log = logging.getLogger(__name__)

_CANCEL_SECONDS = 1.0

Handler = Callable[..., object]
"""Takes nothing, or what the event is about, or more of it; a function or a coroutine function."""


Failure = Callable[[], Awaitable[None]]
Tap = Callable[..., None]
"""Takes an event and all that it is about."""


class Handlers:
    """The handlers of one client or one call, and the tasks in which they run.

    owner: whose tasks they are, so that a call's handlers outlive the call; by default its own.
    """

    def __init__(self, owner: Handlers | None = None) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set() if owner is None else owner.tasks
        self.taps: list[Tap] = []
        """Told of every event before its handlers, in order, at once; must not block."""

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The tasks that run handlers now."""
        return self._tasks

    def add(self, event: str, handler: Handler) -> None:
        """Let ``handler`` hear of ``event``."""
        self._handlers[event].append(handler)

    def has(self, event: str) -> bool:
        """Tell whether anybody listens to ``event``."""
        return bool(self._handlers.get(event))

    def emit(self, event: str, *arguments: object, on_failure: Failure | None = None) -> None:
        """Run all handlers of ``event``, each in a task of its own, in order of registration.

        arguments: what it is about, the most important first: a handler gets as many as it wants.
        on_failure: awaited when a handler that is the only one raised.
        """
        self.tell_taps(event, *arguments)
        handlers = self._handlers.get(event, ())
        for handler in handlers:
            self.run(handler, *arguments, on_failure=on_failure if len(handlers) == 1 else None)

    def tell_taps(self, event: str, *arguments: object) -> None:
        """Tell who is told of everything, and nobody else."""
        tell(self.taps, _log, f"who watches everything, at {event},", event, *arguments)

    def run(self, handler: Handler, *arguments: object, on_failure: Failure | None = None) -> None:
        """Run one handler in a task of its own; what it raises is logged."""
        work = _run(handler, arguments, on_failure)
        task = asyncio.create_task(work, name=_name(handler))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, within: float = 0.0) -> None:
        """Wait ``within`` seconds for what still runs, then cancel it and wait for its end.

        A handler that does not let itself be cancelled is logged and left to itself.
        """
        late = await self._wait(within)
        for task in late:
            task.cancel()
        for task in await self._wait(_CANCEL_SECONDS):
            _log.error("%s ignores its cancellation and is left behind", task.get_name())

    async def _wait(self, seconds: float) -> list[asyncio.Task[None]]:
        """Wait for all handlers, those included that start meanwhile; return who still runs."""
        own = asyncio.current_task()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while tasks := [task for task in self._tasks if task is not own]:
            if (left := end - loop.time()) <= 0:
                return tasks
            await asyncio.wait(tasks, timeout=left)
        return []


def wanted(handler: Handler) -> int:
    """Return how many arguments a handler wants: all that it needs, and the first in any case."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [parameter for parameter in parameters if parameter.kind in positional]
    several = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    needed = sum(parameter.default is inspect.Parameter.empty for parameter in named)
    return max(needed, min(1, len(named) + several))


async def _run(handler: Handler, arguments: tuple[object, ...], on_failure: Failure | None) -> None:
    try:
        result = handler(*arguments[: wanted(handler)])
        if isinstance(result, Awaitable):
            await result
    except (CallClosedError, CallerGoneError) as error:
        # People hang up in the middle of everything: that is an end, not a fault.
        _log.info("%s ended with the call: %s", _name(handler), error)
    except Exception:  # noqa: BLE001 - a user's handler may raise anything; the client goes on
        if on_failure is None:
            _log.exception("%s failed; the call goes on", _name(handler))
            return
        _log.exception("%s failed", _name(handler))
        await on_failure()


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", repr(handler))
