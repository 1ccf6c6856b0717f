"""What the gateway counts, for Prometheus; no text of any prompt is among it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SCREEN_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
_FIRST_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Measures:
    """Counters of one gateway, in a registry of its own.

    Attributes:
        calls: Calls that were answered, by API, action and HTTP status.
        decisions: Calls by decision: pass, stop or none.
        screen_s: Time that a decision takes.
        first_piece_s: Time from a request to the first piece of the reply to it.
        faults: Faults of upstreams by kind.
        gone: Calls whose client left before the end.
        in_flight: Calls under way.
        shadow: Calls by what became of their record: written, dropped or failed.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self._registry = CollectorRegistry()
        prefix = "metamodel_gateway"
        self.calls = Counter(f"{prefix}_calls", "Calls answered.", ("api", "action", "status"), registry=self._registry)
        self.decisions = Counter(f"{prefix}_decisions", "Calls by decision.", ("decision",), registry=self._registry)
        self.screen_s = Histogram(
            f"{prefix}_screen_seconds", "Time of a decision.", registry=self._registry, buckets=_SCREEN_BUCKETS_S
        )
        self.first_piece_s = Histogram(
            f"{prefix}_first_piece_seconds",
            "Time to the first piece of a reply.",
            registry=self._registry,
            buckets=_FIRST_BUCKETS_S,
        )
        self.faults = Counter(f"{prefix}_upstream_faults", "Faults of upstreams.", ("kind",), registry=self._registry)
        self.gone = Counter(f"{prefix}_clients_gone", "Clients that left early.", registry=self._registry)
        self.in_flight = Gauge(f"{prefix}_in_flight", "Calls under way.", registry=self._registry)
        self.shadow = Counter(f"{prefix}_shadow_records", "Records by fate.", ("fate",), registry=self._registry)

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
