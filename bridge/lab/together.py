"""Several things at once, none of which goes on when another has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, overload

_A = TypeVar("_A")
_B = TypeVar("_B")


@overload
async def together(
    one: Coroutine[Any, Any, _A], other: Coroutine[Any, Any, _B], /
) -> tuple[_A, _B]: ...


@overload
async def together(*work: Coroutine[Any, Any, _A]) -> tuple[_A, ...]: ...


async def together(*work: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Do all of it and return what came of each. When one fails, the others are cancelled.

    Returns, and raises, when all have ended: what failed first, itself. ``asyncio.gather`` would
    let the others go on with nobody to wait for them.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return tuple(task.result() for task in running)
