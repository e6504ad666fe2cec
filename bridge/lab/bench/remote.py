"""By how much a program by URL is later: from the command to the ear."""

from __future__ import annotations

import random
from typing import Final

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.calls import Placed, open_exchange
from bridge.lab.bench.figures import Chapter, Figure
from bridge.lab.bench.service import open_service_of
from bridge.lab.bench.turns import TICK_S, TURNS, Speaker, heard_after
from bridge.lab.hearing import TONES
from bridge.protocol import operations
from bridge.protocol.views import CallView
from bridge.sdk import ActiveCall, Client
from bridge.sdk.remote import RemoteClient

ROUNDS: Final = 25
IN_PROCESS: Final = "in process"
BY_URL: Final = "by URL"
ADDED: Final = "what the network adds, by pairs"


async def measure(info: InstanceInfo) -> Chapter:
    """Switch and speak by turns in process and by URL, on the same call."""
    async with open_exchange(info, with_client=True) as exchange:
        placed = await exchange.place()
        try:
            async with (
                open_service_of(exchange.client) as (url, key),
                Client(url=url, key=key) as client,
            ):
                heard = await _rounds(placed, await _there(client, placed.call.call_id))
        finally:
            await exchange.end(placed)
    added = [there - here for here, there in zip(heard[IN_PROCESS], heard[BY_URL], strict=True)]
    return Chapter(
        "From the command to the listener's ear, by URL",
        "The daemon and the program are in one process, and take turns on one call.",
        (
            *(Figure.of(name, "ms", values) for name, values in heard.items()),
            Figure.of(ADDED, "ms", added),
        ),
    )


async def _there(client: Client, call_id: str) -> ActiveCall:
    """Return a call, which no program by URL has, as one has it in hand."""
    if not isinstance(client, RemoteClient):
        msg = f"{client!r} is in process"
        raise TypeError(msg)
    return client.take(await client.http.ask(operations.SHOW_CALL, CallView, call_id=call_id))


async def _rounds(placed: Placed, there: ActiveCall) -> dict[str, list[float]]:
    """Return how many ms each switch took, by way; those of both at the same place are a pair."""
    dice = random.Random(1)
    ways = {IN_PROCESS: placed.call, BY_URL: there}
    speakers = {name: Speaker(call, TONES["agent"]) for name, call in ways.items()}
    heard: dict[str, list[float]] = {name: [] for name in ways}
    for call in ways.values():
        # The audio socket is open from here on.
        await call.spy()
        await call.send_audio(bytes(640))
    await placed.caller.wait_frames(25)
    for _ in range(ROUNDS):
        for turn in TURNS:
            pause_s = dice.uniform(0, TICK_S)
            pair: dict[str, float] = {}
            for name, speaker in speakers.items():
                placed.clear()
                after = await heard_after(speaker, turn, placed.ears, pause_s)
                if after.keys() >= turn.listeners:
                    pair[name] = max(after[who] for who in turn.listeners)
            if len(pair) == len(ways):
                for name, milliseconds in pair.items():
                    heard[name].append(milliseconds)
    return heard
