"""A call of several parties, whose audio Asterisk hands over directly, and who hears whom."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt

from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, Pcm, gaps, levels, pcm_from_bytes, tone
from bridge.lab.phones import Tone
from bridge.media.ears import AudioStream
from bridge.sdk import ActiveCall
from tests.support.hearing import UnclearError, clearly, settles
from tests.support.pbx import SENT_DBFS, DirectCall, Pbx, until_true

RATE = 16000
AGENT = "ai"
HZ = {
    "caller": TONES["caller"],
    "callee": TONES["callee"],
    "expert": TONES["consult"],
    "friend": TONES["observer"],
    AGENT: TONES["agent"],
    "boss": TONES["supervisor"],
    "human": TONES["other_callee"],
    "human2": TONES["other_observer"],
    "brief": TONES["other_agent"],
}
"""What everybody says."""

PRESENT_DBFS = SENT_DBFS - 3
ABSENT_DBFS = SENT_DBFS - 60
_MUSIC_DBFS = SENT_DBFS - 20
_SETTLED_FRAMES = 12
"""After a command has returned, everything that was on its way has been heard by then."""
_LOOK_FRAMES = 8
_AGENT_FRAMES = 10 + _LOOK_FRAMES
_LOOKS = 3
_MUSIC_FRAMES = 50
_NOTHING_SECONDS = 1.0

Pairs = set[tuple[str, str]]
"""(listener, speaker)."""


@dataclass
class Conference:
    """A connected call and its parties; the agent, when he is heard, says his tone without end."""

    pbx: Pbx
    _call: ActiveCall | None
    people: dict[str, DirectParty] = field(default_factory=dict)
    _ear: AudioStream | None = None
    _legs: set[str] = field(default_factory=set)
    """Channels that were picked up: one that has just ended may still be listed."""

    @classmethod
    async def of(cls, direct: DirectCall, *, connect: bool = True) -> Self:
        """Answer a call and, if wanted, connect the callee."""
        await direct.call.answer()
        conference = cls(direct.pbx, direct.call, {"caller": direct.caller})
        if connect:
            conference.people["callee"] = await direct.connect()
        return conference

    @classmethod
    def heard_only(cls, pbx: Pbx, people: dict[str, DirectParty]) -> Self:
        """Listen to people whose call no program of ours has."""
        return cls(pbx, None, people)

    @property
    def call(self) -> ActiveCall:
        """The call, as its program has it."""
        assert self._call is not None
        return self._call

    async def add(self, name: str) -> DirectParty:
        """Let the agent add somebody, who answers at once."""
        adding = asyncio.create_task(self.call.add(CALLEE_ENDPOINT, name=name))
        try:
            self.people[name] = await self.pick_up(name)
            await adding
        finally:
            adding.cancel()
        return self.people[name]

    async def pick_up(self, name: str) -> DirectParty:
        """Wait until somebody is rung, and answer."""
        leg = await self.leg(name)
        self._legs.add(leg)
        voice = Tone(HZ[name], SENT_DBFS)
        return await self.pbx.keep(DirectParty.answer(self.pbx.instance.info.ari, leg, tone=voice))

    async def leg(self, name: str) -> str:
        """Wait until somebody has a leg; return its channel's id."""
        found: list[str] = []

        async def look() -> bool:
            found[:] = [
                i
                for i in await self.pbx.channels()
                if f"{self.call.call_id}-leg.{name}-" in i and i not in self._legs
            ]
            return bool(found)

        await until_true(look, f"{name} is rung")
        return found[0]

    async def speak(self) -> None:
        """Let the agent say his tone for a minute, and nothing that was to be said before."""
        self.call.clear_send_audio_buffer()
        await self.call.send_audio(_what_he_says())

    async def heard(self, *held: str) -> Pairs:
        """Measure who hears whom, the agent among them; each voice is there or it is silence.

        held: those whose music hides what is fainter than it. What is neither is measured again: a
        lost frame, which smears a voice over others, is over then, and a leak is not.
        """
        return await _clear(lambda: self._measure(held, agent=True))

    async def heard_by_parties(self, *held: str) -> Pairs:
        """Measure whom the parties hear; as ``heard``."""
        return await _clear(lambda: self._measure(held, agent=False))

    async def hears(self, expected: Pairs, *held: str) -> None:
        """Fail unless exactly these hear each other, the agent among them; as ``heard``."""
        await settles(lambda: self._measure(held, agent=True), expected)

    async def hears_with_music(self, expected: Pairs, music: Collection[str]) -> None:
        """As ``hears``, and fail unless exactly ``music`` hear music; both at the same time."""
        heard: set[str] = set()

        async def measure() -> Pairs:
            listening = asyncio.create_task(self._music(_SETTLED_FRAMES))
            try:
                pairs = await self._measure(music, agent=True)
                heard.clear()
                heard.update(await listening)
            finally:
                listening.cancel()
            return pairs

        await settles(measure, expected)
        if heard != set(music):
            await self.has_music(music)

    async def parties_hear(self, expected: Pairs, *held: str) -> None:
        """Fail unless exactly these parties hear these; as ``heard``."""
        await settles(lambda: self._measure(held, agent=False), expected)

    async def _measure(self, held: Collection[str], *, agent: bool) -> Pairs:
        await asyncio.gather(*map(_settled, self.people.values()))
        found: dict[tuple[str, str], float] = {}
        for name, party in self.people.items():
            voices = _voices(name, party.pcm()[-_LOOK_FRAMES * RATE // 50 :])
            # What is fainter than music is hidden by it.
            least = _MUSIC_DBFS if name in held else ABSENT_DBFS
            found |= {pair: dbfs for pair, dbfs in voices.items() if dbfs >= least}
        frames = await self._agent_hears() if agent else []
        if len(frames) == _AGENT_FRAMES:
            found |= _voices(AGENT, pcm_from_bytes(b"".join(frames[-_LOOK_FRAMES:])))
        there = clearly(found, absent_dbfs=ABSENT_DBFS, present_dbfs=PRESENT_DBFS)
        if 0 < len(frames) < _AGENT_FRAMES:
            raise UnclearError(f"{AGENT} got {len(frames)} frames", there=there)
        return there

    async def _agent_hears(self) -> list[bytes]:
        """Return what the agent hears; who hears nobody at all gets no frames."""
        self._ear = self._ear or self.call.audio_stream(max_seconds=0.2)
        frames: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NOTHING_SECONDS):
                while len(frames) < _AGENT_FRAMES:
                    frames.append(await anext(self._ear))
        return frames

    def clear(self) -> None:
        """Forget what was heard up to now."""
        for party in self.people.values():
            party.clear()

    async def missed(self, *names: str) -> dict[tuple[str, str], int]:
        """Return how many frames each of ``names`` missed of each other since ``clear()``."""
        parties = {name: self.people[name] for name in names}
        await asyncio.gather(*map(_settled, parties.values()))
        return {
            (listener, speaker): len(lost)
            for listener, party in parties.items()
            for speaker in parties
            if listener != speaker and (lost := gaps(party.pcm(), RATE, HZ[speaker]))
        }

    async def has_music(self, expected: Collection[str]) -> None:
        """Fail unless exactly these hear music.

        It was on its way perhaps, or frames were missing: from a second look on it is as it is to
        be.
        """
        if await self.music() != set(expected):
            assert await self.music() == set(expected)

    async def music(self) -> set[str]:
        """Return who hears, besides our voices, something else: the music of a hold."""
        self.clear()
        return await self._music(0)

    async def _music(self, after_frames: int) -> set[str]:
        begin = {name: len(party.frames) + after_frames for name, party in self.people.items()}
        await asyncio.gather(
            *(p.wait_frames(begin[name] + _MUSIC_FRAMES) for name, p in self.people.items())
        )
        heard = {
            name: pcm_from_bytes(b"".join(f for _, f in list(p.frames)[begin[name] :]))
            for name, p in self.people.items()
        }
        # In a thread of its own: whoever speaks here must not fall silent meanwhile.
        rests = await asyncio.to_thread(lambda: {n: _other_sound(pcm) for n, pcm in heard.items()})
        return {name for name, rest in rests.items() if rest > -60}


def _other_sound(pcm: Pcm) -> float:
    """Return the level, in dBFS, of what is left of a sound without our voices.

    Of its tenths of a second the one in the middle: music lasts, a lost frame does not.
    """
    parts = np.array_split(pcm.astype(np.float64), 10)
    return float(np.median([_rest(part) for part in parts]))


def _rest(sound: npt.NDArray[np.float64]) -> float:
    at = np.arange(len(sound)) / RATE
    basis = [f(2 * np.pi * hz * at) for hz in HZ.values() for f in (np.sin, np.cos)]
    voices, *_ = np.linalg.lstsq(np.stack(basis, axis=1), sound, rcond=None)
    rest = sound - np.stack(basis, axis=1) @ voices
    return float(20 * np.log10(max(1.0, np.sqrt(2 * np.mean(rest**2))) / 32768))


@cache
def _what_he_says() -> bytes:
    """Return a minute of the agent's tone: made anew, it would hold up whoever listens by 0.1 s."""
    return tone(HZ[AGENT], SENT_DBFS, 60.0, RATE).astype("<i2").tobytes()


async def _clear(measure: Callable[[], Awaitable[Pairs]]) -> Pairs:
    for _ in range(_LOOKS - 1):
        with contextlib.suppress(UnclearError):
            return await measure()
    return await measure()


def _voices(listener: str, pcm: Pcm) -> dict[tuple[str, str], float]:
    return {(listener, speaker): dbfs for speaker, dbfs in levels(pcm, RATE, HZ).items()}


def everyone(*names: str) -> Pairs:
    """Return all pairs of those who hear each other."""
    return {(a, b) for a in names for b in names if a != b}


async def _settled(party: DirectParty) -> None:
    await party.wait_frames(len(party.frames) + _SETTLED_FRAMES)
