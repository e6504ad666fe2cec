"""A call that nobody of ours placed, its observers, and somebody with an ARI client of his own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack

from bridge.ari import AriConnection
from bridge.lab.demo.ears import Ear, FrameEar
from bridge.lab.demo.measured import MeasuredMatrix, measured_matrix
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, tone
from bridge.lab.phones import Tone
from bridge.model.audibility import Matrix
from bridge.model.errors import CallbridgeError
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime import Controller
from bridge.runtime.names import key_of
from bridge.sdk import Observer
from bridge.topology.standing import AudibilityReport
from tests.audio.cells import CLEAR_BELOW_DB
from tests.support.hearing import UnclearError, settles
from tests.support.pbx import SENT_DBFS, Pbx, Program, until_true

RATE = 16000
FRAME_S = 0.02
PEOPLE = {
    CALLER: TONES["caller"],
    CALLEE: TONES["callee"],
    Participant("ann"): TONES["supervisor"],
    Participant("bob"): TONES["observer"],
    Participant("cy"): TONES["consult"],
    Participant("spy"): TONES["agent"],
    Participant("coach"): TONES["other_caller"],
    Participant("barger"): TONES["other_callee"],
}
"""Everybody's tone, Hz."""


class Room:
    """One call, by ``open_room``."""

    def __init__(self, pbx: Pbx, program: Program, stack: AsyncExitStack) -> None:
        self.pbx = pbx
        self.client = program.client
        self.call_id = ""
        self.parties: dict[Participant, DirectParty] = {}
        self.observers: dict[Participant, Observer] = {}
        self.reports: list[AudibilityReport] = []
        """The differences that were told."""
        self.ears: dict[Participant, Ear] = {}
        self._stack = stack
        self.controller.audibility_check.listeners.append(self.reports.append)
        # Tests check when they want to.
        self.controller.audibility_check.every_seconds = 3600.0

    @property
    def controller(self) -> Controller:
        """That of the client."""
        return self.client._connected()

    @property
    def saboteur(self) -> AriConnection:
        """Somebody else's ARI client."""
        return self.pbx._observer

    async def look(self) -> AudibilityReport:
        """Return who hears whom."""
        return await self.controller.audibility(self.call_id)

    async def check(self) -> None:
        """Do what is done every few seconds."""
        await self.controller.audibility_check.check()

    async def heard(self, seconds: float = 0.4) -> MeasuredMatrix:
        """Return who is measured to hear whom.

        Frames that a busy machine lost make a voice faint for that while: it is measured again.
        """
        tones = {name: hz for name, hz in PEOPLE.items() if name in self.ears}
        measured = await measured_matrix(self.ears, tones, seconds, sent_dbfs=SENT_DBFS)
        for _ in range(2):
            if measured.odd:
                measured = await measured_matrix(self.ears, tones, seconds, sent_dbfs=SENT_DBFS)
        return measured

    async def hears(self, expected: Matrix) -> None:
        """Fail unless exactly these are measured to hear each other, of those who have ears."""

        async def look() -> Matrix:
            measured = await self.heard()
            if measured.odd:
                # A voice that is clearly there where it must not be is no smear.
                unclear = {
                    cell
                    for cell, dbfs in measured.odd.items()
                    if cell in expected or dbfs <= SENT_DBFS - CLEAR_BELOW_DB
                }
                there = measured.heard - unclear
                raise UnclearError(measured.odd, there=there, unclear=unclear)
            return measured.heard

        cells = {(one, other) for one in self.ears for other in self.ears}
        await settles(look, expected & cells)

    async def object(self, key: str, owner: str = "") -> str:
        """Return the id of the channel or bridge of ours that has a key; owner: part of the id."""
        ids = [*await self.pbx.channels(), *await self.pbx.bridges()]
        (found,) = [i for i in ids if key_of(i) == key and owner in i]
        return found

    async def program(self, name: str) -> Observer:
        """Let a program observe, and say its tone."""
        observer = await self.client.observe(self.call_id, name)
        self._embody(Participant(name), observer)
        return observer

    async def person(self, name: str) -> Observer:
        """Let somebody with a phone observe, and say his tone."""
        who = Participant(name)
        before = {party.channel_id for party in self.parties.values()}
        joining = asyncio.create_task(
            self.client.observe(self.call_id, name, phone=CALLEE_ENDPOINT)
        )
        try:
            channel_id = await self._rung(who, before)
            ari = self.pbx.instance.info.ari
            voice = Tone(PEOPLE[who], SENT_DBFS)
            await self._join(
                who, await self.pbx.keep(DirectParty.answer(ari, channel_id, tone=voice))
            )
            self.observers[who] = await joining
        finally:
            joining.cancel()
        return self.observers[who]

    async def stranger(self) -> str:
        """Let a channel come, of somebody else's application."""
        channel = await self.saboteur.channels.external_media(
            app=self.saboteur.settings.application, external_host="127.0.0.1:9", format="slin16"
        )
        self._stack.push_async_callback(self._hang_up, channel.id)
        return channel.id

    async def _hang_up(self, channel_id: str) -> None:
        await self.saboteur.channels.hangup(channel_id=channel_id)

    async def _rung(self, who: Participant, before: Iterable[str]) -> str:
        found: list[str] = []

        async def look() -> bool:
            ids = await self.pbx.channels()
            found[:] = [i for i in ids if key_of(i) == f"leg.{who}" and i not in before]
            return bool(found)

        await until_true(look, f"{who} is rung")
        return found[0]

    async def _join(self, who: Participant, party: DirectParty) -> None:
        self.parties[who] = party
        self.ears[who] = FrameEar(lambda: list(party.frames), RATE)

    def _embody(self, who: Participant, observer: Observer) -> None:
        self.observers[who] = observer
        frames: list[tuple[float, bytes]] = []
        self.ears[who] = FrameEar(lambda: frames, RATE)
        loop = asyncio.get_running_loop()

        async def listen() -> None:
            async for frame in observer.audio_stream():
                heard(loop.time(), frame)

        def heard(at: float, frame: bytes) -> None:
            frames.append((at, frame))

        async def speak() -> None:
            begin, samples = loop.time() - 10 * FRAME_S, round(RATE * FRAME_S)
            for number in range(60 * 50):
                pcm = tone(PEOPLE[who], SENT_DBFS, FRAME_S, RATE, number * samples)
                try:
                    await observer.send_audio(pcm.astype("<i2").tobytes())
                except CallbridgeError:
                    return
                await asyncio.sleep(begin + number * FRAME_S - loop.time())

        for work in (listen(), speak()):
            self._stack.push_async_callback(_ended, asyncio.create_task(work, name=f"{who}"))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


async def open_room(pbx: Pbx, stack: AsyncExitStack) -> Room:
    """Let two people talk whose call is a plain Dial(), and a client watch."""
    room = Room(pbx, await pbx.program(), stack)
    ari = pbx.instance.info.ari
    voices = {who: Tone(PEOPLE[who], SENT_DBFS) for who in (CALLER, CALLEE)}
    before = set(await pbx.channels())
    # What a caller says meanwhile, Dial() forwards, and a media channel not connected yet ends.
    caller = await pbx.keep(DirectParty.call(ari, "9000", tone=None))
    dialled: list[str] = []

    async def rung() -> bool:
        new = [c for c in await pbx.listed() if c.id not in before and c.id != caller.channel_id]
        dialled[:] = [c.id for c in new if c.name.startswith("WebSocket/") and c.state != "Up"]
        return bool(dialled)

    await until_true(rung, "the callee is rung")
    callee = await pbx.keep(DirectParty.answer(ari, dialled[0], tone=voices[CALLEE]))
    caller.voice = voices[CALLER]
    await room._join(CALLER, caller)
    await room._join(CALLEE, callee)
    found: list[str] = []

    async def listed() -> bool:
        channels = {caller.channel_id, callee.channel_id}
        calls = await room.client.live_calls()
        found[:] = [c.call_id for c in calls if set(c.channels.values()) == channels]
        return bool(found)

    try:
        await until_true(listed, "the call is live")
    except TimeoutError:
        live, there = await room.client.live_calls(), await pbx.listed()
        raise AssertionError(
            f"{caller.channel_id} is on none of {live}; there are {there}"
        ) from None
    room.call_id = found[0]
    return room
