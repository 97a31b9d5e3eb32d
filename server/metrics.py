"""Prometheus metrics of the server, from its requests and from finished usage records."""

import os
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    start_http_server,
)

from gateway.usage.record import Record
from server.access_log import Line
from server.listener import HOST, PortInUse

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Operators name models and providers: each name is a time series, so there must be an end to them.
MAX_NAMES = 200
OTHER = "other"
NONE = "none"
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# Where the workers of one server keep their values; prometheus_client reads it when it is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Names:
    """The first names of a kind; every later one is `other`."""

    def __init__(self, limit: int = MAX_NAMES) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def label(self, name: str | None) -> str:
        """The name as a label's value."""
        if not name:
            return NONE
        if name not in self._known:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(name)
        return name


class Metrics:
    """The server's counters. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._models, self._providers = Names(), Names()
        self._http = Counter(
            "stt_gateway_http_requests", "Answered requests", ["method", "route", "status"], registry=registry
        )
        self._http_seconds = Histogram(
            "stt_gateway_http_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "stt_gateway_requests_in_flight",
            "Requests in flight",
            ["kind"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._transcriptions = Counter(
            "stt_gateway_transcriptions",
            "Transcription requests, by result: ok, or the error's type",
            ["model", "provider", "result"],
            registry=registry,
        )
        self._billed = Counter(
            "stt_gateway_billed_seconds",
            "Billed seconds of audio",
            ["model", "provider"],
            registry=registry,
        )
        self._attempts = Counter(
            "stt_gateway_attempts", "Calls of providers", ["provider", "outcome"], registry=registry
        )
        self._faulty = Counter(
            "stt_gateway_impossible_timings",
            "Transcripts with timings that cannot be true, which were left out",
            ["provider"],
            registry=registry,
        )
        self._phases = Histogram(
            "stt_gateway_transcription_seconds",
            "Time of a transcription, by phase: provider, gateway (the rest)",
            ["phase"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def in_flight(self, kind: str) -> Callable[[int], None]:
        """What takes the number of requests of a kind that are in flight."""
        return self._in_flight.labels(kind).set

    def request(self, line: Line) -> None:
        """Count an answered request."""
        route = line.route or NONE
        method = line.method if line.route else NONE
        self._http.labels(method, route, str(line.status)).inc()
        self._http_seconds.labels(route).observe(line.milliseconds / 1000)

    def report(self, record: Record) -> None:
        """Count a finished transcription request."""
        # Only a deployment proves that a model exists: before that, its name is what the caller sent.
        model = self._models.label(record.model if record.attempts else None)
        provider = self._providers.label(record.provider)
        self._transcriptions.labels(model, provider, record.error_type or "ok").inc()
        self._billed.labels(model, provider).inc(record.billed_seconds)
        for attempt in record.attempts:
            self._attempts.labels(self._providers.label(attempt.provider), attempt.outcome).inc()
        if record.faults:
            self._faulty.labels(provider).inc()
        asked = sum(attempt.milliseconds for attempt in record.attempts)
        self._phases.labels("provider").observe(asked / 1000)
        self._phases.labels("gateway").observe(max(record.latency_ms - asked, 0) / 1000)

    def registry(self) -> CollectorRegistry:
        """What this server counts, in all its workers."""
        return registry_of_workers() if SHARED in os.environ else self._registry

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry())


def registry_of_workers() -> CollectorRegistry:
    """What the workers of one server count, from the directory that they share."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def forget_worker(pid: int) -> None:
    """Drop the gauges of a worker that ended."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def serve_on(port: int, registry: CollectorRegistry) -> None:
    """Serve the metrics on a port of this machine, in a thread. Raises PortInUse."""
    try:
        start_http_server(port, HOST, registry)
    except OSError as error:
        raise PortInUse(f"METRICS_PORT {port} cannot be used: {error.strerror}.") from error
