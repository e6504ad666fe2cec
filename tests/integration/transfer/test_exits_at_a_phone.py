"""The human has a real phone: he is busy, declines, is not there, or takes it with a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import soundfile

from bridge import CallState
from bridge.ari.generated.events import ChannelDtmfReceived
from bridge.lab.hearing.steady import steady_levels
from bridge.lab.phones import Behaviour, Phone, Tone
from bridge.lab.phones import CallState as PhoneState
from bridge.lab.waiting import until
from bridge.model.errors import ErrorCode
from bridge.session.transfer.effects import Outcome
from tests.support.conference import ABSENT_DBFS, HZ, PRESENT_DBFS, everyone
from tests.support.pbx import SENT_DBFS, Pbx, state_of
from tests.support.transfers import TransferScene, spoken_brief

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

MUSIC = {"caller"}
WITH_AI = everyone("caller", "ai")
OFF_BY_DB = 6.0
"""What a codec and a jitter buffer may cost."""


async def back_with_the_ai(scene: TransferScene) -> None:
    assert state_of(scene.call) is CallState.ANSWERED
    await scene.speak_to("caller")
    await scene.hears(WITH_AI)


async def decline(scene: TransferScene, phone: Phone) -> None:
    await phone.wait_state(PhoneState.INCOMING)
    await scene.hears(set(), music=MUSIC)
    await phone.hangup()


async def let_ring(scene: TransferScene, phone: Phone) -> None:
    await phone.wait_state(PhoneState.INCOMING)
    await scene.hears(set(), music=MUSIC)


async def nothing(_scene: TransferScene, _phone: Phone) -> None:
    pass


@pytest.mark.parametrize(
    ("behaviour", "does", "code"),
    [
        (Behaviour.BUSY, nothing, ErrorCode.CALL_BUSY),
        (Behaviour.RING, decline, ErrorCode.CALL_DECLINED),
        (Behaviour.RING, let_ring, ErrorCode.CALL_UNANSWERED),
    ],
    ids=["busy", "declines", "does not answer"],
)
async def test_he_does_not_take_it(
    pbx: Pbx,
    behaviour: Behaviour,
    does: Callable[[TransferScene, Phone], Awaitable[None]],
    code: ErrorCode,
) -> None:
    phone = await pbx.phone("1003", answer=behaviour)
    scene = await TransferScene.begin(pbx)
    # What is measured meanwhile takes its time.
    seconds = 6 if does is let_ring else 60
    transfer = await scene.transfer("1003", brief=spoken_brief(4.0), ring_time_seconds=seconds)
    await does(scene, phone)
    assert await transfer.wait() is Outcome.FAILED
    assert transfer.error_code is code
    assert phone.state in {None, PhoneState.DISCONNECTED}
    await back_with_the_ai(scene)


async def test_who_is_busy_is_followed_by_the_next(pbx: Pbx) -> None:
    await pbx.phone("1003", answer=Behaviour.BUSY)
    second = await pbx.phone("1004", answer=Behaviour.RING)
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(["1003", "1004"], accept="answer")
    await second.wait_state(PhoneState.INCOMING)
    await scene.hears(set(), music=MUSIC)
    await second.answer()
    assert await transfer.wait() is Outcome.COMPLETED
    assert transfer.human == "human2"


async def test_the_others_of_a_group_ring_no_more(pbx: Pbx) -> None:
    phones = [await pbx.phone(n, answer=Behaviour.RING) for n in ("1003", "1004", "1005")]
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer(["1003", "1004", "1005"], together=True, accept="answer")
    for phone in phones:
        await phone.wait_state(PhoneState.INCOMING)
    await phones[1].answer()
    assert await transfer.wait() is Outcome.COMPLETED
    for phone in (phones[0], phones[2]):
        await phone.wait_state(PhoneState.DISCONNECTED)
    await phones[1].wait_state(PhoneState.CONFIRMED)


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_he_takes_it_with_a_key(pbx: Pbx, tmp_path: Path, by_info: bool) -> None:  # noqa: FBT001 - a parameter of the test
    heard = tmp_path / "human.wav"
    said = Tone(HZ["expert"], SENT_DBFS)
    phone = await pbx.phone("1003", source=said, record=heard)
    scene = await TransferScene.begin(pbx)
    transfer = await scene.transfer("1003", brief=spoken_brief(30.0))
    await phone.wait_state(PhoneState.CONFIRMED)
    # He is not heard, and the key of another does nothing.
    await scene.hears(set(), music=MUSIC)
    await phone.dtmf("5", by_info=by_info)
    await scene.hears(set(), music=MUSIC)
    offered = await phone.record_position()
    await phone.dtmf("1", by_info=by_info)
    assert await transfer.wait() is Outcome.COMPLETED
    await scene.parties_hear({("caller", "expert")})
    accepted = await phone.record_position()
    while (talking := await phone.record_position()).seconds < accepted.seconds + 1.0:
        await scene.parties_hear({("caller", "expert")})
    await scene.hang_up("caller")
    await phone.wait_state(PhoneState.DISCONNECTED)
    await phone.stop()

    sound, rate = soundfile.read(heard, dtype="int16")

    for moment, voice in ((offered, "brief"), (talking, "caller")):
        end = round(moment.seconds * rate)
        # Apart from packets that came late, which are heard at all frequencies.
        levels = steady_levels(sound[end - rate : end], rate, HZ, [HZ[voice]])
        assert levels[voice] > PRESENT_DBFS - OFF_BY_DB
        others = {who: levels[who] for who in ("brief", "caller", "ai") if who != voice}
        assert max(others.values()) < ABSENT_DBFS, others


async def test_keys_of_the_consult_never_reach_the_caller(pbx: Pbx) -> None:
    human = await pbx.phone("1003")
    program = await pbx.program()
    caller = await pbx.phone("1001")
    await caller.call("1002")
    call = await program.next_call()
    await call.answer()
    transfer = await call.transfer("1003", consult=True, accept="key", brief=spoken_brief(30.0))
    await human.wait_state(PhoneState.CONFIRMED)
    await human.dtmf("1")
    await transfer.wait_accepted()
    pressed: list[str] = []

    def note(_party: str, event: object) -> None:
        if isinstance(event, ChannelDtmfReceived):
            pressed.append(event.digit)

    call._engine.handset_listeners.append(note)
    await human.dtmf("46")
    await until(lambda: pressed == ["4", "6"], "both keys came to Asterisk")
    await transfer.complete()
    assert await transfer.wait() is Outcome.COMPLETED
    # Now they talk, and his keys are for the caller; those before would have come first.
    await human.dtmf("7")
    await caller.wait_digits("7")
    assert caller.digits == "7"
