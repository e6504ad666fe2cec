"""Commands of a plan as requests to Asterisk: the making of bridges, channels and gates."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from bridge.ari import AriConnection
from bridge.model.errors import CommandTimeoutError, MediaError, RequestFailedError
from bridge.model.participants import Participant
from bridge.runtime.agent import AgentMedia
from bridge.runtime.arrivals import Arrival, Arrivals
from bridge.runtime.media_channel import new_media_channel
from bridge.topology.diff import (
    AddMember,
    CloseGate,
    Command,
    CreateAnchor,
    CreateBridge,
    CreateMedia,
    CreateSnoop,
    DestroyBridge,
    MuteLeg,
    OpenGate,
    RemoveChannel,
    RemoveMember,
    UnmuteLeg,
)
from bridge.topology.objects import HOLD_PREFIX, Key

_ARRIVAL_SECONDS = 0.75
_ARRIVAL_ATTEMPTS = 3
_HOOK_SECONDS = 0.040
"""Two ticks of the target: at the first one after its making a snoop takes over the target's sample
rate, and drops what was whispered before (main/audiohook.c, audiohook_set_internal_rate)."""
_TICK_SECONDS = 0.020
_STEP_SECONDS = 0.013
"""After a tick of the mix: 7 ms before the next, by which a thread may be late without harm."""
_DISSOLVING = 409

BRIDGE_TYPE = "mixing"

ANCHOR_HOST = "127.0.0.1:9"
"""The discard port of Asterisk's own machine: an anchor's RTP goes nowhere. So an anchor needs
no program that runs, and the parties' mix stays as it is when ours does not."""

ANCHOR_FORMAT = "slin16"

GATE_VARIABLE = "CALLBRIDGE_GATE"
"""``open`` or ``closed``: how a gate, or the mute of a leg, stands; without it it is open."""


def announcement_id(channel_id: str) -> str:
    """Return the id of what is played to somebody on hold: one thing at a time, found again."""
    return f"announce-{channel_id}"


class Orders:
    """Carries out single commands for an executor, which knows what stands.

    ids: Asterisk's ids by our keys, the executor's own; fresh: makes, and notes, a new one.
    music_of: says which class of music somebody on hold hears; empty: Asterisk's default.
    """

    def __init__(
        self,
        ari: AriConnection,
        arrivals: Arrivals,
        application: str,
        programs: Mapping[Participant, AgentMedia],
        *,
        ids: Mapping[Key, str],
        fresh: Callable[[Key], str],
        music_of: Callable[[Participant], str],
    ) -> None:
        self._ari = ari
        self._arrivals = arrivals
        self._application = application
        self._programs = programs
        self._ids = ids
        self._fresh = fresh
        self._music_of = music_of
        self._mixed_since: float | None = None
        """When the call's bridge began to mix, in the event loop's time."""
        self._hooked_at: dict[Key, float] = {}
        """When snoops were made, in seconds of the event loop."""
        self.anchor_names: dict[Key, str] = {}
        """Asterisk's names of the anchors that were made here."""
        self.shut_once: frozenset[Key] = frozenset()
        """Ends of lines, and legs, that were ever muted here."""

    def mix_begins(self) -> None:
        """Note that somebody is in the call's bridge now, which mixes from then on."""
        self._mixed_since = self._mixed_since or asyncio.get_running_loop().time()

    async def carry_out(self, command: Command) -> None:  # noqa: C901 - a match over a closed union
        """Carry out one command. Raises ServerError."""
        ids = self._ids
        match command:
            case CreateBridge(bridge):
                await self._create_bridge(bridge)
            case DestroyBridge(bridge):
                await self.destroy(ids[bridge])
            case CreateSnoop():
                await self._create_snoop(command)
            case CreateMedia(media, owner):
                await self._create_media(media, owner)
            case CreateAnchor(anchor):
                await self._create_anchor(anchor)
            case RemoveChannel(channel):
                await self._remove(channel)
            case AddMember(bridge, channel):
                await self._ari.bridges.add_channel(bridge_id=ids[bridge], channel=ids[channel])
            case RemoveMember(bridge, channel):
                await self._ari.bridges.remove_channel(bridge_id=ids[bridge], channel=ids[channel])
            case OpenGate(end):
                await self._note_gate(ids[end], "open")
                await self._ari.channels.unmute(channel_id=ids[end], direction="out")
            case CloseGate(end):
                self.shut_once |= {end}
                await self._ari.channels.mute(channel_id=ids[end], direction="out")
                await self._note_gate(ids[end], "closed")
            case MuteLeg(leg):
                self.shut_once |= {leg}
                await self._ari.channels.mute(channel_id=ids[leg], direction="in")
                await self._note_gate(ids[leg], "closed")
            case UnmuteLeg(leg):
                await self._note_gate(ids[leg], "open")
                await self._ari.channels.unmute(channel_id=ids[leg], direction="in")

    async def hush(self, leg: Key) -> None:
        """End what is announced to somebody on hold: until then he cannot be moved.

        Asterisk plays it in the thread that he is bridged by (bridge_channel.c, playfile), and
        waits for its end. Raises ServerError.
        """
        try:
            await self._ari.playbacks.stop(playback_id=announcement_id(self._ids[leg]))
        except RequestFailedError as error:
            if not error.is_not_found:
                raise

    async def hooked(self, end: Key) -> None:
        """Wait until nothing is lost of what is whispered through an end that was just made."""
        if (hooked_at := self._hooked_at.get(end)) is not None:
            ready = hooked_at + _HOOK_SECONDS
            await asyncio.sleep(max(0.0, ready - asyncio.get_running_loop().time()))

    async def _note_gate(self, channel_id: str, state: str) -> None:
        """Note at the channel itself whether it is muted: ARI does not report that."""
        await self._ari.channels.set_channel_var(
            channel_id=channel_id, variable=GATE_VARIABLE, value=state
        )

    async def _create_snoop(self, command: CreateSnoop) -> None:
        snoop_id = self._fresh(command.snoop)
        with self._arrivals.expect(snoop_id) as arrival:
            await self._ari.channels.snoop_channel_with_id(
                channel_id=self._ids[command.target],
                snoop_id=snoop_id,
                app=self._application,
                spy=command.spy.value,
                whisper=command.whisper.value,
            )
            await self.enter(arrival)
        self._hooked_at[command.snoop] = asyncio.get_running_loop().time()

    async def _create_bridge(self, bridge: Key) -> None:
        bridge_id = self._fresh(bridge)
        if bridge.startswith(HOLD_PREFIX):
            await self._ari.bridges.create_with_id(bridge_id=bridge_id, type="holding")
            music = self._music_of(Participant(bridge.removeprefix(HOLD_PREFIX)))
            await self._ari.bridges.start_moh(bridge_id=bridge_id, moh_class=music or None)
        else:
            await self._ari.bridges.create_with_id(bridge_id=bridge_id, type=BRIDGE_TYPE)

    async def _create_media(self, media: Key, owner: Participant) -> None:
        program = self._programs.get(owner)
        if program is None:
            raise MediaError(f"{owner} has left: there is nobody to have a line")
        await self._in_step()
        media_id = self._fresh(media)
        with self._arrivals.expect(media_id) as arrival:
            connection_id = await new_media_channel(
                self._ari, media_id, program.format, application=self._application
            )
            await program.open(Participant(media.rpartition(".")[2]), connection_id)
            await self.enter(arrival)

    async def enter(self, arrival: Arrival) -> None:
        """Wait until a channel of ours is in the application; ask, should its event not come.

        Raises CommandTimeoutError.
        """
        for _ in range(_ARRIVAL_ATTEMPTS):
            with contextlib.suppress(CommandTimeoutError):
                await arrival.wait(_ARRIVAL_SECONDS)
                return
            channel = await self._ari.channels.get(channel_id=arrival.channel_id)
            if channel.dialplan.app_name == "Stasis":
                return
        await arrival.wait(_ARRIVAL_SECONDS)

    async def _in_step(self) -> None:
        """Wait for the moment at which a media channel's clock is best begun.

        It reads a frame every 20 ms from its making on (chan_websocket.c), and the call's bridge
        mixes every 20 ms from its first tick on: a frame that is read just after a tick waits
        nearly 20 ms for the next. See docs/adr/0002.
        """
        if self._mixed_since is None:
            return
        since = asyncio.get_running_loop().time() - self._mixed_since
        await asyncio.sleep((_STEP_SECONDS - since) % _TICK_SECONDS)

    async def _create_anchor(self, anchor: Key) -> None:
        anchor_id = self._fresh(anchor)
        with self._arrivals.expect(anchor_id) as arrival:
            channel = await self._ari.channels.external_media(
                channel_id=anchor_id,
                app=self._application,
                external_host=ANCHOR_HOST,
                format=ANCHOR_FORMAT,
            )
            await self.enter(arrival)
        self.anchor_names[anchor] = channel.name

    async def _remove(self, channel: Key) -> None:
        kind, owner, far = f"{channel}..".split(".")[:3]
        program = self._programs.get(Participant(owner)) if kind == "media" else None
        if program is not None:
            await program.close(Participant(far))
        await self.hang_up(self._ids[channel])

    async def hang_up(self, channel_id: str, cause: int | None = None) -> None:
        """Hang a channel up, unless it is gone. Raises ServerError."""
        try:
            await self._ari.channels.hangup(
                channel_id=channel_id, reason_code=None if cause is None else str(cause)
            )
        except RequestFailedError as error:
            if not error.is_not_found:
                raise

    async def destroy(self, bridge_id: str) -> None:
        """Remove a bridge, unless it is gone. Raises ServerError."""
        try:
            await self._ari.bridges.destroy(bridge_id=bridge_id)
        except RequestFailedError as error:
            # 409: it is being dissolved already (resource_bridges.c, find_bridge).
            if not (error.is_not_found or error.status == _DISSOLVING):
                raise
