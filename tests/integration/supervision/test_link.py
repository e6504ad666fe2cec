"""The link to Asterisk drops while a supervisor on a phone speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.phones import CallState
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.runtime.names import key_of
from bridge.sdk import Client, events
from tests.integration.supervision.floor import BOTH_HEAR, Ear, Floor, Talk, will_hear
from tests.support.pbx import Pbx, Program, until_true

pytestmark = pytest.mark.asterisk


@dataclass
class Line:
    """A program behind a proxy; nobody else is."""

    floor: Floor
    proxy: BreakableProxy

    @property
    def is_up(self) -> bool:
        controller = self.floor.client._controller
        return controller is not None and controller.ari.state.is_up

    def is_refused(self) -> bool:
        controller = self.floor.client._controller
        return controller is not None and controller.ari.state.refused

    async def down(self) -> None:
        await until(lambda: not self.is_up, "the drop is noticed")

    async def up(self) -> None:
        await until(lambda: self.is_up, "the link is up")


@pytest.fixture
async def line(pbx: Pbx) -> AsyncIterator[Line]:
    ari = pbx.instance.info.ari
    host, port = ari.url.removeprefix("http://").removesuffix("/ari").split(":")
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(BreakableProxy(host, int(port)))
        client = Client(
            f"http://127.0.0.1:{proxy.port}/ari",
            ari.username,
            ari.password,
            sample_rate=16000,
            route=lambda _call: CALLEE_ENDPOINT,
            supervisors=["1005"],
        )
        quick = replace(client._settings.ari, heartbeat_s=0.4, request_timeout_s=2.0)
        client._settings = replace(client._settings, ari=quick, probe=False)
        program = Program(client)
        client.on(events.INCOMING_CALL, program.calls.put_nowait)
        await stack.enter_async_context(client)
        stack.push_async_callback(proxy.resume)
        await client.live_calls()
        yield Line(Floor(pbx, program, stack), proxy)


async def drop(line: Line, how: str) -> None:
    """Break the link, and have it come back."""
    if how == "cut":
        before = line.proxy.accepted
        await line.proxy.cut()
        # It may be back before anybody sees that it was gone.
        await until(lambda: line.proxy.accepted > before, "it connects again")
    elif how == "refuse":
        await line.proxy.refuse()
        await line.down()
        await until(line.is_refused, "nobody listens there")
        await line.proxy.resume()
    else:
        line.proxy.stall()
        await line.down()
        await line.proxy.resume()
    await line.up()


def with_boss(*listeners: str) -> dict[str, set[str]]:
    heard = {
        who: whom | ({"supervisor"} if who in listeners else set())
        for who, whom in BOTH_HEAR.items()
    }
    return {**heard, "boss": {"caller", "callee"}}


async def pulses(pbx: Pbx) -> int:
    return sum((key_of(i) or "").startswith("pulse.") for i in await pbx.channels())


async def call_of(floor: Floor, whose: str) -> Talk:
    return await (floor.own_call() if whose == "own" else floor.foreign_call())


@pytest.mark.quiet
@pytest.mark.parametrize("how", ["cut", "refuse", "stall"])
@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_he_whispers_on_when_it_is_back(line: Line, whose: str, how: str) -> None:
    pbx = line.floor.pbx
    talk = await call_of(line.floor, whose)
    boss, ear = await line.floor.boss(talk)
    ears: dict[str, Ear] = {**talk.parties, "boss": ear}
    await boss.whisper("callee")
    await will_hear(ears, with_boss("callee"))
    for party in talk.parties.values():
        party.clear()
    channels = len(await pbx.channels())
    await drop(line, how)
    await will_hear(ears, with_boss("callee"))
    assert (boss.mode, boss.left) == ("whisper", None)

    async def one_pulse() -> bool:
        return await pulses(pbx) == 1 and len(await pbx.channels()) == channels

    await until_true(one_pulse, "all is as it was")
    await talk.nothing_lost()
    await boss.spy()
    await will_hear(ears, with_boss())
    await boss.leave()
    await ear.wait_closed()
    await talk.nothing_lost()
    await talk.over()
    await pbx.empty()


async def test_he_hangs_up_while_it_is_down(line: Line) -> None:
    talk = await line.floor.foreign_call()
    boss, ear = await line.floor.boss(talk)
    await boss.barge()
    await line.proxy.refuse()
    await line.down()
    await ear.hangup()
    await line.proxy.resume()
    assert await boss.wait_left() == "hung_up"
    await will_hear(talk.parties, BOTH_HEAR)
    await talk.over()
    await line.floor.pbx.empty()


@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_the_call_ends_while_it_is_down(line: Line, whose: str) -> None:
    talk = await call_of(line.floor, whose)
    boss, ear = await line.floor.boss(talk)
    await boss.barge()
    await line.proxy.refuse()
    await line.down()
    await talk.caller.hangup()
    await line.proxy.resume()
    await ear.wait_closed()
    assert await boss.wait_left() == "call_ended"
    await line.floor.pbx.empty()


async def test_somebody_dials_the_access_code_while_it_is_down(line: Line) -> None:
    """Asterisk has nobody to give him to: he is told so, and is not left waiting."""
    talk = await line.floor.foreign_call()
    phone = await line.floor.pbx.phone("1005")
    await line.proxy.refuse()
    await line.down()
    await phone.call("*55")
    await until(lambda: phone.last_disconnect is not None, "he is turned away")
    await line.proxy.resume()
    await line.up()
    await talk.over()


async def test_somebody_dialled_the_access_code_and_no_event_told_it(line: Line) -> None:
    """A link that is silent still counts as there: Asterisk gives him to the application."""
    talk = await line.floor.foreign_call()
    phone = await line.floor.pbx.phone("1005")
    line.proxy.stall()
    await phone.call("*55")

    async def waits() -> bool:
        channels = await line.floor.pbx.listed()
        return any(c.name.startswith("PJSIP/1005") and c.dialplan.app_name for c in channels)

    await until_true(waits, "he is in the application")
    await line.down()
    await line.proxy.resume()
    await phone.wait_state(CallState.CONFIRMED)
    await until(lambda: line.floor.client.audit.records, "he has joined")
    assert line.floor.program.calls.empty()
    await talk.over()
    await phone.wait_state(CallState.DISCONNECTED)


async def test_the_pulse_alone_breaks(line: Line) -> None:
    talk = await line.floor.foreign_call()
    boss, ear = await line.floor.boss(talk)
    ears: dict[str, Ear] = {**talk.parties, "boss": ear}
    await boss.barge()
    await will_hear(ears, with_boss("caller", "callee"))
    pbx = line.floor.pbx
    for _ in range(3):
        (broken,) = [i for i in await pbx.channels() if (key_of(i) or "").startswith("pulse.")]
        await pbx.hang_up(broken)

        async def mended(broken: str = broken) -> bool:
            return await pulses(pbx) == 1 and broken not in await pbx.channels()

        await until_true(mended, "there is another")
        await will_hear(ears, with_boss("caller", "callee"))
    assert (boss.mode, boss.left) == ("barge", None)
    await boss.leave()
