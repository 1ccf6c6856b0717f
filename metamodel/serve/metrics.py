"""What /metrics says, in Prometheus' words.

With several workers the counts are summed over them, through files that they share; gauges that cannot be summed have a
label `pid`, one value a worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from metamodel.screen.screened import ScreenedPrompt
from metamodel.serve.settings import SHARED_METRICS_VARIABLE

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of one worker, in a registry of its own."""

    def __init__(self) -> None:
        """Start from zero."""
        # Or every count would be followed by a line about its birthday.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library leaves it without types
        self._registry = CollectorRegistry()
        self._is_shared = SHARED_METRICS_VARIABLE in os.environ
        registry = self._registry
        self._requests = Counter(
            "metamodel_requests", "Requests, by path and status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "metamodel_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._refused = Counter("metamodel_refused", "Requests not answered as asked.", ["code"], registry=registry)
        self._prompts = Counter("metamodel_prompts", "Prompts, by decision.", ["decision"], registry=registry)
        self._stopped = Counter(
            "metamodel_stopped_prompts", "Prompts that a behavior's rule stopped.", ["behavior"], registry=registry
        )
        self._unfamiliar = Counter("metamodel_unfamiliar_prompts", "Prompts warned of.", registry=registry)
        self._reloads = Counter(
            "metamodel_reloads", "Attempts to load the folder again.", ["result"], registry=registry
        )
        self._queue = Gauge(
            "metamodel_queue_depth",
            "Requests that wait for their prediction.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._drift = Gauge(
            "metamodel_drift",
            "What the drift monitor reports of the prompts since the pre-screen was loaded; one a worker.",
            ["statistic"],
            multiprocess_mode="liveall",
            registry=registry,
        )
        if not self._is_shared:
            ProcessCollector(registry=registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def refused(self, code: str) -> None:
        """Count a refusal, by its reason."""
        self._refused.labels(code).inc()

    def screened(self, prompts: Iterable[ScreenedPrompt]) -> None:
        """Count decisions."""
        for prompt in prompts:
            self._prompts.labels(prompt.decision).inc()
            for behavior in prompt.stopped_by:
                self._stopped.labels(behavior).inc()
            if prompt.is_unfamiliar:
                self._unfamiliar.inc()

    def reloaded(self, succeeded: bool) -> None:  # noqa: FBT001 - what a callback is told
        """Count an attempt to reload."""
        self._reloads.labels("loaded" if succeeded else "failed").inc()

    def gauge(self, *, n_waiting: int, drift: Mapping[str, float]) -> None:
        """Set the gauges to what they are at this moment."""
        self._queue.set(n_waiting)
        for statistic, value in drift.items():
            self._drift.labels(statistic).set(value)

    def text(self) -> bytes:
        """Return the page."""
        if not self._is_shared:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call] # the library leaves it without types
        return generate_latest(shared)
