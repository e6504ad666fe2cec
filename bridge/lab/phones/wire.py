"""What is said between a phone's handle and its worker: one JSON object a line.

Worker's stdin carries ``Command``, its stdout ``Message``. Each command is answered by one
``Reply`` with the same ``seq``; the other messages come unasked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from bridge.lab.phones.phone import CallInfo, TransferStatus
from bridge.lab.phones.settings import PhoneSettings, Source


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first command: become this phone; answered when it is registered."""

    seq: int
    settings: PhoneSettings


class Dial(msgspec.Struct, frozen=True, tag="dial"):
    """Place a call."""

    seq: int
    number: str


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Answer what rings."""

    seq: int


class Hangup(msgspec.Struct, frozen=True, tag="hangup"):
    """End the call."""

    seq: int
    code: int


class Dtmf(msgspec.Struct, frozen=True, tag="dtmf"):
    """Press keys."""

    seq: int
    digits: str
    by_info: bool = False


class Mute(msgspec.Struct, frozen=True, tag="mute"):
    """Fall silent, or speak again."""

    seq: int
    on: bool


class Play(msgspec.Struct, frozen=True, tag="play"):
    """Say something else."""

    seq: int
    source: Source


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Hold the call, or take it back."""

    seq: int
    on: bool


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    """Send the other side of the call to a number."""

    seq: int
    number: str
    headers: tuple[tuple[str, str], ...] = ()


class Consult(msgspec.Struct, frozen=True, tag="consult"):
    """Hold the call and place another."""

    seq: int
    number: str


class CompleteTransfer(msgspec.Struct, frozen=True, tag="complete_transfer"):
    """Connect the held call with the other."""

    seq: int


class Stats(msgspec.Struct, frozen=True, tag="stats"):
    """Asks for PhoneStats."""

    seq: int


class Position(msgspec.Struct, frozen=True, tag="position"):
    """Asks for RecordPosition."""

    seq: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Hang up, sign off, end."""

    seq: int


Command: TypeAlias = (
    Start
    | Dial
    | Answer
    | Hangup
    | Dtmf
    | Mute
    | Play
    | Hold
    | Transfer
    | Consult
    | CompleteTransfer
    | Stats
    | Position
    | Stop
)


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The answer to a command: a result, or an error in words."""

    seq: int
    error: str | None = None
    result: Any = None
    """Anything that ``encode`` takes; arrives as builtin types, see ``result_as``."""


class CallChanged(msgspec.Struct, frozen=True, tag="call"):
    """A call is new or has changed its state."""

    call: CallInfo


class DigitReceived(msgspec.Struct, frozen=True, tag="digit"):
    """The other side pressed a key."""

    digit: str


class TransferTold(msgspec.Struct, frozen=True, tag="transfer_told"):
    """The server says how far a transfer is."""

    status: TransferStatus


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker met an error outside any command; it goes on."""

    error: str


T = TypeVar("T")

Message: TypeAlias = Reply | CallChanged | DigitReceived | TransferTold | Failed


def _plain(value: object) -> object:
    """A path travels as text."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _typed(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind.__name__)


_command_decoder = msgspec.json.Decoder[Command](Command, dec_hook=_typed)
_message_decoder = msgspec.json.Decoder[Message](Message)


def encode(item: Command | Message) -> bytes:
    """One line, newline included."""
    return msgspec.json.encode(item, enc_hook=_plain) + b"\n"


def decode_command(line: bytes) -> Command:
    """Raises msgspec.ValidationError for anything else."""
    command: Command = _command_decoder.decode(line)
    return command


def decode_message(line: bytes) -> Message:
    """Raises msgspec.ValidationError for anything else."""
    message: Message = _message_decoder.decode(line)
    return message


def result_as(kind: type[T], result: object) -> T:
    """A reply's result as what it was. Raises msgspec.ValidationError for anything else."""
    return msgspec.convert(result, kind, dec_hook=_typed)
