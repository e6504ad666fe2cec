"""Events arrive: signed, again and again until they are taken, and of each call in order."""

from __future__ import annotations

import asyncio
import random
import re
import shutil

import pytest
from aiohttp import web

from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, StoreError
from bridge.webhooks import Addresses, Retries, Webhooks
from bridge.webhooks.sender import Outcome, Sender
from tests.api.webhooks.conftest import Post
from tests.api.webhooks.receiver import SECRET, Receiver, answers, drops, takes
from tests.support.pbx import until_true


async def settled(post: Post, state: str, webhook_id: str, number: int = 1) -> None:
    """Wait until so many deliveries of a webhook are in a state."""

    async def there() -> bool:
        webhook = await post.store.webhook(webhook_id)
        assert webhook is not None
        return sum(d.state == state for d in await post.deliveries(webhook)) >= number

    await until_true(there, f"{number} are {state}")


async def test_an_event_arrives_signed(post: Post) -> None:
    hook = await post.hook("/a")
    event = post.tell("c1")
    await until(lambda: post.receiver.got, "it arrives")
    (got,) = post.receiver.got
    assert got.signed
    assert (got.kind, got.call_id, got.seq) == ("CALL_CONNECTED", "c1", event.seq)
    assert got.attempt == 1
    await settled(post, "delivered", hook.webhook_id)
    (delivery,) = await post.deliveries(hook)
    assert (delivery.attempts, delivery.last_status) == (1, 204)
    assert delivery.delivery_id == got.delivery
    assert post.webhooks.pending == 0
    assert post.webhooks.health == "ok"


async def test_only_what_is_wanted_is_sent(post: Post) -> None:
    await post.hook("/all")
    await post.hook("/ended", "CALL_TERMINATED")
    await post.hook("/acme", tenant="acme")
    post.tell("c1")
    post.tell("c1", "CALL_TERMINATED")
    post.tell("c2", tenant="acme")
    post.tell(None, "SERVER_LOST", tenant="")
    await until(lambda: len(post.receiver.got) == 6, "all arrive")
    kinds = {path: sorted(g.kind for g in post.receiver.of(path)) for path in ("/ended", "/acme")}
    assert kinds == {"/ended": ["CALL_TERMINATED"], "/acme": ["CALL_CONNECTED"]}
    assert len(post.receiver.of("/all")) == 4


async def test_what_is_refused_comes_again(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(500, until_attempt=3)
    hook = await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.receiver.taken("/a"), "it is taken")
    assert [got.attempt for got in post.receiver.of("/a")] == [1, 2, 3]
    assert len({got.delivery for got in post.receiver.of("/a")}) == 1
    assert all(got.signed for got in post.receiver.got)
    await settled(post, "delivered", hook.webhook_id)


async def test_a_dropped_connection_is_no_answer(post: Post) -> None:
    post.receiver.behaviours["/a"] = drops
    await post.hook("/a")
    post.tell("c1")
    await until(lambda: any(g.attempt == 2 for g in post.receiver.taken("/a")), "it comes again")


async def test_who_does_not_answer_is_given_up_and_tried_again(post: Post) -> None:
    await post.webhooks.close()
    # However often a busy machine is too slow for so short a time.
    await post.begin(attempt_seconds=0.2, retries=Retries(first_seconds=0.02, attempts=1000))
    post.receiver.behaviours["/a"] = post.receiver.stalls
    hook = await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.webhooks.counts["failed"], "it is given up")
    post.receiver.released.set()
    await settled(post, "delivered", hook.webhook_id)
    (delivery,) = await post.deliveries(hook)
    assert delivery.attempts >= 2


async def test_a_redirect_is_not_followed(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(302, headers={"Location": f"{post.receiver.url}/b"})
    hook = await post.hook("/a")
    post.tell("c1")
    await settled(post, "dead", hook.webhook_id)
    (delivery,) = await post.deliveries(hook)
    assert delivery.last_error == "302: redirects are not followed"
    assert not post.receiver.of("/b")


async def test_in_the_end_it_is_dead_and_the_next_one_comes(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(500)
    hook = await post.hook("/a")
    post.tell("c1")
    last = post.tell("c1", "CALL_TERMINATED")
    await settled(post, "dead", hook.webhook_id)
    assert [got.attempt for got in post.receiver.of("/a")[:4]] == [1, 2, 3, 4]
    post.receiver.behaviours["/a"] = answers(200)
    await until(lambda: post.receiver.taken("/a"), "the next one is taken")
    assert [got.seq for got in post.receiver.taken("/a")] == [last.seq]


async def test_who_is_gone_is_not_tried_again(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(410)
    hook = await post.hook("/a")
    post.tell("c1")
    await settled(post, "dead", hook.webhook_id)
    assert len(post.receiver.of("/a")) == 1


async def test_the_dead_are_sent_again(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(500)
    hook = await post.hook("/a")
    told = [post.tell("c1").seq, post.tell("c2").seq]
    await settled(post, "dead", hook.webhook_id, 2)
    post.receiver.behaviours["/a"] = answers(200)
    assert await post.webhooks.replay(hook.webhook_id) == 2
    await until(lambda: len(post.receiver.taken("/a")) == 2, "both are taken")
    assert sorted(got.seq for got in post.receiver.taken("/a")) == told
    assert {got.attempt for got in post.receiver.taken("/a")} == {1}


async def test_what_was_taken_is_sent_again_if_it_is_named(post: Post) -> None:
    hook = await post.hook("/a")
    post.tell("c1")
    post.tell("c2")
    await settled(post, "delivered", hook.webhook_id, 2)
    assert await post.webhooks.replay(hook.webhook_id) == 0
    named = post.receiver.got[0].delivery
    assert await post.webhooks.replay(hook.webhook_id, [named, "del_none"]) == 1
    await until(lambda: len(post.receiver.got) == 3, "it comes again")
    assert post.receiver.got[2].delivery == named


def in_order(receiver: Receiver, path: str, calls: list[str]) -> bool:
    """Tell whether what was taken of each call came in the order in which it happened."""
    for call_id in calls:
        seqs = [got.seq for got in receiver.taken(path) if got.call_id == call_id]
        if seqs != sorted(seqs) or len(set(seqs)) != len(seqs):
            return False
    return True


async def test_events_of_a_call_are_in_order_whatever_goes_wrong(post: Post) -> None:
    chances = random.Random(7)

    async def moody(request: web.Request, attempt: int) -> web.StreamResponse:
        fails = attempt < 4 and chances.random() < 0.3
        return await (answers(500) if fails else takes)(request, attempt)

    post.receiver.behaviours["/a"] = moody
    await post.hook("/a")
    calls = [f"c{number}" for number in range(10)]
    for _ in range(10):
        for call_id in calls:
            post.tell(call_id)
    await until(lambda: len(post.receiver.taken("/a")) == 100, "all are taken", within_s=20)
    assert len(post.receiver.of("/a")) > 100
    assert in_order(post.receiver, "/a", calls)


@pytest.mark.parametrize("asked", ["3600", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_later_event_waits_for_its_call_and_for_no_other(post: Post, asked: str) -> None:
    post.receiver.behaviours["/a"] = answers(503, headers={"Retry-After": asked})
    hook = await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.receiver.got, "the first one is refused")
    post.receiver.behaviours["/a"] = answers(200)
    post.tell("c1", "CALL_TERMINATED")
    post.tell("c2")
    post.tell(None, "SERVER_LOST")
    await settled(post, "delivered", hook.webhook_id, 2)
    assert {got.call_id for got in post.receiver.taken("/a")} == {"c2", None}


async def test_a_slow_receiver_holds_up_nobody_else(post: Post) -> None:
    await post.webhooks.close()
    await post.begin(at_once=6, at_once_each=3)
    post.receiver.behaviours["/slow"] = post.receiver.stalls
    await post.hook("/slow")
    for number in range(300):
        post.tell(f"slow{number}")
    await until(lambda: post.receiver.at_once["/slow"] == 3, "the slow one is busy")
    await post.hook("/fast")
    for number in range(20):
        post.tell(f"c{number}")
    await until(lambda: len(post.receiver.taken("/fast")) == 20, "the others are served")
    assert post.receiver.most_at_once["/slow"] == 3
    assert not post.receiver.taken("/slow")
    post.receiver.released.set()


async def test_many_slow_receivers_of_a_tenant_hold_up_no_other_tenant(post: Post) -> None:
    await post.webhooks.close()
    await post.begin(at_once=4, at_once_each=2, at_once_tenant=3)
    for path in ("/slow1", "/slow2", "/slow3"):
        post.receiver.behaviours[path] = post.receiver.stalls
        await post.hook(path, tenant="acme")
    for number in range(20):
        post.tell(f"slow{number}", tenant="acme")
    busy = post.receiver.at_once
    await until(lambda: sum(busy.values()) == 3, "the slow ones are busy")
    await post.hook("/fast", tenant="default")
    for number in range(10):
        post.tell(f"c{number}", tenant="default")
    await until(lambda: len(post.receiver.taken("/fast")) == 10, "the others are served")
    assert sum(busy.values()) == 3
    post.receiver.released.set()


async def test_what_is_on_its_way_survives_a_restart(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(500, until_attempt=3)
    hook = await post.hook("/a")
    told = [post.tell("c1").seq for _ in range(3)]
    await until(lambda: post.receiver.got, "the first one is refused")
    await post.restart()
    await until(lambda: len(post.receiver.taken("/a")) == 3, "all are taken")
    assert [got.seq for got in post.receiver.taken("/a")] == told
    await settled(post, "delivered", hook.webhook_id, 3)


async def test_what_happens_before_the_webhooks_are_known_is_not_missed(post: Post) -> None:
    await post.hook("/a")
    await post.webhooks.close()
    late = Webhooks(post.store, addresses=Addresses(["127.0.0.1"]), settings=post.settings)
    post.webhooks = late
    post.tell("c1")
    assert not post.receiver.got
    await late.start()
    try:
        await until(lambda: post.receiver.taken("/a"), "it arrives")
    finally:
        await late.close()


async def test_a_removed_webhook_gets_nothing(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(503, headers={"Retry-After": "3600"})
    hook = await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.receiver.got, "it is refused")
    assert await post.webhooks.remove(hook.webhook_id)
    assert not await post.webhooks.remove(hook.webhook_id)
    await post.hook("/b")
    post.tell("c2")
    await until(lambda: post.receiver.of("/b"), "the other one gets it")
    assert len(post.receiver.of("/a")) == 1


async def test_private_addresses_are_not_reached(post: Post) -> None:
    hooks = [await post.hook("/a")]
    port = post.receiver.url.rpartition(":")[2]
    await post.webhooks.close()
    strict = Webhooks(post.store, addresses=Addresses(), settings=post.settings)
    hooks += [
        await strict.create(url=f"http://{host}:{port}/a", secret=SECRET, events=(), tenant="*")
        for host in ("localhost", "127.1", "2130706433")
    ]
    await strict.start()
    post.webhooks = strict
    try:
        post.tell("c1")
        for hook in hooks:
            await settled(post, "dead", hook.webhook_id)
            (delivery,) = await post.deliveries(hook)
            # The HTTP client itself refuses the ways of writing an address that are not usual.
            assert re.search("private network|not a canonical", delivery.last_error)
    finally:
        await strict.close()
    assert not post.receiver.got


async def test_more_than_the_bound_is_dropped_and_said(post: Post) -> None:
    await post.webhooks.close()
    await post.begin(pending=3)
    post.receiver.behaviours["/a"] = post.receiver.stalls
    await post.hook("/a")
    await post.hook("/b")
    for number in range(5):
        post.tell(f"c{number}")
    assert post.webhooks.counts["dropped"] == 4
    assert "no more events" in post.webhooks.health
    await until(lambda: len(post.receiver.taken("/b")) == 3, "the other one has its own bound")
    await until(lambda: post.webhooks.pending == 3, "those of the first one alone")
    post.tell("c9")
    await until(lambda: len(post.receiver.taken("/b")) == 4, "there is room again")
    post.receiver.released.set()


async def test_what_was_counted_and_is_not_there_keeps_nothing_from_being_sent(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.webhooks.webhooks.LOOKED_AGAIN_SECONDS", 0.05)
    await post.webhooks.close()
    await post.begin(pending=3)
    await post.hook("/a")
    with monkeypatch.context() as full:
        # What gives way before it is stored.
        full.setattr(post.store, "add_deliveries", lambda _gone: None)
        for number in range(3):
            post.tell(f"c{number}")
    assert "no more events" in post.webhooks.health
    await until(lambda: post.webhooks.health == "ok", "it is looked up")
    post.tell("c9")
    await until(lambda: post.receiver.taken("/a"), "there is room again")


async def test_what_waits_for_another_daemon_is_not_counted(post: Post) -> None:
    post.receiver.behaviours["/a"] = answers(503, headers={"Retry-After": "3600"})
    await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.receiver.got, "it is refused")
    await post.webhooks.close()
    await post.store.close()
    shutil.rmtree(post.folder / "spool")
    await post.restart()
    assert post.webhooks.pending == 0


async def test_a_fault_is_said_and_is_not_the_end(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.webhooks.webhooks.STORE_DOWN_SECONDS", 0.02)
    await post.hook("/a")

    async def fails(*_: object, **__: object) -> tuple[()]:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(post.store, "due_deliveries", fails)
        post.tell("c1")
        await until(lambda: "a fault of ours" in post.webhooks.health, "it is said")
    await until(lambda: post.receiver.taken("/a"), "it arrives")
    await until(lambda: post.webhooks.health == "ok", "all is well again")


async def test_a_fault_of_an_attempt_is_an_attempt_that_failed(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> Outcome:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Sender, "attempt", fails)
    hook = await post.hook("/a")
    post.tell("c1")
    await settled(post, "dead", hook.webhook_id)
    (delivery,) = await post.deliveries(hook)
    assert (delivery.attempts, delivery.last_error) == (4, "RuntimeError: a fault of ours")


async def test_the_end_waits_for_what_is_under_way(post: Post) -> None:
    post.receiver.behaviours["/a"] = post.receiver.stalls
    hook = await post.hook("/a")
    post.tell("c1")
    await until(lambda: post.receiver.at_once["/a"], "it is under way")
    closing = asyncio.create_task(post.webhooks.close())
    await asyncio.sleep(0)
    post.receiver.released.set()
    await closing
    (delivery,) = await post.deliveries(hook)
    assert delivery.state == "delivered"


async def test_while_the_store_is_down_it_is_said_and_then_goes_on(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.webhooks.webhooks.STORE_DOWN_SECONDS", 0.02)
    await post.hook("/a")

    async def down(*_: object, **__: object) -> tuple[()]:
        msg = "the database is down"
        raise StoreError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(post.store, "due_deliveries", down)
        told = [post.tell("c1").seq, post.tell("c1").seq]
        await until(lambda: "database is down" in post.webhooks.health, "it is said")
        assert not post.receiver.got
    await until(lambda: len(post.receiver.taken("/a")) == 2, "all arrive")
    assert [got.seq for got in post.receiver.taken("/a")] == told
    assert post.webhooks.health == "ok"


async def test_a_tenant_has_so_many_webhooks(post: Post) -> None:
    await post.webhooks.close()
    await post.begin(of_one_tenant=2)
    first = await post.hook("/a", tenant="acme")
    await post.hook("/b", tenant="acme")
    with pytest.raises(BadArgumentError, match="2 webhooks of the tenant acme"):
        await post.hook("/c", tenant="acme")
    await post.hook("/c", tenant="other")
    await post.webhooks.remove(first.webhook_id)
    await post.hook("/c", tenant="acme")


async def test_another_daemon_on_the_store_learns_of_a_webhook(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.webhooks.webhooks.LOOKED_AGAIN_SECONDS", 0.05)
    other = Webhooks(post.store, addresses=Addresses(["127.0.0.1"]), settings=post.settings)
    made = await other.create(url=f"{post.receiver.url}/a", secret=SECRET, events=(), tenant="*")

    async def arrives() -> bool:
        post.tell("c1")
        return bool(post.receiver.got)

    await until_true(arrives, "it is known")
    await other.remove(made.webhook_id)
