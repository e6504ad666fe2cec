"""More parties than two: who hears whom, and when the call ends."""

from __future__ import annotations

import asyncio

import pytest

from bridge import ActiveCall, AudioMode, CallState, EndReason, events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.waiting import until
from bridge.model.errors import (
    BadArgumentError,
    CallClosedError,
    CommandInProgressError,
    ConnectFailedError,
    ErrorCode,
    InvalidStateError,
)
from bridge.sdk.events import CallEvent
from tests.support.conference import AGENT, Conference, Pairs, everyone
from tests.support.pbx import Pbx, mode_of, state_of, until_true

pytestmark = pytest.mark.asterisk

FOUR = ("caller", "callee", "expert", "friend")


async def conference_of(pbx: Pbx, *added: str, connect: bool = True) -> Conference:
    """The caller, the callee if wanted, and others, who are added at the same moment."""
    conference = await Conference.of(await pbx.direct_call(), connect=connect)
    await asyncio.gather(*map(conference.add, added))
    await conference.speak()
    return conference


def without(pairs: Pairs, *, listener: str = "", speaker: str = "") -> Pairs:
    return {(a, b) for a, b in pairs if listener != a and speaker != b}


def told(call: ActiveCall) -> list[tuple[str, str]]:
    """Note the events about somebody, and about whom."""
    heard: list[tuple[str, str]] = []

    def listen(event: CallEvent) -> None:
        call.on(event, lambda _call, name: heard.append((event, name)))

    for event in (events.PARTY_JOINED, events.PARTY_LEFT, events.PARTY_CHANGED):
        listen(event)
    return heard


async def test_everyone_hears_everyone_but_who_is_muted_or_held(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert", "friend")
    call, all_of_them = conference.call, everyone(*FOUR, AGENT)
    heard = told(call)
    await conference.hears(all_of_them)

    await call.mute("expert")
    await conference.hears(without(all_of_them, speaker="expert"))
    await call.hold("friend")
    three = everyone(*FOUR[:3], AGENT)
    await conference.hears(without(three, speaker="expert"), "friend")
    assert {(p.name, p.muted, p.held) for p in call.parties} == {
        ("caller", False, False),
        ("callee", False, False),
        ("expert", True, False),
        ("friend", False, True),
    }
    assert await conference.music() == {"friend"}
    await call.unmute("expert")
    await conference.hears(three, "friend")
    await call.unhold("friend")
    await conference.hears(all_of_them)
    assert await conference.music() == set()
    changes = ["expert", "friend", "expert", "friend"]
    await until(lambda: heard == [("PARTY_CHANGED", name) for name in changes], "events")

    await call.remove("callee")
    await conference.people.pop("callee").wait_closed()
    await conference.hears(everyone("caller", "expert", "friend", AGENT))
    await until(lambda: heard[-1] == ("PARTY_LEFT", "callee"), "an event")
    await call.disconnect(cut=True)
    for party in conference.people.values():
        await party.wait_closed()


async def test_every_party_can_be_muted_and_held(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert")
    three = everyone(*FOUR[:3], AGENT)
    for name in FOUR[:3]:
        await conference.call.mute(name)
        await conference.hears(without(three, speaker=name))
        await conference.call.hold(name)
        await conference.hears(without(three, speaker=name, listener=name), name)
        await conference.call.unmute(name)
        await conference.hears(without(three, speaker=name, listener=name), name)
        await conference.call.unhold(name)
        await conference.hears(three)
    await conference.call.disconnect(cut=True)


@pytest.mark.parametrize("mode", ["spy", "whisper to another", "whisper", "barge"])
async def test_who_joins_hears_the_agent_if_his_mode_says_so(pbx: Pbx, mode: str) -> None:
    conference = await conference_of(pbx)
    call = conference.call
    match mode:
        case "spy":
            await call.spy(cut=True)
        case "whisper to another":
            await call.whisper("callee", cut=True)
        case "whisper":
            adding = asyncio.create_task(call.add(CALLEE_ENDPOINT, name="expert"))
            await conference.leg("expert")
            await call.whisper("expert", cut=True)
            conference.people["expert"] = await conference.pick_up("expert")
            await adding
    if "expert" not in conference.people:
        await conference.add("expert")
    await conference.speak()
    listeners = {
        "spy": set(),
        "whisper to another": {"callee"},
        "whisper": {"expert"},
        "barge": {*FOUR[:3]},
    }[mode]
    parties = without(everyone(*FOUR[:3], AGENT), speaker=AGENT)
    await conference.hears(parties | {(listener, AGENT) for listener in listeners})
    await call.disconnect(cut=True)


async def test_each_speaker_arrives_apart(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert")
    stream = conference.call.audio_stream("expert")
    await conference.call.remove("expert")
    async for _frame in stream:
        pass
    await conference.call.disconnect(cut=True)


# --- it does not work ---------------------------------------------------------------------------


async def test_one_who_cannot_be_had_changes_nothing(pbx: Pbx) -> None:
    conference = await conference_of(pbx)
    call = conference.call
    with pytest.raises(ConnectFailedError) as nobody:
        await call.add("4711")
    assert nobody.value.error_code == ErrorCode.CALL_UNREACHABLE
    with pytest.raises(ConnectFailedError) as silent:
        await call.add(CALLEE_ENDPOINT, name="expert", ring_time_seconds=1)
    assert silent.value.error_code == ErrorCode.CALL_UNANSWERED
    assert [party.name for party in call.parties] == ["caller", "callee"]
    await conference.hears(everyone("caller", "callee", AGENT))
    await conference.add("expert")
    await conference.speak()
    await conference.hears(everyone(*FOUR[:3], AGENT))
    await call.disconnect(cut=True)


async def test_removed_before_he_answers(pbx: Pbx) -> None:
    conference = await conference_of(pbx)
    call = conference.call
    adding = asyncio.create_task(call.add(CALLEE_ENDPOINT, name="expert"))
    await conference.leg("expert")
    assert [(p.name, p.joined) for p in call.parties][-1] == ("expert", False)
    await call.remove("expert")
    with pytest.raises(ConnectFailedError):
        await adding
    await no_leg(pbx, "expert")
    await conference.hears(everyone("caller", "callee", AGENT))
    await call.disconnect(cut=True)


async def no_leg(pbx: Pbx, name: str) -> None:
    async def gone() -> bool:
        return not [i for i in await pbx.channels() if f"-leg.{name}-" in i]

    await until_true(gone, f"{name} is not rung any more")


async def test_names(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert")
    call = conference.call
    for taken in ("caller", "callee", "expert", "ai", "Not A Name"):
        with pytest.raises(BadArgumentError):
            await call.add("1005", name=taken)
    for command in (call.remove, call.mute, call.unmute, call.hold, call.unhold, call.whisper):
        with pytest.raises(BadArgumentError, match="friend"):
            await command("friend")
    with pytest.raises(BadArgumentError, match="friend"):
        call.audio_stream("friend")
    with pytest.raises(ConnectFailedError):
        assert await call.add("4711") == "party_4711"
    await call.disconnect(cut=True)


async def test_not_before_the_caller_is_answered_and_not_after_the_end(pbx: Pbx) -> None:
    direct = await pbx.direct_call()
    call = direct.call
    for command in (call.add("1005"), call.remove("caller"), call.mute("caller")):
        with pytest.raises(InvalidStateError):
            await command
    await call.answer()
    connecting = asyncio.create_task(call.connect())
    await pbx.callee_leg(call)
    with pytest.raises(CommandInProgressError):
        await call.add("1005")
    await call.hold("caller")
    await call.unhold("caller")
    await call.disconnect(cut=True)
    with pytest.raises(CallClosedError):
        await connecting
    for command in (call.add("1005"), call.remove("caller"), call.hold("caller")):
        with pytest.raises(CallClosedError):
            await command


# --- how it goes on, and ends -------------------------------------------------------------------


async def test_without_a_callee(pbx: Pbx) -> None:
    conference = await conference_of(pbx, connect=False)
    call = conference.call
    connected: list[CallState] = []
    call.on(events.CALL_CONNECTED, lambda: connected.append(call.state))
    adding = asyncio.create_task(call.add(CALLEE_ENDPOINT, name="expert"))
    await conference.leg("expert")
    with pytest.raises(CommandInProgressError):
        await call.connect()
    conference.people["expert"] = await conference.pick_up("expert")
    await adding
    await until(lambda: connected == [CallState.CONNECTED], "an event")
    await conference.speak()
    await conference.hears(everyone("caller", "expert", AGENT))
    await call.whisper("expert", cut=True)
    with pytest.raises(InvalidStateError, match="barge"):
        await call.remove("expert")
    await call.barge(cut=True)
    await call.remove("expert")
    await conference.people.pop("expert").wait_closed()
    assert state_of(call) is CallState.ANSWERED
    await conference.speak()
    await conference.hears(everyone("caller", AGENT))
    with pytest.raises(InvalidStateError):
        await call.remove("caller")
    # One whom the agent has added leaves by himself.
    await (await conference.add("expert")).hangup()
    await until(lambda: state_of(call) is CallState.ANSWERED, "the agent and the caller are left")
    del conference.people["expert"]
    await conference.hears(everyone("caller", AGENT))
    assert mode_of(call) == (AudioMode.BARGE, set())
    connecting = asyncio.create_task(call.connect())
    conference.people["callee"] = await conference.pick_up("callee")
    await connecting
    await conference.speak()
    await conference.hears(everyone("caller", "callee", AGENT))
    await call.disconnect(cut=True)


@pytest.mark.parametrize("gone", ["caller", "callee", "expert"])
async def test_two_go_on_when_one_of_three_hangs_up(pbx: Pbx, gone: str) -> None:
    conference = await conference_of(pbx, "expert")
    await conference.people.pop(gone).hangup()
    await until(lambda: len(conference.call.parties) == len(FOUR) - 2, "he is missed")
    assert state_of(conference.call) is CallState.CONNECTED
    one, other = conference.people
    await conference.hears(everyone(one, other, AGENT))
    # In whisper, nobody is left whom the last one could talk to.
    await conference.call.whisper(one, cut=True)
    await conference.people[one].hangup()
    await conference.people[other].wait_closed()
    assert await conference.call.wait_ended() in {
        EndReason.CALLER_HUNG_UP,
        EndReason.CALLEE_HUNG_UP,
        EndReason.PARTY_HUNG_UP,
    }


async def test_the_agent_leaves_a_conference(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert", "friend")
    call = conference.call
    await call.mute("callee")
    await call.hold("friend")
    conference.clear()
    await call.close(cut=True)
    four = set(FOUR)
    await conference.parties_hear(everyone(*FOUR))
    for name in ("caller", "friend"):
        await conference.people.pop(name).hangup()
        four.discard(name)
        await conference.parties_hear(everyone(*four))
    await conference.people.pop("expert").hangup()
    await conference.people["callee"].wait_closed()


async def test_whoever_is_being_added_is_let_go_with_the_agent(pbx: Pbx) -> None:
    conference = await conference_of(pbx)
    adding = asyncio.create_task(conference.call.add(CALLEE_ENDPOINT, name="expert"))
    await conference.leg("expert")
    await conference.call.close(cut=True)
    with pytest.raises(CallClosedError):
        await adding
    await no_leg(pbx, "expert")
    await conference.parties_hear(everyone("caller", "callee"))


async def test_a_conference_is_ended_for_all(pbx: Pbx) -> None:
    conference = await conference_of(pbx, "expert", "friend")
    ringing = asyncio.create_task(conference.call.add(CALLEE_ENDPOINT, name="party5"))
    await conference.leg("party5")
    await conference.call.hold("expert")
    await conference.call.disconnect(cut=True)
    with pytest.raises(CallClosedError):
        await ringing
    parties: list[DirectParty] = list(conference.people.values())
    await asyncio.gather(*(party.wait_closed() for party in parties))
    await pbx.empty()
