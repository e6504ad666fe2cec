"""A call of our own: its agent, who is muted or held or has taken over, and its bridge."""

from __future__ import annotations

import asyncio

import pytest

from bridge import events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.waiting import until
from bridge.model.audibility import Matrix
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.audibility import AudibilityReport
from bridge.sdk import Client, Observer
from bridge.session.inputs import AddParty, Arrange
from tests.integration.audibility.test_standing import matrix
from tests.support.conference import Conference, everyone
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, DirectCall, Pbx, until_true

pytestmark = pytest.mark.asterisk

EARS = matrix(ai="caller callee", coach="caller callee")
TALK = EARS | matrix(caller="callee", callee="caller")


async def begin(pbx: Pbx) -> tuple[Conference, Client, Observer]:
    """Let two talk, with their agent spying and another program observing."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    client = program.client
    ari = pbx.instance.info.ari
    caller = await pbx.keep(DirectParty.call(ari, "1002", tone=CALLER_TONE))
    direct = DirectCall(pbx, await program.next_call(), caller, callee_tone=CALLEE_TONE)
    conference = await Conference.of(direct)
    await conference.call.spy()
    await client.live_calls()
    client._connected().audibility_check.every_seconds = 3600.0
    return conference, client, await client.observe(direct.call, "coach")


async def stands(client: Client, conference: Conference, expected: Matrix) -> None:
    """Assert that what is wanted, and what stands, is ``expected``."""
    report = await client.audibility(conference.call)
    assert report.ok, str(report)
    assert report.standing == report.wanted == expected


async def test_modes_mute_hold_and_takeover(pbx: Pbx) -> None:
    conference, client, coach = await begin(pbx)
    call = conference.call
    await stands(client, conference, TALK)
    await call.barge()
    barging = TALK | matrix(caller="ai", callee="ai", coach="ai")
    await stands(client, conference, barging)
    await coach.whisper("callee")
    await stands(client, conference, barging | matrix(callee="coach"))
    await call.mute("caller")
    muted = barging | matrix(callee="coach")
    muted -= matrix(callee="caller", ai="caller", coach="caller")
    await stands(client, conference, muted)
    await call.unmute("caller")
    await call.hold("callee")
    await stands(client, conference, matrix(caller="ai", ai="caller", coach="caller ai"))
    await call.unhold("callee")
    await stands(client, conference, barging | matrix(callee="coach"))
    await coach.take_over("callee")
    over = await client.audibility(call)
    assert over.ok, str(over)
    assert over.standing >= matrix(caller="coach", ai="coach")
    assert not over.standing & matrix(caller="callee", ai="callee")
    await coach.give_back()
    assert (await client.audibility(call)).ok


async def test_one_who_is_added_is_heard_and_hears(pbx: Pbx) -> None:
    conference, client, _ = await begin(pbx)
    await conference.add("expert")
    expected = TALK | matrix(
        expert="caller callee", caller="expert", callee="expert", ai="expert", coach="expert"
    )
    await stands(client, conference, expected)


async def test_a_gate_of_the_agents_is_shut_and_the_program_is_told(pbx: Pbx) -> None:
    conference, client, _ = await begin(pbx)
    told: list[AudibilityReport] = []
    client.on(events.AUDIBILITY_DIFFERS, told.append)
    (end,) = [i for i in await pbx.channels() if "snoop.ai.callee" in i]
    ari = pbx._observer.channels
    await ari.set_channel_var(channel_id=end, variable="CALLBRIDGE_GATE", value="open")
    await ari.unmute(channel_id=end, direction="out")
    report = await client.audibility(conference.call)
    assert report.unwanted == {(CALLEE, Participant("ai"))}
    await client._connected().audibility_check.check()
    await until(lambda: told, "the program is told")
    assert [r.unwanted for r in told] == [report.unwanted]
    await stands(client, conference, TALK)


async def test_a_strangers_channel_in_the_calls_own_bridge(pbx: Pbx) -> None:
    """One who may be somebody is a party, as after a transfer; what only listens is turned out."""
    conference, client, _ = await begin(pbx)
    (room,) = [i for i in await pbx.bridges() if "bridge.call" in i]
    ari = pbx._observer
    somebody = await ari.channels.external_media(
        app=ari.settings.application, external_host="127.0.0.1:9", format="slin16"
    )
    try:
        listener = await ari.channels.snoop_channel(
            channel_id=somebody.id, app=ari.settings.application, spy="in"
        )

        async def entered() -> bool:
            there = [await ari.channels.get(channel_id=c.id) for c in (somebody, listener)]
            return all(channel.dialplan.app_name == "Stasis" for channel in there)

        await until_true(entered, "both are in their application")
        await ari.bridges.add_channel(bridge_id=room, channel=listener.id)
        report = await client.audibility(conference.call)
        assert [s.channel_id for s in report.strangers if s.intrudes] == [listener.id]
        await client._connected().audibility_check.check()
        await stands(client, conference, TALK)

        await ari.channels.hangup(channel_id=listener.id)
        await ari.bridges.add_channel(bridge_id=room, channel=somebody.id)

        async def met() -> bool:
            return "party3" in (await client.audibility(conference.call)).participants

        await until_true(met, "he is a party")
        joined = matrix(party3="caller callee", caller="party3", callee="party3", coach="party3")
        assert (await client.audibility(conference.call)).standing == TALK | joined
    finally:
        await ari.channels.hangup(channel_id=somebody.id)


async def test_the_callees_phone_that_is_moved_is_moved_back(pbx: Pbx) -> None:
    conference, client, _ = await begin(pbx)
    ari = pbx._observer
    (leg,) = [i for i in await pbx.channels() if "leg.callee" in i]
    elsewhere = await ari.bridges.create(type="mixing")
    try:
        await ari.bridges.add_channel(bridge_id=elsewhere.id, channel=leg)
        report = await client.audibility(conference.call)
        assert report.missing == matrix(caller="callee", callee="caller")
        await client._connected().audibility_check.check()
        await stands(client, conference, TALK)
    finally:
        await ari.bridges.destroy(bridge_id=elsewhere.id)


async def test_one_who_is_apart_is_with_whoever_whispers_to_him(pbx: Pbx) -> None:
    conference, client, coach = await begin(pbx)
    engine, human = conference.call._engine, Participant("human")
    adding = asyncio.create_task(
        engine.command(lambda t: AddParty(t, human, CALLEE_ENDPOINT, 30, apart=True))
    )
    conference.people[human] = await conference.pick_up(human)
    await adding
    await stands(client, conference, TALK)
    await coach.whisper("human")
    whispering = TALK | matrix(human="coach", coach="human")
    await stands(client, conference, whispering)
    await coach.barge()
    barging = TALK | matrix(caller="coach", callee="coach", ai="coach")
    await stands(client, conference, barging)
    await engine.command(lambda t: Arrange(t, held=frozenset({CALLER}), kept=True))
    consult = matrix(callee="human coach", human="callee coach", ai="callee human coach")
    await stands(client, conference, consult | matrix(coach="callee human"))
    everybody = everyone("caller", "callee", "human", "coach")
    await engine.command(lambda t: Arrange(t, kept=True))
    together = frozenset((Participant(a), Participant(b)) for a, b in everybody)
    await stands(client, conference, together | matrix(ai="caller callee human coach"))
    await conference.call.disconnect()
