"""The program under load, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bridge.lab.asterisk import InstanceInfo
from bridge.lab.bench.agent import PASSWORD_VARIABLE
from bridge.lab.bench.child import Child, open_child

_ANSWERS_S: Final = 20.0


@asynccontextmanager
async def open_program(info: InstanceInfo) -> AsyncIterator[Child]:
    """Run ``bridge.lab.bench.agent``, which takes orders; it has ended when the block has."""
    ari = info.ari
    async with open_child(
        "bridge.lab.bench.agent",
        ari.url,
        ari.username,
        what="the program under load",
        variables={PASSWORD_VARIABLE: ari.password},
        answers_s=_ANSWERS_S,
    ) as program:
        yield program
