"""The program crashes during a conference or a takeover: who talks on, who is released, and what
the next program makes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.lab.ears import DirectParty
from bridge.lab.phones import Tone
from tests.audio.machine import measured, whole
from tests.support.conference import AGENT, HZ, Conference, everyone
from tests.support.hearing import UnclearError
from tests.support.pbx import CALLER_TONE, SENT_DBFS, Pbx, until_true

pytestmark = pytest.mark.asterisk

ROOT = Path(__file__).parents[3]
THREE = ("caller", "callee", "expert")


@asynccontextmanager
async def conference_of_a_crashed_program(pbx: Pbx, state: str) -> AsyncIterator[Conference]:
    """Let a program bring a call to ``state``, and kill it."""
    ari = pbx.instance.info.ari
    environment = {
        **os.environ,
        "CALLBRIDGE_ARI_URL": ari.url,
        "CALLBRIDGE_ARI_USERNAME": ari.username,
        "CALLBRIDGE_ARI_PASSWORD": ari.password,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.program",
        state,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await says(process, "up")
        people = {"caller": await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))}
        for name in THREE[1:]:
            leg = await leg_of(pbx, name)
            voice = Tone(HZ[name], SENT_DBFS)
            people[name] = await pbx.keep(DirectParty.answer(ari, leg, tone=voice))
        await says(process, state)
        conference = Conference.heard_only(pbx, people)
        await conference.heard_by_parties("expert")
        conference.clear()
    finally:
        process.kill()
        await process.wait()
    yield conference
    # Bridges without a channel are what remains for the next start.
    await pbx.program()


async def says(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(40):
        assert (await process.stdout.readline()).decode().strip() == line


async def leg_of(pbx: Pbx, name: str) -> str:
    legs: list[str] = []

    async def look() -> bool:
        legs[:] = [i for i in await pbx.channels() if f"-leg.{name}-" in i]
        return bool(legs)

    await until_true(look, f"{name} is rung")
    return legs[0]


async def no_channel_is_left(pbx: Pbx) -> None:
    async def none() -> bool:
        return not await pbx.channels()

    await until_true(none, "no channel is left")


async def agent_is_gone(pbx: Pbx) -> None:
    async def gone() -> bool:
        return not [i for i in await pbx.channels() if "media." in i]

    await until_true(gone, "the dead program has no lines")


ORDERS = [("caller", "callee"), ("callee", "expert"), ("expert", "caller"), ("caller", "expert")]


@pytest.mark.parametrize(("first", "second"), ORDERS)
async def test_nobody_is_released_before_only_one_is_left(
    pbx: Pbx, first: str, second: str
) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with conference_of_a_crashed_program(pbx, "CONFERENCE") as conference:
            await agent_is_gone(pbx)
            await conference.parties_hear(everyone(*THREE))
            lost = await conference.missed(*THREE)
            await conference.people.pop(first).hangup()
            await conference.parties_hear(everyone(*conference.people))
            await conference.people.pop(second).hangup()
            (last,) = conference.people.values()
            await last.wait_closed()
            await no_channel_is_left(pbx)
        whole(not lost, lost)

    await measured(pbx, measurement)


async def test_whoever_is_held_is_released_with_the_last(pbx: Pbx) -> None:
    async with conference_of_a_crashed_program(pbx, "HOLDING") as conference:
        assert await conference.music() == {"expert"}
        await conference.parties_hear({("callee", "caller")}, "expert")
        await conference.people.pop("callee").hangup()
        await conference.people.pop("caller").hangup()
        await conference.people["expert"].wait_closed()
        await no_channel_is_left(pbx)


@pytest.mark.parametrize("state", ["CONFERENCE", "HOLDING", "TAKEN OVER"])
async def test_the_next_program_takes_over(pbx: Pbx, state: str) -> None:
    async with conference_of_a_crashed_program(pbx, state) as conference:
        program = await pbx.program()

        async def all_hear_each_other() -> bool:
            try:
                return await conference.heard_by_parties("expert") == everyone(*THREE)
            except UnclearError:
                # Music.
                return False

        await until_true(all_hear_each_other, "nobody is muted or held any more")
        assert program.calls.empty()
        await conference.people.pop("callee").hangup()
        await conference.parties_hear(everyone("caller", "expert"))
        await conference.people.pop("expert").hangup()
        await conference.people["caller"].wait_closed()
        await pbx.empty()


async def test_the_next_program_takes_over_without_the_caller(pbx: Pbx) -> None:
    async with conference_of_a_crashed_program(pbx, "CONFERENCE") as conference:
        await conference.people.pop("caller").hangup()
        await pbx.program()
        await conference.parties_hear(everyone("callee", "expert"))
        await conference.people.pop("expert").hangup()
        await conference.people["callee"].wait_closed()
        await pbx.empty()


@pytest.mark.parametrize("gone", ["callee", "expert", "caller"])
async def test_a_takeover_of_a_dead_program(pbx: Pbx, gone: str) -> None:
    """Who was replaced stays muted until the next start; nobody is left without a way out."""
    async with conference_of_a_crashed_program(pbx, "TAKEN OVER") as conference:
        await agent_is_gone(pbx)
        heard = {pair for pair in everyone(*THREE) if pair[1] != "callee"}
        await conference.parties_hear(heard)
        assert AGENT not in {speaker for _, speaker in heard}
        await conference.people.pop(gone).hangup()
        if gone == "callee":
            await conference.parties_hear(everyone("caller", "expert"))
            await conference.people.pop("expert").hangup()
        # The replaced one does not count: the last who speaks has nobody to talk to.
        for party in conference.people.values():
            await party.wait_closed()
        await no_channel_is_left(pbx)
