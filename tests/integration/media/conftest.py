"""Calls of two parties on a real Asterisk, each a WebSocket channel, and an observer's lines.

Parties that are WebSocket channels hear what Asterisk gives out, sample by sample, with nothing of
a phone's jitter buffer between.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
import numpy as np
import pytest

from bridge.lab.asterisk import Instance
from bridge.media.ears import Ears
from bridge.media.pacing import Pacer
from bridge.media.pcm import AudioFormat
from bridge.media.socket import Control, MediaSocket
from bridge.media.voice import Voice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from numpy.typing import NDArray

APP: Final = "callbridge"
PARTY: Final = AudioFormat(16000)


async def until(condition: Callable[[], bool], within: float = 5.0) -> None:
    """Look every few milliseconds whether it holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition is in what was heard
            await asyncio.sleep(0.002)


def _fresh(name: str) -> str:
    """Make an id; Asterisk takes no id twice."""
    return f"{name}-{secrets.token_hex(6)}"


class Server:
    """Asterisk through ARI, as far as media needs it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._started: dict[str, asyncio.Event] = {}
        self._listening: asyncio.Task[None] | None = None

    async def request(self, method: str, path: str, **query: str) -> bytes:
        """Do one request of ARI, which must succeed; return the body."""
        async with self._http.request(method, f"{self._url}/{path}", params=query) as response:
            body = await response.read()
            assert response.status < 300, (method, path, response.status, body)
            return body

    async def media_channel(self, name: str, audio_format: AudioFormat, control: Control) -> str:
        """Make a WebSocket channel; return its connection id. It enters Stasis when connected."""
        self._started[name] = asyncio.Event()
        made = await self.request(
            "POST",
            "channels/externalMedia",
            channelId=name,
            app=APP,
            external_host="INCOMING",
            transport="websocket",
            encapsulation="none",
            connection_type="server",
            format=audio_format.asterisk_name,
            **({"transport_data": "f(json)"} if control == "json" else {}),
        )
        return str(json.loads(made)["channelvars"]["MEDIA_WEBSOCKET_CONNECTION_ID"])

    async def connect(self, connection_id: str) -> aiohttp.ClientWebSocketResponse:
        url = self._url.removesuffix("/ari") + f"/media/{connection_id}"
        return await self._http.ws_connect(url, protocols=["media"])

    async def snoop(self, party: str, name: str) -> None:
        self._started[name] = asyncio.Event()
        await self.request(
            "POST", f"channels/{party}/snoop/{name}", app=APP, spy="in", whisper="out"
        )

    async def bridge(self, *channels: str) -> str:
        name = _fresh("bridge")
        await self.request("POST", f"bridges/{name}", type="mixing")
        await self.request("POST", f"bridges/{name}/addChannel", channel=",".join(channels))
        return name

    async def in_stasis(self, channel: str) -> None:
        try:
            async with asyncio.timeout(2):
                await self._started[channel].wait()
        except TimeoutError:
            # Seldom the event does not come although the channel has (as in Executor._enter).
            found = json.loads(await self.request("GET", f"channels/{channel}"))
            assert found["dialplan"]["app_name"] == "Stasis", found

    async def listen(self) -> None:
        """Follow ARI's events; every one that is waited for is registered before."""
        url = self._url.replace("http", "ws", 1) + f"/events?app={APP}"
        events = await self._http.ws_connect(url)

        async def read() -> None:
            async for message in events:
                event = message.json()
                if event["type"] == "StasisStart":
                    self._started[event["channel"]["id"]].set()

        self._listening = asyncio.create_task(read())

    async def _objects(self) -> int:
        """Count the channels and bridges that Asterisk has."""
        answers = [await self.request("GET", kind) for kind in ("channels", "bridges")]
        return sum(len(json.loads(answer)) for answer in answers)

    async def aclose(self) -> None:
        """See that nothing is left in Asterisk, and leave."""
        async with asyncio.timeout(5):
            while await self._objects():  # noqa: ASYNC110 - Asterisk is asked, it does not tell
                await asyncio.sleep(0.01)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)


@dataclass
class Party:
    """One side of a call: says a tone or nothing, and keeps all that it hears."""

    channel: str
    tone: float
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    """Arrival, in the event loop's seconds, and PCM of each frame."""
    speaking: asyncio.Task[None] | None = None

    def audio(self) -> NDArray[np.float64]:
        """All that was heard; full scale is 1."""
        pcm = b"".join(frame for _, frame in self.heard)
        return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768

    def first_sound(self) -> float | None:
        """When the first frame arrived that is not silent."""
        for at, frame in self.heard:
            if np.abs(np.frombuffer(frame, "<i2").astype(np.int32)).max() > 300:
                return at
        return None

    async def speak(self, socket: MediaSocket) -> None:
        """Send a frame every 20 ms, as a phone does.

        Far ahead: a phone is not in our event loop, and does not stall with it. What a party hears
        comes in time with what the other sends, so nothing would be heard in a stall.
        """
        loop = asyncio.get_running_loop()
        pacer = Pacer(lead=0.4)
        sample = 0
        while not socket.closed:
            while pacer.due(loop.time()):
                at = (np.arange(PARTY.frame_samples) + sample) / PARTY.rate
                sample += PARTY.frame_samples
                wave = 8000 * np.sin(2 * np.pi * self.tone * at)
                socket.send_frame(wave.astype("<i2").tobytes())
                pacer.sent(loop.time())
            await asyncio.sleep(pacer.due_at - loop.time())


class Call:
    """Caller and callee talking to each other, and an observer with a line on each."""

    def __init__(self, server: Server, rate: int, control: Control) -> None:
        self._server = server
        self._control: Control = control
        self._sockets: list[MediaSocket] = []
        self._bridges: list[str] = []
        self._snoops: dict[str, str] = {}
        self.format = AudioFormat(rate)
        self.parties: dict[str, Party] = {}
        self.lines: dict[str, MediaSocket] = {}
        self.channels: dict[str, str] = {}
        self.closed: list[str] = []
        self.voice = Voice(self.format)
        self.ears = Ears(self.format)

    async def place(self, tones: dict[str, float]) -> None:
        """Set up all of it, until the parties hear each other."""
        for name, tone in tones.items():
            party = self.parties[name] = Party(_fresh(name), tone)
            socket = await self._socket(party.channel, PARTY, partial(_keep, party))
            party.speaking = asyncio.create_task(party.speak(socket))
        self._bridges.append(
            await self._server.bridge(*(party.channel for party in self.parties.values()))
        )
        for name, party in self.parties.items():
            await self._line(name, party)
        await until(lambda: all(len(party.heard) > 25 for party in self.parties.values()))

    async def _line(self, name: str, party: Party) -> None:
        channel, snoop = _fresh("line"), _fresh("snoop")
        self.ears.join(name)
        socket = await self._socket(channel, self.format, partial(_hear, self.ears, name))
        await self._server.snoop(party.channel, snoop)
        await self._server.in_stasis(snoop)
        self._snoops[name] = snoop
        await self.gate(name, is_open=False)
        self._bridges.append(await self._server.bridge(channel, snoop))
        self.channels[name] = channel
        self.lines[name] = socket
        self.voice.add_line(name, socket)

    async def _socket(
        self, channel: str, audio_format: AudioFormat, on_audio: Callable[[bytes, float], None]
    ) -> MediaSocket:
        connection = await self._server.media_channel(channel, audio_format, self._control)
        socket = MediaSocket(
            partial(self._server.connect, connection),
            audio_format,
            on_audio=on_audio,
            on_closed=self.closed.append,
            control=self._control,
            name=channel,
        )
        self._sockets.append(socket)
        await socket.open()
        await self._server.in_stasis(channel)
        return socket

    async def gate(self, name: str, *, is_open: bool) -> None:
        """Let the observer be heard on a line, or not."""
        method = "DELETE" if is_open else "POST"
        await self._server.request(method, f"channels/{self._snoops[name]}/mute", direction="out")

    async def change(self, *route: str, cut: bool = False) -> None:
        """Change the mode as a runtime does: gates open before, and closed after."""

        def gates(*, are_open: bool) -> Callable[[], Awaitable[object]]:
            names = [name for name in self.lines if (name in route) == are_open]
            return lambda: asyncio.gather(*(self.gate(name, is_open=are_open) for name in names))

        await self.voice.change(
            frozenset(route), prepare=gates(are_open=True), settle=gates(are_open=False), cut=cut
        )

    def forget(self) -> None:
        """Begin to listen anew."""
        for party in self.parties.values():
            party.heard.clear()

    async def hang_up_line(self, name: str) -> None:
        """Take a line's channel away, as Asterisk does when its party goes."""
        await self._server.request("DELETE", f"channels/{self.channels[name]}")

    async def aclose(self) -> None:
        await self.voice.aclose()
        await self.ears.aclose()
        for snoop in self._snoops.values():
            await self._server.request("DELETE", f"channels/{snoop}")
        for bridge in self._bridges:
            await self._server.request("DELETE", f"bridges/{bridge}")
        for socket in self._sockets:
            await socket.aclose()
        speaking = [party.speaking for party in self.parties.values() if party.speaking]
        for task in speaking:
            task.cancel()
        await asyncio.gather(*speaking, return_exceptions=True)


def _keep(party: Party, pcm: bytes, at: float) -> None:
    party.heard.append((at, pcm))


def _hear(ears: Ears, name: str, pcm: bytes, _at: float) -> None:
    ears.push(name, pcm)


class Studio:
    """All calls of one test."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._calls: list[Call] = []

    async def call(
        self,
        rate: int = 16000,
        *,
        caller: float = 0,
        callee: float = 0,
        control: Control = "plain-text",
    ) -> Call:
        """Place a call. rate: of the observer; caller, callee: their tones in Hz, 0 for none."""
        call = Call(self._server, rate, control)
        self._calls.append(call)
        await call.place({"caller": caller, "callee": callee})
        return call

    async def aclose(self) -> None:
        for call in self._calls:
            await call.aclose()


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Instance]:
    instance = Instance.start(name=f"media-{os.getpid()}", tied=True)
    yield instance
    instance.stop()


@pytest.fixture
async def studio(asterisk: Instance) -> AsyncIterator[Studio]:
    """Place calls; a task, a channel or a bridge that is left behind fails the test."""
    ari = asterisk.info.ari
    credentials = base64.b64encode(f"{ari.username}:{ari.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        server = Server(http, ari.url)
        await server.listen()
        studio = Studio(server)
        try:
            yield studio
        finally:
            await studio.aclose()
            await server.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
