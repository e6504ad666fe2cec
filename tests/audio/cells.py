"""Who heard whom in a step of a story, and who was to: every listener, every voice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.result import Measured, StepResult
from bridge.model.participants import Participant
from tests.audio.machine import whole
from tests.support.hearing import WrongEarError

SENT_DBFS: Final = -15.0
PRESENT_WITHIN_DB: Final = 3.0
DIRECT_BELOW_DB: Final = 60.0
CLEAR_BELOW_DB: Final = 20.0
"""A voice that is at most so far below what was sent is there; below, it may be what a frame that
was missed once is heard as."""
MUSIC_DBFS: Final = SENT_DBFS - 30
BESIDE_MUSIC_DB: Final = 20.0

Hears = Mapping[Participant, set[Participant]]
"""Whom each listener hears."""


@dataclass(frozen=True, slots=True)
class WrongCell:
    """A sound that is not as it is to be in an ear. absent: it is not to be there at all."""

    told: str
    dbfs: float
    absent: bool


def check_step(
    step: StepResult,
    expected: Hears,
    voices: Collection[Participant],
    *,
    silent: Collection[Participant],
    below_db: float,
) -> None:
    """Assert that on both calls everybody heard whom he was to hear, and nobody else.

    voices: all that is measured. silent: who of those on phones sends nothing. below_db: of what
    was sent; what is absent on a phone lies below that. Raises WrongEarError for a voice that is
    clearly in the wrong ear, FrameMissedError if all that is wrong is faint.
    """
    audible = {listener: heard - {*silent} for listener, heard in expected.items()}
    wrong = [
        *wrong_cells("phones", step.phones, audible, voices, below_db),
        *wrong_cells("direct", step.direct, expected, voices, DIRECT_BELOW_DB),
    ]
    told = f"{step.step.name}: {[cell.told for cell in wrong]}"
    if any(cell.absent and cell.dbfs > SENT_DBFS - CLEAR_BELOW_DB for cell in wrong):
        raise WrongEarError(told)
    assert all(cell.absent for cell in wrong), told
    whole(not wrong, told)


def wrong_cells(
    call: str,
    heard: Measured,
    expected: Hears,
    voices: Collection[Participant],
    below_db: float = DIRECT_BELOW_DB,
) -> list[WrongCell]:
    """Return what differs from what must be, for every listener and every sound."""
    assert set(heard.hears) == set(expected)
    assert all(set(levels) == set(voices) for levels in heard.hears.values())
    return [
        cell
        for listener in heard.hears
        for cell in _wrong_of(call, listener, heard, expected[listener], below_db)
    ]


def _wrong_of(
    call: str, listener: Participant, heard: Measured, to_hear: set[Participant], below_db: float
) -> Iterator[WrongCell]:
    absent_dbfs = SENT_DBFS - (BESIDE_MUSIC_DB if MUSIC in to_hear else below_db)
    for speaker, level in heard.hears[listener].items():
        present = speaker in to_hear
        if speaker == MUSIC:
            holds = (level > MUSIC_DBFS) is present
        elif present:
            holds = abs(level - SENT_DBFS) <= PRESENT_WITHIN_DB
        else:
            holds = level <= absent_dbfs
        if not holds:
            told = f"{call}: {listener} hears {speaker} at {level:.1f} dBFS"
            yield WrongCell(told, level, absent=not present)
    other = heard.other_calls[listener]
    if other > absent_dbfs:
        told = f"{call}: {listener} hears another call at {other:.1f} dBFS"
        yield WrongCell(told, other, absent=True)
