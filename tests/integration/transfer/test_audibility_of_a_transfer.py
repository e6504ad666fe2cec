"""What is checked of who hears whom: prompts, ringback and places are as they are wanted."""

from __future__ import annotations

import pytest

from tests.support.conference import everyone
from tests.support.pbx import Pbx
from tests.support.transfers import TransferScene, spoken_brief

pytestmark = pytest.mark.asterisk


async def test_all_is_as_wanted_in_each_phase(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx, callee=True)
    await scene.call.spy(cut=True)
    client = scene.program.client
    transfer = await scene.transfer(brief=spoken_brief(20.0), accept="key")
    await scene.hears_ringing("callee")
    assert (await client.audibility(scene.call)).ok
    await scene.answer()
    await scene.conference.hears({("human", "brief"), ("ai", "callee")}, "caller", "callee")
    assert "caller" in await scene.conference.music()
    # To him it rings until somebody has accepted.
    await scene.hears_ringing("callee")
    report = await client.audibility(scene.call)
    assert report.ok, str(report)
    assert {("human", "prompter"), ("prompter", "human")} <= report.standing
    await scene.press("human", "1")
    await transfer.wait_accepted()
    report = await client.audibility(scene.call)
    assert report.ok, str(report)
    assert report.standing == everyone("callee", "human") | {("ai", "callee"), ("ai", "human")}
