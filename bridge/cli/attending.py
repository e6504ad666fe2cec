"""What a command does that observes a call with audio: hear it, and speak on it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from bridge.cli.audio import Microphone, file_frames, require_audio, sink_for
from bridge.cli.choosing import party_of
from bridge.cli.connection import Api
from bridge.cli.observing import dismissed
from bridge.cli.output import Out
from bridge.media.clips import load_wav
from bridge.media.ears import AudioStream
from bridge.media.pcm import AudioFormat
from bridge.model.errors import (
    CallbridgeError,
    CallClosedError,
    CallNotFoundError,
    MediaError,
    NotFoundError,
)
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallView
from bridge.sdk.remote.audio import Audio

_AHEAD_SECONDS: Final = 1.0
"""How much of what is said is on its way at once: so much is still heard after Ctrl-C at most."""
_POLL_SECONDS: Final = 0.05
_KEPT_SECONDS: Final = 10.0
_ENDING_SECONDS: Final = 2.0
_ASKED_AGAIN_SECONDS: Final = 0.2
_ANY_RATE: Final = 8000


async def listened(
    api: Api,
    out: Out,
    call: CallView,
    output: Path | None,
    *,
    speaker: str | None = None,
    seconds: float | None = None,
) -> None:
    """Hear a call, by speakers or into a file, until it is over, or for so long."""
    if output is None:
        require_audio(sounds="--output FILE")
    alone = None if speaker is None else party_of(call, speaker)
    async with _attending(api, call, asked.Observe()) as (audio, rate, name):
        stream = audio.subscribe(alone, _KEPT_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _hear(out, stream, rate, output)
                await _require_over(api, call, name)


async def _require_over(api: Api, call: CallView, name: str) -> None:
    """See to it that the audio ended because the call is over.

    Raises CallbridgeError: what was heard is not all.
    """
    why = f"no more is heard of call {call.call_id}, though it goes on"
    with contextlib.suppress(CallNotFoundError, CallClosedError):
        try:
            view = (await api.ask(ops.SHOW_OBSERVER, call_id=call.call_id, observer=name)).view
        except NotFoundError:
            view = None
        if view is None or view.left:
            await _end_of(api, call)
            why += f": {name}, who heard it, was let go, or the daemon was started again"
        raise MediaError(why)


async def _end_of(api: Api, call: CallView) -> None:
    """Wait for a moment: the call may be ending. Raises CallNotFoundError once it is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _ENDING_SECONDS
    while loop.time() < end:
        await api.ask(ops.SHOW_CALL, call_id=call.call_id)
        await asyncio.sleep(_ASKED_AGAIN_SECONDS)


async def _hear(out: Out, stream: AudioStream, rate: int, output: Path | None) -> None:
    """Take what is heard until the call is over."""
    sink = sink_for(output, rate)
    frames = lost_frames = 0
    try:
        with sink:
            out.hint(f"listening at {rate} Hz; Ctrl-C ends it")
            try:
                async for frame in stream:
                    sink.take(frame)
                    frames += 1
            finally:
                lost_frames = stream.dropped_frames + await sink.settle()
    finally:
        lost = f", {lost_frames} frames lost" if lost_frames else ""
        out.note(f"{frames / 50:.1f} s heard{lost}")


async def spoken(
    api: Api,
    out: Out,
    call: CallView,
    body: asked.Observe,
    *,
    file: Path | None,
    output: Path | None,
) -> None:
    """Say a file, or what the microphone hears, and listen meanwhile.

    Raises what either of the two ended with.
    """
    if file is None:
        require_audio(sounds="--file FILE")
    else:
        # Before anybody is on the call: the rate does not matter yet.
        await asyncio.to_thread(load_wav, file, AudioFormat(_ANY_RATE))
    async with _attending(api, call, body) as (audio, rate, _):
        stream = audio.subscribe(None, _KEPT_SECONDS)
        saying = asyncio.create_task(_say(out, audio, stream, rate, file))
        parts = [saying]
        if output is not None or file is None:
            parts.append(asyncio.create_task(_hear(out, stream, rate, output)))
        try:
            # A file is said to its end, whatever becomes of what is heard; a microphone has no end.
            waited = parts if file is None else [saying]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
        for error in ended:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                raise error


async def _say(out: Out, audio: Audio, stream: AudioStream, rate: int, file: Path | None) -> None:
    frames = Microphone(rate).frames() if file is None else file_frames(file, rate)
    out.hint("speaking; Ctrl-C ends it")
    async for frame in frames:
        await _played(audio, stream, round(_AHEAD_SECONDS * rate) * 2)
        await audio.send(frame)
    await _played(audio, stream, 0)


async def _played(audio: Audio, stream: AudioStream, left_bytes: int) -> None:
    """Wait until no more than that is unplayed, or the call is over."""
    while audio.unplayed > left_bytes and not stream.ended:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _attending(
    api: Api, call: CallView, body: asked.Observe
) -> AsyncIterator[tuple[Audio, int, str]]:
    """Observe a call with audio, of so many Hz, by some name; leave it at the end in any case."""
    rate: int = (await api.ask(ops.SHOW_CAPABILITIES)).view.sample_rate
    name = f"cli_{secrets.token_hex(3)}"
    try:
        named = msgspec.structs.replace(body, name=name)
        await api.ask(ops.OBSERVE, body=named, call_id=call.call_id)
        audio = Audio(api.http, lambda: (call.call_id, name), rate)
        try:
            yield audio, rate, name
        finally:
            await audio.aclose()
    finally:
        # The call may be over, and the observer with it.
        with contextlib.suppress(CallbridgeError):
            await dismissed(api, call.call_id, name)
