"""A program of its own process, to be killed: observers of a call, who speak.

``python -m tests.integration.supervision.program WHOSE MODE [PHONE]``, with ARI's address in the
environment. WHOSE: ``own``, a call of its own that it connects, or ``foreign``, the one that there
is. MODE: ``spy``, ``whisper`` or ``barge``, of an observer ``coach``, who is the program, and of
one called ``boss`` at PHONE; ``takeover``: the boss replaces the callee; ``access``: there is
nobody but who dials the access code. It prints a line for what it has reached: ``up``, ``ready``,
``joined`` for who dialled, and ``left`` at its end.
"""

from __future__ import annotations

import asyncio
import sys

from bridge import ActiveCall, Client, events
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.hearing import TONES, tone

RATE = 16000
SPEECH = tone(TONES["observer"], -15.0, 60.0, RATE).astype("<i2").tobytes()


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def observe(client: Client, call_id: str, mode: str, phone: str | None) -> None:
    """Let the observers come, and speak."""
    if mode == "access":
        client.audit.listeners.append(lambda record: say(record.what))
        say("ready")
        return
    coach = await client.observe(call_id, "coach")
    observers = [coach]
    if phone is not None:
        observers.append(await client.observe(call_id, "boss", phone=phone))
    for observer in observers if mode != "takeover" else ():
        # What was sent before would be said in the mode before, to nobody.
        await getattr(observer, mode)(cut=True)
    if mode == "takeover":
        await observers[-1].take_over()
    await coach.send_audio(SPEECH)
    say("ready")


async def main(whose: str, mode: str, phone: str | None) -> None:
    """Observe until somebody ends us."""
    async with Client(
        sample_rate=RATE,
        route=lambda _call: CALLEE_ENDPOINT,
        probe=False,
        supervisors=["1005"],
    ) as client:

        async def incoming(call: ActiveCall) -> None:
            await call.connect()
            await observe(client, call.call_id, mode, phone)

        if whose == "own":
            client.on(events.INCOMING_CALL, incoming)
        say("up")
        if whose == "foreign":
            (call,) = await client.live_calls()
            await observe(client, call.call_id, mode, phone)
        await client.run_forever()
    say("left")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], "".join(sys.argv[3:]) or None))
