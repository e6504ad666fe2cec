"""The fake's Asterisk: the life of a channel, in and out of Stasis, and which events that makes.

Statuses, reasons and the order of events are those measured on Asterisk 22.10.1; the contract
tests hold this against a real one. Left out are the events that only tell how it sounded or that
repeat what others say: ChannelVarset of RTPAUDIOQOS*, BRIDGEPEER, DIALSTATUS and the like.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import uuid
from collections.abc import Callable

from bridge.lab.fake_ari.applications import Applications, Send
from bridge.lab.fake_ari.bridging import Bridging
from bridge.lab.fake_ari.calls import Calls
from bridge.lab.fake_ari.dialling import Dialling
from bridge.lab.fake_ari.dialplan import Dialplan
from bridge.lab.fake_ari.objects import (
    OUTGOING,
    FakeBridge,
    FakeChannel,
    FakePlayback,
    Json,
    Kind,
    Phone,
    Refusal,
)
from bridge.lab.fake_ari.sounds import Sounds

DELETE_S = 0.001
"""A hangup is carried out this much after it was answered."""
TICK_S = 0.010
"""A snoop ends this much after its target: at its next tick."""
FORGET_S = 0.035
"""A deleted snoop is still listed for this long: until a frame of its target's passes."""
CAUSES = {
    1: "Unallocated (unassigned) number",
    3: "No route to destination",
    16: "Normal Clearing",
    17: "User busy",
    18: "No user responding",
    19: "User alerting, no answer",
    20: "Subscriber absent",
    21: "Call Rejected",
    26: "Answered elsewhere",
    27: "Destination out of order",
    34: "Circuit/channel congestion",
    38: "Network out of order",
}
NORMAL = 16
REJECTED = 21
NETWORK_OUT_OF_ORDER = 38
SOFT_HANGUP = 32


class World:
    """All channels, bridges and phones of the fake, and their behaviour."""

    def __init__(self, send: Send) -> None:
        self.applications = Applications(send)
        self.channels: dict[str, FakeChannel] = {}
        self.bridges: dict[str, FakeBridge] = {}
        self.playbacks: dict[str, FakePlayback] = {}
        self.lingering: dict[str, FakeChannel] = {}
        """Channels that are still listed, and take no command."""
        self.phones = {str(number): Phone(str(number)) for number in range(1001, 1011)}
        self.violations: list[str] = []
        """What was asked for that crashes Asterisk 22.10.1, or leaks what never ends."""
        self.bridging: Bridging = Bridging(self)
        self.dialling: Dialling = Dialling(self)
        self.dialplan: Dialplan = Dialplan(self)
        self.sounds: Sounds = Sounds(self)
        self.calls: Calls = Calls(self)
        self._numbers = itertools.count()
        self._timers: set[asyncio.Handle] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End what is still on its way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for channel in self.channels.values():
            self._close_media(channel)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while, unless the fake is stopped first."""

        def fire() -> None:
            self._timers.discard(timer)
            action()

        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, fire) if seconds > 0 else loop.call_soon(fire)
        self._timers.add(timer)

    def now(self) -> float:
        """Return the event loop's time in seconds."""
        return asyncio.get_running_loop().time()

    def emit(
        self,
        kind: str,
        channel: FakeChannel | None = None,
        bridge: FakeBridge | None = None,
        /,
        **fields: object,
    ) -> None:
        """Tell whoever is subscribed to the channel or to the bridge of an event."""
        event: Json = {"type": kind, **fields}
        if bridge is not None:
            event["bridge"] = bridge.json()
        if channel is not None:
            event["channel"] = channel.json()
        channels = () if channel is None else (channel.id,)
        self.applications.publish(event, channels, "" if bridge is None else bridge.id)

    def set_variable(self, channel: FakeChannel, name: str, value: str) -> None:
        """Set a variable that is no function, and tell."""
        channel.variables[name.lstrip("_")] = value
        self.emit("ChannelVarset", channel, variable=name, value=value)

    # Which channel ------------------------------------------------------------------------

    def channel(self, identity: str, reason: str = "Channel not found") -> FakeChannel:
        """Return a channel or refuse with 404."""
        found = self.channels.get(identity)
        if found is None:
            raise Refusal(404, reason)
        return found

    def stasis_channel(self, identity: str) -> FakeChannel:
        """Return a channel that is in Stasis, or refuse with 404 or 409."""
        channel = self.channel(identity)
        if not channel.in_stasis:
            raise Refusal(409, "Channel not in Stasis application")
        return channel

    def listed(self) -> dict[str, FakeChannel]:
        """Return what a list of channels shows: more than takes commands."""
        return {**self.lingering, **self.channels}

    def named(self, name: str) -> FakeChannel | None:
        """Return the channel with Asterisk's name for it."""
        return next((c for c in self.channels.values() if c.name == name), None)

    def add(self, channel: FakeChannel) -> FakeChannel:
        """Let a new channel stand, and tell."""
        channel.linked = channel.linked or channel.id
        channel.began = self.now()
        self.channels[channel.id] = channel
        self.emit("ChannelCreated", channel)
        return channel

    def new_id(self) -> str:
        """Return an id as Asterisk makes them for channels that nobody named."""
        return f"{secrets.randbelow(10**10)}.{next(self._numbers)}"

    def number(self) -> int:
        """Return the next number for a channel's name."""
        return next(self._numbers)

    # Stasis -------------------------------------------------------------------------------

    def incoming(
        self, caller: str, number: str, application: str, args: tuple[str, ...] = ("incoming",)
    ) -> FakeChannel:
        """Let a phone dial a number that reaches the application."""
        channel = self.calls.ring_in(caller, number)
        self.enter_stasis(channel, application, [*args, number])
        return channel

    def enter_stasis(
        self, channel: FakeChannel, application: str, args: list[str], *, by_dialplan: bool = True
    ) -> None:
        """Let a channel reach an application; it ends if the application is not there."""
        if channel.going or channel.id not in self.channels:
            return
        data = ",".join([application, *args])
        channel.app_name, channel.app_data = "Stasis", data
        if by_dialplan:
            self.emit("ChannelDialplan", channel, dialplan_app="Stasis", dialplan_app_data=data)
        self.set_variable(channel, "STASISSTATUS", "")
        channel.application, channel.args = application, args
        if not self.applications.is_active(application):
            self.set_variable(channel, "STASISSTATUS", "FAILED")
            self._nowhere_to_go(channel)
            return
        channel.in_stasis = True
        self.applications.follow_channel(application, channel.id)
        self.tell_stasis(channel, "StasisStart", args=list(args))

    def leave_stasis(self, channel: FakeChannel) -> None:
        """Let a channel leave its application, if it is in one."""
        if not channel.in_stasis:
            return
        channel.in_stasis = False
        self.tell_stasis(channel, "StasisEnd")
        self.applications.unfollow_channel(channel.application, channel.id)
        self.set_variable(channel, "STASISSTATUS", "SUCCESS")

    def tell_stasis(self, channel: FakeChannel, kind: str, **fields: object) -> None:
        """Tell only the application that the channel is in."""
        self.applications.tell(
            channel.application, {"type": kind, **fields, "channel": channel.json()}
        )

    def go_on(self, identity: str, context: str, exten: str) -> None:
        """Let a channel leave Stasis and go on in the dialplan."""
        channel = self.stasis_channel(identity)
        self.bridging.leave(channel, unsubscribe=False)
        self.leave_stasis(channel)
        if context and self.dialplan.run(channel, context, exten):
            return
        self._over(channel, NORMAL if channel.has_dialplan else 0)

    def _nowhere_to_go(self, channel: FakeChannel) -> None:
        """End a channel whose application is not there."""
        if channel.kind is Kind.SNOOP:
            self.remove(channel, NORMAL)
        elif channel.has_dialplan:
            self._over(channel, NETWORK_OUT_OF_ORDER)
        elif channel.kind is Kind.PHONE and channel.state == "Down":
            self.emit("ChannelHangupRequest", channel, cause=REJECTED)
            self._over(channel, REJECTED)
        else:
            self._over(channel, 0)

    # The end ------------------------------------------------------------------------------

    def hang_up(self, identity: str, cause: int = NORMAL) -> None:
        """Hang a channel up by command: it takes effect a moment later."""
        channel = self.channel(identity)
        if channel.going:
            return
        self.emit("ChannelHangupRequest", channel, cause=SOFT_HANGUP, soft=True)
        channel.going = True
        self.later(DELETE_S, lambda: self.remove(channel, cause))

    def end(self, channel: FakeChannel, cause: int | None = None) -> None:
        """Let the far side hang up; ``cause`` in Q.850, as Asterisk would tell it if None."""
        if cause is None:
            cause = 0 if channel.rests_in == OUTGOING and channel.dialler is None else NORMAL
        bridge = self.bridges.get(channel.bridge or "")
        foreign = bridge is not None and bridge.bridge_class != "stasis"
        named = foreign or channel.kind is Kind.MEDIA
        told: Json = {"cause": NORMAL} if named else {}
        self.end_at_once(channel, cause, told)

    def end_at_once(self, channel: FakeChannel, cause: int, told: Json) -> None:
        """End a channel at once; ``told`` is what its ChannelHangupRequest says."""
        if not channel.going and channel.id in self.channels:
            self.emit("ChannelHangupRequest", channel, **told)
            channel.going = True
            self.remove(channel, cause)

    def remove(self, channel: FakeChannel, cause: int) -> None:
        """Take a channel away: out of its bridge, out of Stasis, gone."""
        if self.channels.pop(channel.id, None) is None:
            return
        channel.going = True
        self.lingering[channel.id] = channel
        self.sounds.channel_gone(channel)
        self.dialling.channel_gone(channel, cause)
        bridge = self.bridges.get(channel.bridge or "")
        self.bridging.leave(channel, unsubscribe=False)
        self.leave_stasis(channel)
        if channel.has_dialplan:
            self.emit("ChannelHangupRequest", channel, cause=NORMAL, soft=True)
        channel.app_name, channel.app_data = channel.rests_in
        self.calls.channel_gone(channel, bridge, cause)
        self.dialplan.run_handlers(channel)
        self._close_media(channel)
        snoops = [c for c in self.channels.values() if c.target == channel.id]
        if snoops:
            self.later(TICK_S, lambda: self._remove_with(channel, snoops, cause))
        else:
            self._vanish(channel, cause)

    def _remove_with(self, channel: FakeChannel, snoops: list[FakeChannel], cause: int) -> None:
        for snoop in snoops:
            self.remove(snoop, cause)
        self._vanish(channel, cause)

    def _vanish(self, channel: FakeChannel, cause: int) -> None:
        """Let go of a channel; of a snoop when its target's audio passes it, not before."""
        target = self.channels.get(channel.target or "")
        if target is not None:
            self.later(FORGET_S, lambda: self._forget(channel, cause))
        else:
            self._destroyed(channel, cause)

    def _forget(self, snoop: FakeChannel, cause: int) -> None:
        target = self.channels.get(snoop.target or "")
        if target is None or target.speaks():
            self._destroyed(snoop, cause)
        else:
            self.later(FORGET_S, lambda: self._forget(snoop, cause))

    def _destroyed(self, channel: FakeChannel, cause: int) -> None:
        if self.lingering.pop(channel.id, None) is None:
            return
        text = CAUSES.get(cause, "Unknown")
        self.emit("ChannelDestroyed", channel, cause=cause, cause_txt=text)
        self.applications.channel_gone(channel.id)

    def _over(self, channel: FakeChannel, cause: int) -> None:
        """End a channel that has come to the end of its dialplan."""
        channel.going = True
        self.remove(channel, cause)

    def _close_media(self, channel: FakeChannel) -> None:
        if channel.media is not None:
            task = asyncio.create_task(channel.media.close(), name="close fake media")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # Snoop and mute -----------------------------------------------------------------------

    def snoop(
        self,
        target: str,
        identity: str,
        *,
        spy: str,
        whisper: str,
        application: str,
        args: str,
    ) -> Json:
        """Put a snoop on a channel, whoever it belongs to."""
        self.channel(target, "Provided channel was not found")
        if spy == "none" and whisper == "none":
            raise Refusal(400, "Direction must be specified for at least spy or whisper")
        if not application:
            raise Refusal(400, "Application name is required")
        if identity in self.listed():
            self.violations.append(f"snoop with the id {identity}, which is taken")
            raise Refusal(500, "Snoop channel could not be created")
        channel = FakeChannel(
            id=identity or str(uuid.uuid4()),
            kind=Kind.SNOOP,
            name=f"Snoop/{target}-{self.number():08x}",
            state="Up",
            target=target,
            spy=spy,
            whisper=whisper,
        )
        self.add(channel)
        snapshot = channel.json()
        given = args.split(",") if args else []
        self.later(0.0, lambda: self.enter_stasis(channel, application, given))
        return snapshot

    def mute(self, identity: str, direction: str, *, muted: bool) -> None:
        """Mute or unmute a channel."""
        channel = self.stasis_channel(identity)
        if direction not in {"in", "out", "both"}:
            raise Refusal(400, "Invalid direction specified")
        directions = {"in", "out"} if direction == "both" else {direction}
        channel.muted = channel.muted | directions if muted else channel.muted - directions
