"""A human who does not take it, or leaves: the caller comes back to the AI, which is told why."""

from __future__ import annotations

import asyncio

import pytest

from bridge import ActiveCall, CallState, EndReason
from bridge.media.answering import Verdict
from bridge.model.errors import ConnectFailedError, ErrorCode
from bridge.sdk.transfer import Transfer
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx, state_of
from tests.support.transfers import HUMAN, NOBODY, TransferScene, spoken_brief

pytestmark = pytest.mark.asterisk

MUSIC = {"caller"}
BRIEFED = {("human", "brief")}
WITH_AI = everyone("caller", "ai")
CONSULT = everyone("human", "ai")


async def back_with_the_ai(scene: TransferScene) -> None:
    assert state_of(scene.call) is CallState.ANSWERED
    await scene.speak_to("caller")
    await scene.hears(WITH_AI)


async def test_he_declines_by_key(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0))
    await scene.answer()
    await scene.hears(BRIEFED, music=MUSIC)
    await scene.press("human", "2")
    await scene.gone("human")
    with pytest.raises(ConnectFailedError):
        await transfer.wait_accepted()
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_DECLINED
    await back_with_the_ai(scene)


async def test_he_presses_no_key(pbx: Pbx) -> None:
    """As an answering machine does not."""
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(accept_seconds=5.0)
    await scene.answer()
    await scene.hears_beeps("human")
    await scene.conference.hears(set(), "caller", "human")
    await scene.gone("human")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_UNANSWERED
    await back_with_the_ai(scene)


async def test_an_answering_machine_is_told_by_what_it_says(pbx: Pbx) -> None:
    heard: list[int] = []

    class Detector:
        def __init__(self, rate: int) -> None:
            self._rate = rate

        def feed(self, frame: bytes) -> Verdict | None:
            heard.append(len(frame))
            return Verdict.MACHINE if len(heard) == 50 else None

    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(4.0), detect_machine=Detector)
    await scene.answer()
    await scene.gone("human")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_UNANSWERED
    assert "answering machine" in transfer.error_message
    assert heard == 50 * [640]
    await back_with_the_ai(scene)


async def test_he_hangs_up_during_the_brief(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(30.0))
    await scene.answer()
    await scene.hears(BRIEFED, music=MUSIC)
    await scene.hang_up("human")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_DECLINED
    await back_with_the_ai(scene)


async def test_he_hangs_up_in_the_consult(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(consult=True)
    await scene.answer()
    await transfer.wait_accepted()
    await scene.speak_to("human")
    await scene.hears(CONSULT, music=MUSIC)
    await scene.hang_up("human")
    assert await transfer.wait() is Outcome.HUMAN_LEFT
    await back_with_the_ai(scene)


async def test_he_is_not_there_and_the_next_one_takes_it(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer([NOBODY, HUMAN], brief=spoken_brief(1.0), accept="answer")
    await scene.answer("human2")
    assert await transfer.wait() is Outcome.COMPLETED
    assert transfer.human == "human2"
    await scene.parties_hear(everyone("caller", "human2"))


async def test_what_is_done_when_nobody_takes_it(pbx: Pbx) -> None:
    done: asyncio.Queue[tuple[ActiveCall, Transfer]] = asyncio.Queue()

    async def fallback(call: ActiveCall, transfer: Transfer) -> None:
        await done.put((call, transfer))

    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(NOBODY, fallback=fallback)
    async with asyncio.timeout(5):
        assert await done.get() == (scene.call, transfer)
    assert transfer.outcome is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_UNREACHABLE
    await back_with_the_ai(scene)


@pytest.mark.parametrize("when", ["while it rings", "in the brief", "in the consult"])
async def test_the_caller_hangs_up(pbx: Pbx, when: str) -> None:
    scene = await TransferScene.begin(pbx)
    consults = when == "in the consult"
    transfer = await scene.transfer(brief=spoken_brief(30.0), consult=consults)
    if when == "while it rings":
        await scene.conference.leg("human")
    else:
        await scene.answer()
        await scene.hears(BRIEFED, music=MUSIC)
    if consults:
        await scene.press("human", "1")
        await transfer.wait_accepted()
        await scene.speak_to("human")
        await scene.hears(CONSULT, music=MUSIC)
    await scene.hang_up("caller")
    assert await transfer.wait() is Outcome.CALLER_HUNG_UP
    assert await scene.call.wait_ended() is EndReason.CALLER_HUNG_UP
    for name in list(scene.conference.people):
        await scene.gone(name)
    await pbx.empty()
