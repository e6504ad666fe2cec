"""What goes over the WebSockets, in JSON text frames; audio goes in binary frames.

Three sockets, all below ``/api/v1``, all authorised as the HTTP API is: by the ``Authorization``
header or, for browsers, which cannot set one, by a first frame ``Authenticate`` within 5 s.

``/events/socket``
    The watcher's first frame is ``Subscribe``; then comes ``Snapshot``, or ``Resumed`` when
    everything missed can still be told, and then ``Event`` by ``Event``. ``Subscribe`` may be sent
    again. A watcher that does not read is sent ``CutOff`` and closed (code 4008).
``/calls/{call_id}/audio?as=NAME``
    NAME: an observer made by ``observe``, or ``ai``, the agent of a call of the program that asks.
    To the server: binary frames of PCM (s16le, mono, the server's sample rate, whole samples, at
    most 64 KiB), and ``ClearAudio``. From the server: ``AudioReady``, binary frames of 20 ms of
    the mix (or of ``speaker=``; none with ``hear=0``), and ``AudioProgress``. Before the call is
    answered nothing comes. Many may hear for a participant, one speaks: who came last, from his
    first audio on; the one before is closed (code 4009). Before the call is answered, and while
    the send buffer is full, 1 MiB of what is sent waits; behind that nothing is read, no ping
    either.
``/programs/{name}/socket``
    The program's first frame is ``Attach``; then come ``Attached`` and, while it holds the lease,
    ``Offer`` for every incoming call that its routes choose, ``Granted`` for each that it then
    accepts, and ``Event`` of its calls.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bridge.model.errors import ErrorCode
from bridge.model.headers import HEADER_NAME
from bridge.protocol.requests import END
from bridge.protocol.views import CallView, EventView

EVENTS_SOCKET: Final = "/events/socket"
AUDIO_SOCKET: Final = "/calls/{call_id}/audio"
PROGRAM_SOCKET: Final = "/programs/{name}/socket"

CLOSE_UNAUTHENTICATED: Final = 4001
CLOSE_FORBIDDEN: Final = 4003
CLOSE_NOT_FOUND: Final = 4004
CLOSE_BAD_FRAME: Final = 4000
CLOSE_SLOW: Final = 4008
CLOSE_TAKEN: Final = 4009
CLOSE_GOING_AWAY: Final = 1001
CLOSE_FAULT: Final = 1011

HeaderName = Annotated[str, Meta(pattern=f"^{HEADER_NAME}{END}")]
"""Of a SIP header, as far as Asterisk's dialplan can ask for it."""


class ClientFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True
):
    """Base of what clients send."""


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what the server sends."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The last event that was seen."""

    epoch: str
    seq: int


class Authenticate(ClientFrame, frozen=True, kw_only=True, tag="authenticate"):
    """Say who one is, where no header can be set."""

    key: Annotated[str, Meta(max_length=8192)]


class Subscribe(ClientFrame, frozen=True, kw_only=True, tag="subscribe"):
    """Ask for events: of one call or of all that one may see, of some types or of all."""

    call_id: str | None = None
    types: Annotated[list[str], Meta(max_length=100)] | None = None
    after: Position | None = None
    """Go on behind this event instead of a snapshot."""


class ClearAudio(ClientFrame, frozen=True, kw_only=True, tag="clear_audio"):
    """Drop what was sent and is not played."""


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which incoming calls: all that is given must match; ``*`` at the end stands for anything."""

    dialled: str | None = None
    endpoint: str | None = None
    """The caller's: ``PJSIP/trunk*``."""
    header: tuple[HeaderName, str] | None = None
    """A SIP header and what it must be: ``["X-Queue", "sales*"]``."""


class Attach(ClientFrame, frozen=True, kw_only=True, tag="attach"):
    """Be the program of this name, or stand by to take over from it."""

    routes: Annotated[tuple[Route, ...], Meta(max_length=100)] = (Route(),)
    lease_seconds: Annotated[float, Meta(ge=0.5, le=300)] = 10.0
    """How long its calls wait for it when its socket is lost, before somebody else has them."""
    when_gone: Literal["leave", "hang_up"] = "leave"
    """What befalls its calls when nobody has taken them by then: the agent leaves and the parties
    go on (a caller who is alone is hung up), or all are hung up."""
    instance: Annotated[str, Meta(max_length=80)] = ""
    """Names those who stand in for each other at once, such as the processes of one host: the same
    one gets a lease back without waiting for its end."""
    client: Annotated[str, Meta(max_length=80)] = ""
    """Names who attaches, for as long as he runs: attached again, he takes the place of the socket
    that he had, of which the daemon may not know yet that the network has lost it."""
    after: Position | None = None
    """Tell what befell its calls behind this event first, as far as it is known."""


class Accept(ClientFrame, frozen=True, kw_only=True, tag="accept"):
    """Take an offered call."""

    call_id: str


class HandOver(ClientFrame, frozen=True, kw_only=True, tag="hand_over"):
    """Leave the lease, and every call as it stands, to the next one, at once."""


ClientMessage: TypeAlias = Authenticate | Subscribe | ClearAudio | Attach | Accept | HandOver


class Snapshot(ServerFrame, frozen=True, kw_only=True, tag="snapshot"):
    """All calls as they are; events behind ``at`` follow."""

    at: Position
    calls: tuple[CallView, ...]


class Resumed(ServerFrame, frozen=True, kw_only=True, tag="resumed"):
    """Everything behind ``after`` follows."""

    after: Position


class Event(ServerFrame, frozen=True, kw_only=True, tag="event"):
    """Something happened."""

    event: EventView


class CutOff(ServerFrame, frozen=True, kw_only=True, tag="cut_off"):
    """The socket is closed: ``code`` and ``message`` say why."""

    code: ErrorCode
    message: str


class AudioReady(ServerFrame, frozen=True, kw_only=True, tag="audio_ready"):
    """Audio may be sent and is coming."""

    sample_rate: int
    """Hz."""
    send_buffer_seconds: float
    position: int = 0
    """Bytes that this daemon has received for this participant before."""


class AudioProgress(ServerFrame, frozen=True, kw_only=True, tag="audio_progress"):
    """How far what was sent has come: every 100 ms while something is queued, and at its end."""

    received: int
    """Bytes since the participant came."""
    buffered: int
    """Bytes of them that are neither played nor dropped."""
    dropped: dict[str, int] = {}
    """Bytes that nobody heard, by reason."""
    lost_frames: int = 0
    """Frames of 20 ms from the call that this socket was too slow for."""


class Attached(ServerFrame, frozen=True, kw_only=True, tag="attached"):
    """``active``: this connection has the lease; else it stands by, and is told when it has it."""

    active: bool
    sample_rate: int
    calls: tuple[CallView, ...] = ()
    """Calls of this program that go on: taken up again."""
    resumed: bool = False
    """All that befell them behind ``Attach.after`` follows."""
    at: Position | None = None


class Offer(ServerFrame, frozen=True, kw_only=True, tag="offer"):
    """An incoming call for this program; it is to ``Accept`` within 5 s, or the next one has it."""

    call: CallView


class Granted(ServerFrame, frozen=True, kw_only=True, tag="granted"):
    """A call is this program's: it accepted it in time, or it was originated, by or for it."""

    call: CallView


class Changed(ServerFrame, frozen=True, kw_only=True, tag="changed"):
    """A call of this program is another now, without an event: somebody is being rung, say."""

    call: CallView


class Withdrawn(ServerFrame, frozen=True, kw_only=True, tag="withdrawn"):
    """An offered call is not for this program any more: accepted too late, or over."""

    call_id: str


ServerMessage: TypeAlias = (
    Snapshot
    | Resumed
    | Event
    | CutOff
    | AudioReady
    | AudioProgress
    | Attached
    | Offer
    | Granted
    | Changed
    | Withdrawn
)
