"""The calls of the second act: of phones, whose supervisor has keys, and of direct ears."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from bridge.ari import AriConnection
from bridge.directory import LiveCall
from bridge.lab.asterisk import AriInfo
from bridge.lab.demo.agent import ToneAgent
from bridge.lab.demo.ears import FrameEar
from bridge.lab.demo.scene import Scene
from bridge.lab.demo.supervised_story import SUPERVISOR
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.phones import CallState, Phone, Tone
from bridge.lab.ringing import rung, rung_channel
from bridge.lab.together import together
from bridge.lab.waiting import POLL_S, until
from bridge.model.errors import CapabilityError, LabError, PhoneError
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.audit import AuditRecord
from bridge.sdk import Client, Observer

DIRECT_NUMBER: Final = "9000"
"""Dialled for a plain Dial() to a direct party."""

_DEADLINE_S: Final = 5.0
_LISTENS_FRAMES: Final = 10
"""How long an AI only listens before it whispers: 0.2 s."""


class SupervisedCall(ABC):
    """What is the same on both: the AI, and how the call is found. See Supervised."""

    def __init__(self, client: Client, scene: Scene) -> None:
        self.scene = scene
        self._client = client
        self._live: LiveCall | None = None
        self._ai: Observer | None = None
        self._agent: ToneAgent | None = None

    @property
    def live(self) -> LiveCall:
        """The call as it was listed when it had been placed."""
        if self._live is None:
            raise PhoneError("the call has not been placed yet")
        return self._live

    async def place(self) -> float:
        """See Supervised."""
        channels = await self._connect()
        self._live = await _listed(self._client, channels)
        return time.monotonic()

    async def coach(self) -> float:
        """See Supervised."""
        # "ai" is the name of the agent on a call that a program has taken.
        self._ai = await self._client.observe(self.live.call_id, "coach")
        agent = self._agent = ToneAgent.on(self.scene, self._ai)
        await until(lambda: len(agent.frames) >= _LISTENS_FRAMES, "the AI hears the call")
        began = time.monotonic()
        try:
            await self._ai.whisper(CALLER)
        except CapabilityError:
            await self.dismiss_ai()
            raise
        agent.speak_now()
        return began

    async def leave(self) -> float:
        """See Supervised."""
        await asyncio.gather(self._hang_up(), self.dismiss_ai())
        return time.monotonic()

    async def dismiss_ai(self) -> None:
        """Let the AI leave, if there is one."""
        ai, self._ai = self._ai, None
        agent, self._agent = self._agent, None
        if ai is not None:
            await ai.leave(cut=True)
        if agent is not None:
            await agent.aclose()

    @abstractmethod
    async def _connect(self) -> Callable[[LiveCall], bool]:
        """Let the parties talk; return what tells their call."""

    @abstractmethod
    async def _hang_up(self) -> None:
        """Let the supervisor hang up; return when he is off the call."""


class PhonesCall(SupervisedCall):
    """Phones call one another past all applications; the supervisor presses keys."""

    def __init__(self, client: Client, scene: Scene, phones: Mapping[Participant, Phone]) -> None:
        super().__init__(client, scene)
        self._phones = phones

    async def spy(self) -> float:
        """See Supervised."""
        code = f"*55{self._phones[CALLEE].settings.number}"
        record, began = await self._noted(
            lambda: self._phones[SUPERVISOR].call(code), lambda record: record.what == "joined"
        )
        if record.call_id != self.live.call_id:
            raise PhoneError(f"{code} led to call {record.call_id}, not to {self.live}")
        return began

    async def whisper(self) -> float:
        """See Supervised."""
        return await self._press("5")

    async def barge(self) -> float:
        """See Supervised."""
        return await self._press("6")

    async def _connect(self) -> Callable[[LiveCall], bool]:
        caller, callee = self._phones[CALLER], self._phones[CALLEE]
        await caller.call(f"9{callee.settings.number}")
        await asyncio.gather(*(p.wait_state(CallState.CONFIRMED) for p in (caller, callee)))
        endpoints = {f"PJSIP/{phone.settings.number}" for phone in (caller, callee)}
        return lambda call: {party.endpoint for party in call.parties if party.up} == endpoints

    async def _hang_up(self) -> None:
        await self._noted(
            self._phones[SUPERVISOR].hangup, lambda record: record.what.startswith("left")
        )

    async def _press(self, key: str) -> float:
        record, began = await self._noted(
            lambda: self._phones[SUPERVISOR].dtmf(key), lambda record: record.by == f"key {key}"
        )
        if record.result == "done":
            return began
        if self._client.capabilities.whisper_to_silent_leg is False:
            raise CapabilityError(record.result)
        raise PhoneError(f"key {key} was refused: {record.result}")

    async def _noted(
        self, act: Callable[[], Awaitable[None]], meant: Callable[[AuditRecord], bool]
    ) -> tuple[AuditRecord, float]:
        """Do something with the supervisor's phone; return what the audit says, and when it was."""
        found: list[AuditRecord] = []
        begin = len(self._client.audit.records)

        def noted() -> bool:
            found[:] = [
                record
                for record in self._client.audit.records[begin:]
                if record.who.startswith("supervisor") and meant(record)
            ]
            return bool(found)

        began = time.monotonic()
        await act()
        await until(noted, "the supervisor's phone has done something", within_s=_DEADLINE_S)
        return found[0], began


class DirectCall(SupervisedCall):
    """Parties and supervisor are heard directly, frame by frame; the SDK commands the supervisor.

    stack: hangs up whoever came. ari: looks at channels.
    """

    def __init__(
        self,
        client: Client,
        scene: Scene,
        info: AriInfo,
        ari: AriConnection,
        stack: AsyncExitStack,
    ) -> None:
        super().__init__(client, scene)
        self._info = info
        self._ari = ari
        self._stack = stack
        self._supervisor: Observer | None = None
        self._phone: DirectParty | None = None
        """The supervisor's."""

    async def spy(self) -> float:
        """See Supervised."""
        began = time.monotonic()
        self._supervisor, self._phone = await together(
            self._client.observe(self.live.call_id, SUPERVISOR, phone=CALLEE_ENDPOINT),
            self._pick_up(),
        )
        return began

    async def whisper(self) -> float:
        """See Supervised."""
        began = time.monotonic()
        await self._seated().whisper(CALLEE)
        return began

    async def barge(self) -> float:
        """See Supervised."""
        began = time.monotonic()
        await self._seated().barge()
        return began

    async def _connect(self) -> Callable[[LiveCall], bool]:
        # What a caller says is forwarded to whom Dial() rings; a channel that has no socket yet
        # cannot take it, and is given up.
        caller = await self._came(CALLER, DirectParty.call(self._info, DIRECT_NUMBER, tone=None))
        # The caller's own channel may be listed as it was before it was up.
        leg = await rung(
            self._ari,
            lambda channel: (
                channel.name.startswith("WebSocket/")
                and channel.state != "Up"
                and channel.id != caller.channel_id
            ),
        )
        callee = await self._came(
            CALLEE, DirectParty.answer(self._info, leg, tone=self._voice(CALLEE))
        )
        caller.voice = self._voice(CALLER)
        channels = {caller.channel_id, callee.channel_id}
        return lambda call: set(call.channels.values()) == channels

    async def _hang_up(self) -> None:
        if self._phone is not None:
            await self._phone.hangup()
        await self._seated().wait_left()

    async def _pick_up(self) -> DirectParty:
        """Let the supervisor answer."""
        leg = await rung_channel(self._ari, lambda name: f"leg.{SUPERVISOR}" in name)
        answering = DirectParty.answer(self._info, leg, tone=self._voice(SUPERVISOR))
        return await self._came(SUPERVISOR, answering)

    async def _came(self, who: Participant, coming: Awaitable[DirectParty]) -> DirectParty:
        party = await coming
        self._stack.push_async_callback(party.hangup)
        self.scene.embody(who, FrameEar(lambda: party.frames, self.scene.rate))
        return party

    def _voice(self, who: Participant) -> Tone:
        return Tone(self.scene.tones[who], self.scene.sent_dbfs)

    def _seated(self) -> Observer:
        if self._supervisor is None:
            raise PhoneError("the supervisor has not joined yet")
        return self._supervisor


async def _listed(client: Client, meant: Callable[[LiveCall], bool]) -> LiveCall:
    """Wait until a call is live. Raises LabError when it is not in time."""
    try:
        async with asyncio.timeout(_DEADLINE_S):
            while True:
                for call in await client.live_calls():
                    if meant(call):
                        return call
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        message = f"the parties talk, and their call was not listed within {_DEADLINE_S:g} s"
        raise LabError(message) from error
