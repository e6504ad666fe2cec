"""The program under load, in a process of its own: it spies on calls, and listens.

Started with the address of ARI as arguments and the password in the environment. It answers,
connects and spies on every call that comes to it. What else it does it is told by lines on its
standard input, a method of ``Agent`` and its arguments, each of which it answers with one line. It
ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import cycle
from typing import Final

from bridge.lab.bench.calls import RATE, found
from bridge.lab.ears import CALLEE_ENDPOINT
from bridge.lab.hearing import TONES, pcm_from_bytes
from bridge.lab.hearing.lost import Missing, missing
from bridge.lab.waiting import until
from bridge.media.ears import AudioStream
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall, Client, Observer, events

PASSWORD_VARIABLE: Final = "CALLBRIDGE_ARI_PASSWORD"  # noqa: S105 - a name, no password


VARIED: Final[Mapping[str, Callable[[ActiveCall], Awaitable[None]]]] = {
    "talking": lambda call: call.spy(),
    "whispering": lambda call: call.whisper(),
    "barging": lambda call: call.barge(),
    "held": lambda call: call.hold("caller"),
}
"""States that ``vary`` brings calls into."""


class Ear:
    """Hears one party, and keeps what it heard while something is measured."""

    def __init__(self, stream: AudioStream, speaker: Participant) -> None:
        self._stream = stream
        self._speaker = speaker
        self._kept: list[bytes] | None = None
        self._task = asyncio.create_task(self._listen(), name=f"ear for {speaker}")

    @property
    def ended(self) -> bool:
        """Nothing more will be heard."""
        return self._stream.ended

    def keep(self) -> None:
        """Keep what is heard from now on."""
        self._kept = []

    def missing(self) -> Missing:
        """Return what is missing in what was kept, and keep no more. Blocks."""
        kept, self._kept = self._kept or [], None
        gap = missing(pcm_from_bytes(b"".join(kept)), RATE, TONES[self._speaker])
        return Missing(gap.lost + self._stream.dropped_frames, gap.held_up)

    async def _listen(self) -> None:
        async for frame in self._stream:
            if self._kept is not None:
                self._kept.append(frame)


class Agent:
    """Does what it is told."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ears: list[Ear] = []
        self._spied: asyncio.Queue[str] = asyncio.Queue()
        self._calls: list[ActiveCall] = []
        self._resumed_at: list[float] = []
        """When each call of an earlier program was told of; so with the other moments, in seconds
        of the monotonic clock."""
        self.began_at = self.connected_at = time.monotonic()
        self.orders: Mapping[str, Callable[..., Awaitable[str]]] = {
            order.__name__: order
            for order in (
                self.next_call,
                self.watch,
                self.observe,
                self.ring,
                self.keep,
                self.missing,
                self.vary,
                self.resumed,
            )
        }

    async def take(self, call: ActiveCall) -> None:
        """Spy on a call that came here."""
        await call.answer()
        await call.connect()
        await call.spy()
        self._listen(call)
        self._calls.append(call)
        self._spied.put_nowait(call.call_id)

    def take_up(self, _call: ActiveCall) -> None:
        """A call of an earlier program is ours."""
        self._resumed_at.append(time.monotonic())

    async def next_call(self) -> str:
        """Wait until another call that came here is spied on; return its id."""
        return await self._spied.get()

    async def watch(self) -> str:
        """Watch the PBX from now on; return how many calls are live."""
        return str(len(await self._client.live_calls()))

    async def observe(self, channel_id: str, name: str) -> str:
        """Let this program observe the call of a channel; return the call's id."""
        await found(self._client, channel_id)
        observer = await self._client.observe(channel_id, name)
        self._listen(observer)
        return observer.call_id

    async def ring(self, channel_id: str, name: str) -> str:
        """Let somebody on a phone, which is rung, observe the call of a channel."""
        await found(self._client, channel_id)
        observer = await self._client.observe(channel_id, name, phone=CALLEE_ENDPOINT)
        return observer.call_id

    async def keep(self) -> str:
        """Keep what is heard from now on; return by how many ears."""
        self._ears = [ear for ear in self._ears if not ear.ended]
        for ear in self._ears:
            ear.keep()
        return str(len(self._ears))

    async def missing(self) -> str:
        """Return how many frames of the parties were lost, and were late, since ``keep``."""
        gaps = [await asyncio.to_thread(ear.missing) for ear in self._ears]
        return f"{sum(gap.lost for gap in gaps)} {sum(gap.held_up for gap in gaps)}"

    async def vary(self) -> str:
        """Bring the calls, in the order of their coming, into the states of VARIED in turn."""
        for call, change in zip(self._calls, cycle(VARIED.values()), strict=False):
            await change(call)
        return str(len(self._calls))

    async def resumed(self, count: str) -> str:
        """Wait until so many calls of an earlier program are ours.

        Returns how long that took, and ``connect()``, in ms, and when the last of them was.
        """
        await until(
            lambda: len(self._resumed_at) >= int(count), f"{count} calls are ours", within_s=10.0
        )
        last_at = max(self._resumed_at)
        moments = (last_at - self.began_at, self.connected_at - self.began_at)
        return " ".join([*(f"{moment * 1000:.1f}" for moment in moments), f"{last_at:.4f}"])

    def _listen(self, who: ActiveCall | Observer) -> None:
        self._ears += [Ear(who.audio_stream(party), party) for party in (CALLER, CALLEE)]


async def main(url: str, username: str) -> None:
    """Take calls, and do what is told, until standard input ends."""
    client = Client(
        url,
        username,
        os.environ[PASSWORD_VARIABLE],
        sample_rate=RATE,
        route=lambda _call: CALLEE_ENDPOINT,
    )
    agent = Agent(client)
    client.on(events.INCOMING_CALL, agent.take)
    client.on(events.CALL_RESUMED, agent.take_up)
    agent.began_at = time.monotonic()
    async with client:
        agent.connected_at = time.monotonic()
        _say("ready")
        while words := (await asyncio.to_thread(sys.stdin.readline)).split():
            name, *arguments = words
            _say(await agent.orders[name](*arguments))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
