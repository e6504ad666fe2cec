"""A call with ears at everybody on it: what each of them heard in every step that was told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.lab.demo.ears import Ear
from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.result import Measured
from bridge.lab.demo.story import Told
from bridge.lab.hearing import FLOOR_DBFS, MIN_LEVEL_SECONDS, Pcm
from bridge.lab.hearing.limits import PRESENT_WITHIN_DB
from bridge.lab.hearing.lost import Missing, missing
from bridge.lab.hearing.other import other_sound
from bridge.lab.hearing.steady import steady_levels
from bridge.model.participants import CALLEE, CALLER, Participant

SETTLE_SECONDS = 0.5
WINDOW_SECONDS = 1.0
MARGIN_SECONDS = 0.05
"""Kept from the next command: what a phone hears lags by its jitter buffer, never leads."""

THRESHOLD_BELOW_DB = 20.0


@dataclass(frozen=True, slots=True)
class Performed:
    """A step that was done, and when. Seconds of the monotonic clock."""

    step: Told
    since: float
    """From when on the new voice is counted: the command, or the end of an answer or connect,
    whose length is the people's."""
    window: tuple[float, float]
    """What is measured: everything has settled."""


class Scene:
    """Ears, and what they heard.

    tones: Hz of every voice, each said at ``sent_dbfs``. ears: may be added to, by ``embody``.
    rate: Hz. silent: parties that send nothing at all. parties: whose lost frames are counted.
    """

    def __init__(
        self,
        *,
        tones: Mapping[Participant, float],
        sent_dbfs: float,
        rate: int,
        ears: Mapping[Participant, Ear],
        silent: frozenset[Participant] = frozenset(),
        parties: tuple[Participant, ...] = (CALLER, CALLEE),
    ) -> None:
        self.tones = tones
        self.sent_dbfs = sent_dbfs
        self.rate = rate
        self._ears = dict(ears)
        self._silent = silent
        self._parties = parties
        self._performed: list[Performed] = []

    @property
    def ears(self) -> Mapping[Participant, Ear]:
        """All ears."""
        return self._ears

    def embody(self, who: Participant, ear: Ear) -> None:
        """Give somebody who has come an ear."""
        self._ears[who] = ear

    async def settle(self, step: Told, since: float) -> None:
        """Let the step last, and note where it is in everybody's ears."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(SETTLE_SECONDS)
        start = loop.time()
        await asyncio.sleep(WINDOW_SECONDS)
        await asyncio.gather(*(ear.note() for ear in self._ears.values()))
        end = start + WINDOW_SECONDS - MARGIN_SECONDS
        self._performed.append(Performed(step, since, (start, end)))

    def measure(self, index: int, everywhere: frozenset[float]) -> Measured:
        """Return what was heard in the step. everywhere: tones of all calls of the time, Hz."""
        now = self._performed[index]
        windows = {who: self._window(who, now) for who in now.step.listeners}
        hears, strange = {}, {}
        for who in now.step.listeners:
            hears[who], strange[who] = self._levels(who, now, windows[who], everywhere)
        missed = {who: self._missing(who, index) for who in now.step.counted}
        return Measured(
            hears=hears,
            heard_after_ms=self._heard_after(index),
            lost_frames={who: frames.lost for who, frames in missed.items()},
            held_up_frames={who: frames.held_up for who, frames in missed.items()},
            windows=windows,
            other_calls=strange,
        )

    def silence_ms(self, who: Participant, index: int) -> float:
        """Return for how long at most somebody heard nothing, since the end of the last step."""
        start, end = self._performed[index].window
        if index:
            _, start = self._performed[index - 1].window
        return self._ears[who].silence_ms(start, end)

    def _levels(
        self,
        who: Participant,
        now: Performed,
        window: tuple[float, float],
        everywhere: frozenset[float],
    ) -> tuple[dict[Participant, float], float]:
        """Return the level of every voice at one ear, and of the loudest voice of other calls."""
        pcm, rate = self._cut(who, window), self._ears[who].rate
        if len(pcm) < MIN_LEVEL_SECONDS * rate:
            # Whom nobody speaks to gets no frames at all.
            return dict.fromkeys(now.step.speakers, FLOOR_DBFS), FLOOR_DBFS
        present = self._present(who, now.step)
        own = {str(name): self.tones[name] for name in now.step.speakers if name != MUSIC}
        found = steady_levels(pcm, rate, own, present)
        if MUSIC in now.step.speakers:
            found[str(MUSIC)] = other_sound(pcm, rate, sorted(everywhere))
        foreign = {str(hz): hz for hz in everywhere - set(self.tones.values())}
        strange = max(steady_levels(pcm, rate, foreign, present).values())
        return {speaker: found[speaker] for speaker in now.step.speakers}, strange

    def _present(self, who: Participant, step: Told) -> list[float]:
        """Return the tones, in Hz, that a listener is to hear all through the step."""
        speakers = (speaker for listener, speaker in step.matrix if listener == who)
        silent = self._silent | {MUSIC}
        return [self.tones[speaker] for speaker in speakers if speaker not in silent]

    def _window(self, who: Participant, performed: Performed) -> tuple[float, float]:
        start, end = performed.window
        return self._ears[who].place(start), self._ears[who].place(end)

    def _cut(self, who: Participant, window: tuple[float, float]) -> Pcm:
        ear = self._ears[who]
        start, end = (round(seconds * ear.rate) for seconds in window)
        return ear.audio()[start:end]

    def _heard_after(self, index: int) -> float | None:
        """Return when the last of those who newly hear the step's voice did, in ms."""
        now = self._performed[index]
        voice = now.step.voice
        before = self._performed[index - 1].step.matrix if index else frozenset()
        newly = {listener for listener, speaker in now.step.matrix - before if speaker == voice}
        after = []
        for who in newly:
            music = (who, MUSIC) in before
            below_db = PRESENT_WITHIN_DB if music else THRESHOLD_BELOW_DB
            after.append(
                self._ears[who].heard_after(
                    self.tones[voice], now.since, self.sent_dbfs - below_db, after_music=music
                )
            )
        heard = [ms for ms in after if ms is not None]
        return round(max(heard), 1) if heard and len(heard) == len(after) else None

    def _missing(self, who: Participant, index: int) -> Missing:
        """Count frames of the parties' voices missed since the end of the last step's window.

        A voice that was not heard before begins with this step's window.
        """
        now = self._performed[index]
        lost = held_up = 0
        for speaker in self._parties:
            cell = (who, speaker)
            if cell not in now.step.matrix or speaker in self._silent:
                continue
            start, end = self._window(who, now)
            if index and cell in self._performed[index - 1].step.matrix:
                _, start = self._window(who, self._performed[index - 1])
            pcm = self._cut(who, (start, end))
            frames = missing(pcm, self._ears[who].rate, self.tones[speaker])
            lost += frames.lost
            held_up += frames.held_up
        return Missing(lost, held_up)
