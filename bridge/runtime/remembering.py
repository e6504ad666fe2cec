"""Keeps what is remembered in Asterisk in step with the calls, and with who observes by phone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final

from bridge.ari import AriConnection
from bridge.directory import LiveCall
from bridge.model.ids import CallId
from bridge.runtime.engine import CallEngine
from bridge.runtime.memory import (
    CALL_VARIABLE,
    SEAT_VARIABLE,
    Memory,
    Remembered,
    RememberedLeg,
    RememberedObserver,
    RememberedSeat,
)
from bridge.runtime.observer import ObserverEngine
from bridge.session.observer import Stage
from bridge.session.outline import outline

_ON_CALL: Final = frozenset({Stage.JOINING, Stage.PRESENT})

Spawn = Callable[[Coroutine[None, None, None], str], Callable[[], None]]
"""Owns a task; returns what ends it."""


def remembered(engine: CallEngine, observers: Iterable[ObserverEngine]) -> Remembered | None:
    """Return what is to be remembered of a call; None while it is nobody's yet, and at its end."""
    what = outline(engine.session)
    if what.is_pending or what.phase.is_over:
        return None
    incoming, executor = engine.incoming, engine.executor
    legs = {
        party: RememberedLeg(channel_id, engine.endpoint_of(party), engine.ring_seconds_of(party))
        for party in executor.stands.legs.values()
        if (channel_id := executor.channel_of(party)) is not None
    }
    return Remembered(
        call_id=incoming.call_id,
        channel_id=incoming.channel_id,
        channel_name=incoming.channel_name,
        caller_number=incoming.caller_number,
        caller_name=incoming.caller_name,
        callee_number=incoming.callee_number,
        outline=what,
        legs=legs,
        notes=dict(engine.notes),
        observers=tuple(
            _observer(one)
            for one in observers
            if one.program is not None and not one.internal and one.state.stage in _ON_CALL
        ),
    )


def remembered_seat(engine: ObserverEngine, call: LiveCall | None) -> RememberedSeat | None:
    """Return what is to be remembered of somebody on a phone; None before he hears a call."""
    if engine.state.stage not in _ON_CALL or call is None:
        return None
    return RememberedSeat(_observer(engine), call.call_id, tuple(sorted(call.channels.values())))


def _observer(engine: ObserverEngine) -> RememberedObserver:
    note = None if engine.limits is None else engine.limits.note
    mode, hears = engine.state.mode, engine.hears_coaching
    return RememberedObserver(engine.name, mode, hears, engine.coaches, note)


@dataclass(slots=True)
class _Kept:
    memory: Memory
    end: Callable[[], None]


class Remembering:
    """The memories of all calls of one controller, and of all seats.

    observers_of: returns who observes a call. call_of: returns the call that somebody observes.
    """

    def __init__(
        self,
        ari: AriConnection,
        spawn: Spawn,
        *,
        observers_of: Callable[[CallId], Iterable[ObserverEngine]],
        call_of: Callable[[ObserverEngine], LiveCall | None],
    ) -> None:
        self._ari = ari
        self._spawn = spawn
        self._observers_of = observers_of
        self._call_of = call_of
        self._kept: dict[CallId, _Kept] = {}

    def begin(self, engine: CallEngine, *, serial: int = 0) -> None:
        """Remember a call from now on. serial: of what is remembered of it already."""
        call_id = engine.incoming.call_id
        memory = Memory(
            self._ari,
            CALL_VARIABLE,
            lambda: remembered(engine, self._observers_of(call_id)),
            lambda: engine.legs,
            serial=serial,
        )
        engine.on_change.append(memory.changed)
        engine.notes.listeners.append(memory.changed)
        self._keep(call_id, memory)

    def begin_seat(self, engine: ObserverEngine) -> None:
        """Remember, from now on, somebody who observes by phone."""

        def channels() -> list[str]:
            return [] if (seat := engine.seat_channel) is None else [seat]

        memory = Memory(
            self._ari,
            SEAT_VARIABLE,
            lambda: remembered_seat(engine, self._call_of(engine)),
            channels,
        )
        self._keep(engine.observer_id, memory)

    def changed(self, object_id: CallId) -> None:
        """Something about a call's observers, or about one of them, is other than before."""
        if (kept := self._kept.get(object_id)) is not None:
            kept.memory.changed()

    def end(self, object_id: CallId) -> None:
        """Forget a call, or an observer, that is over."""
        if (kept := self._kept.pop(object_id, None)) is not None:
            kept.end()

    async def stop(self) -> None:
        """Write everything as it is now, and no change that comes later."""
        await self.flush()
        self.cease()

    def cease(self) -> None:
        """Write nothing any more."""
        for object_id in list(self._kept):
            self.end(object_id)

    async def flush(self) -> None:
        """Return when everything is written as it is now; what fails is logged."""
        await asyncio.gather(*(kept.memory.flush() for kept in list(self._kept.values())))

    async def flush_call(self, call_id: CallId) -> None:
        """Return when a call is remembered as it is now; at once for one that is over."""
        if (kept := self._kept.get(call_id)) is not None:
            await kept.memory.flush()

    def _keep(self, object_id: CallId, memory: Memory) -> None:
        self._kept[object_id] = _Kept(memory, self._spawn(memory.run(), f"memory of {object_id}"))
        memory.changed()
