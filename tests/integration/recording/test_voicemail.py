"""A caller leaves a message: what is kept of it, and how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge import ActiveCall, errors
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import Pcm
from bridge.lab.waiting import until
from bridge.media.pcm import FRAME_SECONDS
from bridge.model.states import CallState
from bridge.sdk.voicemail import Voicemail, VoicemailEnd, leave_voicemail
from tests.audio.machine import anew
from tests.integration.recording.tape import (
    NEVER_DBFS,
    RATE,
    ever,
    fresh,
    names_in,
    voices,
    words,
)
from tests.support.pbx import CALLER_TONE, Pbx, state_of

pytestmark = pytest.mark.asterisk

GREETING_S = 0.6
BEEP_S = 0.4


async def called(pbx: Pbx) -> tuple[ActiveCall, DirectParty]:
    """Let a caller come who says nothing yet."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=None))
    return await program.next_call(), caller


def leaving(call: ActiveCall, folder: Path, **wishes: Any) -> asyncio.Task[Voicemail]:
    """Let him leave a message."""
    wishes = {"greeting": words("supervisor", GREETING_S), "silence_seconds": 1.0, **wishes}
    return asyncio.create_task(leave_voicemail(call, folder, **wishes))


async def spoken(call: ActiveCall, seconds: float) -> None:
    """Wait until the agent has heard so much more of the caller."""
    stream = call.audio_stream("caller")
    for _ in range(round(seconds / FRAME_SECONDS)):
        await anext(stream)


async def beeped(caller: DirectParty) -> None:
    """Wait until the caller has heard greeting and beep."""

    def heard() -> bool:
        pcm = caller.pcm()
        return len(pcm) > RATE and ever(pcm, "supervisor") > -20 and not pcm[-1600:].any()

    await until(heard, "greeting and beep were heard", within_s=8)


def message(found: Voicemail) -> Pcm:
    """Return what was kept."""
    assert found.path is not None
    samples, rate = soundfile.read(found.path, dtype="int16")
    assert rate == RATE
    assert samples.ndim == 1
    assert found.seconds == pytest.approx(len(samples) / RATE, abs=0.001)
    return samples  # type: ignore[no-any-return] # soundfile has no types


@anew
async def test_a_message_ends_with_silence(pbx: Pbx, tmp_path: Path) -> None:
    call, caller = await called(pbx)
    task = leaving(call, folder := fresh(tmp_path))
    await beeped(caller)
    caller.voice = CALLER_TONE
    await caller.wait_seconds(1.5)
    caller.voice = None
    async with asyncio.timeout(5):
        found = await task
    assert found.ended_by is VoicemailEnd.SILENCE
    pcm = message(found)
    # What he said, and 0.4 s of silence on either side: of that which ended it no more is kept.
    assert 1.5 <= found.seconds <= 3.0
    assert voices(pcm[12800:22400]) == {"caller"}
    assert ever(pcm, "supervisor") < NEVER_DBFS
    assert len(names_in(folder)) == 1
    assert state_of(call) is CallState.ANSWERED
    await call.disconnect()


@anew
async def test_a_message_ends_with_hanging_up(pbx: Pbx, tmp_path: Path) -> None:
    call, caller = await called(pbx)
    task = leaving(call, fresh(tmp_path))
    await beeped(caller)
    caller.voice = CALLER_TONE
    await caller.wait_seconds(1.5)
    await caller.hangup()
    async with asyncio.timeout(3):
        found = await task
    assert found.ended_by is VoicemailEnd.HUNG_UP
    assert voices(message(found)[12800:19200]) == {"caller"}


@anew
async def test_a_message_is_not_longer_than_it_may_be(pbx: Pbx, tmp_path: Path) -> None:
    call, caller = await called(pbx)
    caller.voice = CALLER_TONE
    found = await leave_voicemail(call, fresh(tmp_path), max_seconds=1.5)
    assert found.ended_by is VoicemailEnd.TOO_LONG
    assert found.seconds == pytest.approx(1.5, abs=0.05)
    assert voices(message(found)[:19200]) == {"caller"}
    await call.disconnect()


async def test_of_who_says_nothing_nothing_is_left(pbx: Pbx, tmp_path: Path) -> None:
    call, _ = await called(pbx)
    found = await leave_voicemail(call, tmp_path / "messages", silence_seconds=0.5, beep=False)
    assert found == Voicemail(None, 0.0, VoicemailEnd.SILENCE)
    await call.disconnect()
    assert names_in(tmp_path) == []


async def test_who_hangs_up_during_the_greeting_leaves_nothing(pbx: Pbx, tmp_path: Path) -> None:
    call, caller = await called(pbx)
    task = leaving(call, tmp_path, greeting=words("supervisor", 5.0))
    await caller.wait_frames(30)
    await caller.hangup()
    async with asyncio.timeout(3):
        assert await task == Voicemail(None, 0.0, VoicemailEnd.HUNG_UP)
    assert names_in(tmp_path) == []


@pytest.mark.phones
async def test_a_key_skips_the_greeting_and_ends_the_message(pbx: Pbx, tmp_path: Path) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    phone = await pbx.phone("1001", source=CALLER_TONE)
    await phone.call("1002")
    call = await program.next_call()
    task = leaving(call, tmp_path, greeting=words("supervisor", 60.0))
    await until(lambda: state_of(call) is CallState.ANSWERED, "it is answered")
    await spoken(call, 0.5)
    await phone.dtmf("1")
    await phone.dtmf("#")
    await spoken(call, BEEP_S + 1.5)
    assert not task.done()
    await phone.dtmf("#")
    async with asyncio.timeout(3):
        found = await task
    assert found.ended_by is VoicemailEnd.KEY
    assert 0.5 < found.seconds < 3.0
    await call.disconnect()


async def test_who_talks_with_somebody_leaves_no_message(pbx: Pbx, tmp_path: Path) -> None:
    direct = await pbx.direct_call()
    await direct.connect()
    with pytest.raises(errors.InvalidStateError):
        await leave_voicemail(direct.call, tmp_path)
    with pytest.raises(errors.BadArgumentError):
        await leave_voicemail(direct.call, tmp_path, max_seconds=0.0)
    await direct.call.disconnect()


async def test_a_folder_that_cannot_be_written_to(pbx: Pbx, tmp_path: Path) -> None:
    call, caller = await called(pbx)
    caller.voice = CALLER_TONE
    await asyncio.to_thread((tmp_path / "file").write_text, "")
    with pytest.raises(errors.ConfigurationError, match="no message can be kept"):
        await leave_voicemail(call, tmp_path / "file", max_seconds=2.0)
    assert state_of(call) is CallState.ANSWERED
    await call.disconnect()
