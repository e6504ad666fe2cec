"""What is said to one party alone: heard by him at once, by nobody else, and nothing is left."""

from __future__ import annotations

import pytest

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, first_heard, levels, pcm_from_bytes, tone
from bridge.model.participants import Participant
from bridge.runtime.prompter import Prompter
from tests.support.conference import (
    ABSENT_DBFS,
    HZ,
    PRESENT_DBFS,
    RATE,
    Conference,
    everyone,
)
from tests.support.hearing import clearly, settles
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, DirectCall, Pbx

pytestmark = pytest.mark.asterisk

BRIEF_HZ = TONES["other_agent"]
ALL = ("caller", "callee", "expert", "ai")


async def test_one_party_alone_hears_it_and_is_heard(pbx: Pbx) -> None:
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
    caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
    call = await program.next_call()
    conference = await Conference.of(DirectCall(pbx, call, caller, callee_tone=CALLEE_TONE))
    await conference.add("expert")
    await conference.speak()
    controller = program.client._connected()
    leg = controller.engines[0].executor.channel_of(Participant("expert"))
    assert leg is not None
    conference.clear()
    prompter = Prompter(controller, Participant("expert"), leg)
    try:
        await prompter.open()
        ear = prompter.listen()
        await prompter.say(tone(BRIEF_HZ, SENT_DBFS, 1.0, RATE).astype("<i2").tobytes())
        heard = {
            name: first_heard(list(party.frames), RATE, BRIEF_HZ, SENT_DBFS - 20)
            for name, party in conference.people.items()
        }
        assert heard["caller"] is None
        assert heard["callee"] is None
        assert heard["expert"] is not None

        async def said() -> set[str]:
            frames = [await anext(ear) for _ in range(20)]
            voices = levels(pcm_from_bytes(b"".join(frames)), RATE, HZ)
            return clearly(voices, absent_dbfs=ABSENT_DBFS, present_dbfs=PRESENT_DBFS)

        await settles(said, {"expert"})
    finally:
        await prompter.aclose()
    await conference.hears(everyone(*ALL))
