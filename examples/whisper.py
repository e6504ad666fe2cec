# examples/whisper.py
"""Answer a call, connect it, listen; when the caller speaks, whisper to the callee."""

import asyncio

import numpy as np

from bridge import ActiveCall, Client, errors, events

RATE, LOUD = 16000, 2000
client = Client(sample_rate=RATE)  # CALLBRIDGE_ARI_*, else the `callbridge asterisk up` that runs


def beep(hz: int, seconds: float) -> bytes:
    wave = 8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)
    return wave.astype("<i2").tobytes()  # all audio is PCM, s16le, mono


@client.on(events.INCOMING_CALL)
async def coach(call: ActiveCall) -> None:
    await call.answer()
    await call.send_audio(beep(440, 0.5))  # the caller hears it
    try:
        await call.connect(ring_time_seconds=30)  # rings the number that was dialled
    except errors.ConnectFailedError:
        await call.send_audio(beep(220, 1.0))
        await call.close()  # the caller is hung up when he has heard it
        return
    await call.spy()  # both talk, nobody hears the agent
    async for frame in call.audio_stream("caller"):
        if np.abs(np.frombuffer(frame, "<i2").astype(int)).max() > LOUD:
            await call.whisper(to="callee")
            await call.send_audio(beep(880, 1.0))  # the callee alone hears it
            await call.close()  # leave after the last word; the two talk on
            return


async def main() -> None:
    async with client:
        await client.run_forever()


if __name__ == "__main__":
    asyncio.run(main())
