"""Parties are held, apart, or talk: who hears whom, how soon, and with what gaps in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import first_heard, pcm_from_bytes
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from bridge.model.errors import BadArgumentError, CallClosedError
from bridge.model.participants import CALLER, participant
from bridge.runtime.names import Names
from bridge.sdk import ActiveCall
from bridge.session import Phase, effects, inputs
from bridge.session.effects import Notice
from bridge.topology.objects import leg_key
from tests.audio.machine import measured
from tests.support.conference import HZ, RATE, Conference, everyone
from tests.support.pbx import CALLER_TONE, SENT_DBFS, DirectCall, Pbx, Program

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

HUMAN = participant("human")
APPLICATION = "callbridge"
ROUNDS = 10
CALLS, ROUNDS_EACH = 4, 3
"""At the same time: each call's timers have phases of their own, and keep them."""
FRAME_MS = 20
THRESHOLD = SENT_DBFS - 20
SILENT_DBFS = -60.0


async def arrange(
    call: ActiveCall, *, held: str = "", apart: str = "", leaving: str = "", kept: bool = True
) -> None:
    """Put parties to their places. Each is a name, or empty."""
    hold, apart_from, leave = (
        frozenset({participant(name)} if name else ()) for name in (held, apart, leaving)
    )
    await call._engine.command(
        lambda token: inputs.Arrange(token, hold, apart_from, leave, kept=kept)
    )


@contextlib.asynccontextmanager
async def offered(pbx: Pbx) -> AsyncIterator[Conference]:
    """A caller on hold and a human apart from him; the AI is with both, and says its tone."""
    conference = await Conference.of(await pbx.direct_call(), connect=False)
    await arrange(conference.call, held=CALLER)
    await bring(conference)
    await conference.speak()
    yield conference
    await conference.call.disconnect(cut=True)


async def bring(conference: Conference) -> DirectParty:
    """Ring the human, who answers and is apart."""
    engine = conference.call._engine
    adding = asyncio.create_task(
        engine.command(lambda t: inputs.AddParty(t, HUMAN, CALLEE_ENDPOINT, 30, apart=True))
    )
    try:
        conference.people[HUMAN] = await conference.pick_up(HUMAN)
        await adding
    finally:
        adding.cancel()
    return conference.people[HUMAN]


async def test_who_is_apart_hears_whom_names_him_and_nobody_else(pbx: Pbx) -> None:
    async with offered(pbx) as conference:
        call = conference.call
        await conference.hears(set(), CALLER)
        assert await conference.music() == {CALLER}
        await call.whisper(to=HUMAN, cut=True)
        await conference.speak()
        await conference.hears(everyone("ai", HUMAN), CALLER)
        await arrange(call, apart=HUMAN)
        await call.barge(cut=True)
        await conference.speak()
        await conference.hears(everyone("ai", CALLER))
        await call.whisper(to=HUMAN, cut=True)
        await conference.speak()
        await conference.hears(everyone("ai", HUMAN) | {("ai", CALLER)})
        assert await conference.music() == set()
        assert {(p.name, p.apart) for p in call.parties} == {(CALLER, False), (HUMAN, True)}


async def test_consult_toggle_conference_and_completion(pbx: Pbx) -> None:
    async with offered(pbx) as conference:
        call = conference.call
        told: list[effects.Announce] = []
        call._engine.listeners.append(told.append)
        await arrange(call, held=CALLER)
        await conference.speak()
        await conference.hears(everyone("ai", HUMAN), CALLER)
        assert await conference.music() == {CALLER}
        await arrange(call, held=HUMAN)
        await conference.hears(everyone("ai", CALLER), HUMAN)
        assert await conference.music() == {HUMAN}
        await arrange(call)
        await conference.hears(everyone("ai", CALLER, HUMAN))
        assert await conference.music() == set()
        assert [t.notice for t in told if t.notice is Notice.CONNECTED] == [Notice.CONNECTED]
        await arrange(call, held=CALLER)
        await arrange(call, kept=False)
        await call.close(cut=True)
        await conference.parties_hear(everyone(CALLER, HUMAN))
        await conference.people[CALLER].hangup()
        await conference.people[HUMAN].wait_closed()


async def test_who_leaves_is_heard_by_nobody_and_then_let_go(pbx: Pbx) -> None:
    async with offered(pbx) as conference:
        call = conference.call
        await arrange(call, held=CALLER)
        await arrange(call, leaving=HUMAN, kept=False)
        human = conference.people.pop(HUMAN)
        await human.wait_closed()
        await conference.hears(everyone("ai", CALLER))
        caller = conference.people[CALLER]
        assert first_heard(caller.frames, RATE, HZ[HUMAN], THRESHOLD) is None
        assert [party.name for party in call.parties] == [CALLER]


async def test_while_it_is_kept_nobodys_end_is_that_of_the_call(pbx: Pbx) -> None:
    conference = await Conference.of(await pbx.direct_call(), connect=False)
    call, engine = conference.call, conference.call._engine
    await arrange(call, held=CALLER)
    await bring(conference)
    await call.close(cut=True)
    assert engine.session.phase is Phase.DETACHED
    await conference.parties_hear(set(), CALLER)
    assert await conference.music() == {CALLER}
    await conference.people.pop(HUMAN).hangup()
    await until(lambda: HUMAN not in engine.session.parties, "the human is gone")
    assert await conference.music() == {CALLER}
    await bring(conference)
    await arrange(call, kept=False)
    await conference.parties_hear(everyone(CALLER, HUMAN))
    await conference.people[HUMAN].hangup()
    await conference.people[CALLER].wait_closed()


async def test_apart_from_the_call_he_goes_when_it_ends(pbx: Pbx) -> None:
    conference = await Conference.of(await pbx.direct_call(), connect=False)
    await bring(conference)
    await conference.people[CALLER].hangup()
    await conference.people[HUMAN].wait_closed()


async def test_one_who_called_by_himself_joins(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    conference = await Conference.of(direct, connect=False)
    engine = conference.call._engine
    leg = Names(APPLICATION).fresh(engine.incoming.call_id, leg_key(HUMAN))
    await pbx._observer.channels.create(endpoint=CALLEE_ENDPOINT, app=APPLICATION, channel_id=leg)
    voice = Tone(HZ[HUMAN], SENT_DBFS)
    human = await pbx.keep(DirectParty.answer(pbx.instance.info.ari, leg, tone=voice))
    name = (await pbx._observer.channels.get(channel_id=leg)).name
    engine.bring(HUMAN, leg, name)
    with pytest.raises(BadArgumentError):
        engine.bring(HUMAN, leg, name)
    await engine.command(lambda token: inputs.JoinParty(token, HUMAN))
    conference.people[HUMAN] = human
    await conference.parties_hear(everyone(CALLER, HUMAN))
    await human.hangup()
    await until(lambda: HUMAN not in engine.session.parties, "the human is gone")
    await conference.call.disconnect(cut=True)
    with pytest.raises(CallClosedError):
        await engine.command(lambda token: inputs.JoinParty(token, HUMAN))


# --- how soon, and with what gaps ---------------------------------------------------------------


async def test_accepted_to_both_hearing_each_other(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        taken = []
        async with offered(pbx) as conference:
            call, people = conference.call, conference.people
            await call.spy(cut=True)
            for _ in range(ROUNDS):
                conference.clear()
                began = time.monotonic()
                await arrange(call)
                await asyncio.gather(*(p.wait_frames(len(p.frames) + 15) for p in people.values()))
                heard = [
                    first_heard(_since(people[one], began), RATE, HZ[other], THRESHOLD)
                    for one, other in ((CALLER, HUMAN), (HUMAN, CALLER))
                ]
                assert None not in heard
                latest = max(at for at in heard if at is not None)
                taken.append((latest - began) * 1000)
                await arrange(call, held=CALLER, apart=HUMAN)
                await asyncio.gather(*(p.wait_frames(len(p.frames) + 10) for p in people.values()))
        assert np.percentile(taken, 95) <= 100, taken

    await measured(pbx, measurement)


async def test_the_gap_between_speech_and_music(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        gaps: dict[str, list[float]] = {"hold": [], "unhold": []}
        program = await pbx.program()
        calls = [await _with_the_ai(pbx, program) for _ in range(CALLS)]
        await asyncio.gather(*(_held_and_back(conference, gaps) for conference in calls))
        assert {len(all_of) for all_of in gaps.values()} == {CALLS * ROUNDS_EACH}
        assert max(np.percentile(all_of, 90) for all_of in gaps.values()) <= 60, gaps
        for conference in calls:
            await conference.call.disconnect(cut=True)

    await measured(pbx, measurement)


async def _with_the_ai(pbx: Pbx, program: Program) -> Conference:
    """Let somebody call, whom the AI answers."""
    caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    direct = DirectCall(pbx, await program.next_call(), caller)
    return await Conference.of(direct, connect=False)


async def _held_and_back(conference: Conference, gaps: dict[str, list[float]]) -> None:
    call, caller = conference.call, conference.people[CALLER]
    await conference.speak()
    for _ in range(ROUNDS_EACH):
        for what, held in (("hold", CALLER), ("unhold", "")):
            await caller.wait_frames(len(caller.frames) + 40)
            caller.clear()
            await caller.wait_frames(10)
            await arrange(call, held=held, kept=bool(held))
            await caller.wait_frames(len(caller.frames) + 40)
            gaps[what].append(_longest_silence(list(caller.frames)))


def _since(party: DirectParty, began: float) -> list[tuple[float, bytes]]:
    return [(at, frame) for at, frame in party.frames if at >= began]


def _longest_silence(frames: list[tuple[float, bytes]]) -> float:
    """Return the longest time, in ms, in which nothing was heard: silence, or no frames."""
    loud = [at for at, frame in frames if _dbfs(frame) > SILENT_DBFS]
    return max((later - earlier) * 1000 for earlier, later in pairwise(loud)) - FRAME_MS


def _dbfs(frame: bytes) -> float:
    pcm = pcm_from_bytes(frame).astype(np.float64)
    return float(20 * np.log10(max(1.0, np.sqrt(2 * np.mean(pcm**2))) / 32768))
