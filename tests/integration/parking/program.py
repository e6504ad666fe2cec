"""A program in a process of its own, to be killed: it parks every call, for so many seconds."""

from __future__ import annotations

import asyncio
import sys

from bridge import ActiveCall, Client, events


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(seconds: float) -> None:
    """Take calls until somebody ends us."""
    client = Client(sample_rate=16000, probe=False)

    async def handle(call: ActiveCall) -> None:
        await call.answer()
        say(await call.park(timeout_seconds=seconds))

    client.on(events.INCOMING_CALL, handle)
    async with client:
        say("up")
        await client.run_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
