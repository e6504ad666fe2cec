"""A program of its own process, to be killed: it records the call that comes.

``python -m tests.integration.recording.program FOLDER [paused]``, with ARI's address in the
environment. It prints a line for what it has reached: ``up``, ``recording``, ``paused``.
"""

from __future__ import annotations

import asyncio
import sys

from bridge import ActiveCall, Client, events
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.waiting import until

RATE = 16000
RECORDED_S = 1.0


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(folder: str, *, paused: bool) -> None:
    """Record until somebody ends us."""
    async with Client(sample_rate=RATE, route=lambda _call: CALLEE_ENDPOINT, probe=False) as client:

        async def incoming(call: ActiveCall) -> None:
            await call.connect()
            await call.spy()
            recording = await call.record(folder, coaching=True)
            await until(lambda: recording.seconds >= RECORDED_S, "a second is recorded")
            if paused:
                await recording.pause()
            say("paused" if paused else "recording")

        client.on(events.INCOMING_CALL, incoming)
        say("up")
        await client.run_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], paused="paused" in sys.argv[2:]))
