"""How a program stays until it is to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal


async def until_stopped(ended: asyncio.Event) -> None:
    """Return at SIGTERM, or when ``ended`` is set.

    Only the main thread can have signal handlers; elsewhere the program sees to it.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
    waits = [
        asyncio.create_task(stopped.wait(), name="SIGTERM"),
        asyncio.create_task(ended.wait(), name="client ended"),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)
