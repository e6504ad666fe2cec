"""A caller is handed over to a human: who hears what, from the hold to the handover."""

from __future__ import annotations

import asyncio

import pytest

from bridge import CallState, EndReason
from bridge.lab.hearing import first_heard
from bridge.model.errors import CommandInProgressError, InvalidStateError
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.audio.machine import anew
from tests.support.conference import HZ, RATE, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of
from tests.support.transfers import TransferScene, spoken_brief, stage_of

pytestmark = pytest.mark.asterisk

BRIEFED = {("human", "brief")}
MUSIC = {"caller"}
HANDED_OVER_SECONDS = 0.1


async def test_a_brief_a_key_and_the_handover(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0))
    assert transfer.stage is Stage.RINGING
    await scene.hears(set(), music=MUSIC)
    await scene.answer("human")
    await scene.hears(BRIEFED, music=MUSIC)
    await scene.press("human", "7")
    await scene.press("caller", "1")
    await scene.hears(BRIEFED, music=MUSIC)
    await scene.press("human", "1")
    assert await transfer.wait_accepted() == "human"
    assert await transfer.wait() is Outcome.COMPLETED
    assert await scene.call.wait_ended() is EndReason.AGENT_LEFT
    await scene.parties_hear(everyone("caller", "human"))
    await scene.hang_up("caller")
    await scene.gone("human")


@pytest.mark.alone
@anew
async def test_both_hear_each_other_at_once_when_the_key_was_pressed(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0))
    human, caller = await scene.answer("human"), scene.conference.people["caller"]
    await scene.hears(BRIEFED, music=MUSIC)
    scene.conference.clear()
    pressed = await scene.press("human", "1")
    assert await transfer.wait() is Outcome.COMPLETED
    for party, voice in ((caller, "human"), (human, "caller")):
        await party.wait_frames(len(party.frames) + 15)
        heard_at = first_heard(list(party.frames), RATE, HZ[voice], SENT_DBFS - 20)
        assert heard_at is not None
        assert heard_at - pressed <= HANDED_OVER_SECONDS
    await scene.parties_hear(everyone("caller", "human"))


async def test_the_ai_talks_with_the_human_first(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(consult=True, accept="answer")
    await scene.answer("human")
    assert await transfer.wait_accepted() == "human"
    consult = everyone("human", "ai")
    await scene.speak_to("human")
    await scene.hears(consult, music=MUSIC)

    await transfer.toggle(cut=True)
    assert stage_of(transfer) is Stage.ASIDE
    await scene.speak_to("caller")
    await scene.hears(everyone("caller", "ai"), music={"human"})
    await transfer.toggle(cut=True)
    assert stage_of(transfer) is Stage.CONSULTING
    await scene.speak_to("human")
    await scene.hears(consult, music=MUSIC)
    await transfer.conference(cut=True)
    assert stage_of(transfer) is Stage.TOGETHER
    await scene.speak_to("caller", "human")
    await scene.hears(everyone("caller", "human", "ai"))
    await transfer.complete(cut=True)
    assert await transfer.wait() is Outcome.COMPLETED
    assert await scene.call.wait_ended() is EndReason.AGENT_LEFT
    await scene.parties_hear(everyone("caller", "human"))


async def test_the_caller_talks_with_the_ai_until_somebody_accepts(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0), hold="on_accept")
    with_ai = everyone("caller", "ai")
    await scene.speak_to("caller")
    await scene.hears(with_ai)
    await scene.answer("human")
    await scene.hears(BRIEFED | with_ai)
    await scene.press("human", "1")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_a_brief_that_asterisk_does_not_have_is_beeps(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief="sound:no-such-sound")
    await scene.answer("human")
    await scene.hears_beeps("human")
    await scene.press("human", "1")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_blind(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(warm=False)
    await scene.hears(set(), music=MUSIC)
    await scene.answer("human")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_the_caller_transfers_the_callee(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer(by="caller")
    await scene.answer("human")
    await transfer.wait_accepted()
    consult = everyone("caller", "human")
    await scene.hears(consult | {("ai", "caller"), ("ai", "human")}, music={"callee"})
    await transfer.complete(cut=True)
    await scene.gone("caller")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("callee", "human"))


async def test_a_conference_for_good(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(consult=True, accept="answer")
    await scene.answer("human")
    await transfer.wait_accepted()
    await transfer.conference(for_good=True, cut=True)
    assert await transfer.wait() is Outcome.CONFERENCED
    assert state_of(scene.call) is CallState.CONNECTED
    await scene.speak_to("caller", "human")
    await scene.hears(everyone("caller", "human", "ai"))


async def test_the_ai_listens_on(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(accept="answer", stay=True)
    await scene.answer("human")
    assert await transfer.wait() is Outcome.COMPLETED
    talking = everyone("caller", "human")
    await scene.hears(talking | {("ai", "caller"), ("ai", "human")})


async def test_a_second_transfer_is_refused(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer()
    with pytest.raises(CommandInProgressError):
        await scene.call.transfer("1003")
    with pytest.raises(InvalidStateError):
        await transfer.toggle(cut=True)
    await transfer.cancel(cut=True)
    assert await transfer.wait() is Outcome.CANCELLED
    await scene.speak_to("caller")
    await scene.hears(everyone("caller", "ai"))


async def test_cancelled_as_the_human_hears_the_brief(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0))
    await scene.answer("human")
    await scene.hears(BRIEFED, music=MUSIC)
    await transfer.cancel(cut=True)
    await scene.gone("human")
    assert await transfer.wait() is Outcome.CANCELLED
    await scene.speak_to("caller")
    await scene.hears(everyone("caller", "ai"))


async def test_the_first_of_a_group_has_it(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer([*2 * ["WebSocket/INCOMING/c(slin16)"]], together=True)
    await asyncio.gather(scene.answer("human"), scene.answer("human2"))
    await scene.press("human2", "1")
    await scene.gone("human")
    assert await transfer.wait() is Outcome.COMPLETED
    assert transfer.human == "human2"
    await scene.parties_hear(everyone("caller", "human2"))
