"""Plays scripts by the SDK, on a real Asterisk or a fake one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final, Protocol, assert_never

from bridge.lab.waiting import until
from bridge.model.errors import CallbridgeError
from bridge.model.ids import CallId
from bridge.sdk import ActiveCall, Client, Observer, events
from tests.support.script import (
    AI,
    BARGE,
    OTHER,
    OTHER_CALLEE,
    OTHER_CALLER,
    OWN,
    SPY,
    Add,
    Come,
    Drop,
    GiveBack,
    Go,
    Going,
    HangUp,
    Hold,
    Kind,
    Mode,
    Move,
    Mute,
    Op,
    Scene,
    Step,
    TakeOver,
    Turn,
    Watcher,
    after,
)

ROLES: Final = {OTHER_CALLER: "caller", OTHER_CALLEE: "callee"}
"""Those whose names in a script are not their roles on their call."""


class Cast(Protocol):
    """The people with phones: what they do that no command of ours does."""

    def endpoint(self, name: str) -> str:
        """Return what is dialled to ring somebody."""

    async def pick_up(self, name: str) -> None:
        """Wait until somebody's phone rings, and answer it."""

    async def hang_up(self, name: str) -> None:
        """Hang somebody's phone up."""

    async def came(self, name: str, observer: Observer, *, phone: bool) -> None:
        """An observer has joined."""

    async def gone(self, name: str) -> None:
        """Somebody has gone."""


class Stage:
    """Two calls and their observers. ``scene`` is what the script says of the present.

    patience: seconds that an end may take to be told.
    """

    def __init__(
        self,
        client: Client,
        call: ActiveCall,
        other: CallId,
        cast: Cast,
        *,
        patience: float = 5.0,
    ) -> None:
        self.scene = Scene()
        self.observers: dict[str, Observer] = {}
        self._client = client
        self._call = call
        self._ids = {OWN: call.call_id, OTHER: other}
        self._cast = cast
        self._patience = patience
        self._given_back = asyncio.Event()
        call.on(events.CALL_GIVEN_BACK, self._given_back.set)

    async def play(self, step: Step) -> None:
        """Do all of a step at the same moment; returns when every command is done."""
        async with asyncio.TaskGroup() as group:
            for op in step:
                group.create_task(self._do(op), name=str(op))
        self.scene = after(self.scene, step)

    async def try_to_play(self, step: Step) -> None:
        """Do what can be done of a step; ``scene`` is what is reported then."""
        tries = (self._try(op) for op in step if is_possible(self.scene, op))
        await asyncio.gather(*tries)
        self.scene = self.reported()

    def reported(self) -> Scene:
        """Return what is reported of the present; of the other call, what the script says."""
        own = {} if self._call.end_reason else {p.name: p for p in self._call.parties if p.joined}
        others = {name: call for name, call in self.scene.parties.items() if call == OTHER}
        calls = {call_id: call for call, call_id in self._ids.items()}
        observers = {
            name: Watcher(
                calls[observer.call_id],
                _mode(observer, calls[observer.call_id]),
                self.scene.observers[name].phone,
                self.scene.observers[name].coaching,
            )
            for name, observer in self.observers.items()
            if observer.left is None
        }
        return Scene(
            {**dict.fromkeys(own, OWN), **others},
            None if self._call.end_reason else _mode(self._call),
            observers,
            frozenset(name for name, party in own.items() if party.muted),
            frozenset(name for name, party in own.items() if party.held),
        )

    async def _try(self, op: Op) -> None:
        try:
            await self._do(op)
        except CallbridgeError:
            return
        if isinstance(op, Come | HangUp):
            self.scene = op.after(self.scene)

    async def _do(self, op: Op) -> None:
        match op:
            case Come():
                await self._come(op)
            case Turn(name, mode, cut):
                await turn(self._call if name == AI else self.observers[name], mode, cut=cut)
            case Move(name, call):
                await self._giving_back(name, self.observers[name].move_to(self._ids[call]))
            case Go(name, how):
                await self._giving_back(name, self._go(name, how))
            case TakeOver(name, replaced):
                await self.observers[name].take_over(replaced, keep=True)
            case GiveBack(name):
                await self.observers[name].give_back()
            case HangUp(call, party):
                await self._hang_up(call, party)
            case Mute() | Hold() | Add() | Drop():
                await self._confer(op)
            case _:
                raise TypeError(f"{op} cannot be played")

    async def _come(self, op: Come) -> None:
        joining = asyncio.create_task(
            self._client.observe(
                self._ids[op.call],
                op.name,
                phone=self._cast.endpoint(op.name) if op.phone else None,
                hear_coaching=op.coaching,
            )
        )
        try:
            if op.phone:
                await self._cast.pick_up(op.name)
            self.observers[op.name] = await joining
        finally:
            joining.cancel()
        await self._cast.came(op.name, self.observers[op.name], phone=op.phone)

    async def _giving_back(self, name: str, leaving: Coroutine[None, None, None]) -> None:
        """Let somebody leave the call; until it is given back, its end is what ends it."""
        self._given_back.clear()
        await leaving
        taking = self.scene.taking
        if taking is not None and taking.by == name:
            async with asyncio.timeout(self._patience):
                await self._given_back.wait()

    async def _go(self, name: str, how: Going) -> None:
        observer = self.observers[name]
        if how is Going.HANGS_UP:
            await self._cast.hang_up(name)
            async with asyncio.timeout(self._patience):
                await observer.wait_left()
        else:
            await observer.leave(cut=how is Going.CUTS)
        del self.observers[name]
        await self._cast.gone(name)

    async def _confer(self, op: Mute | Hold | Add | Drop) -> None:
        call = self._call
        match op:
            case Mute(party, on):
                await (call.mute if on else call.unmute)(party)
            case Hold(party, on):
                await (call.hold if on else call.unhold)(party)
            case Add(party):
                adding = asyncio.create_task(call.add(self._cast.endpoint(party), name=party))
                try:
                    await self._cast.pick_up(party)
                    await adding
                finally:
                    adding.cancel()
            case Drop(party, by_himself):
                if by_himself:
                    await self._cast.hang_up(party)
                    await until(
                        lambda: all(p.name != party for p in call.parties), f"{party} has gone"
                    )
                    await self._cast.gone(party)
                else:
                    await call.remove(party)
                    await self._cast.gone(party)
            case _:
                assert_never(op)

    async def _hang_up(self, call: str, party: str) -> None:
        here = [name for name, w in self.scene.observers.items() if w.call == call]
        await self._cast.hang_up(party)
        async with asyncio.timeout(self._patience):
            if call == OWN:
                await self._call.wait_ended()
            for name in here:
                await self.observers.pop(name).wait_left()
                await self._cast.gone(name)
        for name in (*self.scene.on(call), *([AI] if call == OWN else [])):
            await self._cast.gone(name)


def is_possible(scene: Scene, op: Op) -> bool:
    """Tell whether what earlier failures have left of a scene has what this is about."""
    there = set(scene.people)
    return there.isdisjoint(op.who) if isinstance(op, Come | Add) else op.who <= there


def _mode(who: ActiveCall | Observer, call: str = OWN) -> Mode:
    names = {role: name for name, role in ROLES.items()} if call == OTHER else {}
    return Mode(Kind(who.mode.value), frozenset(names.get(p, p) for p in who.whispers_to))


async def turn(who: ActiveCall | Observer, mode: Mode, *, cut: bool = False) -> None:
    """Let the agent or an observer change his mode."""
    if mode == SPY:
        await who.spy(cut=cut)
    elif mode == BARGE:
        await who.barge(cut=cut)
    else:
        await who.whisper([ROLES.get(name, name) for name in mode.to], cut=cut)


async def other_call(client: Client, own: ActiveCall) -> CallId:
    """Wait until both calls are known, with two parties each; return the id of the other."""
    while True:
        live = await client.live_calls()
        others = [call.call_id for call in live if call.call_id != own.call_id]
        together = all([p.up for p in call.parties] == [True, True] for call in live)
        if len(live) > len(others) > 0 and together:
            return others[0]
        await asyncio.sleep(0.005)
