"""Keys of a real phone: they change the mode, and make no sound for the parties."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from bridge.lab.phones import Codec, Phone
from bridge.lab.waiting import until
from bridge.model.keys import KeyAction, KeyMap
from bridge.model.participants import CALLEE, PARTIES
from bridge.runtime.keys import Keys
from bridge.runtime.seat import Rung
from bridge.session.observer.inputs import Seated
from tests.integration.seats.office import NOBODY, Office, Supervisor, frames_pass, loudest
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

HEARD_BY = {
    KeyAction.SPY: NOBODY,
    KeyAction.WHISPER: frozenset({CALLEE}),
    KeyAction.BARGE: PARTIES,
}


async def seated(pbx: Pbx, office: Office, supervisor: Supervisor) -> Phone:
    """Have a supervisor with a silent phone barge into a call of two who are silent too."""
    # G.711: what it says as silence is digital silence, and stays it on its way.
    phone = await pbx.phone("1003", codec=Codec.PCMU)
    await office.connect()
    await supervisor.sit(Rung("PJSIP/1003"))
    assert await supervisor.fact() == Seated()
    await supervisor.observe(heard_by=PARTIES)
    return phone


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_the_parties_hear_nothing_of_them(
    pbx: Pbx, office: Office, supervisor: Supervisor, *, by_info: bool
) -> None:
    phone = await seated(pbx, office, supervisor)
    parties = tuple(office.call.values())
    await frames_pass(*parties)
    for party in parties:
        party.clear()
    for key in "456*#":
        count = len(supervisor.digits) + 1
        await phone.dtmf(key, by_info=by_info)
        await until(partial(supervisor.was_told, count), f"{key} is told")
    await frames_pass(*parties)
    assert supervisor.digits == "456*#"
    assert [loudest(party) for party in parties] == [0, 0]


async def test_they_change_the_mode(pbx: Pbx, office: Office, supervisor: Supervisor) -> None:
    phone = await seated(pbx, office, supervisor)
    done: list[KeyAction] = []
    changed = asyncio.Semaphore(0)

    async def act(action: KeyAction) -> None:
        await supervisor.observe(heard_by=HEARD_BY[action])
        done.append(action)
        changed.release()

    keys = Keys(KeyMap(), act, on_refused=lambda _action, _error: None, owner="supervisor")
    supervisor.on_digit = keys.press
    task = asyncio.create_task(keys.run())
    try:
        for key, action in (("4", KeyAction.SPY), ("5", KeyAction.WHISPER), ("6", KeyAction.BARGE)):
            await phone.dtmf(key)
            await asyncio.wait_for(changed.acquire(), 5)
            assert done[-1] is action
            gates = {g for g in supervisor.executor.stands.open_gates if ".cue." not in g}
            near = {gate.rpartition(".")[2] for gate in gates} - {"supervisor"}
            assert near == set(HEARD_BY[action])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert done == [KeyAction.SPY, KeyAction.WHISPER, KeyAction.BARGE]
