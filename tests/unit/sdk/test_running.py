"""A program stays until it is asked to end: who hears of the signals, and who deals with them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from bridge.sdk.running import until_stopped


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """Have Python deal with SIGINT, whoever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def stayed(ended: asyncio.Event | None = None) -> asyncio.Task[None]:
    """Return a program that stays."""
    task = asyncio.create_task(until_stopped(ended or asyncio.Event()))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_that_stay_end_and_nothing_is_left_behind(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    programs = [await stayed() for _ in range(3)]
    signal.raise_signal(number)
    async with asyncio.timeout(5):
        await asyncio.gather(*programs)
    assert signal.getsignal(number) == before


async def test_one_that_ends_takes_the_signal_from_no_other() -> None:
    ended = asyncio.Event()
    first, other = await stayed(ended), await stayed()
    ended.set()
    await first
    assert not other.done()
    signal.raise_signal(signal.SIGINT)
    async with asyncio.timeout(5):
        await other


async def test_a_program_that_deals_with_ctrl_c_itself_still_does() -> None:
    caught, ended = list[int](), asyncio.Event()
    before = signal.signal(signal.SIGINT, lambda number, _frame: caught.append(number))
    try:
        program = await stayed(ended)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        assert (caught, program.done()) == ([signal.SIGINT], False)
        ended.set()
        await program
        signal.raise_signal(signal.SIGINT)
        assert caught == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_it_leaves_ends_what_is_left() -> None:
    async def main() -> None:
        program = await stayed()
        signal.raise_signal(signal.SIGINT)
        await program
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_beside_the_main_thread_it_stays_until_its_end() -> None:
    def run() -> None:
        async def main() -> None:
            ended = asyncio.Event()
            program = await stayed(ended)
            ended.set()
            await program
            done.append(True)

        asyncio.run(main())

    done: list[bool] = []
    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(thread.join, 5.0)
    assert done
