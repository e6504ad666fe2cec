"""What is told of real calls: everything that the SDK tells, with the call as it is then."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridge.api.shown import recording_of
from bridge.lab.waiting import until
from bridge.model.modes import AudioMode
from bridge.model.states import CallState
from bridge.protocol.views import EventView, RecordingView
from tests.api.sockets.scene import arrived, connected
from tests.support.daemon import RunningApi
from tests.support.pbx import Pbx
from tests.support.sockets import FarEnd, watching

pytestmark = pytest.mark.asterisk


async def told_of(far: FarEnd, last: str) -> dict[str, list[EventView]]:
    """Read events up to the first of a type; return them all, by type."""
    found: dict[str, list[EventView]] = {}
    while last not in found:
        event = await far.event()
        found.setdefault(event.type, []).append(event)
    return found


async def test_the_life_of_a_call(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene, watching(scene.api) as (far, _):
        call = scene.call
        await call.whisper("caller")
        changed = (await told_of(far, "CALL_MODE_CHANGED"))["CALL_MODE_CHANGED"][0]
        assert changed.call is not None
        assert (changed.call_id, changed.tenant) == (call.call_id, "default")
        assert (changed.call.mode, changed.call.whispers_to) == (AudioMode.WHISPER, ("caller",))

        await call.mute("callee")
        muted = (await told_of(far, "PARTY_CHANGED"))["PARTY_CHANGED"][0]
        assert muted.data == {"party": "callee"}
        assert muted.call is not None
        assert [(one.name, one.muted) for one in muted.call.parties] == [
            ("caller", False),
            ("callee", True),
        ]
        assert muted.call.revision > changed.call.revision

        await call.disconnect()
        over = await told_of(far, "LIVE_CALL_ENDED")
        over |= await told_of(far, "CALL_TERMINATED") if "CALL_TERMINATED" not in over else {}
        (ended,) = over["CALL_TERMINATED"]
        assert ended.data == {"reason": "agent_ended"}
        assert ended.tenant == "default"
        assert ended.call is not None
        assert ended.call.state is CallState.DISCONNECTED
        assert ended.call.end_reason == "agent_ended"


async def test_who_observes(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene, watching(scene.api) as (far, _):
        observer = await scene.observe("sue")
        joined = (await told_of(far, "OBSERVER_JOINED"))["OBSERVER_JOINED"][0]
        assert joined.call_id == scene.call.call_id
        assert joined.data == {"observer": "sue", "mode": "spy", "whispers_to": []}
        assert joined.call is not None
        assert [one.name for one in joined.call.observers] == ["sue"]
        await observer.whisper("callee")
        whispers = (await told_of(far, "OBSERVER_MODE_CHANGED"))["OBSERVER_MODE_CHANGED"][-1]
        assert whispers.data == {"observer": "sue", "mode": "whisper", "whispers_to": ["callee"]}
        await observer.leave()
        left = (await told_of(far, "OBSERVER_LEFT"))["OBSERVER_LEFT"][0]
        assert (left.data["observer"], left.data["reason"]) == ("sue", "left")
        audit = [
            (one.data["who"], one.data["what"], one.data["result"])
            for one in scene.api.service.hub.since(0)
            if one.type == "AUDIT"
        ]
        assert ("sue", "whisper to callee", "done") in audit


async def test_a_call_that_comes(pbx: Pbx, tmp_path: Path) -> None:
    async with arrived(pbx, tmp_path) as (api, call, _):
        found: list[EventView] = [*api.service.hub.since(0)]
        incoming = [one for one in found if one.type == "INCOMING_CALL"]
        assert [one.call_id for one in incoming] == [call.call_id]
        async with watching(api) as (far, _):
            await call.answer()
            answered = await told_of(far, "CALL_ANSWERED")
            assert answered["CALL_ANSWERED"][0].call_id == call.call_id


async def test_nothing_is_told_twice_or_left_out(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        hub = scene.api.service.hub
        for _ in range(5):
            await scene.call.spy()
            await scene.call.barge()
        await until(lambda: count(scene.api, "CALL_MODE_CHANGED") >= 10, "all are told")
        assert count(scene.api, "CALL_MODE_CHANGED") == 10
        assert [one.seq for one in hub.since(0)] == list(range(1, hub.seq + 1))


def count(api: RunningApi, kind: str) -> int:
    return sum(one.type == kind for one in api.service.hub.since(0))


async def test_a_recording(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene, watching(scene.api) as (far, _):
        recording = await scene.call.record(tmp_path / "call.wav")
        await scene.caller.wait_seconds(0.2)
        await recording.stop()
        ended = (await told_of(far, "RECORDING_ENDED"))["RECORDING_ENDED"][0]
        assert ended.call_id == scene.call.call_id
        assert ended.data["recording_id"] == recording.recording_id
        assert (ended.data["state"], ended.data["ended_by"]) == ("ended", "stopped")


async def test_a_recording_that_ends_with_its_call(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene, watching(scene.api) as (far, _):
        recording = await scene.call.record(tmp_path / "call.wav", coaching=True)
        await scene.caller.wait_seconds(0.2)
        await scene.call.disconnect(cut=True)
        over = (await told_of(far, "CALL_TERMINATED"))["CALL_TERMINATED"][0]
        assert over.call is not None
        assert [one.recording_id for one in over.call.recordings] == [recording.recording_id]
        ended = (await told_of(far, "RECORDING_ENDED"))["RECORDING_ENDED"][0]
        assert ended.call is not None
        assert ended.call.recordings == (), "it goes on no longer"
        assert ended.call.state is CallState.DISCONNECTED
        assert ended.call.revision > over.call.revision
        view = msgspec.convert(ended.data, RecordingView)
        assert view == recording_of(recording, scene.call.call_id)
        assert (view.state, len(view.files), len(view.coaching_files)) == ("ended", 1, 1)
