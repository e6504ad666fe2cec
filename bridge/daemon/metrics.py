"""Figures for Prometheus, in a registry of the daemon's own."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.api.service import Service
from bridge.model.errors import CallbridgeError
from bridge.model.states import CallState
from bridge.protocol.views import EventView

COMMAND_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
PATH: Final = "/metrics"
_FORWARDED: Final = frozenset({hdrs.FORWARDED, hdrs.X_FORWARDED_FOR})
"""Of a request that a proxy on this machine hands on for somebody else."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})

Gauge = Callable[[], float]


class Metrics:
    """Counts what happens; what stands is looked up when it is asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "callbridge_requests",
            "Requests of the API, by operation and HTTP status.",
            ["operation", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "callbridge_request_seconds",
            "How long requests took.",
            ["operation"],
            buckets=COMMAND_SECONDS,
            registry=self.registry,
        )
        self._events = Counter(
            "callbridge_events", "Events, by type.", ["type"], registry=self.registry
        )
        self._lag = Histogram(
            "callbridge_loop_lag_seconds",
            "How late the event loop was: a frame of audio is 0.02.",
            buckets=LAG_SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def event(self, event: EventView) -> None:
        """Count an event."""
        self._events.labels(event.type).inc()

    def lag(self, seconds: float) -> None:
        """Count a beat of the loop."""
        self._lag.observe(seconds)

    def look_at(self, service: Service, *, log_dropped: Gauge) -> None:
        """Look up what stands in these parts whenever figures are asked for."""
        self.registry.register(_Standing(service, log_dropped))

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self.registry)

    def handler(self, *, public: bool) -> Handler:
        """Return what answers ``GET /metrics``. public: to everybody, else to this machine."""

        async def answer(request: web.Request) -> web.Response:
            forwarded = any(name in request.headers for name in _FORWARDED)
            if not public and (forwarded or request.remote not in _LOOPBACK):
                raise web.HTTPForbidden(
                    text="figures are told to this machine alone: set metrics.public or "
                    "metrics.port\n"
                )
            return web.Response(body=self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        return answer


class _Standing(Collector):
    """What stands now."""

    def __init__(self, service: Service, log_dropped: Gauge) -> None:
        self._service = service
        self._log_dropped = log_dropped

    def describe(self) -> Iterable[Metric]:
        """Nothing is looked up before it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Look, and tell."""
        service = self._service
        states = Tally(call.state for call in service.client.calls)
        calls = GaugeMetricFamily(
            "callbridge_calls", "Calls that callbridge has, by state.", labels=["state"]
        )
        for state in CallState:
            calls.add_metric([state], states[state])
        yield calls
        yield _gauge("live_calls", "Calls of the PBX, whoever placed them.", self._live)
        yield _gauge("tasks", "Tasks of the event loop.", lambda: len(asyncio.all_tasks()))
        yield _gauge("watchers", "Who watches events.", lambda: service.hub.broadcast.watchers)
        yield _gauge("ari_up", "1 while Asterisk is reached.", self._ari)
        yield _gauge("draining", "1 while the daemon is about to stop.", lambda: service.draining)
        yield _gauge("store_backlog", "Records not stored yet.", lambda: service.store.backlog)
        yield _gauge(
            "webhook_pending", "Deliveries on their way.", lambda: service.webhooks.pending
        )
        yield _counter(
            "audio_lost_frames",
            "Frames of 20 ms from calls that sockets were too slow for.",
            service.audio_positions.lost_frames,
        )
        yield _counter("store_lost", "Records given up.", service.store.lost)
        yield _counter("log_dropped", "Lines of the log given up.", self._log_dropped())
        counts = CounterMetricFamily(
            "callbridge_webhook_deliveries", "What became of deliveries.", labels=["result"]
        )
        for result in ("delivered", "failed", "dead", "dropped"):
            counts.add_metric([result], service.webhooks.counts[result])
        yield counts
        dropped = [call.dropped_audio for call in service.client.calls]
        lost = GaugeMetricFamily(
            "callbridge_audio_unheard_bytes",
            "Audio of programs on live calls that nobody heard, by reason.",
            labels=["reason"],
        )
        for reason in ("silent", "cleared", "refused"):
            lost.add_metric([reason], sum(getattr(one, reason) for one in dropped))
        yield lost

    def _live(self) -> float:
        try:
            return len(self._service.client.known_calls)
        except CallbridgeError:
            return 0.0

    def _ari(self) -> float:
        return float(self._service.health().get("ari", "ok") == "ok")


def _gauge(name: str, help_: str, value: Gauge) -> Metric:
    return GaugeMetricFamily(f"callbridge_{name}", help_, value=float(value()))


def _counter(name: str, help_: str, value: float) -> Metric:
    return CounterMetricFamily(f"callbridge_{name}", help_, value=float(value))
