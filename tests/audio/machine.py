"""Measurements on a machine that other programs use too.

Asterisk mixes, spies and sends every 20 ms; when it is not woken in time, somebody hears a frame of
silence, and nothing that runs beside it can help that. So a measurement that failed while the
machine kept programs waiting is done again, twice at most. Its figures are the same then.

Frames are another matter than who hears whom. Two timers of Asterisk's whose ticks fall together,
that of a party without a jitter buffer and that of the mix, cost him a frame as soon as one of
them is a little late, on an idle machine too; their phases are drawn anew with every call. So what
a missing frame fails (``whole``) is measured once more in any case. A voice that is
clearly in the wrong ear never is: a busy machine makes voices late, and nobody hears another.

A frame that a party *sends* too late is told by a trace, too, when nobody else on the bridge says
anything and all are behind one narrow codec: 7 ms of his own voice, in his own ear. The mix has a
translator for whoever said nothing in a tick, and its resampler still has the end of what the
others were told before (softmix_process_write_audio in Asterisk's bridges/bridge_softmix.c).
"""

from __future__ import annotations

import asyncio
import functools
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ParamSpec

from tests.support.hearing import WrongEarError
from tests.support.pbx import Pbx

_P = ParamSpec("_P")

BUSY_MS = 10.0
"""A program that sleeps for 5 ms wakes up within 1 ms on an idle machine."""
_MOST_WHEN_BUSY = 2
_MOST_WHEN_MISSED = 1
"""How many attempts may fail before another one, on a busy machine and on an idle one."""

_WATCH = """
import select, sys, time
worst = 0.0
ready = []
while not ready:
    before = time.monotonic()
    ready = select.select([sys.stdin], [], [], 0.005)[0]
    worst = max(worst, time.monotonic() - before - 0.005)
print(worst * 1000)
"""


class Watch:
    """How long a program that does nothing else was kept waiting for a processor."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        """Known at the end."""


@asynccontextmanager
async def watch(machine: Watch) -> AsyncIterator[None]:
    """Watch the machine from a process of its own."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", _WATCH, stdin=pipe, stdout=pipe
    )
    try:
        yield
    finally:
        answer, _ = await process.communicate(b"")
        machine.worst_ms = float(answer)


class FrameMissedError(AssertionError):
    """Somebody missed 20 ms of a voice that he is to hear."""


def whole(condition: object, message: object) -> None:
    """Assert that no frame is missing. Raises FrameMissedError."""
    if not condition:
        raise FrameMissedError(message)


async def measured(pbx: Pbx, measurement: Callable[[Pbx], Awaitable[None]]) -> None:
    """Do a measurement; again if it failed on a busy machine, or a frame was missed.

    Each attempt has calls, phones and programs of its own, and leaves nothing.
    """
    failed = 0
    while not await _holds(_attempt(pbx, measurement), failed):
        failed += 1
        await _cleared(pbx)


def remeasured(test: Callable[_P, Awaitable[None]]) -> Callable[_P, Awaitable[None]]:
    """Do a test whose calls are its own again, as ``measured`` does."""

    @functools.wraps(test)
    async def again(*args: _P.args, **kwargs: _P.kwargs) -> None:
        failed = 0
        while not await _holds(test(*args, **kwargs), failed):
            failed += 1

    return again


def anew(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Do a test on ``pbx`` again, as ``measured`` does, with programs and calls of its own."""

    @functools.wraps(test)
    async def again(pbx: Pbx, **others: Any) -> None:
        await measured(pbx, lambda attempt: test(pbx=attempt, **others))

    return again


async def _holds(attempt: Awaitable[None], failed: int) -> bool:
    """Await an attempt; False when it is to be done again. Raises what it failed with, else.

    failed: attempts before it.
    """
    machine = Watch()
    try:
        async with watch(machine):
            await attempt
    except AssertionError as error:
        missed = isinstance(error, FrameMissedError)
        busy = machine.worst_ms > BUSY_MS
        most = _MOST_WHEN_BUSY if busy else _MOST_WHEN_MISSED if missed else 0
        if failed >= most or isinstance(error, WrongEarError):
            raise
        told = f"programs waited for {machine.worst_ms:.0f} ms; measured again after: {error}"
        warnings.warn(told.splitlines()[0], UserWarning, stacklevel=2)
        return False
    return True


async def _cleared(pbx: Pbx) -> None:
    """Have a program clear away what one that broke off has left, as every next one does."""
    async with AsyncExitStack() as stack:
        await Pbx(pbx.instance, pbx._observer, stack).program()
        await pbx.empty()


async def _attempt(pbx: Pbx, measurement: Callable[[Pbx], Awaitable[None]]) -> None:
    async with AsyncExitStack() as stack:
        # Of its own kind: programs by URL stay programs by URL.
        await measurement(type(pbx)(pbx.instance, pbx._observer, stack))
