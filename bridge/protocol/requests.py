"""What the API is asked: bodies and queries. An unknown field is refused."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from bridge.model.states import CallState

END: Final = r"$(?!\n)"
"""Of a pattern, as Python and the readers of a JSON schema (ECMA 262) understand it alike: Python's
``$`` alone lets a line feed through, and of ``\\Z`` the others know nothing."""

Target = Annotated[str, Meta(min_length=1, max_length=200)]
"""A number, or an endpoint such as ``PJSIP/1002``."""
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}" + END)]
"""Of a party or an observer."""
RingSeconds = Annotated[int, Meta(ge=1, le=600)]
Headers = Annotated[dict[str, str], Meta(max_length=20)]
"""SIP headers."""
_NAME_OF_SOUND: Final = r"^sound:[A-Za-z0-9_]([A-Za-z0-9_-]|[./](?=[A-Za-z0-9_-]))*" + END
"""Asterisk would take a path (somebody's voicemail) and an address (that it fetches), too."""
Sound = Annotated[str, Meta(min_length=1, max_length=500, pattern=_NAME_OF_SOUND)]
"""A sound that Asterisk has, by its name: ``sound:queue-thankyou``."""
Voice = Annotated[str, Meta(max_length=40, pattern="^([A-Za-z0-9+_][A-Za-z0-9+_-]*)?" + END)]
"""Of the command that speaks."""
Audio = Annotated[bytes, Meta(max_length=8_000_000)]
"""PCM, s16le mono at the server's sample rate; base64 in JSON."""
AudioPosition = Annotated[int, Meta(ge=0)]
"""Bytes sent on the call's audio socket before: the command takes its place after them."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is asked."""


class Listing(Request, frozen=True, kw_only=True):
    """Query of a list."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(max_length=500)] | None = None


class CallListing(Listing, frozen=True, kw_only=True):
    """Which live calls. What is not given does not matter."""

    own: bool | None = None
    state: CallState | None = None
    endpoint: str | None = None
    """Somebody's on the call: ``PJSIP/1002`` or ``1002``."""
    number: str | None = None
    """Somebody's on the call, or the dialled one."""
    program: str | None = None
    tenant: str | None = None
    queue: str | None = None


class HistoryListing(Listing, frozen=True, kw_only=True):
    """Which call detail records: the newest first."""

    number: str | None = None
    since: float | None = None
    until: float | None = None
    end_reason: str | None = None
    tenant: str | None = None
    queue: str | None = None


class EventListing(Listing, frozen=True, kw_only=True):
    """Which events of the store: the oldest first, unless ``newest_first``."""

    call_id: str | None = None
    type: str | None = None
    since: float | None = None
    tenant: str | None = None
    newest_first: bool = False


class AuditListing(Listing, frozen=True, kw_only=True):
    """Which audit records: the newest first."""

    call_id: str | None = None
    by: str | None = None
    since: float | None = None


class RecordingListing(Listing, frozen=True, kw_only=True):
    """Which recordings: the newest first."""

    call_id: str | None = None


class DeliveryListing(Listing, frozen=True, kw_only=True):
    """Which deliveries of a webhook: the newest first."""

    state: Literal["pending", "delivered", "dead"] | None = None


class Originate(Request, frozen=True, kw_only=True):
    """Ring somebody; when he answers he is the caller of a new call."""

    to: Target
    caller_id: Annotated[str, Meta(max_length=80)] = ""
    ring_time_seconds: RingSeconds = 30
    headers: Headers = {}
    connect: Target | None = None
    """Rung when he has answered, and put to him."""
    program: str = ""
    """The program that gets the call, which is of its tenant; by default none has it."""


class Connect(Request, frozen=True, kw_only=True):
    """Ring the callee and put him to the caller."""

    to: Target | Annotated[list[Target], Meta(min_length=1, max_length=20)] | None = None
    """By default the number that was dialled. Several ring together."""
    ring_time_seconds: RingSeconds = 60
    after_audio: AudioPosition | None = None


class ChangeMode(Request, frozen=True, kw_only=True):
    """Listen, whisper or speak to all."""

    mode: Literal["spy", "whisper", "barge"]
    to: Annotated[list[str], Meta(min_length=1, max_length=20)] | None = None
    """Who hears a whisper: by default the callee, or whom an observer coaches."""
    cut: bool = False
    """Drop what was sent and is not played yet."""
    after_audio: AudioPosition | None = None


class Leave(Request, frozen=True, kw_only=True):
    """Leave a call, or end it."""

    cut: bool = False
    after_audio: AudioPosition | None = None


class AddParty(Request, frozen=True, kw_only=True):
    """Ring somebody and put him to the others."""

    to: Target
    name: Name | None = None
    ring_time_seconds: RingSeconds = 30
    headers: Headers = {}
    after_audio: AudioPosition | None = None


class ChangeParty(Request, frozen=True, kw_only=True):
    """Mute or hold a party, or bring him back. What is null stays."""

    muted: bool | None = None
    held: bool | None = None
    music: Annotated[str, Meta(max_length=80)] | None = None
    """With ``held``: the class of music."""
    announce: Sound | None = None
    """With ``held``: said to him every so often."""
    announce_audio: Audio | None = None
    """The same, as audio."""
    announce_every_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    after_audio: AudioPosition | None = None


class Announce(Request, frozen=True, kw_only=True):
    """Say something to one party alone: either a sound, or audio."""

    sound: Sound | None = None
    audio: Audio | None = None
    to: str = "caller"
    after_audio: AudioPosition | None = None


class Say(Request, frozen=True, kw_only=True):
    """Speak a text to a call, by an observer who comes, speaks and leaves."""

    text: Annotated[str, Meta(min_length=1, max_length=2000)]
    to: Annotated[list[str], Meta(min_length=1, max_length=20)] | None = None
    """By default everybody."""
    voice: Voice = ""
    """No option of the command that speaks: it does not begin with ``-``."""


class SetMusic(Request, frozen=True, kw_only=True):
    """What those on hold hear."""

    music: Annotated[str, Meta(max_length=80)]


class CollectDigits(Request, frozen=True, kw_only=True):
    """Wait for keys of a party."""

    max_digits: Annotated[int, Meta(ge=1, le=64)]
    terminator: Annotated[str, Meta(max_length=16)] = "#"
    timeout_seconds: Annotated[float, Meta(gt=0, le=300)] = 10.0
    between_seconds: Annotated[float, Meta(gt=0, le=300)] = 3.0
    speaker: str = "caller"


class Park(Request, frozen=True, kw_only=True):
    """Let a party wait until a phone dials the slot."""

    slot: str | None = None
    name: str = "caller"
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 120.0
    by: str | None = None
    music: str | None = None
    stay: bool = False
    after_audio: AudioPosition | None = None


class StartTransfer(Request, frozen=True, kw_only=True):
    """Hand the customer over to a human: see ``ActiveCall.transfer``."""

    to: Annotated[list[list[Target]], Meta(min_length=1, max_length=20)]
    """Rounds: those of one ring together, the next ring when nobody was had."""
    warm: bool = True
    by: str | None = None
    ring_time_seconds: RingSeconds = 20
    brief: Sound | None = None
    brief_audio: Audio | None = None
    accept: Literal["key", "answer"] | None = None
    accept_key: Annotated[str, Meta(pattern="^[0-9*#]" + END)] = "1"
    decline_key: Annotated[str, Meta(pattern="^[0-9*#]?" + END)] = "2"
    accept_seconds: Annotated[float, Meta(gt=0, le=300)] = 15.0
    detect_machine: bool = False
    consult: bool | None = None
    hold: Literal["at_once", "on_accept"] = "at_once"
    music: Annotated[str, Meta(max_length=80)] = ""
    summary: Annotated[str, Meta(max_length=4000)] = ""
    headers: Headers = {}
    stay: bool = False
    after_audio: AudioPosition | None = None


class DriveTransfer(Request, frozen=True, kw_only=True):
    """Complete, cancel, toggle, or make a conference of it."""

    cut: bool = False
    for_good: bool = False
    """Of a conference alone: the transfer ends with it."""
    after_audio: AudioPosition | None = None


class Observe(Request, frozen=True, kw_only=True):
    """Join a call as an observer: a program with an audio socket, or a person on a phone."""

    name: Name | None = None
    phone: Target | None = None
    ring_time_seconds: RingSeconds = 30
    hear_coaching: bool = False
    mode: Literal["spy", "whisper", "barge"] = "spy"
    to: Annotated[list[str], Meta(min_length=1, max_length=20)] | None = None


class TakeOver(Request, frozen=True, kw_only=True):
    """Speak in the place of the agent."""

    replaced: str | None = None
    keep: bool = True
    after_audio: AudioPosition | None = None


class GiveBack(Request, frozen=True, kw_only=True):
    """Let whoever was replaced speak again."""

    after_audio: AudioPosition | None = None


class Move(Request, frozen=True, kw_only=True):
    """Go to another call; by default to the next."""

    to: Target | None = None
    after_audio: AudioPosition | None = None


class StartRecording(Request, frozen=True, kw_only=True):
    """Record a call into the server's folder of recordings."""

    coaching: bool = False
    announce: Sound | None = None
    announce_audio: Audio | None = None
    pauses: Literal["silence", "cut"] = "silence"
    max_minutes: Annotated[float, Meta(ge=0.005, le=600)] = 60.0


class ChangeRecording(Request, frozen=True, kw_only=True):
    """Pause a recording, or go on with it."""

    paused: bool


class WriteNote(Request, frozen=True, kw_only=True):
    """Write something about a call."""

    text: Annotated[str, Meta(min_length=1, max_length=10_000)]


class SaveContext(Request, frozen=True, kw_only=True):
    """Save what the next one should know; replaces what was saved."""

    values: dict[str, Any]


class CreateWebhook(Request, frozen=True, kw_only=True):
    """Send events to an address."""

    url: Annotated[str, Meta(min_length=8, max_length=2000, pattern="^https?://")]
    secret: Annotated[str, Meta(min_length=16, max_length=200)]
    """Signs what is sent (HMAC-SHA256)."""
    events: Annotated[list[str], Meta(max_length=100)] = []
    tenant: Annotated[str, Meta(min_length=1, max_length=80)] | None = None


class Replay(Request, frozen=True, kw_only=True):
    """Send deliveries again."""

    delivery_ids: Annotated[list[str], Meta(max_length=500)] | None = None
    """By default all that are dead."""


class CreateKey(Request, frozen=True, kw_only=True):
    """Make an API key."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    role: Literal["observer", "supervisor", "program", "admin"]
    tenant: Annotated[str, Meta(min_length=1, max_length=80)]
    queues: Annotated[list[str], Meta(max_length=100)] = []
    expires_in_seconds: Annotated[float, Meta(gt=0)] | None = None
