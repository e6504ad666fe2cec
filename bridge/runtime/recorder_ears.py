"""What a recording hears of a call: through ears that Asterisk itself keeps from hearing whispers.

They are observers, and never speak. What is said for others than the
caller cannot get into the recording, since no line brings it here: who whispers is not sent to an
observer who did not ask for it, who is held or apart is not heard. With coaching a second observer,
who did ask, hears the whispers; they go to a track of their own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from bridge.media.timeline import Samples, Timeline, mixed
from bridge.model.ids import CallId
from bridge.model.modes import AudioMode, ObserverMode
from bridge.model.participants import AGENT, CALLER, Participant
from bridge.runtime.admission import Admission
from bridge.runtime.engine import CallEngine
from bridge.runtime.observer import ObserverEngine
from bridge.runtime.supervision import Supervision
from bridge.session.inputs import Token
from bridge.session.observer import inputs
from bridge.session.observer.effects import LeftReason, ObserverNotice, Tell

_log = logging.getLogger(__name__)

RECORDER: Final = "recorder"
"""How the names of these observers begin."""

_LINGER_SECONDS: Final = 0.5
"""How long after a whisper its last words are under way."""

_BACK_SECONDS: Final = 0.25
"""How long, after the caller was on hold, what was said without him is under way."""


class Floor(Protocol):
    """Where calls and observers are: the controller."""

    @property
    def supervision(self) -> Supervision:
        """The observers."""

    @property
    def admission(self) -> Admission:
        """Lets observers in."""

    def engine(self, call_id: CallId) -> CallEngine | None:
        """Return a call of our own that is going on."""


class RecorderEars:
    """Hears a call for a recording, from ``attend`` on, and notes it from ``begin`` on.

    rate: Hz of all audio. on_left: told, once, why the call cannot be heard any more.
    """

    def __init__(
        self,
        floor: Floor,
        call_id: CallId,
        *,
        rate: int,
        coaching: bool,
        on_left: Callable[[LeftReason], None],
    ) -> None:
        self._floor = floor
        self._call_id = call_id
        self._wants_coaching = coaching
        self._on_left = on_left
        self._main: ObserverEngine | None = None
        self._coaching: ObserverEngine | None = None
        self._now = asyncio.get_running_loop().time
        self._rate = rate
        self._heard, self._whispers = Timeline(rate, 0.0), Timeline(rate, 0.0)
        self._whispered: dict[str, float] = {}
        """When whoever is no party was last seen to whisper."""
        self._deaf_until = 0.0
        self._caller_was_away = False
        self._without_him_until = 0.0

    @property
    def dropped_frames(self) -> int:
        """Frames that were not noted because nobody rendered them in time."""
        return self._heard.dropped_frames + self._whispers.dropped_frames

    def have_moved(self) -> bool:
        """Tell whether they followed somebody into another call, which is not to be recorded."""
        calls = (self._floor.supervision.call_of(ears) for ears, _ in self._taps())
        return not {*calls} <= {None, self._call_id}

    async def attend(self) -> None:
        """Hear the call. Raises what observing a call raises; ``leave`` is to follow then, too."""
        self._main = await self._admit("", hears_coaching=False)
        if self._wants_coaching:
            self._coaching = await self._admit("_c", hears_coaching=True)

    def begin(self, at: float) -> None:
        """Note what is heard; ``at`` is sample 0."""
        self._heard, self._whispers = Timeline(self._rate, at), Timeline(self._rate, at)
        for ears, tap in self._taps():
            if ears.program is not None:
                ears.program.ears.taps.append(tap)
            if ears.ended.is_set():
                self._told(ears, Tell(ObserverNotice.LEFT, reason=ears.state.reason))

    def be_deaf(self, until: float) -> None:
        """Note nothing that comes before a time."""
        self._deaf_until = until

    def sample(self, at: float) -> int:
        """Return the number of the sample at a time."""
        return self._heard.sample(at)

    def render(self, start: int, count: int) -> tuple[Samples, Samples]:
        """Return what the caller said and what he heard, in two columns, and what was whispered."""
        voices = dict(self._heard.render(start, count))
        left = voices.pop(CALLER, np.zeros(count, np.int16))
        right = mixed(list(voices.values()), count)
        whispers = mixed(list(self._whispers.render(start, count).values()), count)
        return np.column_stack((left, right)), whispers

    async def leave(self) -> None:
        """Hear no more; nothing is left."""
        for ears, tap in self._taps():
            if ears.program is not None and tap in ears.program.ears.taps:
                ears.program.ears.taps.remove(tap)
            if not ears.ended.is_set():
                ears.post(inputs.Leave(Token(0), cut=True))
                await ears.ended.wait()

    def _taps(self) -> list[tuple[ObserverEngine, Callable[[str, bytes], None]]]:
        both = (self._main, self._hear), (self._coaching, self._hear_whisper)
        return [(ears, tap) for ears, tap in both if ears is not None]

    async def _admit(self, suffix: str, *, hears_coaching: bool) -> ObserverEngine:
        # A name of its own each time: those of a program that was killed may still be there.
        name = Participant(f"{RECORDER}_{secrets.token_hex(4)}{suffix}")
        engine = await self._floor.admission.observe(
            self._call_id, name, hears_coaching=hears_coaching
        )
        engine.internal = True
        engine.listeners.append(self._told)
        return engine

    def _told(self, engine: ObserverEngine, tell: Tell) -> None:
        if tell.notice is not ObserverNotice.LEFT:
            return
        reason = tell.reason or LeftReason.FAILED
        if engine is self._main:
            self._on_left(reason)
        elif reason is LeftReason.FAILED:
            _log.error("call %s: coaching is not recorded any more", self._call_id)

    def _hear(self, speaker: str, frame: bytes) -> None:
        """Take what somebody says, if he is the caller, or the caller hears him."""
        now = self._now()
        if self.have_moved():
            return
        he_hears = self._caller_is_there(now)
        if now >= self._deaf_until and (speaker == CALLER or he_hears):
            self._heard.push(speaker, frame, now)

    def _hear_whisper(self, speaker: str, frame: bytes) -> None:
        """Take what somebody says while he whispers, or has just done so."""
        now = self._now()
        if self.have_moved():
            return
        if any(mode.mode is AudioMode.WHISPER for mode in self._modes_of(speaker)):
            self._whispered[speaker] = now
        lately = now - self._whispered.get(speaker, -_LINGER_SECONDS) < _LINGER_SECONDS
        if now >= self._deaf_until and lately:
            self._whispers.push(speaker, frame, now)

    def _caller_is_there(self, now: float) -> bool:
        """Tell whether the caller is in the conversation: neither held nor apart.

        A little later than he is: what comes at first was said while he was not. Asked with every
        frame, so that one who was late to be read is not taken for one that he heard.
        """
        own = self._floor.engine(self._call_id)
        if own is None:
            return False
        wanted, stood = own.session.standing, own.session.stood
        away = CALLER in wanted.held | stood.held | wanted.apart | stood.apart
        if self._caller_was_away and not away:
            self._without_him_until = now + _BACK_SECONDS
        self._caller_was_away = away
        return not away and now >= self._without_him_until

    def _modes_of(self, speaker: str) -> tuple[ObserverMode, ...]:
        """Return the mode in effect of one who is no party, and those on their way."""
        own = self._floor.engine(self._call_id)
        if speaker == AGENT and own is not None:
            return (own.session.mode, *(turning.mode for turning in own.session.turnings))
        observers = self._floor.supervision.observers_of(self._call_id)
        return next((engine.state.modes for engine in observers if engine.name == speaker), ())
