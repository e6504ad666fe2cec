"""Channels that the fake server makes and dials: phones, media, Local pairs."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.lab.fake_ari.media import FRAME_BYTES, FakeMedia
from bridge.lab.fake_ari.objects import OUTGOING, Answer, FakeChannel, Json, Kind, Refusal
from bridge.lab.fake_ari.variables import write_all

if TYPE_CHECKING:
    from bridge.lab.fake_ari.world import World

FAILURES: Final = {Answer.BUSY: 17, Answer.DECLINE: 21}
"""Causes. Of a created channel no Dial event tells them: its end has the cause."""
STATUS: Final = {17: "BUSY", 21: "BUSY"}
NO_ANSWER: Final = 19
SOFT_HANGUP: Final = 32
CALLER_ID: Final = re.compile(r'\s*"?(?P<name>[^"<]*?)"?\s*<(?P<number>[^>]*)>\s*')


@dataclass(frozen=True)
class Origination:
    """What POST /channels was asked for."""

    endpoint: str
    identity: str = ""
    other: str = ""
    application: str = ""
    args: str = ""
    context: str = ""
    exten: str = ""
    caller: str = ""
    timeout_s: float = 30.0
    variables: Mapping[str, str] = field(default_factory=dict)


class Dialling:
    """Makes channels, dials them, and lets the far side answer or refuse."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._goals: dict[str, Origination] = {}
        """What originated channels do when they are answered, by their ids."""
        self._ringing: set[str] = set()
        """Channels that are dialled and not answered."""

    # By request ---------------------------------------------------------------------------

    def create(self, asked: Origination, *, originator: str = "") -> Json:
        """Make a channel that is in an application and not dialled yet."""
        channel = self._made(asked)
        for follower in filter(None, (channel.id, originator)):
            self._world.applications.follow_channel(asked.application, follower)
        write_all(self._world, channel, asked.variables)
        snapshot = channel.json()
        args = asked.args.split(",") if asked.args else []
        self._world.later(0.0, lambda: self._world.enter_stasis(channel, asked.application, args))
        return snapshot

    def dial(self, identity: str, caller: str, timeout_s: float) -> None:
        """Dial a created channel."""
        channel = self._world.stasis_channel(identity)
        if channel.state != "Down":
            raise Refusal(409, "Channel is not in the 'Down' state")
        if caller:
            calling = self._world.channels.get(caller)
            if calling is None:
                raise Refusal(404, "Calling channel not found")
            channel.linked = calling.linked
            if calling.caller:
                channel.connected, channel.connected_name = calling.caller, calling.caller_name
                self._world.emit("ChannelConnectedLine", channel)
        self._begin(channel, timeout_s, {"cause": SOFT_HANGUP, "soft": True})

    def originate(self, asked: Origination) -> Json:
        """Make a channel, dial it, and let it go where it is wanted when it is answered."""
        channel = self._made(asked)
        channel.rests_in = channel.app_name, channel.app_data = OUTGOING
        channel.repeats_dialstring = True
        self._say_dialplan(channel)
        if asked.caller:
            self._show_caller(channel, asked.caller)
        write_all(self._world, channel, asked.variables)
        if asked.application:
            for half in filter(None, (channel.id, channel.other)):
                self._world.applications.follow_channel(asked.application, half)
        snapshot = channel.json()
        self._goals[channel.id] = asked
        self._world.later(0.0, lambda: self._begin(channel, asked.timeout_s, None))
        return snapshot

    def external_media(self, identity: str, application: str, host: str, codec: str) -> Json:
        """Make a media channel: over RTP it is there at once, else it waits for its WebSocket."""
        if codec not in FRAME_BYTES:
            raise Refusal(500, "An internal error prevented this request from being handled")
        if identity in self._world.listed():
            self._world.violations.append(
                f"externalMedia with the channelId {identity}, which is taken"
            )
            raise Refusal(500, "Internal Server Error")
        identity = identity or self._world.new_id()
        channel = self._rtp(identity, host) if host else self._media(identity, codec)
        channel.rests_in = channel.app_name, channel.app_data = OUTGOING
        channel.repeats_dialstring = True
        channel.endpoint = f"{host}/c({codec})" if host else "INCOMING"
        self._say_dialplan(channel)
        self._world.applications.follow_channel(application, channel.id)
        self._goals[channel.id] = Origination("", application=application)
        self.say(channel, "")
        snapshot = channel.answer_json()
        if host:
            self._world.later(0.0, lambda: self.answered(channel))
        return snapshot

    def answer(self, identity: str) -> None:
        """Answer a channel by command."""
        channel = self._world.stasis_channel(identity)
        if channel.state == "Up":
            return
        channel.state = "Up"
        self._world.emit("ChannelStateChange", channel)
        other = self._world.channels.get(channel.other or "")
        if other is not None and other.id in self._ringing:
            self.answered(other)

    # By the far side ----------------------------------------------------------------------

    def answered(self, channel: FakeChannel) -> None:
        """Let the far side answer a channel."""
        if channel.going or channel.state == "Up":
            return
        dialled = channel.id in self._ringing or channel.id in self._goals
        self._ringing.discard(channel.id)
        channel.state = "Up"
        self._world.emit("ChannelStateChange", channel)
        if dialled:
            self.say(channel, "ANSWER")
        goal = self._goals.pop(channel.id, None)
        if goal is None:
            self._world.calls.answered(channel)
        elif goal.application:
            args = goal.args.split(",") if goal.args else []
            self._world.enter_stasis(channel, goal.application, args, by_dialplan=False)
        elif not self._world.dialplan.run(channel, goal.context, goal.exten):
            self._world.emit("ChannelHangupRequest", channel, cause=16, soft=True)
            self._world.remove(channel, 0)

    def refused(self, channel: FakeChannel, cause: int) -> None:
        """Let the far side refuse a channel; ``cause`` in Q.850."""
        self._world.end_at_once(channel, cause, {"cause": cause})

    def ring(self, channel: FakeChannel) -> None:
        """Let the far side ring."""
        if channel.state == "Down" and not channel.going:
            channel.state = "Ringing"
            self._world.emit("ChannelStateChange", channel)
            self.say(channel, "RINGING")

    def obey(self, channel: FakeChannel) -> None:
        """Let a channel that is dialled ring, and its phone do what it is set to do."""
        self._ringing.add(channel.id)
        phone = self._world.phones.get(channel.endpoint)
        if channel.kind is not Kind.PHONE or phone is None:
            return
        cause = FAILURES.get(phone.answer)
        if cause is None:
            self._world.later(0.0, lambda: self.ring(channel))
        if phone.answer is Answer.ANSWER:
            self._world.later(phone.after_s, lambda: self.answered(channel))
        elif cause is not None:
            self._world.later(phone.after_s, lambda: self.refused(channel, cause))

    def made_by_dial(self, caller: FakeChannel, endpoint: str) -> FakeChannel:
        """Make the channel that a Dial() of the dialplan calls. Raises Refusal."""
        channel = self._made(Origination(endpoint))
        channel.dialler, channel.linked = caller.id, caller.linked
        channel.rests_in = channel.app_name, channel.app_data = ("AppDial", "(Outgoing Line)")
        channel.context, channel.exten = caller.context, caller.exten
        return channel

    # The rest -----------------------------------------------------------------------------

    def say(self, channel: FakeChannel, status: str) -> None:
        """Tell of dialling: an empty status begins it."""
        named = not status or channel.repeats_dialstring
        event: Json = {
            "type": "Dial",
            "dialstatus": status,
            "forward": "",
            "dialstring": channel.endpoint if named else "",
            "peer": channel.json(),
        }
        caller = self._world.channels.get(channel.dialler or "")
        if caller is None:
            self._world.applications.publish(event, (channel.id,))
        else:
            event["caller"] = caller.json()
            self._world.applications.publish(event, (channel.id, caller.id))

    def channel_gone(self, channel: FakeChannel, cause: int) -> None:
        """Note that a channel is going; tell the end of its dialling, and end its other half."""
        ringing = channel.id in self._ringing
        self._ringing.discard(channel.id)
        wanted = self._goals.pop(channel.id, None) is not None and cause != NO_ANSWER
        if ringing and (wanted or (channel.dialler and cause in STATUS)):
            self.say(channel, STATUS.get(cause, "NOANSWER"))
        other = self._world.channels.get(channel.other or "")
        if other is not None and not other.going:
            self._world.later(0.0, lambda: self._world.end_at_once(other, 16, {"cause": 16}))

    def media_channel(self, connection_id: str) -> FakeChannel | None:
        """Return the media channel that this connection id belongs to."""
        found = (c for c in self._world.channels.values() if c.media is not None)
        return next((c for c in found if c.media and c.media.connection_id == connection_id), None)

    def _begin(self, channel: FakeChannel, timeout_s: float, told_at_timeout: Json | None) -> None:
        """Dial a channel.

        told_at_timeout: what its ChannelHangupRequest says then; None: there is none.
        """
        if channel.going:
            return
        self.say(channel, "")
        self.obey(channel)
        if channel.kind is Kind.LOCAL:
            other = self._world.channels[channel.other or ""]
            if not self._world.dialplan.run(other, other.context, other.exten):
                self._world.remove(other, 0)
        if timeout_s > 0:
            self._world.later(timeout_s, lambda: self._timeout(channel, told_at_timeout))

    def _timeout(self, channel: FakeChannel, told: Json | None) -> None:
        if channel.id not in self._ringing or channel.going:
            return
        if told is None:
            channel.going = True
            self._world.remove(channel, NO_ANSWER)
        else:
            self._world.end_at_once(channel, NO_ANSWER, told)

    def _made(self, asked: Origination) -> FakeChannel:
        technology, slash, target = asked.endpoint.partition("/")
        if not slash or not target:
            raise Refusal(400, "Invalid endpoint specified")
        if {asked.identity, asked.other} & self._world.listed().keys() - {""}:
            raise Refusal(409, "Channel with given unique ID already exists")
        identity = asked.identity or self._world.new_id()
        if technology == "WebSocket" and target.startswith("INCOMING"):
            codec = re.search(r"c\((\w+)\)", target)
            channel = self._media(identity, codec[1] if codec else "ulaw")
        elif technology == "Local" and "@" in target:
            channel = self._local(identity, asked.other or self._world.new_id(), target)
        elif technology == "PJSIP":
            channel = self._phone(identity, target)
        else:
            raise Refusal(500, "Allocation failed")
        channel.endpoint = target
        return channel

    def _phone(self, identity: str, number: str) -> FakeChannel:
        phone = self._world.phones.get(number)
        if phone is None or phone.answer is Answer.UNREGISTERED:
            raise Refusal(500, "Allocation failed")
        return self._world.add(
            FakeChannel(
                id=identity,
                kind=Kind.PHONE,
                name=f"PJSIP/{number}-{self._world.number():08x}",
                caller=number,
                caller_name=f"Phone {number}",
                context="phones",
            )
        )

    def _media(self, identity: str, codec: str) -> FakeChannel:
        name = f"WebSocket/INCOMING/0x{secrets.token_hex(6)}"
        channel = FakeChannel(id=identity, kind=Kind.MEDIA, name=name)
        connection_id = str(uuid.uuid4())
        channel.media = FakeMedia(connection_id, identity, name, codec)
        self._world.add(channel)
        for variable, value in (
            ("MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE", str(channel.media.frame_bytes)),
            ("MEDIA_WEBSOCKET_CONNECTION_ID", connection_id),
        ):
            self._world.set_variable(channel, variable, value)
        return channel

    def _rtp(self, identity: str, host: str) -> FakeChannel:
        name = f"UnicastRTP/{host}-0x{secrets.token_hex(6)}"
        channel = self._world.add(FakeChannel(id=identity, kind=Kind.RTP, name=name, silent=True))
        port = str(10000 + 2 * self._world.number() % 20000)
        self._world.set_variable(channel, "UNICASTRTP_LOCAL_ADDRESS", "127.0.0.1")
        self._world.set_variable(channel, "UNICASTRTP_LOCAL_PORT", port)
        return channel

    def _local(self, identity: str, other: str, target: str) -> FakeChannel:
        exten, _, context = target.partition("@")
        context = context.partition("/")[0]
        name = f"Local/{exten}@{context}-{self._world.number():08x}"
        halves = [
            FakeChannel(
                id=half,
                kind=Kind.LOCAL,
                name=f"{name};{number}",
                state=state,
                context=context,
                exten=exten,
                other=twin,
                linked=identity,
            )
            for number, half, twin, state in (
                (1, identity, other, "Down"),
                (2, other, identity, "Ring"),
            )
        ]
        for half in halves:
            self._world.add(half)
        return halves[0]

    def _show_caller(self, channel: FakeChannel, text: str) -> None:
        match = CALLER_ID.fullmatch(text)
        name, number = (match["name"], match["number"]) if match else ("", text)
        channel.caller, channel.caller_name = number, name
        presentation = "Presentation Allowed, Not Screened"
        self._world.emit(
            "ChannelCallerId",
            channel,
            caller_presentation=0,
            caller_presentation_txt=presentation,
        )
        channel.connected, channel.connected_name = number, name
        self._world.emit("ChannelConnectedLine", channel)

    def _say_dialplan(self, channel: FakeChannel) -> None:
        app, data = OUTGOING
        self._world.emit("ChannelDialplan", channel, dialplan_app=app, dialplan_app_data=data)
