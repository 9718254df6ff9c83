"""What a provider did so far, counted: for log lines, a status page, and for whoever pays for requests."""

from collections import Counter
from collections.abc import Mapping

import msgspec


class MethodMetrics(msgspec.Struct, frozen=True):
    """Requests of one JSON-RPC method at one provider since the start."""

    requests: int
    """JSON-RPC requests sent; a batch counts as many as it holds."""
    answers: int
    """HTTP answers that carried them, also failed ones."""
    mean_seconds: float
    """Mean time from sending to the whole answer, per HTTP answer; waiting for the provider's pace is not in it."""
    slowest_seconds: float
    """The longest of these times."""


class ProviderMetrics(msgspec.Struct, frozen=True):
    """One provider since the start."""

    provider: str
    """Its name: host and port."""
    standing: str
    """"ok", or why it is set aside or never asked."""
    http_requests: int
    """HTTP requests sent."""
    rate: float
    """JSON-RPC requests a second that it may be asked now."""
    throttles: int
    """How often it asked us to slow down."""
    set_aside: int
    """How often it was set aside."""
    head: int | None
    """The newest block it named, None before it named one."""
    failures: Mapping[str, int]
    """Name of the error class → how often it ended a question."""
    methods: Mapping[str, MethodMetrics]
    """JSON-RPC method → its requests; a batch of several methods counts under its last."""

    def line(self) -> str:
        """All of it for a log line."""
        sent = sum(method.requests for method in self.methods.values())
        failed = ", ".join(f"{count} {name}" for name, count in sorted(self.failures.items())) or "none"
        slowest = max((method.slowest_seconds for method in self.methods.values()), default=0.0)
        return (
            f"{self.provider}: {sent} requests in {self.http_requests} HTTP, slowest {slowest:.1f} s, "
            f"failures: {failed}, set aside {self.set_aside} times"
        )


class Tally:
    """Counts for one provider."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.set_aside = 0
        self._requests: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._slowest: dict[str, float] = {}

    def answered(self, method: str, requests: int, seconds: float) -> None:
        """One HTTP answer, good or bad."""
        self._requests[method] += requests
        self._answers[method] += 1
        self._seconds[method] += seconds  # type: ignore[assignment]
        self._slowest[method] = max(seconds, self._slowest.get(method, 0.0))

    def methods(self) -> Mapping[str, MethodMetrics]:
        """By method, as it stands."""
        return {
            method: MethodMetrics(self._requests[method], count, self._seconds[method] / count, self._slowest[method])
            for method, count in sorted(self._answers.items())
        }
