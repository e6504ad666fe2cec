"""PCM as callbridge carries it: s16le, mono, in frames of 20 ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bridge.model.errors import BadArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_MS: Final = 20
"""Length of a frame. Asterisk's bridges, snoops and media sockets all tick at this interval."""

FRAME_SECONDS: Final = FRAME_MS / 1000

SAMPLE_BYTES: Final = 2

_ASTERISK_NAMES: Final = {8000: "slin", 16000: "slin16", 24000: "slin24"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A sample rate, and all that follows from it. s16le, mono.

    rate: 8000, 16000 or 24000 Hz; anything else raises BadArgumentError.
    """

    rate: int

    def __post_init__(self) -> None:
        """Refuse a rate that no Asterisk format of ours carries."""
        if self.rate not in _ASTERISK_NAMES:
            rates = ", ".join(str(rate) for rate in _ASTERISK_NAMES)
            raise BadArgumentError(f"sample rate {self.rate!r} Hz: use one of {rates}")

    @property
    def asterisk_name(self) -> str:
        """Asterisk's name of the format: ``slin``, ``slin16`` or ``slin24``."""
        return _ASTERISK_NAMES[self.rate]

    @property
    def bytes_per_second(self) -> int:
        """Bytes of one second."""
        return self.rate * SAMPLE_BYTES

    @property
    def frame_samples(self) -> int:
        """Samples of one 20 ms frame."""
        return self.rate * FRAME_MS // 1000

    @property
    def frame_bytes(self) -> int:
        """Bytes of one 20 ms frame; chan_websocket calls it the optimal frame size."""
        return self.frame_samples * SAMPLE_BYTES

    def seconds(self, size: int) -> float:
        """Duration of ``size`` bytes, in seconds."""
        return size / self.bytes_per_second


def check_pcm(pcm: bytes | bytearray | memoryview) -> None:
    """Raise BadArgumentError unless ``pcm`` is a whole number of s16le samples."""
    if not isinstance(pcm, bytes | bytearray | memoryview):
        raise BadArgumentError(f"audio is bytes of s16le PCM, not {type(pcm).__name__}")
    size = pcm.nbytes if isinstance(pcm, memoryview) else len(pcm)
    if size % SAMPLE_BYTES:
        raise BadArgumentError(
            f"{size} bytes of audio: 16-bit samples come in pairs of bytes; "
            "keep the odd byte back and send it with the next chunk"
        )


def mix(frames: Sequence[bytes]) -> bytes:
    """Add frames sample by sample, saturating at the ends of 16 bit.

    frames: s16le, all of one size. No frames are no bytes; one frame is returned as it is.
    """
    if len(frames) <= 1:
        return frames[0] if frames else b""
    total = np.frombuffer(frames[0], "<i2").astype(np.int32)
    for frame in frames[1:]:
        total += np.frombuffer(frame, "<i2")
    return np.clip(total, -32768, 32767).astype("<i2").tobytes()
