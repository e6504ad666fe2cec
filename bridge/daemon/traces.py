"""Spans of commands and of what they ask of Asterisk, for OpenTelemetry: the extra ``otel``.

Off, nothing of it is imported, and a request to Asterisk costs one comparison more.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

from bridge.api.context import PRINCIPAL, REQUEST_ID
from bridge.ari import tracing
from bridge.daemon.config.sections import Tracing
from bridge.model.context import CALL_ID
from bridge.model.errors import ConfigurationError
from bridge.protocol.operations import Operation

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
"""How long spans that were not sent yet may hold up the daemon's end."""


class Traces(Protocol):
    """Opens spans."""

    def command(self, operation: Operation, call_id: str) -> AbstractContextManager[None]:
        """Open the span of a request of the API."""
        ...

    async def close(self) -> None:
        """Send what was not sent yet, and end: after 5 s without it."""
        ...


class NoTraces:
    """Traces nothing."""

    def command(self, operation: Operation, call_id: str) -> AbstractContextManager[None]:
        """Open no span."""
        del operation, call_id
        return nullcontext()

    async def close(self) -> None:
        """There is nothing to end."""


def traces(configured: Tracing) -> Traces:
    """Return what opens spans; nothing does unless an endpoint is configured.

    Raises ConfigurationError when the extra is not installed.
    """
    if configured.endpoint is None:
        return NoTraces()
    try:
        resources = importlib.import_module("opentelemetry.sdk.resources")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        sampling = importlib.import_module("opentelemetry.sdk.trace.sampling")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"tracing.endpoint needs {error.name}: pip install 'callbridge[otel]'"
        ) from error
    provider: TracerProvider = sdk.TracerProvider(
        # close() does it. At the process's exit nobody would limit how long it takes.
        shutdown_on_exit=False,
        resource=resources.Resource.create({"service.name": configured.service_name}),
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(configured.sample)),
    )
    exporter = otlp.OTLPSpanExporter(endpoint=configured.endpoint)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return OpenTelemetry(provider)


class OpenTelemetry:
    """Opens spans by a provider, and those of requests to Asterisk below them.

    A call's commands are carried out by the call's own task: what that asks of Asterisk is filed
    below the command of the call that is under way.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._api = importlib.import_module("opentelemetry.trace")
        self._tracer = provider.get_tracer("callbridge")
        self._under_way: dict[str, list[Span]] = {}
        tracing.use(self.request)

    @contextmanager
    def command(self, operation: Operation, call_id: str) -> Iterator[None]:
        """Open the span of a request of the API."""
        attributes = {
            "callbridge.call_id": call_id,
            "callbridge.request_id": REQUEST_ID.get(),
            "http.request.method": operation.method,
            "http.route": operation.path,
        }
        with self._tracer.start_as_current_span(
            operation.operation_id, kind=self._api.SpanKind.SERVER, attributes=attributes
        ) as span:
            spans = self._under_way.setdefault(call_id, [])
            spans.append(span)
            try:
                yield
            finally:
                span.set_attribute("callbridge.principal", PRINCIPAL.get())
                spans.remove(span)
                if not spans:
                    del self._under_way[call_id]

    @contextmanager
    def request(self, method: str, resource: str) -> Iterator[None]:
        """Open the span of a request to Asterisk, below the command that it is made for."""
        call_id = CALL_ID.get()
        context = None
        if not self._api.get_current_span().get_span_context().is_valid:
            if not (spans := self._under_way.get(call_id) if call_id else None):
                # Nobody's command: a call that lives its life is not traced.
                yield
                return
            context = self._api.set_span_in_context(spans[-1])
        with self._tracer.start_as_current_span(
            f"ARI {method} {resource.split('/', maxsplit=1)[0]}",
            context=context,
            kind=self._api.SpanKind.CLIENT,
            attributes={
                "callbridge.call_id": call_id,
                "http.request.method": method,
                "url.path": resource,
            },
        ):
            yield

    async def close(self) -> None:
        """Send what was not sent yet, and end: after 5 s without it."""
        tracing.use(None)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            try:
                self._provider.shutdown()
            finally:
                with contextlib.suppress(RuntimeError):
                    # The loop may be closed by now.
                    loop.call_soon_threadsafe(done.set)

        # Neither the loop nor the process waits for the end of such a thread.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await done.wait()
        except TimeoutError:
            _log.warning("the collector of traces does not answer: the last spans are lost")
