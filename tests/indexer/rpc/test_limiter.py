"""The pace of requests: spacing, growth until the first refusal, halving, and pauses that were asked for."""

from indexer.rpc.limiter import AFTER_FIRST_REFUSAL, LEAST_AT_ONCE, LONGEST_PAUSE, Limiter


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


def test_refusals_of_requests_that_were_under_way_halve_the_rate_once() -> None:
    limiter = Limiter(rate=10.0)
    limiter.throttled(50.0, None, sent=49.0)
    assert limiter.rate == 5.0
    for sent in (49.1, 49.5, 49.9):
        limiter.throttled(50.1, 3.0, sent=sent)
    assert limiter.rate == 5.0
    assert limiter.pause(50.1) == 3.0, "their pauses count all the same"
    limiter.throttled(60.0, None, sent=55.0)
    assert limiter.rate == 2.5


def test_a_batch_holds_what_a_second_allows_once_the_provider_refused() -> None:
    limiter = Limiter()
    assert limiter.most_at_once() is None
    limiter.throttled(0.0, None)
    assert limiter.most_at_once() == AFTER_FIRST_REFUSAL
    for second in range(1, 10):
        limiter.throttled(float(second), None, sent=float(second))
    assert limiter.most_at_once() == LEAST_AT_ONCE
