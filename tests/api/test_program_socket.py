"""The socket of a program: what it is told of its calls, and of those that somebody else rings."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from bridge.api.sockets.program import BEHIND_BYTES
from bridge.lab.fake_ari import FakeAri
from bridge.lab.waiting import until
from bridge.protocol.frames import (
    PROGRAM_SOCKET,
    Accept,
    Attach,
    Attached,
    Event,
    Granted,
    Offer,
    ServerFrame,
)
from tests.support.daemon import RunningApi
from tests.support.sockets import Ended, FarEnd, far_end

PATH = PROGRAM_SOCKET.format(name="desk")
F = TypeVar("F", bound=ServerFrame)


async def attached(far: FarEnd, **how: Any) -> Attached:
    """Attach, and return what is answered."""
    await far.say(Attach(**how))
    got = await far.next()
    assert isinstance(got, Attached), got
    return got


async def taken(fake: FakeAri, far: FarEnd) -> str:
    """Let a call come in for a program, which takes it; return its id."""
    fake.incoming_call()
    offer = await nearest(far, Offer)
    await far.say(Accept(call_id=offer.call.call_id))
    return (await nearest(far, Granted)).call.call_id


async def nearest(far: FarEnd, kind: type[F]) -> F:
    """Return the next message of a kind; others are passed over."""
    while not isinstance(got := await far.next(), kind):
        assert not isinstance(got, Ended), got
    return got


@pytest.mark.parametrize(("client", "active"), [("me", True), ("another", False), ("", False)])
async def test_who_attaches_again_has_his_lease_though_his_old_socket_is_open(
    api: RunningApi, client: str, *, active: bool
) -> None:
    async with far_end(api, PATH, key="program") as old:
        assert (await attached(old, client="me")).active
        async with far_end(api, PATH, key="program") as new:
            assert (await attached(new, client=client)).active is active
            assert not old.ws.closed


async def test_who_reads_is_told_all_that_it_missed_however_much(
    api: RunningApi, fake: FakeAri
) -> None:
    hub, text = api.service.hub, "x" * 10_000
    many = 3 * BEHIND_BYTES // len(text)
    async with far_end(api, PATH, key="program") as far:
        await attached(far)
        call_id = await taken(fake, far)
        after = hub.position
    await until(lambda: not hub.enders, "its socket is forgotten")
    for number in range(many):
        hub.publish("MISSED", call_id=call_id, data={"number": number, "text": text})
    async with far_end(api, PATH, key="program") as far:
        assert (await attached(far, after=after)).resumed
        hub.publish("NEW", call_id=call_id)
        missed = []
        while (event := (await nearest(far, Event)).event).type != "NEW":
            if event.type == "MISSED":
                missed.append(event.data["number"])
    assert missed == list(range(many))
