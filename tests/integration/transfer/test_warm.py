"""A caller is handed over to a human by the AI: who hears what, from the hold to the handover."""

from __future__ import annotations

import pytest

from bridge import EndReason
from bridge.session.transfer import Stage
from bridge.session.transfer.effects import Outcome
from tests.support.conference import everyone
from tests.support.pbx import Pbx
from tests.support.transfers import TransferScene, spoken_brief

pytestmark = pytest.mark.asterisk


async def test_a_brief_a_key_and_the_handover(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(brief=spoken_brief(8.0))
    assert transfer.stage is Stage.RINGING
    await scene.hears(set(), music={"caller"})
    await scene.answer("human")
    await scene.hears({("human", "brief")}, music={"caller"})
    await scene.press("human", "7")
    await scene.hears({("human", "brief")}, music={"caller"})
    await scene.press("human", "1")
    assert await transfer.wait() is Outcome.COMPLETED
    assert await scene.call.wait_ended() is EndReason.AGENT_LEFT
    await scene.parties_hear(everyone("caller", "human"))
    await scene.hang_up("caller")
    await scene.gone("human")
