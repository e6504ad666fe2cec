"""The fake's Asterisk: what its objects do, and which events that makes.

Statuses, reasons and the order of events are those measured on Asterisk 22.10.1; the contract
tests hold this against a real one.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable

from bridge.lab.fake_ari.media import FakeMedia
from bridge.lab.fake_ari.objects import (
    Answer,
    FakeBridge,
    FakeChannel,
    Json,
    Kind,
    Phone,
    Refusal,
    now_text,
)

ASTERISK_ID = "00:00:5e:00:53:01"
DELETE_S = 0.005
"""A hangup is carried out this much after it was answered."""
FORGET_S = 0.035
"""A deleted snoop is still listed for this long: until a frame of its target's passes."""
CAUSES = {
    16: "Normal Clearing",
    17: "User busy",
    19: "User alerting, no answer",
    20: "Subscriber absent",
    21: "Call Rejected",
}
DIAL_FAILURES = {Answer.BUSY: 17, Answer.DECLINE: 21}
"""Causes. No Dial event tells of them: the channel ends, and its end has the cause."""
NO_ANSWER = 19
SOFT_HANGUP = 32
Publish = Callable[[str, Json], None]
"""Sends an event to an application: its name and the event."""


class World:
    """All channels, bridges and phones of the fake, and their behaviour."""

    def __init__(self, publish: Publish) -> None:
        self.channels: dict[str, FakeChannel] = {}
        self.bridges: dict[str, FakeBridge] = {}
        self.lingering: dict[str, FakeChannel] = {}
        """Deleted snoops that are still listed, and take no command."""
        self.phones = {str(number): Phone(str(number)) for number in range(1001, 1011)}
        self.violations: list[str] = []
        """What was asked for that crashes Asterisk 22.10.1, or leaks what never ends."""
        self._publish = publish
        self._timers: set[asyncio.TimerHandle] = set()
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

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    def emit(self, channel: FakeChannel | None, kind: str, **fields: object) -> None:
        """Send an event about a channel to its application."""
        if channel is None or channel.application is None:
            return
        event: Json = {"type": kind, "timestamp": now_text(), "asterisk_id": ASTERISK_ID, **fields}
        event.setdefault("channel", channel.json())
        self._publish(channel.application, {**event, "application": channel.application})

    # Channels -----------------------------------------------------------------------------

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

    def incoming(
        self, caller: str, number: str, application: str, args: tuple[str, ...] = ("incoming",)
    ) -> FakeChannel:
        """Let a phone dial a number that reaches the application."""
        identity = f"{secrets.randbelow(10**10)}.{len(self.channels)}"
        channel = FakeChannel(
            id=identity,
            kind=Kind.PHONE,
            name=f"PJSIP/{caller}-{secrets.token_hex(4)}",
            state="Ring",
            caller=caller,
            exten=number,
            application=application,
            args=[*args, number],
        )
        self.channels[identity] = channel
        self.enter_stasis(channel)
        return channel

    def enter_stasis(self, channel: FakeChannel) -> None:
        """Let a channel reach the application."""
        if channel.going or channel.id not in self.channels:
            return
        channel.in_stasis = True
        if channel.subscribed:
            self.emit(channel, "ChannelVarset", variable="STASISSTATUS", value="")
        self.emit(channel, "StasisStart", args=list(channel.args))

    def create(self, identity: str | None, endpoint: str, application: str, args: str) -> Json:
        """Make a channel to a phone, not dialled yet."""
        technology, _, target = endpoint.partition("/")
        phone = self.phones.get(target)
        taken = identity in self.channels
        absent = phone is None or phone.answer is Answer.UNREGISTERED
        if taken:
            raise Refusal(409, "Channel with given unique ID already exists")
        if technology != "PJSIP" or absent:
            raise Refusal(500, "Allocation failed")
        channel = FakeChannel(
            id=identity or str(uuid.uuid4()),
            kind=Kind.PHONE,
            name=f"PJSIP/{target}-{secrets.token_hex(4)}",
            application=application,
            args=args.split(",") if args else [],
            subscribed=True,
            endpoint=target,
        )
        self.channels[channel.id] = channel
        snapshot = channel.json()
        self.emit(channel, "ChannelDialplan", dialplan_app="Stasis", dialplan_app_data=application)
        self.enter_stasis(channel)
        return snapshot

    def dial(self, identity: str, timeout_s: float) -> None:
        """Dial a created channel."""
        channel = self.stasis_channel(identity)
        self._dial_event(channel, "")
        phone = self.phones[channel.endpoint]
        if phone.answer not in DIAL_FAILURES:
            self.later(0.0, lambda: self._ring(channel))
        if phone.answer is not Answer.RING:
            self.later(phone.after_s, lambda: self._picked(channel, phone))
        if timeout_s > 0:
            self.later(timeout_s, lambda: self._dial_timeout(channel))

    def _ring(self, channel: FakeChannel) -> None:
        if channel.state == "Down" and not channel.going:
            channel.state = "Ringing"
            self.emit(channel, "ChannelStateChange")
            self._dial_event(channel, "RINGING")

    def _picked(self, channel: FakeChannel, phone: Phone) -> None:
        if channel.going or channel.state == "Up":
            return
        cause = DIAL_FAILURES.get(phone.answer)
        if cause is not None:
            self._end(channel, cause, {"cause": cause})
            return
        channel.state = "Up"
        self.emit(channel, "ChannelStateChange")
        self._dial_event(channel, "ANSWER")

    def _dial_timeout(self, channel: FakeChannel) -> None:
        if channel.state != "Up" and not channel.going:
            self._end(channel, NO_ANSWER, {"cause": SOFT_HANGUP, "soft": True})

    def _dial_event(self, channel: FakeChannel, status: str) -> None:
        self.emit(
            channel,
            "Dial",
            dialstatus=status,
            forward="",
            dialstring=channel.endpoint if not status else "",
            peer=channel.json(),
        )

    def answer(self, identity: str) -> None:
        """Answer a channel."""
        channel = self.stasis_channel(identity)
        if channel.state != "Up":
            channel.state = "Up"
            self.emit(channel, "ChannelStateChange")

    def hang_up(self, identity: str, cause: int = 16) -> None:
        """Hang a channel up by command: it takes effect a moment later."""
        channel = self.channel(identity)
        if channel.going:
            return
        self.emit(channel, "ChannelHangupRequest", cause=SOFT_HANGUP, soft=True)
        channel.going = True
        self.later(DELETE_S, lambda: self._remove(channel, cause))

    def end(self, channel: FakeChannel, cause: int = 16) -> None:
        """Let the far side hang up."""
        self._end(channel, cause, {})

    def _end(self, channel: FakeChannel, cause: int, told: Json) -> None:
        """End a channel at once; ``told`` is what its ChannelHangupRequest says."""
        if not channel.going and channel.id in self.channels:
            self.emit(channel, "ChannelHangupRequest", **told)
            channel.going = True
            self._remove(channel, cause)

    def _remove(self, channel: FakeChannel, cause: int) -> None:
        if self.channels.pop(channel.id, None) is None:
            return
        self._leave_bridge(channel, unsubscribe=False)
        if channel.in_stasis:
            channel.in_stasis = False
            self.emit(channel, "StasisEnd")
            if channel.subscribed:
                self.emit(channel, "ChannelVarset", variable="STASISSTATUS", value="SUCCESS")
        for snoop in [c for c in self.channels.values() if c.target == channel.id]:
            snoop.going = True
            self._remove(snoop, cause)
        for snoop in [c for c in self.lingering.values() if c.target == channel.id]:
            del self.lingering[snoop.id]
        if channel.target in self.channels:
            self.lingering[channel.id] = channel
            self.later(FORGET_S, lambda: self._forget(channel))
        # Only who asked for the channel is still subscribed to it after Stasis.
        if channel.subscribed:
            self.emit(
                channel,
                "ChannelDestroyed",
                cause=cause,
                cause_txt=CAUSES.get(cause, "Unknown"),
            )
        self._close_media(channel)

    def _forget(self, snoop: FakeChannel) -> None:
        """Let go of a deleted snoop when its target's audio passes it: not before."""
        target = self.channels.get(snoop.target or "")
        if target is None or target.speaks():
            self.lingering.pop(snoop.id, None)
        else:
            self.later(FORGET_S, lambda: self._forget(snoop))

    def listed(self) -> dict[str, FakeChannel]:
        """Return what a list of channels shows: more than takes commands."""
        return {**self.lingering, **self.channels}

    def _close_media(self, channel: FakeChannel) -> None:
        if channel.media is not None:
            task = asyncio.create_task(channel.media.close(), name="close fake media")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # Snoop and media ----------------------------------------------------------------------

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
        """Put a snoop on a channel."""
        self.channel(target, "Provided channel was not found")
        if spy == "none" and whisper == "none":
            raise Refusal(400, "Direction must be specified for at least spy or whisper")
        if not application:
            raise Refusal(400, "Application name is required")
        if identity in self.listed():
            self.violations.append(f"snoop with the id {identity}, which is taken")
            raise Refusal(500, "Snoop channel could not be created")
        channel = FakeChannel(
            id=identity,
            kind=Kind.SNOOP,
            name=f"Snoop/{target}-{len(self.channels):08x}",
            state="Up",
            application=application,
            args=args.split(",") if args else [],
            target=target,
            spy=spy,
            whisper=whisper,
        )
        self.channels[identity] = channel
        snapshot = channel.json()
        self.later(0.0, lambda: self.enter_stasis(channel))
        return snapshot

    def external_media(self, identity: str | None, application: str, audio_format: str) -> Json:
        """Make a media channel that waits for its WebSocket."""
        identity = identity or str(uuid.uuid4())
        if identity in self.channels:
            self.violations.append(f"externalMedia with the channelId {identity}, which is taken")
            raise Refusal(500, "Internal Server Error")
        channel = FakeChannel(
            id=identity,
            kind=Kind.MEDIA,
            name=f"WebSocket/INCOMING/0x{secrets.token_hex(6)}",
            application=application,
            subscribed=True,
            endpoint="INCOMING",
        )
        connection_id = str(uuid.uuid4())
        channel.media = FakeMedia(connection_id, identity, channel.name, audio_format)
        channel.variables["MEDIA_WEBSOCKET_CONNECTION_ID"] = connection_id
        channel.variables["MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE"] = str(channel.media.frame_bytes)
        self.channels[identity] = channel
        self._dial_event(channel, "")
        return channel.json()

    def media_channel(self, connection_id: str) -> FakeChannel | None:
        """Return the media channel that this connection id belongs to."""
        found = (c for c in self.channels.values() if c.media is not None)
        return next((c for c in found if c.media and c.media.connection_id == connection_id), None)

    def media_connected(self, channel: FakeChannel) -> None:
        """Answer a media channel: its socket is there."""
        if channel.going:
            return
        channel.state = "Up"
        self.emit(channel, "ChannelStateChange")
        self._dial_event(channel, "ANSWER")
        self.enter_stasis(channel)

    def mute(self, identity: str, direction: str, *, muted: bool) -> None:
        """Mute or unmute a channel."""
        channel = self.stasis_channel(identity)
        if direction not in {"in", "out", "both"}:
            raise Refusal(400, "Invalid direction specified")
        directions = {"in", "out"} if direction == "both" else {direction}
        channel.muted = channel.muted | directions if muted else channel.muted - directions

    # Bridges ------------------------------------------------------------------------------

    def bridge(self, identity: str) -> FakeBridge:
        """Return a bridge or refuse with 404."""
        found = self.bridges.get(identity)
        if found is None:
            raise Refusal(404, "Bridge not found")
        return found

    def create_bridge(self, identity: str, kind: str, name: str) -> Json:
        """Make a bridge."""
        if identity in self.bridges:
            raise Refusal(409, f"Bridge with id '{identity}' already exists")
        self.bridges[identity] = FakeBridge(identity, kind or "mixing", name)
        return self.bridges[identity].json()

    def destroy_bridge(self, identity: str, application: str) -> None:
        """Destroy a bridge; its channels stay in Stasis.

        An application hears of it only while it is subscribed: by asking, or by a channel that
        entered and did not leave by command.
        """
        bridge = self.bridge(identity)
        for member in list(bridge.channels):
            self._leave_bridge(self.channels[member])
        del self.bridges[identity]
        if bridge.subscriptions > 0:
            event: Json = {"type": "BridgeDestroyed", "timestamp": now_text()}
            event |= {"asterisk_id": ASTERISK_ID, "application": application}
            self._publish(application, event | {"bridge": bridge.json()})

    def add_to_bridge(self, identity: str, members: list[str]) -> None:
        """Move channels into a bridge."""
        bridge = self.bridge(identity)
        channels = [self.channels.get(member) for member in members]
        found = [channel for channel in channels if channel is not None]
        if len(found) < len(members):
            raise Refusal(400, "Channel not found")
        if any(not channel.in_stasis for channel in found):
            raise Refusal(422, "Channel not in Stasis application")
        for channel in found:
            self._leave_bridge(channel)
            channel.bridge = identity
            bridge.channels.append(channel.id)
            bridge.subscriptions += 1
            self.emit(channel, "ChannelEnteredBridge", bridge=bridge.json())

    def remove_from_bridge(self, identity: str, members: list[str]) -> None:
        """Take channels out of a bridge."""
        bridge = self.bridge(identity)
        for member in members:
            channel = self.channels.get(member)
            if channel is None:
                raise Refusal(400, "Channel not found")
            if channel.bridge != bridge.id:
                raise Refusal(422, "Channel not in this bridge")
            self._leave_bridge(channel)

    def _leave_bridge(self, channel: FakeChannel, *, unsubscribe: bool = True) -> None:
        bridge = self.bridges.get(channel.bridge or "")
        channel.bridge = None
        if bridge is not None:
            bridge.channels.remove(channel.id)
            bridge.subscriptions -= 1 if unsubscribe else 0
            self.emit(channel, "ChannelLeftBridge", bridge=bridge.json())
