"""What is left in an Asterisk that was to be empty: all that helps to find out why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from bridge.ari import AriConnection, models
from bridge.lab.asterisk import Instance
from bridge.model.errors import CallbridgeError, InstanceError

Listed = TypeVar("Listed", models.Channel, models.Bridge)

_PATIENCE_S = 5.0
_LOG_LINES = 40
_MOST = 8
"""Channels, and bridges, that the console is asked about one by one."""
_GENERAL = (
    "core show channels concise",
    "bridge show all",
    "core show threads",
    # Known only to an Asterisk that was built with DEBUG_THREADS.
    "core show locks",
)


async def report(instance: Instance, observer: AriConnection) -> str:
    """Return a report of an Asterisk's channels, bridges and threads and the end of its log.

    What does not answer is said so: nothing is raised for it.
    """
    channels, bridges = await asyncio.gather(
        _listed(observer.channels.list()), _listed(observer.bridges.list())
    )
    questions = [
        *_GENERAL,
        *(f"core show channel {it.name}" for it in channels[:_MOST] if not isinstance(it, str)),
        *(f"bridge show {it.id}" for it in bridges[:_MOST] if not isinstance(it, str)),
    ]
    answers = await asyncio.gather(*(_asked(instance, question) for question in questions))
    return "\n\n".join(
        [
            *map(str, [*channels, *bridges]),
            *(
                f"{question}:\n{answer}"
                for question, answer in zip(questions, answers, strict=True)
            ),
            f"The end of its log:\n{instance.log_tail(_LOG_LINES)}",
        ]
    )


async def _listed(listing: Awaitable[Iterable[Listed]]) -> Sequence[Listed | str]:
    """Return what ARI lists, or why it does not."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return tuple(await listing)
    except (CallbridgeError, TimeoutError) as error:
        return (f"ARI does not tell: {error!r}",)


async def _asked(instance: Instance, question: str) -> str:
    """Ask on the console. Asterisk waits for a lock there, too: an answer may not come."""
    try:
        return (await asyncio.to_thread(instance.command, question)).strip()
    except InstanceError as error:
        return f"no answer: {error}"
