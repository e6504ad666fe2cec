"""The program is killed while a caller waits in a slot; the next one gives him to the fetcher."""

from __future__ import annotations

import pytest

from bridge import AudioMode, CallState
from bridge.lab.ears import DirectParty
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from tests.audio.machine import measured, whole
from tests.integration.restart.program import SPEECH
from tests.integration.restart.scene import Next, Scene, killed, next_program
from tests.support.conference import AGENT, HZ, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of

pytestmark = pytest.mark.asterisk


async def fetched(scene: Scene, after: Next) -> None:
    """Somebody dials the slot: they talk."""
    (there,) = after.client.parked
    voice = Tone(HZ["human"], SENT_DBFS)
    ari = scene.pbx.instance.info.ari
    scene.people["human"] = await scene.pbx.keep(DirectParty.call(ari, there.slot, tone=voice))
    await until(lambda: after.client.parked == (), "he is fetched")
    await scene.conference.parties_hear(everyone("caller", "human"))
    await scene.people["caller"].hangup()
    await scene.people["human"].wait_closed()
    await scene.pbx.empty()


async def test_he_is_fetched_from_the_next_program(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        async with killed(pbx, "parked") as scene, next_program(pbx) as after:
            await after.resumed(1)
            (call,) = after.calls.values()
            assert (state_of(call), call.mode) == (CallState.ANSWERED, AudioMode.SPY)
            assert [there.slot for there in after.client.parked] == [call.parked_in]
            silence_s = await scene.silence_s("caller")
            assert await scene.conference.music() == {"caller"}
            await fetched(scene, after)
        whole(silence_s < 0.06, f"silence for {silence_s:.3f} s")

    await measured(pbx, measurement)


async def test_he_waits_though_nobody_listens(pbx: Pbx) -> None:
    async with killed(pbx, "parked") as scene, next_program(pbx, listens=False) as after:
        await until(lambda: len(after.client.parked) == 1, "he waits on")
        await until(lambda: after.client.calls == (), "the agent has left")
        assert await scene.conference.music() == {"caller"}
        await fetched(scene, after)


async def test_he_is_taken_back(pbx: Pbx) -> None:
    async with killed(pbx, "parked") as scene, next_program(pbx) as after:
        await after.resumed(1)
        (call,) = after.calls.values()
        await call.unpark()
        assert (state_of(call), call.mode) == (CallState.ANSWERED, AudioMode.BARGE)
        await call.send_audio(SPEECH)
        await scene.conference.parties_hear({("caller", AGENT)})
        await call.disconnect(cut=True)


async def test_he_hangs_up_while_no_program_runs(pbx: Pbx) -> None:
    async with killed(pbx, "parked") as scene:
        await scene.people.pop("caller").hangup()
        async with next_program(pbx) as after:
            await pbx.empty()
            assert after.client.parked == ()
