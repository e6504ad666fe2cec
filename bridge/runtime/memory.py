"""What is remembered of a call outside of the program: JSON in a variable of its legs.

Who is in which bridge Asterisk's own objects tell. The rest is written to the channels of the
parties whenever it changes, so that it ends with the call, and is there for whichever program runs
next, however this one ends. See docs/adr/0014.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import msgspec

from bridge.ari import AriConnection
from bridge.ari.connection import BESIDE_S
from bridge.ari.resource import segment
from bridge.model.errors import CommandTimeoutError, RequestFailedError, ServerError
from bridge.model.ids import CallId
from bridge.model.modes import SPY, ObserverMode
from bridge.model.participants import CALLEE, Participant
from bridge.runtime.incoming import IncomingCall
from bridge.session.outline import Outline

_log = logging.getLogger(__name__)

CALL_VARIABLE: Final = "CALLBRIDGE_CALL"
SEAT_VARIABLE: Final = "CALLBRIDGE_SEAT"

VERSION: Final = 1
LARGEST: Final = 24_000
"""Bytes of a memory; Asterisk takes 40,960 by HTTP and 65,535 by WebSocket."""

_PAUSE_SECONDS: Final = 0.02
"""Between a change and its being written: what comes within it is written at once, and the
commands that follow from the change go first. A call of which nothing is written yet does not
wait."""
_AGAIN_SECONDS: Final = 1.0
_GONE: Final = frozenset({404, 409})


@dataclass(frozen=True, slots=True)
class RememberedLeg:
    """A party's channel."""

    channel_id: str
    endpoint: str = ""
    """What was dialled; empty for who called."""
    ring_seconds: int = 0
    """How long it was rung at most."""


@dataclass(frozen=True, slots=True)
class RememberedObserver:
    """A program that observes a call of ours, or somebody on a phone who observes any."""

    name: Participant
    mode: ObserverMode = SPY
    hears_coaching: bool = False
    coaches: Participant = CALLEE
    note: str | None = None
    """Of the limits of his keys, if he has some: see ``KeyLimits``."""


@dataclass(frozen=True, slots=True)
class RememberedSeat:
    """Somebody on a phone who observes. channels: ids of those of the parties of the call."""

    observer: RememberedObserver
    call_id: CallId
    channels: tuple[str, ...] = ()
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Remembered:
    """One call. serial: grows with every change; the greatest one holds."""

    call_id: CallId
    channel_id: str
    """The caller's, who may have gone."""
    channel_name: str
    outline: Outline
    legs: Mapping[Participant, RememberedLeg]
    caller_number: str = ""
    caller_name: str = ""
    callee_number: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    observers: tuple[RememberedObserver, ...] = ()
    """Those who are programs; who is on a phone is remembered at his own channel."""
    serial: int = 0
    version: int = VERSION

    @property
    def incoming(self) -> IncomingCall:
        """The call as it came."""
        return IncomingCall(
            call_id=self.call_id,
            channel_id=self.channel_id,
            channel_name=self.channel_name,
            caller_number=self.caller_number,
            caller_name=self.caller_name,
            callee_number=self.callee_number,
        )


class _Version(msgspec.Struct):
    version: int = 0


def encode(memory: Remembered | RememberedSeat) -> str:
    """Write a memory as JSON, the same one always alike."""
    return msgspec.json.encode(memory, order="deterministic").decode()


def decode_call(text: str) -> Remembered | None:
    """Read what ``encode`` wrote; None for what is empty, of another version, or no memory."""
    return _decode(text, Remembered)


def decode_seat(text: str) -> RememberedSeat | None:
    """Read what ``encode`` wrote; None for what is empty, of another version, or no memory."""
    return _decode(text, RememberedSeat)


_T = TypeVar("_T", Remembered, RememberedSeat)


def _decode(text: str, kind: type[_T]) -> _T | None:
    if not text:
        return None
    try:
        data = text.encode()
        if len(data) > LARGEST:
            _log.warning("what is remembered of a call is too long, and forgotten")
            return None
        version = msgspec.json.decode(data, type=_Version).version
        if version != VERSION:
            _log.warning(
                "a call is remembered by version %d, we are %d: forgotten", version, VERSION
            )
            return None
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        _log.warning("what is remembered of a call is not understood, and forgotten: %s", error)
        return None


async def recall_call(
    ari: AriConnection, call_id: CallId, channels: Collection[str]
) -> Remembered | None:
    """Return what is remembered of a call at any of these channels (ids): the newest of it.

    Raises ServerError when Asterisk cannot be asked.
    """
    texts = await asyncio.gather(*(_read(ari, channel, CALL_VARIABLE) for channel in channels))
    found = [memory for memory in map(decode_call, texts) if memory and memory.call_id == call_id]
    return max(found, key=lambda memory: memory.serial, default=None)


async def recall_seat(ari: AriConnection, channel_id: str) -> RememberedSeat | None:
    """Return whose seat a channel is, None when that is not known. Raises ServerError."""
    return decode_seat(await _read(ari, channel_id, SEAT_VARIABLE))


async def _read(ari: AriConnection, channel_id: str, variable: str) -> str:
    try:
        answer = await ari.channels.get_channel_var(channel_id=channel_id, variable=variable)
    except RequestFailedError:
        # The channel has gone, or has no such variable.
        return ""
    except CommandTimeoutError as error:
        # One that is stuck must not keep us from all the other calls.
        _log.warning("channel %s: what is remembered there is not known: %s", channel_id, error)
        return ""
    return answer.value


class Memory:
    """Keeps a variable of some channels in step with what is to be remembered.

    The latest wins, and one write is under way at a time. read: what is to be remembered now; None:
    nothing any more. channels: the ids of those at which. ``run()`` is the owner's task.
    """

    def __init__(
        self,
        ari: AriConnection,
        variable: str,
        read: Callable[[], Remembered | RememberedSeat | None],
        channels: Callable[[], Collection[str]],
        *,
        serial: int = 0,
    ) -> None:
        self._ari = ari
        self._variable = variable
        self._read = read
        self._channels = channels
        self._serial = serial
        self._text = ""
        """What was to be remembered last, without a serial."""
        self._written: dict[str, str] = {}
        """What was written, by channel."""
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()

    def changed(self) -> None:
        """Something may be other than before. Never blocks."""
        self._due.set()

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        while True:
            await self._due.wait()
            if self._written:
                await asyncio.sleep(_PAUSE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Return when what is so now is written. What fails is logged, and tried again later."""
        async with self._writing:
            self._due.clear()
            memory = self._read()
            if memory is None:
                return
            channels = self._channels()
            self._written = {c: text for c, text in self._written.items() if c in channels}
            text = self._encoded(memory)
            await asyncio.gather(
                *(self._write(c, text) for c in channels if self._written.get(c) != text)
            )

    def _encoded(self, memory: Remembered | RememberedSeat) -> str:
        text = encode(memory)
        if isinstance(memory, RememberedSeat):
            return text
        if text != self._text:
            self._text = text
            self._serial += 1
        text = encode(replace(memory, serial=self._serial))
        if len(text.encode()) > LARGEST:
            _log.warning("call %s: its notes are too long to be remembered", memory.call_id)
            return encode(replace(memory, serial=self._serial, notes={}))
        return text

    async def _write(self, channel_id: str, text: str) -> None:
        try:
            # In the body: a line of HTTP is shorter than this may be. Beside all other requests:
            # none of them waits for it, should the channel be stuck.
            await self._ari.request(
                "POST",
                f"channels/{segment(channel_id)}/variable",
                query={"variable": self._variable},
                body={"value": text},
                within_s=BESIDE_S,
                plain=True,
            )
        except RequestFailedError as error:
            if error.status not in _GONE:
                _log.warning("channel %s: not remembered: %s", channel_id, error)
        except ServerError as error:
            _log.warning("channel %s: not remembered yet: %s", channel_id, error)
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._due.set)
        else:
            self._written[channel_id] = text
