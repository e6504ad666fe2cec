"""Observers, by the API, on a real Asterisk: who hears them, and who does not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bridge.api.speech import Speech
from bridge.lab.ears import DirectParty
from bridge.lab.hearing import tone
from bridge.lab.waiting import until
from tests.api.desk import DIRECT, Desk, opened
from tests.integration.supervision.floor import BOSS_TONE, BOTH_HEAR, COACH_HZ, will_hear
from tests.support.pbx import SENT_DBFS, Pbx

pytestmark = [pytest.mark.asterisk]


async def coach_says(desk: Desk, call_id: str, name: str) -> None:
    """Let an observer say his tone for ten seconds, or until it is cut."""
    observer = desk.api.service.views.observer(call_id, name)
    assert observer is not None
    await observer.send_audio(tone(COACH_HZ, SENT_DBFS, 10.0, 16000).astype("<i2").tobytes())


async def test_modes_on_a_foreign_call_are_heard_and_not_heard(desk: Desk) -> None:
    talk = await desk.floor.foreign_call()
    ears, path = talk.parties, f"/calls/{talk.call_id}/observers"
    observer = await desk.api.done("POST", path, {"name": "coach"}, key="supervisor")
    assert observer == {
        "name": "coach",
        "call_id": talk.call_id,
        "mode": "spy",
        "whispers_to": [],
        "phone": "",
        "by": "the-supervisor",
        "left": None,
        "revision": observer["revision"],
    }
    await coach_says(desk, talk.call_id, "coach")
    await will_hear(ears, BOTH_HEAR)

    mode = f"{path}/coach/mode"
    view = await desk.api.done("PUT", mode, {"mode": "whisper", "cut": True})
    assert (view["mode"], view["whispers_to"]) == ("whisper", ["callee"])
    assert view["revision"] > observer["revision"]
    await coach_says(desk, talk.call_id, "coach")
    await will_hear(ears, {"caller": {"callee"}, "callee": {"caller", "observer"}})

    view = await desk.api.done("PUT", mode, {"mode": "whisper", "to": ["caller"], "cut": True})
    assert view["whispers_to"] == ["caller"]
    await coach_says(desk, talk.call_id, "coach")
    await will_hear(ears, {"caller": {"callee", "observer"}, "callee": {"caller"}})

    view = await desk.api.done("PUT", mode, {"mode": "barge", "cut": True})
    await coach_says(desk, talk.call_id, "coach")
    await will_hear(ears, {"caller": {"callee", "observer"}, "callee": {"caller", "observer"}})

    await desk.api.done("PUT", mode, {"mode": "spy", "cut": True})
    await coach_says(desk, talk.call_id, "coach")
    await will_hear(ears, BOTH_HEAR)

    assert (await desk.api.done("GET", f"{path}/coach"))["mode"] == "spy"
    assert [o["name"] for o in (await desk.api.done("GET", path))["items"]] == ["coach"]
    shown = await desk.api.done("GET", f"/calls/{talk.call_id}")
    assert [o["by"] for o in shown["observers"]] == ["the-supervisor"]
    for method, rest in (("POST", "/takeover"), ("DELETE", "/takeover")):
        assert await desk.refused(method, f"{path}/coach{rest}") in {
            "NOT_SUPPORTED",
            "INVALID_STATE",
        }
    await desk.api.done("DELETE", f"{path}/coach")
    assert await desk.refused("DELETE", f"{path}/coach") == "NOT_FOUND"
    await talk.over()


async def test_who_may_do_what(desk: Desk) -> None:
    talk = await desk.floor.foreign_call()
    path = f"/calls/{talk.call_id}/observers"
    assert await desk.refused("POST", path, {"mode": "barge"}, key="observer") == "FORBIDDEN"
    mine = await desk.api.done("POST", path, {"name": "mine"}, key="observer")
    assert mine["by"] == "the-observer"
    await desk.api.done("POST", path, {"name": "boss"}, key="supervisor")
    reply = await desk.refused("PUT", f"{path}/mine/mode", {"mode": "whisper"}, key="observer")
    assert reply == "FORBIDDEN"
    assert await desk.refused("DELETE", f"{path}/boss", key="observer") == "FORBIDDEN"
    assert await desk.refused("GET", path, key="foreign-admin") == "CALL_NOT_FOUND"
    assert await desk.refused("POST", path, {}, key="foreign-admin") == "CALL_NOT_FOUND"
    await desk.api.done("DELETE", f"{path}/mine", key="observer")
    assert await desk.refused("POST", path, {"name": "boss"}) == "BAD_ARGUMENT"
    assert await desk.refused("POST", path, {"name": "callee"}) == "BAD_ARGUMENT"
    assert await desk.refused("POST", path, {"phone": "PJSIP/1@trunk"}) == "DIAL_DENIED"
    whispers = {"mode": "whisper", "to": ["nobody"], "name": "late"}
    assert await desk.refused("POST", path, whispers) == "BAD_ARGUMENT"
    names = [one["name"] for one in (await desk.api.done("GET", path))["items"]]
    assert names == ["boss"], "who cannot be heard as wanted does not stay"
    await talk.over()


async def test_a_person_on_a_phone_takes_over_and_gives_back(desk: Desk) -> None:
    call_id, caller, callee = await desk.own()
    await desk.api.done("PUT", f"/calls/{call_id}/mode", {"mode": "spy"})
    path = f"/calls/{call_id}/observers"
    observer, boss = await desk.picked_up(
        desk.api.done("POST", path, {"name": "boss", "phone": DIRECT}), "leg.boss", BOSS_TONE
    )
    assert observer["phone"] == "WebSocket/INCOMING/c(slin16)"
    assert desk.api.service.dial_rules.live("default") == 1
    ears: dict[str, DirectParty] = {"caller": caller, "callee": callee, "supervisor": boss}
    await will_hear(ears, {**BOTH_HEAR, "supervisor": {"caller", "callee"}})
    await desk.api.done("POST", f"{path}/boss/takeover", {"replaced": "callee"})
    view = await desk.api.done("GET", f"/calls/{call_id}")
    assert view["taken_over_by"] == "boss"
    await will_hear(
        ears,
        {
            "caller": {"supervisor"},
            "callee": {"caller", "supervisor"},
            "supervisor": {"caller"},
        },
    )
    await desk.api.done("DELETE", f"{path}/boss/takeover")
    await will_hear(ears, {**BOTH_HEAR, "supervisor": {"caller", "callee"}})
    await desk.api.done("DELETE", f"{path}/boss")
    await boss.wait_closed()
    await until(lambda: desk.api.service.dial_rules.live("default") == 0, "no leg counts")


async def test_from_call_to_call(desk: Desk) -> None:
    first, second = await desk.floor.foreign_call(), await desk.floor.foreign_call()
    observer = await desk.api.done("POST", f"/calls/{first.call_id}/observers", {"name": "boss"})
    there = f"/calls/{second.call_id}/observers/boss"
    moved = await desk.api.done("POST", f"/calls/{first.call_id}/observers/boss/move", {})
    assert (observer["call_id"], moved["call_id"]) == (first.call_id, second.call_id)
    assert await desk.refused("GET", f"/calls/{first.call_id}/observers/boss") == "NOT_FOUND"
    moved = await desk.api.done("POST", f"{there}/move", {"to": first.caller.channel_id})
    assert moved["call_id"] == first.call_id
    back = f"/calls/{first.call_id}/observers/boss/move"
    assert await desk.refused("POST", back, {"to": "5555"}) == "CALL_NOT_FOUND"
    assert await desk.refused("POST", back, {"to": "1999"}) == "CALL_AMBIGUOUS"
    await second.over()
    await until(lambda: len(desk.api.client.known_calls) == 1, "one call is left")
    assert await desk.refused("POST", back, {}) == "CALL_NOT_FOUND"
    await first.over()


SPEAKS = f"""
import math, struct, sys
text = sys.stdin.read()
sys.stdout.buffer.write(b"RIFF" + struct.pack("<I", 0x7fffffff) + b"WAVEfmt ")
sys.stdout.buffer.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16))
sys.stdout.buffer.write(b"data" + struct.pack("<I", 0x7fffffff))
for i in range(8000 * len(text) // 4):
    sample = round(5800 * math.sin(2 * math.pi * {COACH_HZ} * i / 8000))
    sys.stdout.buffer.write(struct.pack("<h", sample))
"""


async def test_a_text_is_spoken_and_the_speaker_leaves(pbx: Pbx, tmp_path: Path) -> None:
    speech = Speech([sys.executable, "-c", SPEAKS], 16000)
    async with opened(pbx, tmp_path, speech=speech) as desk:
        talk = await desk.floor.foreign_call()
        path = f"/calls/{talk.call_id}/say"
        body = {"text": "12345678", "to": ["callee"]}
        saying = asyncio.create_task(desk.api.done("POST", path, body, key="supervisor"))
        await will_hear(talk.parties, {"caller": {"callee"}, "callee": {"caller", "observer"}})
        assert (await saying)["observers"] == []
        await will_hear(talk.parties, BOTH_HEAR)
        assert await desk.refused("POST", path, {"text": "hi"}, key="observer") == "FORBIDDEN"
        assert await desk.refused("POST", path, {"text": ""}) == "BAD_ARGUMENT"
        reply = await desk.refused("POST", path, {"text": "hi", "to": ["nobody"]})
        assert reply == "BAD_ARGUMENT"
        assert (await desk.api.done("GET", f"/calls/{talk.call_id}"))["observers"] == []
        await talk.over()


async def test_without_a_command_nothing_is_spoken(desk: Desk) -> None:
    talk = await desk.floor.foreign_call()
    path = f"/calls/{talk.call_id}/say"
    assert await desk.refused("POST", path, {"text": "hi"}) == "NOT_SUPPORTED"
    await talk.over()
