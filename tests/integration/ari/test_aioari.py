"""A program as aioari's own documentation has it, on our transport and a real Asterisk."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web_exceptions

from bridge.ari import AriSettings
from bridge.ari.aioari_adapter import EVENT_LIMIT, AdapterHttpClient, AdapterSocket, connect
from bridge.lab.asterisk import Instance
from bridge.lab.fake_ari import FakeAri
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CapabilityError, InvalidStateError
from tests.support.ids import new_id

Untyped: TypeAlias = Any
"""aioari has no type information."""

pytestmark = pytest.mark.asterisk
pytest.importorskip("aioari", reason="needs the extra aioari")


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Instance]:
    instance = Instance.start(name=f"aioari-{os.getpid()}", tied=True)
    yield instance
    instance.stop()


@pytest.fixture
async def before_asterisk(asterisk: Instance) -> AsyncIterator[BreakableProxy]:
    address = urlsplit(asterisk.info.ari.url)
    assert address.hostname is not None
    assert address.port is not None
    async with BreakableProxy(address.hostname, address.port) as made:
        yield made


@pytest.fixture
async def client(asterisk: Instance, before_asterisk: BreakableProxy) -> AsyncIterator[Untyped]:
    ari = asterisk.info.ari
    url = f"http://127.0.0.1:{before_asterisk.port}/"
    made = await connect(url, ari.username, ari.password, application="hello")
    yield made
    await made.close()


async def media_channel(client: Untyped) -> Untyped:
    return await client.channels.externalMedia(
        channelId=new_id("media"),
        app="hello",
        external_host="INCOMING",
        transport="websocket",
        encapsulation="none",
        connection_type="server",
        format="slin16",
    )


async def test_a_program_of_aioari_runs_unchanged(client: Untyped) -> None:
    seen: list[tuple[str, str]] = []

    async def on_start(objects: Untyped, event: dict[str, Any]) -> None:
        channel = objects["channel"]
        seen.append((event["type"], channel.id))
        bridge = await client.bridges.create(type="mixing", name="greeting")
        await bridge.addChannel(channel=channel.id)
        assert (await bridge.get()).json["channels"] == [channel.id]
        await bridge.destroy()
        await channel.hangup()

    def on_end(channel: Untyped, event: dict[str, Any]) -> None:
        seen.append((event["type"], channel.id))

    client.on_channel_event("StasisStart", on_start)
    client.on_channel_event("StasisEnd", on_end)
    running = asyncio.create_task(client.run(apps="hello"))
    channel = await media_channel(client)
    found = await channel.getChannelVar(variable="MEDIA_WEBSOCKET_CONNECTION_ID")
    connection = client.swagger.http_client.connection
    socket = await connection.open_media_socket(found["value"])
    await until(lambda: len(seen) == 2, f"start and end, of {seen}")
    assert seen == [("StasisStart", channel.id), ("StasisEnd", channel.id)]
    await socket.close()
    await client.close()
    await running


async def test_a_run_goes_on_through_a_lost_link(
    client: Untyped, before_asterisk: BreakableProxy
) -> None:
    destroyed: list[str] = []
    client.on_channel_event(
        "ChannelDestroyed", lambda channel, _event: destroyed.append(channel.id)
    )
    running = asyncio.create_task(client.run(apps="hello"))
    connection = client.swagger.http_client.connection
    await before_asterisk.cut()
    await until(lambda: connection.state.reconnected, "the link is up again")
    assert not running.done()
    channel = await media_channel(client)
    await channel.hangup()
    await until(lambda: destroyed, "an event of the new socket")
    assert destroyed == [channel.id]
    await client.close()
    await running


async def test_requests_ride_on_the_websocket(client: Untyped) -> None:
    connection = client.swagger.http_client.connection
    assert connection.capabilities.rest_over_websocket
    assert await client.channels.list() == []


async def test_a_boolean_is_taken_and_a_refusal_raises_what_aioari_raises(client: Untyped) -> None:
    bridge = await client.bridges.create(type="mixing")
    with pytest.raises(web_exceptions.HTTPBadRequest, match="Channel not found"):
        await client.bridges.addChannel(bridgeId=bridge.id, channel="nobody", mute=True)
    await bridge.destroy()
    with pytest.raises(web_exceptions.HTTPNotFound):
        await client.channels.get(channelId="nobody")


@pytest.mark.parametrize("status", [400, 405, 413, 451, 500])
async def test_a_refusal_of_any_status_raises_what_aioari_raises(status: int) -> None:
    async with FakeAri() as fake:
        fake.failures.refuse("POST", "bridges", status=status, reason="no")
        settings = AriSettings(fake.url, fake.username, fake.password, application="hello")
        http_client = AdapterHttpClient(settings)
        await http_client.connection.open()
        with pytest.raises(web_exceptions.HTTPError, match="no") as caught:
            await http_client.request("POST", f"{fake.url}/bridges")
        assert caught.value.status_code == status
        await http_client.close()


async def test_another_application_is_refused(client: Untyped) -> None:
    with pytest.raises(BadArgumentError, match="the same name in both places"):
        await client.run(apps="another")


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioari", None)
    with pytest.raises(CapabilityError, match=r"pip install 'callbridge\[aioari\]'"):
        await connect("http://127.0.0.1:1", "x", "y", application="hello")


async def test_a_reader_that_falls_behind_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    socket = AdapterSocket()
    for number in range(EVENT_LIMIT + 1):
        socket.put(json.dumps({"type": "E", "n": number}))
    received = [await socket.receive() for _ in range(EVENT_LIMIT)]
    assert json.loads(received[-1].data)["n"] == EVENT_LIMIT - 1
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED
    assert "events behind" in caplog.text


async def test_a_replaced_application_ends_the_run() -> None:
    async with FakeAri() as fake:
        settings = AriSettings(fake.url, fake.username, fake.password, application="hello")
        first, second = AdapterHttpClient(settings), AdapterHttpClient(settings)
        await first.connection.open()
        socket = await first.ws_connect(f"ws://127.0.0.1:{fake.port}/ari/events?app=hello")
        await second.connection.open()
        kinds = [json.loads((await socket.receive()).data)["type"]]
        assert kinds == ["ApplicationReplaced"]
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED
        # No event would ever come: a run() that begins now ends with an error.
        with pytest.raises(InvalidStateError, match="another program"):
            await first.ws_connect(f"ws://127.0.0.1:{fake.port}/ari/events?app=hello")
        await first.close()
        await second.close()
        with pytest.raises(InvalidStateError, match="close"):
            await second.ws_connect(f"ws://127.0.0.1:{fake.port}/ari/events?app=hello")
