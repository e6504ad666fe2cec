"""The limits of a supervisor's keys go on with the next program."""

from __future__ import annotations

import pytest

from bridge.lab.phones import Codec
from bridge.lab.waiting import until
from bridge.model.keys import KeyLimits
from bridge.model.modes import AudioMode
from bridge.sdk import Observer, events
from tests.integration.supervision.floor import Floor
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]


@pytest.mark.parametrize("heard", [True, False])
async def test_the_next_program_makes_them_again(
    floor: Floor, pbx: Pbx, caplog: pytest.LogCaptureFixture, *, heard: bool
) -> None:
    talk = await floor.foreign_call()
    phone = await pbx.phone("1005", codec=Codec.L16_16000)
    limits = KeyLimits(heard=not heard, reaches=lambda _call_id: True, note="who placed him")
    await floor.client.observe_limited(talk.call_id, limits, "boss", phone="1005")
    await floor.client.hand_over()

    notes: list[str] = []

    def limits_of(note: str) -> KeyLimits:
        notes.append(note)
        return KeyLimits(heard=heard, reaches=lambda _call_id: True, note=note)

    resumed: list[Observer] = []
    client = await pbx.client()
    client.limits_of = limits_of
    client.on(events.OBSERVER_RESUMED, resumed.append)
    async with client:
        await until(lambda: resumed, "he observes again")
        [observer] = resumed
        assert notes == ["who placed him"]
        await phone.dtmf("6")
        if heard:
            await until(lambda: observer.mode is AudioMode.BARGE, "he barges in")
        else:
            await until(lambda: "is to listen alone" in caplog.text, "the key is refused")
            assert observer.mode is AudioMode.SPY
        await talk.over()
