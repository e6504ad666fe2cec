"""Media sockets are connected while other media channels come and go, and Asterisk stays well."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from bridge.ari import AriConnection
from bridge.lab.asterisk import Instance
from bridge.model.errors import MediaError, RequestFailedError
from tests.support.ids import new_id
from tests.support.pbx import open_observer, still_there

pytestmark = [pytest.mark.asterisk, pytest.mark.alone]

ROUNDS = 1500
"""Without the door, Asterisk was stuck or dead after 400 to 2,000 of them."""
MOST_LATE_S = 0.002


class Crowd:
    """Makes media channels, connects to them and ends them, all at about the same time."""

    def __init__(self, ari: AriConnection, seed: int) -> None:
        self._ari = ari
        self._random = random.Random(seed)

    async def make(self) -> tuple[str, str]:
        await self._later()
        identity = new_id("media")
        channel = await self._ari.channels.external_media(
            channel_id=identity,
            app=self._ari.settings.application,
            external_host="INCOMING",
            transport="websocket",
            encapsulation="none",
            connection_type="server",
            format="slin16",
        )
        return identity, (channel.channelvars or {})["MEDIA_WEBSOCKET_CONNECTION_ID"]

    async def visit(self, connection_id: str) -> None:
        """Connect, and leave again; the channel may be gone."""
        with contextlib.suppress(MediaError):
            socket = await self._ari.open_media_socket(connection_id)
            await socket.close()

    async def end(self, identity: str) -> None:
        await self._later()
        # Gone with its socket.
        with contextlib.suppress(RequestFailedError):
            await self._ari.channels.hangup(channel_id=identity)

    async def _later(self) -> None:
        await asyncio.sleep(self._random.random() * MOST_LATE_S)


@pytest.fixture
async def ari(own_asterisk: Instance) -> AsyncIterator[AriConnection]:
    connection = await open_observer(own_asterisk)
    yield connection
    await connection.close()


@pytest.fixture
async def own_asterisk() -> AsyncIterator[Instance]:
    instance = await asyncio.to_thread(Instance.start, new_id("door"), tied=True)
    yield instance
    await asyncio.to_thread(instance.stop, 1)


async def test_a_socket_is_connected_as_channels_are_made_and_ended(ari: AriConnection) -> None:
    crowd = Crowd(ari, seed=1)
    standing = await crowd.make()
    for _ in range(ROUNDS):
        coming, (following, _), *_ = await asyncio.gather(
            crowd.make(), crowd.make(), crowd.visit(standing[1]), crowd.end(standing[0])
        )
        await crowd.end(following)
        standing = coming
    await crowd.end(standing[0])
    assert await still_there(ari) == []
