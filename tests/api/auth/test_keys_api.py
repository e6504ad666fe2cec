"""Keys are made, shown, used and revoked over the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bridge.protocol.requests import AuditListing
from tests.support.daemon import RunningApi

BOT = {"name": "nightly test", "role": "program", "tenant": "acme"}


async def made(api: RunningApi, key: str = "admin", **fields: Any) -> dict[str, Any]:
    """Make a key."""
    found: dict[str, Any] = await api.done("POST", "/keys", {**BOT, **fields}, key=key)
    return found


async def test_a_key_is_shown_once_and_good_at_once(api: RunningApi) -> None:
    before = time.time()
    new = await made(api, queues=["vip", "sales"], expires_in_seconds=60)
    assert new["secret"].startswith(f"cbk_{new['key_id']}_")
    assert before + 60 <= new["expires_at"] <= time.time() + 60
    me = await api.done("GET", "/me", key=new["secret"])
    assert me == {
        "name": "nightly test",
        "role": "program",
        "tenant": "acme",
        "queues": ["sales", "vip"],
        "permissions": me["permissions"],
    }
    assert "originate" in me["permissions"]
    assert "administer" not in me["permissions"]
    listed = await api.ask("GET", "/keys")
    assert [key["key_id"] for key in listed.json["items"]] == [new["key_id"]]
    assert new["secret"].encode() not in listed.raw
    assert b"secret" not in listed.raw
    assert b"digest" not in listed.raw


async def test_a_revoked_key_is_good_for_nothing_at_once(api: RunningApi) -> None:
    new = await made(api)
    await api.done("GET", "/me", key=new["secret"])
    assert (await api.ask("DELETE", f"/keys/{new['key_id']}")).status == 204
    reply = await api.ask("GET", "/me", key=new["secret"])
    assert (reply.status, reply.code) == (401, "UNAUTHENTICATED")
    assert "revoked" in reply.json["detail"]
    (listed,) = (await api.done("GET", "/keys"))["items"]
    assert listed["revoked"] is True
    # Twice does no harm; what never was is not found.
    assert (await api.ask("DELETE", f"/keys/{new['key_id']}")).status == 204
    for other in ("0123456789abcdef", "é", new["key_id"].upper() + "X"):
        assert (await api.ask("DELETE", f"/keys/{other}")).code == "NOT_FOUND"


async def test_an_admin_of_a_tenant_reaches_no_further(api: RunningApi) -> None:
    others = await made(api, tenant="default")
    own = await made(api, "foreign-admin")
    assert own["tenant"] == "acme"
    for tenant in ("default", "*", "ACME"):
        reply = await api.ask("POST", "/keys", {**BOT, "tenant": tenant}, key="foreign-admin")
        assert (reply.status, reply.code) == (403, "FORBIDDEN"), tenant
    listed = await api.done("GET", "/keys", key="foreign-admin")
    assert [key["key_id"] for key in listed["items"]] == [own["key_id"]]
    path = f"/keys/{others['key_id']}"
    assert (await api.ask("DELETE", path, key="foreign-admin")).code == "NOT_FOUND"
    await api.done("GET", "/me", key=others["secret"])
    everywhere = await api.done("GET", "/keys")
    assert {key["key_id"] for key in everywhere["items"]} == {own["key_id"], others["key_id"]}


async def test_an_admin_of_a_queue_reaches_no_further(api: RunningApi) -> None:
    admin = await made(api, name="lead", role="admin", queues=["sales", "vip"])
    sales = await made(api, admin["secret"], queues=["sales"])
    whole = await made(api)
    for queues in ([], ["support"], ["sales", "support"]):
        reply = await api.ask("POST", "/keys", {**BOT, "queues": queues}, key=admin["secret"])
        assert reply.code == "FORBIDDEN", queues
    listed = await api.done("GET", "/keys", key=admin["secret"])
    assert {key["key_id"] for key in listed["items"]} == {admin["key_id"], sales["key_id"]}
    reply = await api.ask("DELETE", f"/keys/{whole['key_id']}", key=admin["secret"])
    assert reply.code == "NOT_FOUND"


@pytest.mark.parametrize("name", ["callbridge", "Program", "key 5", "a\nb", " x", "API"])
async def test_a_name_that_would_be_taken_for_another_is_refused(
    api: RunningApi, name: str
) -> None:
    reply = await api.ask("POST", "/keys", {**BOT, "name": name})
    assert (reply.status, reply.code) == (422, "BAD_ARGUMENT")


async def test_who_makes_and_revokes_keys_is_audited(api: RunningApi) -> None:
    new = await made(api)
    await api.ask("DELETE", f"/keys/{new['key_id']}")
    await api.ask("POST", "/keys", {**BOT, "tenant": "default"}, key="foreign-admin")
    await api.ask("POST", "/keys", BOT, key="supervisor")
    page = await api.service.store.audit(AuditListing())
    told = [(record.what, record.by, record.result) for record in reversed(page.items)]
    assert told == [
        (f"key {new['key_id']}: program of acme, named nightly test", "the-admin", "done"),
        ("create_key", "the-admin", "done"),
        (f"key {new['key_id']} revoked", "the-admin", "done"),
        ("revoke_key", "the-admin", "done"),
        ("create_key", "foreign-admin", "a key may see no more than who makes it: tenant acme"),
        ("create_key", "the-supervisor", "the role supervisor may not administer"),
    ]
    assert new["secret"] not in str(page)


async def test_the_secret_is_nowhere_in_the_store(api: RunningApi, tmp_path: Any) -> None:
    new = await made(api)
    secret = new["secret"].split("_", 2)[2].encode()
    await api.service.store.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(new["key_id"].encode() in path.read_bytes() for path in files)
    assert not any(secret in path.read_bytes() for path in files)
