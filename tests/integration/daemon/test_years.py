"""What is over leaves nothing behind: a daemon runs for years."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from tests.integration.daemon.running import Running, configured, running

WARM_UP, CALLS = 20, 80
AT_ONCE = 10
_NUMBERS = itertools.count(1)
BOUNDED = (
    "bridge.protocol.",
    "bridge.api.hub",
    "bridge.lab.",
    "bridge.runtime.audit",
    "bridge.store.cdr",
)
"""Of these a bounded number is kept, of what was last; the laboratory is not the daemon."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as server:
        yield server


async def _short_call(one: Running, fake: FakeAri) -> None:
    """Come, talk, be observed, and go."""
    assert one.daemon.parts is not None
    client = one.daemon.parts.client
    caller = f"49{next(_NUMBERS):06}"
    channel = fake.incoming_call(caller=caller)
    found: list[str] = []

    def came() -> bool:
        found[:] = [call.call_id for call in client.calls if call.caller_number == caller]
        return bool(found)

    await until(came, "it came")
    [call_id] = found
    for command in ("answer", "connect"):
        status, _, said = await one.ask("POST", f"/calls/{call_id}/{command}", {})
        assert status == 200, said
    status, _, observer = await one.ask("POST", f"/calls/{call_id}/observers", {})
    assert status == 201, observer
    fake.channel_hangs_up(channel.id)
    await until(lambda: client.get_call(call_id) is None, "it is over")


async def _calls(one: Running, fake: FakeAri, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(_short_call(one, fake) for _ in range(AT_ONCE)))


async def _quiet(one: Running, fake: FakeAri) -> None:
    """Wait until all is cleared away, and stored."""
    assert one.daemon.parts is not None
    store = one.daemon.parts.service.store
    await until(lambda: not fake.remains(), "all are cleared away", within_s=15)
    await until(lambda: store.backlog == 0, "all is stored", within_s=15)


def _standing() -> Counter[str]:
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        if name.startswith("bridge.") and not name.startswith(BOUNDED):
            found[name] += 1
        elif isinstance(thing, asyncio.Task):
            found["task"] += 1
    return found


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _fall_below(few: int, before: Counter[str]) -> None:
    """Wait until of no kind there are ``few`` more than before. Raises AssertionError."""
    many: list[tuple[str, int]] = []

    def gone() -> bool:
        many[:] = [(name, more) for name, more in (_standing() - before).items() if more >= few]
        return not many

    try:
        await until(gone, "nothing of them is left", within_s=30)
    except TimeoutError:
        raise AssertionError(sorted(many, key=lambda one: -one[1])) from None


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Log nothing: pytest keeps every record, and with it errors and all that they saw."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("unlogged")
async def test_calls_that_are_over_leave_nothing(fake: FakeAri, tmp_path: Path) -> None:
    more = "[auth]\nreads_burst = 100000\ncommands_burst = 100000\n[dialling]\nper_minute = 10000\n"
    async with running(configured(fake, tmp_path, more)) as one:
        await one.ready()
        await _calls(one, fake, WARM_UP)
        await _quiet(one, fake)
        before, tasks, files = _standing(), len(asyncio.all_tasks()), _descriptors()
        await _calls(one, fake, CALLS)
        await _quiet(one, fake)
        # Connections of who asks come and go: tasks and files, but not one for each call.
        few = CALLS // 4
        await until(
            lambda: len(asyncio.all_tasks()) <= tasks + few, "no tasks are left", within_s=30
        )
        # A handful may be on their way; one for each call would be four times as many.
        await _fall_below(few, before)
        assert _descriptors() <= files + 2 * few
