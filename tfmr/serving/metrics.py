"""What Prometheus reads at /metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server.

    Attributes:
      in_progress: the number of requests that are being answered.
    """

    def __init__(self):
        """Starts at zero."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._paths: set[str] = set()
        self.in_progress = 0
        in_progress = Gauge("tfmr_requests_in_progress", "Requests that are being answered.", registry=registry)
        in_progress.set_function(lambda: self.in_progress)
        self._requests = Counter("tfmr_requests", "Requests answered.", ("path", "status"), registry=registry)
        self._seconds = Histogram(
            "tfmr_request_seconds", "Time to answer a request.", ("path",), buckets=_SECONDS, registry=registry
        )
        self.batches = Histogram("tfmr_batch_lines", "Lines of a batch.", buckets=_ROWS, registry=registry)
        self.batch_seconds = Histogram(
            "tfmr_batch_seconds", "Time to translate a batch.", buckets=_SECONDS, registry=registry
        )
        self.generated = Counter("tfmr_generated_tokens", "Tokens that language models wrote.", registry=registry)
        self._waiting = Gauge("tfmr_waiting_lines", "Lines that wait for a batch.", registry=registry)

    def count_waiting(self, waiting: Callable[[], float]) -> None:
        """Takes the function that returns the number of waiting lines."""
        self._waiting.set_function(waiting)

    def know_paths(self, paths: set[str]) -> None:
        """Takes the paths that are counted one by one. All others are counted together, however many there are."""
        self._paths = paths

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request; status 0: the client went before it was answered."""
        path = path if path in self._paths else "other"
        self._requests.labels(path, str(status or "gone")).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Returns all values in Prometheus' text format."""
        return generate_latest(self._registry)
