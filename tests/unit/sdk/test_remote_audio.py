"""Audio by URL, at a daemon that counts, refuses and breaks as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from aiohttp import web

from bridge.lab.waiting import until
from bridge.model import errors
from bridge.model.errors import CommandTimeoutError, ErrorCode
from bridge.protocol import frames
from bridge.protocol.operations import BASE
from bridge.protocol.requests import ChangeMode, Leave, SetMusic
from bridge.sdk.address import DaemonAddress
from bridge.sdk.remote import audio as module
from bridge.sdk.remote import audio_socket
from bridge.sdk.remote.audio import Audio
from bridge.sdk.remote.http import Http

RATE = 8000
SECOND = bytes(2 * RATE)
FRAME = bytes(range(256)) + bytes(2 * RATE // 50 - 256)
CLEAR = msgspec.json.encode(frames.ClearAudio()).decode()
BREAKS = 1011


@dataclass
class Daemon:
    """Takes the audio of one participant, whose send buffer has room for a second."""

    position: int = 0
    """How much it says that it has, to who connects."""
    refusal: tuple[ErrorCode, int] | None = None
    opened: int = 0
    came: list[bytes | str] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    """Those that it has opened."""
    _socket: web.WebSocketResponse | None = None

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Carry one socket to its end."""
        socket = self._socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.refusal is not None:
            code, close = self.refusal
            await self.say(frames.CutOff(code=code, message="no"))
            await socket.close(code=close)
            return socket
        self.opened += 1
        self.sockets.append(socket)
        ready = frames.AudioReady(sample_rate=RATE, send_buffer_seconds=1.0, position=self.position)
        await self.say(ready)
        async for message in socket:
            self.came.append(message.data)
        return socket

    async def say(self, frame: frames.ServerFrame) -> None:
        """Send a message."""
        assert self._socket is not None
        await self._socket.send_str(msgspec.json.encode(frame).decode())

    async def lose(self, *, all_but: int) -> None:
        """Break the socket: so many bytes have come."""
        assert self._socket is not None
        opened, self.position = self.opened, all_but
        await self._socket.close(code=BREAKS)
        await until(lambda: self.opened > opened, "it is opened again")


@pytest.fixture
async def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def audio(daemon: Daemon) -> AsyncIterator[Audio]:
    app = web.Application()
    app.router.add_get(BASE + frames.AUDIO_SOCKET, daemon.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = Http(DaemonAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", "none"))
    await http.open()
    audio = Audio(http, lambda: ("c1", "ai"), RATE)
    yield audio
    await audio.aclose()
    await http.close()
    await runner.cleanup()


class Command:
    """One that the daemon carries out when all that it counts has come."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.asked: list[int | None] = []

    async def __call__(self, said: Leave) -> None:
        self.asked.append(said.after_audio)
        await self.meanwhile()
        if (said.after_audio or 0) > self._daemon.position:
            raise CommandTimeoutError("not all of it has come")

    async def meanwhile(self) -> None:
        """Nothing happens."""


async def test_before_anything_was_said_a_command_waits_for_nothing(
    daemon: Daemon, audio: Audio
) -> None:
    command = Command(daemon)
    await audio.in_order(Leave(), command)
    audio.attend()
    await audio.in_order(Leave(), command)
    assert command.asked == [None, None]


async def test_what_has_no_place_in_the_audio_is_asked_as_it_is(audio: Audio) -> None:
    async def carry_out(said: SetMusic) -> SetMusic:
        return said

    await audio.send(SECOND)
    assert await audio.in_order(SetMusic(music="blues"), carry_out) == SetMusic(music="blues")


async def test_what_is_lost_before_a_command_is_not_waited_for(
    daemon: Daemon, audio: Audio
) -> None:
    command = Command(daemon)
    await audio.send(SECOND)
    await until(lambda: daemon.came, "it has come")
    await daemon.lose(all_but=100)
    await audio.in_order(Leave(), command)
    assert command.asked == [100]


async def test_what_is_lost_during_a_command_is_not_waited_for(
    daemon: Daemon, audio: Audio
) -> None:
    class Breaking(Command):
        async def meanwhile(self) -> None:
            if len(self.asked) == 1:
                await daemon.lose(all_but=100)
                await audio.send(SECOND[:200])
                await until(lambda: daemon.came[-1] == SECOND[:200], "what is said later comes")

    command = Breaking(daemon)
    await audio.send(SECOND)
    await until(lambda: daemon.came, "it has come")
    await audio.in_order(Leave(), command)
    assert command.asked == [len(SECOND), 100]


async def test_what_was_dropped_before_it_was_sent_is_not_waited_for(
    daemon: Daemon, audio: Audio
) -> None:
    class Dropping(Command):
        async def meanwhile(self) -> None:
            audio.clear()

    command = Dropping(daemon)
    await audio.send(b"")
    await audio.send(SECOND)
    await audio.in_order(Leave(), command)
    assert command.asked == [len(SECOND), None]
    assert audio.dropped.cleared == len(SECOND)


async def test_a_command_that_had_all_that_it_counts_and_took_too_long_is_not_done_twice(
    daemon: Daemon, audio: Audio
) -> None:
    class Ringing(Command):
        async def meanwhile(self) -> None:
            audio.clear()
            await audio.send(SECOND)
            await until(lambda: daemon.came, "as much has come as it waits for")
            await daemon.say(frames.AudioProgress(received=len(SECOND), buffered=10))
            await until(lambda: audio.unplayed == 10, "it is told")

    command = Ringing(daemon)
    await audio.send(b"")
    await audio.send(SECOND)
    with pytest.raises(CommandTimeoutError):
        await audio.in_order(Leave(), command)
    assert command.asked == [len(SECOND)]


async def test_a_command_that_takes_too_long_does(daemon: Daemon, audio: Audio) -> None:
    await audio.send(SECOND)
    command = Command(daemon)
    with pytest.raises(CommandTimeoutError):
        await audio.in_order(Leave(), command)
    assert command.asked == [len(SECOND)]


async def test_what_is_cleared_makes_room_at_once(daemon: Daemon, audio: Audio) -> None:
    full = len(SECOND)
    before = frames.AudioProgress(received=full, buffered=full)
    after = frames.AudioProgress(received=full, buffered=0, dropped={"cleared": full})
    await audio.send(SECOND)
    await until(lambda: daemon.came, "it has come")
    with pytest.raises(errors.BufferFullError):
        await audio.send(SECOND)
    await daemon.say(before)
    audio.clear()
    assert audio.unplayed == 0
    await audio.send(SECOND)
    assert audio.unplayed == full
    # The daemon tells what it had before it heard of it.
    await daemon.say(before)
    await daemon.say(frames.CutOff(code=ErrorCode.DRAINING, message="read up to here"))
    await until(lambda: daemon.came[1:] == [CLEAR, SECOND], "the rest has come, in order")
    assert audio.unplayed == full
    await daemon.say(after)
    await until(lambda: audio.dropped.cleared == full, "it is told")
    assert audio.unplayed == full
    await daemon.say(frames.AudioProgress(received=2 * full, buffered=10, dropped=after.dropped))
    await until(lambda: audio.unplayed == 10, "the daemon is believed again")


@pytest.mark.parametrize("heard", [True, False])
async def test_what_is_to_be_cleared_is_cleared_though_the_socket_broke(
    daemon: Daemon, audio: Audio, *, heard: bool
) -> None:
    await audio.send(SECOND)
    await until(lambda: daemon.came, "it has come")
    audio.clear()
    await until(lambda: daemon.came[1:] == [CLEAR], "the daemon has read it")
    if heard:
        full = len(SECOND)
        told = frames.AudioProgress(received=full, buffered=0, dropped={"cleared": full})
        await daemon.say(told)
        await until(lambda: audio.dropped.cleared == full, "it is told")
    await daemon.lose(all_but=len(SECOND))
    await audio.send(SECOND[:100])
    rest = [SECOND[:100]] if heard else [CLEAR, SECOND[:100]]
    await until(lambda: daemon.came[2:] == rest, "what it may not have heard is said again")


@pytest.mark.parametrize("closes", [True, False], ids=["is closed", "is not closed"])
async def test_the_last_words_of_who_has_gone_are_heard(
    daemon: Daemon, audio: Audio, monkeypatch: pytest.MonkeyPatch, *, closes: bool
) -> None:
    monkeypatch.setattr(module, "_LAST_SECONDS", 30.0 if closes else 0.5)
    stream = audio.subscribe("callee", 1.0)
    await until(lambda: bool(daemon.sockets), "it is open")
    (old,) = daemon.sockets
    audio.leave("callee")
    await old.send_bytes(FRAME)
    again = audio.subscribe("callee", 1.0)
    await until(lambda: len(daemon.sockets) > 1, "who comes back is heard by another socket")
    if closes:
        await old.close()
    async with asyncio.timeout(5):
        assert [frame async for frame in stream] == [FRAME]
    assert not again.ended


@pytest.mark.parametrize(
    ("code", "close", "error"),
    [
        (ErrorCode.FORBIDDEN, frames.CLOSE_FORBIDDEN, errors.ForbiddenError),
        (ErrorCode.UNAUTHENTICATED, frames.CLOSE_UNAUTHENTICATED, errors.UnauthenticatedError),
        (ErrorCode.CALL_NOT_FOUND, frames.CLOSE_NOT_FOUND, errors.CallClosedError),
        (ErrorCode.CALL_CLOSED, 1000, errors.CallClosedError),
    ],
)
async def test_who_may_not_speak_is_told_why(
    daemon: Daemon, audio: Audio, code: ErrorCode, close: int, error: type[Exception]
) -> None:
    daemon.refusal = code, close
    for _ in range(2):
        with pytest.raises(error):
            await audio.send(SECOND)


async def test_who_is_to_come_again_later_waits_longer_each_time(
    daemon: Daemon, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recorded:
        def __init__(self) -> None:
            self.failures: list[int] = []

        def delay_s(self, failures: int) -> float:
            self.failures.append(failures)
            if failures == 3:
                daemon.refusal = None
            return 0.0

    backoff = Recorded()
    monkeypatch.setattr(audio_socket, "_BACKOFF", backoff)
    daemon.refusal = ErrorCode.RATE_LIMITED, 1013
    await audio.send(SECOND)
    assert backoff.failures == [1, 2, 3]


@dataclass
class Slow:
    """A change of mode that takes its time."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, said: ChangeMode) -> None:
        del said
        self.asked.set()
        await self.done.wait()


@asynccontextmanager
async def turning(audio: Audio) -> AsyncIterator[Slow]:
    """Change the mode during the block."""
    command = Slow()
    changing = asyncio.create_task(audio.in_order(ChangeMode(mode="whisper"), command))
    await command.asked.wait()
    yield command
    command.done.set()
    await changing


BEFORE, AFTER = SECOND[:100], SECOND[:200]


async def test_what_is_said_during_a_change_of_mode_does_not_overtake_it(
    daemon: Daemon, audio: Audio
) -> None:
    await audio.send(BEFORE)
    async with turning(audio):
        await audio.send(AFTER)
        await until(lambda: daemon.came, "what was said before it comes")
        await daemon.say(frames.AudioProgress(received=len(BEFORE), buffered=1))
        await until(lambda: audio.unplayed == len(AFTER) + 1, "the daemon has been heard since")
        assert daemon.came == [BEFORE]
    await until(lambda: daemon.came == [BEFORE, AFTER], "what was said after it comes")


async def test_what_is_cleared_during_a_change_of_mode_is_cleared_at_once(
    daemon: Daemon, audio: Audio
) -> None:
    await audio.send(BEFORE)
    async with turning(audio):
        await audio.send(AFTER)
        await until(lambda: daemon.came, "what was said before it comes")
        audio.clear()
        await audio.send(BEFORE)
        await until(lambda: daemon.came == [BEFORE, CLEAR], "the clear comes")
    await until(lambda: daemon.came == [BEFORE, CLEAR, BEFORE], "what was said after it comes")


async def test_what_is_said_during_a_long_change_of_mode_waits_at_the_daemon(
    daemon: Daemon, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD_SECONDS", 0.01)
    await audio.send(BEFORE)
    async with turning(audio):
        await audio.send(AFTER)
        await until(lambda: daemon.came == [BEFORE, AFTER], "it is there in time")
