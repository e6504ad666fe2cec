"""WebSocket frames of a server (RFC 6455), made once and written to many sockets as they are.

A server masks nothing, and what is sent uncompressed is the same for everybody.
"""

from __future__ import annotations

import struct
from typing import Final

_FINAL: Final = 0x80
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_SHORT: Final = 125
_MEDIUM: Final = 0xFFFF
_REASON_BYTES: Final = 120
"""A control frame carries 125 bytes, two of them the code."""


def text_frame(text: bytes) -> bytes:
    """Return a whole text frame. text: UTF-8."""
    return _frame(_TEXT, text)


def binary_frame(content: bytes) -> bytes:
    """Return a whole binary frame."""
    return _frame(_BINARY, content)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to what fits."""
    said = reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
    return _frame(_CLOSE, struct.pack("!H", code) + said)


def _frame(opcode: int, content: bytes) -> bytes:
    size = len(content)
    if size <= _SHORT:
        head = struct.pack("!BB", _FINAL | opcode, size)
    elif size <= _MEDIUM:
        head = struct.pack("!BBH", _FINAL | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, 127, size)
    return head + content
