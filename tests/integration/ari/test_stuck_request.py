"""A request that Asterisk never finishes holds up what comes after it, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.ari import AriConnection, AriSettings, connection
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import CommandTimeoutError, RequestFailedError
from bridge.sdk import Client, events

AGES = 1000.0
LEFT = "callbridge-0123456789ab-media.ai.caller-0123456789ab"


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as made:
        yield made


@pytest.fixture
async def link(fake: FakeAri) -> AsyncIterator[AriConnection]:
    made = AriConnection(
        AriSettings(fake.url, fake.username, fake.password), on_event=lambda _event: None
    )
    await made.open()
    await until(lambda: over_websocket(made), "the socket carries requests")
    yield made
    await made.close()


def over_websocket(link: AriConnection) -> bool:
    return link._socket is not None and link._socket.usable


async def stick(fake: FakeAri, link: AriConnection, seconds: float) -> None:
    fake.failures.delay("DELETE", "channels/stuck", seconds)
    with pytest.raises(CommandTimeoutError):
        await link.request("DELETE", "channels/stuck", within_s=0.05)


async def test_what_comes_after_it_goes_another_way(fake: FakeAri, link: AriConnection) -> None:
    await stick(fake, link, AGES)
    async with asyncio.timeout(3):
        await link.asterisk.ping()
    assert [r.over_websocket for r in fake.received if r.resource == "asterisk/ping"][-1] is False


async def test_the_socket_is_used_again_when_it_answers(fake: FakeAri, link: AriConnection) -> None:
    await stick(fake, link, 0.6)
    assert not over_websocket(link)
    await until(lambda: over_websocket(link), "the socket carries requests again")
    await link.channels.list()
    assert fake.received[-1].over_websocket


async def test_a_request_beside_the_others_holds_up_none(
    fake: FakeAri, link: AriConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BESIDE_S", 0.6)
    fake.failures.delay("DELETE", "channels/stuck", AGES)
    stuck = asyncio.create_task(link.beside.channels.hangup(channel_id="stuck"))
    await until(lambda: fake.count("DELETE", "channels/stuck") == 1, "it was sent")
    await link.asterisk.ping()
    assert not stuck.done()
    assert fake.received[-1].over_websocket
    with pytest.raises(CommandTimeoutError):
        await stuck


async def test_a_request_beside_the_others_is_answered(fake: FakeAri, link: AriConnection) -> None:
    with pytest.raises(RequestFailedError) as refused:
        await link.beside.channels.hangup(channel_id="nobody")
    assert refused.value.status == 404
    assert not fake.received[-1].over_websocket


async def test_a_program_starts_and_takes_calls_beside_what_is_stuck(
    fake: FakeAri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BESIDE_S", 0.2)
    # A line, and its bridge, of a program that has died.
    fake.world.dialling.external_media(LEFT, "callbridge", "", "slin16")
    room = LEFT.replace("media", "bridge.line")
    fake.world.bridging.create(room, "mixing", "")
    fake.failures.delay("DELETE", f"channels/{LEFT}", AGES)
    fake.failures.delay("DELETE", f"bridges/{room}", AGES)
    client = Client(fake.url, fake.username, fake.password, sample_rate=16000, probe=False)
    calls = asyncio.Event()
    client.on(events.INCOMING_CALL, calls.set)
    async with asyncio.timeout(10), client:
        assert fake.count("DELETE", f"channels/{LEFT}") == 1
        fake.incoming_call()
        await calls.wait()
