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
from bridge.session.transfer.effects import Outcome
from tests.support.pbx import Pbx, until_true

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

HUMAN = Participant("human")
NOBODY: frozenset[Participant] = frozenset()


class Keys:
    """What the program was told of keys."""

    def __init__(self, call: ActiveCall) -> None:
        self.pressed: list[tuple[str, str]] = []
        call.on(events.DTMF_RECEIVED, lambda _call, name, key: self.pressed.append((name, key)))

    async def press(self, phone: Phone, party: str, keys: str) -> None:
        """Press keys, and wait until the program was told of them all.

        Not right after keys of somebody else: for half a second after it has sent a key to a phone,
        Asterisk takes one that comes from there for its echo, and passes it on late.
        """
        begin = len(self.pressed)
        heard = (await phone.stats()).rx_packets

        async def half_a_second() -> bool:
            return (await phone.stats()).rx_packets >= heard + 30

        await until_true(half_a_second, "half a second passes")
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
    pressed = [
        *(("caller", "12"), ("callee", "34"), ("human", "56"), ("human", "78")),
        *(("callee", "9"), ("caller", "0"), ("human", "*"), ("caller", "#")),
    ]
    assert keys.pressed == [(name, key) for name, some in pressed for key in some]
    assert (caller.digits, callee.digits, human.digits) == ("34*", "1278*#", "9#")
    await call.disconnect()


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_the_key_by_which_a_human_accepts_never_reaches_the_caller(
    pbx: Pbx, *, by_info: bool
) -> None:
    program = await pbx.program()
    caller, human = await asyncio.gather(pbx.phone("1001"), pbx.phone("1003"))
    await caller.call("1002")
    call = await program.next_call()
    await call.answer()
    transfer = await call.transfer("1003", accept="key", stay=True)
    await human.wait_state(CallState.CONFIRMED)
    await human.dtmf("31", by_info=by_info)
    assert await transfer.wait() is Outcome.COMPLETED
    await human.dtmf("7", by_info=by_info)
    await caller.wait_digits("7")
    assert (caller.digits, human.digits) == ("7", "")
    await call.disconnect()


@pytest.mark.parametrize("by_info", [False, True], ids=["RFC 4733", "SIP INFO"])
async def test_the_key_by_which_the_callee_lets_all_talk_never_reaches_the_caller(
    pbx: Pbx, *, by_info: bool
) -> None:
    program = await pbx.program()
    caller, callee, human = await asyncio.gather(*(pbx.phone(str(n)) for n in (1001, 1002, 1003)))
    await caller.call("1002")
    call = await program.next_call()
    await call.connect()
    transfer = await call.transfer("1003", by="callee")
    await transfer.wait_accepted()
    done = asyncio.Event()

    async def let_all_talk() -> None:
        await transfer.conference()
        done.set()

    call.on(events.DTMF_RECEIVED, let_all_talk)
    await callee.dtmf("2", by_info=by_info)
    async with asyncio.timeout(5):
        await done.wait()
    await human.wait_digits("2")
    await human.dtmf("7", by_info=by_info)
    await asyncio.gather(caller.wait_digits("7"), callee.wait_digits("7"))
    assert (caller.digits, callee.digits, human.digits) == ("7", "7", "2")
    await call.disconnect()
