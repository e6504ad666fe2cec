"""Calls to measure on: two parties who are heard directly, with this program between them or not.

Calls of others are made by an application of its own name, which bridges two channels that this
program never owns, as a ``Dial()`` of the PBX would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from bridge.ari import AriConnection, AriSettings, events
from bridge.ari.generated.events import AnyMessage
from bridge.lab.asterisk import InstanceInfo
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES, Pcm
from bridge.lab.hearing.lost import Missing, missing
from bridge.lab.phones import Tone
from bridge.lab.ringing import rung_channel
from bridge.lab.together import together
from bridge.lab.waiting import until
from bridge.model.errors import InvalidStateError
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.runtime.names import key_of
from bridge.sdk import ActiveCall, Client, Observer
from bridge.sdk import events as call_events
from bridge.topology.objects import leg_key

RATE: Final = 16000
SENT_DBFS: Final = -15.0
APPLICATION: Final = "callbridge-bench"
"""Watches, and has the calls of others."""
_DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Both:
    """What the parties of a call have heard."""

    caller: Pcm
    callee: Pcm

    def missing(self) -> Missing:
        """Return what both have missed of each other."""
        one = missing(self.caller, RATE, TONES["callee"])
        other = missing(self.callee, RATE, TONES["caller"])
        return Missing(one.lost + other.lost, one.held_up + other.held_up)


@dataclass(frozen=True)
class Pair:
    """Two parties who hear each other."""

    caller: DirectParty
    callee: DirectParty

    @property
    def ears(self) -> dict[Participant, DirectParty]:
        """Both parties."""
        return {CALLER: self.caller, CALLEE: self.callee}

    def clear(self) -> None:
        """Forget what both have heard."""
        self.caller.clear()
        self.callee.clear()

    def heard(self) -> Both:
        """Return what both have heard since ``clear``."""
        return Both(self.caller.pcm(), self.callee.pcm())

    async def hang_up(self) -> None:
        """End both parties."""
        await asyncio.gather(self.caller.hangup(), self.callee.hangup())


@dataclass(frozen=True)
class Placed(Pair):
    """A call of this program's."""

    call: ActiveCall
    answered_ms: float
    """How long ``answer()`` took."""
    connected_ms: float
    """From the beginning of the callee's audio to the return of ``connect()``."""


@dataclass(frozen=True)
class Foreign(Pair):
    """A call that this program never placed."""

    bridge_id: str


class Exchange:
    """Places calls and takes them down. Made by ``open_exchange``."""

    def __init__(self, info: InstanceInfo) -> None:
        ari = info.ari
        self._info = info
        self._watching = AriConnection(
            AriSettings(ari.url, ari.username, ari.password, APPLICATION), on_event=self._event
        )
        self._taken: set[str] = set()
        self._entered: set[str] = set()
        self._numbers = count(1)
        self._client: Client | None = None
        self.arrivals: asyncio.Queue[ActiveCall] = asyncio.Queue()
        self.listeners: list[Callable[[AnyMessage], None]] = []
        """Called with all that Asterisk tells who watches."""

    @property
    def watching(self) -> AriConnection:
        """Watches, and has the calls of others."""
        return self._watching

    @property
    def client(self) -> Client:
        """The program, when it runs here. Raises InvalidStateError when it does not."""
        if self._client is None:
            raise InvalidStateError("this exchange was opened without a client")
        return self._client

    async def call(self) -> DirectParty:
        """Let a party call."""
        return await DirectParty.call(self._info.ari, "1002", tone=_tone("caller"))

    async def pick_up(self, who: Participant = CALLEE, hz: float = TONES["callee"]) -> DirectParty:
        """Let who is rung next answer. Raises LabError when nobody is."""
        leg = await rung_channel(
            self._watching, lambda name: key_of(name) == leg_key(who) and name not in self._taken
        )
        self._taken.add(leg)
        return await DirectParty.answer(self._info.ari, leg, tone=Tone(hz, SENT_DBFS))

    async def arrive(self) -> tuple[DirectParty, ActiveCall]:
        """Let a party call this program; return him and the call, which is not answered yet."""
        caller = await self.call()
        async with asyncio.timeout(_DEADLINE_S):
            return caller, await self.arrivals.get()

    async def place(self) -> Placed:
        """Place a call to this program, answer it and connect it."""
        loop = asyncio.get_running_loop()
        caller, call = await self.arrive()
        began = loop.time()
        await call.answer()
        answered = loop.time()

        async def pick_up() -> tuple[DirectParty, float]:
            return await self.pick_up(), loop.time()

        _, (callee, picked_up) = await together(call.connect(), pick_up())
        return Placed(
            caller=caller,
            callee=callee,
            call=call,
            answered_ms=(answered - began) * 1000,
            connected_ms=(loop.time() - picked_up) * 1000,
        )

    async def place_foreign(self) -> Foreign:
        """Place a call that this program has nothing to do with."""
        bridge_id = f"{APPLICATION}-{next(self._numbers)}"
        # The caller is who came first.
        caller = await self._of_others("caller")
        callee = await self._of_others("callee")
        await self._watching.bridges.create_with_id(bridge_id=bridge_id, type="mixing")
        for party in (caller, callee):
            await self._watching.bridges.add_channel(
                bridge_id=bridge_id, channel=[party.channel_id]
            )
        return Foreign(caller=caller, callee=callee, bridge_id=bridge_id)

    async def observe(
        self, pair: Pair, name: Participant, hz: float, *, phone: bool
    ) -> tuple[Observer, DirectParty | None, float]:
        """Let an observer join a call, on a phone that says ``hz`` or as this program.

        Returns him, his phone, and the seconds from the command, or his answer, until he was there.
        """
        loop = asyncio.get_running_loop()
        await found(self.client, pair.caller.channel_id)
        began = loop.time()

        async def join() -> tuple[Observer, float]:
            observer = await self.client.observe(
                pair.caller.channel_id, name, phone=CALLEE_ENDPOINT if phone else None
            )
            return observer, loop.time()

        async def pick_up() -> tuple[DirectParty, float]:
            return await self.pick_up(name, hz), loop.time()

        if not phone:
            observer, there = await join()
            return observer, None, there - began
        (observer, there), (party, answered) = await together(join(), pick_up())
        return observer, party, max(0.0, there - answered)

    async def end(self, pair: Pair) -> None:
        """End a call for all."""
        if isinstance(pair, Placed):
            await pair.call.disconnect(cut=True)
        await pair.hang_up()
        if isinstance(pair, Foreign):
            await self._watching.bridges.destroy(bridge_id=pair.bridge_id)

    async def channels(self) -> int:
        """Return how many channels Asterisk has."""
        return len(await self._watching.channels.list())

    async def empty(self) -> None:
        """Wait until Asterisk has no channel. Raises TimeoutError."""
        async with asyncio.timeout(_DEADLINE_S):
            left = await self._watching.channels.list()
            while left:
                await asyncio.sleep(0.01)
                left = await self._watching.channels.list()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Be connected."""
        await self._watching.open()
        try:
            yield
        finally:
            await self._watching.close()

    async def take_calls(self, stack: AsyncExitStack) -> None:
        """Run the program here, until the stack unwinds."""
        ari = self._info.ari
        self._client = Client(
            ari.url,
            ari.username,
            ari.password,
            sample_rate=RATE,
            route=lambda _call: CALLEE_ENDPOINT,
        )
        self._client.on(call_events.INCOMING_CALL, self.arrivals.put_nowait)
        await stack.enter_async_context(self._client)

    async def _of_others(self, role: str) -> DirectParty:
        """Let a party enter our second application, by the context that each has."""
        party = await DirectParty.call(
            self._info.ari, "1", tone=_tone(role), context=f"stasis-{APPLICATION}"
        )
        await until(lambda: party.channel_id in self._entered, f"the {role} is there")
        return party

    def _event(self, event: AnyMessage) -> None:
        if isinstance(event, events.StasisStart):
            self._entered.add(event.channel.id)
        for listener in self.listeners:
            listener(event)


async def found(client: Client, channel_id: str) -> None:
    """Wait until a channel's call is among the live ones. Raises TimeoutError."""
    async with asyncio.timeout(_DEADLINE_S):
        calls = await client.live_calls()
        while not any(channel_id in call.channels.values() for call in calls):
            await asyncio.sleep(0.005)
            calls = await client.live_calls()


@asynccontextmanager
async def open_exchange(info: InstanceInfo, *, with_client: bool) -> AsyncIterator[Exchange]:
    """Connect to Asterisk; with a client of this program, or without, for one of another."""
    async with AsyncExitStack() as stack:
        exchange = Exchange(info)
        await stack.enter_async_context(exchange.opened())
        if with_client:
            await exchange.take_calls(stack)
        yield exchange


def _tone(role: str) -> Tone:
    return Tone(TONES[role], SENT_DBFS)
