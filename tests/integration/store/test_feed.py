"""What the event hub and programs tell, in the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bridge.lab.waiting import until
from bridge.model.errors import ServerUnreachableError
from bridge.model.states import CallState
from bridge.protocol.requests import EventListing
from bridge.protocol.views import CallView, EventView
from bridge.sdk import events
from bridge.store.database import CALL_ANALYTICS, CallDatabase
from bridge.store.feed import Feed
from bridge.store.store import Store
from tests.support.records import call_record, event


def told(
    seq: int, kind: str, state: CallState, call_id: str = "c1", *, originated: bool = False
) -> EventView:
    call = CallView(
        call_id=call_id,
        tenant="acme",
        own=True,
        since=1000.0,
        state=state,
        originated=originated,
    )
    return event(seq, type=kind, call_id=call_id, tenant="acme", call=call)


async def test_events_make_the_record_of_their_call(store: Store) -> None:
    feed = Feed(store)
    feed.take(told(1, events.INCOMING_CALL, CallState.PENDING))
    assert await store.call_record("c1") == call_record()
    feed.take(told(2, events.CALL_CONNECTED, CallState.CONNECTED))
    feed.take(told(3, events.AUDIT, CallState.CONNECTED))
    feed.take(told(4, events.CALL_TERMINATED, CallState.DISCONNECTED))
    assert await store.call_record("c1") == call_record(
        answered_at=1002.0, connected_at=1002.0, ended_at=1004.0, talk_seconds=2.0
    )
    page = await store.events(EventListing(call_id="c1"))
    assert [one.seq for one in page.items] == [1, 2, 4]
    assert page.items[0] == told(1, events.INCOMING_CALL, CallState.PENDING)


async def test_a_daemon_that_found_a_call_does_not_say_who_placed_it(store: Store) -> None:
    Feed(store).take(told(1, events.CALL_ANSWERED, CallState.ANSWERED, originated=True))
    Feed(store).take(told(2, events.CALL_RESUMED, CallState.CONNECTED))
    record = await store.call_record("c1")
    assert record is not None
    assert (record.direction, record.answered_at) == ("outbound", 1001.0)


async def test_calls_that_ended_unseen_are_ended(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, spool=tmp_path / "spool")
    other = await Store.open(url, spool=tmp_path / "other")
    for number in range(3):
        Feed(store).take(told(number, events.INCOMING_CALL, CallState.PENDING, f"c{number}"))
    Feed(other).take(told(9, events.INCOMING_CALL, CallState.PENDING, "theirs"))
    connected, tries = asyncio.Event(), 0

    def live() -> set[str]:
        nonlocal tries
        tries += 1
        return {"c1"}

    ending = asyncio.create_task(Feed(store, clock=lambda: 2000.0).end_lost_calls(connected, live))
    await until(lambda: not store.backlog and not other.backlog, "all is stored")
    assert tries == 0
    connected.set()
    await ending
    ended = {one: await store.call_record(one) for one in ("c0", "c1", "c2", "theirs")}
    assert {one for one, record in ended.items() if record and record.ended_at} == {"c0", "c2"}
    assert ended["c0"] is not None
    assert (ended["c0"].ended_at, ended["c0"].end_reason) == (2000.0, "unknown")
    await store.close()
    await other.close()


async def test_a_call_that_begins_as_lost_ones_are_looked_for_is_not_lost(store: Store) -> None:
    Feed(store).take(told(1, events.INCOMING_CALL, CallState.PENDING, "lost"))
    feed = Feed(store)
    connected = asyncio.Event()
    connected.set()

    def live() -> set[str]:
        feed.take(told(2, events.INCOMING_CALL, CallState.PENDING, "new"))
        return set()

    await feed.end_lost_calls(connected, live)
    assert [one.call_id for one in await store.unfinished()] == ["new"]


async def test_lost_calls_are_looked_for_until_asterisk_is_there(
    store: Store, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bridge.store.feed._AGAIN_S", 0.0)
    Feed(store).take(told(1, events.INCOMING_CALL, CallState.PENDING))
    answers = [ServerUnreachableError("gone"), ServerUnreachableError("gone"), None]
    connected = asyncio.Event()
    connected.set()

    def live() -> set[str]:
        if (failure := answers.pop(0)) is not None:
            raise failure
        return set()

    await Feed(store).end_lost_calls(connected, live)
    assert answers == []
    assert await store.unfinished() == ()


async def test_programs_keep_what_they_know_of_a_call(url: str, tmp_path: Path) -> None:
    summary = [{"role": "caller", "text": "hello"}]
    async with await CallDatabase.open(url, spool=tmp_path / "spool") as db:
        await db.save_call_context(call_id="c1", caller="100", summary=summary)
        assert await db.call_context("c1") == {"caller": "100", "summary": summary}
        assert await db.call_context("c2") is None
        for sentiment in (0.5, -0.5):
            await db.log_call_analytics(call_id="c1", sentiment=sentiment, topics=["price"])
        page = await db.store.events(EventListing(call_id="c1", type=CALL_ANALYTICS))
        assert [one.data["sentiment"] for one in page.items] == [0.5, -0.5]
