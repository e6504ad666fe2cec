# examples/supervise.py
"""Coach 1002 on every call of the PBX, whoever placed it: whisper to him, and follow the call."""

import asyncio
import logging

import numpy as np

from bridge import Client, errors

EXTENSION, RATE = "1002", 16000
HINT = (8000 * np.sin(2 * np.pi * 880 * np.arange(RATE) / RATE)).astype("<i2").tobytes()
client = Client(sample_rate=RATE, supervisors=["1003"])  # 1003 may dial *55 and listen, too


async def coach(call_id: str) -> None:
    try:
        async with await client.observe(call_id, "coach") as observer:  # heard by nobody
            await observer.whisper(to=EXTENSION)
            await observer.send_audio(HINT)  # 1002 alone hears it
            await observer.spy()  # once it was played
            await observer.wait_left()  # wherever the call goes, until its end
    except errors.CallbridgeError as error:
        logging.getLogger("coach").warning("call %s: %s", call_id, error.error_message)


async def main() -> None:
    known: set[str] = set()
    async with asyncio.TaskGroup() as group, client:
        while True:  # until Ctrl-C: then the observers leave
            for call in await client.live_calls():
                talks = any(party.endpoint == f"PJSIP/{EXTENSION}" for party in call.parties)
                if talks and call.call_id not in known:
                    known.add(call.call_id)
                    group.create_task(coach(call.call_id))
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
