"""How a receiver knows that an event is callbridge's: HMAC-SHA256 over time and body. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

HEADER: Final = "Callbridge-Signature"
"""``t=SECONDS,v1=HEX``: HEX is the HMAC-SHA256 of ``SECONDS.BODY``."""
TOLERANCE_SECONDS: Final = 300.0

_TIME: Final = re.compile(r"[0-9]{1,12}")


def sign(secret: str, body: bytes, *, at: float) -> str:
    """Return what the header says of a body that is sent at ``at``, in seconds since 1970."""
    seconds = int(at)
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify(
    header: str,
    body: bytes,
    secret: str,
    *,
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> bool:
    """Tell whether a body is what the holder of the secret has sent, and not long ago.

    ::

        if not verify(request.headers[HEADER], await request.read(), SECRET, now=time.time()):
            return web.Response(status=401)

    header: the value of ``Callbridge-Signature``. body: the bytes as they came, not decoded. now:
    seconds since 1970. An old one is refused, so that nobody sends again what he has overheard.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return False
    seconds = int(times[0])
    if abs(now - seconds) > tolerance_seconds:
        return False
    wanted = _digest(secret, seconds, body).encode()
    given = [value.encode() for name, _, value in parts if name == "v1"]
    return any(hmac.compare_digest(wanted, one) for one in given)


def _digest(secret: str, seconds: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
