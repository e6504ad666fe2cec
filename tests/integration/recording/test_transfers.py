"""A call that is recorded is transferred: the customer's side of it, and no word of the consult."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import ActiveCall
from bridge.lab.hearing import Pcm, levels
from bridge.sdk.transfer import Transfer
from bridge.sdk.voicemail import Voicemail, VoicemailEnd, leave_voicemail
from bridge.session.transfer.effects import Outcome
from tests.audio.machine import anew, whole
from tests.integration.recording.tape import (
    NEVER_DBFS,
    channels,
    described,
    fresh,
    is_silent,
    part,
    recorded,
)
from tests.support.conference import HZ, RATE
from tests.support.pbx import SENT_DBFS, Pbx
from tests.support.transfers import NOBODY, TransferScene, spoken_brief

pytestmark = pytest.mark.asterisk


def heard(pcm: Pcm, when: tuple[float, float]) -> set[str]:
    """Return whose voices are in a part."""
    measured = levels(part(pcm, when), RATE, HZ)
    faint = {n: d for n, d in measured.items() if NEVER_DBFS < d < SENT_DBFS - 3}
    whole(not faint, faint)
    return {name for name, dbfs in measured.items() if dbfs >= SENT_DBFS - 3}


@anew
async def test_the_consult_is_not_recorded_and_the_rest_is(pbx: Pbx, tmp_path: Path) -> None:
    scene = await TransferScene.begin(pbx)
    recording = await scene.call.record(fresh(tmp_path))
    transfer = await scene.transfer(consult=True, brief=spoken_brief(3.0))
    await scene.answer("human")
    offered = await recorded(recording, 0.5)
    await scene.press("human", "1")
    await transfer.wait_accepted()
    await scene.speak_to("human")
    consult = await recorded(recording, 1.0)
    await transfer.conference(cut=True)
    await scene.speak_to("caller", "human")
    together = await recorded(recording, 0.8)
    # The AI leaves when it has said what it was about to.
    scene.call.clear_send_audio_buffer()
    await transfer.complete()
    assert await transfer.wait() is Outcome.COMPLETED
    after = await recorded(recording, 0.8)
    await scene.hang_up("caller")
    await recording.wait_ended()
    left, right = channels(recording)
    for silent in (offered, consult):
        assert is_silent(part(left, silent))
        assert is_silent(part(right, silent))
    assert heard(left, together) == {"caller"}
    assert heard(right, together) == {"human", "ai"}
    assert heard(left, after) == {"caller"}
    assert heard(right, after) == {"human"}
    assert described(recording)["end_cause"] in {"call_ended", "caller_left"}
    await scene.gone("human")


@anew
async def test_a_caller_whom_nobody_takes_leaves_a_message(pbx: Pbx, tmp_path: Path) -> None:
    scene = await TransferScene.begin(pbx)
    left: list[Voicemail] = []

    async def mailbox(call: ActiveCall, transfer: Transfer) -> None:
        assert transfer.outcome is Outcome.FAILED
        left.append(await leave_voicemail(call, tmp_path, max_seconds=1.5))
        await call.disconnect()

    transfer = await scene.call.transfer(NOBODY, fallback=mailbox)
    assert await transfer.wait() is Outcome.FAILED
    await scene.call.wait_ended()
    (message,) = left
    assert message.ended_by is VoicemailEnd.TOO_LONG
    assert message.path is not None
    assert message.seconds == pytest.approx(1.5, abs=0.05)
