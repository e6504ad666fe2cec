"""What an Asterisk has to be able to do, so that callbridge can use it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Version = tuple[int, int, int]

NEEDED = "20.16 or later of 20, or 22.6 or later (media over WebSocket)"
_FIRST_OF_BRANCH = {20: 16, 22: 6}
REQUIRED_MODULES = (
    "chan_websocket",
    "chan_rtp",
    "res_rtp_multicast",
    "res_stasis_snoop",
    "res_ari",
    "chan_pjsip",
    "bridge_softmix",
    "bridge_holding",
    "codec_resample",
)


def missing_modules(modules: Path) -> list[str]:
    """Return the names of modules we cannot do without and that a folder of modules lacks."""
    return [name for name in REQUIRED_MODULES if not (modules / f"{name}.so").is_file()]


def parse_version(text: str) -> Version | None:
    """Read ``Asterisk 22.10.1~dfsg…`` or ``Asterisk certified/20.7-cert5``; None if there is none.

    A missing last figure counts as 0.
    """
    match = re.search(r"Asterisk\s+\S*?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0)


def is_recent_enough(version: Version) -> bool:
    """Tell whether the version has chan_websocket as we use it (20.16, 22.6, 23.0)."""
    major, minor, _ = version
    if major in _FIRST_OF_BRANCH:
        return minor >= _FIRST_OF_BRANCH[major]
    return major > max(_FIRST_OF_BRANCH)
