r"""How a record stands in the spool: a line of its own, so that a damaged one spoils no other.

::

    CRC32 SERIAL KIND JSON\n         1f0c93aa 1795187421000001 E {"seq":1,…}

The checksum is of all that follows it. JSON as it is written here holds no line break. Pure.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a record is."""

    CALL = "C"
    EVENT = "E"
    NOTE = "N"
    CONTEXT = "X"
    AUDIT = "A"
    DELIVERY = "D"
    DELIVERY_UPDATE = "U"


GIVING_WAY: Final[tuple[frozenset[Kind], ...]] = (
    frozenset({Kind.EVENT}),
    frozenset({Kind.AUDIT, Kind.DELIVERY, Kind.DELIVERY_UPDATE}),
    frozenset({Kind.CALL, Kind.NOTE, Kind.CONTEXT}),
)
"""What is given up first when there is no room, what then, what last."""

RANK: Final = {kind: rank for rank, kinds in enumerate(GIVING_WAY) for kind in kinds}
"""Place of each kind in that order."""

_CRC_DIGITS: Final = 8
_BY_VALUE: Final = {kind.value.encode(): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Frame:
    """A record on its way. ``serial`` grows from record to record; ``body`` is JSON."""

    serial: int
    kind: Kind
    body: bytes


def pack(frame: Frame) -> bytes:
    """Return the line of a frame."""
    text = b"%d %s %b\n" % (frame.serial, frame.kind.encode(), frame.body)
    return b"%08x %b" % (zlib.crc32(text), text)


def unpack(line: bytes) -> Frame | None:
    """Return the frame of a line, None if it is damaged, not whole, or another version's."""
    checksum, _, text = line.partition(b" ")
    if len(checksum) != _CRC_DIGITS or b"%08x" % zlib.crc32(text) != checksum:
        return None
    try:
        serial, kind, body = text.split(b" ", 2)
        return Frame(int(serial), _BY_VALUE[kind], body[:-1])
    except (KeyError, ValueError):
        return None
