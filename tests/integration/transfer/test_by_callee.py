"""The callee, who has a phone, transfers the caller: consult, ringback, and his leaving."""

from __future__ import annotations

import asyncio

import pytest

from bridge import CallState
from bridge.model.errors import ErrorCode
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx, state_of
from tests.support.transfers import NOBODY, TransferScene, stage_of

pytestmark = pytest.mark.asterisk

MUSIC = {"caller"}
BEFORE = everyone("caller", "callee", "ai")


async def test_a_consult_and_the_handover(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer()
    await scene.hears_ringing("callee")
    await scene.conference.hears({("ai", "callee")}, "caller", "callee")
    await scene.answer("human")
    assert await transfer.wait_accepted() == "human"
    consult = everyone("callee", "human")
    await scene.hears(consult | {("ai", "callee"), ("ai", "human")}, music=MUSIC)
    await transfer.complete(cut=True)
    await scene.gone("callee")
    assert await transfer.wait() is Outcome.COMPLETED
    assert state_of(scene.call) is CallState.CONNECTED
    handed_over = everyone("caller", "human")
    await scene.hears(handed_over | {("ai", "caller"), ("ai", "human")})


async def test_the_callee_hangs_up_in_the_consult(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer()
    await scene.answer("human")
    await transfer.wait_accepted()
    await scene.hang_up("callee")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_the_callee_hangs_up_while_it_rings(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer()
    await scene.hang_up("callee")
    await scene.parties_hear(set(), music=MUSIC)
    assert stage_of(transfer) is Stage.RINGING
    await scene.answer("human")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_the_callee_hangs_up_and_nobody_is_had(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    transfer = await scene.transfer(ring_time_seconds=2)
    await scene.hang_up("callee")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_UNANSWERED
    await scene.speak_to("caller")
    await scene.hears(everyone("caller", "ai"))


async def test_a_blind_transfer(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer(warm=False)
    await scene.gone("callee")
    await scene.parties_hear(set(), music=MUSIC)
    await scene.answer("human")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))


async def test_nobody_is_had(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    transfer = await scene.transfer([NOBODY, NOBODY])
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_UNREACHABLE
    await scene.speak_to("caller", "callee")
    await scene.hears(BEFORE)


async def test_completed_while_it_rings(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    transfer = await scene.transfer()
    await asyncio.gather(transfer.complete(cut=True), scene.gone("callee"))
    await scene.parties_hear(set(), music=MUSIC)
    await scene.answer("human")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))
