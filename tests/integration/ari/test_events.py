"""Events that are lost, doubled, unknown or broken, and callbacks that raise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.ari import AriConnection, AriSettings, events
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until

if TYPE_CHECKING:
    from tests.integration.ari.conftest import Line


def names(line: Line) -> list[str]:
    return [type(event).__name__ for event in line.events]


async def flushed(line: Line) -> None:
    """Return when every event sent so far has arrived: the answer comes behind them."""
    await line.connection.asterisk.ping()


async def test_an_event_may_be_lost(line: Line) -> None:
    line.fake.failures.lose("StasisStart")
    line.fake.incoming_call()
    line.fake.incoming_call()
    await flushed(line)
    assert names(line).count("StasisStart") == 1


async def test_an_event_may_come_twice(line: Line) -> None:
    line.fake.failures.double("StasisEnd")
    channel = line.fake.incoming_call()
    line.fake.channel_hangs_up(channel.id)
    await flushed(line)
    assert names(line)[-2:] == ["StasisEnd", "StasisEnd"]
    assert line.events[-1] == line.events[-2]


async def test_events_arrive_in_order(line: Line) -> None:
    channels = [line.fake.incoming_call() for _ in range(300)]
    await flushed(line)
    started = [e.channel.id for e in line.events if isinstance(e, events.StasisStart)]
    assert started == [channel.id for channel in channels]


async def test_unknown_and_broken_messages_are_counted_and_logged_once(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        line.fake.send_raw("callbridge", '{"type":"ChannelAbducted","channel":{}}')
    line.fake.send_raw("callbridge", '{"type":"StasisStart","channel":17}')
    line.fake.send_raw("callbridge", "{not json")
    line.fake.send_raw("callbridge", "[]")
    line.fake.incoming_call()
    await flushed(line)
    assert dict(line.connection.unknown_events) == {
        "ChannelAbducted": 3,
        "StasisStart": 1,
        "<not JSON>": 2,
    }
    assert names(line) == ["StasisStart"]
    told = [r.getMessage() for r in caplog.records if "not understood" in r.getMessage()]
    assert len(told) == 3
    assert line.connection.state.is_up


async def test_unknown_fields_are_ignored(line: Line) -> None:
    line.fake.send_raw(
        "callbridge",
        '{"type":"ApplicationRegistered","application":"callbridge","timestamp":"t",'
        '"invented":{"tomorrow":[1,2]}}',
    )
    await flushed(line)
    assert names(line) == ["ApplicationRegistered"]


async def test_a_callback_that_raises_ends_nothing(
    fake: FakeAri, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []

    def fail(event: object) -> None:
        seen.append(event)
        raise RuntimeError("the callback's own fault")

    connection = AriConnection(
        AriSettings(fake.url, fake.username, fake.password), on_event=fail, on_state=fail
    )
    await connection.open()
    fake.incoming_call()
    await connection.asterisk.ping()
    assert connection.callback_errors == len(seen) == 2
    assert "the callback's own fault" in caplog.text
    assert connection.state.is_up
    await connection.close()


async def test_a_slow_answer_holds_back_only_what_is_behind_it(line: Line) -> None:
    line.fake.failures.delay("GET", "bridges", 0.5)
    order: list[str] = []

    async def ask(resource: str) -> None:
        await line.connection.request("GET", resource)
        order.append(resource)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask("bridges"))
        group.create_task(ask("channels"))
        await until(lambda: line.fake.count("GET", "bridges"), "the slow request")
        line.fake.incoming_call()
        await until(lambda: "StasisStart" in names(line), "an event in the meantime")
        assert order == []
    assert order == ["bridges", "channels"]
