"""The daemon's log, on standard error: a line each, as text or JSON, with whose doing it is.

Whoever logs only puts a record into a queue; a thread words and writes it, so that a terminal or
journal that does not read holds up no call. The queue is bounded: what does not fit is counted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from typing import Final, Literal, TextIO

from bridge.api.context import PRINCIPAL, REQUEST_ID
from bridge.model.context import CALL_ID

QUEUED: Final = 10_000
"""Records that wait to be written."""
_STOP_SECONDS: Final = 2.0
AUDIT: Final = "callbridge.audit"
HIDDEN: Final = "***"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CALL: Final = re.compile(r"\bcall %s\b")
_FIELDS: Final = ("call_id", "request_id", "principal")
_SECRETS: Final = (
    (re.compile(r"\b(cbk_[A-Za-z0-9]+_)[A-Za-z0-9_-]+"), r"\1" + HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + HIDDEN),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1" + HIDDEN + "@"),
)
_NUMBER: Final = re.compile(r"(?<![\w.-])\+?\d{4,}(\d\d)(?!\.\d|[\w-])")
"""Of six digits or more: extensions and ports have fewer, ids have letters or dots."""

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]


class Log:
    """A log that is written by a thread of its own. ``dropped``: records that did not fit."""

    def __init__(self, formatter: logging.Formatter, stream: TextIO) -> None:
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUED)
        self.handler = _Door(self._records)
        self._written = logging.StreamHandler(stream)
        self._written.setFormatter(formatter)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    @property
    def dropped(self) -> int:
        """How many records were not written because too many waited."""
        return self.handler.dropped

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end; what a stream does not take within 2 s is given up."""
        with contextlib.suppress(queue.Full):
            self._records.put(None, timeout=_STOP_SECONDS)
        self._thread.join(_STOP_SECONDS)

    def _write(self) -> None:
        while (record := self._records.get()) is not None:
            self._written.handle(record)


@contextmanager
def logging_to(
    stream: TextIO | None = None,
    *,
    format: Format = "text",  # noqa: A002 - as in the configuration
    level: Level = "info",
    redact: bool = True,
) -> Iterator[Log]:
    """Send everything that is logged to a stream, for the length of the block.

    stream: standard error by default. redact: hide numbers but for their last two digits; secrets
    are hidden in any case.
    """
    formatter = (JsonLines if format == "json" else TextLines)(redact=redact)
    log = Log(formatter, stream or sys.stderr)
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    root.handlers = [log.handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    log.start()
    try:
        yield log
    finally:
        logging.captureWarnings(capture=False)
        root.handlers = handlers
        root.setLevel(before)
        log.stop()


class _Door(QueueHandler):
    """Notes whose doing a record is, while that is known, and queues it."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(records)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.call_id = CALL_ID.get() or _call_of(record)
        record.request_id = REQUEST_ID.get()
        record.principal = PRINCIPAL.get()
        # What is mutable may be another thing when the thread comes to it.
        record.msg, record.args = record.getMessage(), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


def _call_of(record: logging.LogRecord) -> str:
    """Return the call that a message is about: of ``call %s: …`` what stands for the first."""
    if isinstance(record.msg, str) and isinstance(record.args, tuple) and record.args:
        before = _CALL.search(record.msg)
        if before is not None:
            place = record.msg[: before.start()].count("%s")
            if place < len(record.args):
                return str(record.args[place])
    return ""


def hide(text: str, *, numbers: bool, keep: str = "") -> str:
    """Return a text without its secrets and, if asked for, without its telephone numbers.

    keep: an id that is no number even if it is all digits.
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    if numbers:
        text = _NUMBER.sub(lambda m: m[0] if m[0] == keep else HIDDEN + m[1], text)
    return text


def _visible(text: str) -> str:
    """Return a text with its control characters as people write them."""
    return _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


class TextLines(logging.Formatter):
    """For people: time, level, logger, whose doing it is, message."""

    def __init__(self, *, redact: bool = True) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return a line, and more of them for a traceback."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        whose = " ".join(f"{name}={_visible(value)}" for name, value in _whose(record))
        # Whatever somebody has sent begins no line of its own.
        told = record.getMessage() + (f"\n{record.exc_text}" if record.exc_text else "")
        text = "\n    ".join(map(_visible, told.split("\n")))
        return (
            f"{at}.{int(record.msecs):03} {record.levelname:<7} {record.name}"
            f"{f' [{whose}]' if whose else ''}: "
            f"{hide(text, numbers=self._redact, keep=getattr(record, 'call_id', ''))}"
        )


class JsonLines(logging.Formatter):
    """For programs: an object a line."""

    def __init__(self, *, redact: bool = True) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of JSON."""
        shown: dict[str, object] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            **dict(_whose(record)),
        }
        if record.name == AUDIT:
            audit = json.loads(record.getMessage())
            shown["audit"] = {
                key: self._hidden(value, record) if isinstance(value, str) else value
                for key, value in audit.items()
            }
            shown.setdefault("call_id", audit.get("call_id"))
        else:
            shown["message"] = self._hidden(record.getMessage(), record)
        if record.exc_text:
            shown["traceback"] = self._hidden(record.exc_text, record)
        return json.dumps(shown, ensure_ascii=False)

    def _hidden(self, text: str, record: logging.LogRecord) -> str:
        return hide(text, numbers=self._redact, keep=getattr(record, "call_id", ""))


def _whose(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    for name in _FIELDS:
        if value := getattr(record, name, ""):
            yield name, value
