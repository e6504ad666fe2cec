"""A human with a real phone: he accepts by its keys, is busy, declines, or does not pick up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bridge import CallState
from bridge.lab.hearing import ToneMeter, levels, pcm_from_bytes
from bridge.lab.phones import Behaviour, Codec, Phone, Tone
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.session.transfer.effects import Outcome
from tests.support.conference import HZ, RATE, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of
from tests.support.transfers import NOBODY, TransferScene, spoken_brief

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

NUMBER = "1004"


async def a_phone(pbx: Pbx, answer: Behaviour = Behaviour.ANSWER) -> Phone:
    voice = Tone(HZ["human"], SENT_DBFS)
    return await pbx.phone(NUMBER, source=voice, codec=Codec.L16_16000, answer=answer)


async def test_he_accepts_by_key(pbx: Pbx) -> None:
    scene = await TransferScene.begin(pbx)
    phone = await a_phone(pbx)
    transfer = await scene.transfer(NUMBER, brief=spoken_brief(30.0))
    await phone.wait_state(PhoneState.CONFIRMED)
    caller = scene.conference.people["caller"]
    await scene.hears(set(), music={"caller"})
    caller.clear()
    await phone.dtmf("91")
    assert await transfer.wait() is Outcome.COMPLETED
    # What he pressed is for us alone.
    assert not [payload for _, payload in caller.frames if is_key_nine(payload)]
    await until(lambda: hears(scene, "human"), "the caller hears him")
    await scene.hang_up("caller")
    await phone.wait_state(PhoneState.DISCONNECTED)


def is_key_nine(payload: bytes) -> bool:
    """Tell whether a frame has both tones of the key (ITU-T Q.23); music has one by chance."""
    pcm = pcm_from_bytes(payload)
    return all(ToneMeter(RATE, hz, len(pcm)).dbfs(pcm) > SENT_DBFS - 20 for hz in (852.0, 1477.0))


def hears(scene: TransferScene, name: str) -> bool:
    frames = [payload for _, payload in scene.conference.people["caller"].frames][-8:]
    pcm = pcm_from_bytes(b"".join(frames))
    return len(frames) == 8 and levels(pcm, RATE, HZ)[name] > SENT_DBFS - 6


async def busy(pbx: Pbx) -> str:
    await a_phone(pbx, Behaviour.BUSY)
    return NUMBER


async def declines(pbx: Pbx) -> str:
    await a_phone(pbx, Behaviour.DECLINE)
    return NUMBER


async def rings(pbx: Pbx) -> str:
    await a_phone(pbx, Behaviour.RING)
    return NUMBER


async def nobody(_pbx: Pbx) -> str:
    return NOBODY


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (busy, ErrorCode.CALL_BUSY),
        (declines, ErrorCode.CALL_DECLINED),
        (rings, ErrorCode.CALL_UNANSWERED),
        (nobody, ErrorCode.CALL_UNREACHABLE),
    ],
)
async def test_he_is_not_had(
    pbx: Pbx, who: Callable[[Pbx], Awaitable[str]], code: ErrorCode
) -> None:
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(await who(pbx), ring_time_seconds=2)
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is code
    assert state_of(scene.call) is CallState.ANSWERED
    await scene.speak_to("caller")
    await scene.hears(everyone("caller", "ai"))
