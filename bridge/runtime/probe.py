"""What no version number tells: whether a whisper reaches a party whose far side sends nothing.

Measured once, on four channels of our own that nobody is on: in a plain two-party bridge, as an
existing PBX makes them. Calls that callbridge places itself do not depend on it (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from bridge.ari import AriConnection
from bridge.media.pcm import AudioFormat
from bridge.media.socket import MediaSocket
from bridge.model.errors import ServerError
from bridge.runtime.arrivals import Arrivals
from bridge.runtime.media_channel import new_media_channel
from bridge.runtime.names import Names, new_call_id
from bridge.runtime.orders import ANCHOR_HOST, BRIDGE_TYPE
from bridge.topology.objects import Key

_log = logging.getLogger(__name__)

_FORMAT = AudioFormat(8000)
_LISTEN_SECONDS = 0.4
_ARRIVAL_SECONDS = 3.0
_LOUD = bytes([0x00, 0x20] * _FORMAT.frame_samples)
"""20 ms of a constant 8192: no voice, but not silence."""

SOURCE = "measured at start"


async def whisper_reaches_silent_leg(
    ari: AriConnection, arrivals: Arrivals, names: Names
) -> bool | None:
    """Measure; None when this server does not let us. Leaves nothing behind."""
    probe = _Probe(ari, arrivals, names)
    try:
        return await probe.run()
    except ServerError as error:
        _log.info("whisper to a silent leg: not measured: %s", error)
        return None


class _Probe:
    """What is to be removed is noted before it is made: the program may end in between."""

    def __init__(self, ari: AriConnection, arrivals: Arrivals, names: Names) -> None:
        self._ari = ari
        self._arrivals = arrivals
        self._fresh = partial(names.fresh, new_call_id())
        self._heard = asyncio.Event()

    async def run(self) -> bool:
        async with AsyncExitStack() as stack:
            target, _ = await self._party(stack, "target", self._listen)
            silent = await self._silent_party(stack)
            await self._bridge(stack, "talk", target, silent)
            line, mouth = await self._party(stack, "mouth", lambda _pcm, _at: None)
            snoop = await self._snoop(stack, target)
            await self._bridge(stack, "line", line, snoop)
            for _ in range(round(_LISTEN_SECONDS * 1000) // 20):
                mouth.send_frame(_LOUD)
            try:
                async with asyncio.timeout(_LISTEN_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                return False
            return True

    def _listen(self, pcm: bytes, _at: float) -> None:
        if any(pcm):
            self._heard.set()

    async def _party(
        self, stack: AsyncExitStack, name: str, on_audio: Callable[[bytes, float], None]
    ) -> tuple[str, MediaSocket]:
        """Make a channel whose audio is ours."""
        channel_id = self._fresh(Key(f"probe.{name}"))
        stack.push_async_callback(self._hang_up, channel_id)
        with self._arrivals.expect(channel_id) as arrival:
            connection_id = await new_media_channel(
                self._ari, channel_id, _FORMAT, application=self._ari.settings.application
            )
            socket = MediaSocket(
                partial(self._ari.open_media_socket, connection_id), _FORMAT, on_audio=on_audio
            )
            await socket.open()
            stack.push_async_callback(socket.aclose)
            await arrival.wait(_ARRIVAL_SECONDS)
        return channel_id, socket

    async def _silent_party(self, stack: AsyncExitStack) -> str:
        channel_id = self._fresh(Key("probe.silent"))
        stack.push_async_callback(self._hang_up, channel_id)
        with self._arrivals.expect(channel_id) as arrival:
            await self._ari.channels.external_media(
                channel_id=channel_id,
                app=self._ari.settings.application,
                external_host=ANCHOR_HOST,
                format=_FORMAT.asterisk_name,
            )
            await arrival.wait(_ARRIVAL_SECONDS)
        return channel_id

    async def _snoop(self, stack: AsyncExitStack, target: str) -> str:
        snoop_id = self._fresh(Key("probe.snoop"))
        stack.push_async_callback(self._hang_up, snoop_id)
        with self._arrivals.expect(snoop_id) as arrival:
            await self._ari.channels.snoop_channel_with_id(
                channel_id=target,
                snoop_id=snoop_id,
                app=self._ari.settings.application,
                spy="none",
                whisper="out",
            )
            await arrival.wait(_ARRIVAL_SECONDS)
        return snoop_id

    async def _bridge(self, stack: AsyncExitStack, name: str, *channels: str) -> None:
        bridge_id = self._fresh(Key(f"probe.{name}"))
        stack.push_async_callback(self._destroy, bridge_id)
        await self._ari.bridges.create_with_id(bridge_id=bridge_id, type=BRIDGE_TYPE)
        await self._ari.bridges.add_channel(bridge_id=bridge_id, channel=list(channels))

    async def _hang_up(self, channel_id: str) -> None:
        try:
            await self._ari.channels.hangup(channel_id=channel_id)
        except ServerError as error:
            _log.debug("probe: %s", error)

    async def _destroy(self, bridge_id: str) -> None:
        try:
            await self._ari.bridges.destroy(bridge_id=bridge_id)
        except ServerError as error:
            _log.debug("probe: %s", error)
