"""State diagrams in Mermaid's words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

BREAK = "<br/>"


@dataclass(frozen=True)
class Box:
    """One box. key: unique in its diagram, without spaces; label: lines are parted by BREAK."""

    key: str
    label: str


def diagram(
    edges: Mapping[tuple[Box, Box], Iterable[str]],
    *,
    boxes: Collection[Box],
    first: Box,
    last: Box,
) -> str:
    """Return the diagram, fenced. edges: with the words on them; they and boxes are in order.

    first, last: where it begins and ends, if that is in it.
    """
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{box.label}" as {box.key}' for box in boxes]
    if first in boxes:
        lines.append(f"    [*] --> {first.key}")
    lines += [
        f"    {start.key} --> {end.key}: {BREAK.join(words)}"
        for (start, end), words in edges.items()
    ]
    if last in boxes:
        lines.append(f"    {last.key} --> [*]")
    return "\n".join([*lines, "```"])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown's; the first cell of its head is empty."""
    titles = list(head)
    lines = [f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
