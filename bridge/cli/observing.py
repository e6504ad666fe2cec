"""Commands by which somebody listens to a call, whispers, or barges in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from bridge.cli.calls import call_of, observers_of, shown_observer
from bridge.cli.choosing import party_of
from bridge.cli.command import command
from bridge.cli.connection import Api, Shown
from bridge.cli.output import Out
from bridge.cli.parameters import Call, OutputFile, Parties, Ring, complete_party, complete_phone
from bridge.model.endpoints import is_at
from bridge.protocol import operations as ops
from bridge.protocol import requests as asked
from bridge.protocol.views import CallView, ObserverView

app = typer.Typer()

Mode = Literal["spy", "whisper", "barge"]

_SLACK_SECONDS: Final = 30.0

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
        one for one in there if is_on(one, observer)
    ]
    name = named[0].name if named else observer
    await dismissed(api, meant.call_id, name)
    out.done(f"{name} has left", call_id=meant.call_id, observer=name)


async def by_phone(api: Api, call: CallView, body: asked.Observe) -> Shown:
    """Let a person on a phone observe a call.

    Who does already changes his mode; who observes another call goes to this one. His phone, which
    would be busy, is not rung.
    """
    phone = body.phone or ""
    there = _on(call, phone)
    if there is None:
        there = await _moved(api, phone, call)
    if there is None:
        seconds = body.ring_time_seconds + _SLACK_SECONDS
        return await api.ask(ops.OBSERVE, body=body, seconds=seconds, call_id=call.call_id)
    change = asked.ChangeMode(mode=body.mode, to=body.to, cut=True)
    return await api.ask(
        ops.CHANGE_OBSERVER_MODE, body=change, call_id=call.call_id, observer=there.name
    )


def _on(call: CallView, phone: str) -> ObserverView | None:
    """Return who observes a call on a phone."""
    return next((one for one in observers_of(call) if is_on(one, phone)), None)


async def _moved(api: Api, phone: str, to: CallView) -> ObserverView | None:
    """Take who observes some other call on a phone to this one, as a spy; None: nobody does."""
    for call in await api.calls():
        if (one := _on(call, phone)) is not None:
            if call.call_id != to.call_id:
                body = asked.Move(to=to.call_id)
                await api.ask(ops.MOVE_OBSERVER, body=body, call_id=call.call_id, observer=one.name)
            return one
    return None


async def _by_phone(api: Api, out: Out, call: CallView, body: asked.Observe) -> None:
    shown = await by_phone(api, call, body)
    out.one(shown, lambda view: f"{shown_observer(view)} on {call.call_id}")


def is_on(one: ObserverView, phone: str) -> bool:
    """Tell whether an observer is on a phone: an extension, or its endpoint."""
    return is_at(one.phone, phone)


async def dismissed(api: Api, call_id: str, name: str) -> None:
    """Let an observer leave at once."""
    query = asked.Leave(cut=True)
    await api.tell(ops.DISMISS_OBSERVER, query=query, call_id=call_id, observer=name)


async def _listen(
    api: Api,
    out: Out,
    call: CallView,
    output: Path | None,
    *,
    speaker: str | None = None,
    seconds: float | None = None,
) -> None:
    from bridge.cli.attending import listened

    await listened(api, out, call, output, speaker=speaker, seconds=seconds)


async def _speak(
    api: Api,
    out: Out,
    call: CallView,
    body: asked.Observe,
    *,
    file: Path | None,
    output: Path | None,
) -> None:
    from bridge.cli.attending import spoken

    await spoken(api, out, call, body, file=file, output=output)
