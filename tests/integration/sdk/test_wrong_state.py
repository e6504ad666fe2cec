"""Every command in every state: what does not fit raises its error and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from bridge import ActiveCall
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CommandInProgressError,
    InvalidStateError,
    UsageError,
)
from tests.support.pbx import DirectCall, Pbx, mode_of, state_of

pytestmark = pytest.mark.asterisk

FRAME = bytes(640)
FIVE_SECONDS = bytes(5 * 32000)


async def audio_stream(call: ActiveCall) -> None:
    await call.audio_stream().aclose()


COMMANDS: dict[str, Callable[[ActiveCall], Awaitable[None]]] = {
    "answer": lambda call: call.answer(),
    "connect": lambda call: call.connect(),
    "spy": lambda call: call.spy(),
    "whisper": lambda call: call.whisper(),
    "barge": lambda call: call.barge(),
    "send_audio": lambda call: call.send_audio(FRAME),
    "audio_stream": audio_stream,
}

STATE = InvalidStateError
BUSY = CommandInProgressError
OVER = CallClosedError

TABLE: dict[str, dict[str, type[UsageError] | None]] = {
    "PENDING": {
        "spy": STATE,
        "whisper": STATE,
        "barge": STATE,
        "send_audio": STATE,
        "audio_stream": STATE,
    },
    "ANSWERED": {
        "answer": STATE,
        "spy": STATE,
        "whisper": STATE,
        "barge": STATE,
        "send_audio": None,
        "audio_stream": None,
    },
    "PENDING, callee rings": {
        "answer": BUSY,
        "connect": BUSY,
        "spy": STATE,
        "whisper": STATE,
        "barge": STATE,
        "send_audio": STATE,
        "audio_stream": STATE,
    },
    "ANSWERED, callee rings": {
        "answer": BUSY,
        "connect": BUSY,
        "spy": STATE,
        "whisper": STATE,
        "barge": STATE,
        "send_audio": None,
        "audio_stream": None,
    },
    "CONNECTED": {
        "answer": STATE,
        "connect": STATE,
        "send_audio": None,
        "audio_stream": None,
    },
    "closing": {
        "answer": OVER,
        "connect": OVER,
        "spy": OVER,
        "whisper": OVER,
        "barge": OVER,
        "send_audio": OVER,
        "audio_stream": None,
    },
    "closed": {
        "answer": OVER,
        "connect": OVER,
        "spy": OVER,
        "whisper": OVER,
        "barge": OVER,
        "send_audio": OVER,
        "audio_stream": None,
    },
    "DISCONNECTED": {
        "answer": OVER,
        "connect": OVER,
        "spy": OVER,
        "whisper": OVER,
        "barge": OVER,
        "send_audio": OVER,
        "audio_stream": None,
    },
}
"""By hand. What is missing is the state's own business and tested elsewhere."""


@asynccontextmanager
async def pending(_direct: DirectCall) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def answered(direct: DirectCall) -> AsyncIterator[None]:
    await direct.call.answer()
    yield


@asynccontextmanager
async def ringing(direct: DirectCall) -> AsyncIterator[None]:
    connecting = asyncio.create_task(direct.call.connect())
    await direct.pbx.callee_leg(direct.call)
    yield
    await direct.call.disconnect()
    with pytest.raises(CallClosedError):
        await connecting


@asynccontextmanager
async def answered_ringing(direct: DirectCall) -> AsyncIterator[None]:
    await direct.call.answer()
    async with ringing(direct):
        yield


@asynccontextmanager
async def connected(direct: DirectCall) -> AsyncIterator[None]:
    await direct.connect()
    yield


@asynccontextmanager
async def closing(direct: DirectCall) -> AsyncIterator[None]:
    await direct.connect()
    await direct.call.send_audio(FIVE_SECONDS)
    leaving = asyncio.create_task(direct.call.close())
    await until(lambda: not direct.pbx.session(direct.call).takes_audio, "close() is under way")
    yield
    await direct.call.close(cut=True)
    await leaving


@asynccontextmanager
async def closed(direct: DirectCall) -> AsyncIterator[None]:
    await direct.connect()
    await direct.call.close()
    yield


@asynccontextmanager
async def disconnected(direct: DirectCall) -> AsyncIterator[None]:
    await direct.call.disconnect()
    yield


STATES: dict[str, Callable[[DirectCall], AbstractAsyncContextManager[None]]] = {
    "PENDING": pending,
    "ANSWERED": answered,
    "PENDING, callee rings": ringing,
    "ANSWERED, callee rings": answered_ringing,
    "CONNECTED": connected,
    "closing": closing,
    "closed": closed,
    "DISCONNECTED": disconnected,
}


@pytest.mark.parametrize("state", list(TABLE))
async def test_commands(pbx: Pbx, state: str) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    async with STATES[state](direct):
        phase = pbx.session(call).phase
        before = (state_of(call), mode_of(call), call.end_reason)
        objects = await pbx.channels()
        for name, error in TABLE[state].items():
            if error is None:
                await COMMANDS[name](call)
            else:
                with pytest.raises(error) as caught:
                    await COMMANDS[name](call)
                assert type(caught.value) is error, name
            after = (state_of(call), mode_of(call), call.end_reason)
            assert after == before, name
            assert pbx.session(call).phase is phase, name
        assert set(await pbx.channels()) <= set(objects)
        if state in {"closed", "DISCONNECTED"}:
            await call.close()
            await call.disconnect()
            assert pbx.session(call).phase is phase


async def test_arguments_without_a_meaning(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    await direct.connect()
    before = mode_of(call)
    wrong: list[Callable[[], Awaitable[object]]] = [
        lambda: call.whisper(to="nobody"),
        lambda: call.whisper(to=[]),
        lambda: call.connect(ring_time_seconds=0),
        lambda: call.connect("not a number"),
        lambda: call.send_audio(b"\0"),
    ]
    for command in wrong:
        with pytest.raises(BadArgumentError):
            await command()
    with pytest.raises(BadArgumentError):
        call.audio_stream("nobody")
    with pytest.raises(BadArgumentError):
        call.on("CALL_WAITING", lambda: None)
    assert mode_of(call) == before
