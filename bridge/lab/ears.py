"""A party whose audio Asterisk hands over directly: a measuring ear without a jitter buffer.

The party is a channel of chan_websocket (Asterisk 20.16, 22.6 or later), not a phone: what it
hears is what Asterisk writes to it, frame by frame, stamped on arrival. As a caller it enters the
dialplan like a phone; as a callee it is the channel that somebody dials as ``CALLEE_ENDPOINT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import aiohttp

from bridge.ari.media_door import door_of
from bridge.ari.settings import AriSettings
from bridge.lab.hearing import Pcm, pcm_from_bytes
from bridge.lab.hearing import tone as make_tone
from bridge.lab.phones.settings import Tone
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.errors import MediaError, ServerUnreachableError

RATE: Final = 16000
FRAME_BYTES: Final = 640
CALLEE_ENDPOINT: Final = "WebSocket/INCOMING/c(slin16)"
"""What to dial for a callee that ``DirectParty.answer`` can be."""

# Sent ahead of time, so that a late wake-up of this process is not heard as a gap.
_LEAD_FRAMES = 20
_KEPT_FRAMES = 50 * 60 * 10
_DEADLINE_S = 5.0
_ANSWERED_ERROR = 400
_GONE = 404


class Ari(Protocol):
    """Where ARI is, and who signs in: such as ``bridge.lab.asterisk.AriInfo``."""

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:8088/ari``."""

    @property
    def username(self) -> str:
        """ARI user."""

    @property
    def password(self) -> str:
        """ARI password."""


class DirectParty:
    """One party of a call; made by ``call`` or ``answer``, ended by ``hangup`` or by the others.

    Says its tone by an absolute clock of 20 ms, 0.4 s ahead. ``frames`` holds what it
    heard: ``(time.monotonic() of arrival, 20 ms of s16le at 16 kHz)``, the last ten minutes.
    """

    def __init__(self, info: Ari, channel_id: str, voice: Tone | None) -> None:
        settings = AriSettings(info.url, info.username, info.password)
        self._base = settings.root
        self._door = door_of(self._base)
        self._http = aiohttp.ClientSession(
            headers={"Authorization": settings.authorization()},
            timeout=aiohttp.ClientTimeout(total=_DEADLINE_S),
        )
        self.channel_id = channel_id
        self.voice = voice
        """The tone it says; None: it sends nothing at all. May be changed at any time."""
        self.frames: deque[tuple[float, bytes]] = deque(maxlen=_KEPT_FRAMES)
        self.overrun = False
        """Whether Asterisk's queue for it ever ran full (MEDIA_XOFF): its tone is late then."""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._heard = asyncio.Event()
        self._taken = 0
        """Frames that have ever arrived."""

    @classmethod
    async def call(
        cls,
        info: Ari,
        number: str,
        *,
        tone: Tone | None,
        context: str = "phones",
        caller_number: str = "1999",
    ) -> DirectParty:
        """Dial ``number`` in the dialplan's ``context``; its audio flows when this returns.

        The dialplan sees a channel that is up: as with every originated call, the caller has
        "answered" before the dialplan starts. Raises MediaError or ServerUnreachableError.
        """
        party = cls(info, f"direct-{secrets.token_hex(12)}", tone)
        query = {
            "endpoint": CALLEE_ENDPOINT,
            "context": context,
            "extension": number,
            "priority": "1",
            "callerId": caller_number,
            "channelId": party.channel_id,
        }
        try:
            await party._begin("POST", "channels", query)
        except BaseException:
            # What has gone wrong is told, not that nobody could be told to hang up either.
            with contextlib.suppress(MediaError, ServerUnreachableError):
                await party.hangup()
            raise
        return party

    @classmethod
    async def answer(cls, info: Ari, channel_id: str, *, tone: Tone | None) -> DirectParty:
        """Answer a dialled CALLEE_ENDPOINT; its audio flows when this returns.

        Raises MediaError if there is no such channel, or it is answered already.
        """
        party = cls(info, channel_id, tone)
        try:
            await party._begin("GET", f"channels/{channel_id}", {})
        except BaseException:
            await party._release()
            raise
        return party

    @property
    def closed(self) -> bool:
        """Whether its audio has ended: it hung up, or was hung up."""
        return self._ended.is_set()

    async def wait_closed(self, within_s: float = _DEADLINE_S) -> None:
        """Wait until its audio has ended; TimeoutError."""
        async with asyncio.timeout(within_s):
            await self._ended.wait()

    async def wait_frames(self, count: int, within_s: float = _DEADLINE_S) -> None:
        """Wait until ``frames`` holds that many; TimeoutError."""
        await self._wait(lambda: len(self.frames) >= count, within_s)

    async def wait_seconds(self, seconds: float) -> None:
        """Wait until so much more was heard: time as the call's own audio counts it.

        TimeoutError when that takes 5 s longer than it should.
        """
        enough = self._taken + round(seconds / FRAME_SECONDS)
        await self._wait(lambda: self._taken >= enough, seconds + _DEADLINE_S)

    async def _wait(self, condition: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._heard.clear()
                await self._heard.wait()

    def clear(self) -> None:
        """Forget what was heard."""
        self.frames.clear()

    def pcm(self) -> Pcm:
        """All that was heard, in one piece; where nothing arrived, nothing is put in."""
        return pcm_from_bytes(b"".join(payload for _, payload in self.frames))

    async def hangup(self) -> None:
        """End the call and give everything back; nothing happens the second time."""
        try:
            if not self.closed:
                async with self._door.changing(ends=self.channel_id):
                    await self._request(
                        "DELETE", f"channels/{self.channel_id}", {}, missing_is_fine=True
                    )
        finally:
            await self._release()

    async def _begin(self, method: str, resource: str, query: dict[str, str]) -> None:
        async with self._door.changing():
            await self._request(method, resource, query)
        await self._open()

    async def _open(self) -> None:
        variable = {"variable": "MEDIA_WEBSOCKET_CONNECTION_ID"}
        answer = await self._request("GET", f"channels/{self.channel_id}/variable", variable)
        media = f"{self._base}/media/{answer['value']}"
        try:
            # Connecting answers the channel (chan_websocket.c, websocket_handoff_to_channel).
            async with self._door.connecting():
                self._socket = await self._http.ws_connect(media, protocols=["media"])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MediaError(
                f"Asterisk does not hand over the audio of channel {self.channel_id}: {error!r}; "
                "it may have been answered or hung up already"
            ) from error
        self._tasks = [
            asyncio.create_task(self._listen(self._socket), name=f"{self.channel_id} ear"),
            asyncio.create_task(self._speak(self._socket), name=f"{self.channel_id} mouth"),
        ]
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._started.wait()
        except TimeoutError as error:
            raise MediaError(
                f"channel {self.channel_id} was answered but no audio began"
            ) from error

    async def _request(
        self, method: str, resource: str, query: dict[str, str], *, missing_is_fine: bool = False
    ) -> dict[str, str]:
        url = f"{self._base}/ari/{resource}"
        try:
            async with self._http.request(method, url, params=query) as answer:
                body = await answer.text()
                if missing_is_fine and answer.status == _GONE:
                    return {}
                if answer.status >= _ANSWERED_ERROR:
                    raise MediaError(f"{method} {resource}: {answer.status} {body.strip()}")
                return dict(await answer.json()) if body else {}
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise ServerUnreachableError(f"no ARI at {self._base}/ari: {error!r}") from error

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.frames.append((time.monotonic(), message.data))
                    self._taken += 1
                    self._heard.set()
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._started.set()
                    self.overrun = self.overrun or message.data.startswith("MEDIA_XOFF")
        finally:
            self._ended.set()

    async def _speak(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._started.wait()
        silent, begin, frame = True, 0.0, 0
        while not self._ended.is_set():
            voice = self.voice
            if voice is not None:
                if silent:
                    begin = time.monotonic() - (frame + _LEAD_FRAMES) * FRAME_SECONDS
                pcm = make_tone(voice.hz, voice.dbfs, FRAME_SECONDS, RATE, frame * FRAME_BYTES // 2)
                try:
                    await socket.send_bytes(pcm.astype("<i2").tobytes())
                except ConnectionError:  # the other side has just hung up; _listen says so
                    return
            silent = voice is None
            frame += 1
            # While silent there is no clock to keep up with.
            pause = FRAME_SECONDS if silent else begin + frame * FRAME_SECONDS - time.monotonic()
            await asyncio.sleep(max(0.0, pause))

    async def _release(self) -> None:
        ear, mouth = self._tasks[:1], self._tasks[1:]
        for task in mouth:
            task.cancel()
        try:
            spoken = await asyncio.gather(*mouth, return_exceptions=True)
            if self._socket is not None:
                await self._socket.close()
            await asyncio.gather(*ear)
        finally:
            self._ended.set()
            await self._http.close()
        for result in spoken:
            if isinstance(result, Exception):
                raise result
