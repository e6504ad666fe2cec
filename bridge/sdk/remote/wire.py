"""A WebSocket with JSON frames that is opened again whenever it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from bridge.ari import Backoff
from bridge.model.errors import (
    BadArgumentError,
    CallbridgeError,
    CommandTimeoutError,
    ErrorCode,
    ForbiddenError,
    ServerUnreachableError,
    UnauthenticatedError,
)
from bridge.protocol import frames
from bridge.protocol.problems import error_for
from bridge.sdk.remote.http import Http

_log = logging.getLogger(__name__)

_WELCOME_SECONDS: Final = 10.0
BACKOFF: Final = Backoff(shortest_s=0.05, longest_s=2.0)
_DECODER: Final = msgspec.json.Decoder(frames.ServerMessage)
FINAL: Final = {
    frames.CLOSE_UNAUTHENTICATED: ErrorCode.UNAUTHENTICATED,
    frames.CLOSE_FORBIDDEN: ErrorCode.FORBIDDEN,
    frames.CLOSE_BAD_FRAME: ErrorCode.BAD_ARGUMENT,
}
"""Closed so, trying again changes nothing."""
HOPELESS: Final = (UnauthenticatedError, ForbiddenError, BadArgumentError)


class Wire:
    """One WebSocket. Its frames are handed on in order, in a task of its own.

    hello: makes the first frame, each time. on_frame: told of every frame. on_down: told why the
    socket broke, each time; it is being opened again. on_end: told why it will not be. None of
    them may block. final: what it may be refused with, later on, that is an end in order.
    """

    def __init__(
        self,
        http: Http,
        path: str,
        *,
        hello: Callable[[], frames.ClientFrame],
        on_frame: Callable[[frames.ServerMessage], None],
        on_down: Callable[[str], None] = lambda _why: None,
        on_end: Callable[[CallbridgeError], None] = lambda _error: None,
        final: tuple[type[CallbridgeError], ...] = (),
    ) -> None:
        self._http = http
        self._path = path
        self._hello = hello
        self._on_frame = on_frame
        self._on_down = on_down
        self._on_end = on_end
        self._final = final
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._welcome: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        """Attempts since the last frame."""

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent now."""
        return self._socket is not None and not self._socket.closed

    async def open(self) -> None:
        """Open it; return when its first frame was handed on.

        Raises ServerUnreachableError, UnauthenticatedError, ForbiddenError, and what else the
        server refuses it with.
        """
        self._welcome = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"socket {self._path}")
        try:
            async with asyncio.timeout(_WELCOME_SECONDS):
                await asyncio.shield(self._welcome)
        except TimeoutError:
            await self.close()
            raise CommandTimeoutError(f"nothing came from {self._path}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close it for good. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send(self, frame: frames.ClientFrame) -> None:
        """Send one frame. Raises ServerUnreachableError while the socket is broken."""
        socket = self._socket
        if socket is None or socket.closed:
            raise ServerUnreachableError(f"{self._path} is being opened again")
        try:
            await socket.send_str(msgspec.json.encode(frame).decode())
        except (ConnectionError, aiohttp.ClientError) as error:
            raise ServerUnreachableError(f"{self._path} broke: {error}") from error

    async def _run(self) -> None:
        told = ""
        while True:
            try:
                self._socket = await self._http.socket(self._path)
                await self.send(self._hello())
                why = await self._read(self._socket)
            except CallbridgeError as error:
                if self._ends(error):
                    return
                why = str(error)
            except Exception as error:  # noqa: BLE001 - else nothing more is heard, unnoticed
                _log.exception("%s: a fault of callbridge", self._path)
                why = f"a fault of callbridge: {error!r}"
            finally:
                socket, self._socket = self._socket, None
                if socket is not None:
                    await socket.close()
            if self._welcomed:
                # However many attempts an outage takes, a reason is told once.
                level = logging.DEBUG if self._failures and why == told else logging.INFO
                _log.log(level, "%s broke: %s", self._path, why)
                told = why
                self._on_down(why)
            self._failures += 1
            await asyncio.sleep(BACKOFF.delay_s(self._failures))

    @property
    def _welcomed(self) -> bool:
        return self._welcome is not None and self._welcome.done()

    def _ends(self, error: CallbridgeError) -> bool:
        """Deal with an error; tell whether it is the end."""
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(error)
            return True
        if isinstance(error, self._final):
            self._on_end(error)
            return True
        if isinstance(error, HOPELESS):
            _log.error("%s is not opened again: %s", self._path, error)
            self._on_end(error)
            return True
        return False

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Hand frames on until the socket breaks; return why. Raises what the server says."""
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                frame = _DECODER.decode(message.data)
            except msgspec.MsgspecError as error:
                # Of a newer daemon: what is not known here is not waited for here either.
                _log.warning("%s: a frame is not understood: %s", self._path, error)
                continue
            if isinstance(frame, frames.CutOff):
                raise error_for(frame.code, frame.message)
            self._failures = 0
            try:
                self._on_frame(frame)
            except Exception:  # noqa: BLE001 - one frame must not cost all that follow it
                _log.exception("%s: a frame cannot be dealt with", self._path)
            if self._welcome is not None and not self._welcome.done():
                self._welcome.set_result(None)
        code = socket.close_code or 0
        if code in FINAL:
            raise error_for(FINAL[code], f"{self._path}: the server closed it ({code})")
        return f"closed ({code})"
