"""Records of calls, notes and contexts: written, read, in pages, within a scope."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from bridge.model.errors import BadArgumentError
from bridge.protocol.requests import AuditListing, DeliveryListing, EventListing, HistoryListing
from bridge.protocol.views import CallView, ContextView
from bridge.store.access import make_cursor
from bridge.store.records import Scope
from bridge.store.store import Store
from tests.support.records import audit, call_record, event, note

ACME_SALES = Scope("acme", frozenset({"sales"}))


async def test_notes_are_read_at_once_the_oldest_first(store: Store) -> None:
    notes = [note(f"n{number}", at=1000.0 + number // 2) for number in range(5)]
    for one in reversed(notes):
        store.write(one)
    store.write(note("other", call_id="c2"))
    page = await store.notes("c1", limit=3)
    assert page.items == tuple(notes[:3])
    rest = await store.notes("c1", limit=3, cursor=page.next)
    assert rest.items == tuple(notes[3:])
    assert rest.next is None
    assert (await store.notes("c3")).items == ()


async def test_a_note_keeps_its_text(store: Store) -> None:
    text = "quoted ' \" \\ %s {x} ; -- \n ü 日本 🎧 \u2028 :name"
    store.write(note("n1", text=text))
    store.write(note("n2", at=1001.0, text="a\0b"))
    kept = (await store.notes("c1")).items
    assert [one.text for one in kept] == [text, "a\ufffdb"]


async def test_what_is_written_twice_is_there_once(store: Store) -> None:
    for _ in range(2):
        store.write(note("n1"))
        store.write(event(1, call_id="c1"))
    assert len((await store.notes("c1")).items) == 1
    assert len((await store.events(EventListing())).items) == 1


async def test_a_context_replaces_the_one_before(store: Store) -> None:
    assert await store.context("c1") is None
    values: dict[str, Any] = {"summary": [{"role": "caller", "text": "a\0b"}], "n": 1.5}
    store.write(ContextView(call_id="c1", saved_at=1.0, values={"old": True}))
    store.write(ContextView(call_id="c1", saved_at=2.0, values=values))
    assert await store.context("c1") == ContextView(call_id="c1", saved_at=2.0, values=values)


async def test_the_later_record_of_a_call_counts(store: Store) -> None:
    store.write(call_record(program="first"))
    store.write(call_record(program="second", answered_at=1001.0, queue="sales"))
    assert await store.unfinished() == (
        call_record(program="second", answered_at=1001.0, queue="sales"),
    )
    ended = call_record(answered_at=1001.0, ended_at=1010.0, end_reason="caller_hung_up")
    store.write(ended)
    assert await store.call_record("c1") == ended
    assert await store.unfinished() == ()
    assert await store.call_record("c2") is None


async def test_a_daemon_that_found_a_call_forgets_nothing_of_its_beginning(store: Store) -> None:
    store.write(call_record(answered_at=1001.0, connected_at=1002.0))
    store.write(call_record(began_at=1100.0, connected_at=1100.0))
    store.write(
        call_record(began_at=1100.0, connected_at=1100.0, ended_at=1200.0, talk_seconds=100)
    )
    found = await store.call_record("c1")
    assert found == call_record(
        answered_at=1001.0, connected_at=1002.0, ended_at=1200.0, talk_seconds=198.0
    )


async def test_history_is_listed_the_newest_first(store: Store) -> None:
    for number in range(7):
        store.write(call_record(f"c{number}", began_at=1000.0 + number // 2))
    seen = []
    cursor = None
    while True:
        page = await store.history(HistoryListing(limit=2, cursor=cursor))
        seen += [one.call_id for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]


async def test_history_is_filtered(store: Store) -> None:
    store.write(call_record("a", caller_number="100", callee_number="200", queue="sales"))
    store.write(call_record("b", began_at=2000.0, callee_number="100", end_reason="failed"))
    store.write(call_record("c", began_at=3000.0, tenant="other", queue="sales"))

    async def listed(scope: Scope | None = None, **asked: Any) -> list[str]:
        page = await store.history(HistoryListing(**asked), scope or Scope())
        return [one.call_id for one in page.items]

    assert await listed() == ["c", "b", "a"]
    assert await listed(number="100") == ["b", "a"]
    assert await listed(number="200") == ["a"]
    assert await listed(since=2000.0) == ["c", "b"]
    assert await listed(until=2000.0) == ["a"]
    assert await listed(end_reason="failed") == ["b"]
    assert await listed(tenant="other") == ["c"]
    assert await listed(queue="sales") == ["c", "a"]
    assert await listed(Scope("acme")) == ["b", "a"]
    assert await listed(ACME_SALES) == ["a"]
    assert await listed(ACME_SALES, tenant="other") == []
    assert await listed(Scope(None, frozenset({"sales", "help"}))) == ["c", "a"]


async def test_events_are_listed_as_they_came(store: Store) -> None:
    call = CallView(call_id="c1", tenant="acme", own=True, since=1.0, state="CONNECTED")  # type: ignore[arg-type]  # as JSON has it
    events = [
        event(3, call_id="c1", tenant="acme", queue="sales", call=call),
        event(1, call_id="c1", tenant="acme", type="DTMF_RECEIVED", data={"key": "5"}),
        event(2, epoch="f", call_id="c2", tenant="other", at=5000.0),
        event(4),
    ]
    for one in events:
        store.write(one)

    async def listed(scope: Scope | None = None, **asked: Any) -> list[int]:
        page = await store.events(EventListing(**asked), scope or Scope())
        return [one.seq for one in page.items]

    page = await store.events(EventListing(limit=3))
    assert page.items == tuple(events[:3])
    rest = await store.events(EventListing(limit=3, cursor=page.next))
    assert (rest.items, rest.next) == ((events[3],), None)
    last = await store.events(EventListing(limit=3, newest_first=True))
    assert last.items == tuple(events[:0:-1])
    first = await store.events(EventListing(limit=3, newest_first=True, cursor=last.next))
    assert (first.items, first.next) == ((events[0],), None)
    assert await listed(call_id="c1") == [3, 1]
    assert await listed(type="DTMF_RECEIVED") == [1]
    assert await listed(since=2000.0) == [2]
    assert await listed(tenant="other") == [2]
    assert await listed(Scope("acme")) == [3, 1]
    assert await listed(ACME_SALES) == [3]


async def test_the_audit_is_listed_the_newest_first(store: Store) -> None:
    store.write(call_record("c1", queue="sales"))
    store.write(call_record("c2", queue="help"))
    store.write(audit("a"))
    store.write(audit("b", call_id="c2", by="key 5", at=2000.0))
    store.write(audit("c", call_id=None))
    store.write(audit("d", tenant="other"))
    store.write(audit("d", tenant="other"))

    async def listed(scope: Scope | None = None, **asked: Any) -> list[str]:
        page = await store.audit(AuditListing(**asked), scope or Scope())
        return [one.what for one in page.items]

    page = await store.audit(AuditListing(limit=3))
    assert [one.what for one in page.items] == ["d", "d", "c"]
    rest = await store.audit(AuditListing(limit=3, cursor=page.next))
    assert rest.items == (audit("b", call_id="c2", by="key 5", at=2000.0), audit("a"))
    assert rest.next is None
    assert await listed(call_id="c2") == ["b"]
    assert await listed(by="key 5") == ["b"]
    assert await listed(since=1500.0) == ["b"]
    assert await listed(Scope("acme")) == ["c", "b", "a"]
    assert await listed(ACME_SALES) == ["a"]


async def test_a_cursor_that_no_page_gave_is_refused(store: Store) -> None:
    for cursor in ("", "!", "é", "bm9uZQ", "WyJhIl0", "W10", "W10=", "AAAA", "WzFlOTld"):
        with pytest.raises(BadArgumentError, match="cursor"):
            await store.notes("c1", cursor=cursor)
        with pytest.raises(BadArgumentError, match="cursor"):
            await store.history(HistoryListing(cursor=cursor))
        with pytest.raises(BadArgumentError, match="cursor"):
            await store.events(EventListing(cursor=cursor))
        with pytest.raises(BadArgumentError, match="cursor"):
            await store.audit(AuditListing(cursor=cursor))


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "'; --", "%", "\u202e" * 1000])
async def test_what_nobody_wrote_is_not_found(store: Store, odd: str) -> None:
    store.write(note())
    store.write(event(call_id="c1"))
    assert (await store.notes(odd)).items == ()
    assert await store.context(odd) is None
    assert await store.call_record(odd) is None
    assert await store.find_key(odd) is None
    assert await store.webhook(odd) is None
    assert (await store.history(HistoryListing(number=odd, tenant=odd))).items == ()
    assert (await store.events(EventListing(call_id=odd, since=1e300))).items == ()
    assert (await store.audit(AuditListing(by=odd), Scope(odd, frozenset({odd})))).items == ()
    assert (await store.deliveries(odd, DeliveryListing())).items == ()
    assert (await store.events(EventListing(cursor=make_cursor(2**70)))).items == ()
    assert store.health == "ok"
    assert len((await store.notes("c1")).items) == 1


async def test_what_no_database_can_keep_is_put_aside_and_costs_nothing_else(
    store: Store,
) -> None:
    store.write(event(2**70))
    store.write(note("n1"))
    store.write(7)  # type: ignore[arg-type]  # what a careless program does
    assert len((await store.notes("c1")).items) == 1
    assert (await store.events(EventListing())).items == ()
    assert store.lost == 2
    assert (store.health, store.backlog) == ("ok", 0)


async def test_what_is_too_long_for_an_index_keeps_nothing_else_out(store: Store) -> None:
    # PostgreSQL indexes some 2700 bytes, and what is random is not made shorter.
    store.write(audit(call_id=secrets.token_hex(4000)))
    store.write(note("n1"))
    assert len((await store.notes("c1")).items) == 1
    assert (store.health, store.backlog) == ("ok", 0)
