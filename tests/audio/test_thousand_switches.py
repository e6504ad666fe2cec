"""A thousand changes of mode: nothing has become slower, louder, or more."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bridge.lab.bench.calls import RATE, SENT_DBFS, open_exchange
from bridge.lab.bench.observing import KINDS, Watched, watched
from bridge.lab.bench.turns import TICK_S, TURNS, Speaker, heard_after
from bridge.lab.bench.usage import Usage
from bridge.lab.hearing import TONES, tone
from bridge.lab.hearing.steady import steady_levels
from bridge.lab.waiting import until
from bridge.model.participants import CALLEE, CALLER, Participant
from tests.audio.machine import measured, whole
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(240)]

LISTENED: Final = 25
"""Turns, of two changes each, that are listened to at the beginning and at the end."""
BETWEEN: Final = 900
PIECES: Final = 6
LEVEL_SECONDS: Final = 0.5
SLOWER_MS: Final = 8.0
LOUDER_DB: Final = 0.5
MORE_FILES: Final = 5
"""Connections for as many requests at a time as there were once; a leak would be hundreds."""
MORE_MIB: Final = 4.0
"""Records of what was done are kept, 10,000 of them; in Asterisk each tone for a phone costs 1/3
KiB that is never given back (22.10.1)."""

Levels = Mapping[Participant, float]


@dataclass(frozen=True)
class Standing:
    """What there is at one moment."""

    channels: frozenset[str]
    bridges: frozenset[str]
    tasks: Counter[str]
    files: int
    own_mib: float
    asterisk_mib: float


async def test_nothing_changes_by_a_thousand_switches(pbx: Pbx) -> None:
    """An observer of every kind, each on a call of its own, all at the same time."""

    async def measurement(pbx: Pbx) -> None:
        async with (
            open_exchange(pbx.instance.info, with_client=True) as exchange,
            AsyncExitStack() as stack,
        ):
            calls = [await stack.enter_async_context(watched(exchange, k, 1)) for k in KINDS]
            first = await asyncio.gather(*map(listened, calls))
            before = await standing(pbx)
            await asyncio.gather(*map(switched, calls))
            last = await asyncio.gather(*map(listened, calls))
            with suppress(TimeoutError):
                await until(lambda: tasks() == before.tasks, "only the tasks that were there")
            after = await standing(pbx)
        await pbx.empty()
        for kind, (ms_before, db_before), (ms_after, db_after) in zip(
            KINDS, first, last, strict=True
        ):
            told = f"{kind.name}: {ms_before:.1f} ms, later {ms_after:.1f} ms"
            sys.stdout.write(f"{told}\n")
            assert ms_after <= ms_before + SLOWER_MS, told
            for who in (CALLER, CALLEE):
                assert db_before[who] == pytest.approx(SENT_DBFS, abs=1), (kind.name, who)
                assert db_after[who] == pytest.approx(db_before[who], abs=LOUDER_DB), kind.name
        unchanged(before, after)

    await measured(pbx, measurement)


def unchanged(before: Standing, after: Standing) -> None:
    for what, one, other in (
        ("this process", before.own_mib, after.own_mib),
        ("Asterisk", before.asterisk_mib, after.asterisk_mib),
    ):
        sys.stdout.write(f"{what}: {one:.1f} MiB, later {other:.1f} MiB\n")
    assert after.channels == before.channels
    assert after.bridges == before.bridges
    assert after.tasks == before.tasks
    assert after.files <= before.files + MORE_FILES
    assert after.own_mib <= before.own_mib + MORE_MIB
    assert after.asterisk_mib <= before.asterisk_mib + MORE_MIB


async def listened(call: Watched) -> tuple[float, Levels]:
    """Switch and listen; return the median in ms, and the observer's level at the parties."""
    [speaker] = call.speakers.values()
    dice = random.Random(1)
    taken = []
    parties = call.pair.ears
    for turn in islice(cycle(TURNS), LISTENED):
        after = await heard_after(speaker, turn, parties, dice.uniform(0, TICK_S))
        assert after.keys() - turn.former == turn.listeners, turn.name
        taken.append(max(after[who] for who in turn.listeners))
    nothing_missed(call)
    found = await levels(call, speaker)
    nothing_missed(call)
    return float(np.median(taken)), found


async def switched(call: Watched) -> None:
    """Switch without waiting for anything to be heard."""
    [speaker] = call.speakers.values()
    for number, turn in enumerate(islice(cycle(TURNS), BETWEEN // 2), start=1):
        await turn.before(speaker.who)
        await turn.command(speaker.who)
        if number % (BETWEEN // 2 // PIECES) == 0:
            nothing_missed(call)


async def levels(call: Watched, speaker: Speaker) -> Levels:
    """Let the observer barge, and measure him at both parties."""
    await speaker.who.barge()
    if not speaker.talks:
        words = tone(speaker.hz, SENT_DBFS, 2 * LEVEL_SECONDS, RATE)
        await speaker.who.send_audio(words.astype("<i2").tobytes())
    frames = round(LEVEL_SECONDS * 50)
    heard = {}
    for party in call.pair.ears.values():
        await party.wait_frames(len(party.frames) + frames)
    for who, party in call.pair.ears.items():
        pcm = party.pcm()[-frames * RATE // 50 :]
        present = [speaker.hz, TONES["callee" if who == CALLER else "caller"]]
        heard[who] = steady_levels(pcm, RATE, {"him": speaker.hz}, present)["him"]
    return heard


def nothing_missed(call: Watched) -> None:
    """Assert that the parties missed nothing of each other since the last time."""
    missing = call.pair.heard().missing()
    whole(missing.lost == 0 and missing.held_up <= 2, f"parties missed {missing}")
    for ear in call.ears.values():
        ear.clear()


async def standing(pbx: Pbx) -> Standing:
    return Standing(
        channels=frozenset(await pbx.channels()),
        bridges=frozenset(await pbx.bridges()),
        tasks=tasks(),
        files=await asyncio.to_thread(open_files),
        own_mib=await asyncio.to_thread(own_memory_mib),
        asterisk_mib=Usage.of(pbx.instance.pid).memory_mib,
    )


def tasks() -> Counter[str]:
    """Count tasks by what they do, but for those that look at something for a moment."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return Counter(name for name in names if name != "Flow._look")


def own_memory_mib() -> float:
    """Return what is in use: what was given back may still be counted, unless it is trimmed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return Usage.of(os.getpid()).memory_mib


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
