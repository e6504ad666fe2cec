"""What a program has said to somebody: a file, PCM, or a sound that Asterisk has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TypeAlias

from bridge.media.clips import load_wav
from bridge.media.pcm import AudioFormat, check_pcm
from bridge.model.errors import BadArgumentError

Sound: TypeAlias = bytes | str | Path
"""PCM as for ``send_audio``, what Asterisk plays (``sound:…``), or a WAV file."""

_MEDIA: Final = ("sound:", "recording:", "number:", "digits:", "characters:")


async def loaded(sound: Sound, audio_format: AudioFormat) -> bytes | str:
    """Return PCM of ``audio_format``, or what Asterisk plays. Raises BadArgumentError."""
    if isinstance(sound, Path):
        return await asyncio.to_thread(load_wav, sound, audio_format)
    if isinstance(sound, str):
        if not sound.startswith(_MEDIA) or "," in sound:
            known = ", ".join(_MEDIA)
            raise BadArgumentError(f"{sound!r} is no sound: one of {known} and a name, a Path, PCM")
        return sound
    check_pcm(sound)
    return bytes(sound)
