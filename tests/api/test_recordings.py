"""Recordings, by the API, on a real Asterisk: made, heard, found again after a restart."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import soundfile

from bridge.lab.hearing import TONES, level_dbfs
from bridge.lab.waiting import until
from tests.api.desk import Desk, opened
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk]

NOBODYS = "000000000000-000000"


async def test_a_recording_is_made_paused_heard_and_ended(desk: Desk) -> None:
    call_id, _, _ = await desk.own()
    started = await desk.api.done("POST", f"/calls/{call_id}/recordings", {}, key="supervisor")
    path = f"/recordings/{started['recording_id']}"
    assert (started["state"], started["call_id"]) == ("recording", call_id)
    call = desk.api.client.get_call(call_id)
    assert call is not None
    (recording,) = call.recordings
    await until(lambda: recording.seconds > 1.0, "a second is written")
    shown = await desk.api.done("GET", f"/calls/{call_id}")
    assert [one["recording_id"] for one in shown["recordings"]] == [started["recording_id"]]
    assert (await desk.api.done("PATCH", path, {"paused": True}))["state"] == "paused"
    assert (await desk.api.done("PATCH", path, {"paused": False}))["state"] == "recording"
    ended = await desk.api.done("POST", f"{path}/stop")
    assert (ended["state"], ended["ended_by"]) == ("ended", "stopped")
    assert await desk.api.done("POST", f"{path}/stop") == await desk.api.done("GET", path)
    assert await desk.refused("PATCH", path, {"paused": True}) == "INVALID_STATE"
    assert (await desk.api.done("GET", f"/calls/{call_id}"))["recordings"] == []

    (name,) = ended["files"]
    reply = await desk.api.ask("GET", f"{path}/files/{name}")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "audio/wav")
    pcm, rate = soundfile.read(io.BytesIO(reply.raw), dtype="int16")
    assert (rate, pcm.shape[1]) == (16000, 2)
    half = pcm[4000:12000]
    assert level_dbfs(half[:, 0], rate, TONES["caller"]) > -25
    assert level_dbfs(half[:, 1], rate, TONES["callee"]) > -25
    reply = await desk.api.ask("GET", f"{path}/files/{ended['description']}")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json["call_id"] == call_id


async def test_it_is_found_again_by_who_may_and_by_nobody_else(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, tmp_path) as desk:
        call_id, caller, callee = await desk.own()
        made = await desk.api.done("POST", f"/calls/{call_id}/recordings", {"coaching": True})
        call = desk.api.client.get_call(call_id)
        assert call is not None
        (recording,) = call.recordings
        await until(lambda: recording.seconds > 0.2, "something is written")
        await desk.api.done("DELETE", f"/calls/{call_id}")
        await recording.wait_ended()
        await caller.wait_closed()
        await callee.wait_closed()
    async with opened(pbx, tmp_path) as desk:
        path = f"/recordings/{made['recording_id']}"
        listed = await desk.api.done("GET", "/recordings")
        assert [one["recording_id"] for one in listed["items"]] == [made["recording_id"]]
        by_call = await desk.api.done("GET", "/recordings", query={"call_id": call_id})
        assert by_call == listed
        found = await desk.api.done("GET", path, key="supervisor")
        assert found["state"] == "ended"
        assert (len(found["files"]), len(found["coaching_files"])) == (1, 1)
        assert found["seconds"] > 0.2
        for key in ("foreign-supervisor", "foreign-admin"):
            assert (await desk.api.done("GET", "/recordings", key=key))["items"] == []
            for rest in ("", f"/files/{found['files'][0]}"):
                assert await desk.refused("GET", path + rest, key=key) == "NOT_FOUND"
            assert await desk.refused("POST", f"{path}/stop", key=key) == "NOT_FOUND"
        assert await desk.refused("GET", path, key="observer") == "FORBIDDEN"


async def test_no_path_of_a_client_reaches_a_file(desk: Desk, tmp_path: Path) -> None:
    call_id, _, _ = await desk.own()
    made = await desk.api.done("POST", f"/calls/{call_id}/recordings", {})
    path = f"/recordings/{made['recording_id']}"
    (tmp_path / "secret.wav").write_bytes(b"secret")
    for name in ("scope.json", "..%2F..%2Fsecret.wav", "%2Fetc%2Fpasswd", "..", "x.wav"):
        reply = await desk.api.ask("GET", f"{path}/files/{name}")
        assert reply.status == 404, name
    for recording_id in (NOBODYS, "..", f"{call_id}-..%2F..%2Fx", call_id, f"{call_id}-zzzzzz"):
        reply = await desk.api.ask("GET", f"/recordings/{recording_id}")
        assert reply.status == 404, recording_id
    listed = await desk.api.done("GET", "/recordings", query={"call_id": "../recordings"})
    assert listed["items"] == []


async def test_what_is_refused(desk: Desk) -> None:
    call_id, _ = await desk.incoming()
    path = f"/calls/{call_id}/recordings"
    assert await desk.refused("POST", path, {}) == "INVALID_STATE"
    assert await desk.refused("POST", path, {}, key="observer") == "FORBIDDEN"
    await desk.api.done("POST", f"/calls/{call_id}/answer")
    both = {"announce": "sound:beep", "announce_audio": "AAAA"}
    assert await desk.refused("POST", path, both) == "BAD_ARGUMENT"
    folder = desk.api.service.views.archive.folder
    assert list(folder.iterdir()) == [], "what was refused leaves nothing"
    (folder / call_id).write_text("no folder")
    assert await desk.refused("POST", path, {}) == "BAD_CONFIGURATION"
