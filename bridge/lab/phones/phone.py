"""What every phone can do, whichever library it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from bridge.lab.phones.settings import PhoneSettings, Source

Headers: TypeAlias = Sequence[tuple[str, str]]
"""Names and values of SIP headers."""


class CallState(StrEnum):
    """Where a call of a phone stands, as SIP sees it (RFC 3261)."""

    CALLING = "calling"
    """INVITE sent."""
    INCOMING = "incoming"
    """INVITE received."""
    EARLY = "early"
    """A provisional answer (180, 183) was sent or received."""
    CONNECTING = "connecting"
    """200 was sent or received, ACK not yet."""
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


class Direction(StrEnum):
    """Who placed a call, seen from the phone."""

    IN = "in"
    OUT = "out"


class Disconnect(msgspec.Struct, frozen=True):
    """Why a call ended: SIP code and reason phrase."""

    code: int
    reason: str


class CallInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a phone."""

    call_id: int
    """Counted by the phone, from 1 on."""
    direction: Direction
    remote: str
    """The other's SIP address as it stands in the dialog."""
    state: CallState
    reached: tuple[CallState, ...]
    """All states up to now, in order."""
    disconnect: Disconnect | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Of the INVITE that came in: names and values in their order, as they were on the wire."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header by its name in any case, None if there is none."""
        values = (value for key, value in self.headers if key.lower() == name.lower())
        return next(values, None)


class TransferStatus(msgspec.Struct, frozen=True):
    """How far the server says a transfer of the phone's is (NOTIFY, RFC 3515)."""

    code: int
    """SIP status of what became of the call to the target: 100, 180, 200, 486 …"""
    reason: str
    final: bool

    @property
    def completed(self) -> bool:
        """Whether the target has answered: a status of success (RFC 3261, 2xx)."""
        return HTTPStatus.OK <= self.code < HTTPStatus.MULTIPLE_CHOICES


class PhoneStats(msgspec.Struct, frozen=True, kw_only=True):
    """RTP of the current call, from its start."""

    codec: str
    clock_rate_hz: int
    rx_packets: int
    tx_packets: int
    rx_lost: int
    rx_discarded: int
    """Packets thrown away by the RTP session."""
    jitter_buffer_ms: int
    """Audio waiting in the jitter buffer now."""
    jitter_buffer_discarded: int
    """Frames that the jitter buffer threw away."""
    jitter_buffer_empty: int
    """Times that it had nothing to play."""
    round_trip_ms: float
    """From RTCP; 0 before the first report."""


class RecordPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Which moment of a recording belongs to which moment of ``time.monotonic()``."""

    path: Path
    seconds: float
    """Seconds of the recording, written when ``monotonic`` was."""
    monotonic: float

    def at(self, monotonic: float) -> float:
        """Where in the recording what the phone's ear took at ``monotonic`` is, in seconds."""
        return self.seconds + monotonic - self.monotonic


class Phone(Protocol):
    """A SIP phone with one line, and a second for a consultation.

    PhoneError names what cannot be done, and why.
    """

    @property
    def settings(self) -> PhoneSettings:
        """What it was started with."""

    @property
    def calls(self) -> Sequence[CallInfo]:
        """Every call it had, oldest first."""

    @property
    def state(self) -> CallState | None:
        """State of the newest call; None before the first."""

    @property
    def last_disconnect(self) -> Disconnect | None:
        """Why the newest call that has ended did so."""

    @property
    def transfer_told(self) -> Sequence[TransferStatus]:
        """All that the server has said of the last transfer of this phone, in order."""

    @property
    def digits(self) -> str:
        """All DTMF digits received (RFC 4733), in order."""

    async def call(self, number: str) -> None:
        """Send an INVITE to a number at the phone's server."""

    async def answer(self) -> None:
        """Answer the call that rings here."""

    async def hangup(self, code: int = 0) -> None:
        """End the current call; ``code`` is the SIP answer for a call that only rings (0: 603)."""

    async def dtmf(self, digits: str, *, by_info: bool = False) -> None:
        """Press keys: RFC 4733 or, ``by_info``, SIP INFO (application/dtmf-relay)."""

    async def mute(self, *, on: bool) -> None:
        """Send silence instead of the source; with silence suppression, nothing at all."""

    async def play(self, source: Source) -> None:
        """Say something else from now on.

        Raises BadArgumentError for a tone that the phone's sample rate cannot carry.
        """

    async def hold(self) -> None:
        """Put the current call on hold (re-INVITE, sendonly)."""

    async def unhold(self) -> None:
        """Take the current call back."""

    async def transfer(self, number: str, *, headers: Headers = ()) -> None:
        """Send the other side of the current call to a number (REFER): a blind transfer.

        headers: more of them, for the REFER.
        """

    async def consult(self, number: str) -> None:
        """Hold the current call and place a second one, which is the current one then."""

    async def complete_transfer(self) -> None:
        """Connect the held call with the consulted one (REFER, Replaces): an attended transfer."""

    async def wait_transferred(self, within_s: float = 5.0) -> TransferStatus:
        """Wait until the server has said how the last transfer of this phone ended."""

    async def stats(self) -> PhoneStats:
        """RTP and jitter buffer of the current call."""

    async def record_position(self) -> RecordPosition:
        """How far the recording is, now; the file holds all of it."""

    async def wait_state(self, state: CallState, within_s: float = 5.0) -> CallInfo:
        """Wait until the newest call has reached ``state``."""

    async def wait_digits(self, digits: str, within_s: float = 5.0) -> None:
        """Wait until all received digits end with ``digits``."""

    def events(self) -> AsyncIterator[CallInfo]:
        """Every change of state from now on, until the phone stops."""

    async def stop(self) -> None:
        """Hang up, sign off and end the process; returns when it is gone."""
