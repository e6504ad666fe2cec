"""What a supervisor's keys may not do is written down."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from bridge.lab.waiting import until
from bridge.model.keys import KeyLimits, KeyMap
from bridge.model.participants import CALLEE, Participant
from bridge.runtime.desk import Commands, Desk
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.pulse import Pulse
from bridge.runtime.seat import Seat

BOSS = Participant("boss")


class Supervisors:
    """Carries everything out, and writes down what is refused."""

    def __init__(self) -> None:
        self.modes: list[str] = []
        self.refused: list[tuple[str, str, str]] = []

    async def change_mode(self, _engine: object, mode: object, *, by: str) -> None:
        del by
        self.modes.append(str(mode))

    def note_refused(self, _engine: object, what: str, *, by: str, why: str) -> None:
        self.refused.append((what, by, why))


async def test_a_key_that_is_refused_is_in_the_audit() -> None:
    commands = Supervisors()
    limits = KeyLimits(heard=False, reaches=lambda _call_id: True)
    engine: Any = SimpleNamespace(
        name=BOSS,
        limits=limits,
        coaches=CALLEE,
        listeners=[],
        executor=SimpleNamespace(id_of=lambda _key: None),
    )
    desk = Desk(
        cast("Seat", SimpleNamespace()),
        cast("Any", None),
        cast("Commands", commands),
        KeyMap(),
        cast("Pulse", SimpleNamespace(run=asyncio.Event().wait)),
    )
    desk.attach(cast("ObserverEngine", engine))
    running = asyncio.create_task(desk.run())
    desk.press("6")
    await until(lambda: commands.refused, "it is written down")
    assert commands.refused == [("barge", "key 6", "boss is to listen alone")]
    desk.press("4")
    await until(lambda: commands.modes, "he may spy")
    assert commands.modes == ["spy"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
