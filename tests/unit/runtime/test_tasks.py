import asyncio

import pytest

from bridge.runtime.tasks import end_all, first_of, until_done


class Work:
    """Goes on until it is told to end, or cancelled; takes a while to end even so."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.ended = False
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.done.wait()
        finally:
            await asyncio.sleep(0)
            self.ended = True


async def begun(*works: Work) -> None:
    del works
    await asyncio.sleep(0)


async def cancelled(waiting: asyncio.Task[None]) -> None:
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_all_have_ended_when_their_end_was_waited_for() -> None:
    async def fail() -> None:
        raise ValueError("nobody's any more")

    works, failed = (Work(), Work()), asyncio.create_task(fail())
    await begun(*works)
    await end_all(failed, *(one.task for one in works))
    assert all(one.ended and one.task.cancelled() for one in works)


async def test_when_one_is_done_the_other_is_ended() -> None:
    first, second = Work(), Work()
    await begun(first, second)
    first.done.set()
    await first_of(first.task, second.task)
    assert not first.task.cancelled()
    assert second.task.cancelled()
    assert second.ended


async def test_who_waits_for_the_first_and_is_cancelled_leaves_none_behind() -> None:
    works = Work(), Work()
    await cancelled(asyncio.create_task(first_of(*(one.task for one in works))))
    assert all(one.ended for one in works)


async def test_a_task_that_another_cancels_is_done_and_cancels_nobody() -> None:
    work = Work()
    waiting = asyncio.create_task(until_done(work.task))
    await begun(work)
    work.task.cancel()
    await waiting
    assert work.task.cancelled()


async def test_what_a_task_raised_is_not_raised_where_it_is_waited_for() -> None:
    async def fail() -> None:
        raise ValueError("its own")

    task = asyncio.create_task(fail())
    await until_done(task)
    assert isinstance(task.exception(), ValueError)


async def test_who_waits_for_a_task_and_is_cancelled_ends_it_first() -> None:
    work = Work()
    await cancelled(asyncio.create_task(until_done(work.task)))
    assert work.ended
    assert work.task.cancelled()
