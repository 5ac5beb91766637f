"""What Prometheus is told at /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = tuple(2**power for power in range(11))


class Telemetry:
    """The counts and histograms of one server, in a registry of its own.

    Args:
        samples_waiting: Asked for the length of the queue when the metrics are read.
    """

    def __init__(self, samples_waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lamella_requests", "Requests, by path and HTTP status", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "lamella_predict_seconds",
            "From the first byte of a request to /predict to its answer",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram("lamella_batch_samples", "Samples in a batch", buckets=_SIZES, registry=self.registry)
        self.model_seconds = Histogram(
            "lamella_model_seconds", "The model's time for a batch", buckets=_SECONDS, registry=self.registry
        )
        waiting = Gauge("lamella_queue_samples", "Samples that wait for their batch", registry=self.registry)
        waiting.set_function(samples_waiting)

    def batch(self, samples: int, seconds: float) -> None:
        """A batch was computed."""
        self.batches.observe(samples)
        self.model_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)
