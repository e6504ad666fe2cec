"""Keys, webhooks and deliveries in the store."""

from __future__ import annotations

import pytest

from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError
from bridge.protocol.requests import DeliveryListing, Listing
from bridge.protocol.views import DeliveryView, KeyView, WebhookView
from bridge.store.records import DeliveryState, Scope
from bridge.store.store import Store
from tests.support.records import delivery, key, update, webhook


async def test_a_key_is_kept_and_found(store: Store) -> None:
    kept = key(queues=("sales", "help"), expires_at=5.0)
    await store.add_key(kept)
    assert await store.find_key("k1") == kept
    assert await store.find_key("k2") is None
    with pytest.raises(BadArgumentError, match="cannot keep"):
        await store.add_key(kept)
    with pytest.raises(BadArgumentError, match="cannot keep"):
        await store.revoke_key("\ud800")
    assert store.health == "ok"


async def test_odd_texts_of_keys_and_webhooks_are_kept_as_far_as_can_be(store: Store) -> None:
    await store.add_key(key(name="a\0b\ud800", queues=("q\0",)))
    await store.add_webhook(webhook(url="https://h/\0"))
    found = await store.find_key("k1")
    assert found is not None
    assert (found.name, found.queues) == ("a\ufffdb?", ("q\0",))
    assert [one.url for one in await store.stored_webhooks()] == ["https://h/\ufffd"]


async def test_keys_are_shown_without_digests(store: Store) -> None:
    for number in range(3):
        await store.add_key(key(f"k{number}", created_at=float(number)))
    await store.add_key(key("x", tenant="other", created_at=9.0))
    page = await store.keys(Listing(limit=3))
    assert [one.key_id for one in page.items] == ["k0", "k1", "k2"]
    assert {type(one) for one in page.items} == {KeyView}
    rest = await store.keys(Listing(limit=3, cursor=page.next))
    assert [one.key_id for one in rest.items] == ["x"]
    assert [one.key_id for one in (await store.keys(Listing(), Scope("other"))).items] == ["x"]
    with pytest.raises(BadArgumentError):
        await store.keys(Listing(cursor="x"))


async def test_a_key_is_revoked_by_its_tenant_alone(store: Store) -> None:
    await store.add_key(key())
    assert not await store.revoke_key("k1", Scope("other"))
    found = await store.find_key("k1")
    assert found is not None
    assert not found.revoked
    assert await store.revoke_key("k1", Scope("acme"))
    assert await store.revoke_key("k1")
    found = await store.find_key("k1")
    assert found is not None
    assert found.revoked
    assert not await store.revoke_key("k2")


async def test_webhooks_are_listed_with_what_waits(store: Store) -> None:
    await store.add_webhook(webhook("w1", events=("CALL_CONNECTED",)))
    await store.add_webhook(webhook("w2", tenant="other", created_at=1001.0))
    store.add_deliveries([delivery("d1"), delivery("d2"), delivery("d3"), delivery("d4")])
    store.set_delivery(update("d1"))
    store.set_delivery(update("d2", state=DeliveryState.DEAD))
    shown = WebhookView(
        webhook_id="w1",
        url="https://example.org/hook",
        events=("CALL_CONNECTED",),
        tenant="acme",
        pending=2,
        dead=1,
    )
    assert await store.webhook("w1") == shown
    assert await store.webhook("w3") is None
    page = await store.webhooks(Listing(limit=1))
    assert page.items == (shown,)
    rest = await store.webhooks(Listing(limit=1, cursor=page.next))
    assert [one.webhook_id for one in rest.items] == ["w2"]
    assert rest.next is None
    assert (await store.webhooks(Listing(), Scope("acme"))).items == (shown,)
    assert [one.webhook_id for one in await store.stored_webhooks()] == ["w1", "w2"]
    assert (await store.stored_webhooks())[0] == webhook("w1", events=("CALL_CONNECTED",))


async def test_a_removed_webhook_takes_its_deliveries_along(store: Store) -> None:
    await store.add_webhook(webhook())
    store.add_deliveries([delivery()])
    assert len((await store.deliveries("w1", DeliveryListing())).items) == 1
    assert not await store.remove_webhook("w1", Scope("other"))
    assert await store.remove_webhook("w1", Scope("acme"))
    assert not await store.remove_webhook("w1")
    assert (await store.deliveries("w1", DeliveryListing())).items == ()
    # One that was on its way meanwhile is never due.
    store.add_deliveries([delivery("late")])
    assert await store.due_deliveries(9000.0) == ()


async def test_the_events_of_a_call_are_due_one_after_the_other(store: Store) -> None:
    await store.add_webhook(webhook("w1"))
    await store.add_webhook(webhook("w2"))
    store.add_deliveries(
        [
            delivery("a1"),
            delivery("a2"),
            delivery("b1", call_id="c2", next_at=2000.0),
            delivery("b2", call_id="c2"),
            delivery("x1", call_id=None),
            delivery("x2", call_id=None, body='{"a": "\u2028"}'),
            delivery("o1", webhook_id="w2"),
        ]
    )

    async def due(now: float, limit: int = 100) -> list[str]:
        return [one.delivery_id for one in await store.due_deliveries(now, limit=limit)]

    assert await due(999.0) == []
    assert await store.next_delivery_at() == 1000.0
    assert await due(1000.0) == ["a1", "x1", "x2", "o1"]
    assert await due(1000.0, 2) == ["a1", "x1"]
    assert (await store.due_deliveries(1000.0))[2] == delivery(
        "x2", call_id=None, body='{"a": "\u2028"}'
    )
    again = update(
        "a1",
        state=DeliveryState.PENDING,
        attempts=3,
        next_at=1500.0,
        last_status=500,
        last_error="a\0b",
    )
    store.set_delivery(again)
    assert await due(1000.0) == ["x1", "x2", "o1"]
    for one in ("x1", "x2", "o1"):
        store.set_delivery(update(one))
    assert await due(1000.0) == []
    assert await store.next_delivery_at() == 1500.0
    assert await due(2000.0) == ["a1", "b1"]
    store.set_delivery(update("a1"))
    store.set_delivery(update("b1", state=DeliveryState.DEAD))
    assert await due(1000.0) == ["a2", "b2"]
    store.set_delivery(update("a2"))
    store.set_delivery(update("b2"))
    assert await store.next_delivery_at() is None


async def test_what_waits_for_a_receiver_that_is_down_keeps_no_other_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.engine.READ_S", 1.0)
    await store.add_webhook(webhook("w1"))
    await store.add_webhook(webhook("w2", created_at=1001.0))
    calls, of_each = 1_500, 6
    for number in range(calls):
        # The first of each call was refused, and is tried again later; the others wait for it.
        store.add_deliveries([delivery(f"{number}-0", call_id=f"c{number}", next_at=9000.0)])
        store.add_deliveries(
            [delivery(f"{number}-{turn}", call_id=f"c{number}") for turn in range(1, of_each)]
        )
    store.add_deliveries([delivery("good", webhook_id="w2")])
    await until(lambda: not store.backlog, "all is stored", within_s=20.0)
    assert [one.delivery_id for one in await store.due_deliveries(2000.0)] == ["good"]
    assert await store.next_delivery_at() == 1000.0
    assert await store.pending_deliveries() == {"w1": calls * of_each, "w2": 1}


async def test_deliveries_are_listed_the_newest_first(store: Store) -> None:
    await store.add_webhook(webhook())
    store.add_deliveries([delivery(f"d{number}") for number in range(4)])
    store.set_delivery(update("d1", state=DeliveryState.DEAD, attempts=9, last_error="refused"))
    page = await store.deliveries("w1", DeliveryListing(limit=3))
    assert [one.delivery_id for one in page.items] == ["d3", "d2", "d1"]
    rest = await store.deliveries("w1", DeliveryListing(limit=3, cursor=page.next))
    assert [one.delivery_id for one in rest.items] == ["d0"]
    dead = await store.deliveries("w1", DeliveryListing(state="dead"))
    assert dead.items == (
        DeliveryView(
            delivery_id="d1",
            webhook_id="w1",
            state="dead",
            attempts=9,
            event_type="CALL_CONNECTED",
            call_id="c1",
            created_at=1000.0,
            last_status=200,
            last_error="refused",
        ),
    )
    assert (await store.deliveries("w2", DeliveryListing())).items == ()


async def test_dead_deliveries_are_replayed(store: Store) -> None:
    await store.add_webhook(webhook())
    store.add_deliveries([delivery("d1"), delivery("d2"), delivery("d3", call_id="c2")])
    for one in ("d1", "d3"):
        store.set_delivery(update(one, state=DeliveryState.DEAD, attempts=9))
    store.set_delivery(update("d2"))
    assert await store.replay("w1", None, now=3000.0) == 2
    due = await store.due_deliveries(3000.0)
    assert [(one.delivery_id, one.attempts) for one in due] == [("d1", 0), ("d3", 0)]
    assert await store.replay("w1", ["d2", "nobody"], now=4000.0) == 1
    assert await store.replay("w2", ["d2"], now=4000.0) == 0
    store.set_delivery(update("d1"))
    due = await store.due_deliveries(4000.0)
    assert [one.delivery_id for one in due] == ["d2", "d3"]
