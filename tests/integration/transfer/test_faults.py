"""What breaks a transfer from outside, or from inside: nobody is left on hold by it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge import EndReason
from bridge.model.errors import ErrorCode
from bridge.runtime import transfer as runtime
from bridge.session.transfer import Transfer, inputs, step
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx
from tests.support.transfers import TransferScene

pytestmark = pytest.mark.asterisk


@pytest.mark.parametrize("when", [inputs.Accepted, inputs.Placed])
async def test_a_fault_of_ours(
    pbx: Pbx, monkeypatch: pytest.MonkeyPatch, when: type[object]
) -> None:
    def faulty(transfer: Transfer, event: Any) -> Any:
        if isinstance(event, when) and transfer.rounds_begun:
            raise RuntimeError("a fault")
        return step(transfer, event)

    monkeypatch.setattr(runtime, "step", faulty)
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(consult=True, accept="key")
    await scene.answer()
    await scene.press("human", "1")
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is ErrorCode.CALL_FAILED
    if when is inputs.Accepted:
        await scene.gone("human")
        await scene.speak_to("caller")
        await scene.hears(everyone("caller", "ai"))
    else:
        # He has accepted: all talk.
        await scene.speak_to("caller", "human")
        await scene.hears(everyone("caller", "human", "ai"))


async def test_asterisk_dies(own_pbx: Pbx) -> None:
    scene = await TransferScene.begin(own_pbx)
    transfer = await scene.transfer()
    await scene.answer()
    await asyncio.to_thread(own_pbx.instance.kill)
    assert await transfer.wait() is Outcome.CALL_OVER
    assert await scene.call.wait_ended() is EndReason.SERVER_LOST
