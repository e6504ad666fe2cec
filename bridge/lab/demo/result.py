"""What was measured, step by step, and whether it is as it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.story import Told
from bridge.lab.hearing.limits import (
    ABSENT_BELOW_BESIDE_MUSIC_DB,
    ABSENT_BELOW_DB,
    MUSIC_ABOVE_BELOW_DB,
    PRESENT_WITHIN_DB,
)
from bridge.model.participants import Participant

LONGEST_SILENCE_MS = 200.0
"""Longer than this a caller is never to hear nothing at all."""

Levels = Mapping[Participant, float]
"""dBFS of every speaker's tone at one listener."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as heard, and as not heard."""

    sent_dbfs: float
    absent_below_db: float = ABSENT_BELOW_DB

    def holds(self, level: float, *, expected: bool, beside_music: bool = False) -> bool:
        """Tell whether the level of a voice is what it must be."""
        if expected:
            return abs(level - self.sent_dbfs) <= PRESENT_WITHIN_DB
        below_db = ABSENT_BELOW_BESIDE_MUSIC_DB if beside_music else self.absent_below_db
        return level <= self.sent_dbfs - below_db

    def music_holds(self, level: float, *, expected: bool) -> bool:
        """Tell whether the level of what is no voice is what it must be."""
        return (level > self.sent_dbfs - MUSIC_ABOVE_BELOW_DB) is expected


@dataclass(frozen=True, slots=True)
class Measured:
    """One call's ears during one step."""

    hears: Mapping[Participant, Levels]
    """Per listener."""
    heard_after_ms: float | None
    """From the command to the first frame with the new voice (the agent's, a supervisor's), at the
    last of those who newly hear it; None where nobody does."""
    lost_frames: Mapping[Participant, int]
    """Per listener: frames of 20 ms of the parties' voices that he lost, since the last step."""
    held_up_frames: Mapping[Participant, int]
    """Per listener: the same, but heard late: 20 ms of silence were put in (see hearing.lost)."""
    windows: Mapping[Participant, tuple[float, float]] = field(default_factory=dict)
    """Per listener: where the step is in his recording, in seconds."""
    other_calls: Mapping[Participant, float] = field(default_factory=dict)
    """Per listener: the loudest voice of any other call, dBFS."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step on the call of the phones and, beside it, on one that is heard without them."""

    step: Told
    silent: frozenset[Participant]
    """Parties that send nothing at all."""
    limits: Limits
    phones: Measured
    direct: Measured
    notes: tuple[str, ...] = ()
    """What else there is to say of the step."""

    def expected(self, listener: Participant, speaker: Participant) -> bool:
        """Tell whether ``listener`` must hear ``speaker``."""
        return (listener, speaker) in self.step.matrix and speaker not in self.silent

    def holds(self, listener: Participant, speaker: Participant) -> bool:
        """Tell whether the phone of ``listener`` hears ``speaker`` as it must."""
        expected, level = self.expected(listener, speaker), self.phones.hears[listener][speaker]
        return self._holds(self.limits, listener, speaker, level, expected=expected)

    @property
    def wrong(self) -> list[tuple[str, str, str, float]]:
        """Cells that are not as they must be: (call, listener, speaker, dBFS)."""
        cells: list[tuple[str, str, str, float]] = []
        calls = (("phones", self.phones, self.limits), ("direct", self.direct, self._strict))
        for name, measured, limits in calls:
            for listener, levels in measured.hears.items():
                for speaker, level in levels.items():
                    expected = self._expected_on(name, listener, speaker)
                    if not self._holds(limits, listener, speaker, level, expected=expected):
                        cells.append((name, listener, speaker, level))
            for listener, level in measured.other_calls.items():
                if not limits.holds(level, expected=False, beside_music=self._music_at(listener)):
                    cells.append((name, listener, "another call", level))
        return cells

    def _holds(
        self,
        limits: Limits,
        listener: Participant,
        speaker: Participant,
        level: float,
        *,
        expected: bool,
    ) -> bool:
        if speaker == MUSIC:
            return limits.music_holds(level, expected=expected)
        return limits.holds(level, expected=expected, beside_music=self._music_at(listener))

    def _music_at(self, listener: Participant) -> bool:
        return (listener, MUSIC) in self.step.matrix

    @property
    def ok(self) -> bool:
        """Every cell is as it must be."""
        return not self.wrong

    @property
    def _strict(self) -> Limits:
        return Limits(self.limits.sent_dbfs)

    def _expected_on(self, call: str, listener: Participant, speaker: Participant) -> bool:
        if call == "phones":
            return self.expected(listener, speaker)
        return (listener, speaker) in self.step.matrix

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes of this step."""
        return {
            "name": self.step.name,
            "mode": self.step.mode,
            "hears": _rounded(self.phones.hears),
            "expected": {
                listener: {
                    speaker: self.expected(listener, speaker) for speaker in self.step.speakers
                }
                for listener in self.phones.hears
            },
            "ok": self.ok,
            "heard_after_ms": self.direct.heard_after_ms,
            "lost_frames": dict(self.direct.lost_frames),
            "held_up_frames": dict(self.direct.held_up_frames),
            "phones": {
                "heard_after_ms": self.phones.heard_after_ms,
                "lost_frames": dict(self.phones.lost_frames),
            },
            "direct": {"hears": _rounded(self.direct.hears)},
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """A step that this Asterisk cannot do with these phones, and that was therefore left out."""

    step: Told
    why: str

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes of this step."""
        return {"name": self.step.name, "mode": self.step.mode, "cannot_be_had": self.why}


@dataclass(frozen=True, slots=True)
class SecondAct:
    """Supervision of calls that no application placed."""

    live_call: str
    """The phones' call as the directory of live calls tells it."""
    steps: tuple[StepResult | Refused, ...]
    left: tuple[str, ...] = ()
    """Channels and bridges that are left in Asterisk and should not be."""

    @property
    def ok(self) -> bool:
        """Every cell of every step that was had is as it must be, and nothing is left."""
        return not self.left and all(step.ok for step in self.measured)

    @property
    def measured(self) -> tuple[StepResult, ...]:
        """The steps that were had."""
        return tuple(step for step in self.steps if isinstance(step, StepResult))

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {
            "live_call": self.live_call,
            "ok": self.ok,
            "steps": [step.as_json() for step in self.steps],
            "left": list(self.left),
        }


@dataclass(frozen=True, slots=True)
class ThirdAct:
    """A caller is handed over to a human."""

    steps: tuple[StepResult, ...]
    silences_ms: tuple[float, ...]
    """For how long at most the caller of the direct call heard nothing on the way to each step."""
    left: tuple[str, ...] = ()
    """See SecondAct."""

    @property
    def ok(self) -> bool:
        """Every cell is as it must be, no caller was left in silence, and nothing is left."""
        return not self.left and not self.silent and all(step.ok for step in self.steps)

    @property
    def silent(self) -> tuple[tuple[str, float], ...]:
        """Steps on the way to which the caller heard nothing for too long, and how long: ms."""
        return tuple(
            (step.step.name, silence)
            for step, silence in zip(self.steps, self.silences_ms, strict=True)
            if silence > LONGEST_SILENCE_MS
        )

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {
            "ok": self.ok,
            "steps": [
                {**step.as_json(), "longest_silence_ms": silence}
                for step, silence in zip(self.steps, self.silences_ms, strict=True)
            ],
            "left": list(self.left),
        }


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The whole demonstration."""

    asterisk: str
    codec: str
    tones: Mapping[Participant, float]
    sent_dbfs: float
    steps: tuple[StepResult, ...]
    """Of the first act."""
    second_act: SecondAct | None = None
    """None when only the first was given."""
    third_act: ThirdAct | None = None
    """The same."""

    @property
    def ok(self) -> bool:
        """All acts went as they must."""
        acts = (self.second_act, self.third_act)
        return all(step.ok for step in self.steps) and all(act is None or act.ok for act in acts)

    def as_json(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        acts = {"second_act": self.second_act, "third_act": self.third_act}
        return {
            "asterisk": self.asterisk,
            "codec": self.codec,
            "sent_dbfs": self.sent_dbfs,
            "ok": self.ok,
            "steps": [step.as_json() for step in self.steps],
            **{name: act.as_json() for name, act in acts.items() if act is not None},
        }


def timeline(
    tones: Mapping[Participant, float], sent_dbfs: float, steps: Sequence[StepResult]
) -> dict[str, object]:
    """Return where in the phones' and the AI's recordings every step is heard."""
    return {
        "tones": dict(tones),
        "sent_dbfs": sent_dbfs,
        "steps": [
            {
                "name": step.step.name,
                "listeners": {
                    listener: [round(start, 3), round(end, 3)]
                    for listener, (start, end) in step.phones.windows.items()
                },
            }
            for step in steps
        ],
    }


def _rounded(hears: Mapping[Participant, Levels]) -> dict[str, dict[str, float]]:
    return {
        listener: {speaker: round(level, 1) for speaker, level in levels.items()}
        for listener, levels in hears.items()
    }
