# examples/supervise.py
"""Coach 1002 on every call of the PBX, whoever placed it: whisper to him, and follow the call."""

import asyncio
import logging

import numpy as np

from bridge import Client, LiveCall, errors, events

EXTENSION, RATE = "1002", 16000
HINT = (8000 * np.sin(2 * np.pi * 880 * np.arange(RATE) / RATE)).astype("<i2").tobytes()
client = Client(sample_rate=RATE, supervisors=["1003"])  # 1003 may dial *55 and listen, too


@client.on(events.LIVE_CALL_BEGAN)
async def coach(call: LiveCall) -> None:
    if not call.at(EXTENSION):
        return
    try:
        async with await client.observe(call, "coach") as observer:  # heard by nobody
            await observer.whisper(to=EXTENSION)
            await observer.send_audio(HINT)  # 1002 alone hears it
            await observer.spy()  # once it was played
            await observer.wait_left()  # wherever the call goes, until its end
    except errors.CallbridgeError as error:
        logging.getLogger("coach").warning("%s: %s", call, error.error_message)


async def main() -> None:
    async with client:
        await client.run_forever()


if __name__ == "__main__":
    asyncio.run(main())
