"""What an observer hears: each speaker apart, and the mix of all, for any number of readers."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from bridge.media.mixer import Mixer
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.errors import BadArgumentError

if TYPE_CHECKING:
    from bridge.media.pcm import AudioFormat


class AudioStream:
    """Frames of 20 ms, s16le mono, as an asynchronous iterator.

    Ends when the speaker, the call or the observer does, after what is buffered was read. A slow
    reader loses the oldest frames, counted in ``dropped_frames``. Leaving the loop is enough: a
    stream that nobody holds any more is forgotten.
    """

    def __init__(self, speaker: str | None, max_frames: int) -> None:
        self.speaker = speaker
        """Who is heard; None for the mix of all."""
        self.dropped_frames = 0
        self._frames: deque[bytes] = deque(maxlen=max_frames)
        self._ended = False
        self._wake = asyncio.Event()

    @property
    def ended(self) -> bool:
        """No more frames will come; those that are buffered can still be read."""
        return self._ended

    @property
    def buffered_frames(self) -> int:
        """Frames that wait for the reader."""
        return len(self._frames)

    def __aiter__(self) -> Self:
        """Read from here on; several readers share the frames among them."""
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next frame."""
        while not self._frames:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._frames.popleft()

    async def aclose(self) -> None:
        """Stop listening; what is buffered is dropped."""
        self._frames.clear()
        self.end()

    def feed(self, frame: bytes) -> None:
        """Append a frame, at the cost of the oldest when the buffer is full."""
        if self._ended:
            return
        if len(self._frames) == self._frames.maxlen:
            self.dropped_frames += 1
        self._frames.append(frame)
        self._wake.set()

    def end(self) -> None:
        """No more frames will come."""
        self._ended = True
        self._wake.set()


class Ears:
    """Fan-out of the received audio of one observer.

    Speakers join and leave as their lines do; ``push`` takes what a line's socket received, in a
    running event loop. A speaker's own streams have it at once, the mix in the loop's next turn,
    when all sockets were read: a loop that was blocked finds the frames of many ticks in each.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._frame_bytes = audio_format.frame_bytes
        self.taps: list[Callable[[str, bytes], None]] = []
        """Each is given every frame as it comes, and whose it is. Must not block."""
        self._partial: dict[str, bytearray] = {}
        self._streams: weakref.WeakSet[AudioStream] = weakref.WeakSet()
        self._mixer: Mixer | None = None
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.Handle | None = None
        self._closed = False

    @property
    def speakers(self) -> frozenset[str]:
        """Who can be heard now."""
        return frozenset(self._partial)

    @property
    def subscriptions(self) -> int:
        """Streams that somebody still holds and that have not ended."""
        return sum(not stream.ended for stream in self._streams)

    def join(self, speaker: str) -> None:
        """Begin to hear a speaker."""
        self._partial.setdefault(speaker, bytearray())
        if self._mixer is not None:
            self._mixer.join(speaker)

    def leave(self, speaker: str) -> None:
        """End a speaker and the streams of him alone; the mix goes on with the others."""
        self.pause(speaker)
        for stream in list(self._streams):
            if stream.speaker == speaker:
                stream.end()

    def pause(self, speaker: str) -> None:
        """Nothing comes from a speaker until he joins again: the mix does not wait for him."""
        self._partial.pop(speaker, None)
        if self._mixer is not None:
            self._feed_mix(self._mixer.leave(speaker))

    def push(self, speaker: str, pcm: bytes) -> None:
        """Hand on what was received from a speaker, cut into frames; unknown speakers are ignored.

        A line's last packets may come after its end: that is not an error.
        """
        partial = self._partial.get(speaker)
        if partial is None or self._closed:
            return
        if not partial and len(pcm) == self._frame_bytes:
            self._hear(speaker, pcm)
            return
        partial += pcm
        while len(partial) >= self._frame_bytes:
            frame = bytes(partial[: self._frame_bytes])
            del partial[: self._frame_bytes]
            self._hear(speaker, frame)

    def subscribe(self, speaker: str | None = None, *, max_seconds: float = 10.0) -> AudioStream:
        """Listen to one speaker, who may yet have to join, or to the mix of all (None).

        max_seconds: how much is kept for a slow reader. Raises BadArgumentError below one frame.
        """
        max_frames = int(max_seconds / FRAME_SECONDS + 1e-9)
        if max_frames < 1:
            raise BadArgumentError(f"max_seconds={max_seconds:g}: a frame is 0.02 s")
        stream = AudioStream(speaker, max_frames)
        if self._closed:
            stream.end()
        elif speaker is None and self._mixer is None:
            self._mixer = Mixer(self._partial)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """End all streams, each after what it has buffered."""
        self._closed = True
        for speaker in list(self._partial):
            self.leave(speaker)
        self._stop_mixing()
        for stream in list(self._streams):
            stream.end()
        self._streams.clear()

    def _hear(self, speaker: str, frame: bytes) -> None:
        for tap in self.taps:
            tap(speaker, frame)
        mixed = False
        for stream in list(self._streams):
            if stream.ended:
                self._streams.discard(stream)
            elif stream.speaker == speaker:
                stream.feed(frame)
            else:
                mixed = mixed or stream.speaker is None
        if not mixed:
            # Nobody listens to the mix: the next one who does starts with a fresh one.
            self._stop_mixing()
        elif self._mixer is not None:
            loop = asyncio.get_running_loop()
            self._mixer.push(speaker, frame, loop.time())
            if self._turn is None:
                self._turn = loop.call_soon(self._mix)

    def _mix(self) -> None:
        """Feed what is complete, and come back for what waits."""
        self._turn = None
        if self._mixer is not None:
            self._feed_mix(self._mixer.complete())
            self._come_back(self._mixer)

    def _come_back(self, mixer: Mixer) -> None:
        if self._timer is None and (at := mixer.due_at) is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._lose_patience)

    def _lose_patience(self) -> None:
        """Feed what has waited for too long, unless what it waits for is here and not yet read.

        A blocked loop comes here before the tasks that read the sockets: they have two turns.
        """
        loop = asyncio.get_running_loop()
        self._timer = loop.call_soon(loop.call_soon, self._go_without, loop.time())

    def _go_without(self, since: float) -> None:
        """Wait no longer for what had not arrived at ``since``."""
        self._timer = None
        if self._mixer is not None:
            self._feed_mix(self._mixer.due(since))
            self._come_back(self._mixer)

    def _stop_mixing(self) -> None:
        self._mixer = None
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn = self._timer = None

    def _feed_mix(self, frames: list[bytes]) -> None:
        for stream in list(self._streams):
            if stream.speaker is None:
                for frame in frames:
                    stream.feed(frame)
