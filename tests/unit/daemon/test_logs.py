from __future__ import annotations

import contextvars
import io
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bridge.api.context import PRINCIPAL, REQUEST_ID
from bridge.daemon import logs
from bridge.daemon.logs import QUEUED, hide, logging_to
from bridge.model.context import CALL_ID
from bridge.model.ids import CallId
from bridge.runtime.audit import Audit

CALL = "0123456789ab"
log = logging.getLogger("bridge.runtime.some")


def written(what: Callable[[], None], **how: Any) -> list[str]:
    stream = io.StringIO()
    with logging_to(stream, **how):
        what()
    return stream.getvalue().splitlines()


def as_json(what: Callable[[], None], **how: Any) -> dict[str, Any]:
    [line] = written(what, format="json", **how)
    return dict(json.loads(line))


def test_a_line_of_a_call_has_its_id_request_and_principal() -> None:
    def say() -> None:
        CALL_ID.set(CALL)
        REQUEST_ID.set("r-1")
        PRINCIPAL.set("desk")
        log.warning("rang %s", "PJSIP/1002")

    shown = as_json(lambda: contextvars.copy_context().run(say))
    at = shown.pop("at")
    assert at > 1_700_000_000
    assert shown == {
        "level": "warning",
        "logger": "bridge.runtime.some",
        "call_id": CALL,
        "request_id": "r-1",
        "principal": "desk",
        "message": "rang PJSIP/1002",
    }
    [line] = written(lambda: contextvars.copy_context().run(say))
    assert f"[call_id={CALL} request_id=r-1 principal=desk]: rang PJSIP/1002" in line


def test_nobody_writes_lines_of_his_own() -> None:
    def say() -> None:
        CALL_ID.set("x\n2026-11-20 00:00:00.000 ERROR")
        log.warning("no call %r%s", "a", "\n2026-11-20 00:00:00.000 ERROR \x1b[2J\x9b\u2028")

    first, second = written(lambda: contextvars.copy_context().run(say))
    assert r"[call_id=x\n2026-11-20" in first
    assert first.endswith("no call 'a'")
    assert second == r"    2026-11-20 00:00:00.000 ERROR \x1b[2J\x9b\u2028"


def test_nobody_writes_lines_of_his_own_by_what_he_makes_fail() -> None:
    def fail() -> None:
        raise ValueError("no\n2026-11-20 00:00:00.000 ERROR \x1b[2J")

    def say() -> None:
        try:
            fail()
        except ValueError:
            log.exception("failed")

    first, *rest = written(say)
    assert first.endswith("failed")
    assert rest[-1] == r"    2026-11-20 00:00:00.000 ERROR \x1b[2J"
    assert all(line.startswith("    ") for line in rest)


def test_a_message_about_a_call_says_which_by_itself() -> None:
    assert as_json(lambda: log.info("call %s: lost: %s", CALL, "x"))["call_id"] == CALL
    assert as_json(lambda: log.info("%s: call %s is over", "x", CALL))["call_id"] == CALL
    assert "call_id" not in as_json(lambda: log.info("no call"))


def test_numbers_of_people_are_hidden_unless_they_are_to_be_seen() -> None:
    def say() -> None:
        log.info("call %s: from %s to %s", "012345678901", "+4930123456", "1002")

    assert as_json(say)["message"] == "call 012345678901: from ***56 to 1002"
    assert as_json(say, redact=False)["message"].endswith("from +4930123456 to 1002")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PJSIP/493012345@trunk", "PJSIP/***45@trunk"),
        ("sip:493012345@pbx", "sip:***45@pbx"),
        ("channel 1763652000.12 and port 54321", "channel 1763652000.12 and port 54321"),
        ("callbridge-0123456789ab-leg-123456789012", "callbridge-0123456789ab-leg-123456789012"),
        ("Authorization: Bearer abc.DEF-123456", "Authorization: Bearer ***"),
        ("key cbk_ab12_s3cret-part_x is wrong", "key cbk_ab12_*** is wrong"),
        ("postgresql://me:hush@db/x", "postgresql://me:***@db/x"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    assert hide(text, numbers=True) == shown


def test_secrets_are_hidden_in_tracebacks_whatever_the_settings_say() -> None:
    def fail() -> None:
        try:
            int("cbk_ab_secretpart")
        except ValueError:
            log.exception("failed")

    shown = as_json(fail, redact=False)
    assert "cbk_ab_***" in shown["traceback"]
    assert "secretpart" not in json.dumps(shown)


def test_the_audit_is_an_object_of_its_own() -> None:
    audit = Audit()
    shown = as_json(lambda: audit.note(CallId(CALL), "supervisor", "whisper", by="desk"))
    assert shown["call_id"] == CALL
    assert (shown["audit"]["what"], shown["audit"]["by"]) == ("whisper", "desk")
    assert "message" not in shown


def test_what_is_below_the_level_is_not_written() -> None:
    assert written(lambda: log.debug("x")) == []
    assert len(written(lambda: log.debug("x"), level="debug")) == 1


def test_a_stream_that_does_not_take_anything_holds_up_nobody() -> None:
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            released.wait()
            return super().write(text)

    released = threading.Event()
    stream = Stuck()
    more = 50
    with logging_to(stream) as stuck:
        for number in range(QUEUED + more):
            log.info("%d", number)
        dropped = stuck.dropped
        released.set()
    assert more - 1 <= dropped <= more
    assert len(stream.getvalue().splitlines()) == QUEUED + more - dropped


def test_a_stream_that_never_takes_anything_does_not_keep_the_daemon_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            released.wait()
            return super().write(text)

    monkeypatch.setattr(logs, "_STOP_SECONDS", 0.02)
    released = threading.Event()
    with logging_to(Stuck()):
        log.info("x")
    released.set()


def test_afterwards_the_root_logger_is_as_before() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    written(lambda: log.info("x"))
    assert (root.handlers, root.level) == before
