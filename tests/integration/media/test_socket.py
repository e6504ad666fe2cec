"""MediaSocket against a server that misbehaves: what a real Asterisk seldom does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.model.errors import MediaError

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FORMAT = AudioFormat(16000)
FRAME = bytes(FORMAT.frame_bytes)
START = "MEDIA_START connection_id:c channel:W format:slin16 optimal_frame_size:640 ptime:20"


class Scene:
    """A socket, and what it told."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.heard: list[bytes] = []
        self.reasons: list[str] = []
        self.socket = MediaSocket(
            lambda: http.ws_connect(url, protocols=["media"]),
            FORMAT,
            on_audio=lambda pcm, _at: self.heard.append(pcm),
            on_closed=self.reasons.append,
            name="line",
        )


@asynccontextmanager
async def against(
    serve: Callable[[web.WebSocketResponse], Awaitable[None]], *, path: str = "/media"
) -> AsyncIterator[Scene]:
    """Serve one connection with ``serve``; nothing may be left afterwards."""
    before = asyncio.all_tasks()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=["media"])
        await ws.prepare(request)
        await serve(ws)
        return ws

    app = web.Application()
    app.router.add_get("/media", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        scene = Scene(f"http://{host}:{port}{path}", http)
        try:
            yield scene
        finally:
            await scene.socket.aclose()
    await runner.cleanup()
    await until(lambda: asyncio.all_tasks() == before)


async def drink(ws: web.WebSocketResponse) -> None:
    async for _ in ws:
        pass


async def test_no_media_start_in_time() -> None:
    async with against(drink) as scene:
        with pytest.raises(MediaError, match=r"no MEDIA_START within 0\.05 s"):
            await scene.socket.open(within=0.05)
        assert scene.socket.closed
        assert not scene.socket.send_frame(FRAME)
        assert scene.reasons == []


async def test_a_channel_of_another_format() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START.replace("640", "320").replace("slin16", "slin"))
        await drink(ws)

    async with against(serve) as scene:
        with pytest.raises(MediaError, match="create it with format slin16"):
            await scene.socket.open()


async def test_closed_before_media_start() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.close(code=1011)

    async with against(serve) as scene:
        with pytest.raises(MediaError, match="1011"):
            await scene.socket.open()
        assert scene.reasons == []


async def test_nobody_there() -> None:
    async with aiohttp.ClientSession() as http:
        scene = Scene("http://127.0.0.1:9/media", http)
        with pytest.raises(MediaError, match="cannot open"):
            await scene.socket.open()
        await scene.socket.aclose()


async def test_a_connection_id_that_is_not_known() -> None:
    async with against(drink, path="/media/other") as scene:
        with pytest.raises(MediaError, match="404"):
            await scene.socket.open()
        assert scene.socket.closed
        assert scene.reasons == []


async def test_the_end_is_told_once_and_marks_get_none() -> None:
    closing = asyncio.Event()

    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        await closing.wait()
        await ws.close(code=1001)

    async with against(serve) as scene:
        await scene.socket.open()
        mark = scene.socket.mark()
        closing.set()
        assert await asyncio.wait_for(mark, 2) is None
        assert scene.reasons == ["closed by Asterisk (1001)"]
        assert scene.socket.closed
        assert not scene.socket.send_frame(FRAME)
        assert scene.socket.counts.refused == 1
        assert scene.socket.mark().result() is None
        with pytest.raises(MediaError, match="closed"):
            await scene.socket.status()


async def test_xoff_holds_and_xon_lets_go() -> None:
    resume = asyncio.Event()
    taken: list[int] = []

    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        await ws.send_str("MEDIA_XOFF")
        await resume.wait()
        await ws.send_str("MEDIA_XON")
        taken.append(len((await ws.receive()).data))
        await drink(ws)

    async with against(serve) as scene:
        await scene.socket.open()
        await until(lambda: scene.socket.xoff)
        assert not scene.socket.send_frame(FRAME)
        resume.set()
        await until(lambda: not scene.socket.xoff)
        assert scene.socket.send_frame(FRAME)
        await until(lambda: taken == [640])
        assert scene.socket.counts.xoff == 1


async def test_a_flush_takes_back_what_has_not_left_yet() -> None:
    got: list[bytes | str] = []

    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        while (message := await ws.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            got.append(message.data)

    async with against(serve) as scene:
        await scene.socket.open()
        scene.socket.send_frame(FRAME)
        mark = scene.socket.mark()
        scene.socket.flush()
        again = scene.socket.mark()
        assert mark.result() is None
        await until(lambda: len(got) == 2)
        assert got == ["FLUSH_MEDIA", "MARK_MEDIA 2"]
        assert not again.done()


async def test_a_server_that_does_not_read_is_given_up() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        await drink(ws)

    async with against(serve) as scene:
        await scene.socket.open()
        # No turn of the loop: the transmitting task cannot send meanwhile.
        taken = sum(scene.socket.send_frame(FRAME) for _ in range(400))
        assert taken == 250
        assert scene.socket.closed
        assert scene.reasons == ["Asterisk does not take the audio"]


async def test_nonsense_is_counted_and_not_fatal() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        for text in ("{", "STATUS queue_length:many", "ERROR error_text:no", "NEWS", "MEDIA_START"):
            await ws.send_str(text)
        await ws.send_bytes(FRAME)
        await drink(ws)

    async with against(serve) as scene:
        await scene.socket.open()
        await until(lambda: scene.heard == [FRAME])
        assert scene.socket.counts.errors == 2
        assert not scene.socket.closed


async def test_a_frame_of_another_size_is_the_callers_mistake() -> None:
    async def serve(ws: web.WebSocketResponse) -> None:
        await ws.send_str(START)
        await drink(ws)

    async with against(serve) as scene:
        await scene.socket.open()
        with pytest.raises(ValueError, match="640"):
            scene.socket.send_frame(FRAME[:-2])


async def test_a_cancelled_open_leaves_nothing() -> None:
    async with against(drink) as scene:
        opening = asyncio.create_task(scene.socket.open())
        await asyncio.sleep(0.02)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert scene.socket.closed
