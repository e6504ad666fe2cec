"""A program in a process of its own, to be killed: it puts every caller to phone 1001."""

from __future__ import annotations

import asyncio
import sys

from bridge import ActiveCall, Client, events
from bridge.lab.waiting import until


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main() -> None:
    """Take calls until somebody ends us."""
    client = Client(sample_rate=16000, probe=False, route=lambda _call: "1001")

    async def handle(call: ActiveCall) -> None:
        await call.connect()
        say("connected")
        await until(
            lambda: any(party.away for party in call.parties), "a phone is on hold", within_s=20
        )
        say("away")

    client.on(events.INCOMING_CALL, handle)
    async with client:
        say("up")
        await client.run_forever()


if __name__ == "__main__":
    asyncio.run(main())
