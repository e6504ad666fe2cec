"""Observers, recordings, music and live calls by URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge import (
    ActiveCall,
    AudioMode,
    Client,
    LeftReason,
    Recording,
    RecordingState,
    errors,
    events,
)
from bridge.api.sockets.common import Link
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, tone
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from bridge.protocol.frames import ClientMessage
from tests.support.conference import AGENT, HZ, RATE, Conference, everyone
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, DirectCall, mode_of
from tests.support.remote import RemotePbx

pytestmark = pytest.mark.asterisk

SPEECH = tone(HZ[AGENT], SENT_DBFS, 60.0, RATE).astype("<i2").tobytes()


@pytest.fixture(name="direct")
async def two_who_talk(pbx: RemotePbx) -> DirectCall:
    """Two who talk, put together by a program by URL, which listens."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT, sample_rate=RATE)
    caller = await pbx.keep(
        DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE, caller_number="1999")
    )
    direct = DirectCall(pbx, await program.next_call(), caller, callee_tone=CALLEE_TONE)
    await direct.call.answer()
    await direct.connect()
    await direct.call.spy()
    return direct


@asynccontextmanager
async def supervisor(pbx: RemotePbx, key: str = "admin") -> AsyncIterator[Client]:
    """Be somebody else's client, who has no calls."""
    api = await pbx.daemon()
    async with Client(url=api.url, key=api.keys[key]) as client:
        yield client


def people(pbx: RemotePbx, direct: DirectCall) -> Conference:
    assert direct.callee is not None
    return Conference.heard_only(pbx, {"caller": direct.caller, "callee": direct.callee})


async def next_frame(stream: AudioStream) -> bytes:
    async with asyncio.timeout(2):
        return await anext(stream)


async def test_an_observer_whispers_and_leaves(pbx: RemotePbx, direct: DirectCall) -> None:
    both = everyone("caller", "callee")
    changes: list[str] = []
    async with supervisor(pbx) as client:
        observer = await client.observe(direct.call.call_id, "coach")
        observer.on(events.OBSERVER_MODE_CHANGED, lambda: changes.append("mode"))
        observer.on(events.OBSERVER_LEFT, lambda: changes.append("left"))
        assert (observer.name, observer.call_id) == ("coach", direct.call.call_id)
        assert observer.parties == {"caller", "callee"}
        assert observer.call is not None
        assert len(await next_frame(observer.audio_stream())) == RATE // 50 * 2
        await people(pbx, direct).parties_hear(both)
        await observer.whisper("callee")
        await observer.send_audio(SPEECH)
        await people(pbx, direct).parties_hear(both | {("callee", AGENT)})
        assert observer.get_send_audio_buffer_size() > 0
        await observer.barge(cut=True)
        await observer.send_audio(SPEECH)
        heard = both | {("callee", AGENT), ("caller", AGENT)}
        await people(pbx, direct).parties_hear(heard)
        with pytest.raises(errors.BadArgumentError):
            await observer.whisper("nobody")
        await observer.leave(cut=True)
        assert observer.left is LeftReason.LEFT
        with pytest.raises(errors.CallClosedError):
            await observer.barge()
        await until(lambda: changes == ["mode", "mode", "left"], "each change was told, once")
    await people(pbx, direct).parties_hear(both)
    await direct.call.disconnect()


async def test_who_leaves_takes_along_whom_he_has_placed_and_nobody_else(
    pbx: RemotePbx, direct: DirectCall
) -> None:
    api = await pbx.daemon()

    def there() -> list[str]:
        return [one.name for one in api.service.views.observers(direct.call.call_id)]

    async with supervisor(pbx) as client:
        coach = await client.observe(direct.call.call_id, "coach")
        async with supervisor(pbx) as other:
            await other.observe(direct.call.call_id, "ear")
            assert [one.name for one in other.observers(direct.call.call_id)] == ["coach", "ear"]
        await until(lambda: there() == ["coach"], "his own alone goes with him")
        await coach.barge()
    await until(lambda: not there(), "all are gone")
    await direct.call.disconnect()


async def test_who_gives_back_is_heard_to_the_end(
    pbx: RemotePbx, direct: DirectCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(link: Link) -> ClientMessage | bytes:
        message = await receive(link)
        if isinstance(message, bytes):
            await asyncio.sleep(0.1)
        return message

    receive = Link.receive
    async with supervisor(pbx) as client:
        boss = await client.observe(direct.call.call_id, "boss")
        await boss.take_over("callee")
        monkeypatch.setattr(Link, "receive", late)
        await boss.send_audio(SPEECH[: RATE // 5 * 2])
        await boss.give_back()
        assert boss.mode is AudioMode.SPY
        await until(lambda: not boss.get_send_audio_buffer_size(), "all has come")
        assert boss.dropped_audio.total == 0
    await direct.call.disconnect()


async def test_who_watches_hears_of_calls(pbx: RemotePbx, direct: DirectCall) -> None:
    began: list[str] = []
    ended: list[str] = []
    api = await pbx.daemon()
    client = Client(url=api.url, key=api.keys["supervisor"])
    client.on(events.LIVE_CALL_BEGAN, lambda call: began.append(call.call_id))
    client.on(events.LIVE_CALL_ENDED, lambda call: ended.append(call.call_id))
    async with client:
        await until(lambda: began == [direct.call.call_id], "it is told of what is there")
        [live] = await client.live_calls()
        assert live.call_id == direct.call.call_id
        assert {party.role for party in live.parties} == {"caller", "callee"}
        assert live.own
        report = await client.audibility(live)
        assert report.ok, str(report)
        with pytest.raises(errors.CallNotFoundError):
            await client.observe("7777")
        await client.hang_up(live)
        await direct.caller.wait_closed()
        await until(lambda: ended == [live.call_id], "its end is told")


async def test_who_may_not_is_told_so(pbx: RemotePbx, direct: DirectCall) -> None:
    async with supervisor(pbx, "observer") as client:
        observer = await client.observe(direct.call.call_id, "ear")
        assert len(await next_frame(observer.audio_stream())) == RATE // 50 * 2
        with pytest.raises(errors.ForbiddenError):
            await observer.barge()
        assert observer.mode is AudioMode.SPY
        with pytest.raises(errors.ForbiddenError):
            await client.hang_up(direct.call.call_id)
    api = await pbx.daemon()
    with pytest.raises(errors.UnauthenticatedError):
        await Client(url=api.url, key="wrong").connect()
    await direct.call.disconnect()


async def test_a_recording_is_fetched(pbx: RemotePbx, direct: DirectCall, tmp_path: Path) -> None:
    api = await pbx.daemon()
    told: list[object] = []
    direct.call.on(events.RECORDING_ENDED, lambda _call, one: told.append(one))
    recording = await direct.call.record(tmp_path)
    assert list(direct.call.recordings) == [recording]
    assert state(recording) is RecordingState.RECORDING
    await recording.pause()
    assert state(recording) is RecordingState.PAUSED
    await recording.resume()
    await direct.caller.wait_frames(len(direct.caller.frames) + 60)
    await recording.stop()
    assert await recording.wait_ended() is RecordingState.ENDED
    await until(lambda: told == [recording], "its end is told")
    assert not any(direct.call.recordings)
    [name] = recording.files
    assert not name.is_absolute()
    # The program's own key may record, and may not hear what was recorded.
    with pytest.raises(errors.ForbiddenError):
        await recording.fetch()
    assert names_in(tmp_path) == []
    reply = await api.ask("GET", f"/recordings/{recording_id(recording)}/files/{name}")
    assert reply.raw[:4] == b"RIFF"
    with pytest.raises(errors.ConfigurationError, match="keep_days"):
        await direct.call.record(tmp_path, keep_days=1)
    await direct.call.disconnect()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def state(recording: Recording) -> RecordingState:
    return recording.state


def recording_id(recording: object) -> str:
    return str(getattr(recording, "recording_id", ""))


async def test_full_buffer_takes_nothing(pbx: RemotePbx) -> None:
    program = await pbx.program(sample_rate=RATE, send_buffer_seconds=2.0)
    caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))
    call: ActiveCall = await program.next_call()
    await call.answer()
    second = SPEECH[: RATE * 2]
    await call.send_audio(second)
    with pytest.raises(errors.BufferFullError):
        await call.send_audio(second * 2)
    assert 0 < call.get_send_audio_buffer_size() <= len(second)
    call.clear_send_audio_buffer()
    await until(lambda: call.get_send_audio_buffer_size() == 0, "it is cleared")
    await until(lambda: call.dropped_audio.cleared > 0, "what was dropped is counted")
    await call.disconnect()
    await caller.wait_closed()


async def test_modes_take_their_place_in_the_audio(direct: DirectCall) -> None:
    assert direct.callee is not None
    await direct.call.whisper("callee")
    direct.callee.clear()
    await direct.call.send_audio(tone(TONES["agent"], SENT_DBFS, 0.4, RATE).astype("<i2").tobytes())
    await direct.call.spy()
    assert mode_of(direct.call) == (AudioMode.SPY, set())
    await until(lambda: direct.call.get_send_audio_buffer_size() == 0, "it was all played")
    assert direct.call.dropped_audio.total == 0
    await direct.call.disconnect()
