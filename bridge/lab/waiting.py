"""Wait for a condition, never for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.005


async def until(condition: Callable[[], object], what: str, *, within_s: float = 5.0) -> None:
    """Return as soon as ``condition()`` is true. Raises TimeoutError that names ``what``."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await asyncio.sleep(POLL_S)
