"""What the API shows: one type a resource. Times are seconds since 1970, audio is s16le mono."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from bridge.model.endpoints import is_at
from bridge.model.errors import ErrorCode
from bridge.model.modes import AudioMode
from bridge.model.states import CallState, EndReason

T = TypeVar("T")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is shown. New fields may come; readers ignore those that they do not know."""


class Page(View, Generic[T], frozen=True, kw_only=True):
    """A part of a list. ``next`` is the ``cursor`` of the part that follows, null at the end."""

    items: tuple[T, ...]
    next: str | None = None


class PartyView(View, frozen=True, kw_only=True):
    """One of those who talk with each other."""

    name: str
    """``caller``, ``callee``, ``party3``, or what he was named: unique on the call."""
    endpoint: str
    """As Asterisk dials him, such as ``PJSIP/1002``."""
    number: str = ""
    display_name: str = ""
    channel_id: str = ""
    """Empty while he is being rung."""
    joined: bool = True
    """False while he is being rung."""
    muted: bool = False
    held: bool = False
    apart: bool = False
    away: bool = False
    """His phone has put the others on hold."""
    channel_name: str = ""
    alone: bool = False
    """No other party hears him now: he waits, is parked, or is being transferred."""
    parked: bool = False
    on_hold: bool = False
    """Another party's phone has put him on hold, or he is parked."""

    def is_at(self, selector: str) -> bool:
        """Tell whether an endpoint (``PJSIP/1002``) or an extension (``1002``) is his."""
        return is_at(self.endpoint, selector)


class ObserverView(View, frozen=True, kw_only=True):
    """One who takes part in a call beside its parties."""

    name: str
    """Unique on the call. ``ai`` is the agent of a call that a program has."""
    call_id: str
    mode: AudioMode
    whispers_to: tuple[str, ...] = ()
    phone: str = ""
    """The endpoint of a person's phone; empty for a program."""
    by: str = ""
    """Who placed him: the name of a key or a token's subject."""
    left: str | None = None
    """Why he takes part no longer; null while he does."""
    revision: int = 0
    """As that of a call: of two views of him the one with the greater is newer."""


class TransferView(View, frozen=True, kw_only=True):
    """The transfer of a call that is under way, or was last."""

    transfer_id: str
    call_id: str
    stage: str
    outcome: str | None = None
    human: str | None = None
    """Name of the party who accepted."""
    error_code: ErrorCode | None = None
    error_message: str = ""


class RecordingView(View, frozen=True, kw_only=True):
    """A recording: WAV, left the caller, right whom he hears."""

    recording_id: str
    call_id: str
    state: str
    seconds: float
    files: tuple[str, ...] = ()
    """Names of its files, for ``GET /recordings/{recording_id}/files/{name}``."""
    coaching_files: tuple[str, ...] = ()
    failure: str = ""
    ended_by: str | None = None
    description: str = ""
    """Name of the JSON that describes it."""
    began_at: float = 0.0


class CallView(View, frozen=True, kw_only=True):
    """A live call of the PBX, whoever placed it."""

    call_id: str
    tenant: str
    queue: str = ""
    own: bool
    """callbridge has it: all commands are there. Else it can be observed and hung up."""
    program: str = ""
    """Name of the program that has it; empty for none."""
    since: float
    state: CallState
    mode: AudioMode | None = None
    """The agent's; null for a call that is not own."""
    whispers_to: tuple[str, ...] = ()
    caller_number: str = ""
    caller_name: str = ""
    caller_endpoint: str = ""
    """The phone or trunk that he calls from; empty for a call that is not own."""
    callee_number: str = ""
    originated: bool = False
    """The caller did not call: he was rung."""
    parties: tuple[PartyView, ...] = ()
    observers: tuple[ObserverView, ...] = ()
    transfer: TransferView | None = None
    recordings: tuple[RecordingView, ...] = ()
    parked_in: str | None = None
    parked_until: float | None = None
    taken_over_by: str | None = None
    end_reason: EndReason | None = None
    revision: int = 0
    """Grows with every change of the call, also over restarts of the daemon: of two views the one
    with the greater is newer."""


class NoteView(View, frozen=True, kw_only=True):
    """What somebody wrote about a call."""

    note_id: str
    call_id: str
    at: float
    by: str
    text: str


class ContextView(View, frozen=True, kw_only=True):
    """What a program saved about a call for whoever goes on with it: any JSON object."""

    call_id: str
    saved_at: float
    values: dict[str, Any]


class AnnouncedView(View, frozen=True, kw_only=True):
    """What became of an announcement."""

    complete: bool
    """Whether all of it was said; else he was put on hold or brought back, or he left."""


class DigitsView(View, frozen=True, kw_only=True):
    """Keys that a party pressed."""

    digits: str
    ended_by: str


class EndpointView(View, frozen=True, kw_only=True):
    """A phone or trunk that Asterisk knows."""

    endpoint: str
    """Such as ``PJSIP/1002``."""
    state: str
    """``online``, ``offline`` or ``unknown``."""
    channels: tuple[str, ...] = ()


class ChannelView(View, frozen=True, kw_only=True):
    """A channel of the PBX as Asterisk shows it."""

    channel_id: str
    name: str
    state: str
    number: str = ""
    display_name: str = ""
    created: float = 0.0
    call_id: str | None = None
    """The live call that it is part of."""


class HearingView(View, frozen=True, kw_only=True):
    """Whether one hears another."""

    listener: str
    speaker: str
    wanted: bool
    stands: bool
    """By what Asterisk has."""
    unwanted: bool = False
    """It stands, and should not. What is neither wanted nor unwanted is nobody's business here,
    such as the parties of a call that callbridge does not have."""
    doubled: bool = False
    """By more than one way: too loud, or as an echo."""


class StrangerView(View, frozen=True, kw_only=True):
    """A channel that is none of the call's, and is where it hears, or is heard."""

    name: str
    channel_id: str
    place: str
    snoops: bool = False
    intrudes: bool = False


class AudibilityView(View, frozen=True, kw_only=True):
    """Who is to hear whom, and who does."""

    call_id: str
    differs: bool
    pairs: tuple[HearingView, ...]
    """All of whom either is so: pairs of which neither is are left out."""
    participants: tuple[str, ...] = ()
    strangers: tuple[StrangerView, ...] = ()


class CapabilitiesView(View, frozen=True, kw_only=True):
    """What the Asterisk can and cannot do, and on what each verdict stands."""

    version: str = ""
    rest_over_websocket: bool = False
    websocket_media: bool = False
    snoop: bool = False
    softmix: bool = False
    rtp_media: bool = False
    dialling: bool = False
    sample_rates: tuple[int, ...] = ()
    refer_sub: bool = False
    whisper_to_silent_leg: bool | None = None
    sources: dict[str, str] = {}
    sample_rate: int = 0
    """Hz of all audio of this server."""
    send_buffer_seconds: float = 0.0
    """How much audio may be sent ahead."""


class ParkedView(View, frozen=True, kw_only=True):
    """Somebody who waits in a parking slot."""

    slot: str
    call_id: str
    party: str
    since: float | None = None


class EventView(View, frozen=True, kw_only=True):
    """Something that happened."""

    seq: int
    """Grows by one with every event of this epoch."""
    epoch: str
    """Names one life of the daemon: a seq of another epoch says nothing."""
    at: float
    type: str
    """The SDK's name of it, such as ``CALL_CONNECTED``."""
    call_id: str | None = None
    tenant: str = ""
    queue: str = ""
    call: CallView | None = None
    """The call after it, where the event is about one."""
    data: dict[str, Any] = {}
    """What else there is to say, by name: ``party``, ``key``, ``slot``, ``reason``, …"""


class CallRecordView(View, frozen=True, kw_only=True):
    """A call detail record: a call that is over, or goes on (``ended_at`` null)."""

    call_id: str
    tenant: str
    queue: str = ""
    caller_number: str = ""
    callee_number: str = ""
    direction: str = "inbound"
    """``inbound``, ``outbound`` (originated here), or ``foreign`` (not ours)."""
    program: str = ""
    began_at: float
    answered_at: float | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    end_reason: str | None = None
    talk_seconds: float = 0.0


class AuditView(View, frozen=True, kw_only=True):
    """Who did what, when, with what result."""

    at: float
    call_id: str | None
    who: str
    what: str
    by: str
    """A key's name, a token's subject, ``key 5`` of a phone, or callbridge itself."""
    result: str
    tenant: str = ""


class ProgramView(View, frozen=True, kw_only=True):
    """A program that takes incoming calls."""

    name: str
    connected: bool
    standby: int = 0
    """Connections that wait to take over."""
    lease_until: float | None = None
    """When others take its calls, should it not be back by then; null while it is connected."""
    routes: tuple[str, ...] = ()
    calls: int = 0
    tenant: str = ""
    queues: tuple[str, ...] = ()
    """Those that it is limited to; empty for all of its tenant."""


class WebhookView(View, frozen=True, kw_only=True):
    """Where events are sent."""

    webhook_id: str
    url: str
    events: tuple[str, ...] = ()
    """Types that are sent; empty for all."""
    tenant: str = ""
    active: bool = True
    pending: int = 0
    dead: int = 0


class DeliveryView(View, frozen=True, kw_only=True):
    """One event on its way to one webhook."""

    delivery_id: str
    webhook_id: str
    state: str
    """``pending``, ``delivered`` or ``dead``."""
    attempts: int
    event_type: str
    call_id: str | None
    created_at: float
    next_at: float | None = None
    last_status: int | None = None
    last_error: str = ""


class KeyView(View, frozen=True, kw_only=True):
    """An API key, without its secret."""

    key_id: str
    name: str
    role: str
    tenant: str
    queues: tuple[str, ...] = ()
    """Those that it is limited to; empty for all of its tenant."""
    created_at: float
    expires_at: float | None = None
    revoked: bool = False


class NewKeyView(KeyView, frozen=True, kw_only=True):
    """An API key that was made just now. The secret is shown this once."""

    secret: str


class MeView(View, frozen=True, kw_only=True):
    """Who is asking."""

    name: str
    role: str
    tenant: str
    queues: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()


class HealthView(View, frozen=True, kw_only=True):
    """How the daemon does. ``ready``: it takes calls and commands."""

    live: bool
    ready: bool
    version: str
    asterisk: str = ""
    """Its version; empty while it cannot be reached."""
    calls: int = 0
    draining: bool = False
    parts: dict[str, str] = {}
    """Each part's state: ``ok``, or what is wrong: ``ari``, ``store``, ``webhooks``, …"""
