"""A call, ours or somebody else's, with observers: exact ears, and a tone for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, LostFrame, gaps, levels, pcm_from_bytes, tone
from bridge.lab.phones import Tone
from bridge.lab.waiting import until
from bridge.model.errors import CallClosedError
from bridge.sdk import Client, Observer
from tests.audio.machine import whole
from tests.support.hearing import clearly, settles
from tests.support.pbx import CALLEE_TONE, CALLER_TONE, SENT_DBFS, Pbx, Program, until_true

RATE: Final = 16000
BOSS_TONE: Final = Tone(TONES["supervisor"], SENT_DBFS)
COACH_HZ: Final = TONES["observer"]
PARTIES: Final = frozenset({"caller", "callee"})
BOTH_HEAR: Final = {"caller": {"callee"}, "callee": {"caller"}}
DIRECT_CALLEE: Final = "9000"
"""Dialled for a plain Dial() to a direct party."""

_SETTLED_FRAMES: Final = 12
"""After a command: 240 ms, by which what it did is heard."""
_WINDOW_FRAMES: Final = 8
_HEARD_DBFS: Final = -30.0
_SILENT_DBFS: Final = -75.0
_VOICES: Final = ("caller", "callee", "supervisor", "observer")


class ProgramEar:
    """What a program that observes hears, and its tone while it is to speak."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.frames: list[bytes] = []

    async def listen(self) -> None:
        """Hear, until cancelled."""
        async for frame in self.observer.audio_stream():
            self.frames.append(frame)

    async def speak(self) -> None:
        """Say its tone, 0.2 s ahead, until it leaves."""
        begin, said = asyncio.get_running_loop().time(), 0
        while self.observer.left is None:
            pcm = tone(COACH_HZ, SENT_DBFS, 0.02, RATE, said * RATE // 50)
            try:
                await self.observer.send_audio(pcm.astype("<i2").tobytes())
            except CallClosedError:
                return
            said += 1
            due = begin + (said - 10) * 0.02
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


class Floor:
    """One program on a PBX, and whoever it observes."""

    def __init__(self, pbx: Pbx, program: Program, stack: AsyncExitStack) -> None:
        self.pbx = pbx
        self.program = program
        self._stack = stack

    @property
    def client(self) -> Client:
        """The program's."""
        return self.program.client

    async def own_call(self) -> Talk:
        """Two parties talk, on a call of the program's."""
        info = self.pbx.instance.info.ari
        caller = await self.pbx.keep(DirectParty.call(info, "1002", tone=CALLER_TONE))
        call = await self.program.next_call()
        connecting = asyncio.create_task(call.connect())
        leg = await self.pbx.callee_leg(call)
        callee = await self.pbx.keep(DirectParty.answer(info, leg, tone=CALLEE_TONE))
        await connecting
        return Talk(self.pbx, call.call_id, caller, callee)

    async def foreign_call(self, number: str = DIRECT_CALLEE) -> Talk:
        """Two parties talk, on a call that no application places. number: what is dialled."""
        talk = await plain_call(self.pbx, number)
        parties = {party.channel_id for party in talk.parties.values()}

        async def known() -> bool:
            for call in await self.client.live_calls():
                if parties == set(call.channels.values()):
                    talk.call_id = call.call_id
            return bool(talk.call_id)

        await until_true(known, "the call is live")
        return talk

    async def boss(
        self, talk: Talk, name: str = "boss", voice: Tone | None = BOSS_TONE, **options: Any
    ) -> tuple[Observer, DirectParty]:
        """Let somebody observe by a phone whose ear is exact; options as in Client.observe."""
        joining = asyncio.create_task(
            self.client.observe(talk.call_id, name, phone=CALLEE_ENDPOINT, **options)
        )
        try:
            leg = await rung(self.pbx, lambda i: f"leg.{name}" in i)
            ear = await self.pbx.keep(
                DirectParty.answer(self.pbx.instance.info.ari, leg, tone=voice)
            )
            return await joining, ear
        except TimeoutError:
            if joining.done():
                joining.result()
            raise
        finally:
            joining.cancel()

    async def coach(self, talk: Talk, name: str = "coach", **options: Any) -> ProgramEar:
        """Let a program observe, and say its tone all the time."""
        ear = ProgramEar(await self.client.observe(talk.call_id, name, **options))
        for work in (ear.listen(), ear.speak()):
            task = asyncio.create_task(work, name=f"{name}'s audio")
            self._stack.push_async_callback(_ended, task)
        return ear


@dataclass
class Talk:
    """Two who talk. call_id: empty when nobody observes them yet."""

    pbx: Pbx
    call_id: str
    caller: DirectParty
    callee: DirectParty

    @property
    def parties(self) -> dict[str, DirectParty]:
        """Both ears, by role."""
        return {"caller": self.caller, "callee": self.callee}

    async def bridge(self) -> tuple[str, frozenset[str]]:
        """Return the id of the parties' bridge and its members."""
        found = [
            (b.id, frozenset(b.channels))
            for b in await self.pbx.listed_bridges()
            if self.caller.channel_id in b.channels
        ]
        assert len(found) == 1
        return found[0]

    async def each_other(self) -> None:
        """Wait until the parties hear each other, and forget what they heard before."""
        await will_hear(self.parties, BOTH_HEAR)
        self.caller.clear()
        self.callee.clear()

    async def nothing_lost(self) -> None:
        """Fail if frames were lost between the parties since ``each_other()``.

        One may be: two timers of Asterisk's whose ticks fall together cost a frame now and then,
        whoever observes (tests/audio/machine.py). What loses one loses more in these tests, which
        change something many times.
        """
        for who, lost in (await self.lost()).items():
            whole(len(lost) <= 1, f"{who} missed {lost}")

    async def lost(self) -> dict[str, list[LostFrame]]:
        """Return the frames of each other that the parties missed since ``each_other()``."""
        for party in self.parties.values():
            await party.wait_frames(len(party.frames) + 10)
        return {
            "caller": gaps(self.caller.pcm(), RATE, TONES["callee"]),
            "callee": gaps(self.callee.pcm(), RATE, TONES["caller"]),
        }

    async def over(self) -> None:
        """Let the parties hang up."""
        await self.caller.hangup()
        await self.callee.wait_closed()


@asynccontextmanager
async def opened(pbx: Pbx, **arguments: Any) -> AsyncIterator[Floor]:
    """A program, arguments as in Client, which watches the PBX already."""
    program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT, **arguments)
    await program.client.live_calls()
    async with AsyncExitStack() as stack:
        yield Floor(pbx, program, stack)


async def rung(pbx: Pbx, meant: Callable[[str], bool]) -> str:
    """Wait for a channel that can be answered by a media socket; return its id."""
    found: list[str] = []

    async def look() -> bool:
        found[:] = [
            c.id
            for c in await pbx.listed()
            if c.name.startswith("WebSocket/") and c.state != "Up" and meant(c.id)
        ]
        return bool(found)

    await until_true(look, "somebody is rung")
    return found[0]


async def plain_call(pbx: Pbx, number: str = DIRECT_CALLEE) -> Talk:
    """Let one call another without any application. number: what is dialled."""
    info = pbx.instance.info.ari
    before = set(await pbx.channels())
    # What a caller says meanwhile, Dial() forwards, and a media channel not connected yet ends.
    caller = await pbx.keep(DirectParty.call(info, number, tone=None))
    leg = await rung(pbx, lambda i: i not in before and i != caller.channel_id)
    callee = await pbx.keep(DirectParty.answer(info, leg, tone=CALLEE_TONE))
    caller.voice = CALLER_TONE
    return Talk(pbx, "", caller, callee)


Ear = DirectParty | ProgramEar
Ears = Mapping[str, Ear]
Hears = Mapping[str, set[str]]
"""Whose voices everybody hears."""


async def hears(ears: Ears, expected: Hears) -> None:
    """Fail unless everybody hears exactly these voices from now on.

    A frame that this machine was late with smears all tones over the others, so what is faint is
    measured again: a leak stays.
    """
    wanted = {(who, voice) for who, voices in expected.items() for voice in voices}
    assert expected.keys() == ears.keys()
    await settles(lambda: _measured(ears), wanted)


async def _measured(ears: Ears) -> set[tuple[str, str]]:
    begin = {name: len(ear.frames) + _SETTLED_FRAMES for name, ear in ears.items()}
    await until(
        lambda: all(len(ear.frames) >= begin[name] + _WINDOW_FRAMES for name, ear in ears.items()),
        "all hear",
    )
    found = {
        (name, voice): dbfs
        for name, ear in ears.items()
        for voice, dbfs in _voices(_window(ear, begin[name])).items()
    }
    return clearly(found, absent_dbfs=_SILENT_DBFS, present_dbfs=_HEARD_DBFS)


async def will_hear(ears: Ears, expected: Hears) -> None:
    """Wait until everybody hears whom he is to hear, and see that it stays so."""

    async def as_wanted() -> bool:
        try:
            await hears(ears, expected)
        except AssertionError:
            return False
        return True

    await until_true(as_wanted, f"heard: {expected}")
    await hears(ears, expected)


def _window(ear: Ear, begin: int) -> list[bytes]:
    frames = ear.frames if isinstance(ear, ProgramEar) else [frame for _, frame in ear.frames]
    return frames[begin : begin + _WINDOW_FRAMES]


def _voices(frames: list[bytes]) -> dict[str, float]:
    hz = {name: TONES[name] for name in _VOICES}
    return levels(pcm_from_bytes(b"".join(frames)), RATE, hz)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(outcome, Exception):
        raise outcome
