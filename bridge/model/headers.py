"""SIP headers that a program gives to a leg: which may be given, and how text becomes one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from bridge.model.errors import BadArgumentError

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in the order in which they are sent."""

HEADER_BYTES: Final = 1000
"""The longest value, in UTF-8."""
ALL_BYTES: Final = 2000
"""The longest sum of names and values: with its SDP an INVITE has to stay below 4,000 bytes, the
longest that pjsip takes (PJSIP_MAX_PKT_LEN). Measured: what is beyond is cut off without a word."""

HEADER_NAME: Final = r"[A-Za-z0-9!%*_+~-]{1,64}"
"""The pattern of a name: a token (RFC 3261, 25.1) without what ends the name of a function of
Asterisk's dialplan."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_BLANKS = re.compile(r"\s+")

_OF_THE_DIALOG = re.compile(
    r"""accept(-encoding)? | allow(-events)? | authorization | call-id | contact | cseq | date
    | content-(disposition|encoding|length|type) | event | expires | from | identity(-info)? | join
    | max-forwards | mime-version | min-(expires|se) | proxy-(authenticate|authorization|require)
    | rack | record-route | refer-(sub|to) | replaces | require | route | rseq | server
    | session-expires | subscription-state | supported | target-dialog | timestamp | to
    | unsupported | user-agent | via | www-authenticate
    | [acdefijklmnortuvxy]""",
    re.VERBOSE | re.IGNORECASE,
)
"""What SIP needs for itself, and their short forms (RFC 3261, 7.3.3, and later ones)."""


def checked_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Return headers that may be added to an INVITE.

    Values are sent as UTF-8, as RFC 3261 has it. Raises BadArgumentError for a name that is none
    or that SIP itself needs, for a value with a line break or another control character in it (it
    would be read as a header of its own), and for what is too long.
    """
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in pairs:
        _check(name, value)
    size = sum(len(name) + len(value.encode()) + 4 for name, value in pairs)
    if size > ALL_BYTES:
        raise BadArgumentError(
            f"the SIP headers have {size} bytes; with more than {ALL_BYTES} an INVITE may be cut "
            "off on its way: send a reference to what is longer"
        )
    return pairs


def header_text(text: str, max_bytes: int = HEADER_BYTES) -> str:
    """Make the value of a header of any text: one line, cut off between two characters."""
    line = _BLANKS.sub(" ", _CONTROL.sub(" ", text)).strip()
    whole = line.encode(errors="replace")
    return whole[:max_bytes].decode(errors="ignore").rstrip()


def user_to_user(data: str | bytes) -> str:
    """Return the value of a User-to-User header (RFC 7433) that carries text or bytes."""
    octets = data.encode() if isinstance(data, str) else data
    return f"{octets.hex()};encoding=hex"


def _check(name: str, value: str) -> None:
    if not re.fullmatch(HEADER_NAME, name):
        raise BadArgumentError(f"{name!r} is no name of a SIP header: one like X-Ticket is")
    if _OF_THE_DIALOG.fullmatch(name):
        raise BadArgumentError(f"the SIP header {name} is not a program's to set: use an X- header")
    if _CONTROL.search(value):
        raise BadArgumentError(
            f"the SIP header {name} has a line break or another control character in its value: "
            "header_text() makes one line of any text"
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadArgumentError(f"the value of the SIP header {name} is no text") from None
    if size > HEADER_BYTES:
        raise BadArgumentError(
            f"the value of the SIP header {name} has {size} bytes, more than {HEADER_BYTES}: "
            "shorten it, or send a reference to it"
        )
