"""The way to the Asterisk under test: an application of its own, which takes no call from any."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from bridge.ari import AriConnection, AriSettings, events
from bridge.ari.generated.events import AnyMessage
from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.model.errors import CommandTimeoutError, RequestFailedError, ServerError
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.names import Names, new_call_id
from bridge.topology.objects import Key

ARRIVAL_SECONDS: Final = 3.0
PREFIX: Final = "callbridge-check"

Audio = Callable[[bytes, float], None]


def silent(_pcm: bytes, _at: float) -> None:
    """Hear nothing."""


class Pbx:
    """An open connection, and what is made over it: everything is removed at the end."""

    def __init__(self, settings: AriSettings) -> None:
        self.application = settings.application
        """The daemon's, which is not used here."""
        own = f"{PREFIX}-{secrets.token_hex(4)}"
        self.modules: frozenset[str] = frozenset()
        """Those that run, once they are known: what does not run is not asked."""
        self.listeners: list[Callable[[AnyMessage], None]] = []
        self.ari = AriConnection(replace(settings, application=own), on_event=self._heard)
        self._arrivals = Arrivals()
        self._fresh = partial(Names(own).fresh, new_call_id())
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Sign in, and leave nothing behind. Raises ServerError."""
        await self.ari.open()
        try:
            async with self._stack:
                yield
        finally:
            await self.ari.close()

    async def line(self, audio_format: AudioFormat, on_audio: Audio) -> tuple[str, MediaSocket]:
        """Make a channel whose audio goes through a media socket. Raises ServerError."""
        channel_id = self._fresh(Key("check.line"))
        self.remove_later(channel_id)
        with self._arrivals.expect(channel_id) as arrival:
            channel = await self.ari.channels.external_media(
                channel_id=channel_id,
                app=self.ari.settings.application,
                external_host="INCOMING",
                transport="websocket",
                encapsulation="none",
                connection_type="server",
                format=audio_format.asterisk_name,
            )
            connection_id = (channel.channelvars or {}).get("MEDIA_WEBSOCKET_CONNECTION_ID", "")
            socket = MediaSocket(
                partial(self.ari.open_media_socket, connection_id), audio_format, on_audio=on_audio
            )
            await socket.open()
            self._stack.push_async_callback(socket.aclose)
            await arrival.wait(ARRIVAL_SECONDS)
        return channel_id, socket

    async def local(self, extension: str) -> tuple[str, str]:
        """Make both ends of a Local channel to EXTENSION@CONTEXT; nothing runs yet.

        Returns ours, which waits to be dialled, and the one that the dialplan will run, whose
        events we hear. The daemon takes both for its own, and leaves them alone. Raises
        ServerError.
        """
        daemons = Names(self.application)
        ours, theirs = (daemons.fresh(new_call_id(), Key("check")) for _ in range(2))
        self.remove_later(ours)
        self.remove_later(theirs)
        own = self.ari.settings.application
        with self._arrivals.expect(ours) as arrival:
            await self.ari.channels.create(
                endpoint=f"Local/{extension}", app=own, channel_id=ours, other_channel_id=theirs
            )
            await arrival.wait(ARRIVAL_SECONDS)
        await self.ari.applications.subscribe(
            application_name=own, event_source=[f"channel:{theirs}"]
        )
        return ours, theirs

    async def spy(self, channel_id: str) -> str:
        """Make a snoop that hears what a channel says. Raises ServerError."""
        snoop_id = self._fresh(Key("check.snoop"))
        self.remove_later(snoop_id)
        with self._arrivals.expect(snoop_id) as arrival:
            await self.ari.channels.snoop_channel_with_id(
                channel_id=channel_id,
                snoop_id=snoop_id,
                app=self.ari.settings.application,
                spy="in",
                whisper="none",
            )
            await arrival.wait(ARRIVAL_SECONDS)
        return snoop_id

    async def bridge(self, *channels: str) -> str:
        """Let channels hear each other. Raises ServerError."""
        bridge_id = self._fresh(Key("check.bridge"))
        self._stack.push_async_callback(self._destroy, bridge_id)
        await self.ari.bridges.create_with_id(bridge_id=bridge_id, type="mixing,video_sfu")
        await self.ari.bridges.add_channel(bridge_id=bridge_id, channel=list(channels))
        return bridge_id

    async def function(self, channel_id: str, call: str) -> str | None:
        """Return what a dialplan function says on a channel, None when there is no such one."""
        try:
            answer = await self.ari.channels.get_channel_var(channel_id=channel_id, variable=call)
        except RequestFailedError:
            return None
        return answer.value

    def remove_later(self, channel_id: str) -> None:
        """Hang a channel up at the end, should it ever be there."""
        self._stack.push_async_callback(self._hang_up, channel_id)

    async def _hang_up(self, channel_id: str) -> None:
        # It has gone, or Asterisk has: nothing is left to be done about it here.
        with contextlib.suppress(ServerError):
            await self.ari.channels.hangup(channel_id=channel_id)

    async def _destroy(self, bridge_id: str) -> None:
        with contextlib.suppress(ServerError):
            await self.ari.bridges.destroy(bridge_id=bridge_id)

    def _heard(self, event: AnyMessage) -> None:
        if isinstance(event, events.StasisStart):
            self._arrivals.enter(event.channel.id)
        for listener in list(self.listeners):
            listener(event)


async def within(seconds: float, heard: asyncio.Event, what: str) -> None:
    """Wait for something. Raises CommandTimeoutError that names what did not come."""
    try:
        async with asyncio.timeout(seconds):
            await heard.wait()
    except TimeoutError:
        raise CommandTimeoutError(f"{what} within {seconds:g} s") from None
