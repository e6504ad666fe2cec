"""Observers whose client has gone: they leave, and the audit says why."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.api.speech import Speech
from bridge.lab.fake_ari import FakeAri
from bridge.lab.phones import Codec
from bridge.lab.waiting import until
from tests.api.calling import called
from tests.api.desk import opened
from tests.support.daemon import RunningApi, running_api
from tests.support.pbx import Pbx
from tests.support.sockets import audio_path, far_end

SECONDS = 0.1
IN_TIME = 1.0
"""Where a client has to do something before nobody attends any more."""


class LongWinded(Speech):
    """What it speaks is longer than anybody stays whom nobody attends to."""

    async def spoken(self, text: str, *, voice: str = "") -> bytes:
        del text, voice
        return bytes(round(4 * SECONDS * 16000) * 2)


@pytest.fixture
async def api(fake: FakeAri, tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(fake, tmp_path, absent_seconds=SECONDS) as running:
        yield running


def names(api: RunningApi, call_id: str) -> list[str]:
    return [one.name for one in api.service.views.observers(call_id)]


def reasons(api: RunningApi) -> list[tuple[str, str, str]]:
    return [
        (one.who, one.what, one.by)
        for one in api.client.audit.records
        if one.what.startswith("dismissed")
    ]


async def test_who_opens_no_audio_leaves(api: RunningApi, fake: FakeAri) -> None:
    call = await called(api, fake)
    await call.answer()
    await api.done("POST", f"/calls/{call.call_id}/observers", {"name": "boss"})
    await until(lambda: not names(api, call.call_id), "he leaves")
    why = "dismissed: nobody has had his audio open for 0.1 s"
    assert reasons(api) == [("boss", why, "callbridge")]
    told = [one.data["what"] for one in api.service.hub.since(0) if one.type == "AUDIT"]
    assert why in told
    assert call in api.client.calls


async def test_he_stays_while_his_audio_is_open_and_no_longer(
    api: RunningApi, fake: FakeAri
) -> None:
    call = await called(api, fake)
    await call.answer()
    path = f"/calls/{call.call_id}/observers"
    api.service.views.attendance.seconds = IN_TIME
    await api.done("POST", path, {"name": "heard"})
    query = {"as": "heard", "hear": "0"}
    async with far_end(api, audio_path(call.call_id), query=query) as far:
        await far.ready()
        async with far_end(api, audio_path(call.call_id), query=query) as second:
            await second.ready()
        api.service.views.attendance.seconds = SECONDS
        await api.done("POST", path, {"name": "alone"})
        await until(lambda: names(api, call.call_id) == ["heard"], "who is alone leaves")
    await until(lambda: not names(api, call.call_id), "he leaves when the last socket is closed")
    assert [who for who, _what, _by in reasons(api)] == ["alone", "heard"]


async def test_nothing_is_left_of_those_who_leave_by_themselves(
    api: RunningApi, fake: FakeAri
) -> None:
    call = await called(api, fake)
    await call.answer()
    path = f"/calls/{call.call_id}/observers"
    api.service.views.attendance.seconds = IN_TIME
    await api.done("POST", path, {"name": "first"})
    await api.done("DELETE", f"{path}/first")
    api.service.views.attendance.seconds = SECONDS
    await api.done("POST", path, {"name": "second"})
    await until(lambda: len(reasons(api)) == 1, "the second is dismissed")
    assert [who for who, _what, _by in reasons(api)] == ["second"]
    assert not api.service.views.attendance.expected


async def test_who_speaks_a_text_stays_until_it_is_said(fake: FakeAri, tmp_path: Path) -> None:
    speech = LongWinded([sys.executable], 16000)
    async with running_api(fake, tmp_path, absent_seconds=SECONDS, speech=speech) as api:
        call = await called(api, fake)
        await call.answer()
        view = await api.done("POST", f"/calls/{call.call_id}/say", {"text": "x"})
        assert (view["observers"], reasons(api)) == ([], [])


@pytest.mark.asterisk
@pytest.mark.phones
async def test_who_is_on_a_phone_stays(pbx: Pbx, tmp_path: Path) -> None:
    async with opened(pbx, tmp_path, absent_seconds=SECONDS) as desk:
        talk = await desk.floor.foreign_call()
        path = f"/calls/{talk.call_id}/observers"
        await desk.pbx.phone("1005", codec=Codec.L16_16000)
        await desk.api.done("POST", path, {"name": "boss", "phone": "1005"})
        await desk.api.done("POST", path, {"name": "alone"})
        await until(lambda: names(desk.api, talk.call_id) == ["boss"], "who is alone leaves")
        assert "boss" not in {one.name for one in desk.api.service.views.attendance.expected}
        await talk.over()
