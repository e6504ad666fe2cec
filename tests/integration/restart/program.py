"""A program in a process of its own, to be killed: what is dialled says what becomes of a call.

``python -m tests.integration.restart.program``, with ARI's address in the environment. A caller
dials 30 and two digits of a state (``STATES``). It prints ``up``, then ``state number`` for each
call that is as it is to be. With ``hand over`` as an argument it leaves the calls to the next
program when it is asked to end (SIGTERM), and prints ``left``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from bridge import ActiveCall, Client, events
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.hearing import TONES, tone
from bridge.lab.waiting import until
from bridge.model.participants import Participant
from bridge.sdk.transfer import Transfer
from bridge.session import inputs
from bridge.session.transfer import Stage

RATE: Final = 16000
FOLDER: Final = "CALLBRIDGE_TEST_RECORDINGS"
"""The environment says by it where recordings go."""
SPEECH: Final = tone(TONES["agent"], -15.0, 60.0, RATE).astype("<i2").tobytes()


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def answered(_client: Client, call: ActiveCall) -> None:
    """The caller and the agent talk."""
    await call.answer()
    await call.send_audio(SPEECH)


async def ringing(_client: Client, call: ActiveCall) -> None:
    """The callee rings; nobody picks up."""
    await call.answer()
    asyncio.get_running_loop().create_task(call.connect())


async def talking(_client: Client, call: ActiveCall) -> None:
    """Two talk, and the agent says nothing."""
    await call.answer()
    await call.connect()
    await call.spy(cut=True)


async def whispering(_client: Client, call: ActiveCall) -> None:
    """The agent whispers to the callee."""
    await call.answer()
    await call.connect()
    await call.whisper(cut=True)
    await call.send_audio(SPEECH)


async def held(_client: Client, call: ActiveCall) -> None:
    """The caller hears music; the agent talks with the callee."""
    await call.answer()
    await call.connect()
    await call.hold("caller")
    await call.send_audio(SPEECH)


async def conference(client: Client, call: ActiveCall) -> None:
    """Three talk, one of them muted."""
    await talking(client, call)
    await call.add(CALLEE_ENDPOINT, name="expert")
    await call.mute("expert")


async def adding(client: Client, call: ActiveCall) -> None:
    """Two talk, and a third rings."""
    await talking(client, call)
    asyncio.get_running_loop().create_task(call.add(CALLEE_ENDPOINT, name="expert"))


async def apart(client: Client, call: ActiveCall) -> None:
    """Two talk, and a third is apart from them."""
    await talking(client, call)
    expert = Participant("expert")
    await call._engine.command(
        lambda token: inputs.AddParty(token, expert, CALLEE_ENDPOINT, 30, apart=True)
    )


async def taken_over(client: Client, call: ActiveCall) -> None:
    """Somebody on a phone speaks in the callee's place."""
    await talking(client, call)
    boss = await client.observe(call, "boss", phone=CALLEE_ENDPOINT)
    await boss.take_over()


async def replaced(client: Client, call: ActiveCall) -> None:
    """Somebody on a phone speaks in the callee's place, who was let go."""
    await talking(client, call)
    boss = await client.observe(call, "boss", phone=CALLEE_ENDPOINT)
    await boss.take_over("callee", keep=False)


async def alone(client: Client, call: ActiveCall) -> None:
    """Somebody on a phone speaks in the agent's place, who was let go."""
    await call.answer()
    boss = await client.observe(call, "boss", phone=CALLEE_ENDPOINT)
    await boss.take_over("ai", keep=False)


async def observed(client: Client, call: ActiveCall) -> None:
    """A program and somebody on a phone observe, and whisper."""
    await talking(client, call)
    coach = await client.observe(call, "coach", hear_coaching=True)
    boss = await client.observe(call, "boss", phone=CALLEE_ENDPOINT)
    await coach.whisper(cut=True)
    await boss.whisper()
    await coach.send_audio(SPEECH)


async def recorded(_client: Client, call: ActiveCall) -> None:
    """Two talk, and are recorded."""
    await talking(_client, call)
    await call.record(os.environ[FOLDER])


async def parked(_client: Client, call: ActiveCall) -> None:
    """The caller waits in a slot."""
    await call.answer()
    await call.park()


async def transferring(_client: Client, call: ActiveCall) -> None:
    """The caller hears music, and a human rings, who is to accept by a key."""
    await call.answer()
    await call.transfer(CALLEE_ENDPOINT, accept="key")


async def offered(_client: Client, call: ActiveCall) -> None:
    """He has picked up, and is asked."""
    answered = asyncio.Event()
    call.on(events.TRANSFER_ANSWERED, answered.set)
    await call.answer()
    await call.transfer(CALLEE_ENDPOINT, accept="key")
    await answered.wait()


async def consulting(_client: Client, call: ActiveCall) -> None:
    """The agent talks with the human; the caller hears music."""
    await _consult(call)
    await call.send_audio(SPEECH)


async def _consult(call: ActiveCall) -> Transfer:
    await call.answer()
    transfer = await call.transfer(CALLEE_ENDPOINT, accept="answer", consult=True)
    await transfer.wait_accepted()
    await until(lambda: transfer.stage is Stage.CONSULTING, "they talk")
    return transfer


async def aside(_client: Client, call: ActiveCall) -> None:
    """The agent talks with the caller again; the human hears music."""
    transfer = await _consult(call)
    await transfer.toggle(cut=True)
    await call.send_audio(SPEECH)


async def together(_client: Client, call: ActiveCall) -> None:
    """The caller, the human and the agent talk."""
    transfer = await _consult(call)
    await transfer.conference(cut=True)
    await call.send_audio(SPEECH)


State = Callable[[Client, ActiveCall], Awaitable[None]]
STATES: Final[dict[str, State]] = {
    state.__name__: state
    for state in (
        answered,
        ringing,
        talking,
        whispering,
        held,
        conference,
        adding,
        apart,
        taken_over,
        replaced,
        alone,
        observed,
        recorded,
        parked,
        transferring,
        offered,
        consulting,
        aside,
        together,
    )
}


def number_of(state: str) -> str:
    """Return what a caller dials to be in a state."""
    return f"30{list(STATES).index(state):02d}"


async def main(*, hand_over: bool) -> None:
    """Take calls until somebody ends us."""
    client = Client(sample_rate=RATE, route=lambda _call: CALLEE_ENDPOINT, probe=False)

    async def incoming(call: ActiveCall) -> None:
        state = list(STATES)[int(call.callee_number[2:])]
        await STATES[state](client, call)
        say(f"{state} {call.caller_number}")

    client.on(events.INCOMING_CALL, incoming)
    async with client:
        say("up")
        await client.run_forever()
        if hand_over:
            await client.hand_over()
    say("left")


if __name__ == "__main__":
    asyncio.run(main(hand_over="hand over" in sys.argv[1:]))
