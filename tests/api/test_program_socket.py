"""The socket of a program whose network was lost: it is there again before that is known."""

from __future__ import annotations

import pytest

from bridge.protocol.frames import PROGRAM_SOCKET, Attach, Attached
from tests.support.daemon import RunningApi
from tests.support.sockets import far_end

PATH = PROGRAM_SOCKET.format(name="desk")


@pytest.mark.parametrize(("client", "active"), [("me", True), ("another", False), ("", False)])
async def test_who_attaches_again_has_his_lease_though_his_old_socket_is_open(
    api: RunningApi, client: str, *, active: bool
) -> None:
    async with far_end(api, PATH, key="program") as old:
        await old.say(Attach(client="me"))
        first = await old.next()
        assert isinstance(first, Attached)
        assert first.active
        async with far_end(api, PATH, key="program") as new:
            await new.say(Attach(client=client))
            second = await new.next()
            assert isinstance(second, Attached)
            assert second.active is active
            assert not old.ws.closed
