"""A fake server behind a breakable proxy, and a connection that records what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bridge.ari import AriConnection, AriSettings, Backoff, LinkState, LinkStatus
from bridge.ari.generated.events import Message
from bridge.lab.fake_ari import FakeAri
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until


@dataclass
class Line:
    """A connection through a proxy to a fake, and everything that it reported."""

    fake: FakeAri
    proxy: BreakableProxy
    connection: AriConnection
    events: list[Message] = field(default_factory=list)
    states: list[LinkState] = field(default_factory=list)

    async def status(self, wanted: LinkStatus, number: int = 1) -> LinkState:
        """Wait until this status was reported this many times; the last such report."""
        await until(
            lambda: [s.status for s in self.states].count(wanted) >= number,
            f"{wanted} for the {number}. time, of {self.states}",
        )
        return [s for s in self.states if s.status is wanted][-1]


@pytest.fixture
async def fake() -> AsyncIterator[FakeAri]:
    async with FakeAri() as made:
        yield made


@pytest.fixture
async def proxy(fake: FakeAri) -> AsyncIterator[BreakableProxy]:
    async with BreakableProxy("127.0.0.1", fake.port) as made:
        yield made


@pytest.fixture
async def unopened(fake: FakeAri, proxy: BreakableProxy) -> AsyncIterator[Line]:
    """A line whose connection the test opens itself."""
    events: list[Message] = []
    states: list[LinkState] = []
    connection = AriConnection(
        AriSettings(
            f"http://127.0.0.1:{proxy.port}/ari",
            fake.username,
            fake.password,
            request_timeout_s=1.0,
            heartbeat_s=0.8,
        ),
        on_event=events.append,
        on_state=states.append,
        backoff=Backoff(shortest_s=0.01, longest_s=0.05, random=lambda: 0.5),
    )
    yield Line(fake, proxy, connection, events, states)
    await connection.close()


@pytest.fixture
async def line(unopened: Line) -> Line:
    """A line that is up."""
    await unopened.connection.open()
    return unopened


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    mine = {asyncio.current_task()}
    await until(lambda: asyncio.all_tasks() <= before | mine, "the end of every task")
