"""A supervisor on a phone: his seat, what his keys do, the tones that tell him, and his pulse."""

from __future__ import annotations

import asyncio
from typing import Protocol

from bridge.ari import AriConnection
from bridge.model.errors import CallbridgeError, ForbiddenError
from bridge.model.keys import KeyAction, KeyMap
from bridge.model.modes import BARGE, SPY, AudioMode, ObserverMode, whisper
from bridge.model.participants import Participant
from bridge.runtime.cues import Cue, Cues
from bridge.runtime.keys import Keys
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.pulse import Pulse
from bridge.runtime.seat import Seat
from bridge.session.observer import inputs
from bridge.session.observer.effects import ObserverNotice, Tell
from bridge.topology.objects import cue_key

_CUES = {AudioMode.SPY: Cue.SPY, AudioMode.WHISPER: Cue.WHISPER, AudioMode.BARGE: Cue.BARGE}
_MODES = {KeyAction.SPY: SPY, KeyAction.BARGE: BARGE}


class Commands(Protocol):
    """Who carries out what a supervisor asks for: the supervision."""

    async def change_mode(self, engine: ObserverEngine, mode: ObserverMode, *, by: str) -> None:
        """Take part otherwise."""

    async def take_over(
        self, engine: ObserverEngine, replaced: Participant, *, keep: bool, by: str
    ) -> None:
        """Speak in the agent's place."""

    async def give_back(self, engine: ObserverEngine, *, by: str) -> None:
        """Let the agent speak again."""

    def move_on(self, engine: ObserverEngine, *, by: str) -> None:
        """Go to the next live call."""

    def note_refused(self, engine: ObserverEngine, what: str, *, by: str, why: str) -> None:
        """Write down what he asked for and may not do."""


class Desk:
    """Keys in, tones out. ``run()`` is the owner's task.

    The keys for whisper and takeover mean the agent whom the supervisor coaches.
    """

    def __init__(
        self,
        seat: Seat,
        ari: AriConnection,
        commands: Commands,
        keymap: KeyMap,
        pulse: Pulse,
    ) -> None:
        self.seat = seat
        seat.tie = self._tie
        self._pulse = pulse
        self._commands = commands
        self._engine: ObserverEngine | None = None
        self._digit = ""
        self._keys = Keys(keymap, self._act, on_refused=self._refused, owner="a supervisor")
        self._cues = Cues(ari, owner="a supervisor")

    def attach(self, engine: ObserverEngine) -> None:
        """Let it be this observer's."""
        self._engine = engine
        engine.listeners.append(self._told)

    def press(self, digit: str) -> None:
        """Take a key. Never blocks."""
        if self._keys.press(digit) is not None:
            self._digit = digit

    async def run(self) -> None:
        """Do what the keys ask for, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._keys.run(), self._cues.run(), self._pulse.run()):
                group.create_task(work, name="a supervisor")

    async def _tie(self, channel_id: str, channel_name: str) -> None:
        if self._engine is not None:
            owner, name = self._engine.observer_id, self._engine.name
            await self._pulse.begin(owner, name, (channel_id, channel_name))

    async def _act(self, action: KeyAction) -> None:
        engine = self._engine
        if engine is None:
            return
        by = f"key {self._digit}"
        if engine.limits is not None and not engine.limits.allow(action):
            why = f"{engine.name} is to listen alone"
            self._commands.note_refused(engine, str(action), by=by, why=why)
            raise ForbiddenError(why)
        match action:
            case KeyAction.SPY | KeyAction.BARGE:
                await self._commands.change_mode(engine, _MODES[action], by=by)
            case KeyAction.WHISPER:
                await self._commands.change_mode(engine, whisper(engine.coaches), by=by)
            case KeyAction.NEXT:
                self._commands.move_on(engine, by=by)
            case KeyAction.LEAVE:
                self._cue(Cue.LEAVING)
                await self._cues.played()
                await engine.command(inputs.Leave)
            case KeyAction.TAKE_OVER:
                await self._commands.take_over(engine, engine.coaches, keep=True, by=by)
            case KeyAction.GIVE_BACK:
                await self._commands.give_back(engine, by=by)

    def _refused(self, action: KeyAction, error: CallbridgeError) -> None:
        del action, error
        self._cue(Cue.REFUSED)

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        if tell.notice is ObserverNotice.JOINED:
            self._pulse.end_with_seat(engine.executor.anchor_names)
        elif tell.notice is ObserverNotice.MOVED:
            # After the tone that says that he is silent now, in whose place this is heard.
            self._cue(Cue.NEXT)
        elif tell.notice is ObserverNotice.MODE_CHANGED and tell.mode is not None:
            self._cue(Cue.SILENCED if tell.message else _CUES[tell.mode.mode])

    def _cue(self, cue: Cue) -> None:
        engine = self._engine
        channel_id = engine.executor.id_of(cue_key(engine.name)) if engine is not None else None
        if channel_id is not None:
            self._cues.play(channel_id, cue)
