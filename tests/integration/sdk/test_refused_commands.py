"""Asterisk refuses commands, or does not answer: the call is as it was, and nobody hears more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bridge import ActiveCall, AudioMode, CallState, EndReason, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, levels, tone
from bridge.lab.hearing.steady import steady_levels
from bridge.lab.waiting import until
from bridge.model.errors import (
    CallerGoneError,
    ConnectFailedError,
    ErrorCode,
    ServerError,
)
from tests.support.hearing import clearly, settles
from tests.support.pbx import (
    CALLEE_TONE,
    CALLER_TONE,
    DirectCall,
    Pbx,
    mode_of,
    state_of,
    until_true,
)
from tests.support.refusals import Refusals

pytestmark = pytest.mark.asterisk

RATE = 16000
SPEECH = tone(TONES["agent"], -15.0, 0.5, RATE).astype("<i2").tobytes()


@dataclass
class Stage:
    """A call whose commands can be refused."""

    pbx: Pbx
    direct: DirectCall
    refuse: Refusals
    said: int = 0
    """How often something was said: what is heard unclearly is said again."""

    @property
    def call(self) -> ActiveCall:
        return self.direct.call

    async def connected(self) -> tuple[DirectParty, DirectParty]:
        return self.direct.caller, await self.direct.connect()

    async def hears(self, expected: set[str]) -> None:
        """Say something, and fail unless exactly these hear it."""
        await settles(self._heard, expected)

    async def _heard(self) -> set[str]:
        parties = {"caller": self.direct.caller, "callee": self.direct.callee}
        there = {name: party for name, party in parties.items() if party is not None}
        for party in there.values():
            party.clear()
        await self.call.send_audio(SPEECH)
        self.said += 1
        for party in there.values():
            await party.wait_frames(20)
        found = {n: levels(p.pcm()[-RATE // 10 :], RATE, TONES)["agent"] for n, p in there.items()}
        self.call.clear_send_audio_buffer()
        return clearly(found, absent_dbfs=-75, present_dbfs=-18)

    async def has(self, channels: int, bridges: int) -> None:
        """Wait until so much stands in Asterisk, and no more."""

        async def so_much() -> bool:
            counts = (len(await self.pbx.channels()), len(await self.pbx.bridges()))
            return counts == (channels, bridges)

        await until_true(so_much, f"{channels} channels, {bridges} bridges")


CALLER_ALONE = (1, 0)
ANSWERED = (1 + 2 + 2, 2)
CONNECTED = (2 + 2 + 4, 3)
LEFT = (2 + 2, 1)


@pytest.fixture
async def stage(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> Stage:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    party = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    assert program.client._controller is not None
    refusals = Refusals(program.client._controller.ari)
    refusals.install(monkeypatch)
    direct = DirectCall(pbx, call, party, callee_tone=CALLEE_TONE)
    return Stage(pbx, direct, refusals)


SNOOP = r"POST channels/.*/snoop/.*"
MEDIA = r"POST channels/externalMedia"
BRIDGE = r"POST bridges/.*bridge\.call.*"
ADD = r"POST bridges/.*/addChannel"
ANSWER = r"POST channels/.*/answer"
MUTE = r"POST channels/.*/mute"
UNMUTE = r"DELETE channels/.*/mute"
HANGUP = r"DELETE channels/[^/]*"
DESTROY = r"DELETE bridges/[^/]*"


@pytest.mark.parametrize("request_", [ANSWER, SNOOP, MEDIA, BRIDGE, ADD, UNMUTE])
@pytest.mark.parametrize("how", ["422", "timed out, done", "dropped, done"])
async def test_answer(stage: Stage, request_: str, how: str) -> None:
    rule = stage.refuse.add(request_, how)
    with pytest.raises(ServerError):
        await stage.call.answer()
    assert rule.hits
    assert state_of(stage.call) is CallState.PENDING
    assert mode_of(stage.call) == (AudioMode.SPY, set())
    stage.refuse.stop()
    await stage.has(*CALLER_ALONE)
    await stage.call.answer()
    await stage.has(*ANSWERED)
    await stage.hears({"caller"})
    await stage.call.disconnect()


@pytest.mark.parametrize("request_", [SNOOP, MEDIA, BRIDGE, ADD, MUTE, UNMUTE])
async def test_once_is_no_failure(stage: Stage, request_: str) -> None:
    rule = stage.refuse.add(request_, times=1)
    await stage.call.answer()
    assert rule.hits == 1
    await stage.has(*ANSWERED)
    await stage.hears({"caller"})
    await stage.call.disconnect()


@pytest.mark.parametrize("how", ["404", "409"])
async def test_answer_to_a_caller_who_is_not_there(stage: Stage, how: str) -> None:
    stage.refuse.add(ANSWER, how)
    with pytest.raises(CallerGoneError):
        await stage.call.answer()
    async with asyncio.timeout(3):
        assert await stage.call.wait_ended() is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("answered", ["PENDING", "ANSWERED"])
@pytest.mark.parametrize(
    ("request_", "how", "code"),
    [
        (r"POST channels/create", "500", ErrorCode.CALL_UNREACHABLE),
        (r"POST channels/create", "timed out, done", ErrorCode.COMMAND_TIMEOUT),
        (r"POST channels/create", "dropped, done", ErrorCode.SERVER_UNREACHABLE),
        (r"POST channels/.*/dial", "500", ErrorCode.CALL_UNREACHABLE),
        (r"POST channels/.*/dial", "timed out, done", ErrorCode.COMMAND_TIMEOUT),
    ],
)
async def test_ringing(
    stage: Stage, answered: str, request_: str, how: str, code: ErrorCode
) -> None:
    if answered == "ANSWERED":
        await stage.call.answer()
    stage.refuse.add(request_, how)
    with pytest.raises((ConnectFailedError, ServerError)) as caught:
        await stage.call.connect()
    assert caught.value.error_code is code
    assert state_of(stage.call) == answered
    await stage.has(*(ANSWERED if answered == "ANSWERED" else CALLER_ALONE))
    stage.refuse.stop()
    await stage.connected()
    await stage.has(*CONNECTED)
    await stage.call.disconnect()


@pytest.mark.parametrize("answered", ["PENDING", "ANSWERED"])
@pytest.mark.parametrize("request_", [ADD, SNOOP, MEDIA, UNMUTE])
async def test_joining(stage: Stage, answered: str, request_: str) -> None:
    if answered == "ANSWERED":
        await stage.call.answer()
    rule = stage.refuse.add(request_, "422")
    connecting = asyncio.create_task(stage.call.connect())
    leg = await stage.pbx.callee_leg(stage.call)
    callee = await stage.pbx.keep(
        DirectParty.answer(stage.pbx.instance.info.ari, leg, tone=CALLEE_TONE)
    )
    with pytest.raises(ServerError):
        await connecting
    assert rule.hits
    assert state_of(stage.call) == answered
    stage.refuse.stop()
    await callee.wait_closed()
    await stage.has(*(ANSWERED if answered == "ANSWERED" else CALLER_ALONE))
    if answered == "ANSWERED":
        await stage.hears({"caller"})
    await stage.connected()
    await stage.hears({"caller", "callee"})
    await stage.call.disconnect()


@pytest.mark.parametrize("how", ["500", "timed out, done"])
@pytest.mark.parametrize(
    ("before", "request_", "after"),
    [
        ("spy", UNMUTE, "whisper"),
        ("spy", UNMUTE, "barge"),
        ("barge", MUTE, "whisper"),
        ("barge", MUTE, "spy"),
        ("whisper", MUTE, "caller"),
        ("whisper", UNMUTE, "caller"),
    ],
)
async def test_a_mode_change_fails_closed(
    stage: Stage, before: str, request_: str, after: str, how: str
) -> None:
    await stage.connected()
    turn: dict[str, Callable[[], Any]] = {
        "spy": stage.call.spy,
        "whisper": stage.call.whisper,
        "caller": lambda: stage.call.whisper(to="caller"),
        "barge": stage.call.barge,
    }
    await turn[before]()
    changes: list[AudioMode] = []
    stage.call.on(events.CALL_MODE_CHANGED, lambda: changes.append(stage.call.mode))
    rule = stage.refuse.add(request_, how)
    with pytest.raises(ServerError):
        await turn[after]()
    assert rule.hits
    assert mode_of(stage.call) == (AudioMode.SPY, set())
    dropped_before = stage.call.dropped_audio.total
    await stage.hears(set())
    assert stage.call.dropped_audio.total - dropped_before == stage.said * len(SPEECH)
    assert changes == ([] if before == "spy" else [AudioMode.SPY])
    stage.refuse.stop()
    await stage.call.whisper()
    await stage.hears({"callee"})
    await stage.call.spy()
    await stage.hears(set())
    await stage.call.disconnect()


async def test_a_mode_change_that_fails_lets_the_next_ones_be(stage: Stage) -> None:
    await stage.connected()
    await stage.call.spy()
    await stage.call.send_audio(SPEECH)
    stage.refuse.add(UNMUTE, times=3)
    results = await asyncio.gather(
        stage.call.whisper(), stage.call.whisper(to="caller"), return_exceptions=True
    )
    assert [type(result) for result in results] == [ServerError, type(None)]
    assert mode_of(stage.call) == (AudioMode.WHISPER, {"caller"})
    await stage.hears({"caller"})
    await stage.call.disconnect()


async def test_what_was_sent_for_a_mode_that_failed_is_heard_by_nobody(stage: Stage) -> None:
    caller, callee = await stage.connected()
    await stage.call.spy()
    refusing = asyncio.Event()
    stage.refuse.add(UNMUTE, held=refusing)
    caller.clear()
    callee.clear()
    turning = asyncio.create_task(stage.call.barge())
    await until(lambda: stage.call._agent.voice.route, "what is sent is for both")
    await stage.call.send_audio(SPEECH)
    refusing.set()
    with pytest.raises(ServerError):
        await turning
    for party, other in ((caller, "callee"), (callee, "caller")):
        await party.wait_frames(len(party.frames) + 40)
        # Apart from a lost frame, which is heard at all frequencies.
        heard = steady_levels(party.pcm(), RATE, TONES, [TONES[other]])
        assert heard["agent"] < -75
    assert stage.call.dropped_audio.refused == len(SPEECH)
    assert stage.call.get_send_audio_buffer_size() == 0
    await stage.call.disconnect()


async def test_close_that_cannot_remove(stage: Stage) -> None:
    caller, callee = await stage.connected()
    await stage.call.whisper()
    rule = stage.refuse.add(HANGUP)
    await stage.call.close()
    assert stage.call.end_reason is EndReason.AGENT_LEFT
    assert rule.hits
    assert not caller.closed
    assert not callee.closed
    stage.refuse.stop()
    # It is tried again by itself.
    await stage.has(*LEFT)
    await caller.hangup()
    await callee.wait_closed()


async def test_disconnect_that_cannot_hang_up_at_once(stage: Stage) -> None:
    caller, callee = await stage.connected()
    hangup = stage.refuse.add(HANGUP, times=12)
    destroy = stage.refuse.add(DESTROY, times=3)
    await stage.call.disconnect()
    await caller.wait_closed()
    await callee.wait_closed()
    await until(lambda: (hangup.hits, destroy.hits) == (12, 3), "it was tried often enough")
    assert stage.call.end_reason is EndReason.AGENT_ENDED


async def test_a_line_that_cannot_be_mended_at_once(stage: Stage) -> None:
    await stage.connected()
    await stage.call.whisper()
    rule = stage.refuse.add(MEDIA, "timed out, done")
    socket = next(iter(stage.call._agent._sockets.values()))
    assert socket._ws is not None
    await socket._ws.close()
    await until(lambda: rule.hits >= 2, "it is tried again")
    assert mode_of(stage.call) == (AudioMode.WHISPER, {"callee"})
    stage.refuse.stop()
    await until(
        lambda: (
            all(not s.closed for s in stage.call._agent._sockets.values())
            and len(stage.call._agent._sockets) == 2
        ),
        "the line is there again",
    )
    await stage.has(*CONNECTED)
    await stage.hears({"callee"})
    await stage.call.disconnect()


async def test_a_line_that_asterisk_refuses_silences_the_agent(stage: Stage) -> None:
    await stage.connected()
    await stage.call.whisper()
    changed = asyncio.Event()
    stage.call.on(events.CALL_MODE_CHANGED, changed.set)
    stage.refuse.add(SNOOP)
    victim = next(i for i in await stage.pbx.channels() if "snoop.ai.callee" in i)
    await stage.refuse.ari.channels.hangup(channel_id=victim)
    async with asyncio.timeout(5):
        await changed.wait()
    assert mode_of(stage.call) == (AudioMode.SPY, set())
    stage.refuse.stop()
    await stage.call.barge()
    await stage.hears({"caller", "callee"})
    await stage.call.disconnect()
