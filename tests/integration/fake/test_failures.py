"""What can be made to go wrong on the fake server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bridge.ari import AriConnection, AriSettings, LinkState, LinkStatus, events
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError, ServerUnreachableError


@dataclass
class Desk:
    connection: AriConnection
    told: list[str] = field(default_factory=list)
    states: list[LinkStatus] = field(default_factory=list)


@dataclass
class Stage:
    fake: FakeAri
    owner: Desk
    watcher: Desk


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with FakeAri() as fake:
        owner = await opened(fake, "callbridge", subscribe_all=False)
        watcher = await opened(fake, "watch", subscribe_all=True)
        yield Stage(fake, owner, watcher)
        for desk in (owner, watcher):
            await desk.connection.close()


async def opened(fake: FakeAri, name: str, *, subscribe_all: bool) -> Desk:
    told: list[str] = []
    states: list[LinkStatus] = []

    def on_event(event: events.AnyMessage) -> None:
        told.append(type(event).__name__)

    def on_state(state: LinkState) -> None:
        states.append(state.status)

    settings = AriSettings(
        fake.url, fake.username, fake.password, application=name, subscribe_all=subscribe_all
    )
    connection = AriConnection(settings, on_event=on_event, on_state=on_state)
    await connection.open()
    return Desk(connection, told, states)


async def ended(stage: Stage) -> None:
    """Let a call come and go, and wait until both applications were told."""
    channel = stage.fake.incoming_call()
    await stage.owner.connection.channels.answer(channel_id=channel.id)
    stage.fake.channel_hangs_up(channel.id)
    await stage.owner.connection.asterisk.ping()
    await stage.watcher.connection.asterisk.ping()


async def test_events_of_one_application_are_lost(stage: Stage) -> None:
    stage.fake.failures.lose("ChannelStateChange", application="watch")
    await ended(stage)
    assert "ChannelStateChange" in stage.owner.told
    assert "ChannelStateChange" not in stage.watcher.told
    await ended(stage)
    assert stage.watcher.told.count("ChannelStateChange") == 1


async def test_events_come_twice(stage: Stage) -> None:
    stage.fake.failures.double("ChannelStateChange", application="callbridge")
    await ended(stage)
    assert stage.owner.told.count("ChannelStateChange") == 2
    assert stage.watcher.told.count("ChannelStateChange") == 1


async def test_events_come_late(stage: Stage) -> None:
    stage.fake.failures.hold_back("StasisStart", 0.3)
    await ended(stage)
    await until(lambda: "StasisStart" in stage.owner.told, "it comes")
    assert stage.owner.told.index("StasisEnd") < stage.owner.told.index("StasisStart")


async def test_the_second_request_of_a_kind_is_refused(stage: Stage) -> None:
    stage.fake.failures.refuse("POST", r"bridges/.*", nth=2, status=500, reason="not now")
    create = stage.owner.connection.bridges.create_with_id
    await create(bridge_id="one", type="mixing")
    with pytest.raises(RequestFailedError, match="not now"):
        await create(bridge_id="two", type="mixing")
    await create(bridge_id="three", type="mixing")
    assert set(stage.fake.world.bridges) == {"one", "three"}


async def test_a_request_is_held_back(stage: Stage) -> None:
    stage.fake.failures.delay("POST", r"bridges/slow", 0.05)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await stage.owner.connection.bridges.create_with_id(bridge_id="slow", type="mixing")
    assert loop.time() - begin >= 0.05


@pytest.mark.parametrize("carried_out", [True, False])
async def test_the_socket_drops_at_a_request(stage: Stage, *, carried_out: bool) -> None:
    stage.fake.failures.drop("POST", r"bridges/one", carried_out=carried_out)
    with pytest.raises(ServerUnreachableError):
        await stage.owner.connection.bridges.create_with_id(bridge_id="one", type="mixing")
    assert ("one" in stage.fake.world.bridges) is carried_out
    await until(
        lambda: stage.owner.states[-1] is LinkStatus.UP and len(stage.owner.states) > 1,
        "it is back",
    )


async def test_one_applications_socket_drops(stage: Stage) -> None:
    stage.fake.drop_sockets("watch")
    assert stage.fake.applications == {"callbridge"}
    await until(lambda: LinkStatus.DOWN in stage.watcher.states, "it is seen")
    await until(lambda: stage.watcher.states[-1] is LinkStatus.UP, "it is back")
    assert stage.owner.states == [LinkStatus.UP]


async def test_a_call_for_an_application_that_is_not_there(stage: Stage) -> None:
    channel = stage.fake.incoming_call(application="nobody")
    await stage.watcher.connection.asterisk.ping()
    assert "ChannelDestroyed" in stage.watcher.told
    assert channel.id not in stage.fake.remains()


async def test_a_restart_forgets_everything(stage: Stage) -> None:
    stage.fake.incoming_call()
    stage.fake.place_call()
    before = stage.fake.server.startup_time
    stage.fake.restart()
    assert stage.fake.remains() == []
    assert stage.fake.server.startup_time != before
    desks = (stage.owner, stage.watcher)
    await until(lambda: all(LinkStatus.DOWN in desk.states for desk in desks), "it is seen")
    await until(lambda: all(desk.states[-1] is LinkStatus.UP for desk in desks), "they are back")
