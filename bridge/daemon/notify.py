"""What systemd is told: ready, stopping, alive (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
from typing import Final

_log = logging.getLogger(__name__)

_ADDRESS: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"


def notify(*states: str) -> bool:
    """Tell systemd something, such as ``READY=1``; False when it does not run us.

    Never waits: what it does not take at once is not told.
    """
    address = os.environ.get(_ADDRESS, "")
    if not address:
        return False
    if address.startswith("@"):
        # A name that is in no folder begins with NUL.
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(0)
            to.sendto("\n".join(states).encode(), address)
    except OSError as error:
        _log.warning("systemd is not told %s: %s", states[0], error)
        return False
    return True


def watchdog_seconds() -> float | None:
    """Return how often systemd wants to hear that we are alive; None when it does not."""
    text = os.environ.get(_WATCHDOG, "")
    pid = os.environ.get(_WATCHDOG_PID, str(os.getpid()))
    if not text.isdigit() or pid != str(os.getpid()) or int(text) == 0:
        return None
    return int(text) / 1_000_000
