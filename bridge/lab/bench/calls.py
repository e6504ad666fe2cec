"""Calls to measure on: two parties who are heard directly, and this program between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bridge.ari import AriConnection, AriSettings
from bridge.lab.asterisk import InstanceInfo
from bridge.lab.demo.ringing import rung_channel
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES
from bridge.lab.phones import Tone
from bridge.model.participants import CALLEE, CALLER, Participant
from bridge.sdk import ActiveCall, Client, events

RATE = 16000
SENT_DBFS = -15.0
_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A call whose parties hear each other."""

    call: ActiveCall
    caller: DirectParty
    callee: DirectParty
    answered_ms: float
    """How long ``answer()`` took."""
    connected_ms: float
    """From the beginning of the callee's audio to the return of ``connect()``."""

    @property
    def ears(self) -> dict[Participant, DirectParty]:
        """Both parties."""
        return {CALLER: self.caller, CALLEE: self.callee}


class Exchange:
    """Places calls and takes them down. Made by ``open_exchange``."""

    def __init__(self, info: InstanceInfo, observer: AriConnection) -> None:
        self._info = info
        self._observer = observer
        self._taken: set[str] = set()
        self.arrivals: asyncio.Queue[ActiveCall] = asyncio.Queue()

    async def call(self) -> DirectParty:
        """Let a party call."""
        return await DirectParty.call(self._info.ari, "1002", tone=_tone("caller"))

    async def pick_up(self) -> DirectParty:
        """Let the callee who is rung next answer. Raises TimeoutError when nobody is."""
        leg = await rung_channel(
            self._observer, lambda name: "leg.callee" in name and name not in self._taken
        )
        self._taken.add(leg)
        return await DirectParty.answer(self._info.ari, leg, tone=_tone("callee"))

    async def place(self) -> Placed:
        """Place a call to this program, answer it and connect it."""
        loop = asyncio.get_running_loop()
        caller = await self.call()
        async with asyncio.timeout(_DEADLINE_S):
            call = await self.arrivals.get()
        began = loop.time()
        await call.answer()
        answered = loop.time()
        connecting = asyncio.create_task(call.connect(), name="connect")
        callee = await self.pick_up()
        picked_up = loop.time()
        await connecting
        return Placed(
            call=call,
            caller=caller,
            callee=callee,
            answered_ms=(answered - began) * 1000,
            connected_ms=(loop.time() - picked_up) * 1000,
        )

    @staticmethod
    async def end(placed: Placed) -> None:
        """End a call for all."""
        await placed.call.disconnect(cut=True)
        await asyncio.gather(placed.caller.hangup(), placed.callee.hangup())

    async def empty(self) -> None:
        """Wait until Asterisk has no channel. Raises TimeoutError."""
        async with asyncio.timeout(_DEADLINE_S):
            left = await self._observer.channels.list()
            while left:
                await asyncio.sleep(0.01)
                left = await self._observer.channels.list()


@asynccontextmanager
async def open_exchange(info: InstanceInfo, *, with_client: bool) -> AsyncIterator[Exchange]:
    """Connect to Asterisk; with a client of this program, or without, for one of another."""
    ari = info.ari
    async with AsyncExitStack() as stack:
        observer = AriConnection(
            AriSettings(ari.url, ari.username, ari.password, "callbridge-bench"),
            on_event=lambda _event: None,
        )
        await observer.open()
        stack.push_async_callback(observer.close)
        exchange = Exchange(info, observer)
        if with_client:
            client = Client(
                ari.url,
                ari.username,
                ari.password,
                sample_rate=RATE,
                route=lambda _call: CALLEE_ENDPOINT,
            )
            client.on(events.INCOMING_CALL, exchange.arrivals.put_nowait)
            await stack.enter_async_context(client)
        yield exchange


def _tone(role: str) -> Tone:
    return Tone(TONES[role], SENT_DBFS)
