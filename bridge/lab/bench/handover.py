"""From a human's accepting to both ears, and what a caller misses when he is held and brought back.

A direct party has no keys: the program is told what Asterisk tells of a phone's.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np

from bridge.ari import events as ari_events
from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import RATE, SENT_DBFS, Exchange, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.turns import TICK_S
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, first_heard, pcm_from_bytes
from bridge.model.errors import LabError
from bridge.model.participants import Participant
from bridge.sdk import ActiveCall, events
from bridge.session.transfer.effects import Outcome

CALLS: Final = 20
"""That are handed over, for each way to accept; one after another."""
HOLDS: Final = 4
"""Calls that are held."""
ROUNDS: Final = 6
"""How often each of them is."""
HUMAN: Final = Participant("human")
ACCEPTING: Final = "from the key's event to the last of both who hears the other"
ANSWERING: Final = "from the beginning of the human's audio, accepted by answering"
HELD: Final = "gap at the caller, held"
BACK: Final = "gap at the caller, brought back"

_THRESHOLD: Final = SENT_DBFS - 6
"""Between a voice and what music or a beep has of it for 20 ms."""
_QUIET_DBFS: Final = -60.0
_BEFORE_S: Final = 0.2
_AFTER_FRAMES: Final = 25
_ASKED_S: Final = 0.4
"""How long a human is asked before he accepts."""
_DEADLINE_S: Final = 10.0


async def measure(info: InstanceInfo) -> Chapter:
    """Hand callers over; hold callers and bring them back."""
    dice = random.Random(1)
    async with open_exchange(info, with_client=True) as exchange:
        by_key = [await accepted(exchange, dice, by_key=True) for _ in range(CALLS)]
        by_answer = [await accepted(exchange, dice, by_key=False) for _ in range(CALLS)]
        gaps = [await held(exchange, dice) for _ in range(HOLDS)]
    return Chapter(
        "Handover and hold",
        "Both hear each other: to the first frame with the other's voice, at the last of the two. "
        "Gaps: of frames in which a caller hears neither a voice nor music.",
        (
            Figure.of(ACCEPTING, "ms", by_key),
            Figure.of(ANSWERING, "ms", by_answer),
            Figure.of(HELD, "ms", [gap for at_hold, _ in gaps for gap in at_hold]),
            Figure.of(BACK, "ms", [gap for _, at_unhold in gaps for gap in at_unhold]),
        ),
    )


async def accepted(exchange: Exchange, dice: random.Random, *, by_key: bool) -> float:
    """Hand a caller over; return after how many ms both heard each other.

    Raises LabError when they did not.
    """
    caller, call = await exchange.arrive()
    asked = asyncio.Event()
    call.on(events.TRANSFER_ANSWERED, asked.set)
    await call.answer()
    transfer = await call.transfer(CALLEE_ENDPOINT, accept="key" if by_key else "answer")
    human = await exchange.pick_up(HUMAN)
    began = time.monotonic()
    try:
        if by_key:
            async with asyncio.timeout(_DEADLINE_S):
                await asked.wait()
            await asyncio.sleep(_ASKED_S + dice.uniform(0, TICK_S))
            began = await _press(exchange, call, human, "1")
        if (outcome := await transfer.wait()) is not Outcome.COMPLETED:
            raise LabError(f"the transfer that is measured ended otherwise: {outcome}")
        for party in (caller, human):
            await party.wait_frames(len(party.frames) + _AFTER_FRAMES)
        heard = (_heard(caller, "callee", began), _heard(human, "caller", began))
        return (max(heard) - began) * 1000
    finally:
        await asyncio.gather(caller.hangup(), human.hangup())
        await exchange.empty()


async def held(exchange: Exchange, dice: random.Random) -> tuple[list[float], list[float]]:
    """Hold a caller and bring him back, several times; return the gaps that he heard, in ms."""
    placed = await exchange.place()
    call, caller = placed.call, placed.caller
    try:
        await call.spy()
        at_hold, at_unhold = [], []
        for _ in range(ROUNDS):
            at_hold.append(await _gap_ms(caller, lambda: call.hold("caller"), dice))
            at_unhold.append(await _gap_ms(caller, lambda: call.unhold("caller"), dice))
        return at_hold, at_unhold
    finally:
        await exchange.end(placed)
        await exchange.empty()


async def _press(exchange: Exchange, call: ActiveCall, human: DirectParty, key: str) -> float:
    """Let the program hear of a key; return when, in seconds of the monotonic clock."""
    channel = await exchange.watching.channels.get(channel_id=human.channel_id)
    event = ari_events.ChannelDtmfReceived(
        application="callbridge", timestamp="", digit=key, duration_ms=100, channel=channel
    )
    began = time.monotonic()
    call._engine.handset(event)  # noqa: SLF001 - a direct party has no keys to press
    return began


def _heard(party: DirectParty, role: str, since: float) -> float:
    """Return when somebody first heard a voice. Raises LabError when he never did."""
    later = [(at, frame) for at, frame in party.frames if at >= since]
    at = first_heard(later, RATE, TONES[role], _THRESHOLD)
    if at is None:
        raise LabError(f"the {role} was not heard after the handover")
    return at


async def _gap_ms(
    party: DirectParty, change: Callable[[], Awaitable[None]], dice: random.Random
) -> float:
    """Do something; return for how long at most, around it, a party heard nothing at all."""
    await party.wait_frames(len(party.frames) + _AFTER_FRAMES)
    await asyncio.sleep(dice.uniform(0, TICK_S))
    since = time.monotonic() - _BEFORE_S
    await change()
    await party.wait_frames(len(party.frames) + _AFTER_FRAMES)
    heard = [(at, frame) for at, frame in party.frames if at >= since]
    loud = [at for at, frame in heard if _loud(frame)]
    # What never comes back is a gap up to the end.
    between = [later - earlier for earlier, later in itertools.pairwise([*loud, heard[-1][0]])]
    return max(0.0, max(between) - TICK_S) * 1000


def _loud(frame: bytes) -> bool:
    peak = int(np.abs(pcm_from_bytes(frame).astype(np.int32)).max(initial=0))
    return peak > 32768 * 10 ** (_QUIET_DBFS / 20)
