"""The link to Asterisk drops and returns: the parties notice nothing, the call is taken up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from bridge import ActiveCall, AudioMode, CallState, Client, EndReason, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, gaps, levels, tone
from bridge.lab.proxy import BreakableProxy
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from bridge.model.errors import ServerError
from bridge.model.participants import CALLEE
from bridge.runtime import CallEngine, outage
from bridge.topology.objects import ANCHORS
from tests.audio.machine import remeasured, whole
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, Pbx, mode_of, state_of, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

RATE = 16000
OUTAGE_S = 2.0
"""The length of a break: not yet so long that the calls are over (bridge/runtime/outage.py)."""
SPEECH = tone(TONES["agent"], -15.0, 0.5, RATE).astype("<i2").tobytes()


@dataclass
class Line:
    """A client behind a proxy, and the parties, who are not."""

    pbx: Pbx
    proxy: BreakableProxy
    client: Client
    calls: asyncio.Queue[ActiveCall]

    async def call(self) -> tuple[DirectParty, ActiveCall]:
        ari = self.pbx.instance.info.ari
        party = await self.pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
        async with asyncio.timeout(5):
            return party, await self.calls.get()

    async def pick_up(self, call: ActiveCall) -> DirectParty:
        leg = await self.pbx.callee_leg(call)
        ari = self.pbx.instance.info.ari
        return await self.pbx.keep(DirectParty.answer(ari, leg, tone=CALLEE_TONE))

    async def connected(self) -> tuple[DirectParty, DirectParty, ActiveCall]:
        caller, call = await self.call()
        connecting = asyncio.create_task(call.connect())
        callee = await self.pick_up(call)
        await connecting
        return caller, callee, call

    @property
    def is_up(self) -> bool:
        controller = self.client._controller
        return controller is not None and controller.ari.state.is_up

    @property
    def is_refused(self) -> bool:
        """Whether nobody listened when the client tried last."""
        controller = self.client._controller
        return controller is not None and controller.ari.state.refused

    async def down(self) -> None:
        await until(lambda: not self.is_up, "the drop is noticed")

    async def up(self) -> None:
        await until(lambda: self.is_up, "the link is up")


@pytest.fixture
async def line(pbx: Pbx) -> AsyncIterator[Line]:
    ari = pbx.instance.info.ari
    host, port = ari.url.removeprefix("http://").removesuffix("/ari").split(":")
    async with BreakableProxy(host, int(port)) as proxy:
        client = Client(
            f"http://127.0.0.1:{proxy.port}/ari",
            ari.username,
            ari.password,
            sample_rate=RATE,
            route=lambda _call: CALLEE_ENDPOINT,
        )
        quick = replace(client._settings.ari, heartbeat_s=0.4, request_timeout_s=0.5)
        client._settings = replace(client._settings, ari=quick, probe=False)
        calls: asyncio.Queue[ActiveCall] = asyncio.Queue()
        client.on(events.INCOMING_CALL, calls.put_nowait)
        async with client:
            yield Line(pbx, proxy, client, calls)
            await proxy.resume()


async def cut(line: Line) -> None:
    await line.proxy.cut()


async def refuse(line: Line) -> None:
    await line.proxy.refuse()
    await line.down()
    await asyncio.sleep(OUTAGE_S)
    assert line.is_refused, "nobody listened"
    await line.proxy.resume()


async def stall(line: Line) -> None:
    line.proxy.stall()
    await line.down()
    await line.proxy.resume()


BREAKS: dict[str, Callable[[Line], Awaitable[None]]] = {
    "cut": cut,
    "refuse": refuse,
    "stall": stall,
}


def lost(listener: DirectParty, speaker: str) -> int:
    return len(gaps(listener.pcm(), RATE, TONES[speaker]))


async def heard_by(call: ActiveCall, *parties: DirectParty) -> list[bool]:
    """Say something; tell for each party whether it is heard, not at all counting as no."""
    for party in parties:
        party.clear()
    await call.send_audio(SPEECH)
    for party in parties:
        await party.wait_frames(20)
    found = [levels(party.pcm()[-RATE // 10 :], RATE, TONES)["agent"] for party in parties]
    call.clear_send_audio_buffer()
    assert all(level > -18 or level < -75 for level in found), found
    return [level > -18 for level in found]


async def flows(stream: AudioStream, frames: int = 20) -> None:
    async with asyncio.timeout(3):
        for _ in range(stream.buffered_frames + frames):
            await anext(stream)


def lines_alive(call: ActiveCall) -> bool:
    sockets = call._agent._sockets
    return len(sockets) == 2 and all(not socket.closed for socket in sockets.values())


@pytest.mark.parametrize("how", list(BREAKS))
@remeasured
async def test_while_whispering(line: Line, how: str) -> None:
    caller, callee, call = await line.connected()
    streams = [call.audio_stream(), call.audio_stream("caller"), call.audio_stream("callee")]
    await call.whisper()
    assert await heard_by(call, callee, caller) == [True, False]
    caller.clear()
    callee.clear()
    changes: list[AudioMode] = []
    call.on(events.CALL_MODE_CHANGED, lambda: changes.append(call.mode))
    await BREAKS[how](line)
    await line.up()
    await until(lambda: lines_alive(call), "the lines are made anew")
    await asyncio.gather(*map(flows, streams))
    assert state_of(call) is CallState.CONNECTED
    assert mode_of(call) == (AudioMode.WHISPER, {"callee"})
    assert changes == []
    await caller.wait_frames(len(caller.frames) + 10)
    missed = (lost(caller, "callee"), lost(callee, "caller"))
    if missed != (0, 0):
        await call.disconnect(cut=True)
        await line.pbx.empty()
    whole(missed == (0, 0), missed)
    assert await heard_by(call, callee, caller) == [True, False]
    await call.whisper(to="caller")
    assert await heard_by(call, callee, caller) == [False, True]
    await call.barge()
    assert await heard_by(call, callee, caller) == [True, True]
    await call.spy()
    assert await heard_by(call, callee, caller) == [False, False]
    assert not any(stream.ended for stream in streams)
    assert len(await line.pbx.channels()) == 2 + len(ANCHORS) + 2 * 2
    await call.disconnect()


async def test_a_media_socket_alone_breaks(line: Line) -> None:
    caller, callee, call = await line.connected()
    stream = call.audio_stream("callee")
    await call.whisper()
    socket = call._agent._sockets[CALLEE]
    assert socket._ws is not None
    await socket._ws.close()
    sockets = call._agent._sockets
    await until(lambda: sockets.get(CALLEE, socket) is not socket, "a new line")
    await flows(stream)
    assert await heard_by(call, callee, caller) == [True, False]
    await call.disconnect()


@pytest.mark.parametrize("party", ["caller", "callee"])
async def test_a_hang_up_meanwhile_is_noticed(line: Line, party: str) -> None:
    caller, callee, call = await line.connected()
    await line.proxy.refuse()
    await line.down()
    await (caller if party == "caller" else callee).hangup()
    await line.proxy.resume()
    async with asyncio.timeout(3):
        reason = await call.wait_ended()
    # The legs release each other in Asterisk: who went first can be told by events alone.
    assert reason in {EndReason.CALLER_HUNG_UP, EndReason.CALLEE_HUNG_UP}
    await caller.wait_closed()
    await callee.wait_closed()


async def test_a_caller_alone_who_hung_up_meanwhile(line: Line) -> None:
    caller, call = await line.call()
    await call.answer()
    await line.proxy.refuse()
    await line.down()
    await caller.hangup()
    await line.proxy.resume()
    async with asyncio.timeout(3):
        assert await call.wait_ended() is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("state", ["PENDING", "ANSWERED"])
async def test_a_callee_who_answered_meanwhile(line: Line, state: str) -> None:
    caller, call = await line.call()
    if state == "ANSWERED":
        await call.answer()
    connecting = asyncio.create_task(call.connect())
    leg = await line.pbx.callee_leg(call)
    await until(lambda: call._engine._diallings[CALLEE]._watch, "he is being rung")
    await line.proxy.refuse()
    await line.down()
    callee = await line.pbx.keep(
        DirectParty.answer(line.pbx.instance.info.ari, leg, tone=CALLEE_TONE)
    )
    await line.proxy.resume()
    async with asyncio.timeout(3):
        await connecting
    assert state_of(call) is CallState.CONNECTED
    assert await heard_by(call, callee, caller) == [True, True]
    await call.disconnect()


async def test_callers_before_and_after(line: Line) -> None:
    caller, call = await line.call()
    await line.proxy.refuse()
    await line.down()
    await line.proxy.resume()
    await line.up()
    _other, second = await line.call()
    assert second.call_id != call.call_id
    assert line.calls.empty()
    assert state_of(call) is CallState.PENDING
    assert not caller.closed
    await call.disconnect()
    await second.disconnect()


async def test_a_caller_whose_arrival_was_lost(line: Line) -> None:
    # While the socket is closed Asterisk lets nobody in to the application: who came meanwhile is
    # one whose arrival was on its way when the link broke.
    line.proxy.stall()
    ari = line.pbx.instance.info.ari
    caller = await line.pbx.keep(DirectParty.call(ari, "1002", tone=None))
    await line.down()
    await line.proxy.resume()
    async with asyncio.timeout(5):
        call = await line.calls.get()
    await call.answer()
    await until(lambda: line.is_up, "the link is up")
    assert line.calls.empty()
    await call.disconnect()
    await caller.wait_closed()


async def test_storms_of_drops(line: Line) -> None:
    caller, callee, call = await line.connected()
    await call.whisper()
    caller.clear()
    for _ in range(8):
        await line.proxy.cut()
        await until(lambda: line.proxy.open_connections, "another attempt")
    await line.up()
    await until(lambda: lines_alive(call), "the lines are made anew")
    assert line.calls.empty()
    assert [engine.incoming.call_id for engine in _engines(line)] == [call.call_id]
    assert await heard_by(call, callee, caller) == [True, False]
    await call.barge()
    assert await heard_by(call, callee, caller) == [True, True]
    await call.disconnect()


async def test_a_call_that_was_lost_comes_back_to_who_listens(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_SILENT_SECONDS", 1.0)
    resumed: list[ActiveCall] = []
    line.client.on(events.CALL_RESUMED, resumed.append)
    caller, callee, call = await line.connected()
    line.proxy.stall()
    async with asyncio.timeout(4):
        assert await call.wait_ended() is EndReason.SERVER_LOST
    await line.proxy.resume()
    await line.up()
    await until(lambda: len(resumed) == 1, "the call is back")
    (again,) = resumed
    assert (again.call_id, state_of(again)) == (call.call_id, CallState.CONNECTED)
    assert mode_of(again) == (AudioMode.SPY, set())
    assert state_of(call) is CallState.DISCONNECTED
    await again.disconnect()
    await caller.wait_closed()
    await callee.wait_closed()


async def test_a_server_that_is_silent_too_long(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_SILENT_SECONDS", 1.0)
    caller, callee, call = await line.connected()
    line.proxy.stall()
    with pytest.raises(ServerError):
        await call.spy()
    async with asyncio.timeout(4):
        assert await call.wait_ended() is EndReason.SERVER_LOST
    count = len(caller.frames)
    await line.proxy.resume()
    await line.up()
    # The parties talked on, and are looked after again by whoever comes back.
    await until(lambda: len(_engines(line)) == 1, "the call is taken over")
    await caller.wait_frames(count + 10)

    async def only_theirs() -> bool:
        return len(await line.pbx.channels()) == 2 + len(ANCHORS)

    await until_true(only_theirs, "what was the agent's is removed")
    await callee.hangup()
    await caller.wait_closed()


async def test_the_client_leaves_while_the_link_is_down(line: Line) -> None:
    caller, callee, call = await line.connected()
    await line.proxy.refuse()
    await line.down()
    async with asyncio.timeout(4):
        await line.client.disconnect()
    assert state_of(call) is CallState.DISCONNECTED
    count = len(caller.frames)
    await caller.wait_frames(count + 10)
    await callee.hangup()
    await caller.wait_closed()
    await line.proxy.resume()
    # What it could not remove is found by the next one.
    await line.client.connect()


def _engines(line: Line) -> tuple[CallEngine, ...]:
    assert line.client._controller is not None
    return line.client._controller.engines
