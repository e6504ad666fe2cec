"""What is said to somebody, on its way to the daemon: files and PCM are uploaded."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.media.pcm import AudioFormat
from bridge.sdk.sounds import Sound, loaded


@dataclass(frozen=True, slots=True)
class Said:
    """Either a sound that Asterisk has, or audio, or nothing."""

    sound: str | None = None
    audio: bytes | None = None


async def said(sound: Sound | None, rate: int) -> Said:
    """Return what is to be sent. rate: Hz. Raises BadArgumentError."""
    if sound is None:
        return Said()
    what = await loaded(sound, AudioFormat(rate))
    return Said(sound=what) if isinstance(what, str) else Said(audio=what)
