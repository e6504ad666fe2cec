"""Who hears whom, measured: every participant says a tone of his own, every ear is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bridge.lab.demo.ears import Ear
from bridge.lab.hearing import FLOOR_DBFS, MIN_LEVEL_SECONDS, Pcm, levels
from bridge.lab.hearing.limits import ABSENT_BELOW_DB, PRESENT_WITHIN_DB
from bridge.lab.hearing.steady import steady_levels
from bridge.model.audibility import Cell, Matrix
from bridge.model.participants import Participant

SETTLE_SECONDS: Final = 0.2
"""What Asterisk was given before is heard within this."""

Window = tuple[float, float]
"""Begin and end, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class MeasuredMatrix:
    """Levels of every voice at every ear, and what follows.

    A voice is heard within 3 dB of the level it was sent at, absent ``absent_below_db`` under it.
    """

    dbfs: Mapping[Cell, float]
    """(listener, speaker): level of the speaker's tone. A listener's own tone is a cell too."""
    sent_dbfs: float
    absent_below_db: float = ABSENT_BELOW_DB

    @property
    def heard(self) -> Matrix:
        """All that is not absent."""
        floor = self.sent_dbfs - self.absent_below_db
        return frozenset(cell for cell, level in self.dbfs.items() if level > floor)

    @property
    def odd(self) -> Mapping[Cell, float]:
        """Voices that are heard fainter or louder than they are to be: a leak, a doubling."""
        levels_heard = {cell: self.dbfs[cell] for cell in self.heard}
        return {
            cell: level
            for cell, level in levels_heard.items()
            if abs(level - self.sent_dbfs) > PRESENT_WITHIN_DB
        }

    def wrong(self, expected: Matrix) -> list[str]:
        """Return what is otherwise than ``expected``, a line each; [] when all cells hold.

        Of ``expected`` only what was measured counts: listeners with ears, speakers with tones.
        """
        wanted = expected & frozenset(self.dbfs)
        found = {
            **dict.fromkeys(wanted - self.heard, "does not hear"),
            **dict.fromkeys(self.heard - wanted, "hears, unwanted,"),
        }
        for cell, level in self.odd.items():
            if cell in wanted:
                louder = level > self.sent_dbfs
                found[cell] = "hears too loud" if louder else "hears too faint"
        return [
            f"{cell[0]} {verb} {cell[1]}: {self.dbfs[cell]:.1f} dBFS"
            for cell, verb in sorted(found.items())
        ]


async def measured_matrix(
    ears: Mapping[Participant, Ear],
    tones: Mapping[Participant, float],
    seconds: float = 0.5,
    *,
    sent_dbfs: float,
    absent_below_db: float = ABSENT_BELOW_DB,
) -> MeasuredMatrix:
    """Listen for ``seconds`` from a moment on, and return what each ear heard.

    tones: Hz that each participant says, steadily, at ``sent_dbfs``. Ears of phones are complete
    only after these have stopped: ``listen`` then, and ``matrix_in`` later.
    """
    window = await listen(ears, seconds)
    return matrix_in(window, ears, tones, sent_dbfs=sent_dbfs, absent_below_db=absent_below_db)


async def listen(ears: Mapping[Participant, Ear], seconds: float = 0.5) -> Window:
    """Let what was said before run out, then let ears hear for ``seconds``; return when it was."""
    await asyncio.sleep(SETTLE_SECONDS)
    begin = time.monotonic()
    await _note(ears)
    await asyncio.sleep(seconds)
    end = time.monotonic()
    await _note(ears)
    return begin, end


def matrix_in(
    window: Window,
    ears: Mapping[Participant, Ear],
    tones: Mapping[Participant, float],
    *,
    sent_dbfs: float,
    absent_below_db: float = ABSENT_BELOW_DB,
) -> MeasuredMatrix:
    """Return who was heard in a window. Who got no audio at all hears nobody."""
    cells: dict[Cell, float] = {}
    for listener, ear in ears.items():
        heard = _levels(_cut(ear, window), ear.rate, tones, sent_dbfs)
        cells |= {(listener, speaker): heard[speaker] for speaker in tones}
    return MeasuredMatrix(cells, sent_dbfs, absent_below_db)


def _levels(
    pcm: Pcm, rate: int, tones: Mapping[Participant, float], sent_dbfs: float
) -> Mapping[Participant, float]:
    if len(pcm) < MIN_LEVEL_SECONDS * rate or not tones:
        return dict.fromkeys(tones, FLOOR_DBFS)
    names: dict[str, float] = {str(name): hz for name, hz in tones.items()}
    rough = levels(pcm, rate, names)
    # A lost frame is a click in all tones: the measure is taken beside it.
    near = sent_dbfs - 2 * PRESENT_WITHIN_DB
    present = [names[name] for name, level in rough.items() if level > near]
    steady = steady_levels(pcm, rate, names, present)
    return {name: steady[str(name)] for name in tones}


def _cut(ear: Ear, window: Window) -> Pcm:
    begin, end = (round(ear.place(moment) * ear.rate) for moment in window)
    return ear.audio()[begin:end]


async def _note(ears: Mapping[Participant, Ear]) -> None:
    for ear in ears.values():
        await ear.note()
