"""What lies in a call's mailbox: things that happened, and who waits for what follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from bridge.session.inputs import Input


@dataclass(slots=True)
class Processed:
    """Lets a task wait until its input has been carried out."""

    event: Input
    done: asyncio.Future[None]


@dataclass(slots=True)
class Report:
    """A fact that the hands report, and the serial that says whether it still counts."""

    fact: Input
    serial: int


@dataclass(slots=True)
class Fault:
    """The hands broke: a fault of ours."""

    error: BaseException


Letter: TypeAlias = Input | Processed | Report | Fault


def opened(letter: Letter) -> tuple[Input, asyncio.Future[None] | None]:
    """Return the input in a letter, and who waits for its being carried out."""
    match letter:
        case Fault(error):
            raise error
        case Report(fact):
            return fact, None
        case Processed(event, done):
            return event, done
        case event:
            return event, None
