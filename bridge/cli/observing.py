"""Commands by which somebody listens to a call, whispers, or barges in."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer

from bridge.cli.audio import Microphone, file_frames, require_audio, sink_for
from bridge.cli.calls import call_of, observers_of, shown_observer
from bridge.cli.choosing import party_of
from bridge.cli.command import command
from bridge.cli.connection import Api, Shown
from bridge.cli.output import Out
from bridge.cli.parameters import Call, OutputFile, Parties, Ring, complete_party, complete_phone
from bridge.media.clips import load_wav
from bridge.media.ears import AudioStream
from bridge.media.pcm import AudioFormat
from bridge.model.errors import CallbridgeError
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallView, ObserverView
from bridge.sdk.remote.audio import Audio

app = typer.Typer()

Mode = Literal["spy", "whisper", "barge"]

_SLACK_SECONDS: Final = 30.0
_AHEAD_SECONDS: Final = 1.0
"""How much of what is said is on its way at once: so much is still heard after Ctrl-C at most."""
_POLL_SECONDS: Final = 0.05
_KEPT_SECONDS: Final = 10.0
_ANY_RATE: Final = 8000

Phone = Annotated[
    str | None,
    typer.Option(
        metavar="EXTENSION",
        help="Rings a person's phone, who observes then; the command returns.",
        autocompletion=complete_phone,
    ),
]
SoundFile = Annotated[
    Path | None,
    typer.Option("--file", metavar="WAV", help="Say this and leave; else the microphone."),
]


@command(app)
async def listen(
    api: Api,
    out: Out,
    call: Call,
    *,
    output: OutputFile = None,
    speaker: Annotated[
        str | None,
        typer.Option(metavar="PARTY", help="Him alone.", autocompletion=complete_party),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="For so long.")] = None,
) -> None:
    """Listen to a call, by speakers or into a WAV file, until it is over or Ctrl-C."""
    await _listen(api, out, await call_of(api, call), output, speaker=speaker, seconds=seconds)


@command(app)
async def spy(
    api: Api,
    out: Out,
    call: Call,
    *,
    phone: Phone = None,
    output: OutputFile = None,
    ring: Ring = 30,
) -> None:
    """Listen to a call: by a person's phone, or here as `listen` does."""
    meant = await call_of(api, call)
    if phone is not None:
        body = asked.Observe(phone=phone, ring_time_seconds=ring)
        await _by_phone(api, out, meant, body)
    else:
        await _listen(api, out, meant, output)


@command(app)
async def whisper(
    api: Api,
    out: Out,
    call: Call,
    *,
    to: Parties = None,
    phone: Phone = None,
    file: SoundFile = None,
    output: OutputFile = None,
    ring: Ring = 30,
) -> None:
    """Speak to some on a call alone, by default to the callee."""
    meant = await call_of(api, call)
    parties = [party_of(meant, one) for one in to] if to else None
    body = asked.Observe(mode="whisper", to=parties, phone=phone, ring_time_seconds=ring)
    if phone is not None:
        await _by_phone(api, out, meant, body)
    else:
        await _speak(api, out, meant, body, file=file, output=output)


@command(app)
async def barge(
    api: Api,
    out: Out,
    call: Call,
    *,
    phone: Phone = None,
    file: SoundFile = None,
    output: OutputFile = None,
    ring: Ring = 30,
) -> None:
    """Speak to everybody on a call."""
    meant = await call_of(api, call)
    body = asked.Observe(mode="barge", phone=phone, ring_time_seconds=ring)
    if phone is not None:
        await _by_phone(api, out, meant, body)
    else:
        await _speak(api, out, meant, body, file=file, output=output)


@command(app)
async def dismiss(
    api: Api,
    out: Out,
    call: Call,
    observer: Annotated[str, typer.Argument(metavar="OBSERVER", help="His name, or phone.")],
) -> None:
    """Let an observer leave."""
    meant = await call_of(api, call)
    there = observers_of(meant)
    named = [one for one in there if one.name == observer] or [
        one for one in there if _is_on(one, observer)
    ]
    name = named[0].name if named else observer
    await api.tell(
        ops.DISMISS_OBSERVER,
        query=asked.Leave(cut=True),
        call_id=meant.call_id,
        observer=name,
    )
    out.done(f"{name} has left", call_id=meant.call_id, observer=name)


async def by_phone(api: Api, call: CallView, body: asked.Observe) -> Shown:
    """Let a person on a phone observe a call; who does already changes his mode."""
    for one in observers_of(call):
        if body.phone is not None and _is_on(one, body.phone):
            change = asked.ChangeMode(mode=body.mode, to=body.to, cut=True)
            return await api.ask(
                ops.CHANGE_OBSERVER_MODE, body=change, call_id=call.call_id, observer=one.name
            )
    seconds = body.ring_time_seconds + _SLACK_SECONDS
    return await api.ask(ops.OBSERVE, body=body, seconds=seconds, call_id=call.call_id)


async def _by_phone(api: Api, out: Out, call: CallView, body: asked.Observe) -> None:
    shown = await by_phone(api, call, body)
    out.one(shown, lambda view: f"{shown_observer(view)} on {call.call_id}")


def _is_on(one: ObserverView, phone: str) -> bool:
    return bool(one.phone) and phone in {one.phone, one.phone.partition("/")[2]}


async def _listen(
    api: Api,
    out: Out,
    call: CallView,
    output: Path | None,
    *,
    speaker: str | None = None,
    seconds: float | None = None,
) -> None:
    if output is None:
        require_audio(sounds="--output FILE")
    alone = None if speaker is None else party_of(call, speaker)
    async with _attending(api, call, asked.Observe()) as (audio, rate):
        stream = audio.subscribe(alone, _KEPT_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _hear(out, stream, rate, output)


async def _hear(out: Out, stream: AudioStream, rate: int, output: Path | None) -> None:
    """Take what is heard until the call is over."""
    frames = 0
    try:
        with sink_for(output, rate) as sink:
            out.hint(f"listening at {rate} Hz; Ctrl-C ends it")
            async for frame in stream:
                sink.take(frame)
                frames += 1
    finally:
        lost = f", {stream.dropped_frames} frames lost" if stream.dropped_frames else ""
        out.note(f"{frames / 50:.1f} s heard{lost}")


async def _speak(
    api: Api,
    out: Out,
    call: CallView,
    body: asked.Observe,
    *,
    file: Path | None,
    output: Path | None,
) -> None:
    """Say a file, or what the microphone hears, and listen meanwhile."""
    if file is None:
        require_audio(sounds="--file FILE")
    else:
        # Before anybody is on the call: the rate does not matter yet.
        await asyncio.to_thread(load_wav, file, AudioFormat(_ANY_RATE))
    async with _attending(api, call, body) as (audio, rate):
        stream = audio.subscribe(None, _KEPT_SECONDS)
        listens = output is not None or file is None
        hearing = asyncio.create_task(_hear(out, stream, rate, output)) if listens else None
        try:
            await _say(out, audio, stream, rate, file)
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)


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
) -> AsyncIterator[tuple[Audio, int]]:
    """Observe a call with audio, of so many Hz; leave it at the end, whatever happens."""
    rate: int = (await api.ask(ops.SHOW_CAPABILITIES)).view.sample_rate
    name = f"cli_{secrets.token_hex(3)}"
    try:
        named = msgspec.structs.replace(body, name=name)
        await api.ask(ops.OBSERVE, body=named, call_id=call.call_id)
        audio = Audio(api.http, lambda: (call.call_id, name), rate)
        try:
            yield audio, rate
        finally:
            await audio.aclose()
    finally:
        # The call may be over, and the observer with it.
        with contextlib.suppress(CallbridgeError):
            await api.tell(
                ops.DISMISS_OBSERVER,
                query=asked.Leave(cut=True),
                call_id=call.call_id,
                observer=name,
            )
