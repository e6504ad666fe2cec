"""A socket that did not answer a request is asked again, and never without a pause."""

from __future__ import annotations

import asyncio
from typing import cast

from bridge.ari import AriConnection, AriSettings
from bridge.ari.events_socket import EventsSocket
from bridge.lab.waiting import until

MOST = 50


class Breaking:
    """A socket whose connection is gone already, though it does not say that it is closed."""

    def __init__(self) -> None:
        self.carries_rest = True
        self.closed = False
        self.asked = 0

    async def probe(self, deadline_s: float) -> bool:
        del deadline_s
        self.asked += 1
        assert self.asked < MOST, "nobody else has a turn"
        return False


async def test_one_that_fails_at_once_lets_everybody_else_go_on() -> None:
    connection = AriConnection(
        AriSettings("http://127.0.0.1:1", "user", "secret"), on_event=lambda _event: None
    )
    socket = Breaking()
    connection._doubt(cast("EventsSocket", socket))
    await until(lambda: socket.asked > 1, "it is asked again")
    socket.closed = True
    await asyncio.gather(*connection._probes)
    assert socket.asked < MOST
    assert not connection._probes
