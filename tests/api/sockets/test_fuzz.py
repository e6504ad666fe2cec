"""Whatever one client sends: nothing breaks, nothing is left, and nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bridge.lab.fake_ari import FakeAri
from bridge.lab.hearing import TONES, gaps
from bridge.lab.waiting import until
from bridge.protocol.frames import (
    EVENTS_SOCKET,
    PROGRAM_SOCKET,
    Accept,
    Attach,
    Attached,
    Granted,
    Offer,
    Route,
)
from tests.api.sockets.rubbish import Nonsense, misbehave, nonsense
from tests.api.sockets.scene import RATE, Scene, connected
from tests.support.daemon import RunningApi
from tests.support.pbx import Pbx
from tests.support.sockets import audio_path, far_end, watching

ONE_SERVER = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""All examples are played to one server: what one leaves behind, the next may stumble over."""
GONE_S = 15.0
"""Who is cut off, and neither reads nor closes, is waited for 10 s."""


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@settings(ONE_SERVER, max_examples=120)
@given(what=nonsense)
async def test_the_socket_of_events(
    told: RunningApi, caplog: pytest.LogCaptureFixture, what: Nonsense
) -> None:
    hub = told.service.hub
    before = len(asyncio.all_tasks())
    async with watching(told) as (other, _):
        meddling = asyncio.create_task(misbehave(told, EVENTS_SOCKET, {}, what))
        for number in range(4):
            hub.publish("TICK", call_id="c-1", data={"number": number})
            assert (await other.event()).data == {"number": number}
        await meddling
        await until(lambda: len(hub.enders) == 1, "his socket is forgotten", within_s=GONE_S)
        assert hub.broadcast.watchers == 1
    await until(lambda: not hub.enders, "all sockets are")
    await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
    assert not faults(caplog)


@settings(ONE_SERVER, max_examples=120)
@given(what=nonsense)
async def test_the_socket_of_a_program(
    api: RunningApi, fake: FakeAri, caplog: pytest.LogCaptureFixture, what: Nonsense
) -> None:
    hub, path = api.service.hub, PROGRAM_SOCKET.format(name="other")
    before = len(asyncio.all_tasks())
    async with far_end(api, PROGRAM_SOCKET.format(name="desk"), key="program") as desk:
        await desk.say(Attach(routes=(Route(dialled="1002"),)))
        await desk.nearest(Attached)
        meddling = asyncio.create_task(misbehave(api, path, {}, what))
        caller = fake.incoming_call(number="1002")
        offer = await desk.nearest(Offer)
        await desk.say(Accept(call_id=offer.call.call_id))
        await desk.nearest(Granted)
        fake.channel_hangs_up(caller.id)
        await meddling
        await until(lambda: len(hub.enders) == 1, "his socket is forgotten", within_s=GONE_S)
    await until(lambda: not hub.enders and not api.client.calls, "all sockets are, and the call")
    await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
    assert not faults(caplog)


@pytest.fixture
async def scene(pbx: Pbx, tmp_path: Path) -> AsyncIterator[Scene]:
    """A call that goes on while somebody meddles; its parties lose nothing of each other."""
    async with connected(pbx, tmp_path) as scene:
        scene.clear()
        yield scene
        await scene.caller.wait_seconds(0.2)
        heard = scene.caller.pcm()
        lost = len(gaps(heard, RATE, TONES["callee"]))
        # A machine with much else to do loses some; a loop that is held up loses dozens.
        assert lost <= 3 + len(heard) // RATE


@pytest.mark.asterisk
@settings(ONE_SERVER, max_examples=60)
@given(what=nonsense)
async def test_the_audio_socket(
    scene: Scene, caplog: pytest.LogCaptureFixture, what: Nonsense
) -> None:
    hub, path = scene.api.service.hub, audio_path(scene.call.call_id)
    ears = scene.call._agent.ears
    before = len(asyncio.all_tasks())
    async with far_end(scene.api, path, query={"as": "ai"}) as other:
        await other.ready()
        meddling = asyncio.create_task(misbehave(scene.api, path, {"as": "ai"}, what))
        assert len(await other.hear(0.06, RATE)) == round(0.06 * RATE) * 2
        await meddling
        await until(lambda: len(hub.enders) == 1, "his socket is forgotten", within_s=GONE_S)
        assert ears.subscriptions == 1
    await until(lambda: not hub.enders and not ears.subscriptions, "all sockets are")
    await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
    assert not faults(caplog)
