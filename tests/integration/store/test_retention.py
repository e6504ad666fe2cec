"""What is old goes, what is young or under way stays."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lab.waiting import until
from bridge.protocol.requests import AuditListing, DeliveryListing, EventListing, HistoryListing
from bridge.protocol.views import ContextView
from bridge.store.engine import Database
from bridge.store.records import DeliveryState
from bridge.store.retention import DAY_S, Retention, keep_removing, remove_old
from bridge.store.store import Store
from tests.support.records import audit, call_record, delivery, event, note, update, webhook

NOW = 100 * DAY_S
OLD, YOUNG = NOW - 10.1 * DAY_S, NOW - 9.9 * DAY_S


async def filled(store: Store) -> None:
    """Write one of each, old and young, and what is old and under way."""
    await store.add_webhook(webhook())
    for number, at in enumerate((OLD, YOUNG)):
        name = f"r{number}"
        store.write(event(number, at=at))
        store.write(audit(name, at=at))
        store.write(note(name, at=at))
        store.write(ContextView(call_id=name, saved_at=at, values={}))
        store.write(call_record(name, began_at=OLD, ended_at=at))
        store.add_deliveries([delivery(name, created_at=at)])
        store.set_delivery(update(name, state=DeliveryState.DEAD))
    store.write(call_record("live", began_at=OLD))
    store.add_deliveries(
        [
            delivery("waits", created_at=OLD, next_at=YOUNG),
            delivery("left", webhook_id="gone", created_at=OLD, next_at=OLD),
            delivery("never", webhook_id="gone", created_at=OLD, next_at=None),
        ]
    )


async def left(store: Store) -> dict[str, list[str]]:
    deliveries = [
        one
        for webhook_id in ("w1", "gone")
        for one in (await store.deliveries(webhook_id, DeliveryListing())).items
    ]
    return {
        "events": [str(one.seq) for one in (await store.events(EventListing())).items],
        "audit": [one.what for one in (await store.audit(AuditListing())).items],
        "notes": [one.note_id for one in (await store.notes("c1")).items],
        "contexts": [one for one in ("r0", "r1") if await store.context(one)],
        "calls": sorted(one.call_id for one in (await store.history(HistoryListing())).items),
        "deliveries": sorted(one.delivery_id for one in deliveries),
    }


ALL = {
    "events": ["0", "1"],
    "audit": ["r1", "r0"],
    "notes": ["r0", "r1"],
    "contexts": ["r0", "r1"],
    "calls": ["live", "r0", "r1"],
    "deliveries": ["left", "never", "r0", "r1", "waits"],
}


async def test_what_is_old_goes(store: Store, database: Database) -> None:
    await filled(store)
    assert await left(store) == ALL
    keeps = Retention(events=None, audit=None, deliveries=None, calls=None)
    assert await remove_old(database, keeps, NOW) == 0
    assert await left(store) == ALL
    days = Retention(events=10, audit=10, deliveries=10, calls=10)
    assert await remove_old(database, days, NOW) == 8
    assert await left(store) == {
        "events": ["1"],
        "audit": ["r1"],
        "notes": ["r1"],
        "contexts": ["r1"],
        "calls": ["live", "r1"],
        "deliveries": ["r1", "waits"],
    }
    assert await remove_old(database, days, NOW) == 0


async def test_a_lot_goes_in_small_parts(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.retention.BATCH", 10)
    monkeypatch.setattr("bridge.store.retention._PAUSE_S", 0.0)
    for number in range(95):
        store.write(event(number, at=OLD))
    store.write(event(100, at=YOUNG))
    assert len((await store.events(EventListing())).items) == 96
    assert await remove_old(database, Retention(events=10), NOW) == 95
    assert [one.seq for one in (await store.events(EventListing())).items] == [100]


async def test_it_is_done_by_itself(store: Store, database: Database) -> None:
    await filled(store)
    assert await left(store) == ALL
    task = asyncio.create_task(
        keep_removing(database, Retention(events=10), lambda: NOW, first_s=0.0)
    )
    seen: list[dict[str, list[str]]] = []

    async def look() -> None:
        while not seen or seen[-1]["events"] == ALL["events"]:
            seen.append(await left(store))

    looking = asyncio.create_task(look())
    await until(looking.done, "old events are gone")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen[-1] == ALL | {"events": ["1"]}
