"""The program leaves in order during a transfer: nobody is left on hold."""

from __future__ import annotations

import pytest

from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx
from tests.support.transfers import TransferScene

pytestmark = pytest.mark.asterisk


async def left_to_the_next(scene: TransferScene) -> None:
    """Start the next program, which removes the bridge when all have hung up."""
    await scene.pbx.program()
    for name in list(scene.conference.people):
        await scene.hang_up(name)


async def test_whoever_has_accepted_gets_the_caller(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(consult=True, accept="answer")
    await scene.answer()
    await transfer.wait_accepted()
    await scene.program.client.disconnect()
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(everyone("caller", "human"))
    await left_to_the_next(scene)


async def test_the_caller_comes_back_to_the_callee(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    transfer = await scene.transfer()
    await scene.conference.leg("human")
    await scene.program.client.disconnect()
    assert await transfer.wait() is Outcome.CANCELLED
    await scene.parties_hear(everyone("caller", "callee"))
    await left_to_the_next(scene)


async def test_a_caller_who_would_be_alone_is_let_go(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer()
    await scene.answer()
    await scene.program.client.disconnect()
    assert await transfer.wait() is Outcome.CANCELLED
    await scene.gone("human")
    await scene.gone("caller")
