from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.ari import tracing
from bridge.daemon.config.sections import Tracing
from bridge.daemon.traces import NoTraces, OpenTelemetry, traces
from bridge.lab.waiting import until
from bridge.model.context import CALL_ID
from bridge.protocol import operations

CALL = "0123456789ab"


@pytest.fixture
async def kept() -> AsyncIterator[tuple[OpenTelemetry, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = OpenTelemetry(provider)
    yield made, exporter
    await made.close()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    found: int = span.context.span_id
    return found


async def test_what_a_call_asks_of_asterisk_is_below_its_command(
    kept: tuple[OpenTelemetry, InMemorySpanExporter],
) -> None:
    made, exporter = kept
    asked = asyncio.Event()

    async def live() -> None:
        """The call's own task, which carries commands out."""
        CALL_ID.set(CALL)
        await asked.wait()
        with tracing.seen("POST", "channels/c-1/answer"):
            pass

    call = asyncio.create_task(live())
    with made.command(operations.ANSWER, CALL):
        with tracing.seen("GET", "asterisk/ping"):
            pass
        asked.set()
        await call
    spans = by_name(exporter)
    command = spans["answer"]
    assert command.attributes is not None
    assert command.attributes["callbridge.call_id"] == CALL
    assert command.attributes["http.route"] == "/calls/{call_id}/answer"
    assert parent_of(command) is None
    assert parent_of(spans["ARI POST channels"]) == id_of(command)
    assert parent_of(spans["ARI GET asterisk"]) == id_of(command)


async def test_what_no_command_asked_for_is_not_traced(
    kept: tuple[OpenTelemetry, InMemorySpanExporter],
) -> None:
    made, exporter = kept
    with made.command(operations.ANSWER, "another"):
        pass
    exporter.clear()

    async def live() -> None:
        CALL_ID.set(CALL)
        with tracing.seen("POST", "bridges"):
            pass

    await asyncio.create_task(live())
    with tracing.seen("GET", "channels"):
        pass
    assert exporter.get_finished_spans() == ()


async def test_a_command_that_fails_says_so(
    kept: tuple[OpenTelemetry, InMemorySpanExporter],
) -> None:
    made, exporter = kept
    with pytest.raises(ValueError, match="oops"), made.command(operations.ANSWER, CALL):
        raise ValueError("oops")
    [span] = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert span.events[0].name == "exception"


async def test_off_nothing_is_seen() -> None:
    made = traces(Tracing())
    assert isinstance(made, NoTraces)
    with made.command(operations.ANSWER, CALL), tracing.seen("GET", "channels"):
        pass
    assert tracing.seen("GET", "a") is tracing.seen("GET", "b")
    await made.close()


def test_off_nothing_is_imported() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, bridge.daemon.serve; print(any('opentel' in m for m in sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


async def test_a_collector_that_does_not_answer_holds_up_no_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.daemon.traces.CLOSE_SECONDS", 0.05)
    released = threading.Event()

    class Deaf(SpanProcessor):
        def shutdown(self) -> None:
            released.wait()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Deaf())
    before = threading.active_count()
    try:
        async with asyncio.timeout(5):
            await OpenTelemetry(provider).close()
    finally:
        released.set()
    assert "does not answer" in caplog.text
    await until(lambda: threading.active_count() == before, "its thread has ended")
