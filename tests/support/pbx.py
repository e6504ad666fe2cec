"""A real Asterisk with phones and programs on it, and the certainty that a test left nothing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from bridge.ari import AriConnection, AriSettings, models
from bridge.lab.asterisk import Instance
from bridge.lab.ears import CALLEE_ENDPOINT, DirectParty
from bridge.lab.hearing import TONES
from bridge.lab.phones import Phone, PhoneSettings, Tone, start_phone
from bridge.lab.waiting import PATIENCE_S, until
from bridge.model.errors import ServerError
from bridge.model.modes import AudioMode
from bridge.model.states import CallState
from bridge.runtime import CallEngine, Controller
from bridge.sdk import ActiveCall, Client, events
from bridge.session import Session

SENT_DBFS = -15.0
CALLER_TONE = Tone(TONES["caller"], SENT_DBFS)
CALLEE_TONE = Tone(TONES["callee"], SENT_DBFS)


@dataclass
class Program:
    """A client, and the calls that it was given."""

    client: Client
    calls: asyncio.Queue[ActiveCall] = field(default_factory=asyncio.Queue)

    async def next_call(self) -> ActiveCall:
        """Wait for the next incoming call."""
        async with asyncio.timeout(5):
            return await self.calls.get()


@dataclass
class DirectCall:
    """A call between two parties whose audio Asterisk hands over directly, and its program's end.

    ``callee`` is there once ``connect()`` was called by way of this class.
    """

    pbx: Pbx
    call: ActiveCall
    caller: DirectParty
    callee: DirectParty | None = None
    callee_tone: Tone | None = None

    async def connect(self) -> DirectParty:
        """Let the agent connect, and the callee pick up."""
        connecting = asyncio.create_task(self.call.connect())
        try:
            leg = await self.pbx.callee_leg(self.call)
            self.callee = await self.pbx.keep(
                DirectParty.answer(self.pbx.instance.info.ari, leg, tone=self.callee_tone)
            )
            await connecting
        finally:
            connecting.cancel()
        return self.callee


class Pbx:
    """The Asterisk of a test. What it hands out is taken back at the end, in reverse order."""

    def __init__(self, instance: Instance, observer: AriConnection, stack: AsyncExitStack) -> None:
        self.instance = instance
        self._observer = observer
        self._stack = stack

    async def phone(self, number: str, **settings: Any) -> Phone:
        """Start a phone that is registered; settings as in PhoneSettings."""
        info = self.instance.info
        password = next(a.password for a in info.accounts if a.number == number)
        phone = await start_phone(
            PhoneSettings(
                number=number,
                password=password,
                host=info.sip.host,
                port=info.sip.port,
                **settings,
            )
        )
        self._stack.push_async_callback(phone.stop)
        return phone

    async def environment(self) -> dict[str, str]:
        """Return by what a program in a process of its own finds its server."""
        ari = self.instance.info.ari
        return {
            "CALLBRIDGE_ARI_URL": ari.url,
            "CALLBRIDGE_ARI_USERNAME": ari.username,
            "CALLBRIDGE_ARI_PASSWORD": ari.password,
        }

    async def client(self, **arguments: Any) -> Client:
        """Make a client, which is not connected yet; arguments as in Client."""
        ari = self.instance.info.ari
        settings: dict[str, Any] = {"sample_rate": 16000, "probe": False, **arguments}
        return Client(ari.url, ari.username, ari.password, **settings)

    async def program(self, **arguments: Any) -> Program:
        """Start a client whose incoming calls are queued; arguments as in Client."""
        client = await self.client(**arguments)
        program = Program(client)
        client.on(events.INCOMING_CALL, program.calls.put_nowait)
        await self._stack.enter_async_context(client)
        self._stack.push_async_callback(self._nobody_left)
        return program

    async def direct_call(
        self,
        *,
        caller: Tone | None = CALLER_TONE,
        callee: Tone | None = CALLEE_TONE,
        **arguments: Any,
    ) -> DirectCall:
        """Start a client and a call to it from a direct party; arguments as in Client."""
        program = await self.program(route=lambda _call: CALLEE_ENDPOINT, **arguments)
        party = await self.keep(DirectParty.call(self.instance.info.ari, "1002", tone=caller))
        call = await program.next_call()
        return DirectCall(self, call, party, callee_tone=callee)

    async def keep(self, making: Awaitable[DirectParty]) -> DirectParty:
        """Hang a direct party up at the end of the test."""
        party = await making
        self._stack.push_async_callback(party.hangup)
        return party

    async def _nobody_left(self) -> None:
        """Let a program see the end of a call whose parties have gone, before it leaves itself.

        One that leaves at that very moment leaves the empty bridge behind, for the next to remove.
        """

        async def no_bridge_without_a_leg() -> bool:
            for bridge in await self._observer.bridges.list():
                legs = [i for i in bridge.channels if "anchor." not in i]
                if "bridge.call" in bridge.id and not legs:
                    return False
            return True

        # An Asterisk that the test has killed has nothing left.
        with contextlib.suppress(TimeoutError, ServerError):
            await until_true(no_bridge_without_a_leg, "ended calls are cleared", within_s=2)

    def session(self, call: ActiveCall) -> Session:
        """Return what the machine of a call knows."""
        return self.engine(call).session

    def engine(self, call: ActiveCall) -> CallEngine:
        """Return a call as the runtime has it."""
        return call._engine

    def controller(self, client: Client) -> Controller:
        """Return the runtime that a client's calls are in."""
        return client._connected()

    async def callee_leg(self, call: ActiveCall) -> str:
        """Wait until the callee of ``call`` is being rung; return his channel's id."""
        legs: list[str] = []

        async def look() -> bool:
            ids = await self.channels()
            legs[:] = [i for i in ids if call.call_id in i and "leg.callee" in i]
            return bool(legs)

        await until_true(look, "the callee is rung")
        return legs[0]

    async def channels(self) -> list[str]:
        """Return the ids of all channels."""
        return [channel.id for channel in await self._observer.channels.list()]

    async def bridges(self) -> list[str]:
        """Return the ids of all bridges."""
        return [bridge.id for bridge in await self._observer.bridges.list()]

    async def hang_up(self, channel_id: str) -> None:
        """Hang up any channel."""
        await self._observer.channels.hangup(channel_id=channel_id)

    async def listed(self) -> tuple[models.Channel, ...]:
        """Return all channels."""
        return await self._observer.channels.list()

    async def listed_bridges(self) -> tuple[models.Bridge, ...]:
        """Return all bridges."""
        return await self._observer.bridges.list()

    async def empty(self) -> None:
        """Wait until Asterisk has no channel and no bridge. Raises TimeoutError that names them."""
        if left := await still_there(self._observer):
            raise TimeoutError(f"left in Asterisk: {left}")


async def still_there(observer: AriConnection, *, within_s: float = PATIENCE_S) -> list[str]:
    """Wait until Asterisk has no channel and no bridge; return the ids of those that stay.

    A parking lot's bridge does not count: it stays for ever once it was used.
    """
    left: list[str] = []

    async def nothing() -> bool:
        left[:] = [channel.id for channel in await observer.channels.list()]
        bridges = await observer.bridges.list()
        left.extend(bridge.id for bridge in bridges if bridge.bridge_class != "parking")
        return not left

    with contextlib.suppress(TimeoutError):
        await until_true(nothing, "Asterisk is empty", within_s=within_s)
    return left


async def until_true(
    condition: Callable[[], Awaitable[bool]], what: str, *, within_s: float = PATIENCE_S
) -> None:
    """Return as soon as ``await condition()`` is true. Raises TimeoutError that names ``what``."""
    end = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.005)


async def open_observer(instance: Instance) -> AriConnection:
    """Connect to an instance beside the program under test."""
    ari = instance.info.ari
    observer = AriConnection(
        # A name of its own: see AriConnection._stay_registered.
        AriSettings(ari.url, ari.username, ari.password, f"test-{secrets.token_hex(6)}"),
        on_event=lambda _event: None,
    )
    await observer.open()
    return observer


def state_of(call: ActiveCall) -> CallState:
    """Return the state of a call; a property that is compared twice would be taken as constant."""
    return call.state


def mode_of(call: ActiveCall) -> tuple[AudioMode, set[str]]:
    """Return the mode of a call and whom the agent whispers to; see ``state_of``."""
    return call.mode, set(call.whispers_to)


async def assert_no_task_left(before: set[asyncio.Task[Any]]) -> None:
    """Fail if tasks run that did not run before."""
    own = asyncio.current_task()

    def left() -> list[str]:
        tasks = asyncio.all_tasks() - before - {own}
        return [task.get_name() for task in tasks]

    try:
        await until(lambda: not left(), "no task is left")
    except TimeoutError:
        raise AssertionError(f"tasks left: {left()}") from None
