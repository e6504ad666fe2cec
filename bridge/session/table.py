"""What all state machines are: tables of which every row has to list every input, once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

_Phase = TypeVar("_Phase")
_Kind = TypeVar("_Kind")
_Rule = TypeVar("_Rule")


def completed(
    rows: Mapping[_Phase, Collection[tuple[_Kind, _Rule]]],
    phases: Iterable[_Phase],
    inputs: Collection[_Kind],
) -> Mapping[_Phase, Mapping[_Kind, _Rule]]:
    """Return the table. Raises TypeError for a phase that lacks an input, or has one twice."""
    table = {}
    for phase in phases:
        row = dict(rows[phase])
        differing = row.keys() ^ set(inputs)
        if differing or len(row) != len(rows[phase]):
            raise TypeError(f"{phase}: every input once; differing: {differing}")
        table[phase] = MappingProxyType(row)
    return MappingProxyType(table)
