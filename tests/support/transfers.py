"""A call that is transferred, and what everybody on it hears in each phase."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from bridge import ActiveCall
from bridge.ari import events
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import first_heard, level_dbfs, tone
from bridge.lab.waiting import until
from bridge.model.ids import CallId
from bridge.model.participants import Participant
from bridge.runtime import CallEngine
from bridge.sdk.transfer import Transfer
from bridge.session.transfer import Stage
from tests.support.conference import HZ, RATE, Conference, Pairs
from tests.support.pbx import (
    CALLEE_TONE,
    CALLER_TONE,
    SENT_DBFS,
    DirectCall,
    Pbx,
    Program,
    until_true,
)

HUMAN = CALLEE_ENDPOINT
"""A target whom a test lets answer, or not."""
BEEP_HZ = 660.0
NOBODY = "PJSIP/1777"
"""A target that does not exist."""


@dataclass
class TransferScene:
    """A caller, an AI that never stops saying its tone, and maybe a callee; all are measured."""

    pbx: Pbx
    program: Program
    conference: Conference

    @classmethod
    async def begin(cls, pbx: Pbx, *, callee: bool = False) -> TransferScene:
        """Let the AI answer a caller and, if wanted, connect the callee."""
        program = await pbx.program(route=lambda _call: CALLEE_ENDPOINT)
        caller = await pbx.keep(DirectParty.call(pbx.instance.info.ari, "1002", tone=CALLER_TONE))
        call = await program.next_call()
        direct = DirectCall(pbx, call, caller, callee_tone=CALLEE_TONE)
        conference = await Conference.of(direct, connect=callee)
        return cls(pbx, program, conference)

    @property
    def call(self) -> ActiveCall:
        """The call, as its program has it."""
        return self.conference.call

    @property
    def engine(self) -> CallEngine:
        """The call, as the runtime has it; it goes on when the AI has left."""
        return self.pbx.engine(self.call)

    async def transfer(self, to: Any = HUMAN, **options: Any) -> Transfer:
        """Begin a transfer; the AI says its tone from then on, to whoever hears it."""
        transfer = await self.call.transfer(to, **options)
        await self.conference.speak()
        return transfer

    async def answer(self, name: str = "human") -> DirectParty:
        """Wait until a human is rung, and pick up for him; he says his tone.

        Returns when he is on the call: being offered it, or talking.
        """
        party = await self.conference.pick_up(name)
        self.conference.people[name] = party
        who = Participant(name)

        def there() -> bool:
            transfer = self.pbx.controller(self.program.client).transfers.of(
                CallId(self.call.call_id)
            )
            return transfer is None or who in transfer.offered or transfer.state.human == who

        await until(there, f"{name} has joined")
        return party

    async def press(self, name: str, key: str) -> float:
        """Let a key be pressed at somebody's phone; return when, by ``time.monotonic()``.

        A direct party has no keys: the runtime is told what Asterisk tells of a phone's.
        """
        channel_id = self.engine.executor.channel_of(Participant(name))
        channel = next(c for c in await self.pbx.listed() if c.id == channel_id)
        event = events.ChannelDtmfReceived(
            application="callbridge", timestamp="", digit=key, duration_ms=100, channel=channel
        )
        at = time.monotonic()
        self.engine.handset(event)
        return at

    async def hears(self, expected: Pairs, *, music: Collection[str] = ()) -> None:
        """Fail unless exactly these hear each other now, and exactly ``music`` hear music.

        Speakers: those on the call, ``ai``, and ``brief``.
        """
        await self.conference.hears_with_music(expected, music)

    async def parties_hear(self, expected: Pairs, *, music: Collection[str] = ()) -> None:
        """As ``hears``, without the ears of the AI, which may have left."""
        await self.conference.parties_hear(expected, *music)
        await self.conference.has_music(music)

    async def speak_to(self, *names: str) -> None:
        """Let the AI say its tone for a minute; return when all these hear it."""
        for name in names:
            self.conference.people[name].clear()
        await self.conference.speak()

        def heard() -> bool:
            people = (self.conference.people[name] for name in names)
            return all(first_heard(list(p.frames), RATE, HZ["ai"], SENT_DBFS - 20) for p in people)

        await until(heard, f"{names} hear the AI")

    async def hears_ringing(self, name: str) -> None:
        """Wait until somebody hears it ring: two seconds in every six."""

        async def rings() -> bool:
            return name in await self.conference.music()

        await until_true(rings, f"{name} hears ringing", within_s=8)

    async def hears_beeps(self, name: str) -> None:
        """Wait until somebody hears the tones that ask him for a key; they are no voice of ours."""
        party = self.conference.people[name]

        async def beeps() -> bool:
            party.clear()
            await party.wait_frames(10)
            return level_dbfs(party.pcm(), RATE, BEEP_HZ) > SENT_DBFS - 20

        await until_true(beeps, f"{name} hears beeps")

    async def gone(self, name: str) -> None:
        """Wait until somebody was hung up; he is measured no more."""
        await self.conference.people.pop(name).wait_closed()

    async def hang_up(self, name: str) -> None:
        """Let somebody hang up; he is measured no more."""
        await self.conference.people.pop(name).hangup()


@cache
def spoken_brief(seconds: float) -> bytes:
    """Return a brief that can be told from all voices."""
    return tone(HZ["brief"], SENT_DBFS, seconds, RATE).astype("<i2").tobytes()


def stage_of(transfer: Transfer) -> Stage:
    """Return where a transfer stands; see ``state_of`` of a call."""
    return transfer.stage
