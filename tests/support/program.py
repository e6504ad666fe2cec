"""A program of its own process, to be killed: brings each call to a state and stays there.

``python -m tests.support.program STATE [probe]``, with ARI's address in the environment. It prints
a line for what it has reached: ``up``, then ``PENDING``, ``ANSWERED``, ``RINGING`` or
``CONNECTED`` for the call, ``left`` at its end. Further states, of three who talk: ``CONFERENCE``;
``HOLDING``, one held and one muted; ``TAKEN OVER``, one replaced by an observer who speaks.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from bridge import ActiveCall, Client, events
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.hearing import TONES, tone

RATE = 16000
SPEECH = tone(TONES["agent"], -15.0, 60.0, RATE).astype("<i2").tobytes()

OTHER_SPEECH = tone(TONES["supervisor"], -15.0, 60.0, RATE).astype("<i2").tobytes()


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def bring(call: ActiveCall, state: str) -> None:
    """Bring ``call`` to ``state``."""
    if state in {"ANSWERED", "ANSWERED, RINGING", "CONNECTED"}:
        await call.answer()
    if state == "CONNECTED":
        await call.connect()
        await call.whisper()
        await call.send_audio(SPEECH)
    say(state.rpartition(", ")[2])
    if state.endswith("RINGING"):
        await call.connect()


async def gather(client: Client, call: ActiveCall, state: str) -> None:
    """Let three talk, and do something to them."""
    await call.answer()
    await call.connect()
    await call.add(CALLEE_ENDPOINT, name="expert")
    await call.send_audio(SPEECH)
    if state == "HOLDING":
        await call.hold("expert")
        await call.mute("callee")
    elif state == "TAKEN OVER":
        boss = await client.observe(call, "boss")
        await boss.take_over("callee")
        await boss.send_audio(OTHER_SPEECH)
    say(state)


async def main(state: str, *, probe: bool) -> None:
    """Take calls until somebody ends us."""
    async with Client(sample_rate=RATE, route=lambda _call: CALLEE_ENDPOINT, probe=probe) as client:

        async def incoming(call: ActiveCall) -> None:
            if state in {"CONFERENCE", "HOLDING", "TAKEN OVER"}:
                await gather(client, call, state)
            else:
                await bring(call, state)

        client.on(events.INCOMING_CALL, incoming)
        say("up")
        await client.run_forever()
    say("left")


if __name__ == "__main__":
    # Who runs the tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main(sys.argv[1], probe="probe" in sys.argv[2:]))
