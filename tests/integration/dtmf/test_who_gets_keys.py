"""Keys of phones go to those whom a party talks with, and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bridge.lab.phones import CallState, Phone
from bridge.lab.waiting import until
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall, events
from bridge.session import inputs
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

HUMAN = Participant("human")
NOBODY: frozenset[Participant] = frozenset()


class Keys:
    """What the program was told of keys."""

    def __init__(self, call: ActiveCall) -> None:
        self.pressed: list[tuple[str, str]] = []
        call.on(events.DTMF_RECEIVED, lambda _call, name, key: self.pressed.append((name, key)))

    async def press(self, phone: Phone, party: str, keys: str) -> None:
        """Press keys, and wait until the program was told of them all."""
        begin = len(self.pressed)
        await phone.dtmf(keys)
        await until(lambda: len(self.pressed) >= begin + len(keys), f"{keys} are told")
        assert self.pressed[begin:] == [(party, key) for key in keys]


async def arrange(
    call: ActiveCall, *, held: Sequence[Participant] = (), apart: Sequence[Participant] = ()
) -> None:
    await call._engine.command(
        lambda token: inputs.Arrange(
            token, frozenset(held), frozenset(apart), leaving=NOBODY, kept=False
        )
    )


async def test_keys_of_who_is_apart_or_consults_never_reach_the_caller(
    pbx: Pbx,
) -> None:
    program = await pbx.program()
    caller, callee, human = await asyncio.gather(*(pbx.phone(str(n)) for n in (1001, 1002, 1003)))
    await caller.call("1002")
    call = await program.next_call()
    keys = Keys(call)
    await call.connect()
    await asyncio.gather(*(phone.wait_state(CallState.CONFIRMED) for phone in (caller, callee)))

    # Two who talk hear each other's keys.
    await keys.press(caller, CALLER, "12")
    await callee.wait_digits("12")
    await keys.press(callee, CALLEE, "34")
    await caller.wait_digits("34")

    # A human who is asked is apart: he presses the key by which he accepts.
    await call._engine.command(
        lambda token: inputs.AddParty(token, HUMAN, "PJSIP/1003", 20, apart=True)
    )
    await human.wait_state(CallState.CONFIRMED)
    await keys.press(human, HUMAN, "56")

    # He and the callee consult; the caller hears music.
    await arrange(call, held=[CALLER])
    await keys.press(human, HUMAN, "78")
    await callee.wait_digits("78")
    await keys.press(callee, CALLEE, "9")
    await human.wait_digits("9")
    await keys.press(caller, CALLER, "0")

    # All talk: a key that comes now comes after all those that did not.
    await arrange(call)
    await keys.press(human, HUMAN, "*")
    await asyncio.gather(caller.wait_digits("*"), callee.wait_digits("*"))
    await keys.press(caller, CALLER, "#")
    await asyncio.gather(human.wait_digits("#"), callee.wait_digits("#"))
    assert (caller.digits, callee.digits, human.digits) == ("34*", "1278*#", "9#")
    await call.disconnect()
