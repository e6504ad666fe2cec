"""The program under load, in a process of its own: answers, connects, spies and listens.

Started with the address of ARI as arguments and the password in the environment. Writes a line
for every call that it spies on; ends at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys

from bridge.lab.bench.calls import RATE
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.sdk import ActiveCall, Client, events

PASSWORD_VARIABLE = "CALLBRIDGE_ARI_PASSWORD"  # noqa: S105 - a name, no password


async def spy(call: ActiveCall) -> None:
    """Take part in one call to its end."""
    await call.answer()
    await call.connect()
    await call.spy()
    sys.stdout.write(f"{call.call_id}\n")
    sys.stdout.flush()
    async for _ in call.audio_stream():
        pass


async def main(url: str, username: str) -> None:
    """Take calls until standard input ends."""
    client = Client(
        url,
        username,
        os.environ[PASSWORD_VARIABLE],
        sample_rate=RATE,
        route=lambda _call: CALLEE_ENDPOINT,
    )
    client.on(events.INCOMING_CALL, spy)
    async with client:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
