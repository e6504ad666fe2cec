"""What it costs those who talk when somebody is added, muted, held or removed: nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bridge import ActiveCall
from bridge.lab.hearing import TONES
from tests.audio.listening import nothing_lost, reading
from tests.audio.machine import measured, whole
from tests.support.conference import RATE, Conference
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.quiet]

THREE = ("caller", "callee", "expert")
ROUNDS = 3

Change = Callable[[ActiveCall], Awaitable[None]]

OF_THE_FRIEND: tuple[Change, ...] = (
    lambda call: call.mute("friend"),
    lambda call: call.hold("friend"),
    lambda call: call.unmute("friend"),
    lambda call: call.unhold("friend"),
    lambda call: call.remove("friend"),
)


async def test_those_who_talk_lose_no_frame_of_each_other(pbx: Pbx) -> None:
    async def measurement(pbx: Pbx) -> None:
        conference = await Conference.of(await pbx.direct_call())
        await conference.add("expert")
        await conference.missed(*THREE)
        conference.clear()
        async with reading(*map(conference.call.audio_stream, THREE)) as readers:
            for _ in range(ROUNDS):
                await conference.add("friend")
                for change in OF_THE_FRIEND:
                    await change(conference.call)
            whole(not (lost := await conference.missed(*THREE)), lost)
        for reader in readers:
            assert reader.stream.dropped_frames == 0
            hz = (
                TONES["consult"]
                if reader.stream.speaker == "expert"
                else TONES[str(reader.stream.speaker)]
            )
            whole(nothing_lost(reader.pcm, RATE, hz), f"the agent missed {reader.stream.speaker}")
        await conference.call.disconnect(cut=True)

    await measured(pbx, measurement)


@pytest.mark.parametrize("one", ["caller", "callee"])
async def test_the_two_others_lose_none_while_one_is_muted(pbx: Pbx, one: str) -> None:
    async def measurement(pbx: Pbx) -> None:
        conference = await Conference.of(await pbx.direct_call())
        await conference.add("expert")
        others = [name for name in THREE if name != one]
        await conference.missed(*others)
        conference.clear()
        for _ in range(ROUNDS):
            await conference.call.mute(one)
            await conference.call.hold(one)
            await conference.call.unhold(one)
            await conference.call.unmute(one)
        whole(not (lost := await conference.missed(*others)), lost)
        await conference.call.disconnect(cut=True)

    await measured(pbx, measurement)
