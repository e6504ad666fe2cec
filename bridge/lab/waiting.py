"""Wait for a condition, never for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

POLL_S = 0.005
PATIENCE_S = 10.0
"""What takes longer does not come. How soon something comes is measured, not waited for."""


async def until(
    condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S
) -> None:
    """Return as soon as ``condition()`` is true. Raises TimeoutError that names ``what``.

    within_s: by the loop's clock, which ``run_hurried`` has jump.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        if loop.time() > end:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await asyncio.sleep(POLL_S)
