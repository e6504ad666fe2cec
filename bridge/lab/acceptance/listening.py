"""What is expected to be heard, and not to be heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from bridge.lab.acceptance import steps as do
from bridge.lab.acceptance.doing import Doing, expects
from bridge.lab.acceptance.judging import (
    Heard,
    loudest_tone,
    peak_dbfs,
    sounding_seconds,
    tone_seconds,
)
from bridge.lab.acceptance.model import MUSIC
from bridge.lab.acceptance.stage import Listened, Stage, StepFailedError
from bridge.lab.hearing import Pcm

WITHIN_SECONDS: Final = 2.0
"""How long it may take by default until everybody hears whom he is to hear."""
LASTS_SECONDS: Final = 0.5
_HOP_SECONDS: Final = 0.1
_SHORT_SECONDS: Final = 0.1


@expects(do.Hears)
async def _hears(doing: Doing, action: do.Hears) -> None:
    """Expect that, ``within`` the last command, a window begins in which all is as wanted."""
    stage = doing.stage
    wanted = {
        who: frozenset(stage.voice_of(name) for name in names) for who, names in action.who.items()
    }
    within = WITHIN_SECONDS if doing.step.within is None else doing.step.within
    lasts = float(doing.step.lasts or LASTS_SECONDS)
    latest = max(stage.acted_at + within, time.monotonic())
    begin = time.monotonic()
    while True:
        heard = await _listen(stage, tuple(wanted), begin, begin + lasts)
        wrong = [text for one in heard for text in stage.scale.wrong(one, wanted[one.listener])]
        if not wrong or begin + _HOP_SECONDS > latest:
            break
        begin += _HOP_SECONDS
    doing.measured["dbfs"] = {one.listener: one.shown() for one in heard}
    if wrong:
        raise StepFailedError("; ".join(wrong))
    await _tell_when(doing, wanted, begin)
    await _nobody_between(stage, wanted, begin)
    stage.listened = Listened(begin + lasts, wanted)
    stage.acted = 0


async def _listen(
    stage: Stage, listeners: tuple[str, ...], begin: float, end: float
) -> list[Heard]:
    ears = [stage.ear(who) for who in listeners]
    sounds = await asyncio.gather(*(ear.hear(begin, end) for ear in ears))

    def judged() -> list[Heard]:
        return [
            stage.scale.heard(who, pcm, ear.rate)
            for who, ear, pcm in zip(listeners, ears, sounds, strict=True)
        ]

    # Agents say their tones meanwhile, every 20 ms: all that computes does so beside them.
    return await asyncio.to_thread(judged)


async def _tell_when(doing: Doing, wanted: dict[str, frozenset[str]], begin: float) -> None:
    """Note when every voice that is newly heard was, from the begin of the last command on."""
    stage = doing.stage
    before = {} if stage.listened is None else stage.listened.who
    after: dict[str, dict[str, float]] = {}
    for who, voices in wanted.items():
        new = voices - before.get(who, frozenset()) - {MUSIC}
        if not new:
            continue
        ear = stage.ear(who)
        pcm = await ear.hear(stage.began_at, begin + _HOP_SECONDS)
        for voice in sorted(new):
            first = await asyncio.to_thread(stage.scale.first, pcm, voice, ear.rate)
            # Who was heard before the command already is not heard by it.
            if first:
                after.setdefault(who, {})[voice] = first
    if after:
        doing.measured["heard_after_ms"] = after


async def _nobody_between(stage: Stage, wanted: dict[str, frozenset[str]], begin: float) -> None:
    """Expect that who is heard neither before nor after one command is not heard meanwhile.

    Beside music nothing is told: it has all tones for a moment.
    """
    before = stage.listened
    if before is None or stage.acted != 1:
        return
    for who in wanted.keys() & before.who.keys():
        either = wanted[who] | before.who[who]
        if MUSIC in either:
            continue
        ear = stage.ear(who)
        pcm = await ear.hear(before.until, begin)
        others = [voice for voice in stage.scale.tones if voice not in either]
        flashes = await asyncio.to_thread(stage.scale.flashes, pcm, others, ear.rate)
        if flashes:
            raise StepFailedError(f"{who} heard {', '.join(flashes)} for a moment meanwhile")


@expects(do.Tone)
async def _tone(doing: Doing, action: do.Tone) -> None:
    lasts = float(doing.step.lasts or _SHORT_SECONDS)

    def lasting(pcm: Pcm, rate: int) -> float:
        return tone_seconds(pcm, action.hz, action.above, rate)

    await _sometime(doing, action.at, lasting, lasts, f"a tone of {action.hz:g} Hz")


@expects(do.Sound)
async def _sound(doing: Doing, action: do.Sound) -> None:
    lasts = float(doing.step.lasts or _SHORT_SECONDS)

    def lasting(pcm: Pcm, rate: int) -> float:
        return sounding_seconds(pcm, action.above, rate)

    await _sometime(doing, action.at, lasting, lasts, "anything")


async def _sometime(
    doing: Doing, who: str, lasting: Callable[[Pcm, int], float], lasts: float, what: str
) -> None:
    """Expect that something is heard for so long, by the end of the step's time."""
    stage, ear = doing.stage, doing.stage.ear(who)
    begin = stage.heard_from(who)
    latest = max(begin + doing.within, time.monotonic()) + lasts
    while True:
        now = time.monotonic()
        pcm = await ear.hear(begin, now)
        seconds = await asyncio.to_thread(lasting, pcm, ear.rate)
        if seconds >= lasts or now > latest:
            break
        await asyncio.sleep(_HOP_SECONDS)
    doing.measured["seconds"] = round(seconds, 2)
    if seconds < lasts:
        raise StepFailedError(f"{who} heard {what} for {seconds:.2f} s, not for {lasts:g} s")


@expects(do.NoTone)
async def _no_tone(doing: Doing, action: do.NoTone) -> None:
    begin = time.monotonic()
    lasts = float(doing.step.lasts or LASTS_SECONDS)
    ear = doing.stage.ear(action.at)
    pcm = await ear.hear(begin, begin + lasts)
    level = await asyncio.to_thread(loudest_tone, pcm, action.hz, ear.rate)
    doing.measured["dbfs"] = round(level, 1)
    if level > action.above:
        raise StepFailedError(f"{action.at} heard a tone of {action.hz:g} Hz: {level:.1f} dBFS")


@expects(do.Silence)
async def _silence(doing: Doing, action: do.Silence) -> None:
    stage = doing.stage
    lasts = float(doing.step.lasts or LASTS_SECONDS)
    begin = time.monotonic()
    latest = begin + (WITHIN_SECONDS if doing.step.within is None else doing.step.within)
    while True:
        peak = peak_dbfs(await stage.ear(action.at).hear(begin, begin + lasts))
        if peak <= action.below or begin + _HOP_SECONDS > latest:
            break
        begin += _HOP_SECONDS
    doing.measured["peak_dbfs"] = round(peak, 1)
    if peak > action.below:
        raise StepFailedError(f"{action.at} hears something: {peak:.1f} dBFS, not {action.below:g}")
