"""What goes on only as long as somebody waits for it, as what is cancelled in process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiohttp import web

from bridge.protocol import operations

T = TypeVar("T")

LOOK_SECONDS: Final = 0.1
ENDS_WITH_WHO_ASKS: Final = frozenset(
    {
        operations.ORIGINATE.operation_id,
        operations.ANNOUNCE.operation_id,
        operations.COLLECT_DIGITS.operation_id,
        operations.START_TRANSFER.operation_id,
        operations.SAY.operation_id,
    }
)
"""Operations that are given up when the connection that asked for them is gone."""


async def as_long_as_asked(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what work returns; cancel it when nobody is there any more who would be told."""
    task = asyncio.create_task(work, name=f"{request.method} {request.path}")
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done() and (request.transport is None or request.transport.is_closing()):
                task.cancel()
                await asyncio.wait({task})
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
