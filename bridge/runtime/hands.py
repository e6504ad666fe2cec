"""Carries out what the state machine wants done: one thing after the other, beside the mailbox.

So a call hears of a hang-up, and is asked to end, while something else is under way; and what is
slow can be given up for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bridge.model.errors import ServerError
from bridge.runtime.tasks import until_done
from bridge.session import effects, inputs
from bridge.session.inputs import Input

_SLOW = (
    effects.AnswerCaller,
    effects.RingCaller,
    effects.Dial,
    effects.Converge,
    effects.Mend,
    effects.Tie,
)
"""What waits for Asterisk and can be given up. All else is short, or has to be done."""

_GIVEN_UP = "it was given up: the call went on otherwise"


@dataclass(slots=True, eq=False)
class _Job:
    """An effect or, without one, somebody to be told that all before it is done."""

    effect: effects.Effect | None
    serial: int
    done: asyncio.Future[None] | None = None


class Hands:
    """A queue of effects and the task, ``run()``, that carries them out in order.

    perform: carries out one effect and returns the facts that follow from it.
    report: takes a fact, with the serial of the last Converge that was wanted when it was asked
    for: see ``is_stale``.
    """

    def __init__(
        self,
        perform: Callable[[effects.Effect], Awaitable[list[Input]]],
        report: Callable[[Input, int], None],
    ) -> None:
        self._perform = perform
        self._report = report
        # Not bounded: it holds what a few inputs of one call want done.
        self._jobs: deque[_Job] = deque()
        self._more = asyncio.Event()
        self._under_way: tuple[_Job, asyncio.Task[list[Input]]] | None = None
        self._serial = 0
        self._failure: str | None = None
        self._finishing = False

    def give(self, wanted: Sequence[effects.Effect], done: asyncio.Future[None] | None) -> None:
        """Have effects carried out; ``done`` gets their end, or ServerError if they failed."""
        for effect in wanted:
            if isinstance(effect, effects.Converge | effects.Mend):
                self._serial += 1
            self._jobs.append(_Job(effect, self._serial))
        if done is not None:
            self._jobs.append(_Job(None, self._serial, done))
        self._more.set()

    def is_stale(self, fact: Input, serial: int) -> bool:
        """Tell whether a fact speaks of an audience that is not the one wanted last."""
        about_audience = isinstance(fact, inputs.AudienceStands | inputs.AudienceFailed)
        return about_audience and serial != self._serial

    def give_up(self) -> None:
        """Drop what is slow, under way or waiting; what only tells somebody is still done."""
        self._jobs = deque(job for job in self._jobs if not isinstance(job.effect, _SLOW))
        self._failure = _GIVEN_UP
        if self._under_way is not None and isinstance(self._under_way[0].effect, _SLOW):
            self._under_way[1].cancel()

    def finish(self) -> None:
        """Let ``run()`` return when all that was given is done."""
        self._finishing = True
        self._more.set()

    def drop(self) -> None:
        """Carry out nothing any more; whoever waits is told."""
        for job in self._jobs:
            if job.done is not None and not job.done.done():
                job.done.cancel()
        self._jobs.clear()

    async def run(self) -> None:
        """Carry out effects until ``finish()``. Raises what ``perform`` raises."""
        while True:
            while not self._jobs:
                if self._finishing:
                    return
                self._more.clear()
                await self._more.wait()
            job = self._jobs.popleft()
            if job.effect is not None:
                await self._carry_out(job, job.effect)
            elif job.done is not None and not job.done.done():
                if self._failure is None:
                    job.done.set_result(None)
                else:
                    job.done.set_exception(ServerError(self._failure))

    async def _carry_out(self, job: _Job, effect: effects.Effect) -> None:
        task = asyncio.ensure_future(self._perform(effect))
        self._under_way = job, task
        try:
            await until_done(task)
        finally:
            self._under_way = None
        if task.cancelled():
            return
        facts = task.result()
        if isinstance(effect, effects.Converge | effects.Mend):
            failed = (fact.message for fact in facts if isinstance(fact, inputs.AudienceFailed))
            self._failure = next(failed, None)
        for fact in facts:
            self._report(fact, job.serial)
