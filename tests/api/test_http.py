"""What every operation has in common: how it is asked for, and how it says no."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.api.app import OPENAPI_PATH
from bridge.api.decoding import AUDIO_BODY_BYTES, BODY_BYTES
from bridge.api.router import HANDLERS
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.states import CallState
from bridge.protocol.operations import BASE, OPERATIONS
from bridge.protocol.requests import AuditListing
from bridge.store.store import Store
from tests.api.calling import called
from tests.support.daemon import RunningApi, running_api


@pytest.fixture
async def call_id(api: RunningApi, fake: FakeAri) -> AsyncIterator[str]:
    """A call of one's own."""
    call = await called(api, fake)
    yield str(call.call_id)
    await call.disconnect(cut=True)


def notes_of(call_id: str) -> str:
    return f"/calls/{call_id}/notes"


async def test_health_is_open_to_everybody(api: RunningApi) -> None:
    health = await api.done("GET", "/health", key=None)
    assert health["live"]
    assert health["ready"]
    assert health["parts"]["ari"] == "ok"
    assert health["parts"]["store"] == "ok"


async def test_a_daemon_without_asterisk_lives_and_is_not_ready(api: RunningApi) -> None:
    await api.client.disconnect()
    health = await api.done("GET", "/health", key=None)
    assert health["live"]
    assert not health["ready"]
    assert health["asterisk"] == ""
    assert health["parts"]["ari"] != "ok"


@pytest.mark.usefixtures("api")
def test_every_operation_has_a_handler() -> None:
    assert [o.operation_id for o in OPERATIONS if o.operation_id not in HANDLERS] == []


async def test_the_document_is_served(api: RunningApi) -> None:
    document = await api.done("GET", OPENAPI_PATH, key=None)
    assert document["openapi"] == "3.1.0"
    assert BASE + "/calls" in document["paths"]


async def test_an_unknown_path_is_a_problem(api: RunningApi) -> None:
    for path in ("/nothing", "/calls/", "//calls", "/calls/a/b/c/d", "/api/v2/calls", "/api/"):
        reply = await api.ask("GET", path)
        assert (reply.status, reply.code) == (404, "NOT_FOUND"), path
        assert OPENAPI_PATH in reply.json["detail"]


async def test_a_wrong_method_is_a_problem_that_says_the_right_ones(api: RunningApi) -> None:
    for method, path, allowed in (
        ("PUT", "/calls", "GET, POST"),
        ("PATCH", "/calls/x", "DELETE, GET"),
        ("OPTIONS", "/calls", "GET, POST"),
        ("TRACE", "/health", "GET"),
        ("POST", OPENAPI_PATH, "GET"),
    ):
        reply = await api.ask(method, path)
        assert (reply.status, reply.code) == (405, "BAD_ARGUMENT"), method
        assert reply.headers["Allow"] == allowed


async def test_without_a_key_nothing_is_said(api: RunningApi) -> None:
    for path in ("/calls", "/calls/x", "/keys"):
        reply = await api.ask("GET", path, key=None)
        assert (reply.status, reply.code) == (401, "UNAUTHENTICATED")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_a_role_that_may_not_is_told_what_it_needs(api: RunningApi) -> None:
    reply = await api.ask("GET", "/keys", key="observer")
    assert (reply.status, reply.code) == (403, "FORBIDDEN")
    assert "administer" in reply.json["detail"]


async def test_a_wrong_query_is_said_by_field(api: RunningApi) -> None:
    for query, at in (
        ({"limit": "0"}, "$.limit"),
        ({"limit": "x"}, "$.limit"),
        ({"own": "maybe"}, "$.own"),
        ({"state": "NO_SUCH"}, "$.state"),
        ({"nope": "1"}, "$.nope"),
        ({"number": "a\0b"}, "$.number"),
        ({"state": "null"}, "$.state"),
        ({"own": "NULL"}, "$.own"),
    ):
        reply = await api.ask("GET", "/calls", query=query)
        assert (reply.status, reply.code) == (422, "BAD_ARGUMENT"), query
        assert [field["at"] for field in reply.json["fields"]] == [at]


async def test_a_text_may_say_null(api: RunningApi) -> None:
    await api.done("GET", "/calls", query={"program": "null"})


async def test_a_number_that_is_none_is_refused(api: RunningApi) -> None:
    reply = await api.ask("GET", "/history", query={"since": "nan"})
    assert reply.json["fields"][0]["at"] == "$.since"


async def test_a_parameter_is_given_once(api: RunningApi) -> None:
    reply = await api.ask("GET", "/calls?limit=1&limit=2")
    assert reply.json["fields"] == [{"at": "$.limit", "message": "is given twice"}]


async def test_where_there_is_no_query_none_is_taken(api: RunningApi) -> None:
    reply = await api.ask("GET", "/me", query={"x": "1"})
    assert reply.json["fields"][0]["at"] == "$.x"


async def test_a_path_has_no_nul(api: RunningApi) -> None:
    reply = await api.ask("GET", "/calls/a%00b")
    assert (reply.status, reply.json["fields"][0]["at"]) == (422, "$.call_id")


async def test_what_is_in_a_path_is_no_longer_than_a_database_indexes(api: RunningApi) -> None:
    for method, key in (("GET", "admin"), ("DELETE", "observer")):
        reply = await api.ask(method, f"/calls/{'x' * 256}", key=key)
        assert (reply.status, reply.json["fields"][0]["at"]) == (422, "$.call_id"), method
        assert (await api.ask("GET", f"/calls/{'x' * 255}")).code == "CALL_NOT_FOUND"
    assert (await api.service.store.audit(AuditListing(by="the-observer"))).items == ()


async def test_a_wrong_body_is_said_by_field(api: RunningApi, call_id: str) -> None:
    for data, at in (
        (b"", "$.text"),
        (b"{}", "$.text"),
        (b"[]", "$"),
        (b"{", "$"),
        (b"\xff", "$"),
        (b'{"text":""}', "$.text"),
        (b'{"text":"x","more":1}', "$.more"),
    ):
        reply = await api.ask("POST", notes_of(call_id), data=data)
        assert (reply.status, reply.code) == (422, "BAD_ARGUMENT"), data
        assert [field["at"] for field in reply.json["fields"]] == [at]


async def test_a_body_is_json(api: RunningApi, call_id: str) -> None:
    for kind in ("text/plain", "application/xml", "multipart/form-data", ""):
        headers = {"Content-Type": kind}
        reply = await api.ask("POST", notes_of(call_id), data=b'{"text":"x"}', headers=headers)
        assert (reply.status, reply.code) == (415, "BAD_ARGUMENT"), kind


async def test_json_may_name_its_charset(api: RunningApi, call_id: str) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    await api.done("POST", notes_of(call_id), {"text": "x"}, headers=headers)


async def test_a_body_that_nobody_asked_for_is_refused(api: RunningApi, call_id: str) -> None:
    reply = await api.ask("DELETE", f"/calls/{call_id}", {"x": 1})
    assert (reply.status, reply.code) == (422, "BAD_ARGUMENT")
    assert api.client.get_call(call_id) is not None


async def test_a_body_has_a_bound(api: RunningApi, call_id: str) -> None:
    reply = await api.ask("POST", notes_of(call_id), data=b" " * (BODY_BYTES + 1))
    assert (reply.status, reply.code) == (413, "BAD_ARGUMENT")
    assert str(BODY_BYTES) in reply.json["detail"]
    # Where audio may come, more may; but not more than that.
    more = await api.ask("POST", f"/calls/{call_id}/announcements", data=b" " * (BODY_BYTES + 1))
    assert more.status == 422
    most = b" " * (AUDIO_BODY_BYTES + 1)
    assert (await api.ask("POST", f"/calls/{call_id}/announcements", data=most)).status == 413


async def test_a_body_whose_length_is_not_said_has_the_same_bound(
    api: RunningApi, call_id: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    headers = {"Authorization": f"Bearer {api.keys['admin']}", "Content-Type": "application/json"}
    url = api.url + BASE + notes_of(call_id)
    async with api.session.post(url, data=chunks(), headers=headers) as reply:
        assert reply.status == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    api: RunningApi, call_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.api.decoding.BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    head = (
        f"POST {BASE}{notes_of(call_id)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {api.keys['admin']}\r\n\r\n"
    )
    writer.write(head.encode() + b'{"text":')
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 422")
    writer.close()
    await writer.wait_closed()
    await api.done("GET", "/me")


async def test_who_hangs_up_meanwhile_has_his_command_carried_out(
    api: RunningApi, call_id: str
) -> None:
    path, key = f"/calls/{call_id}/connect", {"Idempotency-Key": "k1"}
    asking = asyncio.create_task(api.ask("POST", path, {"to": "1002"}, headers=key))
    call = api.client.get_call(call_id)
    assert call is not None
    await until(lambda: call.state is not CallState.PENDING, "it is being carried out")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    again = await api.ask("POST", path, {"to": "1002"}, headers=key)
    assert (again.status, again.json["state"]) == (200, "CONNECTED")
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_every_answer_has_an_id_and_is_kept_by_nobody(api: RunningApi) -> None:
    ids = set()
    for path in ("/health", "/nothing", "/keys"):
        reply = await api.ask("GET", path, key=None)
        ids.add(reply.headers["X-Request-Id"])
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert not [name for name in reply.headers if name.startswith("Access-Control-")]
    assert len(ids) == 3


async def test_a_request_may_bring_its_id(api: RunningApi) -> None:
    for given, kept in (("ticket-4711.a_b", True), ("a b", False), ("x" * 65, False), ("", False)):
        reply = await api.ask("GET", "/health", headers={"X-Request-Id": given})
        assert (reply.headers["X-Request-Id"] == given) == kept, given


async def test_a_daemon_that_is_about_to_stop_shows_and_takes_no_commands(
    api: RunningApi, call_id: str
) -> None:
    api.service.draining = True
    reply = await api.ask("POST", notes_of(call_id), {"text": "x"})
    assert (reply.status, reply.code) == (503, "DRAINING")
    assert int(reply.headers["Retry-After"]) > 0
    await api.done("GET", "/me")
    health = await api.done("GET", "/health", key=None)
    assert health["draining"]
    assert not health["ready"]


async def test_a_command_that_is_sent_twice_happens_once(api: RunningApi, call_id: str) -> None:
    key = {"Idempotency-Key": "k1"}
    both = await asyncio.gather(
        *(api.ask("POST", notes_of(call_id), {"text": "x"}, headers=key) for _ in range(3))
    )
    assert [reply.status for reply in both] == [201, 201, 201]
    assert len({reply.raw for reply in both}) == 1
    assert sum("Idempotency-Replayed" in reply.headers for reply in both) == 2
    assert len((await api.done("GET", notes_of(call_id)))["items"]) == 1
    other = await api.ask("POST", notes_of(call_id), {"text": "y"}, headers=key)
    assert (other.status, other.code) == (422, "BAD_ARGUMENT")
    another = await api.ask("POST", notes_of(call_id), {"text": "y"}, headers=key, key="program")
    assert another.status == 201
    assert "Idempotency-Replayed" not in another.headers


async def test_what_is_ended_twice_was_ended_once(api: RunningApi, call_id: str) -> None:
    key = {"Idempotency-Key": "k1"}
    first, again = [await api.ask("DELETE", f"/calls/{call_id}", headers=key) for _ in range(2)]
    assert (first.status, again.status, again.raw) == (204, 204, b"")
    assert again.headers["Idempotency-Replayed"] == "true"
    await until(lambda: not api.client.calls, "the call is over")
    assert (await api.ask("DELETE", f"/calls/{call_id}")).code == "CALL_NOT_FOUND"


async def test_a_refusal_is_given_again(api: RunningApi) -> None:
    key = {"Idempotency-Key": "k1"}
    first, again = [
        await api.ask("POST", notes_of("none"), {"text": "x"}, headers=key) for _ in range(2)
    ]
    assert (first.status, first.code) == (404, "CALL_NOT_FOUND")
    assert (again.status, again.raw) == (first.status, first.raw)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_what_was_not_understood_may_be_corrected_with_the_same_key(
    api: RunningApi, call_id: str
) -> None:
    key = {"Idempotency-Key": "k1"}
    assert (await api.ask("POST", notes_of(call_id), {}, headers=key)).status == 422
    assert (await api.ask("POST", notes_of(call_id), {"text": "x"}, headers=key)).status == 201


async def test_every_command_is_in_the_audit_and_no_question(api: RunningApi, call_id: str) -> None:
    await api.done("POST", notes_of(call_id), {"text": "x"}, key="program")
    await api.ask("POST", notes_of("none"), {"text": "x"}, key="program")
    await api.ask("GET", "/keys", key="program")
    await api.done("GET", "/me", key="program")
    records = (await api.service.store.audit(AuditListing(by="the-program"))).items
    said = sorted((r.what, r.call_id or "", r.result.partition(" ")[0]) for r in records)
    assert said == [
        ("list_keys", "", "the"),
        ("write_note", call_id, "done"),
        ("write_note", "none", "there"),
    ]


async def test_the_audit_names_a_call_by_its_id_however_it_was_meant(
    api: RunningApi, fake: FakeAri
) -> None:
    caller = fake.incoming_call()
    await until(lambda: api.client.calls, "the call is there")
    (call,) = api.client.calls
    await api.client.live_calls()
    await api.done("POST", f"/calls/{call.call_id}/answer")
    path = f"/calls/{caller.id}"
    await api.done("POST", f"{path}/observers", {"name": "spy"}, key="supervisor")
    await api.done("DELETE", path, key="supervisor", query={"after_audio": "0"})
    listing = AuditListing(by="the-supervisor", call_id=call.call_id)
    records = (await api.service.store.audit(listing)).items
    assert [one.what for one in records if one.who == "api"] == ["hang_up", "observe"]


async def test_a_fault_of_our_own_is_told_as_little_as_possible(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        msg = "a secret"
        raise RuntimeError(msg)

    monkeypatch.setattr(api.service.rate_limits, "check", fail)
    reply = await api.ask("GET", "/me")
    assert (reply.status, reply.code) == (500, "REQUEST_FAILED")
    assert "secret" not in reply.raw.decode()
    assert reply.headers["X-Request-Id"] in reply.json["detail"]
    assert "a secret" in caplog.text


async def test_a_store_that_is_down_is_told_and_notes_are_taken(
    fake: FakeAri, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    store = await Store.open(f"postgresql://x@127.0.0.1:{port}/x", spool=tmp_path / "spool")
    async with running_api(fake, tmp_path, store=store) as api:
        call = await called(api, fake)
        reply = await api.ask("GET", "/history")
        assert (reply.status, reply.code) == (503, "STORE_UNAVAILABLE")
        assert (await api.ask("POST", notes_of(call.call_id), {"text": "x"})).status == 201
        health = await api.done("GET", "/health", key=None)
        assert health["ready"]
        assert health["parts"]["store"] != "ok"
        await call.disconnect(cut=True)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "gzip, gzip", "x"])
@pytest.mark.parametrize("data", [gzip.compress(bytes(1 << 24)), b"{}"], ids=["bomb", "lie"])
async def test_what_is_compressed_is_refused(api: RunningApi, coding: str, data: bytes) -> None:
    for key, status in (("admin", 422), (None, 401)):
        sent = {"Content-Encoding": coding}
        reply = await api.ask("POST", "/calls", data=data, headers=sent, key=key)
        assert reply.status == status, reply.raw
