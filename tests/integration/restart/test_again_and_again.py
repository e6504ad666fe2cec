"""Programs that die one after the other, each as it takes up what the one before it has left."""

from __future__ import annotations

import pytest

from bridge.lab.waiting import until
from bridge.session.transfer import Stage
from tests.audio.machine import measured, whole
from tests.integration.restart.scene import PROGRAM, TALK, keys_left, killed, next_program
from tests.support.child import child
from tests.support.pbx import Pbx

pytestmark = pytest.mark.asterisk

PROGRAMS = 4


async def test_an_offer_outlives_them_all(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, "offered") as scene:
            for _ in range(PROGRAMS):
                async with child(pbx, PROGRAM) as program:
                    await program.die()
            async with next_program(pbx) as after:
                await after.resumed(1)
                (call,) = after.calls.values()
                transfer = call.transfer_in_progress
                assert transfer is not None
                assert transfer.stage is Stage.RINGING
                assert {p.name for p in call.parties if p.apart} == {"human"}
                silence_s = await scene.silence_s("caller")
                assert await scene.conference.heard_by_parties("caller") == TALK["offered"]
                await call.disconnect(cut=True)
                for party in scene.people.values():
                    await party.wait_closed()
                await until(lambda: not after.client.calls, "it is over")
                await pbx.empty()
            assert await keys_left(pbx) == []
        whole(silence_s < 0.06, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)
