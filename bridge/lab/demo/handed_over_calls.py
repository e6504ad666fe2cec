"""The calls of the third act: of phones, whose human has keys, and of direct ears."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Final

from bridge.ari import AriConnection
from bridge.lab.asterisk import AriInfo
from bridge.lab.demo.agent import ToneAgent
from bridge.lab.demo.desk import Desk
from bridge.lab.demo.ears import FrameEar
from bridge.lab.demo.handed_over_story import BRIEF, HUMAN
from bridge.lab.demo.scene import Scene
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import tone
from bridge.lab.phones import CallState, Phone, Tone
from bridge.lab.ringing import rung_channel
from bridge.lab.waiting import until
from bridge.model.errors import PhoneError
from bridge.model.participants import CALLER, Participant
from bridge.sdk import ActiveCall
from bridge.sdk.transfer import Transfer
from bridge.session.transfer.effects import Outcome

PHONE_NUMBER: Final = "1001"
"""The caller's, among the phones."""
DIRECT_NUMBER: Final = "1999"
HUMAN_NUMBER: Final = "1003"
DIALLED: Final = "1002"
"""By both callers; the AI answers."""

_BRIEF_SECONDS: Final = 10.0
"""Longer than all that is done and measured while somebody hears it."""
_DEADLINE_S: Final = 5.0


class HandedOverCall(ABC):
    """What is the same on both: the AI, and how it transfers. See HandedOver."""

    def __init__(self, desk: Desk, scene: Scene) -> None:
        self.scene = scene
        self._desk = desk
        self._call: ActiveCall | None = None
        self._agent: ToneAgent | None = None
        self._transfer: Transfer | None = None

    @property
    def call(self) -> ActiveCall:
        """The call. Raises PhoneError before it has come."""
        if self._call is None:
            raise PhoneError("nobody has called yet")
        return self._call

    @property
    def transferring(self) -> Transfer:
        """The transfer that was begun last. Raises PhoneError before there was one."""
        if self._transfer is None:
            raise PhoneError("nobody was transferred yet")
        return self._transfer

    async def ask(self) -> float:
        """See HandedOver."""
        self._call = await self._dial()
        await self._call.answer()
        self._agent = ToneAgent.on(self.scene, self._call)
        return time.monotonic()

    async def complete(self) -> float:
        """See HandedOver."""
        began = time.monotonic()
        await self.transferring.complete(cut=True)
        await self._ends(Outcome.COMPLETED)
        return began

    async def dismiss_ai(self) -> None:
        """Let the AI fall silent, if there is one."""
        if self._agent is not None:
            await self._agent.aclose()

    @abstractmethod
    async def transfer(self) -> float:
        """See HandedOver."""

    @abstractmethod
    async def pick_up(self) -> float:
        """See HandedOver."""

    @abstractmethod
    async def decline(self) -> float:
        """See HandedOver."""

    @abstractmethod
    async def consult(self) -> float:
        """See HandedOver."""

    @abstractmethod
    async def hang_up(self) -> None:
        """Let the caller hang up."""

    @abstractmethod
    async def _dial(self) -> ActiveCall:
        """Let the caller dial; return the call as it has come to the AI."""

    async def _back(self) -> None:
        """Wait until the caller is back with the AI, as nobody has taken him, and let it speak."""
        await self._ends(Outcome.FAILED)
        if self._agent is not None:
            self._agent.speak_now()

    async def _ends(self, wanted: Outcome) -> None:
        outcome = await self.transferring.wait()
        if outcome is not wanted:
            why = self.transferring.error_message
            raise PhoneError(f"the transfer ended: {outcome}, not {wanted}; {why}")

    def _brief(self) -> bytes:
        hz, scene = self.scene.tones[BRIEF], self.scene
        return tone(hz, scene.sent_dbfs, _BRIEF_SECONDS, scene.rate).astype("<i2").tobytes()


class PhonesHandover(HandedOverCall):
    """Caller and human have phones; the human presses keys."""

    def __init__(self, desk: Desk, scene: Scene, caller: Phone, human: Phone) -> None:
        super().__init__(desk, scene)
        self._caller = caller
        self._human = human

    async def transfer(self) -> float:
        """See HandedOver."""
        began = time.monotonic()
        await self._ring(consult=False)
        return began

    async def pick_up(self) -> float:
        """See HandedOver."""
        await self._human.answer()
        await self._human.wait_state(CallState.CONFIRMED)
        return time.monotonic()

    async def decline(self) -> float:
        """See HandedOver."""
        began = time.monotonic()
        await self._human.dtmf("2")
        await self._back()
        return began

    async def consult(self) -> float:
        """See HandedOver."""
        await self._human.wait_state(CallState.DISCONNECTED)
        await self._ring(consult=True)
        await self.pick_up()
        began = time.monotonic()
        await self._human.dtmf("1")
        await self.transferring.wait_accepted()
        return began

    async def hang_up(self) -> None:
        """See HandedOver."""
        await self._caller.hangup()
        for phone in (self._caller, self._human):
            await phone.wait_state(CallState.DISCONNECTED)

    async def _dial(self) -> ActiveCall:
        await self._caller.call(DIALLED)
        return await self._desk.next_call(PHONE_NUMBER)

    async def _ring(self, *, consult: bool) -> None:
        self._transfer = await self.call.transfer(
            HUMAN_NUMBER, brief=self._brief(), accept="key", consult=consult
        )
        await until(self._rings, "the human's phone rings", within_s=_DEADLINE_S)

    def _rings(self) -> bool:
        return self._human.state in {CallState.INCOMING, CallState.EARLY}


class DirectHandover(HandedOverCall):
    """Both are heard directly, frame by frame; the human has no keys: he answers, or hangs up.

    stack: hangs up whoever came. ari: looks at channels.
    """

    def __init__(
        self, desk: Desk, scene: Scene, info: AriInfo, ari: AriConnection, stack: AsyncExitStack
    ) -> None:
        super().__init__(desk, scene)
        self._info = info
        self._ari = ari
        self._stack = stack
        self._caller: DirectParty | None = None
        self._legs: set[str] = set()
        self._humans: list[DirectParty] = []
        """One for each time that his phone rang."""

    async def transfer(self) -> float:
        """See HandedOver."""
        began = time.monotonic()
        # With a brief that is not over before he has hung up.
        await self._ring(brief=self._brief(), consult=False)
        return began

    async def pick_up(self) -> float:
        """See HandedOver."""
        leg = await rung_channel(
            self._ari, lambda name: self._is_his(name) and name not in self._legs
        )
        self._legs.add(leg)
        voice = self._voice(HUMAN)
        human = await self._came(DirectParty.answer(self._info, leg, tone=voice))
        self._humans.append(human)
        self.scene.embody(HUMAN, FrameEar(self._heard_by_human, self.scene.rate))
        return time.monotonic()

    async def decline(self) -> float:
        """See HandedOver."""
        began = time.monotonic()
        await self._humans[-1].hangup()
        await self._back()
        return began

    async def consult(self) -> float:
        """See HandedOver."""
        await self._ring(brief=None, consult=True)
        began = await self.pick_up()
        await self.transferring.wait_accepted()
        return began

    async def hang_up(self) -> None:
        """See HandedOver."""
        if self._caller is not None:
            await self._caller.hangup()
        for human in self._humans:
            await human.wait_closed()

    async def _dial(self) -> ActiveCall:
        caller = self._caller = await self._came(
            DirectParty.call(
                self._info, DIALLED, tone=self._voice(CALLER), caller_number=DIRECT_NUMBER
            )
        )
        self.scene.embody(CALLER, FrameEar(lambda: caller.frames, self.scene.rate))
        return await self._desk.next_call(DIRECT_NUMBER)

    async def _ring(self, *, brief: bytes | None, consult: bool) -> None:
        self._transfer = await self.call.transfer(
            CALLEE_ENDPOINT, brief=brief, accept="answer", consult=consult
        )

    def _is_his(self, channel_id: str) -> bool:
        return f"{self.call.call_id}-leg." in channel_id and "-leg.caller-" not in channel_id

    def _heard_by_human(self) -> list[tuple[float, bytes]]:
        return [frame for human in self._humans for frame in human.frames]

    async def _came(self, coming: Awaitable[DirectParty]) -> DirectParty:
        party = await coming
        self._stack.push_async_callback(party.hangup)
        return party

    def _voice(self, who: Participant) -> Tone:
        return Tone(self.scene.tones[who], self.scene.sent_dbfs)
