"""Calls that no application placed: spied on, whispered into, barged into, in their own bridge."""

from __future__ import annotations

import asyncio

import pytest

from bridge.model.errors import CapabilityError
from tests.integration.supervision.floor import BOTH_HEAR, Ear, Floor, Talk, hears, will_hear

pytestmark = pytest.mark.asterisk

CALLS = {"Dial": "9000", "Queue": "8002"}


@pytest.fixture(params=list(CALLS))
async def talk(floor: Floor, request: pytest.FixtureRequest) -> Talk:
    talk = await floor.foreign_call(CALLS[request.param])
    await talk.each_other()
    return talk


@pytest.mark.quiet
async def test_a_program_and_a_phone_in_every_mode(floor: Floor, talk: Talk) -> None:
    bridge = await talk.bridge()
    coach = await floor.coach(talk, hear_coaching=True)
    boss, ear = await floor.boss(talk)
    ears: dict[str, Ear] = {**talk.parties, "boss": ear, "coach": coach}
    spies = {**BOTH_HEAR, "boss": {"caller", "callee"}, "coach": {"caller", "callee"}}

    def with_voice(voice: str, *listeners: str) -> dict[str, set[str]]:
        return {who: whom | ({voice} if who in listeners else set()) for who, whom in spies.items()}

    await hears(ears, spies)
    await boss.whisper("callee")
    await hears(ears, with_voice("supervisor", "callee", "coach"))
    await boss.whisper("caller")
    await hears(ears, with_voice("supervisor", "caller", "coach"))
    await boss.whisper(["caller", "callee"])
    await hears(ears, with_voice("supervisor", "caller", "callee", "coach"))
    await boss.barge()
    await hears(ears, with_voice("supervisor", "caller", "callee", "coach"))
    await boss.spy()
    await hears(ears, spies)
    await coach.observer.whisper("callee")
    await hears(ears, with_voice("observer", "callee"))
    await coach.observer.whisper("caller")
    await hears(ears, with_voice("observer", "caller"))
    await coach.observer.barge()
    await hears(ears, with_voice("observer", "caller", "callee", "boss"))
    await coach.observer.spy()
    await will_hear(ears, spies)
    assert await talk.bridge() == bridge
    await asyncio.gather(boss.leave(), coach.observer.leave())
    await ear.wait_closed()
    assert await talk.bridge() == bridge
    await talk.nothing_lost()


@pytest.mark.quiet
async def test_both_speak_at_once_and_leave_one_by_one(floor: Floor, talk: Talk) -> None:
    coach = await floor.coach(talk)
    boss, ear = await floor.boss(talk)
    ears: dict[str, Ear] = {**talk.parties, "boss": ear, "coach": coach}
    await asyncio.gather(boss.barge(), coach.observer.whisper("callee"))
    await hears(
        ears,
        {
            "caller": {"callee", "supervisor"},
            "callee": {"caller", "supervisor", "observer"},
            "boss": {"caller", "callee"},
            "coach": {"caller", "callee", "supervisor"},
        },
    )
    await boss.leave()
    ears.pop("boss")
    await hears(
        ears,
        {
            "caller": {"callee"},
            "callee": {"caller", "observer"},
            "coach": {"caller", "callee"},
        },
    )
    await coach.observer.leave()
    await hears(talk.parties, BOTH_HEAR)
    await talk.nothing_lost()


@pytest.mark.quiet
async def test_it_cannot_be_taken_over(floor: Floor, talk: Talk) -> None:
    boss, _ = await floor.boss(talk)
    with pytest.raises(CapabilityError, match="did not place"):
        await boss.take_over()
    await hears(talk.parties, BOTH_HEAR)
    await talk.nothing_lost()


@pytest.mark.parametrize("mode", ["spy", "whisper", "barge"])
async def test_it_ends_while_it_is_observed(floor: Floor, talk: Talk, mode: str) -> None:
    coach = await floor.coach(talk)
    boss, ear = await floor.boss(talk)
    await getattr(boss, mode)()
    await getattr(coach.observer, mode)()
    await talk.over()
    await ear.wait_closed()
    assert await boss.wait_left() == "call_ended"
    assert await coach.observer.wait_left() == "call_ended"
    await floor.pbx.empty()
