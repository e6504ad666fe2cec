"""Many calls' records while the database dies and stands still: none lost, none twice, in order.

Whoever writes is not held up: neither by ``write`` nor by what the store does in the same loop,
where calls' audio runs. Times are of this thread's processor, so that a busy machine, which takes
it away at any moment, is not measured.
"""

from __future__ import annotations

import asyncio
import gc
import time
from asyncio import Handle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.lab.waiting import until
from bridge.model.errors import StoreError
from bridge.model.states import CallState
from bridge.protocol.requests import AuditListing, EventListing, HistoryListing
from bridge.protocol.views import CallView, EventView, PartyView
from bridge.sdk import events
from bridge.store.feed import Feed
from bridge.store.store import Store
from tests.support.postgres import PostgresServer
from tests.support.records import audit, note

CALLS = 1_000
EVENTS_PER_CALL = 10
BLOCKED_S = 0.005
FRAME_S = 0.020
"""Of audio: the longest that the loop may be held."""


def story(number: int, first_seq: int) -> Iterator[EventView]:
    """Return what happens to one call: ten events."""
    states = [CallState.PENDING, CallState.ANSWERED] + [CallState.CONNECTED] * 7
    for step, state in enumerate([*states, CallState.DISCONNECTED]):
        parties = tuple(
            PartyView(name=name, endpoint=f"PJSIP/{number}{name}", number=f"{number}")
            for name in ("caller", "callee")
        )
        yield EventView(
            seq=first_seq + step,
            epoch="e",
            at=1000.0 + number + step,
            type=events.CALL_TERMINATED if step == EVENTS_PER_CALL - 1 else events.PARTY_CHANGED,
            call_id=f"c{number:05}",
            tenant="acme",
            call=CallView(
                call_id=f"c{number:05}",
                tenant="acme",
                own=True,
                since=1000.0 + number,
                state=state,
                parties=parties,
            ),
        )


class Turns:
    """The longest that anything held the loop, by what it was."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure every turn of the loop while the block runs."""
        run = Handle._run
        # The collector of garbage runs whenever something is made, and looks at all that tests
        # have left: its pauses are no work of the store's.
        gc.disable()

        def measure(handle: Handle) -> None:
            began = time.thread_time()
            run(handle)
            took = time.thread_time() - began
            task = getattr(getattr(handle, "_callback", None), "__self__", None)
            name = task.get_name() if isinstance(task, asyncio.Task) else "other"
            self.longest[name] = max(self.longest.get(name, 0.0), took)

        patch = pytest.MonkeyPatch()
        patch.setattr(Handle, "_run", measure)
        try:
            yield
        finally:
            patch.undo()
            gc.enable()

    def of_the_store(self) -> float:
        """Return the longest turn of the store's tasks."""
        return max(took for name, took in self.longest.items() if name.startswith("store: "))


@pytest.mark.alone
async def test_nothing_is_lost_while_the_database_dies_and_stands_still(
    own_postgres: PostgresServer,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    url = await own_postgres.create()
    store = await Store.open(url, spool=tmp_path / "spool")
    feed, turns = Feed(store), Turns()
    slowest, backlog = 0.0, 0
    at = {
        200: own_postgres.crash,
        500: own_postgres.resume_service,
        700: own_postgres.freeze,
        900: own_postgres.thaw,
    }
    refused = 0
    began = time.monotonic()
    with turns.measured():
        for number in range(CALLS):
            if number in at:
                await asyncio.to_thread(at[number])
            if number == 600:
                await until(lambda: store.health == "ok", "the database is back", within_s=20.0)
            if number in {300, 400}:
                with pytest.raises(StoreError):
                    await store.notes("c00000")
                refused += 1
            for event in story(number, number * EVENTS_PER_CALL + 1):
                before = time.thread_time()
                feed.take(event)
                slowest = max(slowest, time.thread_time() - before)
            store.write(note(f"n{number:05}", call_id=f"c{number:05}"))
            store.write(audit(f"a{number:05}", call_id=f"c{number:05}"))
            backlog = max(backlog, store.backlog)
            await asyncio.sleep(0.001)
        await until(lambda: not store.backlog, "all is stored", within_s=60.0)
    for name, value in {
        "slowest write, ms": slowest * 1000,
        "longest turn of the store, ms": turns.of_the_store() * 1000,
        "greatest backlog": backlog,
        "seconds": time.monotonic() - began,
    }.items():
        record_property(name, round(value, 2))
        print(f"{name}: {value:.2f}")  # noqa: T201 - for who measures, with pytest -s
    assert (store.health, store.lost, refused) == ("ok", 0, 2)
    assert backlog > 1_000
    await assert_complete(store)
    await store.close()
    assert slowest < BLOCKED_S
    assert turns.of_the_store() < FRAME_S


async def assert_complete(store: Store) -> None:
    """Assert that every record is there, once, in order."""
    seqs: list[int] = []
    cursor: str | None = None
    while True:
        page = await store.events(EventListing(limit=500, cursor=cursor))
        seqs += [one.seq for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seqs == list(range(1, CALLS * EVENTS_PER_CALL + 1))
    whats: list[str] = []
    while True:
        audited = await store.audit(AuditListing(limit=500, cursor=cursor))
        whats += [one.what for one in audited.items]
        cursor = audited.next
        if cursor is None:
            break
    assert whats == [f"a{number:05}" for number in reversed(range(CALLS))]
    records: list[str] = []
    while True:
        history = await store.history(HistoryListing(limit=500, cursor=cursor))
        records += [one.call_id for one in history.items]
        assert {one.talk_seconds for one in history.items} == {7.0}
        cursor = history.next
        if cursor is None:
            break
    assert records == [f"c{number:05}" for number in reversed(range(CALLS))]
    for number in (0, 250, CALLS - 1):
        notes = (await store.notes(f"c{number:05}")).items
        assert [one.note_id for one in notes] == [f"n{number:05}"]
