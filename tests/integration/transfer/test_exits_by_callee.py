"""The callee transfers, and somebody hangs up: who is left with whom."""

from __future__ import annotations

import pytest

from bridge import EndReason
from bridge.model.errors import CommandInProgressError
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx
from tests.support.transfers import TransferScene, stage_of

pytestmark = pytest.mark.asterisk

MUSIC = {"caller"}
CALLED = everyone("caller", "callee")
CONSULT = everyone("callee", "human")
HANDED_OVER = everyone("caller", "human")


async def scene_of(pbx: Pbx) -> TransferScene:
    """Return a call whose AI only listens."""
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    return scene


async def consulting(scene: TransferScene) -> Transfer:
    transfer = await scene.transfer()
    await scene.answer()
    await transfer.wait_accepted()
    await scene.parties_hear(CONSULT, music=MUSIC)
    return transfer


async def put(transfer: Transfer, stage: Stage) -> None:
    """Lead a consult to a stage."""
    if stage is Stage.ASIDE:
        await transfer.toggle(cut=True)
    elif stage is Stage.TOGETHER:
        await transfer.conference(cut=True)
    assert stage_of(transfer) is stage


async def back_with_the_callee(scene: TransferScene) -> None:
    await scene.parties_hear(CALLED)
    assert scene.call.transfer_in_progress is None


async def test_the_caller_hangs_up_while_it_rings(pbx: Pbx) -> None:
    scene = await scene_of(pbx)
    transfer = await scene.transfer()
    leg = await scene.conference.leg("human")
    await scene.hears_ringing("callee")
    assert "caller" in await scene.conference.music()
    await scene.conference.parties_hear(set(), "caller", "callee")
    await scene.hang_up("caller")
    assert await transfer.wait() is Outcome.CALLER_HUNG_UP
    assert await scene.call.wait_ended() is EndReason.CALLER_HUNG_UP
    await scene.gone("callee")
    await pbx.empty()
    assert leg not in await pbx.channels()


@pytest.mark.parametrize("stage", [Stage.CONSULTING, Stage.ASIDE, Stage.TOGETHER])
async def test_the_caller_hangs_up(pbx: Pbx, stage: Stage) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    await put(transfer, stage)
    await scene.hang_up("caller")
    assert await transfer.wait() is Outcome.CALLER_HUNG_UP
    assert await scene.call.wait_ended() is EndReason.CALLER_HUNG_UP
    await scene.gone("callee")
    await scene.gone("human")
    await pbx.empty()


WHO_HEARS = {
    Stage.CONSULTING: (CONSULT, {"caller"}),
    Stage.ASIDE: (CALLED, {"human"}),
    Stage.TOGETHER: (everyone("caller", "callee", "human"), set[str]()),
}
"""At each stage who hears whom, and who hears music."""


@pytest.mark.parametrize("stage", [Stage.CONSULTING, Stage.ASIDE, Stage.TOGETHER])
async def test_the_human_hangs_up(pbx: Pbx, stage: Stage) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    await put(transfer, stage)
    pairs, music = WHO_HEARS[stage]
    await scene.parties_hear(pairs, music=music)
    await scene.hang_up("human")
    assert await transfer.wait() is Outcome.HUMAN_LEFT
    await back_with_the_callee(scene)


@pytest.mark.parametrize("stage", [Stage.ASIDE, Stage.TOGETHER])
async def test_the_callee_hangs_up(pbx: Pbx, stage: Stage) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    await put(transfer, stage)
    await scene.hang_up("callee")
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear(HANDED_OVER)


@pytest.mark.parametrize("stage", [Stage.CONSULTING, Stage.ASIDE, Stage.TOGETHER])
async def test_it_is_given_up(pbx: Pbx, stage: Stage) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    await put(transfer, stage)
    # Nobody else may begin one meanwhile.
    with pytest.raises(CommandInProgressError):
        await scene.call.transfer("1003")
    await transfer.cancel(cut=True)
    await scene.gone("human")
    assert await transfer.wait() is Outcome.CANCELLED
    await back_with_the_callee(scene)


async def test_the_caller_and_the_human_hang_up_at_once(pbx: Pbx) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    caller, human = (scene.conference.people.pop(name) for name in ("caller", "human"))
    await caller.hangup()
    await human.hangup()
    assert await transfer.wait() in {Outcome.CALLER_HUNG_UP, Outcome.HUMAN_LEFT}
    assert await scene.call.wait_ended() is EndReason.CALLER_HUNG_UP
    await scene.gone("callee")
    await pbx.empty()


async def test_all_hang_up_at_once(pbx: Pbx) -> None:
    scene = await scene_of(pbx)
    transfer = await consulting(scene)
    for name in ("callee", "human", "caller"):
        await scene.hang_up(name)
    await transfer.wait()
    await scene.call.wait_ended()
    await pbx.empty()
