"""The pace of requests: spacing, growth until the first refusal, halving, and pauses that were asked for."""

from indexer.rpc.limiter import AFTER_FIRST_REFUSAL, LONGEST_PAUSE, Limiter


def test_requests_are_spaced_by_the_rate() -> None:
    limiter = Limiter(rate=10.0)
    assert limiter.reserve(100.0) == 0.0
    assert abs(limiter.reserve(100.0) - 0.1) < 1e-9
    assert limiter.reserve(200.0, requests=5) == 0.0
    assert abs(limiter.reserve(200.0) - 0.5) < 1e-9


def test_the_rate_grows_fast_until_the_first_refusal_and_by_one_afterwards() -> None:
    limiter = Limiter(rate=400.0)
    limiter.succeeded()
    assert limiter.rate == 500.0
    limiter.throttled(0.0, None)
    assert limiter.rate == AFTER_FIRST_REFUSAL
    limiter.succeeded()
    assert limiter.rate == AFTER_FIRST_REFUSAL + 1
    limiter.throttled(0.0, None)
    assert limiter.rate == (AFTER_FIRST_REFUSAL + 1) / 2


def test_a_pause_that_was_asked_for_is_kept_up_to_a_limit() -> None:
    limiter = Limiter(rate=10.0)
    assert limiter.throttled(50.0, 7.0) == 7.0
    assert limiter.reserve(50.0) == 7.0
    assert limiter.throttled(50.0, 86_400.0) == LONGEST_PAUSE
