"""Who did what on which call, when, and with what result."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Final

from bridge.model.ids import CallId
from bridge.runtime.listeners import tell

_log = logging.getLogger("callbridge.audit")

KEPT: Final = 10_000
"""Records that are kept in memory, the newest; all are logged and told."""


PROGRAM: Final = "program"
"""What commands come from that a program gives in process."""

_ACTING: Final = ContextVar("acting", default=PROGRAM)


@contextmanager
def acting(name: str) -> Iterator[None]:
    """Let records say ``name`` instead of ``program`` while the block runs, in this task."""
    before = _ACTING.set(name)
    try:
        yield
    finally:
        _ACTING.reset(before)


def who_acts() -> str:
    """Return whom a program acts for in this task; ``program``: for itself."""
    return _ACTING.get()


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that somebody did, or that befell him."""

    at: float
    """Seconds since 1970."""
    call_id: CallId | None
    who: str
    """The observer's or agent's name on the call."""
    what: str
    """Such as ``whisper to callee``, ``joined``, ``left``."""
    by: str
    """What it came from: ``program`` or who it acts for, ``key 5``, or ``callbridge`` itself."""
    result: str
    """``done``, or why not."""


class Audit:
    """Takes records, keeps the newest, and hands each to whoever listens.

    clock: seconds since 1970. A listener must not block; what it raises is logged.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._records: deque[AuditRecord] = deque(maxlen=KEPT)
        self.listeners: list[Callable[[AuditRecord], None]] = []

    @property
    def records(self) -> tuple[AuditRecord, ...]:
        """The newest records, oldest first."""
        return tuple(self._records)

    @contextmanager
    def command(self, call_id: CallId | None, who: str, what: str, *, by: str) -> Iterator[None]:
        """Record how the block, which carries a command out, ends; what it raises goes on."""
        try:
            yield
        except BaseException as error:
            self.note(call_id, who, what, by=by, result=str(error) or type(error).__name__)
            raise
        self.note(call_id, who, what, by=by)

    def note(
        self, call_id: CallId | None, who: str, what: str, *, by: str, result: str = "done"
    ) -> None:
        """Record something. It is logged as a line of JSON by the logger ``callbridge.audit``."""
        by = who_acts() if by == PROGRAM else by
        record = AuditRecord(self._clock(), call_id, who, what, by, result)
        _log.info("%s", json.dumps(asdict(record)))
        self.keep(record)

    def keep(self, record: AuditRecord) -> None:
        """Keep a record, and tell whoever listens."""
        self._records.append(record)
        tell(self.listeners, _log, "a listener of the audit", record)
