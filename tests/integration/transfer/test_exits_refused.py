"""Asterisk refuses what a transfer needs: the caller is with the AI, or comes back to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from bridge import CallState, EndReason
from bridge.model.errors import ErrorCode, ServerError
from bridge.sdk.transfer import Transfer
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx, state_of
from tests.support.refusals import Refusals
from tests.support.transfers import TransferScene, spoken_brief

pytestmark = pytest.mark.asterisk

MUSIC = {"caller"}
WITH_AI = everyone("caller", "ai")
BRIEFED = {("human", "brief")}
CONSULT = everyone("human", "ai")

HOLD = r"POST bridges/.*bridge\.hold\.caller.*"
MAKE = r"POST channels/create"
DIAL = r"POST channels/.*leg\.human.*/dial"
APART = r"POST bridges/.*bridge\.apart\.human.*"
INTO_THE_CALL = r"POST bridges/.*bridge\.call.*/addChannel"
HANG_UP = r"DELETE channels/.*leg\.human[^/]*"
ATTEMPTS = 3
"""How often the objects of a call are tried to be made; see runtime.executor."""


@dataclass
class Refused:
    """A transfer whose commands can be refused."""

    scene: TransferScene
    refuse: Refusals

    async def consult(self) -> Transfer:
        """Let a human accept, and the AI talk with him."""
        transfer = await self.scene.transfer(consult=True, accept="answer")
        await self.scene.answer()
        await transfer.wait_accepted()
        await self.scene.speak_to("human")
        await self.scene.hears(CONSULT, music=MUSIC)
        return transfer

    async def back_with_the_ai(self) -> None:
        """The caller hears the AI and nothing else, and a transfer is possible again."""
        assert state_of(self.scene.call) is CallState.ANSWERED
        await self.scene.speak_to("caller")
        await self.scene.hears(WITH_AI)
        assert self.scene.call.transfer_in_progress is None


@pytest.fixture
async def refused(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> Refused:
    scene = await TransferScene.begin(pbx)
    refusals = Refusals(scene.program.client._connected().ari)
    refusals.install(monkeypatch)
    return Refused(scene, refusals)


async def test_to_hold_the_caller(refused: Refused) -> None:
    rule = refused.refuse.add(HOLD)
    with pytest.raises(ServerError):
        await refused.scene.transfer(brief=spoken_brief(1.0))
    assert rule.hits
    assert not [i for i in await refused.scene.pbx.channels() if "leg.human" in i]
    refused.refuse.stop()
    await refused.back_with_the_ai()
    # Nothing of it stands in the way of the next one.
    refused.scene.call.clear_send_audio_buffer()
    transfer = await refused.scene.transfer(brief=spoken_brief(30.0))
    await refused.scene.answer()
    await refused.scene.hears(BRIEFED, music=MUSIC)
    await transfer.cancel(cut=True)


@pytest.mark.parametrize("request_", [MAKE, DIAL])
async def test_to_ring_the_human(refused: Refused, request_: str) -> None:
    rule = refused.refuse.add(request_)
    transfer = await refused.scene.transfer(brief=spoken_brief(1.0))
    assert await transfer.wait() is Outcome.FAILED
    assert rule.hits
    assert transfer.error_code is ErrorCode.CALL_UNREACHABLE
    await refused.back_with_the_ai()


async def test_to_make_a_room_for_the_brief(refused: Refused) -> None:
    refused.refuse.add(APART)
    transfer = await refused.scene.transfer(brief=spoken_brief(4.0))
    human = await refused.scene.conference.pick_up("human")
    assert await transfer.wait() is Outcome.FAILED
    await human.wait_closed()
    await refused.back_with_the_ai()


async def test_to_bring_the_human_to_the_ai(refused: Refused) -> None:
    transfer = await refused.scene.transfer(brief=spoken_brief(30.0), consult=True, accept="key")
    await refused.scene.answer()
    await refused.scene.hears(BRIEFED, music=MUSIC)
    rule = refused.refuse.add(INTO_THE_CALL, times=ATTEMPTS)
    await refused.scene.press("human", "1")
    await refused.scene.gone("human")
    assert await transfer.wait() is Outcome.FAILED
    assert rule.hits == ATTEMPTS
    await refused.back_with_the_ai()


async def test_to_bring_the_caller_to_the_human(refused: Refused) -> None:
    transfer = await refused.consult()
    rule = refused.refuse.add(INTO_THE_CALL, times=ATTEMPTS)
    with pytest.raises(ServerError):
        await transfer.complete(cut=True)
    await refused.scene.gone("human")
    assert await transfer.wait() is Outcome.FAILED
    assert rule.hits == ATTEMPTS
    await refused.back_with_the_ai()


@pytest.mark.parametrize("command", ["toggle", "conference"])
async def test_to_bring_the_caller_in_for_a_while(refused: Refused, command: str) -> None:
    transfer = await refused.consult()
    refused.refuse.add(INTO_THE_CALL, times=ATTEMPTS)
    with pytest.raises(ServerError):
        await getattr(transfer, command)(cut=True)
    # They talk on, as if nobody had asked.
    await refused.scene.speak_to("human")
    await refused.scene.hears(CONSULT, music=MUSIC)
    await transfer.complete(cut=True)
    assert await transfer.wait() is Outcome.COMPLETED
    await refused.scene.parties_hear(everyone("caller", "human"))


async def test_to_bring_the_caller_back_at_first(refused: Refused) -> None:
    transfer = await refused.consult()
    measured = asyncio.Event()
    at_first = refused.refuse.add(INTO_THE_CALL, times=ATTEMPTS)
    again = refused.refuse.add(INTO_THE_CALL, times=ATTEMPTS, held=measured)
    await refused.scene.hang_up("human")
    # He is not left in silence meanwhile.
    await refused.scene.parties_hear(set(), music=MUSIC)
    measured.set()
    assert await transfer.wait() is Outcome.HUMAN_LEFT
    assert (at_first.hits, again.hits) == (ATTEMPTS, ATTEMPTS)
    await refused.back_with_the_ai()


async def test_to_bring_the_caller_back_at_all(refused: Refused) -> None:
    transfer = await refused.consult()
    refused.refuse.add(INTO_THE_CALL)
    await refused.scene.hang_up("human")
    await refused.scene.conference.people["caller"].wait_closed(within_s=20)
    assert await transfer.wait() is Outcome.HUMAN_LEFT
    assert await refused.scene.call.wait_ended() is EndReason.NOBODY_LEFT


async def test_to_let_the_human_go(refused: Refused) -> None:
    transfer = await refused.scene.transfer(brief=spoken_brief(30.0))
    await refused.scene.answer()
    await refused.scene.hears(BRIEFED, music=MUSIC)
    rule = refused.refuse.add(HANG_UP, times=1)
    await refused.scene.press("human", "2")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_DECLINED
    assert rule.hits == 1
    await refused.scene.gone("human")
    await refused.back_with_the_ai()
