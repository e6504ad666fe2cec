"""Notes, contexts, history, events, audit and webhooks over the API: what is kept, and for whom."""

from __future__ import annotations

import time
from typing import Any

from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.states import CallState
from bridge.protocol.views import AuditView, CallRecordView, EventView
from tests.api.calling import called
from tests.api.webhooks.receiver import SECRET, receiving
from tests.support.daemon import FOREIGN_TENANT, TENANT, RunningApi


def record(call_id: str, tenant: str = TENANT, queue: str = "", at: float = 1.0) -> CallRecordView:
    return CallRecordView(
        call_id=call_id, tenant=tenant, queue=queue, began_at=at, caller_number="1001"
    )


async def items(api: RunningApi, path: str, key: str = "supervisor", **how: Any) -> list[Any]:
    """Return a list, all parts of it."""
    found: list[Any] = []
    query = dict(how)
    while True:
        page = await api.done("GET", path, key=key, query=query)
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


async def test_notes_are_written_and_read(api: RunningApi, fake: FakeAri) -> None:
    call = await called(api, fake)
    path = f"/calls/{call.call_id}/notes"
    before = time.time()
    written = [
        await api.done("POST", path, {"text": text}, key="supervisor") for text in ("one", "two")
    ]
    assert await items(api, path, key="observer", limit="1") == written
    assert {note["by"] for note in written} == {"the-supervisor"}
    assert before <= written[0]["at"] <= written[1]["at"] <= time.time()
    reply = await api.ask("POST", path, {"text": "x"}, key="observer")
    assert (reply.status, reply.code) == (403, "FORBIDDEN")
    await call.disconnect(cut=True)


async def test_a_context_is_replaced_whole(api: RunningApi, fake: FakeAri) -> None:
    call = await called(api, fake)
    path = f"/calls/{call.call_id}/context"
    assert (await api.ask("GET", path)).code == "NOT_FOUND"
    await api.done("PUT", path, {"values": {"a": 1, "b": [1, {"c": None}]}}, key="program")
    second = await api.done("PUT", path, {"values": {"a": "é"}}, key="program")
    assert await api.done("GET", path, key="observer") == second
    assert second["values"] == {"a": "é"}
    await call.disconnect(cut=True)


async def test_what_is_over_is_still_known_and_what_is_foreign_is_not(api: RunningApi) -> None:
    api.service.store.write(record("over"))
    api.service.store.write(record("theirs", FOREIGN_TENANT))
    for what, body in (("notes", {"text": "x"}), ("context", {"values": {}})):
        method = "POST" if what == "notes" else "PUT"
        for call_id, key, status in (
            ("over", "supervisor", 200),
            ("theirs", "supervisor", 404),
            ("over", "foreign-supervisor", 404),
            ("theirs", "foreign-supervisor", 200),
            ("theirs", "admin", 200),
            ("none", "admin", 404),
        ):
            reply = await api.ask(method, f"/calls/{call_id}/{what}", body, key=key)
            assert reply.status in {status, status + 1}, (call_id, key, reply.raw)
            shown = await api.ask("GET", f"/calls/{call_id}/{what}", key=key)
            assert shown.status == status
            if status == 404:
                assert {reply.code, shown.code} == {"CALL_NOT_FOUND"}


async def test_history_is_of_ones_tenant(api: RunningApi) -> None:
    store = api.service.store
    for number in range(5):
        store.write(record(f"c{number}", at=float(number)))
    store.write(record("theirs", FOREIGN_TENANT, at=9.0))
    mine = await items(api, "/history", limit="2")
    assert [one["call_id"] for one in mine] == ["c4", "c3", "c2", "c1", "c0"]
    assert len(await items(api, "/history", key="admin")) == 6
    theirs = await items(api, "/history", key="foreign-observer")
    assert [one["call_id"] for one in theirs] == ["theirs"]
    since = await items(api, "/history", since="2", until="4")
    assert {one["call_id"] for one in since} <= {"c2", "c3", "c4"}
    assert (await api.done("GET", "/history/c1", key="observer"))["began_at"] == 1.0
    for call_id, key in (("theirs", "supervisor"), ("c1", "foreign-admin"), ("none", "admin")):
        assert (await api.ask("GET", f"/history/{call_id}", key=key)).code == "NOT_FOUND"


async def test_a_cursor_of_nobody_is_refused(api: RunningApi) -> None:
    for path in ("/history", "/events", "/audit", "/webhooks", "/keys"):
        for cursor in ("x", "!", "AAAA", "é"):
            reply = await api.ask("GET", path, query={"cursor": cursor})
            assert (reply.status, reply.code) == (422, "BAD_ARGUMENT"), (path, cursor)


async def test_events_and_audit_are_of_ones_tenant(api: RunningApi) -> None:
    store = api.service.store
    for seq, tenant in enumerate((TENANT, FOREIGN_TENANT, TENANT), 1):
        store.write(
            EventView(seq=seq, epoch="e", at=float(seq), type="T", call_id="c", tenant=tenant)
        )
        store.write(
            AuditView(at=1.0, call_id="c", who="x", what="y", by="z", result="done", tenant=tenant)
        )
    assert [one["seq"] for one in await items(api, "/events", type="T", limit="1")] == [1, 3]
    assert [one["seq"] for one in await items(api, "/events", "foreign-observer")] == [2]
    assert len(await items(api, "/audit", by="z")) == 2
    assert len(await items(api, "/audit", "foreign-supervisor", by="z")) == 1
    assert (await api.ask("GET", "/audit", key="observer")).code == "FORBIDDEN"


async def test_what_happens_to_a_call_is_in_the_events(api: RunningApi, fake: FakeAri) -> None:
    call = await called(api, fake)
    await call.answer()
    await call.disconnect(cut=True)
    await until(lambda: "CALL_TERMINATED" in types(api), "the call is over")
    found = await items(api, "/events", call_id=str(call.call_id))
    kept = [one["type"] for one in found]
    assert kept.index("INCOMING_CALL") < kept.index("CALL_TERMINATED")


def types(api: RunningApi) -> list[str]:
    return [one.type for one in api.service.hub.since(0)]


async def test_what_is_kept_of_a_call_is_there_when_it_is_over(
    api: RunningApi, fake: FakeAri
) -> None:
    call = await called(api, fake)
    path = f"/calls/{call.call_id}"
    await call.answer()
    first = await api.done("POST", f"{path}/notes", {"text": "before"}, key="supervisor")
    assert [one["call_id"] for one in await items(api, "/history")] == [call.call_id]
    await api.done("DELETE", path, query={"cut": "true"})
    assert (await api.ask("GET", path)).code == "CALL_NOT_FOUND", "it is over"
    await until(lambda: "LIVE_CALL_ENDED" in types(api), "its channels have gone")
    ended = types(api).index("CALL_TERMINATED")
    states = [one.call.state for one in list(api.service.hub.since(0))[ended:] if one.call]
    assert set(states) == {CallState.DISCONNECTED}, "it is not shown as alive once more"

    second = await api.done("POST", f"{path}/notes", {"text": "after"}, key="supervisor")
    assert await items(api, f"{path}/notes") == [first, second]
    await api.done("PUT", f"{path}/context", {"values": {"sale": True}}, key="program")
    context = await api.done("GET", f"{path}/context", key="observer")
    assert context["values"] == {"sale": True}
    assert (await api.ask("GET", f"{path}/notes", key="foreign-admin")).code == "CALL_NOT_FOUND"
    [kept] = await items(api, "/history")
    assert kept == await api.done("GET", f"/history/{call.call_id}", key="supervisor")
    assert (kept["call_id"], kept["tenant"]) == (call.call_id, TENANT)
    assert kept["began_at"] <= kept["answered_at"] <= kept["ended_at"]
    assert kept["end_reason"] == "agent_ended"
    assert await items(api, "/history", "foreign-admin") == []


WANTED = {"url": "https://crm.example.com/x", "secret": SECRET}


async def test_webhooks_are_made_listed_and_deleted(api: RunningApi) -> None:
    made = await api.done("POST", "/webhooks", {**WANTED, "events": ["CALL_CONNECTED"]})
    assert made["tenant"] == "*"
    assert SECRET not in str(made)
    assert await items(api, "/webhooks", key="admin") == [made]
    path = f"/webhooks/{made['webhook_id']}"
    assert await items(api, f"{path}/deliveries", key="admin") == []
    assert (await api.done("POST", f"{path}/replay"))["webhook_id"] == made["webhook_id"]
    await api.done("DELETE", path)
    assert await items(api, "/webhooks", key="admin") == []
    for method, gone in (
        ("DELETE", path),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/replay"),
    ):
        assert (await api.ask(method, gone)).code == "NOT_FOUND"


async def test_webhooks_are_of_ones_tenant(api: RunningApi) -> None:
    everybodys = await api.done("POST", "/webhooks", WANTED)
    theirs = await api.done("POST", "/webhooks", WANTED, key="foreign-admin")
    assert theirs["tenant"] == FOREIGN_TENANT
    given = await api.done("POST", "/webhooks", {**WANTED, "tenant": FOREIGN_TENANT})
    assert await items(api, "/webhooks", key="foreign-admin") == [theirs, given]
    assert len(await items(api, "/webhooks", key="admin")) == 3
    for tenant in (TENANT, "*"):
        reply = await api.ask(
            "POST", "/webhooks", {**WANTED, "tenant": tenant}, key="foreign-admin"
        )
        assert (reply.status, reply.code) == (403, "FORBIDDEN")
    path = f"/webhooks/{everybodys['webhook_id']}"
    for method, foreign in (
        ("DELETE", path),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/replay"),
    ):
        assert (await api.ask(method, foreign, key="foreign-admin")).code == "NOT_FOUND"


async def test_a_webhook_that_could_never_work_is_refused(api: RunningApi) -> None:
    for wrong in (
        {"url": "ftp://example.com/"},
        {"url": "http://10.0.0.1/"},
        {"url": "http://[::1]/"},
        {"url": "https://a:b@example.com/"},
        {"secret": "short"},
        {"events": ["CALL_CONECTED"]},
        {"tenant": ""},
    ):
        reply = await api.ask("POST", "/webhooks", {**WANTED, **wrong})
        assert (reply.status, reply.code) == (422, "BAD_ARGUMENT"), wrong
    assert await items(api, "/webhooks", key="admin") == []


async def test_what_happens_to_a_call_is_sent(api: RunningApi, fake: FakeAri) -> None:
    async with receiving() as receiver:
        made = await api.done("POST", "/webhooks", {"url": receiver.url, "secret": SECRET})
        call = await called(api, fake)
        await call.answer()
        await call.disconnect(cut=True)
        await until(lambda: "CALL_TERMINATED" in [g.kind for g in receiver.got], "all are sent")
        mine = [got for got in receiver.got if got.call_id == call.call_id]
        assert [got.seq for got in mine] == sorted(got.seq for got in mine)
        assert all(got.signed for got in mine)
        assert mine[-1].event["call"]["call_id"] == call.call_id
        path = f"/webhooks/{made['webhook_id']}/deliveries"
        await until(lambda: not api.service.webhooks.pending, "all are noted")
        states = {one["state"] for one in await items(api, path, key="admin")}
        assert states == {"delivered"}
        assert (await items(api, "/webhooks", key="admin"))[0]["pending"] == 0
