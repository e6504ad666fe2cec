"""The result for people: a table per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bridge.lab.demo.handed_over_story import BRIEF, HUMAN
from bridge.lab.demo.music import MUSIC
from bridge.lab.demo.result import DemoResult, Refused, StepResult
from bridge.lab.demo.supervised_story import SUPERVISOR
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant

NAMES = {
    CALLER: "caller",
    CALLEE: "callee",
    SUPERVISOR: "supervisor",
    HUMAN: "human",
    AGENT: "AI",
    BRIEF: "brief",
    MUSIC: "music",
}

_ROOMY = 3
_TIGHT = 5
SECOND_ACT = "\nSecond act: supervision of a call that callbridge did not place"
THIRD_ACT = "\nThird act: a caller is handed over to a human"


def show(result: DemoResult, console: Console) -> None:
    """Print one table per step, and the verdict."""
    console.print(
        f"Asterisk {result.asterisk}, phones with {result.codec}; "
        f"everybody says a tone of his own at {result.sent_dbfs:.0f} dBFS"
    )
    numbers = count(1)
    for heading, steps in _acts(result):
        if heading:
            console.print(heading)
        for step, number in zip(steps, numbers, strict=False):
            console.print(
                _step(number, step) if isinstance(step, StepResult) else _left_out(number, step)
            )
    console.print(_verdict(result))


def _acts(result: DemoResult) -> list[tuple[str, Sequence[StepResult | Refused]]]:
    """Return the steps of every act that was given, with what it is called."""
    second, third = result.second_act, result.third_act
    acts: list[tuple[str, Sequence[StepResult | Refused]]] = [("", result.steps)]
    if second is not None:
        acts.append((SECOND_ACT, second.steps))
    if third is not None:
        acts.append((THIRD_ACT, third.steps))
    return acts


def _title(number: int, name: str) -> Text:
    return Text.assemble((f"\n{number}. {name}", "bold"))


def _left_out(number: int, refused: Refused) -> Group:
    why = Text(f"   cannot be had: {refused.why}", style="yellow")
    return Group(_title(number, refused.step.name), why)


def _step(number: int, result: StepResult) -> Group:
    speakers = result.step.speakers
    # With more columns than these the units do not fit into 80 columns of text.
    roomy = len(speakers) <= _ROOMY
    gap = 1 if len(speakers) >= _TIGHT else 2
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column("who hears whom", no_wrap=True)
    for speaker in speakers:
        title = f"{NAMES[speaker]}'s voice" if roomy else NAMES[speaker]
        table.add_column(title, justify="right", no_wrap=True)
    for listener in result.step.listeners:
        cells = (_cell(result, listener, speaker, roomy=roomy) for speaker in speakers)
        table.add_row(f"{NAMES[listener]} hears", *cells)
    notes = (f"   {note}" for note in result.notes)
    below = Text("\n".join((_timing(result), *notes)), style="dim")
    return Group(_title(number, result.step.name), table, below)


def _cell(result: StepResult, listener: Participant, speaker: Participant, *, roomy: bool) -> Text:
    level = result.phones.hears[listener][speaker]
    expected = result.expected(listener, speaker)
    holds = result.holds(listener, speaker)
    word = "yes" if expected else "no"
    mark = "✓" if holds else "✗"
    style = ("green" if expected else "dim") if holds else "bold red"
    unit = " dB " if roomy else ""
    return Text(f"{level:6.1f}{unit} {word:>3} {mark}", style=style)


def _timing(result: StepResult) -> str:
    direct, phones = result.direct, result.phones
    parts = []
    if direct.heard_after_ms is not None:
        parts.append(f"heard after {direct.heard_after_ms:.0f} ms")
        if phones.heard_after_ms is not None:
            parts.append(result.step.phone_timing.format(ms=phones.heard_after_ms))
    parts.append(f"frames lost: {_each(direct.lost_frames)}")
    if any(direct.held_up_frames.values()):
        parts.append(f"late by 20 ms: {_each(direct.held_up_frames)}")
    return "   " + ", ".join(parts)


def _each(counts: Mapping[Participant, int]) -> str:
    return ", ".join(f"{NAMES[who]} {count}" for who, count in counts.items())


def _verdict(result: DemoResult) -> Text:
    steps = [step for _, act in _acts(result) for step in act]
    measured = [step for step in steps if isinstance(step, StepResult)]
    if result.ok:
        refused = len(steps) - len(measured)
        but = f" Steps that could not be had: {refused}." if refused else ""
        return Text(
            f"\nEvery voice was heard by whom it was meant for, and by nobody else.{but}", "green"
        )
    lines = [
        f"  {step.step.name}: {listener} hears {speaker} at {level:.1f} dBFS ({call})"
        for step in measured
        for call, listener, speaker, level in step.wrong
    ]
    second, third = result.second_act, result.third_act
    if third is not None:
        lines += [
            f"  {name}: before it the caller heard nothing for {silence:.0f} ms"
            for name, silence in third.silent
        ]
    for act in (second, third):
        lines += [f"  left in Asterisk: {name}" for name in (() if act is None else act.left)]
    return Text("\nNot as it must be:\n" + "\n".join(lines), "bold red")
