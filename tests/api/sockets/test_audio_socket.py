"""The audio socket on a real Asterisk: who hears whom, in which mode, and what gives way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from bridge.lab.hearing import TONES, pcm_from_bytes
from bridge.lab.hearing import gaps as gaps_of
from bridge.lab.waiting import until
from bridge.model.errors import CommandTimeoutError, ErrorCode
from bridge.protocol.frames import AudioProgress, ClearAudio
from bridge.runtime.speaking import Speaking
from bridge.session.effects import TurnVoice
from tests.api.sockets.scene import (
    RATE,
    SILENCE,
    Scene,
    arrived,
    connected,
    heard,
    level,
    saying,
    seconds_of,
)
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, Pbx
from tests.support.sockets import Ended, audio_path, far_end

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

LOUD = SENT_DBFS - 6
FEW = 3
"""Frames that a machine with much else to do may lose; who is disturbed loses dozens."""


async def test_what_the_agent_says_is_heard_and_he_hears_the_parties(
    pbx: Pbx, tmp_path: Path
) -> None:
    async with connected(pbx, tmp_path) as scene:
        path = audio_path(scene.call.call_id)
        async with (
            far_end(scene.api, path, query={"as": "ai"}) as far,
            far_end(scene.api, path, query={"as": "ai", "speaker": "caller"}) as near,
        ):
            ready = await far.ready()
            assert (ready.sample_rate, ready.position) == (RATE, 0)
            assert ready.send_buffer_seconds == 120.0
            await near.ready()
            await far.ws.send_bytes(saying("agent", 0.3))
            mix, alone = await asyncio.gather(far.hear(0.4, RATE), near.hear(0.4, RATE))
            await scene.spoken()
            await until(lambda: seconds_of(scene.callee, "agent") > 0.28, "the callee hears it")
            await until(lambda: seconds_of(scene.caller, "agent") > 0.28, "the caller hears it")
        assert seconds_of(scene.caller, "agent") < 0.34
        assert {len(frame) for frame in far.audio} == {RATE // 50 * 2}, "frames of 20 ms"
        assert min(level(mix, "caller"), level(mix, "callee")) > LOUD
        assert level(mix, "agent") < SILENCE, "nobody hears himself"
        assert level(alone, "caller") > LOUD
        assert level(alone, "callee") < SILENCE


async def test_audio_is_heard_in_the_mode_that_it_was_sent_in(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path, silent=True) as scene:
        call, positions = scene.call, scene.api.service.audio_positions
        async with far_end(scene.api, audio_path(call.call_id), query={"as": "ai"}) as far:
            await far.ready()
            scene.clear()
            said = saying("agent", 0.4)
            waiting = asyncio.create_task(positions.wait(call.call_id, "ai", len(said)))
            await asyncio.sleep(0)
            # The command is there first: it waits for the audio that was sent before it.
            await far.ws.send_bytes(said)
            await waiting
            await call.whisper("callee")
            await far.ws.send_bytes(saying("supervisor", 0.4))
            await positions.wait(call.call_id, "ai", 2 * len(said))
            await call.spy()
            await far.ws.send_bytes(saying("observer", 0.4))
            await positions.wait(call.call_id, "ai", 3 * len(said))
            await until(lambda: seconds_of(scene.callee, "supervisor") > 0.1, "he whispers")
            before = seconds_of(scene.caller, "agent"), seconds_of(scene.caller, "supervisor")
            scene.caller.clear()
            await until(lambda: seconds_of(scene.callee, "supervisor") > 0.38, "the whisper ends")
            await scene.callee.wait_seconds(0.5)
            progress = await far.progress()
            while not progress.dropped["silent"]:
                progress = await far.progress()
        agent, whispered = before
        assert agent == pytest.approx(0.4, abs=0.03)
        assert whispered == 0.0
        assert seconds_of(scene.callee, "agent") == pytest.approx(0.4, abs=0.03)
        assert seconds_of(scene.callee, "supervisor") == pytest.approx(0.4, abs=0.03)
        assert heard(scene.caller, "supervisor") < SILENCE
        assert heard(scene.caller, "observer") < SILENCE
        # The edges of what was whispered to him have something of every tone.
        assert seconds_of(scene.callee, "observer") == 0.0
        assert progress == AudioProgress(
            received=3 * len(said),
            buffered=0,
            dropped={"silent": len(said), "cleared": 0, "refused": 0},
        )


async def test_what_follows_at_once_on_what_a_command_waits_for_is_said_after_it(
    pbx: Pbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, free = Speaking.turn, asyncio.Event()

    async def turn_late(self: Speaking, wanted: TurnVoice) -> None:
        await free.wait()
        await turn(self, wanted)

    monkeypatch.setattr(Speaking, "turn", turn_late)
    async with connected(pbx, tmp_path) as scene:
        call, place = scene.call, scene.api.service.audio_positions.place(scene.call)
        before, after = saying("agent", 0.4), saying("supervisor", 0.5)
        async with far_end(scene.api, audio_path(call.call_id), query={"as": "ai"}) as far:
            await far.ready()
            # An odd one means the whole sample.
            body = {"mode": "spy", "after_audio": len(before) - 1}
            changing = asyncio.create_task(
                scene.api.done("PUT", f"/calls/{call.call_id}/mode", body)
            )
            await until(lambda: place.before(len(before) + 2) == len(before), "it waits")
            await far.ws.send_bytes(before + after)
            await until(lambda: not place.before(2), "it is about to take its place")
            heard_before = await far.progress()
            while heard_before.received < len(before):
                heard_before = await far.progress()
            # As long as it has none, however long that is.
            assert (await far.progress()).received == len(before)
            free.set()
            await changing
            progress = await far.progress()
            while progress.received < len(before + after):
                progress = await far.progress()
        assert progress.dropped["silent"] == len(after)


async def test_an_observer_over_the_network(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path, silent=True) as scene:
        observer = await scene.observe("sue")
        path = audio_path(scene.call.call_id)
        async with far_end(scene.api, path, query={"as": "sue"}) as far:
            await far.ready()
            scene.clear()
            await far.ws.send_bytes(saying("observer", 0.3))
            progress = await far.progress()
            assert progress.dropped["silent"] == progress.received
            await observer.whisper("callee")
            await far.ws.send_bytes(saying("supervisor", 0.3))
            await until(lambda: seconds_of(scene.callee, "supervisor") > 0.28, "he is whispered to")
            assert heard(scene.caller, "supervisor") < SILENCE
            assert heard(scene.caller, "observer") < SILENCE
            # The edges of what was whispered to him have something of every tone.
            assert seconds_of(scene.callee, "observer") == 0.0
            scene.caller.voice, scene.callee.voice = CALLER_TONE, CALLEE_TONE
            await until(lambda: heard(scene.callee, "caller") > LOUD, "the caller speaks")
            await until(lambda: heard(scene.caller, "callee") > LOUD, "the callee speaks")
            # What he has not read of the silence before comes first.
            async with asyncio.timeout(10):
                mix = await far.hear(0.4, RATE)
                while min(level(mix, "caller"), level(mix, "callee")) < LOUD:
                    mix = await far.hear(0.4, RATE)
            await observer.leave()
            end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (1000, ErrorCode.CALL_CLOSED)


@pytest.mark.parametrize("room", [120.0, 0.5], ids=["room for all", "no room for most"])
async def test_what_is_cleared_is_not_heard(pbx: Pbx, tmp_path: Path, room: float) -> None:
    async with connected(pbx, tmp_path, send_buffer_seconds=room) as scene:
        async with far_end(scene.api, audio_path(scene.call.call_id), query={"as": "ai"}) as far:
            await far.ready()
            scene.clear()
            said = saying("agent", 5.0)
            for start in range(0, len(said), 32_000):
                await far.ws.send_bytes(said[start : start + 32_000])
            await until(lambda: seconds_of(scene.caller, "agent") > 0.1, "he speaks")
            await far.say(ClearAudio())
            progress = await far.progress()
            while not progress.dropped["cleared"] or progress.buffered:
                progress = await far.progress()
            await scene.caller.wait_seconds(0.3)
            spoken = seconds_of(scene.caller, "agent")
            await scene.caller.wait_seconds(0.3)
        assert spoken < 2.0
        assert seconds_of(scene.caller, "agent") == spoken
        assert progress.received == len(said)
        assert progress.dropped["cleared"] > 2 * RATE * 2


async def test_who_sends_too_much_waits_and_nothing_is_lost(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path, send_buffer_seconds=0.5) as scene:
        async with far_end(
            scene.api, audio_path(scene.call.call_id), query={"as": "ai", "hear": "0"}
        ) as far:
            ready = await far.ready()
            scene.clear()
            said = saying("agent", 2.0)
            await far.ws.send_bytes(said)
            most, received = 0, 0
            while received < len(said):
                progress = await far.progress()
                received = progress.received
                most = max(most, progress.buffered)
            await scene.spoken()
            await until(lambda: seconds_of(scene.caller, "agent") > 1.95, "all of it is heard")
        assert most <= (ready.send_buffer_seconds + 0.4) * RATE * 2
        assert not far.audio, "who does not want to hear does not"
        lost = gaps_of(scene.caller.pcm(), RATE, TONES["callee"])
        assert len(lost) <= FEW, "and the parties lose nothing"


async def test_a_slow_listener_loses_the_oldest_and_nobody_else_does(
    pbx: Pbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.api.sockets.audio.KEPT_SECONDS", 0.2)
    monkeypatch.setattr("bridge.api.sockets.audio.HELD_BYTES", 2048)
    monkeypatch.setattr("bridge.api.sockets.audio.SEND_BYTES", 2048)
    async with connected(pbx, tmp_path) as scene:
        path = audio_path(scene.call.call_id)
        async with (
            far_end(scene.api, path, query={"as": "ai"}) as slow,
            far_end(scene.api, path, query={"as": "ai"}) as other,
        ):
            await slow.ready()
            await other.ready()
            slow.stop_reading(16_384)
            scene.clear()
            await other.hear(0.2, RATE)
            whole = await other.hear(3.0, RATE)
            slow.resume_reading()
            progress = await slow.progress()
            while progress.lost_frames < 20:
                progress = await slow.progress()
            latest = await slow.hear(0.5, RATE)
        assert scene.api.service.audio_positions.lost_frames >= progress.lost_frames
        assert level(latest, "caller") > LOUD
        assert len(whole) == 3 * RATE * 2
        assert len(gaps_of(pcm_from_bytes(whole), RATE, TONES["caller"])) <= FEW
        assert len(gaps_of(scene.caller.pcm(), RATE, TONES["callee"])) <= FEW


async def test_one_speaks_for_a_participant_who_came_last(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        path = audio_path(scene.call.call_id)
        async with far_end(scene.api, path, query={"as": "ai"}) as first:
            await first.ready()
            said = saying("agent", 0.1)
            await first.ws.send_bytes(said)
            await scene.api.service.audio_positions.wait(scene.call.call_id, "ai", len(said))
            async with far_end(scene.api, path, query={"as": "ai"}) as second:
                assert (await second.ready()).position == len(said)
                await second.hear(0.1, RATE)
                # Who only listens is no reason to close anybody.
                assert isinstance(await first.next(), AudioProgress)
                await second.ws.send_bytes(saying("supervisor", 0.1))
                end = await first.ended()
                assert (end.code, end.cut_off and end.cut_off.code) == (
                    4009,
                    ErrorCode.INVALID_STATE,
                )
                await until(lambda: seconds_of(scene.caller, "supervisor") > 0.08, "he is heard")


async def test_before_it_is_answered_the_socket_waits(pbx: Pbx, tmp_path: Path) -> None:
    async with arrived(pbx, tmp_path) as (api, call, caller):
        async with far_end(api, audio_path(call.call_id), query={"as": "ai"}) as far:
            caller.clear()
            await far.ws.send_bytes(saying("agent", 0.2))
            await call.answer()
            await far.ready()
            await until(lambda: seconds_of(caller, "agent") > 0.18, "what was sent early is heard")
            await call.disconnect()
            end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (1000, ErrorCode.CALL_CLOSED)


async def test_who_pings_is_answered_though_nothing_can_be_said(pbx: Pbx, tmp_path: Path) -> None:
    query = {"as": "ai", "hear": "0"}
    async with (
        arrived(pbx, tmp_path, send_buffer_seconds=0.5) as (api, call, _),
        far_end(api, audio_path(call.call_id), query=query, autoping=False) as far,
    ):
        await far.pong()
        await call.answer()
        await far.ready()
        said = saying("agent", 2.0)
        await far.ws.send_bytes(said)
        await far.pong()
        assert (await far.progress()).received < len(said), "there is no room for all of it"


async def test_nothing_is_left_when_either_end_leaves(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        ears = scene.call._agent.ears
        before = len(asyncio.all_tasks())
        for abrupt in (False, True):
            async with far_end(
                scene.api, audio_path(scene.call.call_id), query={"as": "ai"}
            ) as far:
                await far.ready()
                await far.ws.send_bytes(saying("agent", 0.1))
                assert ears.subscriptions == 1
                if abrupt:
                    far.vanish()
            await until(lambda: not ears.subscriptions, "nobody hears any more")
            await until(lambda: not scene.api.service.hub.enders, "the socket is forgotten")
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


async def test_who_hears_somebody_alone_hears_him_to_his_end(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        path, alone = audio_path(scene.call.call_id), {"as": "ai", "speaker": "callee"}
        async with (
            far_end(scene.api, path, query=alone) as far,
            far_end(scene.api, path, query=alone) as speaking,
            far_end(scene.api, path, query={"as": "ai"}) as all_of_them,
        ):
            for one in (far, speaking, all_of_them):
                await one.ready()
            await speaking.ws.send_bytes(saying("agent", 0.1))
            await far.hear(0.2, RATE)
            await scene.call.remove("callee")
            end = await far.ended()
            assert (end.code, end.cut_off and end.cut_off.code) == (1000, ErrorCode.CALL_CLOSED)
            scene.clear()
            await all_of_them.hear(0.2, RATE)
            await speaking.ws.send_bytes(saying("agent", 0.2))
            await until(lambda: seconds_of(scene.caller, "agent") > 0.18, "he speaks on")


# --- who may ------------------------------------------------------------------------------------


async def refused(scene: Scene, key: str, query: dict[str, str], call_id: str = "") -> Ended:
    path = audio_path(call_id or scene.call.call_id)
    async with far_end(scene.api, path, key=key, query=query) as far:
        return await far.ended()


async def test_who_may_not_is_told_so(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        await scene.observe("sue", by="the-supervisor")
        for key, query, code, error in (
            ("foreign-supervisor", {"as": "ai"}, 4004, ErrorCode.CALL_NOT_FOUND),
            ("supervisor", {"as": "nobody"}, 4004, ErrorCode.NOT_FOUND),
            ("observer", {"as": "ai"}, 4003, ErrorCode.FORBIDDEN),
            ("observer", {"as": "sue"}, 4003, ErrorCode.FORBIDDEN),
            ("supervisor", {}, 4000, ErrorCode.BAD_ARGUMENT),
            ("supervisor", {"as": "sue", "hear": "loud"}, 4000, ErrorCode.BAD_ARGUMENT),
            ("supervisor", {"as": "sue", "more": "1"}, 4000, ErrorCode.BAD_ARGUMENT),
            ("supervisor", {"as": "ai", "speaker": "x"}, 4000, ErrorCode.BAD_ARGUMENT),
            ("wrong", {"as": "sue"}, 4001, ErrorCode.UNAUTHENTICATED),
        ):
            end = await refused(scene, key, query)
            assert end.cut_off is not None, (key, query)
            assert (end.code, end.cut_off.code) == (code, error), (key, query)
        end = await refused(scene, "supervisor", {"as": "ai"}, "c-unknown")
        assert (end.code, end.cut_off and end.cut_off.code) == (4004, ErrorCode.CALL_NOT_FOUND)


async def test_who_connects_again_is_told_how_far_it_is(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        path, query = audio_path(scene.call.call_id), {"as": "ai", "hear": "0"}
        said = saying("agent", 0.8)
        async with far_end(scene.api, path, query=query) as far:
            await far.ready()
            await far.ws.send_bytes(said)
            await scene.api.service.audio_positions.wait(scene.call.call_id, "ai", len(said))
        async with far_end(scene.api, path, query=query) as again:
            assert (await again.ready()).position == len(said)
            progress = await again.progress()
            assert progress.buffered > 0
            while progress.buffered:
                progress = await again.progress()


async def test_who_has_no_business_there_any_more_hears_no_more(
    pbx: Pbx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(pbx, tmp_path) as scene:
        views = scene.api.service.views
        view = views.call(scene.call.call_id)
        assert view is not None
        foreign = msgspec.structs.replace(view, tenant="acme")
        await scene.observe("sue", by="the-supervisor")
        path, query = audio_path(scene.call.call_id), {"as": "sue"}
        async with far_end(scene.api, path, key="supervisor", query=query) as far:
            await far.ready()
            # By the rules it turns out to be another tenant's.
            monkeypatch.setattr(views, "call", lambda _call_id: foreign)
            end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (4004, ErrorCode.CALL_NOT_FOUND)


async def test_who_may_only_listen_is_heard_by_nobody(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path, silent=True) as scene:
        observer = await scene.observe("ben", by="the-observer")
        path, query = audio_path(scene.call.call_id), {"as": "ben"}
        async with far_end(scene.api, path, key="observer", query=query) as far:
            await far.ready()
            scene.clear()
            said = saying("observer", 0.2)
            await far.ws.send_bytes(said)
            progress = await far.progress()
            assert (progress.received, progress.dropped["silent"]) == (len(said), len(said))
            await observer.barge()
            await far.ws.send_bytes(said)
            end = await far.ended()
        assert (end.code, end.cut_off and end.cut_off.code) == (4003, ErrorCode.FORBIDDEN)
        await scene.caller.wait_seconds(0.4)
        assert max(heard(scene.caller, "observer"), heard(scene.callee, "observer")) < SILENCE


async def test_bad_frames_end_the_socket_and_leave_the_call_alone(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        path = audio_path(scene.call.call_id)
        scene.clear()
        for bad in (b"odd", "{", '{"type": "subscribe"}'):
            async with far_end(scene.api, path, query={"as": "ai"}) as far:
                await far.ready()
                if isinstance(bad, bytes):
                    await far.ws.send_bytes(bad)
                else:
                    await far.ws.send_str(bad)
                end = await far.ended()
            assert (end.code, end.cut_off and end.cut_off.code) == (4000, ErrorCode.BAD_ARGUMENT)
        await scene.caller.wait_seconds(0.3)
        assert len(gaps_of(scene.caller.pcm(), RATE, TONES["callee"])) <= FEW


async def test_a_command_does_not_wait_for_ever(pbx: Pbx, tmp_path: Path) -> None:
    async with connected(pbx, tmp_path) as scene:
        positions = scene.api.service.audio_positions
        with pytest.raises(CommandTimeoutError, match="0 bytes of audio have come"):
            await positions.wait(scene.call.call_id, "ai", 10, within=0.05)
        await positions.wait(scene.call.call_id, "ai", 0, within=0.05)
