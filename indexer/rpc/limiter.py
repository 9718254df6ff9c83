"""How fast a provider may be asked: additive increase, multiplicative decrease (AIMD), and Retry-After honoured.

Pure: the caller brings the time (seconds of a monotonic clock) and does the waiting.
"""

FIRST_RATE = 1_000.0  # requests a second
GROWTH = 1.25  # Until the first refusal each answer makes it faster at once: a node of one's own has no limit.
AFTER_FIRST_REFUSAL = 100.0
LEAST_RATE = 0.2
MOST_RATE = 1e6
INCREASE = 1.0  # requests a second more after each answer
DECREASE = 0.5
PENALTY_SECONDS = 1.0  # Pause after a refusal that names none.
LEAST_AT_ONCE = 10  # Requests that a batch may hold at any rate: head and logs of one range stay together.
LONGEST_PAUSE = 120.0  # A provider that says "come back tomorrow" is asked again sooner: others may be worse.


class Limiter:
    """Spaces the requests to one provider; a batch counts as many requests as it holds, as providers count."""

    def __init__(self, rate: float = FIRST_RATE) -> None:
        self.rate = rate
        self._next = 0.0
        self._was_refused = False
        self._slowed_at = float("-inf")

    def pause(self, now: float) -> float:
        """Seconds until a request could be sent."""
        return max(0.0, self._next - now)

    def most_at_once(self) -> int | None:
        """How many requests a batch may hold: what a second allows, once the provider refused; None before."""
        return max(LEAST_AT_ONCE, int(self.rate)) if self._was_refused else None

    def reserve(self, now: float, requests: int = 1) -> float:
        """Seconds to wait before sending; the slots of `requests` requests are taken."""
        start = max(now, self._next)
        self._next = start + requests / self.rate
        return start - now

    def succeeded(self) -> None:
        """An answer came: faster from now on."""
        faster = self.rate + INCREASE if self._was_refused else self.rate * GROWTH
        self.rate = min(MOST_RATE, faster)

    def throttled(self, now: float, retry_after: float | None, *, sent: float | None = None) -> float:
        """The provider refused: half as fast after a pause. Returns the pause in seconds.

        A request sent before the last slowing down says nothing about the new rate: only its pause counts.
        """
        if sent is None or sent >= self._slowed_at:
            slower = self.rate * DECREASE
            self.rate = max(LEAST_RATE, slower if self._was_refused else min(slower, AFTER_FIRST_REFUSAL))
            self._slowed_at = now
        self._was_refused = True
        pause = min(LONGEST_PAUSE, PENALTY_SECONDS if retry_after is None else max(0.0, retry_after))
        self._next = max(self._next, now + pause)
        return pause
