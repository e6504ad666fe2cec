"""Recordings by URL that outlive their calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge import Client, RecordingState, events
from bridge.lab.acceptance import LabSite, Run, load, perform
from bridge.lab.asterisk import InstanceInfo
from bridge.lab.waiting import until
from tests.support.daemon import RunningApi
from tests.support.remote import RemotePbx

pytestmark = [pytest.mark.asterisk]

RECORDED_CALL = Path(__file__).parents[3] / "bridge/lab/scenarios/recorded_call.yaml"


class AtTheDaemon(LabSite):
    """The phones of the lab; the program of a run is at a daemon."""

    def __init__(self, info: InstanceInfo, api: RunningApi) -> None:
        super().__init__(info)
        self._api = api

    def client(self, run: Run) -> Client:
        del run
        return Client(url=self._api.url, key=self._api.keys["admin"], program="run")


@pytest.mark.parametrize("ends", ["the caller", "the agent", "somebody else"])
async def test_the_end_of_a_recording_is_told(pbx: RemotePbx, tmp_path: Path, ends: str) -> None:
    direct = await pbx.direct_call()
    await direct.call.answer()
    told: list[object] = []
    direct.call.on(events.RECORDING_ENDED, lambda _call, one: told.append(one))
    recording = await direct.call.record(tmp_path)
    await direct.caller.wait_frames(len(direct.caller.frames) + 30)
    match ends:
        case "the caller":
            await direct.caller.hangup()
        case "the agent":
            await direct.call.disconnect()
        case _:
            api = await pbx.daemon()
            await api.done("POST", f"/recordings/{recording.recording_id}/stop")
    async with asyncio.timeout(5):
        assert await recording.wait_ended() is RecordingState.ENDED
    assert len(recording.files) == 1
    assert recording.seconds > 0.3
    await until(lambda: told == [recording], "its end is told, once")
    assert direct.call.recordings == ()
    await direct.call.disconnect()


@pytest.mark.phones
async def test_the_scenario_of_a_recorded_call(pbx: RemotePbx) -> None:
    api = await pbx.daemon()
    report = await perform(load(RECORDED_CALL), AtTheDaemon(pbx.instance.info, api))
    assert report.failures == ()
    assert report.verdict == "passed"
