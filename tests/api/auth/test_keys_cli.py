"""``callbridge keys``, on a running API."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from bridge.api.auth.keys import split
from bridge.cli.main import app
from tests.support.daemon import RunningApi


async def run(api: RunningApi, *words: str, key: str = "admin") -> Result:
    """Run a command of keys, as from a shell."""
    where = ("--url", api.url, "--key", api.keys.get(key, key))
    return await asyncio.to_thread(CliRunner().invoke, app, ["keys", *words, *where])


async def test_a_key_is_made_listed_and_revoked(api: RunningApi) -> None:
    made = await run(api, "create", "nightly test", "--role", "program", "--tenant", "acme")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert split(secret) is not None  # nothing but the key is on standard output
    assert "program of tenant acme" in made.stderr
    me = await api.done("GET", "/me", key=secret)
    assert (me["name"], me["role"], me["tenant"]) == ("nightly test", "program", "acme")
    key_id = secret.split("_")[1]
    listed = await run(api, "list", "--json")
    assert [json.loads(line)["key_id"] for line in listed.stdout.splitlines()] == [key_id]
    assert secret not in (await run(api, "list")).output
    assert (await run(api, "revoke", key_id)).exit_code == 0
    assert "revoked" in (await run(api, "list")).stdout
    assert (await api.ask("GET", "/me", key=secret)).status == 401
    assert (await run(api, "revoke", "0123456789abcdef")).exit_code == 3


async def test_by_default_it_is_of_ones_own_tenant(api: RunningApi) -> None:
    words = ("create", "x", "--role", "observer", "--queue", "a", "--queue", "b")
    made = await run(api, *words, "--expires", "12h", "--json", key="foreign-admin")
    shown = json.loads(made.stdout)
    assert (shown["tenant"], shown["queues"]) == ("acme", ["a", "b"])
    assert shown["expires_at"] - shown["created_at"] == pytest.approx(12 * 3600)


async def test_what_is_wrong_is_told(api: RunningApi) -> None:
    refused = await run(api, "create", "x", "--role", "admin", key="supervisor")
    assert refused.exit_code == 4
    assert "FORBIDDEN" in refused.stderr
    late = await run(api, "create", "x", "--role", "admin", "--expires", "soon")
    assert late.exit_code == 2
    assert "12h" in late.stderr
    assert (await run(api, "create", "x", "--role", "emperor")).exit_code == 2
    assert (await api.done("GET", "/keys"))["items"] == []


def test_a_key_for_the_configuration_needs_no_daemon() -> None:
    first, second = (CliRunner().invoke(app, ["keys", "generate"]).stdout for _ in range(2))
    assert split(first.strip()) is not None
    assert first != second
