"""The result for people: a table per step."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bridge.lab.demo.result import DemoResult, StepResult
from bridge.lab.demo.story import ALL
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant

NAMES = {CALLER: "caller", CALLEE: "callee", AGENT: "AI"}


def show(result: DemoResult, console: Console) -> None:
    """Print one table per step, and the verdict."""
    console.print(
        f"Asterisk {result.asterisk}, phones with {result.codec}; "
        f"everybody says a tone of his own at {result.sent_dbfs:.0f} dBFS"
    )
    for number, step in enumerate(result.steps, 1):
        console.print(_step(number, step))
    console.print(_verdict(result))


def _step(number: int, result: StepResult) -> Group:
    title = Text.assemble((f"\n{number}. {result.step.name}", "bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("who hears whom")
    for speaker in ALL:
        table.add_column(f"{NAMES[speaker]}'s voice", justify="right")
    for listener in result.step.listeners:
        cells = (_cell(result, listener, speaker) for speaker in ALL)
        table.add_row(f"{NAMES[listener]} hears", *cells)
    return Group(title, table, Text(_timing(result), style="dim"))


def _cell(result: StepResult, listener: Participant, speaker: Participant) -> Text:
    level = result.phones.hears[listener][speaker]
    expected = result.expected(listener, speaker)
    holds = result.limits.holds(level, expected=expected)
    word = "yes" if expected else "no"
    mark = "✓" if holds else "✗"
    style = ("green" if expected else "dim") if holds else "bold red"
    return Text(f"{level:6.1f} dB  {word:>3} {mark}", style=style)


def _timing(result: StepResult) -> str:
    direct, phones = result.direct, result.phones
    parts = []
    if direct.heard_after_ms is not None:
        parts.append(f"heard after {direct.heard_after_ms:.0f} ms")
        if phones.heard_after_ms is not None:
            parts.append(f"behind a phone's jitter buffer after {phones.heard_after_ms:.0f} ms")
    parts.append(f"frames lost: {_each(direct.lost_frames)}")
    if any(direct.held_up_frames.values()):
        parts.append(f"late by 20 ms: {_each(direct.held_up_frames)}")
    return "   " + ", ".join(parts)


def _each(counts: Mapping[Participant, int]) -> str:
    return ", ".join(f"{NAMES[who]} {count}" for who, count in counts.items())


def _verdict(result: DemoResult) -> Text:
    if result.ok:
        return Text(
            "\nEvery voice was heard by whom it was meant for, and by nobody else.", "green"
        )
    lines = [
        f"  {step.step.name}: {listener} hears {speaker} at {level:.1f} dBFS ({call})"
        for step in result.steps
        for call, listener, speaker, level in step.wrong
    ]
    return Text("\nNot as it must be:\n" + "\n".join(lines), "bold red")
