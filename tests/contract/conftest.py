"""The servers that the contract is held against: the fake and a real Asterisk."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field, replace

import aiohttp
import pytest

from bridge.ari import AriConnection, AriSettings, LinkState, events, models
from bridge.ari.generated.events import Message
from bridge.lab.asterisk import Instance
from bridge.lab.fake_ari import Answer, FakeAri
from bridge.lab.waiting import until
from bridge.model.errors import RequestFailedError
from tests.contract.sites import FakeSite, RealSite, Site
from tests.contract.stories import story, untangled
from tests.support.ids import new_id
from tests.support.pbx import until_true


@dataclass
class Desk:
    """An open connection, and everything that it reported."""

    connection: AriConnection
    events: list[events.AnyMessage] = field(default_factory=list)
    states: list[LinkState] = field(default_factory=list)
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)
    """Held, because a socket that nobody holds is closed."""

    def seen(self, kind: type[Message], identity: str) -> bool:
        """Tell whether an event of this type about this channel or bridge has come."""
        return any(
            isinstance(event, kind) and identity in (*event.channel_ids(), *event.bridge_ids())
            for event in self.events
        )

    def story(self, identity: str | None = None) -> list[str]:
        """Tell in words what was reported, of one channel or bridge or of all."""
        return story(self.events, identity)

    async def wait_line(self, line: str, identity: str | None = None) -> None:
        """Wait until the story has a line."""
        try:
            await until(lambda: line in self.story(identity), line)
        except TimeoutError:
            raise AssertionError(f"no {line} in {self.story(identity)}") from None

    async def tells(self, lines: list[str], identity: str) -> None:
        """Wait until exactly this was reported of one, wherever the Dial events are in it."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: untangled(self.story(identity)) == untangled(lines), "all of it")
        assert untangled(self.story(identity)) == untangled(lines)

    async def wait_for(self, kind: type[Message], identity: str) -> None:
        """Wait for an event of this type about this channel or bridge."""
        await until(lambda: self.seen(kind, identity), f"{kind.__name__} of {identity}")

    async def party(self) -> str:
        """Make a channel in Stasis that is Up; its id."""
        identity = await self.waiting_channel()
        found = await self.connection.channels.get(channel_id=identity)
        assert found.state == "Down"
        variables = await self.connection.channels.get_channel_var(
            channel_id=identity, variable="MEDIA_WEBSOCKET_CONNECTION_ID"
        )
        self.sockets.append(await self.connection.open_media_socket(variables.value))
        await self.wait_for(events.StasisStart, identity)
        return identity

    async def waiting_channel(self) -> str:
        """Make a media channel that is not in Stasis yet, as nobody has connected to it."""
        identity = new_id("party")
        channel = await self.connection.channels.external_media(
            app=self.connection.settings.application,
            channel_id=identity,
            external_host="INCOMING",
            transport="websocket",
            encapsulation="none",
            connection_type="server",
            format="slin16",
        )
        assert channel.id == identity
        return identity

    async def anchor(self) -> str:
        """Make a channel whose audio goes nowhere over RTP, in Stasis; its id."""
        identity = new_id("anchor")
        await self.connection.channels.external_media(
            app=self.connection.settings.application,
            channel_id=identity,
            external_host="127.0.0.1:9",
            format="slin16",
        )
        await self.wait_for(events.StasisStart, identity)
        return identity

    async def bridge(self, kind: str = "mixing") -> str:
        """Make a bridge; its id."""
        identity = new_id("bridge")
        await self.connection.bridges.create_with_id(bridge_id=identity, type=kind)
        return identity

    async def connect(self, channel_id: str) -> None:
        """Connect to the media socket of a channel: it answers."""
        variables = await self.connection.channels.get_channel_var(
            channel_id=channel_id, variable="MEDIA_WEBSOCKET_CONNECTION_ID"
        )
        self.sockets.append(await self.connection.open_media_socket(variables.value))


async def refusal(call: Awaitable[object]) -> tuple[int, str]:
    """Return the status and the reason that a request is refused with."""
    with pytest.raises(RequestFailedError) as caught:
        await call
    return caught.value.status, caught.value.reason


async def cleared(desk: Desk) -> None:
    """Remove everything, and return when nothing is left: deleting is asynchronous."""
    connection = desk.connection
    for socket in desk.sockets:
        await socket.close()
    for channel in await connection.channels.list():
        with contextlib.suppress(RequestFailedError):
            # A channel whose media socket was closed just now is going already.
            await connection.channels.hangup(channel_id=channel.id)
    for bridge in await bridges(connection):
        if bridge.bridge_class == "stasis":
            await connection.bridges.destroy(bridge_id=bridge.id)

    async def empty() -> bool:
        return not (await connection.channels.list() or await bridges(connection))

    await until_true(empty, "nothing is left")


async def bridges(connection: AriConnection) -> list[models.Bridge]:
    """Return all bridges but the parking lot, which stays for ever once it was used."""
    found = await connection.bridges.list()
    return [bridge for bridge in found if bridge.bridge_class != "parking"]


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Instance]:
    instance = Instance.start(name=f"contract-{os.getpid()}", tied=True)
    yield instance
    instance.stop()


def fresh_name() -> str:
    """Return a name for an application.

    One that is registered again just when its last socket closes may be unregistered by that one's
    end (measured on 22.10.1).
    """
    return f"contract-{secrets.token_hex(4)}"


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.asterisk)])
async def settings(request: pytest.FixtureRequest) -> AsyncIterator[AriSettings]:
    if request.param == "fake":
        async with FakeAri() as fake:
            # On the real server no phone has signed in.
            for phone in fake.world.phones.values():
                phone.answer = Answer.UNREGISTERED
            yield AriSettings(fake.url, fake.username, fake.password, fresh_name())
            assert fake.world.violations == []
    else:
        ari = request.getfixturevalue("asterisk").info.ari
        yield AriSettings(ari.url, ari.username, ari.password, fresh_name())


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.phones])])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A server with phones."""
    if request.param == "fake":
        async with FakeAri() as fake:
            yield FakeSite(fake)
            assert fake.world.violations == []
    else:
        if importlib.util.find_spec("pjsua2") is None:
            pytest.skip("pjsua2 has no wheel for this Python")
        real = RealSite(request.getfixturevalue("asterisk"))
        yield real
        await asyncio.gather(*(phone.stop() for phone in real.phones.values()))


@pytest.fixture
async def desk(settings: AriSettings) -> AsyncIterator[Desk]:
    reported: list[events.AnyMessage] = []
    states: list[LinkState] = []
    connection = AriConnection(settings, on_event=reported.append, on_state=states.append)
    await connection.open()
    made = Desk(connection, reported, states)
    yield made
    try:
        await cleared(made)
    finally:
        await connection.close()
    assert connection.callback_errors == 0
    assert not connection.unknown_events


@pytest.fixture
async def watch(desk: Desk) -> AsyncIterator[Desk]:
    """A second application that only watches: it is told of everything."""
    watching = await watcher(desk.connection.settings)
    yield watching
    await watching.connection.close()
    assert watching.connection.callback_errors == 0
    assert not watching.connection.unknown_events


async def watcher(settings: AriSettings) -> Desk:
    """Open an application that is subscribed to all channels and bridges.

    Not by subscribeAll: opened and closed beside other applications, that brings 22.10.1 to a
    standstill (measured: once in 20 to 40 times GET applications is never answered again).
    """
    name = f"{settings.application}-watch"
    reported: list[events.AnyMessage] = []
    connection = AriConnection(replace(settings, application=name), on_event=reported.append)
    await connection.open()
    await connection.applications.subscribe(
        application_name=name, event_source=["channel:", "bridge:"]
    )
    return Desk(connection, reported)


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    mine = {asyncio.current_task()}
    await until(lambda: asyncio.all_tasks() <= before | mine, "the end of every task")
