"""Music on hold that is never quiet: a tone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import soundfile

from bridge.lab.hearing import tone

HZ: Final = 383.0
"""150 Hz and more from every voice."""
_DBFS: Final = -12.0
_SECONDS: Final = 20.0
_RATE: Final = 48000


def write_music(folder: Path) -> Path:
    """Write a file of music into a folder, and return the folder."""
    pcm = tone(HZ, _DBFS, _SECONDS, _RATE)
    soundfile.write(folder / "tone.wav", pcm, _RATE, subtype="PCM_16")
    return folder
